//! The race lab: what happens to a device that is plugged, or asked for, at an exact place of a guest's life.
//!
//! | module | what it is |
//! |---|---|
//! | [`window`] | where the host steps in |
//! | [`action`] | what it does there |
//! | [`manner`] | how the guest treats what the host asks of it |
//! | [`course`] | how a race is run, and the notes that are taken |
//! | `story`, [`history`] | what happens in a race, what is right, and what it goes back to |
//! | [`settle`] | how everybody comes to rest, and what each witness says then |
//! | [`expect`] | how a QEMU may treat what comes too early |
//! | [`judge`] | what the notes and the witnesses come to |
//! | [`evidence`] | what is left of a race that is kept |
//! | [`lab`] | many races, side by side |
//! | [`report`] | tables and machine formats |
//!
//! A [`Scenario`] is one combination. It has no code of its own: its story follows from its parts, so that to add a window,
//! an action or a manner is to add it in one place.

pub mod action;
pub mod course;
pub mod evidence;
pub mod expect;
pub mod history;
pub mod judge;
pub mod lab;
pub mod manner;
pub mod report;
pub mod settle;
mod story;
pub mod window;

pub use crate::device::Family;

use crate::device::Kind;
use crate::machine::keep_awake;
use crate::qemu::command::{Firmware, Setup};
use action::Action;
use manner::Manner;
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
    /// How the guest treats what it is asked.
    pub manner: Manner,
}

impl Scenario {
    /// Every scenario that there is, by kind, action, window and manner.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for &family in Family::ALL {
            for &action in Action::ALL {
                let good = |&window: &Window| Self { family, action, window, manner: Manner::Good };
                all.extend(Window::ALL.iter().map(good));
            }
            for &manner in Manner::BAD {
                let action = if manner.is_about_plugs() { Action::Plug } else { Action::Unplug };
                let bad = |&window: &Window| Self { family, action, window, manner };
                all.extend(manner.windows().iter().map(bad));
            }
        }
        all
    }

    /// Its name, as `memory/plug/before-cas`, or `memory/plug/handler/add-late` of a guest with bad manners.
    pub fn name(&self) -> String {
        let name = format!("{}/{}/{}", self.family, self.action, self.window);
        if self.manner == Manner::Good { name } else { format!("{name}/{}", self.manner) }
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
        (self.window == Window::Firmware && firmware == Firmware::Vof)
            .then_some("VOF is through before anybody could step in: try `--firmware slof`")
    }

    /// Whether SLOF has a part in it: it runs when the host acts, it finds the device when it starts, or it has to bring a
    /// tree up to date that it has made itself.
    pub fn is_about_slof(&self) -> bool {
        match self.window {
            Window::Firmware => true,
            Window::BeforeCas => matches!(self.action, Action::Plug | Action::Unplug),
            Window::Prelaunch => self.action == Action::Plug,
            _ => false,
        }
    }

    /// The questions that it answers, by their numbers.
    pub fn questions(&self) -> BTreeSet<u8> {
        let of_course = self.window.questions().iter().chain(self.action.questions());
        of_course.chain(self.manner.questions()).copied().collect()
    }

    /// The machine for it.
    pub fn setup(&self, base: &Setup) -> Setup {
        let mut setup = base.clone();
        // A race is about connectors: a page or two show that there is memory behind them.
        let stride = if self.family == Family::Memory { "256m" } else { "1m" };
        setup.append.push(format!("hold={} memtest={stride}", self.window.holds()));
        setup.append.extend(self.conduct().policy().map(|policy| format!("policy={policy}")));
        if self.window == Window::Migrating {
            keep_awake(&mut setup);
        }
        setup
    }

    /// How the guest treats what it is asked; a refusal follows from the action.
    pub fn conduct(&self) -> Manner {
        if self.action.is_refused() { Manner::RemoveRefuse } else { self.manner }
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
    use super::{Firmware, Scenario, Window};
    use std::collections::BTreeSet;

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_is_found_by_it() {
        let all = Scenario::all();
        let names: BTreeSet<String> = all.iter().map(Scenario::name).collect();
        assert_eq!(names.len(), all.len());
        for scenario in all {
            assert_eq!(Scenario::named(&scenario.name()), Some(scenario));
        }
        assert_eq!(Scenario::named("memory/plug/nowhere"), None);
    }

    #[test]
    fn only_what_a_firmware_cannot_do_is_skipped() {
        for scenario in Scenario::all() {
            let skipped = scenario.skipped(Firmware::Vof).is_some();
            assert_eq!(skipped, scenario.window == Window::Firmware, "{scenario}");
            assert_eq!(scenario.skipped(Firmware::Slof), None);
            assert!(!skipped || scenario.is_about_slof(), "{scenario} is never run");
        }
    }
}
