//! Using PCI: functions, and the host bridges that they are behind.

use crate::agent::connectors::Errand;
use crate::agent::guest::{Chapter, Guest};
use crate::agent::numbered::Numbered;
use crate::agent::resources::pci::Function;
use crate::agent::resources::pci::config::Config;
use crate::agent::resources::phb::{Expected, Phb, Standing, connectors_of};
use crate::log::{Hex, Learned, Outcome, Record, Request, Severity};
use crate::machine::Machine;
use crate::openfirmware::tree::Connector;
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::pci::{Address, Width, register};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Reverse;

impl<M: Machine> Guest<M> {
    /// Uses a PCI function, and if it is a bridge makes its connectors known.
    pub(super) fn use_function(&mut self, errand: &Errand) -> Result<(), String> {
        let index = errand.index;
        if let Some(fragment) = &errand.fragment {
            let expected = Expected::from_fragment(fragment)?;
            let at = self.facts.phb_of(index);
            let buid = at.and_then(|at| self.facts.phbs.get(at)).map(|phb| phb.buid);
            let buid = buid.ok_or_else(|| "no host bridge lists this connector".to_string())?;
            self.facts.know_function(Standing { drc: index, buid, expected, slots: Vec::new() });
        }
        self.function(index)?.take()?;
        let mut problems = Vec::new();
        let connectors = errand.fragment.as_ref().map(|fragment| connectors_of(fragment, &mut problems));
        self.tell_problems(&problems);
        let connectors = connectors.unwrap_or_default();
        if connectors.is_empty() {
            return Ok(());
        }
        let slots: Vec<DrcIndex> = connectors.iter().map(|connector| connector.index).collect();
        if let Some(phb) = self.facts.phb_of(index).and_then(|at| self.facts.phbs.get_mut(at)) {
            phb.slots.retain(|slot| !slots.contains(slot));
            phb.slots.extend(&slots);
        }
        if let Some(function) = self.facts.functions.iter_mut().find(|function| function.drc == index) {
            function.slots = slots;
        }
        self.know_slots(&connectors);
        Ok(())
    }

    /// Stops using a PCI function.
    pub(super) fn stop_function(&mut self, index: DrcIndex) -> Result<(), String> {
        self.function(index)?.stop()
    }

    /// What is needed to use a function.
    fn function(&mut self, index: DrcIndex) -> Result<Function<'_, Numbered<M>>, String> {
        let known = self.facts.function(index).cloned();
        let known = known.ok_or_else(|| "nothing says where this function is".to_string())?;
        let phb = self.facts.phbs.iter_mut().find(|phb| phb.buid == known.buid);
        let phb = phb.ok_or_else(|| format!("there is no host bridge {:#x}", known.buid))?;
        let Standing { expected, .. } = known;
        Ok(Function { machine: &mut self.machine, tokens: &self.tokens, phb, drc: index, expected })
    }

    /// Uses a host bridge: its windows are known from now on, and its connectors can be used at once. Functions that
    /// stand in its fragment are left alone: each has an event of its own on the way.
    pub(super) fn use_phb(&mut self, errand: &Errand) -> Result<(), String> {
        if let Some(fragment) = &errand.fragment {
            let mut problems = Vec::new();
            let (mut phb, connectors) = Phb::from_fragment(fragment, &mut problems)?;
            phb.drc = Some(errand.index);
            self.tell_problems(&problems);
            self.facts.phbs.retain(|known| known.drc != phb.drc && known.buid != phb.buid);
            self.facts.phbs.push(phb);
            self.know_slots(&connectors);
        }
        let phb = self.facts.phbs.iter().find(|phb| phb.drc == Some(errand.index)).cloned();
        let phb = phb.ok_or_else(|| "nothing says what this host bridge is".to_string())?;
        self.say(&Record::Phb {
            drc: errand.index,
            bridge: Hex(phb.buid),
            first: phb.buses.0,
            last: phb.buses.1,
            slots: u32::try_from(phb.slots.len()).unwrap_or(u32::MAX),
        });
        for window in &phb.windows {
            self.say(&Record::Window {
                drc: errand.index,
                space: window.space.word().into(),
                bus: Hex(window.bus),
                real: Hex(window.cpu),
                size: Hex(window.size),
            });
        }
        Ok(())
    }

    /// Reads the configuration space behind a host bridge that was given back. A function that is not there is refused
    /// in the same way, so only a read that works tells of a bridge that is still there.
    pub(super) fn touch_phb(&mut self, index: DrcIndex) -> Result<(), String> {
        let phb = self.facts.phbs.iter().find(|phb| phb.drc == Some(index));
        let phb = phb.ok_or("nothing says what this host bridge is")?;
        let (buid, address) = (phb.buid, Address::new(phb.buses.0, 0, 0).ok_or("it has no bus")?);
        let mut config = Config { machine: &mut self.machine, tokens: &self.tokens, buid, address };
        config.read(register::ID, Width::Word).map(drop)
    }

    fn know_slots(&mut self, connectors: &[Connector]) {
        let entries = connectors.iter().map(|listed| (listed.index, listed.name.as_str(), listed.kind));
        for double in self.inventory.extend(entries) {
            self.problem(Severity::Major, "ibm,drc-indexes", double.to_string());
        }
    }

    /// Gives back what is behind a bridge or a host bridge that is to go: the platform takes it with everything.
    pub(in crate::agent) fn clear_behind(
        &mut self,
        request: Request,
        index: DrcIndex,
        learned: Learned,
        event: Option<u32>,
    ) -> Chapter {
        if request == Request::Remove {
            for slot in self.held_behind(index) {
                self.carry_out(Request::Remove, slot, learned, event)?;
            }
        }
        Ok(())
    }

    /// The connectors behind a bridge or a host bridge whose functions the guest has: what is deepest first, then the
    /// highest function first, so that function 0 of a device is the last.
    fn held_behind(&self, index: DrcIndex) -> Vec<DrcIndex> {
        let slots = self.slots_of(index);
        let mut held: Vec<&Standing> = self.facts.functions.iter().collect();
        held.retain(|function| {
            let connector = self.inventory.get(function.drc);
            slots.contains(&function.drc) && connector.is_some_and(|connector| connector.held.is_some())
        });
        held.sort_by_key(|function| Reverse(function.expected.address));
        held.into_iter().map(|function| function.drc).collect()
    }

    fn slots_of(&self, index: DrcIndex) -> Vec<DrcIndex> {
        let phb = self.facts.phbs.iter().find(|phb| phb.drc == Some(index)).map(|phb| &phb.slots);
        let slots = phb.or_else(|| self.facts.function(index).map(|function| &function.slots));
        slots.cloned().unwrap_or_default()
    }

    /// Forgets what went away together with a connector that was released.
    pub(in crate::agent) fn forget_behind(&mut self, index: DrcIndex, kind: DrcKind, outcome: Outcome) {
        if outcome != Outcome::Released || !matches!(kind, DrcKind::PHB | DrcKind::PCI) {
            return;
        }
        let gone = self.slots_of(index);
        self.inventory.forget(|slot| gone.contains(&slot));
        self.facts.functions.retain(|function| !gone.contains(&function.drc));
        self.facts.phbs.retain(|phb| phb.drc != Some(index));
        for phb in &mut self.facts.phbs {
            phb.slots.retain(|slot| !gone.contains(slot));
        }
    }
}
