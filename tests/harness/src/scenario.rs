//! What `paprika run` does: a device of each kind before CAS, another when the handler is armed, all given back, and a good
//! night.
//!
//! A device that was plugged before CAS has to reach the guest by the tree, one that was plugged later by an event. The guest
//! holds at both places until the host has done its part, so that there is no luck in it.

mod outcome;

use crate::checks::{self, Evidence};
use crate::defects::Step;
use crate::device::{self, Family, Kind};
use crate::machine::Machine;
use crate::qmp::{Event, QmpError};
use crate::stop::Stop;
use crate::transcript::{Mark, Transcript};
use crate::verdict::{Finding, Verdict, overall};
use outcome::{expect_slips, expect_sticky, outcome};
use paprika::log::{Entry, Record, Request, Verdict as GuestVerdict};
use paprika::papr::drc::DrcIndex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Where the guest holds for us, as it is told with its boot arguments.
pub const HOLDS: &str = "hold=before-cas,handler-armed";

/// The first place: nothing is negotiated yet.
const BEFORE_CAS: &str = "before-cas";
/// The second: events interrupt from here on.
const HANDLER_ARMED: &str = "handler-armed";

/// How long QEMU may take to tell what came of an unplug, where nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// A device of a run and what the host did with it.
#[derive(Clone, Debug)]
pub struct Plugged {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// The station at which it was plugged.
    pub window: &'static str,
    /// The connectors that it hangs on, as QEMU says.
    pub connectors: Vec<DrcIndex>,
    /// Where the transcript was when it was plugged.
    pub since: Mark,
    /// Where the transcript was when another device was plugged on one of them.
    pub until: Option<Mark>,
    /// How far it has come.
    pub stage: Stage,
    /// QEMU's words, where it refused to plug or to unplug it.
    pub refusal: Option<String>,
    /// Whether QMP listed it, after it came to a stage.
    pub listed: Vec<(Stage, bool)>,
}

impl Plugged {
    /// What the guest said while the device was the one on its connectors.
    pub fn entries<'t>(&self, transcript: &'t Transcript) -> impl Iterator<Item = Entry<'t>> {
        transcript.entries_between(self.since, self.until)
    }
}

/// How far a device has come. What lies beyond is not held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// QEMU did not take it.
    Refused,
    /// It is plugged; the guest may not know of it yet.
    Plugged,
    /// The guest is through with it.
    Answered,
    /// The host has asked for it back.
    AskedBack,
    /// The guest has given an answer to that, and QEMU too.
    GivenBack,
}

/// A run: what was done, and how far it came.
#[derive(Debug)]
pub struct Run {
    /// The devices, in the order in which they were plugged.
    pub devices: Vec<Plugged>,
    /// The verdict that the guest has to come to: where something is to fail, it has to say so.
    pub wanted: GuestVerdict,
    /// How long QEMU may take to tell what came of an unplug, when the guest has given its answer.
    pub patience: Duration,
    /// What the host did, step by step; the last is what it is doing, or was doing when it stopped.
    steps: Vec<Step>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
    /// The devices.
    pub devices: Vec<Plugged>,
}

/// Boots, plugs devices of these kinds, unplugs them and powers down; then looks at what the witnesses say.
pub fn run(machine: &mut Machine, families: &[Family]) -> Report {
    play(machine, |run, machine| run.story(machine, families))
}

/// Plays a story to the guest's end; then looks at what the witnesses say.
pub fn play(machine: &mut Machine, story: impl FnOnce(&mut Run, &mut Machine) -> Result<(), Stop>) -> Report {
    let mut run =
        Run { devices: Vec::new(), wanted: GuestVerdict::Pass, patience: PATIENCE, steps: vec![Step::Boot] };
    let stop = story(&mut run, machine).err();
    let mut findings = checks::all(&Evidence {
        devices: &run.devices,
        transcript: machine.transcript(),
        events: machine.events(),
        trace: &machine.trace(),
        exit: machine.exit(),
        wanted: run.wanted,
        complete: stop.is_none(),
    });
    for device in &run.devices {
        expect_sticky(&mut findings, device, machine.version());
    }
    expect_slips(&mut findings, machine.version());
    findings.extend(outcome(stop.as_ref(), machine.version(), &run.steps));
    Report { verdict: overall(&findings), findings, devices: run.devices }
}

