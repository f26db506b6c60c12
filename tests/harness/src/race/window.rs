//! Windows: the places in a guest's life at which the host steps in.

use clap::ValueEnum;
use std::fmt;

/// A place in a guest's life, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Window {
    /// QEMU is stopped, before the first instruction.
    Prelaunch,
    /// The firmware runs.
    Firmware,
    /// The next call is `ibm,client-architecture-support`.
    BeforeCas,
    /// The guest has called CAS once, and is about to call it again.
    InsideCas,
    /// CAS has returned, and there is no handler.
    AfterCas,
    /// The handler is installed, the sources are off.
    Masked,
    /// The handler is armed, and the guest idles.
    Handler,
    /// The guest reads the queue: one event is taken, and it has not looked for the next.
    Draining,
    /// The guest is between two steps on a connector.
    Acquiring,
    /// The guest idles, and the machine is reset before it could hear of anything.
    BeforeReset,
    /// The machine was reset, and the guest has not negotiated again.
    AfterReset,
    /// The guest idles with its sources off, and the machine moves into another QEMU with what is queued.
    Migrating,
}

impl Window {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Prelaunch,
        Self::Firmware,
        Self::BeforeCas,
        Self::InsideCas,
        Self::AfterCas,
        Self::Masked,
        Self::Handler,
        Self::Draining,
        Self::Acquiring,
        Self::BeforeReset,
        Self::AfterReset,
        Self::Migrating,
    ];

    /// Its name on the command line and in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prelaunch => "prelaunch",
            Self::Firmware => "firmware",
            Self::BeforeCas => "before-cas",
            Self::InsideCas => "inside-cas",
            Self::AfterCas => "after-cas",
            Self::Masked => "masked",
            Self::Handler => "handler",
            Self::Draining => "draining",
            Self::Acquiring => "acquiring",
            Self::BeforeReset => "before-reset",
            Self::AfterReset => "after-reset",
            Self::Migrating => "migrating",
        }
    }

    /// What it is, for a story.
    pub const fn story(self) -> &'static str {
        match self {
            Self::Prelaunch => "while QEMU is stopped before the guest's first instruction",
            Self::Firmware => "while SLOF runs",
            Self::BeforeCas => "just before the guest calls ibm,client-architecture-support",
            Self::InsideCas => "between two calls of CAS, the first of which was granted",
            Self::AfterCas => "just after CAS has returned, when the guest has no handler yet",
            Self::Masked => "when the handler is installed and the event sources are still off",
            Self::Handler => "when the handler is armed and the guest idles",
            Self::Draining => "while the guest reads the event queue: one event is taken, more may follow",
            Self::Acquiring => "while the guest is between two steps on a connector",
            Self::BeforeReset => {
                "while the guest idles; then the machine is reset before the guest heard of anything"
            }
            Self::AfterReset => "after a reset of the machine, just before the second boot negotiates",
            Self::Migrating => {
                "while the guest idles with its sources off; then the machine moves into another QEMU, and they are armed there"
            }
        }
    }

    /// The questions that it is about, by their numbers.
    pub const fn questions(self) -> &'static [u8] {
        match self {
            Self::Prelaunch | Self::Firmware => &[1, 26],
            Self::BeforeCas => &[9, 12, 14, 16],
            Self::InsideCas => &[5, 12, 16, 23],
            Self::AfterCas => &[4, 15, 18],
            Self::Masked => &[15, 18, 25],
            Self::Handler => &[9, 17],
            Self::Draining => &[31],
            Self::Acquiring => &[8, 13],
            Self::BeforeReset => &[6, 10, 11, 24],
            Self::AfterReset => &[11, 12],
            Self::Migrating => &[19],
        }
    }

    /// Where the guest holds for it, as its boot argument says.
    pub const fn holds(self) -> &'static str {
        match self {
            Self::Prelaunch | Self::Firmware => "idle#1",
            Self::BeforeCas | Self::InsideCas => "before-cas#1,idle#1",
            Self::AfterCas => "after-cas#1,idle#1",
            Self::Masked => "handler-installed#1,idle#1",
            Self::Handler | Self::BeforeReset | Self::Migrating => "idle#1",
            Self::Draining => "idle#1,draining#1",
            Self::Acquiring => "idle#1,after-step#2",
            Self::AfterReset => "before-cas#1,idle#1",
        }
    }

    /// The station at which the host steps in, where it is a hold.
    pub const fn station(self) -> Option<&'static str> {
        match self {
            Self::Prelaunch | Self::Firmware => None,
            Self::BeforeCas | Self::InsideCas | Self::AfterReset => Some("before-cas"),
            Self::AfterCas => Some("after-cas"),
            Self::Masked => Some("handler-installed"),
            Self::Handler | Self::BeforeReset | Self::Migrating => Some("idle"),
            Self::Draining => Some("draining"),
            Self::Acquiring => Some("after-step"),
        }
    }

    /// Whether a guest that is told nothing learns of a device by the tree, because CAS or a reset comes after it.
    pub const fn is_told_by_tree(self) -> bool {
        matches!(
            self,
            Self::Prelaunch
                | Self::Firmware
                | Self::BeforeCas
                | Self::InsideCas
                | Self::BeforeReset
                | Self::AfterReset
        )
    }

    /// Whether the host needs a first device, whose event or connector the guest is busy with.
    pub const fn needs_trigger(self) -> bool {
        matches!(self, Self::Draining | Self::Acquiring)
    }

    /// Whether the machine is reset on the way.
    pub const fn resets(self) -> bool {
        matches!(self, Self::BeforeReset | Self::AfterReset)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
