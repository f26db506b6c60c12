//! The states of a connector, by the names of the specification.

use core::fmt;

/// The state of a connector: as the hypervisor has it, or as the guest takes it to be.
///
/// A logical connector goes from unusable over available and unisolated to configured; a physical one goes from power-on
/// over unisolated to configured. Ref: LoPAR 13.4 (Figures 12 and 13), QEMU include/hw/ppc/spapr_drc.h (SpaprDrcState)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The guest cannot know.
    Unknown,
    /// Logical: nothing is allocated to the partition.
    Unusable,
    /// Logical: allocated and isolated.
    Available,
    /// Physical: powered and isolated, or empty.
    PowerOn,
    /// Connected, and not yet configured: it can only go on.
    Unisolated,
    /// Ready for use.
    Configured,
}

impl State {
    /// The state of a connector that holds nothing.
    pub const fn empty(physical: bool) -> Self {
        if physical { Self::PowerOn } else { Self::Unusable }
    }

    /// The state of a connector that is isolated and, if it is logical, allocated.
    pub const fn isolated(physical: bool) -> Self {
        if physical { Self::PowerOn } else { Self::Available }
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unusable => "unusable",
            Self::Available => "available",
            Self::PowerOn => "power-on",
            Self::Unisolated => "unisolated",
            Self::Configured => "configured",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