impl Run {
    /// The story of `paprika run`.
    pub fn story(&mut self, machine: &mut Machine, families: &[Family]) -> Result<(), Stop> {
        machine.start()?;
        machine.wait_for_hold(BEFORE_CAS, Mark::default())?;
        self.turn_to(Step::Plug);
        for family in families {
            self.plug(machine, &format!("{}-early", family.noun()), family.kind(), BEFORE_CAS)?;
        }
        machine.go()?;

        machine.wait_for_hold(HANDLER_ARMED, Mark::default())?;
        for family in families {
            self.plug(machine, &format!("{}-late", family.noun()), family.kind(), HANDLER_ARMED)?;
        }
        machine.go()?;
        self.wait_until_taken(machine)?;
        self.unplug_all(machine)?;

        self.turn_to(Step::PowerDown);
        power_down(machine)
    }

    /// Asks for everything back that the guest has, one device after the other.
    pub fn unplug_all(&mut self, machine: &mut Machine) -> Result<(), Stop> {
        let mut there: Vec<(String, Kind)> = Vec::new();
        for device in self.devices.iter().filter(|device| device.stage == Stage::Answered) {
            there.push((device.id.clone(), device.kind));
        }
        // Cores last: QEMU 7.2 to 10.0 under TCG do not survive a DIMM after a core was unplugged.
        there.sort_by_key(|(_, kind)| *kind == Kind::Core);
        for (id, kind) in there {
            self.turn_to(Step::unplug(kind));
            self.unplug(machine, &id)?;
        }
        Ok(())
    }

