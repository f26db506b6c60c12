//! The race lab: what happens to a device that is plugged, or asked for, at an exact place of a guest's life.
//!
//! | module | what it is |
//! |---|---|
//! | [`window`] | where the host steps in |
//! | [`action`] | what it does there |
//! | [`course`] | how a race is run, and the notes that are taken |
//! | [`settle`] | how everybody comes to rest, and what each witness says then |
//! | [`expect`] | how a QEMU may treat what comes too early |
//! | [`judge`] | what the notes and the witnesses come to |
//! | [`evidence`] | what is left of a race that is kept |
//! | [`lab`] | many races, side by side |
//! | [`comparison`] | several QEMUs side by side |
//! | [`report`] | tables and machine formats |
//!
//! A [`Scenario`] is one combination. It has no code of its own: its story follows from the three, so that to add a window or
//! an action is to add it in one place.

pub mod action;
pub mod comparison;
pub mod course;
pub mod evidence;
pub mod expect;
pub mod judge;
pub mod lab;
pub mod report;
pub mod settle;
pub mod window;

pub use crate::device::Family;

use crate::device::Kind;
use crate::qemu::command::{Firmware, Setup};
use action::Action;
use std::collections::BTreeSet;
use std::fmt;
use window::Window;

/// One race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scenario {
    /// What kind of device.
    pub family: Family,
    /// What the host does.
    pub action: Action,
    /// Where.
    pub window: Window,
}

impl Scenario {
    /// Every scenario that there is, by kind, action and window.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for &family in Family::ALL {
            for &action in Action::ALL {
                all.extend(Window::ALL.iter().map(|&window| Self { family, action, window }));
            }
        }
        all
    }

    /// Its name, as `memory/plug/before-cas`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.family, self.action, self.window)
    }

    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|scenario| scenario.name() == name)
    }

    /// The device that it is about.
    pub fn kind(&self) -> Kind {
        self.family.kind()
    }

    /// Why it cannot be run under this firmware.
    pub fn skipped(&self, firmware: Firmware) -> Option<&'static str> {
        let Self { family, action, window } = self;
        if *window == Window::Firmware && firmware == Firmware::Vof {
            return Some("VOF is through before anybody could step in: try `--firmware slof`");
        }
        let refused = *action == Action::UnplugRefused;
        if refused && (window.is_told_by_tree() || *window == Window::Draining) {
            return Some("the guest is not asked before it has the device: it goes by itself");
        }
        (refused && *family == Family::Pci).then_some("the guest has no way to refuse a PCI function")
    }

    /// The questions that it answers, by their numbers.
    pub fn questions(&self) -> BTreeSet<u8> {
        self.window.questions().iter().chain(self.action.questions()).copied().collect()
    }

    /// The words for what it goes back to; empty where it is only a matter of course.
    fn history(&self) -> String {
        let words = [self.window.history(), self.action.history()];
        words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ")
    }

    /// What happens, what a correct hypervisor does, and what is looked at.
    pub fn story(&self) -> String {
        let right = match (self.action, self.window.is_told_by_tree()) {
            (Action::Plug | Action::PlugTwice, true) => {
                "The tree of CAS tells the guest of it, and no event does."
            }
            (Action::Plug | Action::PlugTwice, false) => {
                "An event tells the guest of it, and the tree does not."
            }
            (Action::PlugUnplug, _) => "The device goes, whether the guest has heard of it or not.",
            (Action::UnplugRefused, _) => {
                "QEMU tells that the guest refused, and takes its request back; the second request is a new one."
            }
            (_, true) => "The device goes at CAS or at the reset, at the latest; the guest never sees it.",
            (_, false) => "An event tells the guest, which gives the device back; DEVICE_DELETED follows.",
        };
        let questions: Vec<String> = self.questions().iter().map(|number| format!("Q{number}")).collect();
        let history = self.history();
        let history = if history.is_empty() { history } else { format!("Goes back to: {history}.\n") };
        format!(
            "{}\n\n{}: {} {}.\n\n{right} All witnesses agree on the connector then; what can be unplugged is unplugged\n\
             and plugged again; QEMU lives on.\n\nAnswers: {}.\n{history}",
            self.name(),
            self.family,
            self.action.story(),
            self.window.story(),
            questions.join(", "),
        )
    }

    /// The machine for it.
    pub fn setup(&self, base: &Setup) -> Setup {
        let mut setup = base.clone();
        // A race is about connectors: a page or two show that there is memory behind them.
        let stride = if self.family == Family::Memory { "256m" } else { "1m" };
        setup.append.push(format!("hold={} memtest={stride}", self.window.holds()));
        if self.action == Action::UnplugRefused {
            setup.append.push("policy=remove:refuse".to_owned());
        }
        setup
    }

    /// The machine whose guest idles after a CAS without option vector 6.
    pub fn setup_without_ov6(base: &Setup) -> Setup {
        let mut setup = base.clone();
        setup.append.push("hold=idle#1 ov6=none".to_owned());
        setup.keep = false;
        setup
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Family, Firmware, Scenario, Window};
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_is_found_by_it() {
        let all = Scenario::all();
        let names: BTreeSet<String> = all.iter().map(Scenario::name).collect();
        assert_eq!(names.len(), all.len());
        for scenario in all {
            assert_eq!(Scenario::named(&scenario.name()), Some(scenario));
            assert!(scenario.story().contains(&scenario.name()));
        }
        assert_eq!(Scenario::named("memory/plug/nowhere"), None);
    }

    #[test]
    fn only_what_a_firmware_cannot_do_is_skipped() {
        for scenario in Scenario::all() {
            let skipped = scenario.skipped(Firmware::Vof).is_some();
            let refused = scenario.action == Action::UnplugRefused;
            let unasked = scenario.window.is_told_by_tree() || scenario.window == Window::Draining;
            let never = refused && (unasked || scenario.family == Family::Pci);
            assert_eq!(skipped, never || scenario.window == Window::Firmware, "{scenario}");
            assert_eq!(scenario.skipped(Firmware::Slof).is_some(), never, "{scenario}");
            assert!(!scenario.questions().is_empty());
        }
    }
}
