//! Actions: what the host does in a window.

use clap::ValueEnum;
use std::fmt;

/// What the host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Action {
    /// Plugs a device.
    Plug,
    /// Asks for a device that was there from the start.
    Unplug,
    /// Plugs a device and asks for it back at once.
    PlugUnplug,
    /// Asks for a device that was there from the start, and plugs another.
    UnplugPlug,
    /// Plugs two devices.
    PlugTwice,
    /// Asks twice for the same device.
    UnplugTwice,
    /// Asks for a device that the guest refuses to give, and again when it is willing.
    UnplugRefused,
}

/// What the host does first, in the window: the deeds that an action is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Plugs the device with this id.
    Plug(&'static str),
    /// Asks for the device with this id.
    Unplug(&'static str),
}

/// The device that is there from the start; in windows with a trigger it is the trigger.
pub const FIRST: &str = "first";
/// The device that is plugged in the window.
pub const SECOND: &str = "second";
/// The other one.
pub const THIRD: &str = "third";

impl Action {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Plug,
        Self::Unplug,
        Self::PlugUnplug,
        Self::UnplugPlug,
        Self::PlugTwice,
        Self::UnplugTwice,
        Self::UnplugRefused,
    ];

    /// Its name on the command line and in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plug => "plug",
            Self::Unplug => "unplug",
            Self::PlugUnplug => "plug-unplug",
            Self::UnplugPlug => "unplug-plug",
            Self::PlugTwice => "plug-twice",
            Self::UnplugTwice => "unplug-twice",
            Self::UnplugRefused => "unplug-refused",
        }
    }

    /// What it is, for a story.
    pub const fn story(self) -> &'static str {
        match self {
            Self::Plug => "the host plugs a device",
            Self::Unplug => "the host asks for a device that the guest has, or is about to get",
            Self::PlugUnplug => "the host plugs a device and asks for it back at once",
            Self::UnplugPlug => "the host asks for a device, and plugs another",
            Self::PlugTwice => "the host plugs two devices, one after the other",
            Self::UnplugTwice => "the host asks twice for the same device",
            Self::UnplugRefused => "the host asks for a device that the guest will not give",
        }
    }

    /// Its deeds, in their order.
    pub const fn deeds(self) -> &'static [Deed] {
        match self {
            Self::Plug => &[Deed::Plug(SECOND)],
            Self::Unplug | Self::UnplugRefused => &[Deed::Unplug(FIRST)],
            Self::PlugUnplug => &[Deed::Plug(SECOND), Deed::Unplug(SECOND)],
            Self::UnplugPlug => &[Deed::Unplug(FIRST), Deed::Plug(SECOND)],
            Self::PlugTwice => &[Deed::Plug(SECOND), Deed::Plug(THIRD)],
            Self::UnplugTwice => &[Deed::Unplug(FIRST), Deed::Unplug(FIRST)],
        }
    }

    /// Whether the guest refuses what it is asked to give, until it is told otherwise.
    pub const fn is_refused(self) -> bool {
        matches!(self, Self::UnplugRefused)
    }

    /// The questions that it answers, beside those of its window, by their numbers.
    pub const fn questions(self) -> &'static [u8] {
        match self {
            Self::Plug => &[1, 14, 17, 22],
            Self::Unplug => &[2, 26],
            Self::PlugUnplug => &[2, 7],
            Self::UnplugPlug => &[7],
            Self::PlugTwice => &[22, 31],
            Self::UnplugTwice => &[28],
            Self::UnplugRefused => &[27],
        }
    }

    /// Whether it is about a device that is there before the window.
    pub fn needs_first(self) -> bool {
        self.deeds().contains(&Deed::Unplug(FIRST))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
