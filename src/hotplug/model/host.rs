//! What the host can do: plug, reset, power down; and what it hears of it.
//!
//! Ref: QEMU hw/ppc/spapr.c (spapr_core_plug, spapr_memory_plug and their fellows), hw/ppc/spapr_pci.c

use super::drc::Drc;
use super::queue::Queue;
use super::{Config, Platform};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::event::{Action, Identifier, Resource};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// PCI host bridges that there can be.
const PHBS: u32 = 31;
/// Functions of a PCI bus: all have a connector.
pub(super) const DEVFNS: u32 = 256;
/// The device of the first core.
const BOOT_CORE: &str = "boot-core";
/// The device of the first PCI host bridge.
const BOOT_PHB: &str = "boot-phb";

/// What can be plugged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The core with this number.
    Core(u32),
    /// Memory of so many blocks, from that block on.
    Dimm {
        /// The number of the first block.
        first: u32,
        /// Blocks.
        blocks: u32,
    },
    /// The PCI host bridge with this number.
    Phb(u32),
    /// A PCI function.
    Pci {
        /// The host bridge that it hangs on.
        phb: u32,
        /// Slot and function: slot × 8 + function.
        devfn: u32,
    },
    /// Persistent memory in this slot.
    Nvdimm(u32),
}

/// How it is plugged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// On the command line.
    Cold,
    /// While the machine is there: an event tells.
    Hot,
}

/// A device that is plugged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub(super) what: What,
    pub(super) drcs: Vec<DrcIndex>,
    /// How many connectors have still to be released until an unplug is done; 0 while none is under way.
    pub(super) waiting: usize,
}

impl Device {
    /// What it is.
    pub const fn what(&self) -> What {
        self.what
    }

    /// Its connectors.
    pub fn drcs(&self) -> &[DrcIndex] {
        &self.drcs
    }
}

/// What the host hears on QMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `DEVICE_DELETED`: it is gone.
    Deleted(String),
    /// `DEVICE_UNPLUG_GUEST_ERROR`: the guest refuses to give it back.
    Refused(String),
    /// `MEM_UNPLUG_ERROR`: the same for memory, in older versions.
    MemoryRefused(String),
}

/// Why the host cannot do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// There is a device of this name, or none.
    Name,
    /// There is no such place, or it is taken.
    Place,
    /// The request is refused.
    Refused(&'static str),
    /// The hypervisor ends here: a defect that the model keeps rather than the state it would leave.
    Abort(&'static str),
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("there is a device of this name, or none"),
            Self::Place => f.write_str("there is no such place, or it is taken"),
            Self::Refused(why) => f.write_str(why),
            Self::Abort(place) => write!(f, "the hypervisor aborts in {place}"),
        }
    }
}

fn index(kind: DrcKind, id: u32) -> DrcIndex {
    DrcIndex(u32::from(kind.0) << 28 | id & 0x0fff_ffff)
}

pub(super) fn pci_index(phb: u32, devfn: u32) -> DrcIndex {
    index(DrcKind::PCI, (phb & 0xff) << 16 | devfn & 0xff)
}

/// Building.
impl Platform {
    /// A machine with its first core and its first PCI host bridge.
    pub fn new(config: Config) -> Self {
        let config = Config { threads: config.threads.max(1), ..config };
        let mut platform = Self {
            config,
            drcs: BTreeMap::new(),
            devices: BTreeMap::new(),
            threads: BTreeMap::new(),
            queue: Queue::new(),
            hotplug_events: None,
            notices: Vec::new(),
        };
        let lmbs = config.first_lmb..config.first_lmb.saturating_add(config.lmbs);
        // A core's connector has the number of its first thread.
        platform.add_drcs(DrcKind::CPU, (0..config.cores.max(1)).map(|core| core * config.threads));
        platform.add_drcs(DrcKind::PHB, 0..PHBS);
        platform.add_drcs(DrcKind::LMB, lmbs);
        platform.add_drcs(DrcKind::PMEM, 0..config.pmem_slots);
        // Both places are free, so there is no error to hear of.
        let _ = platform.plug(BOOT_CORE, What::Core(0), How::Cold);
        let _ = platform.plug(BOOT_PHB, What::Phb(0), How::Cold);
        platform.threads.insert(0, true);
        platform
    }

