//! What the trace tells of one connector's life.

use super::events;
use paprika::papr::drc::DrcIndex;
use std::collections::BTreeMap;

/// What a connector holds, as far as the trace tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// No device.
    #[default]
    Nothing,
    /// A device that no guest has configured.
    Attached,
    /// A device that the guest uses.
    Configured,
}

/// The life of a connector, folded from the events that tell of it.
///
/// A device is configured in one of two ways: the guest unisolates and configures it, or the machine is reset while the
/// device is there, which makes it part of the machine that the next guest finds. QEMU resets all connectors at CAS as well,
/// so a device that was plugged before CAS is configured without a word of `set_configured`.
///
/// Ref: QEMU hw/ppc/spapr_drc.c (spapr_drc_reset, drc_set_unusable, spapr_drc_release)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// What it holds at the end.
    pub holds: Held,
    /// How many devices were attached to it.
    pub attached: u32,
    /// How often a device became configured.
    pub configured: u32,
    /// How many devices went away because the host had asked for them.
    pub released: u32,
    /// Whether the connector itself went away, with the bridge that had it, and did not come again.
    pub gone: bool,
    /// Whether the host has asked for the device that it holds.
    asked_back: bool,
    /// What it held when the host asked for it.
    before_request: Held,
}

/// The lives of all connectors that this trace tells of; `None` where it holds no event of any connector, as with a QEMU that was
/// built without the log.
pub fn lives(log: &str) -> Option<BTreeMap<DrcIndex, Life>> {
    let mut lives = None;
    for event in events(log) {
        let Some(name) = event.name.strip_prefix("spapr_drc_") else { continue };
        let lives = lives.get_or_insert_with(BTreeMap::<DrcIndex, Life>::new);
        if let Some(connector) = event.connector() {
            lives.entry(connector).or_default().take(name, event.arguments);
        }
    }
    lives
}

impl Life {
    /// The life of `connector` in this trace; `None` where the trace tells of no connector at all.
    pub fn of(log: &str, connector: DrcIndex) -> Option<Self> {
        Some(lives(log)?.remove(&connector).unwrap_or_default())
    }

    fn take(&mut self, name: &str, arguments: &str) {
        self.gone = name == "unrealize";
        match name {
            "attach" => {
                self.holds = Held::Attached;
                self.attached += 1;
            }
            "set_configured" => self.configure(),
            // The older name was in QEMU up to 5.2.
            "unplug_request" | "detach" => {
                self.before_request = self.holds;
                self.release();
            }
            _ if name.starts_with("awaiting_") => self.wait(),
            // The guest takes back what it had isolated: a refusal.
            "set_isolation_state" if arguments.ends_with("state: 0x1") && self.holds == Held::Configured => {
                self.asked_back = false;
            }
            "reset" if self.asked_back => self.release(),
            "reset" if self.holds != Held::Nothing => self.configure(),
            "set_isolation_state_finalizing" | "set_allocation_state_finalizing" => self.release(),
            _ => {}
        }
    }

    fn configure(&mut self) {
        if self.holds != Held::Configured {
            self.configured += 1;
        }
        self.holds = Held::Configured;
    }

    /// A device whose connector is as it was when it was empty goes at once, and QEMU does not say so: it only says when it
    /// has to wait for the guest.
    fn wait(&mut self) {
        if self.holds == Held::Nothing && self.before_request != Held::Nothing {
            self.holds = self.before_request;
            self.released -= 1;
            self.asked_back = true;
        }
    }

    fn release(&mut self) {
        if self.holds != Held::Nothing {
            self.released += 1;
        }
        self.holds = Held::Nothing;
        self.asked_back = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{DrcIndex, Held, Life, lives};

    const OURS: DrcIndex = DrcIndex(0x8000_0004);

    /// The life of our connector, to which these things happen.
    fn life(events: &[&str]) -> Life {
        let line = |event: &&str| {
            let (name, rest) = event.split_once(' ').unwrap_or((event, ""));
            format!("1@2.3:spapr_drc_{name} drc: 0x80000004{rest}\n1@2.3:spapr_drc_attach drc: 0x80000005\n")
        };
        Life::of(&events.iter().map(line).collect::<String>(), OURS).expect("a trace")
    }

    #[test]
    fn without_a_trace_nothing_is_told() {
        assert_eq!(Life::of("qemu-system-ppc64: warning: x\n1@2.3:memory_device_plug id=x\n", OURS), None);
        assert_eq!(Life::of("1@2.3:spapr_drc_reset drc: 0x1\n", OURS), Some(Life::default()));
    }

    #[test]
    fn each_connector_has_a_life_of_its_own() {
        let log = "1@2.3:spapr_drc_attach drc: 0x80000004\n1@2.3:spapr_drc_attach drc: 0x80000005\n\
                   1@2.3:spapr_drc_set_configured drc: 0x80000005\n";
        let lives = lives(log).expect("a trace");
        let holds: Vec<Held> = lives.values().map(|life| life.holds).collect();
        assert_eq!(holds, [Held::Attached, Held::Configured]);
    }

    #[test]
    fn a_connector_goes_with_its_bridge_and_may_come_again() {
        assert!(life(&["realize", "attach", "unrealize"]).gone);
        assert!(!life(&["realize", "unrealize", "realize"]).gone && !life(&["realize"]).gone);
    }

    #[test]
    fn a_guest_configures() {
        let events = ["attach", "set_allocation_state , state: 0x1", "set_isolation_state , state: 0x1"];
        assert_eq!(life(&events).holds, Held::Attached);
        let configured = life(&[&events[..], &["set_configured"]].concat());
        assert_eq!((configured.holds, configured.attached, configured.configured), (Held::Configured, 1, 1));
    }

    #[test]
    fn a_reset_configures_what_is_there_and_nothing_else() {
        let life_of_dimm = life(&["reset", "attach", "reset", "reset"]);
        assert_eq!((life_of_dimm.holds, life_of_dimm.configured), (Held::Configured, 1));
        assert_eq!(life(&["reset", "reset"]).holds, Held::Nothing);
        assert_eq!(life(&["reset", "attach"]).holds, Held::Attached);
    }

    #[test]
    fn what_was_asked_back_goes_when_the_guest_lets_it_go_or_at_a_reset() {
        let asked = ["attach", "set_configured", "unplug_request", "awaiting_quiesce"];
        assert_eq!((life(&asked).holds, life(&asked).released), (Held::Configured, 0));
        for end in ["set_allocation_state_finalizing", "reset"] {
            let gone = life(&[&asked[..], &[end]].concat());
            assert_eq!((gone.holds, gone.released), (Held::Nothing, 1), "{end}");
        }
    }

    #[test]
    fn what_no_guest_has_touched_goes_at_once() {
        let gone = life(&["attach", "unplug_request"]);
        assert_eq!((gone.holds, gone.released, gone.configured), (Held::Nothing, 1, 0));
        let waits = life(&["attach", "unplug_request", "awaiting_quiesce"]);
        assert_eq!((waits.holds, waits.released), (Held::Attached, 0));
        let again = life(&["attach", "unplug_request", "attach", "awaiting_quiesce"]);
        assert_eq!((again.holds, again.attached), (Held::Attached, 2));
    }

    #[test]
    fn what_the_guest_refused_to_give_back_stays() {
        let asked = [
            "attach",
            "set_configured",
            "unplug_request",
            "awaiting_quiesce",
            "set_isolation_state , state: 0x1",
            "reset",
        ];
        assert_eq!((life(&asked).holds, life(&asked).released), (Held::Configured, 0));
    }
}
