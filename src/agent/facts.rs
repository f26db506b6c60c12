//! What the guest takes from the device tree, in its own words.
//!
//! The tree is read twice, before CAS and after it, and the second reading is what counts.

use super::resources::memory::Blocks;
use crate::papr::drc::DrcIndex;
use crate::papr::event::EventMask;
use alloc::string::String;
use alloc::vec::Vec;

/// A core that stands in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its connector, where it has one.
    pub drc: Option<DrcIndex>,
    /// The interrupt server numbers of its threads.
    pub servers: Vec<u32>,
}

/// An event source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name of its node.
    pub name: String,
    /// Its interrupt.
    pub irq: u32,
    /// Whether the interrupt is level-triggered.
    pub level: bool,
    /// The classes that it signals.
    pub mask: EventMask,
}

/// What the tree says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The processor that the guest was started on: the lowest interrupt server number of the tree.
    pub boot_server: u32,
    /// The cores, by their place in the tree.
    pub cores: Vec<Core>,
    /// The event sources that this guest listens to.
    pub sources: Vec<Source>,
    /// Where the memory blocks are.
    pub blocks: Blocks,
    /// The memory blocks that the tree gives to the guest and that have a connector.
    pub assigned: Vec<DrcIndex>,
    /// Bytes that RTAS needs.
    pub rtas_size: u32,
    /// `ibm,arch-vec-5-platform-support`.
    pub platform_support: Vec<u8>,
}

impl Facts {
    /// The threads of the core with this connector.
    pub fn servers_of(&self, drc: DrcIndex) -> Option<&[u32]> {
        self.cores.iter().find(|core| core.drc == Some(drc)).map(|core| core.servers.as_slice())
    }

    /// Remembers the threads of a core that came by an event.
    pub fn know_core(&mut self, drc: DrcIndex, servers: Vec<u32>) {
        self.cores.retain(|core| core.drc != Some(drc));
        self.cores.push(Core { drc: Some(drc), servers });
    }
}