    fn add_drcs(&mut self, kind: DrcKind, ids: impl Iterator<Item = u32>) {
        self.drcs.extend(ids.map(|id| (index(kind, id), Drc::new(kind))));
    }

    /// The connector with this index.
    pub fn drc(&self, index: DrcIndex) -> Option<&Drc> {
        self.drcs.get(&index)
    }

    /// All connectors with the names that the tree gives them.
    pub fn listed(&self) -> impl Iterator<Item = (DrcIndex, String, DrcKind)> {
        self.drcs.iter().map(|(index, drc)| {
            let prefix = match drc.kind {
                DrcKind::CPU => "CPU ",
                DrcKind::PHB => "PHB ",
                DrcKind::PCI => "C",
                DrcKind::LMB => "LMB ",
                _ => "PMEM ",
            };
            (*index, alloc::format!("{prefix}{}", index.0 & 0x0fff_ffff), drc.kind)
        })
    }

    /// The device of this name.
    pub fn device(&self, id: &str) -> Option<&Device> {
        self.devices.get(id)
    }

    /// What the host has heard since it last asked.
    pub fn notices(&mut self) -> Vec<Notice> {
        core::mem::take(&mut self.notices)
    }

    /// Whether hotplug events have a source of their own: CAS granted it.
    pub(super) fn own_source(&self) -> bool {
        self.hotplug_events == Some(true)
    }
}

/// Plugging.
impl Platform {
    /// The connectors of a device, where they are.
    fn place(&self, what: What) -> Option<Vec<DrcIndex>> {
        let drcs: Vec<_> = match what {
            What::Core(core) => alloc::vec![index(DrcKind::CPU, core.checked_mul(self.config.threads)?)],
            What::Dimm { first, blocks } => {
                let last = first.checked_add(blocks.checked_sub(1)?)?;
                let room = self.config.first_lmb..self.config.first_lmb.saturating_add(self.config.lmbs);
                if !room.contains(&first) || !room.contains(&last) {
                    return None;
                }
                (first..=last).map(|id| index(DrcKind::LMB, id)).collect()
            }
            What::Phb(number) if number < PHBS => alloc::vec![index(DrcKind::PHB, number)],
            What::Pci { phb, devfn } if phb < PHBS && devfn < DEVFNS => alloc::vec![pci_index(phb, devfn)],
            What::Nvdimm(slot) => alloc::vec![index(DrcKind::PMEM, slot)],
            _ => return None,
        };
        // A DIMM that was given back in part still has the addresses of all its blocks.
        let is_taken = |index: &DrcIndex| self.devices.values().any(|device| device.drcs.contains(index));
        drcs.iter().all(|index| self.drcs.contains_key(index) && !is_taken(index)).then_some(drcs)
    }

    /// Plugs a device.
    ///
    /// # Errors
    /// When the name or the place is taken, there is no such place, or the function 0 of a PCI slot came before others.
    pub fn plug(&mut self, id: &str, what: What, how: How) -> Result<(), HostError> {
        if self.devices.contains_key(id) {
            return Err(HostError::Name);
        }
        let drcs = self.place(what).ok_or(HostError::Place)?;
        if let (What::Pci { phb, devfn }, How::Hot) = (what, how)
            && devfn % 8 != 0
            && self.is_present(pci_index(phb, devfn & !7))
        {
            return Err(HostError::Refused("function 0 is there already: others can no longer be exposed"));
        }
        for index in &drcs {
            let Some(drc) = self.drcs.get_mut(index) else { continue };
            drc.attach(id);
            // A cold-plugged NVDIMM waits for the reset that starts the machine; here that is the same moment.
            if how == How::Cold {
                drc.settle();
            }
        }
        self.add_children(what);
        self.devices.insert(id.into(), Device { what, drcs: drcs.clone(), waiting: 0 });
        if how == How::Hot {
            self.tell(what, Action::ADD, &drcs);
        }
        Ok(())
    }

    /// What comes into being with a device: threads of a core, connectors of a host bridge.
    fn add_children(&mut self, what: What) {
        match what {
            What::Core(core) => {
                let first = core * self.config.threads;
                self.threads.extend((first..first + self.config.threads).map(|server| (server, false)));
            }
            What::Phb(number) => self.add_drcs(DrcKind::PCI, (0..DEVFNS).map(|devfn| number << 16 | devfn)),
            _ => {}
        }
    }