    /// What the host does from now on, so that a crash can be told from a known one.
    pub fn turn_to(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Plugs a device while the guest is at the station `window`. That QEMU does not take it is for the checks to judge.
    pub fn plug(
        &mut self,
        machine: &mut Machine,
        id: &str,
        kind: Kind,
        window: &'static str,
    ) -> Result<(), Stop> {
        self.plug_with(machine, id, kind, window, &json!({}))
    }

    /// The same with further properties, an object.
    pub fn plug_with(
        &mut self,
        machine: &mut Machine,
        id: &str,
        kind: Kind,
        window: &'static str,
        further: &Value,
    ) -> Result<(), Stop> {
        let since = machine.transcript().mark();
        let (connectors, stage, refusal) = match device::plug_with(machine, id, kind, further) {
            Ok(connectors) => (connectors, Stage::Plugged, None),
            Err(Stop::Qmp(QmpError::Refused { description, .. })) => {
                (Vec::new(), Stage::Refused, Some(description))
            }
            Err(stop) => return Err(stop),
        };
        // What becomes of a connector from here on is about this device, not about one that hung on it before.
        let before = self.devices.iter_mut().filter(|other| other.until.is_none());
        for other in before.filter(|other| other.connectors.iter().any(|index| connectors.contains(index))) {
            other.until = Some(since);
        }
        let (id, listed, until) = (id.to_owned(), Vec::new(), None);
        self.devices.push(Plugged { id, kind, window, connectors, since, until, stage, refusal, listed });
        Ok(())
    }

    /// Waits until the guest is through with all that was plugged.
    pub fn wait_until_taken(&mut self, machine: &mut Machine) -> Result<(), Stop> {
        for device in self.devices.iter_mut().filter(|device| device.stage == Stage::Plugged) {
            wait_until_done(machine, device, device.since, Request::Add)?;
            device.stage = Stage::Answered;
        }
        let listed = device::listed(machine)?;
        for device in self.devices.iter_mut().filter(|device| device.stage == Stage::Answered) {
            device.listed.push((Stage::Answered, listed.contains(&device.id)));
        }
        Ok(())
    }

    /// Asks for a device back and waits until the guest has answered and QEMU has told what came of it.
    pub fn unplug(&mut self, machine: &mut Machine, id: &str) -> Result<(), Stop> {
        self.unplug_together(machine, &[id], &[id])
    }

    /// Asks for devices back, one right after the other, and waits for the end of all that go with them.
    pub fn unplug_together(
        &mut self,
        machine: &mut Machine,
        asked: &[&str],
        going: &[&str],
    ) -> Result<(), Stop> {
        let (from, events) = (machine.transcript().mark(), machine.events().len());
        for id in asked {
            if self.find(id)?.stage == Stage::Refused {
                continue;
            }
            // QEMU may do all of it, and more, before it answers.
            self.find(id)?.stage = Stage::AskedBack;
            match device::unplug(machine, id) {
                Err(Stop::Qmp(QmpError::Refused { description, .. })) => {
                    let device = self.find(id)?;
                    (device.stage, device.refusal) = (Stage::Answered, Some(description));
                }
                other => other?,
            }
        }
        let mut going = going.to_vec();
        going.retain(|id| self.devices.iter().any(|device| device.id == *id && device.refusal.is_none()));
        for id in &going {
            self.find(id)?.stage = Stage::AskedBack;
        }
        for id in &going {
            wait_until_done(machine, self.find(id)?, from, Request::Remove)?;
        }
        for id in &going {
            let end = |machine: &Machine| {
                machine.events()[events..].iter().any(|event| is_end(event, id)).then_some(())
            };
            // That no end comes is for the checks to judge.
            machine.wait_within(self.patience, &format!("QEMU's word on `{id}`"), end)?;
            self.find(id)?.stage = Stage::GivenBack;
        }
        let listed = if going.is_empty() { Default::default() } else { device::listed(machine)? };
        for id in &going {
            let device = self.find(id)?;
            device.listed.push((Stage::GivenBack, listed.contains(*id)));
            let kind = device.kind;
            if machine.events()[events..].iter().any(|event| is_deletion(event, id)) {
                device::clean_up(machine, id, kind)?;
            }
        }
        Ok(())
    }

    /// The device of this id.
    fn find(&mut self, id: &str) -> Result<&mut Plugged, Stop> {
        let device = self.devices.iter_mut().find(|device| device.id == id);
        device.ok_or_else(|| Stop::Broken(format!("`{id}` was never plugged")))
    }
}

/// Asks the guest to end, and waits until it and QEMU have.
pub fn power_down(machine: &mut Machine) -> Result<(), Stop> {
    let from = machine.transcript().mark();
    machine.tell("system_powerdown");
    machine.execute("system_powerdown", json!({}))?;
    machine.wait_for_record("the guest's last line", from, |record| matches!(record, Record::End { .. }))?;
    let exit = machine.wait_for_end()?;
    if exit.success() {
        return Ok(());
    }
    Err(Stop::Ended { waiting_for: "an orderly end".to_owned(), exit, last_words: machine.last_words() })
}

/// Waits until the guest is through with every connector of a device, whatever came of it.
fn wait_until_done(machine: &mut Machine, device: &Plugged, from: Mark, asked: Request) -> Result<(), Stop> {
    let mut from = from;
    let mut open: BTreeSet<DrcIndex> = device.connectors.iter().copied().collect();
    let what = format!("`done` for every connector of {} ({asked})", device.id);
    machine.wait(&what, |machine| {
        for entry in machine.transcript().entries_since(from) {
            match entry.record {
                Record::Done { drc, request, .. } if request == asked => open.remove(&drc),
                _ => false,
            };
        }
        from = machine.transcript().mark();
        open.is_empty().then_some(())
    })
}

/// Whether QEMU says with this event that a device is gone. For the parts of a device it says so without an id.
pub fn is_deletion(event: &Event, id: &str) -> bool {
    event.name == "DEVICE_DELETED" && event.text("device") == Some(id)
}

/// Whether this event ends a request to unplug, one way or the other.
pub fn is_end(event: &Event, id: &str) -> bool {
    let refused = matches!(event.name.as_str(), "DEVICE_UNPLUG_GUEST_ERROR" | "MEM_UNPLUG_ERROR");
    is_deletion(event, id) || (refused && event.text("device") == Some(id))
}

/// How the guest learned of a device, for people: `tree`, `event 2 (index)`, both, or nothing.
pub fn learned(device: &Plugged, transcript: &Transcript) -> String {
    let begins = device.entries(transcript).filter_map(|entry| match entry.record {
        Record::Begin { drc, request: Request::Add, learned, event, .. }
            if device.connectors.contains(&drc) =>
        {
            Some(match event {
                Some(number) => format!("{learned} {number}{}", told_by(number, device, transcript)),
                None => learned.to_string(),
            })
        }
        _ => None,
    });
    let mut ways: Vec<String> = begins.collect();
    // A device of several connectors is told of several times.
    ways.dedup();
    if ways.is_empty() { "nothing".to_owned() } else { ways.join(", ") }
}

/// By what kind of identifier an event told of a device: `index`, `count`, `count-indexed`.
fn told_by(wanted: u32, device: &Plugged, transcript: &Transcript) -> String {
    let id = device.entries(transcript).find_map(|entry| match entry.record {
        Record::Event { number, id, .. } if number == wanted => Some(id.to_string()),
        _ => None,
    });
    let kind = id.as_deref().and_then(|id| id.split(':').next());
    kind.map(|kind| format!(" ({kind})")).unwrap_or_default()
}

/// What became of a device, for people: the guest's words on it, in order.
pub fn became(device: &Plugged, transcript: &Transcript) -> String {
    let outcomes = device.entries(transcript).filter_map(|entry| match entry.record {
        Record::Done { drc, outcome, .. } if device.connectors.contains(&drc) => Some(outcome.word()),
        _ => None,
    });
    let mut words: Vec<&str> = outcomes.collect();
    // A device of several connectors says the same several times.
    words.dedup();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}
