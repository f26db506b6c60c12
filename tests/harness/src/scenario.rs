//! What `paprika run` does: a device of each kind before CAS, another when the handler is armed, all given back, and a good
//! night.
//!
//! A device that was plugged before CAS has to reach the guest by the tree, one that was plugged later by an event. The guest
//! holds at both places until the host has done its part, so that there is no luck in it.

use crate::checks::{self, Evidence};
use crate::defects::{Step, explaining};
use crate::device::{self, Family, Kind};
use crate::machine::Machine;
use crate::qemu::Version;
use crate::qmp::{Event, QmpError};
use crate::stop::Stop;
use crate::transcript::{Mark, Transcript};
use crate::verdict::{Finding, Verdict, overall};
use paprika::log::{Record, Request};
use paprika::papr::drc::DrcIndex;
use serde_json::{Value, json};

/// Where the guest holds for us, as it is told with its boot arguments.
pub const HOLDS: &str = "hold=before-cas,handler-armed";

/// The first place: nothing is negotiated yet.
const BEFORE_CAS: &str = "before-cas";
/// The second: events interrupt from here on.
const HANDLER_ARMED: &str = "handler-armed";

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
    /// How far it has come.
    pub stage: Stage,
    /// QEMU's words, where it refused to plug or to unplug it.
    pub refusal: Option<String>,
    /// Whether QMP listed it, after it came to a stage.
    pub listed: Vec<(Stage, bool)>,
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
    let mut run = Run { devices: Vec::new(), steps: vec![Step::Boot] };
    let stop = story(&mut run, machine).err();
    let mut findings = checks::all(&Evidence {
        devices: &run.devices,
        transcript: machine.transcript(),
        events: machine.events(),
        trace: &machine.trace(),
        exit: machine.exit(),
        complete: stop.is_none(),
    });
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
        let (id, listed) = (id.to_owned(), Vec::new());
        self.devices.push(Plugged { id, kind, window, connectors, since, stage, refusal, listed });
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
        let Some(device) = self.devices.iter_mut().find(|device| device.id == id) else {
            return Err(Stop::Broken(format!("`{id}` was never plugged")));
        };
        let (from, events) = (machine.transcript().mark(), machine.events().len());
        match device::unplug(machine, id) {
            Err(Stop::Qmp(QmpError::Refused { description, .. })) => {
                device.refusal = Some(description);
                return Ok(());
            }
            other => other?,
        }
        device.stage = Stage::AskedBack;
        wait_until_done(machine, device, from, Request::Remove)?;
        let end =
            machine.wait_for_event(&format!("QEMU's word on `{id}`"), events, |event| is_end(event, id))?;
        device.stage = Stage::GivenBack;
        device.listed.push((Stage::GivenBack, device::listed(machine)?.contains(id)));
        if is_deletion(&end, id) { device::clean_up(machine, id, device.kind) } else { Ok(()) }
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
    for &connector in &device.connectors {
        let what = format!("`done` for {} ({asked} {connector})", device.id);
        machine.wait_for_record(&what, from, |record| is_done(record, connector, asked))?;
    }
    Ok(())
}

fn is_done(record: &Record<'_>, connector: DrcIndex, asked: Request) -> bool {
    matches!(record, Record::Done { drc, request, .. } if *drc == connector && *request == asked)
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

/// What the way in which a run ended is worth: a crash that is known of this QEMU is expected, and that it did not come
/// where it was due is news.
fn outcome(stop: Option<&Stop>, version: Version, steps: &[Step]) -> Option<Finding> {
    let subject = format!("QEMU {version}");
    let Some(stop) = stop else {
        let defect = explaining(version, steps).filter(|defect| defect.certain)?;
        let detail = format!("known to crash while {}, but it did not: {}", defect.step, defect.reason);
        return Some(Finding::other("known defect", subject, Verdict::UnexpectedPass, detail));
    };
    let step = steps.last().copied().unwrap_or(Step::Boot);
    let crashed = stop.verdict() == Verdict::Crash && !matches!(stop, Stop::GuestGaveUp { .. });
    if let Some(defect) = explaining(version, steps).filter(|_| crashed) {
        return Some(Finding::other("known defect", subject, Verdict::ExpectedFail, defect.reason));
    }
    Some(Finding::other("comes to its end", format!("while {step}"), stop.verdict(), stop.to_string()))
}

/// How the guest learned of a device, for people: `tree`, `event 2 (index)`, both, or nothing.
pub fn learned(device: &Plugged, transcript: &Transcript) -> String {
    let begins = transcript.entries_since(device.since).filter_map(|entry| match entry.record {
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
    let id = transcript.entries_since(device.since).find_map(|entry| match entry.record {
        Record::Event { number, id, .. } if number == wanted => Some(id.to_string()),
        _ => None,
    });
    let kind = id.as_deref().and_then(|id| id.split(':').next());
    kind.map(|kind| format!(" ({kind})")).unwrap_or_default()
}

/// What became of a device, for people: the guest's words on it, in order.
pub fn became(device: &Plugged, transcript: &Transcript) -> String {
    let outcomes = transcript.entries_since(device.since).filter_map(|entry| match entry.record {
        Record::Done { drc, outcome, .. } if device.connectors.contains(&drc) => Some(outcome.word()),
        _ => None,
    });
    let mut words: Vec<&str> = outcomes.collect();
    // A device of several connectors says the same several times.
    words.dedup();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::{Step, Stop, Verdict, outcome};
    use crate::qemu::Version;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn abort() -> Stop {
        Stop::Ended {
            waiting_for: "the end".into(),
            exit: ExitStatus::from_raw(6).into(),
            last_words: "double free".into(),
        }
    }

    fn verdict(stop: Option<&Stop>, version: Version, step: Step) -> Option<Verdict> {
        outcome(stop, version, &[Step::Boot, step]).map(|finding| finding.verdict)
    }

    #[test]
    fn a_known_crash_is_expected_and_any_other_is_a_crash() {
        let known = Version::new(10, 0, 13);
        assert_eq!(verdict(Some(&abort()), known, Step::UnplugCore), Some(Verdict::ExpectedFail));
        assert_eq!(verdict(Some(&abort()), known, Step::Plug), Some(Verdict::Crash));
        assert_eq!(verdict(Some(&abort()), Version::new(7, 2, 22), Step::UnplugCore), Some(Verdict::Crash));
        // It does not crash every time, so that it did not is no news.
        assert_eq!(verdict(None, known, Step::UnplugCore), None);
        assert_eq!(verdict(None, known, Step::PowerDown), None);
        assert_eq!(verdict(None, Version::new(7, 2, 22), Step::PowerDown), None);
    }

    #[test]
    fn a_guest_that_panics_is_not_excused_by_a_defect_of_qemu() {
        let stop = Stop::GuestGaveUp { waiting_for: "x".into(), words: "panic".into() };
        assert_eq!(verdict(Some(&stop), Version::new(10, 0, 13), Step::UnplugCore), Some(Verdict::Crash));
    }

    #[test]
    fn a_hang_is_not_excused_either() {
        let stop = Stop::TimedOut { waiting_for: "x".into() };
        assert_eq!(verdict(Some(&stop), Version::new(10, 0, 13), Step::UnplugCore), Some(Verdict::TimedOut));
    }
}
