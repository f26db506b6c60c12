//! Dynamic reconfiguration connectors: their kinds and indexes.
//!
//! Ref: LoPAR 13.5 (Dynamic Reconfiguration Architecture)

use crate::log::Field;
use crate::open_enum;
use crate::open_field;
use core::fmt;

/// The index of a connector, as it stands in `ibm,drc-indexes` and in every call about it.
///
/// PAPR calls it opaque; QEMU and PowerVM put the kind into the top four bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrcIndex(pub u32);

impl fmt::Display for DrcIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for DrcIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DrcIndex({self})")
    }
}

impl<'a> Field<'a> for DrcIndex {
    fn put(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
    fn get(text: &'a str) -> Option<Self> {
        (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok()).flatten().map(DrcIndex)
    }
}

open_enum! {
    /// What a connector connects, as the top four bits of its index say.
    ///
    /// Ref: QEMU include/hw/ppc/spapr_drc.h (SpaprDrcTypeShift)
    pub DrcKind: u8 {
        /// A processor core.
        CPU = 1 => "cpu",
        /// A PCI host bridge.
        PHB = 2 => "phb",
        /// A virtual I/O slot.
        VIO = 3 => "vio",
        /// A PCI slot or function: the only physical connector among them.
        PCI = 4 => "pci",
        /// A logical memory block.
        LMB = 8 => "lmb",
        /// A persistent memory device.
        PMEM = 9 => "pmem",
    }
}
open_field!(DrcKind);

impl DrcIndex {
    /// The kind that the index carries.
    pub const fn kind(self) -> DrcKind {
        DrcKind((self.0 >> 28) as u8)
    }
}

impl DrcKind {
    /// The kind of a connector by its entry in `ibm,drc-types`.
    ///
    /// Ref: LoPAR 13.5.2.2 (Table 176)
    pub fn from_type(drc_type: &str) -> Option<Self> {
        Some(match drc_type {
            "CPU" => Self::CPU,
            "PHB" => Self::PHB,
            "SLOT" => Self::VIO,
            "28" => Self::PCI,
            "MEM" => Self::LMB,
            "PMEM" => Self::PMEM,
            _ => return None,
        })
    }

    /// Whether the connector is physical: no allocation state, and an indicator light.
    ///
    /// Ref: LoPAR 13.5.1 (Table 174)
    pub fn is_physical(self) -> bool {
        self == Self::PCI
    }
}

#[cfg(test)]
mod tests {
    use super::{DrcIndex, DrcKind};

    #[test]
    fn the_kind_stands_in_the_top_bits() {
        assert_eq!(DrcIndex(0x8000_0004).kind(), DrcKind::LMB);
        assert_eq!(DrcIndex(0x1000_0001).kind(), DrcKind::CPU);
        assert_eq!(DrcIndex(0x7000_0001).kind().to_string(), "7");
    }
}
