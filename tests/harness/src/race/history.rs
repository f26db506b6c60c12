//! History: the bugs and the fixes of QEMU that races go back to.
//!
//! A race is a place where something went wrong once, or where somebody feared that it would. Commits are QEMU's; RHBZ and LP
//! are the bug trackers of Red Hat and of Launchpad.

use super::Scenario;
use super::action::Action;
use super::window::Window;
use crate::device::Family;

/// Something that went wrong once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// What it was.
    pub what: &'static str,
    /// Commits and reports.
    pub ids: &'static str,
    /// The kinds of devices that it was about; all where none is named.
    pub families: &'static [Family],
    /// The actions; all where none is named.
    pub actions: &'static [Action],
    /// The windows; all where none is named.
    pub windows: &'static [Window],
}

/// Before the guest has negotiated.
const EARLY: &[Window] =
    &[Window::Prelaunch, Window::Firmware, Window::BeforeCas, Window::InsideCas, Window::AfterReset];
/// When the guest has negotiated and does not listen.
const DEAF: &[Window] = &[Window::AfterCas, Window::Masked];
/// When events wait in the queue and others are taken.
const BUSY: &[Window] = &[Window::Draining, Window::Acquiring];
/// Around a reset.
const RESET: &[Window] = &[Window::BeforeReset, Window::AfterReset];
/// Those that ask for a device.
const UNPLUGS: &[Action] = &[Action::Unplug, Action::PlugUnplug, Action::UnplugPlug, Action::UnplugTwice];
/// Those that only plug.
const PLUGS: &[Action] = &[Action::Plug, Action::PlugTwice];

/// All of it.
pub const PAST: &[Past] = &[
    Past {
        what: "what was plugged before CAS was lost: the discussion of May 2017, and a reset at CAS in QEMU 2.11 to 4.2",
        ids: "the series \"spapr: disable hotplugging without OS\", not merged",
        families: &[],
        actions: PLUGS,
        windows: EARLY,
    },
    Past {
        what: "a DIMM that was plugged before the kernel ran could not be unplugged later: vhost_commit asserted",
        ids: "fe6824d126, 593080936a, RHBZ 1432382",
        families: &[Family::Memory],
        actions: &[Action::Plug, Action::PlugUnplug],
        windows: EARLY,
    },
    Past {
        what: "an unplug before CAS was ignored, and was carried out later, when an unrelated event came",
        ids: "ab8584349c",
        families: &[],
        actions: UNPLUGS,
        windows: EARLY,
    },
    Past {
        what: "a host bridge or a PCI bridge that went at CAS took the list of connectors with it",
        ids: "930ef3b5c2",
        families: &[Family::Pci, Family::Phb],
        actions: UNPLUGS,
        windows: EARLY,
    },
    Past {
        what: "a core that was plugged before CAS ran in raw mode after it, not in the mode that was negotiated",
        ids: "51f84465dd",
        families: &[Family::Cpu],
        actions: PLUGS,
        windows: EARLY,
    },
    Past {
        what: "a core that was plugged in the first second of a boot was ignored: its interrupt came before the handler",
        ids: "dff669d6a1",
        families: &[Family::Cpu],
        actions: PLUGS,
        windows: DEAF,
    },
    Past {
        what: "events survived a reset and were told to the next boot",
        ids: "5625817423",
        families: &[],
        actions: &[],
        windows: RESET,
    },
    Past {
        what: "memory that was plugged and unplugged around a reset made vhost assert",
        ids: "8251248394",
        families: &[Family::Memory],
        actions: UNPLUGS,
        windows: RESET,
    },
    Past {
        what: "events that were queued, and what was half done on a connector, stayed behind when the machine was migrated",
        ids: "a50919dddf, LP 1677552",
        families: &[],
        actions: &[],
        windows: &[Window::Migrating],
    },
    Past {
        what: "the queue was walked while an entry of it was freed, and read where it was empty",
        ids: "d492a75cfe (CID 1381017), 59d0533b85",
        families: &[],
        actions: &[],
        windows: BUSY,
    },
    Past {
        what: "the same core was asked for twice: QEMU hung or crashed",
        ids: "47c8c915b1",
        families: &[Family::Cpu],
        actions: &[Action::UnplugTwice],
        windows: &[],
    },
    Past {
        what: "a second device_del while the first was under way asserted that the connector had its device",
        ids: "2a129767eb, LP 1718118",
        families: &[],
        actions: &[Action::UnplugTwice],
        windows: &[],
    },
    Past {
        what: "a core that was given back was still woken by its decrementer, and started by a reset",
        ids: "9a94ee5bb1, 70de096748",
        families: &[Family::Cpu],
        actions: UNPLUGS,
        windows: &[],
    },
    Past {
        what: "the guest refused to give its last core, nobody was told, and a second request was not signalled",
        ids: "a85bb34e1c, d1c2e3ce3d (reverted), 2b18fc794f, 4b08cd567b, RHBZ 1911414",
        families: &[Family::Cpu],
        actions: &[Action::UnplugRefused],
        windows: &[],
    },
];

impl Past {
    /// Whether a race would have met it.
    pub fn is_of(&self, race: &Scenario) -> bool {
        fn names<T: PartialEq>(list: &[T], one: &T) -> bool {
            list.is_empty() || list.contains(one)
        }
        names(self.families, &race.family)
            && names(self.actions, &race.action)
            && names(self.windows, &race.window)
    }
}

/// What a race goes back to.
pub fn of(race: &Scenario) -> impl Iterator<Item = &'static Past> {
    PAST.iter().filter(move |past| past.is_of(race))
}

#[cfg(test)]
mod tests {
    use super::{PAST, Scenario, of};

    #[test]
    fn each_part_of_history_has_races_that_would_have_met_it_and_names_its_source() {
        for past in PAST {
            assert!(Scenario::all().iter().any(|race| past.is_of(race)), "{past:?}");
            assert!(!past.ids.is_empty() && !past.what.is_empty());
        }
    }

    #[test]
    fn a_race_is_told_of_its_own_history_alone() {
        let ids = |name: &str| -> Vec<&str> {
            of(&Scenario::named(name).expect("a race")).map(|past| past.ids).collect()
        };
        assert_eq!(ids("cpu/unplug-refused/handler").len(), 1);
        assert!(ids("memory/plug/before-cas").iter().any(|ids| ids.contains("RHBZ 1432382")));
        assert!(ids("pci/plug/handler").is_empty());
    }
}
