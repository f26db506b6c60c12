//! Families: the kinds of devices by the names that a person types.

use super::{Kind, LMB_BYTES, VIRTIO};
use clap::ValueEnum;
use std::fmt;

/// The kinds of devices, by the names that they have on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Family {
    /// DIMMs of one logical memory block
    Memory,
    /// CPU cores
    Cpu,
    /// PCI functions
    Pci,
    /// PCI host bridges
    Phb,
    /// Persistent memory: NVDIMMs
    Pmem,
}

impl Family {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Memory, Self::Cpu, Self::Pci, Self::Phb, Self::Pmem];
    /// Those that come and go in every QEMU.
    pub const USUAL: &'static [Self] = &[Self::Memory, Self::Cpu];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pci => "pci",
            Self::Phb => "phb",
            Self::Pmem => "pmem",
        }
    }

    /// What one of its devices is called.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Memory => "dimm",
            Self::Cpu => "core",
            Self::Pci => "pci",
            Self::Phb => "phb",
            Self::Pmem => "nvdimm",
        }
    }

    /// The device that stands for it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Memory => Kind::Dimm(LMB_BYTES),
            Self::Cpu => Kind::Core,
            Self::Pci => Kind::Pci(VIRTIO),
            Self::Phb => Kind::Phb,
            Self::Pmem => Kind::Nvdimm(LMB_BYTES),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