    /// The connectors of what hangs on a host bridge.
    pub(super) fn behind(&self, bridge: DrcIndex) -> Vec<DrcIndex> {
        if bridge.kind() != DrcKind::PHB {
            return Vec::new();
        }
        let number = bridge.0 & 0xff;
        let mine = pci_index(number, 0)..=pci_index(number, DEVFNS - 1);
        self.drcs.range(mine).filter(|(_, drc)| drc.device.is_some()).map(|(index, _)| *index).collect()
    }

    pub(super) fn is_present(&self, index: DrcIndex) -> bool {
        self.drcs.get(&index).is_some_and(|drc| drc.device.is_some())
    }

    /// Queues the events for a device that comes or goes.
    ///
    /// Ref: QEMU hw/ppc/spapr.c (spapr_add_lmbs, spapr_memory_unplug_request), hw/ppc/spapr_pci.c (spapr_pci_plug,
    /// spapr_pci_unplug_request)
    pub(super) fn tell(&mut self, what: What, action: Action, drcs: &[DrcIndex]) {
        let Some(first) = drcs.first().copied() else { return };
        let count = u32::try_from(drcs.len()).unwrap_or(u32::MAX);
        let own_source = self.own_source();
        match what {
            What::Core(_) => self.queue_event(Resource::CPU, action, Identifier::Index(first)),
            What::Phb(_) => self.queue_event(Resource::PHB, action, Identifier::Index(first)),
            What::Nvdimm(_) => self.queue_event(Resource::PMEM, action, Identifier::Index(first)),
            // A guest that does not know the source does not know this identifier either, when memory is added.
            What::Dimm { .. } if action == Action::ADD && !own_source => {
                self.queue_event(Resource::MEMORY, action, Identifier::Count(count));
            }
            What::Dimm { .. } => {
                self.queue_event(Resource::MEMORY, action, Identifier::CountIndexed { count, first });
            }
            // Function 0 speaks for its slot: added from 0 upwards, removed from 7 downwards.
            What::Pci { phb, devfn } if devfn % 8 == 0 => {
                for step in 0..8 {
                    let function = if action == Action::ADD { step } else { 7 - step };
                    let index = pci_index(phb, devfn | function);
                    if self.is_present(index) {
                        self.queue_event(Resource::PCI, action, Identifier::Index(index));
                    }
                }
            }
            What::Pci { .. } => {}
        }
    }

    fn queue_event(&mut self, resource: Resource, action: Action, id: Identifier<'_>) {
        let own_source = self.own_source();
        self.queue.push(Some((resource, action, id)), own_source);
    }
}

/// The machine as a whole.
impl Platform {
    /// Asks the guest to shut down.
    ///
    /// Ref: QEMU hw/ppc/spapr_events.c (spapr_powerdown_req)
    pub fn powerdown(&mut self) {
        let own_source = self.own_source();
        self.queue.push(None, own_source);
    }

    /// The guest negotiates. `hotplug_events`: it asks for a source of their own. Whatever was plugged or wanted back
    /// before is settled now, and its events are dropped: the tree tells.
    ///
    /// Ref: QEMU hw/ppc/spapr_hcall.c (spapr_handle_transient_dev_before_cas)
    pub fn cas(&mut self, hotplug_events: bool) {
        self.settle_all();
        self.queue.drop_hotplug();
        self.hotplug_events = Some(hotplug_events);
    }

    /// The machine is reset. Lamps are reset before unplugs are completed, so the lamp of a function that goes stays on.
    ///
    /// Ref: QEMU hw/ppc/spapr.c (spapr_machine_reset)
    pub fn reset(&mut self) {
        self.drcs.values_mut().filter(|drc| drc.kind.is_physical()).for_each(Drc::reset_indicator);
        self.settle_all();
        self.queue.reset();
        self.hotplug_events = None;
        self.threads.iter_mut().for_each(|(server, runs)| *runs = *server == 0);
    }

    /// Ref: QEMU hw/ppc/spapr_drc.c (spapr_drc_reset_all)
    fn settle_all(&mut self) {
        let all: Vec<_> = self.drcs.keys().copied().collect();
        for index in all {
            if self.drcs.get(&index).is_some_and(|drc| drc.unplug_requested) {
                self.release(index);
            }
            if let Some(drc) = self.drcs.get_mut(&index) {
                drc.settle();
            }
        }
    }
}
