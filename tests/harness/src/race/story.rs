//! Stories: what happens in a race, what a correct hypervisor does, and why anybody asks.

use super::action::Action;
use super::manner::{Fate, Manner};
use super::{Scenario, history};

impl Scenario {
    /// All of it, for a person.
    pub fn story(&self) -> String {
        let mut text = format!(
            "{}\n\nWhat happens:  {}: {}\n               {}.\n               {}\nWhat is right: {}\n               All witnesses agree on the \
             connector then; what can be unplugged is unplugged,\n               and plugged again; QEMU lives on.\n",
            self.name(),
            self.family,
            self.action.story(),
            self.window.story(),
            self.conduct().story(),
            self.right(),
        );
        for past in history::of(self) {
            text += &format!("Goes back to:  {}\n               ({})\n", past.what, past.ids);
        }
        text
    }

    /// What a correct hypervisor does.
    fn right(&self) -> &'static str {
        if self.manner != Manner::Good {
            return self.right_in_bad_manners();
        }
        match (self.action, self.window.is_told_by_tree()) {
            (Action::Plug | Action::PlugTwice, true) => "The tree tells the guest of it, and no event does.",
            (Action::Plug | Action::PlugTwice, false) => "An event tells the guest of it, and no tree does.",
            (Action::PlugUnplug, _) => "The device goes, whether the guest has heard of it or not.",
            (_, true) => "The device goes at CAS or at the reset, at the latest: no guest is asked.",
            (Action::UnplugRefused, false) if !self.kind().can_be_refused() => {
                "Nobody is told: there is no way to refuse a PCI function. The request stays open, a second one is\n               \
                 refused, and a reset ends it. A device that the guest has not got yet goes at once."
            }
            (Action::UnplugRefused, false) => {
                "An event tells the host, and the device stays. Asked again, the guest gives it. A device that it has\n               \
                 not got yet goes at once."
            }
            (Action::UnplugPlug, false) => {
                "An event tells the guest of each; it gives the one back, and DEVICE_DELETED follows, and takes the other."
            }
            (Action::Unplug | Action::UnplugTwice, false) => {
                "An event tells the guest, which gives the device back; DEVICE_DELETED follows, once."
            }
        }
    }

    /// What a correct hypervisor does for a guest with bad manners.
    fn right_in_bad_manners(&self) -> &'static str {
        match (self.manner.is_about_plugs(), self.manner.fate(self.kind())) {
            (true, _) => {
                "An event tells the guest of it. Whatever the guest has left half way can be taken away."
            }
            (false, Fate::Given) => "The device goes, and DEVICE_DELETED follows, once.",
            (false, Fate::Refused) => {
                "An event tells the host, and the device stays. Asked again, the guest gives it."
            }
            (false, Fate::Open) => {
                "The request stays open: a second one is carried out, or is refused, and a reset ends it."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;

    #[test]
    fn every_race_has_a_story() {
        for race in Scenario::all() {
            let story = race.story();
            assert!(story.contains(&race.name()), "{story}");
            assert!(story.lines().all(|line| line.chars().count() <= 140), "{story}");
        }
    }

    #[test]
    fn a_story_tells_what_is_right_and_what_went_wrong_once() {
        let story = |name: &str| Scenario::named(name).expect("a race").story();
        let early = story("memory/plug/before-cas");
        for words in ["tree tells the guest", "RHBZ 1432382", "client-architecture-support"] {
            assert!(early.contains(words), "{early}");
        }
        assert!(story("memory/plug/handler").contains("An event tells the guest"));
        assert!(story("pci/unplug-refused/handler").contains("no way to refuse"));
        assert!(story("cpu/unplug-refused/handler").contains("RHBZ 1911414"));
    }
}
