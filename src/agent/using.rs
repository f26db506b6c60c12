//! Using: what was acquired is really used, each kind in its way, before the guest calls it taken.

mod pci;

use super::arguments::Manners;
use super::connectors::Errand;
use super::guest::Guest;
use super::resources::cpu::Threads;
use super::resources::memory;
use super::resources::pmem::{Device, Trial, Unit};
use super::station::Station;
use crate::log::{Hex, Record, Severity};
use crate::machine::{Machine, MemoryRange};
use crate::papr::drc::{DrcIndex, DrcKind};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl<M: Machine> Guest<M> {
    /// Uses what a connector brought.
    ///
    /// # Errors
    /// In words, when it does not work; nothing of it is in use then.
    pub(super) fn make_use(&mut self, errand: &Errand) -> Result<(), String> {
        self.say_where(errand);
        match errand.kind {
            DrcKind::LMB => self.try_memory(errand.index),
            DrcKind::CPU => {
                let servers = self.servers(errand)?;
                self.start_threads(errand.index, &servers)
            }
            DrcKind::PCI => self.use_function(errand),
            DrcKind::PHB => self.use_phb(errand),
            DrcKind::PMEM => self.use_pmem(errand),
            kind => Err(format!("this guest has no use for a {kind}")),
        }
    }

    /// Starts the other threads of the core that this guest runs on.
    pub(super) fn start_siblings(&mut self, index: DrcIndex) {
        let here = self.facts.boot_server;
        let servers = self.facts.servers_of(index).unwrap_or_default();
        let siblings: Vec<u32> = servers.iter().copied().filter(|&server| server != here).collect();
        if siblings.is_empty() {
            return;
        }
        if let Err(problem) = self.start_threads(index, &siblings) {
            self.problem(Severity::Major, "siblings", problem);
        }
    }

    /// Starts threads and lets them work. When that does not go well they are stopped again.
    fn start_threads(&mut self, index: DrcIndex, servers: &[u32]) -> Result<(), String> {
        self.threads(index).start(servers)?;
        self.reach(Station::SecondaryStarted);
        self.threads(index).work().inspect_err(|_| {
            // What is wrong with the work is the news; a thread that does not stop is in the log.
            let _ = self.threads(index).stop(servers);
        })
    }

    /// Stops using it.
    ///
    /// # Errors
    /// In words, when that does not work; it stays in use then.
    pub(super) fn stop_use(&mut self, errand: &Errand) -> Result<(), String> {
        match errand.kind {
            DrcKind::CPU => {
                let servers = self.servers(errand)?;
                if servers.contains(&self.facts.boot_server) {
                    return Err("this guest runs on that core".to_string());
                }
                self.leave(&servers);
                self.threads(errand.index).stop(&servers)
            }
            DrcKind::PCI => self.stop_function(errand.index),
            DrcKind::PMEM => self.stop_pmem(errand.index),
            // Memory is not touched again once its pages have been tried.
            _ => Ok(()),
        }
    }

    /// Uses what is not the guest's any more; if it works, that is stopped again.
    ///
    /// # Errors
    /// In words, why it does not work, as it should not.
    pub(super) fn touch(&mut self, errand: &Errand) -> Result<(), String> {
        match errand.kind {
            DrcKind::LMB => return self.touch_memory(errand.index),
            DrcKind::PHB => return self.touch_phb(errand.index),
            _ => {}
        }
        self.make_use(errand)?;
        // What does not stop is in the log, and nobody else's.
        let _ = self.stop_use(errand);
        Ok(())
    }

    /// Reads a block at its start, and where that gives something looks whether it still holds what was written.
    fn touch_memory(&mut self, drc: DrcIndex) -> Result<(), String> {
        const HOME: &str = "that is where the guest lives";
        let range = self.facts.blocks.range(drc).ok_or("the tree does not say where this block is")?;
        let read = self.machine.bare().touch(range.base).ok_or(HOME)?;
        self.say(&Record::Touch { drc, address: Hex(range.base), value: read.map(Hex) });
        if read.is_none() {
            return Err("reading it raises an exception".to_string());
        }
        let page = self.arguments.memtest.stride().ok_or("it can be read; nothing had been written")?;
        let first = MemoryRange { size: page.min(range.size), ..range };
        let report = self.machine.bare().check_pages(first, page).ok_or(HOME)?;
        if report.bad == 0 { Ok(()) } else { Err("it can be read, but what was written is gone".to_string()) }
    }

    /// Says where the resource is near, where anything tells.
    pub(super) fn say_where(&mut self, errand: &Errand) {
        let affinity = &self.facts.affinity;
        if let Some(place) = affinity.place(errand.index, errand.fragment.as_ref()) {
            let record = affinity.record_of(errand.index, &place);
            self.say(&record);
        }
    }

    /// Has all threads work that the guest has started.
    ///
    /// # Errors
    /// In words, when one of them does not, or does something else.
    pub(super) fn have_all_threads_work(&mut self) -> Result<(), String> {
        Threads { machine: &mut self.machine, tokens: &self.tokens, drc: None }.work()
    }

    fn threads(&mut self, index: DrcIndex) -> Threads<'_, M> {
        Threads { machine: &mut self.machine, tokens: &self.tokens, drc: Some(index) }
    }

    fn try_memory(&mut self, index: DrcIndex) -> Result<(), String> {
        let Some(page) = self.arguments.memtest.stride() else { return Ok(()) };
        let range = self.facts.blocks.range(index);
        let range = range.ok_or_else(|| "the tree does not say where this block is".to_string())?;
        let (record, result) = memory::try_block(self.machine.bare(), index, range, page);
        self.say(&record);
        result
    }

    /// Binds a persistent memory device and tries it.
    fn use_pmem(&mut self, errand: &Errand) -> Result<(), String> {
        if let Some(fragment) = &errand.fragment {
            self.facts.know_pmem(errand.index, Unit::of_fragment(fragment)?);
        }
        let trial =
            Trial { stride: self.arguments.memtest.stride(), bold: self.arguments.pmem == Manners::Bold };
        let device = self.facts.pmem_mut(errand.index);
        let device = device.ok_or_else(|| "nothing says what the device is like".to_string())?;
        let (machine, unit) = (&mut self.machine, &device.unit);
        device.bound = Some(Device { machine, drc: errand.index, unit }.start(trial)?);
        Ok(())
    }

    fn stop_pmem(&mut self, drc: DrcIndex) -> Result<(), String> {
        let Some(device) = self.facts.pmem_mut(drc) else { return Ok(()) };
        let Some(range) = device.bound else { return Ok(()) };
        Device { machine: &mut self.machine, drc, unit: &device.unit }.stop(range)?;
        device.bound = None;
        Ok(())
    }

    /// The threads of a core: as its fragment says, or as the tree did; once known they are remembered.
    fn servers(&mut self, errand: &Errand) -> Result<Vec<u32>, String> {
        const PROPERTY: &str = "ibm,ppc-interrupt-server#s";
        if let Some(property) = errand.fragment.as_ref().and_then(|fragment| fragment.property(PROPERTY)) {
            let servers: Vec<u32> = property.cells().collect();
            self.facts.know_core(errand.index, servers.clone());
            return Ok(servers);
        }
        let servers = self.facts.servers_of(errand.index).map(<[u32]>::to_vec);
        servers.ok_or_else(|| format!("nothing says which threads the core has: no {PROPERTY}"))
    }
}
