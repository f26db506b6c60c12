//! What must hold after a run, whatever was done in it: pure functions over what the witnesses say.
//!
//! A run that was stopped is judged by what it came to: what it did not come to is not held against it, since that it
//! stopped is a finding of its own.

mod buffers;

pub use buffers::of_buffers;

use crate::device::Kind;
use crate::qemu::process::Exit;
use crate::qmp::Event;
use crate::scenario::{Plugged, Stage, is_deletion};
use crate::trace::{Held, Life, lives};
use crate::transcript::{Line, Transcript};
use crate::verdict::{Class, Finding, Verdict};
use paprika::log::{Damage, Learned, Outcome, Record, Request, Verdict as GuestVerdict};
use paprika::papr::drc::DrcIndex;
use paprika::papr::status::{ReturnCode, Status};

/// What the witnesses say, and what the host did.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'e> {
    /// The devices that were plugged.
    pub devices: &'e [Plugged],
    /// What the guest said.
    pub transcript: &'e Transcript,
    /// What QEMU told.
    pub events: &'e [Event],
    /// QEMU's trace; empty where this QEMU writes none.
    pub trace: &'e str,
    /// How QEMU ended, if it has.
    pub exit: Option<Exit>,
    /// The verdict that the guest has to come to.
    pub wanted: GuestVerdict,
    /// Whether the run came to its end.
    pub complete: bool,
}

/// Everything that can be looked at.
pub fn all(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        evidence.devices.iter().flat_map(|device| of_device(device, evidence)).collect();
    findings.extend(of_log(evidence.transcript, evidence.complete));
    findings.extend(of_version(evidence.transcript));
    findings.extend(of_buffers(evidence.transcript));
    if evidence.complete {
        findings.extend(of_queue(evidence.transcript));
        findings.extend(of_end(evidence));
    }
    findings
}

/// Everything about one device, as far as it has come.
pub fn of_device(device: &Plugged, evidence: &Evidence<'_>) -> Vec<Finding> {
    // Each connector asks for all that was said and traced: that is read once, as a device may have dozens of them.
    let said: Vec<Record<'_>> = device.entries(evidence.transcript).map(|entry| entry.record).collect();
    let lives = lives(evidence.trace);
    let mut findings = Vec::new();
    if device.stage >= Stage::Answered {
        for &connector in &device.connectors {
            findings.push(exactly_once(device, connector, &said));
            findings.push(ended(device, connector, &said, Request::Add, Outcome::Taken));
            findings.push(used(device, connector, &said));
            findings.extend(lives.as_ref().map(|lives| traced(device, connector, lives.get(&connector))));
        }
    }
    if device.stage >= Stage::AskedBack {
        // A run that stopped here is not asked for an answer that it did not wait for.
        let answered = |connector| {
            said.iter().any(|record| {
                matches!(record, Record::Done { drc, request: Request::Remove, .. } if *drc == connector)
            })
        };
        for &connector in &device.connectors {
            if device.stage >= Stage::GivenBack || answered(connector) {
                findings.push(ended(device, connector, &said, Request::Remove, Outcome::Released));
            }
        }
    }
    if device.stage >= Stage::GivenBack {
        findings.push(deleted(device, evidence.events));
    }
    findings.extend(listed(device, evidence.events));
    findings.extend(refused(device));
    findings
}

/// QMP lists it from when the guest had it until it was gone.
fn listed(device: &Plugged, events: &[Event]) -> Option<Finding> {
    let gone = |stage| stage >= Stage::GivenBack && is_deleted(device, events);
    let problem = device.listed.iter().find_map(|&(stage, listed)| match (listed, gone(stage)) {
        (true, true) => Some("QMP still lists it".to_owned()),
        (false, false) => Some("QMP does not list it".to_owned()),
        _ => None,
    });
    (!device.listed.is_empty()).then(|| check("agrees with QMP's lists", device, problem))
}

/// QEMU did not want to plug it, or to unplug it.
fn refused(device: &Plugged) -> Option<Finding> {
    let words = device.refusal.as_ref()?;
    let property = if device.stage == Stage::Refused { "plug" } else { "unplug" };
    // Only what this QEMU does not have or cannot do is excused; no plug is refused for another reason.
    let lacks = property == "unplug" || is_lacking(words);
    let verdict = if lacks { Verdict::Skip } else { Verdict::Fail };
    Some(Finding::other(property, &device.id, verdict, format!("QEMU refuses it: {words}")))
}

/// What QEMU says of a device that it was built without, that it has and cannot plug, that it was told not to have, or of a
/// command that it does not know.
const LACKS: [&str; 5] =
    ["is not a valid device model name", "not support", "unsupported", "=off' was set", "has not been found"];

/// Whether QEMU's words say that it lacks what it was asked for.
pub fn is_lacking(words: &str) -> bool {
    LACKS.iter().any(|lack| words.contains(lack))
}

