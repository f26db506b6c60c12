//! The hypervisor's half, as executable form of its rules.
//!
//! [`Platform`] is QEMU's pseries machine as far as hotplug goes: connectors with their states, devices that the host
//! plugs and unplugs, the queue of events, the interrupts that announce them. It is plain data and functions, one for
//! each thing that a guest or a host can do, and each rule names where QEMU has it. [`Machine`] puts RTAS in front of it,
//! with cells and buffers, so that everything that runs on the real machine runs against the model as well.
//!
//! It is the fake of the tests, and the oracle for what a correct hypervisor answers: [`super::transitions::expected`]
//! reads the table of the connectors from it, and so it is part of the library and not of its tests alone. It models QEMU 7.2 and later; where
//! versions differ, [`Config`] says which is meant. It leaves out migration, and the devices themselves: plugging needs
//! no memory, and a stopped thread stops at once.
//!
//! Ref: LoPAR 13 (Dynamic Reconfiguration), QEMU hw/ppc/spapr_drc.c, hw/ppc/spapr_events.c, hw/ppc/spapr.c

mod calls;
mod drc;
mod host;
mod machine;
mod queue;
mod tree;
mod unplug;

pub use drc::Drc;
pub use host::{Device, HostError, How, Notice, What};
pub use machine::{Ending, Machine};
pub use queue::{EPOW_IRQ, HOT_PLUG_IRQ, Line, QUEUED_LEN};
pub use tree::Item;

use crate::papr::drc::DrcIndex;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use queue::Queue;

/// What the machine is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most cores that there can be; the first is there from the start.
    pub cores: u32,
    /// Threads of each core.
    pub threads: u32,
    /// The number of the first memory block for devices.
    pub first_lmb: u32,
    /// Memory blocks for devices.
    pub lmbs: u32,
    /// Slots for persistent memory.
    pub pmem_slots: u32,
    /// Whether a refused memory unplug is also told as `MEM_UNPLUG_ERROR`: QEMU up to 9.0.
    pub mem_unplug_error: bool,
}

impl Default for Config {
    /// `-smp 1,maxcpus=4 -m 512M,slots=2,maxmem=2G` of QEMU 10.
    fn default() -> Self {
        Self { cores: 4, threads: 1, first_lmb: 4, lmbs: 6, pmem_slots: 2, mem_unplug_error: false }
    }
}

/// The hypervisor's state.
#[derive(Clone, Debug)]
pub struct Platform {
    config: Config,
    drcs: BTreeMap<DrcIndex, Drc>,
    devices: BTreeMap<String, Device>,
    /// Threads by interrupt server number, and whether each runs.
    threads: BTreeMap<u32, bool>,
    queue: Queue,
    /// What CAS granted: whether hotplug events have a source of their own. None before CAS.
    hotplug_events: Option<bool>,
    notices: Vec<Notice>,
}

#[cfg(test)]
mod tests;
