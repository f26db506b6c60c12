//! Manners: how the guest treats what the host asks of it in a race, and how a request may end then.
//!
//! A hypervisor has to bear every guest. Each manner is one of the guest's policies; what is right is the same as in good
//! manners, but that a guest which does not let go leaves the request open, where it cannot say that it refuses.

use super::window::Window;
use crate::device::Kind;
use clap::ValueEnum;
use paprika::log::Outcome;
use std::fmt;

/// A way to treat requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Manner {
    /// Does what it is asked.
    #[default]
    Good,
    /// Leaves a new device alone.
    AddIgnore,
    /// Takes a new device, but not at once.
    AddLate,
    /// Stops on the way to a new device.
    AddHalf,
    /// Configures a new device twice.
    AddTwice,
    /// Takes a new device and gives it back unasked.
    AddUnasked,
    /// Does not do what it is asked to give.
    RemoveIgnore,
    /// Gives, but not at once.
    RemoveLate,
    /// Stops on the way out.
    RemoveHalf,
    /// Uses what it has given back.
    RemoveTouch,
    /// Refuses by configuring the device again.
    RemoveConfigure,
    /// Refuses by un-isolating the device again.
    RemoveRefuse,
}

/// How a request to unplug may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The device goes.
    Given,
    /// The device stays, and QEMU tells so.
    Refused,
    /// The device stays, and the request stays open: nobody can tell.
    Open,
}

impl Manner {
    /// All of them that a scenario names; a guest that refuses is an action of its own.
    pub const BAD: &'static [Self] = &[
        Self::AddIgnore,
        Self::AddLate,
        Self::AddHalf,
        Self::AddTwice,
        Self::AddUnasked,
        Self::RemoveIgnore,
        Self::RemoveLate,
        Self::RemoveHalf,
        Self::RemoveTouch,
        Self::RemoveConfigure,
    ];

    /// Its name on the command line and in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::AddIgnore => "add-ignore",
            Self::AddLate => "add-late",
            Self::AddHalf => "add-half",
            Self::AddTwice => "add-twice",
            Self::AddUnasked => "add-unasked",
            Self::RemoveIgnore => "remove-ignore",
            Self::RemoveLate => "remove-late",
            Self::RemoveHalf => "remove-half",
            Self::RemoveTouch => "remove-touch",
            Self::RemoveConfigure => "remove-configure",
            Self::RemoveRefuse => "remove-refuse",
        }
    }

    /// How the guest is told of it.
    pub const fn policy(self) -> Option<&'static str> {
        Some(match self {
            Self::Good => return None,
            Self::AddIgnore => "add:ignore",
            Self::AddLate => "add:late:30",
            Self::AddHalf => "add:half:1",
            Self::AddTwice => "add:twice",
            Self::AddUnasked => "add:unasked",
            Self::RemoveIgnore => "remove:ignore",
            Self::RemoveLate => "remove:late:30",
            Self::RemoveHalf => "remove:half:1",
            Self::RemoveTouch => "remove:touch",
            Self::RemoveConfigure => "remove:refuse-by-configuring",
            Self::RemoveRefuse => "remove:refuse",
        })
    }

    /// What it is, for a story.
    pub const fn story(self) -> &'static str {
        match self {
            Self::Good => "The guest does what it is asked.",
            Self::AddIgnore => "The guest leaves a new device alone.",
            Self::AddLate => "The guest waits 30 ms before it takes a new device.",
            Self::AddHalf => "The guest stops after its first step towards a new device.",
            Self::AddTwice => "The guest configures a new device twice.",
            Self::AddUnasked => "The guest takes a new device, and gives it back though nobody asked.",
            Self::RemoveIgnore => "The guest does not do what it is asked to give.",
            Self::RemoveLate => "The guest waits 30 ms before it gives a device.",
            Self::RemoveHalf => "The guest stops after its first step towards giving a device.",
            Self::RemoveTouch => "The guest uses what it has given.",
            Self::RemoveConfigure => "The guest refuses to give a device by configuring it once more.",
            Self::RemoveRefuse => "The guest refuses to give a device by un-isolating it once more.",
        }
    }

    /// The questions that it is about, beside those of its window and its action.
    pub const fn questions(self) -> &'static [u8] {
        match self {
            Self::AddTwice => &[29],
            Self::RemoveIgnore | Self::RemoveHalf | Self::RemoveConfigure | Self::RemoveRefuse => &[27],
            _ => &[],
        }
    }

    /// Whether it is about devices that come, and not about those that go.
    pub const fn is_about_plugs(self) -> bool {
        matches!(self, Self::AddIgnore | Self::AddLate | Self::AddHalf | Self::AddTwice | Self::AddUnasked)
    }

    /// The windows in which it matters: the guest is told by an event, and the way to the window does not lead over what it
    /// does not do.
    pub const fn windows(self) -> &'static [Window] {
        if self.is_about_plugs() {
            &[Window::Masked, Window::Handler]
        } else {
            &[Window::Masked, Window::Handler, Window::Acquiring]
        }
    }

    /// Whether the guest's turn ends so when it does not give what it is asked for.
    pub fn keeps(self, outcome: Outcome) -> bool {
        match self {
            Self::RemoveRefuse | Self::RemoveConfigure => outcome == Outcome::Kept,
            Self::RemoveIgnore => outcome == Outcome::Ignored,
            Self::RemoveHalf => outcome == Outcome::Stuck,
            _ => false,
        }
    }

    /// How a request to unplug ends that the guest treats so.
    pub fn fate(self, kind: Kind) -> Fate {
        match (self, kind) {
            (Self::RemoveRefuse, _) if kind.can_be_refused() => Fate::Refused,
            // Only memory is refused so.
            (Self::RemoveConfigure, Kind::Dimm(_)) => Fate::Refused,
            // To isolate a function is to let it go.
            (Self::RemoveHalf, Kind::Pci(_)) => Fate::Given,
            (Self::RemoveRefuse | Self::RemoveConfigure | Self::RemoveHalf | Self::RemoveIgnore, _) => {
                Fate::Open
            }
            _ => Fate::Given,
        }
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Manner;
    use paprika::hotplug::policy::Rules;

    #[test]
    fn the_guest_understands_every_manner() {
        for manner in Manner::BAD.iter().chain([&Manner::RemoveRefuse]) {
            let policy = manner.policy().expect("bad manners have a policy");
            assert!(Rules::parse(policy).is_ok(), "{policy}");
            assert_eq!(manner.is_about_plugs(), policy.starts_with("add:"), "{policy}");
        }
    }
}