fn learned(connector: DrcIndex, said: &[Record<'_>]) -> Vec<Learned> {
    let begins = said.iter().filter_map(|record| match record {
        Record::Begin { drc, request: Request::Add, learned, .. } if *drc == connector => Some(*learned),
        _ => None,
    });
    begins.collect()
}

fn check(property: &'static str, device: &Plugged, problem: Option<String>) -> Finding {
    match problem {
        None => Finding::pass(property, &device.id),
        Some(detail) => Finding::other(property, &device.id, Verdict::Fail, detail),
    }
}

/// By the tree or by an event, not by both, not by neither.
fn exactly_once(device: &Plugged, connector: DrcIndex, said: &[Record<'_>]) -> Finding {
    let ways = learned(connector, said);
    let problem = match ways[..] {
        [_] => None,
        [] => Some(format!("{connector} never reached the guest: lost")),
        _ => {
            let ways: Vec<&str> = ways.iter().map(|way| way.word()).collect();
            Some(format!("{connector} reached the guest {} times ({}): ghost", ways.len(), ways.join(", ")))
        }
    };
    check("reaches the guest exactly once", device, problem)
}

/// The guest's request ended as it should.
fn ended(
    device: &Plugged,
    connector: DrcIndex,
    said: &[Record<'_>],
    asked: Request,
    wanted: Outcome,
) -> Finding {
    let last = said.iter().rev().find_map(|record| match record {
        Record::Done { drc, request, outcome, reason, .. } if *drc == connector && *request == asked => {
            Some((*outcome, reason))
        }
        _ => None,
    });
    let property = match asked {
        Request::Add => "is taken",
        Request::Remove => "is given back",
    };
    let problem = match last {
        Some((outcome, _)) if outcome == wanted => None,
        Some((outcome, reason)) => Some(format!("{connector} was {outcome}: {reason}")),
        None => Some(format!("{connector}: the guest says nothing of it")),
    };
    check(property, device, problem)
}

/// It did what a device of its kind is there for.
fn used(device: &Plugged, connector: DrcIndex, said: &[Record<'_>]) -> Finding {
    let mut seen = false;
    let mut problem = None;
    for record in said {
        match using(record, connector) {
            Using::Nothing => {}
            Using::Works => seen = true,
            Using::Fails(what) => problem = Some(format!("{connector}: {what}")),
        }
    }
    let silence = match device.kind {
        Kind::Dimm(_) => "no memory was tested",
        Kind::Core => "no thread ran",
        Kind::Pci(_) => "nothing was read from it",
        Kind::Phb => "it has no window",
        Kind::Nvdimm(_) => "no persistent memory was tested",
    };
    check("works", device, problem.or_else(|| (!seen).then(|| format!("{connector}: {silence}"))))
}

/// What a record says of a device in use.
enum Using {
    /// Nothing that would tell.
    Nothing,
    /// It did something.
    Works,
    /// It did something wrong.
    Fails(String),
}

/// Memory held its pattern, a thread ran, a host bridge leads somewhere, a function answered, every call about persistent
/// memory was served.
fn using(record: &Record<'_>, connector: DrcIndex) -> Using {
    match record {
        Record::Memory { drc, pages, bad, .. } if *drc == connector => match (bad, pages) {
            (0, 0) => Using::Nothing,
            (0, _) => Using::Works,
            _ => Using::Fails(format!("{bad} of {pages} pages did not hold their pattern")),
        },
        Record::Thread { drc: Some(drc), server, step, rc, .. } if *drc == connector => {
            if *rc != Status::SUCCESS {
                return Using::Fails(format!("thread {server}: {step} returned {rc}"));
            }
            if step.0 == "run" { Using::Works } else { Using::Nothing }
        }
        Record::Window { drc, .. } | Record::Io { drc, .. } if *drc == connector => Using::Works,
        // Where nobody speaks to it, that it is there is all that can be asked.
        Record::Pci { drc, driver, .. } if *drc == connector && driver.0 == "none" => Using::Works,
        Record::Scm { drc, call, rc, .. } if *drc == connector && *rc != ReturnCode::SUCCESS => {
            Using::Fails(format!("{call} returned {rc}"))
        }
        _ => Using::Nothing,
    }
}

/// QEMU's trace agrees that the guest has it, and in the end that it has not; nothing is concluded where there is no trace.
fn traced(device: &Plugged, connector: DrcIndex, life: Option<&Life>) -> Finding {
    let life = life.copied().unwrap_or_default();
    let gone = device.stage >= Stage::GivenBack;
    // What a connector holds in the end is about the last device on it, and it may go away itself.
    let holds = if gone && (device.until.is_some() || life.gone) { Held::Nothing } else { life.holds };
    let problem = match (life.configured, holds) {
        (0, _) => Some("it was never configured"),
        (_, Held::Nothing) if device.stage < Stage::AskedBack => Some("it holds no device"),
        (_, Held::Attached) => Some("its device is not configured"),
        (_, Held::Configured) if gone => Some("it still holds the device"),
        _ => None,
    };
    let problem = problem.map(|problem| format!("{connector}: QEMU's trace says that {problem}"));
    check("agrees with QEMU's trace", device, problem)
}

fn is_deleted(device: &Plugged, events: &[Event]) -> bool {
    events.iter().any(|event| is_deletion(event, &device.id))
}

fn deleted(device: &Plugged, events: &[Event]) -> Finding {
    let gone = is_deleted(device, events);
    let refused = events
        .iter()
        .find(|event| event.name.ends_with("_ERROR") && event.text("device") == Some(device.id.as_str()));
    let problem = match (gone, refused) {
        (true, _) => None,
        (false, Some(event)) => Some(format!("{} instead", event.name)),
        (false, None) => Some("it did not come".to_owned()),
    };
    match problem {
        Some(detail) if refused.is_none() => {
            Finding::broken("DEVICE_DELETED", &device.id, Class::StuckUnplug, detail)
        }
        problem => check("DEVICE_DELETED", device, problem),
    }
}

/// The log is whole: no line lost, none damaged. Where QEMU was cut off, the last line may be cut, too.
pub fn of_log(transcript: &Transcript, complete: bool) -> Vec<Finding> {
    let subject = "the guest's log";
    let gaps = transcript.gaps().iter().map(ToString::to_string);
    let last = transcript.lines().last();
    let cut_off = |line: &Line, damage| {
        !complete && damage == Damage::Unfinished && last.is_some_and(|last| last == line)
    };
    let damaged = transcript
        .damaged()
        .filter(|(line, damage)| !cut_off(line, *damage))
        .map(|(line, damage)| format!("{damage}: {}", line.text));
    let problems: Vec<Finding> = gaps
        .chain(damaged)
        .map(|detail| Finding::other("arrives whole", subject, Verdict::Fail, detail))
        .collect();
    if problems.is_empty() { vec![Finding::pass("arrives whole", subject)] } else { problems }
}

/// Every drain went on until the queue was empty, and each event that was taken is in the log and was understood.
pub fn of_queue(transcript: &Transcript) -> Vec<Finding> {
    let (mut drains, mut unfinished, mut taken, mut logged, mut unknown) = (0, Vec::new(), 0, 0, Vec::new());
    for entry in transcript.entries() {
        match entry.record {
            Record::Drain { events, rc, .. } => {
                drains += 1;
                taken += events;
                if rc != Status::NONE_FOUND {
                    unfinished.push(format!("line {} ended with {rc}", entry.seq));
                }
            }
            Record::Check { event: Some(_), .. } => taken += 1,
            Record::Event { .. } => logged += 1,
            Record::EventBytes { event, problem, .. } => unknown.push(format!("event {event}: {problem}")),
            _ => {}
        }
    }
    if drains == 0 {
        unfinished.push("it was never drained".to_owned());
    }
    let lost = (taken != logged).then(|| format!("{taken} were taken, {logged} are in the log"));
    let verdict = |property, problem: Option<String>| match problem {
        None => Finding::pass(property, "the event queue"),
        Some(detail) => Finding::other(property, "the event queue", Verdict::Fail, detail),
    };
    let listed = |problems: Vec<String>| (!problems.is_empty()).then(|| problems.join(", "));
    vec![
        verdict("is drained until it is empty", listed(unfinished)),
        verdict("loses no event", lost),
        verdict("is understood", listed(unknown)),
    ]
}

/// The payload was built from the sources of this tool, else they may not understand each other.
pub fn of_version(transcript: &Transcript) -> Option<Finding> {
    let (property, subject) = ("has this tool's version", "the payload");
    match transcript.foreign() {
        Some(detail) => Some(Finding::other(property, subject, Verdict::Error, detail)),
        None => (transcript.boots() > 0).then(|| Finding::pass(property, subject)),
    }
}

/// The guest is content and has powered off, and QEMU has ended by itself.
fn of_end(evidence: &Evidence<'_>) -> Vec<Finding> {
    let verdict = evidence.transcript.entries().filter_map(|entry| match entry.record {
        Record::End { verdict, done, failed, problems, unknown, .. } => {
            Some((verdict, format!("{done} done, {failed} failed, {problems} problems, {unknown} unknown")))
        }
        _ => None,
    });
    let property = match evidence.wanted {
        GuestVerdict::Pass => "is content",
        GuestVerdict::Fail => "says that something failed",
    };
    let content = match verdict.last() {
        Some((verdict, _)) if verdict == evidence.wanted => Finding::pass(property, "the guest"),
        Some((_, tally)) => Finding::other(property, "the guest", Verdict::Fail, tally),
        None => Finding::other(property, "the guest", Verdict::Fail, "it gave no verdict"),
    };
    let by_guest =
        |event: &Event| event.name == "SHUTDOWN" && event.data["guest"] != serde_json::json!(false);
    let off = if evidence.events.iter().any(by_guest) {
        Finding::pass("powers off", "the guest")
    } else {
        Finding::other("powers off", "the guest", Verdict::Fail, "QEMU tells of no shutdown by the guest")
    };
    let end = match evidence.exit {
        Some(exit) if exit.success() => Finding::pass("ends", "QEMU"),
        Some(exit) => Finding::other("ends", "QEMU", Verdict::Crash, format!("it {exit}")),
        None => Finding::other("ends", "QEMU", Verdict::TimedOut, "it still runs"),
    };
    vec![content, off, end]
}

#[cfg(test)]
mod tests;
