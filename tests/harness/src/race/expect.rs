//! Expectations: how a QEMU treats what is plugged before the guest can listen. Several ways were proposed, and some shipped.

use clap::ValueEnum;
use std::fmt;

/// A way to treat what is plugged before the guest has negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Expect {
    /// Any of these: which it was is told
    #[default]
    Auto,
    /// It is taken, and the tree that CAS leaves tells of it: QEMU since 5.1
    Upstream,
    /// It is refused until CAS, and taken afterwards: proposed in 2017
    RejectBeforeCas,
    /// It is taken, and the machine is reset by CAS, so that the guest boots twice: QEMU 2.9 to 5.0
    CasReboot,
}

impl Expect {
    /// Its name on the command line and in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Upstream => "upstream",
            Self::RejectBeforeCas => "reject-before-cas",
            Self::CasReboot => "cas-reboot",
        }
    }

    /// Whether it refuses what is plugged before CAS; nothing where either is right.
    pub const fn refuses_early(self) -> Option<bool> {
        match self {
            Self::Auto => None,
            Self::RejectBeforeCas => Some(true),
            Self::Upstream | Self::CasReboot => Some(false),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
