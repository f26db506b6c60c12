//! Settling: everybody comes to the end of what they are doing, and then each witness is asked how things stand.
//!
//! QEMU serves calls and commands one at a time, and the guest says when it idles. So there is no waiting for luck here: a
//! guest that idles answers `go`, and when nothing happened between two answers, nothing more will. Only what does not
//! come although it should is waited for in vain, and that has a limit.

use super::course::{Course, Runner};
use super::manner::{Fate, Manner};
use crate::device::{CONNECTORS, CORE_LIST, MEMORY_LIST, PERIPHERAL, id_of, of_cores, of_memory};
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::scenario::is_end;
use crate::stop::Stop;
use crate::trace::is_telling;
use crate::transcript::{Mark, Transcript};
use paprika::log::{Record, Request};
use paprika::papr::drc::DrcIndex;
use paprika::papr::indicator::EntitySense;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long the host waits for what should come at once, before it notes down that it did not.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a guest may take to the end of what it is doing.
const BUSY_LIMIT: Duration = Duration::from_secs(20);
/// How often a guest may be found busy: one that is never through is no guest that idles.
const ROUNDS: u32 = 1000;

/// How things stood when everything had settled. What a witness does not tell is nothing, which is not the same as a witness
/// that tells of nothing.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Where the transcript was.
    pub at: Mark,
    /// The devices that QEMU has, out of its object tree.
    pub present: Option<BTreeSet<String>>,
    /// The devices that each list of QMP names, by the command; without those that this QEMU does not know.
    pub lists: BTreeMap<&'static str, BTreeSet<String>>,
    /// The device on each connector.
    pub holders: Option<BTreeMap<DrcIndex, String>>,
    /// What the guest read at each connector that it has in use or that is not empty.
    pub senses: Option<BTreeMap<DrcIndex, EntitySense>>,
    /// QEMU's trace so far.
    pub trace: Option<String>,
}

/// Waits until the guest and QEMU are through with everything, and notes how things stand.
pub(super) fn settle(machine: &mut Machine, course: &Course) -> Result<Settled, Stop> {
    let answered = |machine: &Machine| {
        course
            .runners
            .iter()
            .all(|runner| is_answered(machine, runner, course.manner, machine.transcript().last_boot()))
            .then_some(())
    };
    machine.wait_within(PATIENCE, "an answer for each device", answered)?;
    let senses = if idles(machine)? { dump(machine)? } else { None };
    let holders = holders(machine, course)?;
    let (present, lists) = (present(machine)?, lists(machine)?);
    let trace = Some(machine.trace()).filter(|trace| is_telling(trace) && machine.unwritten().is_none());
    Ok(Settled { at: machine.transcript().mark(), present, lists, holders, senses, trace })
}

/// Whether the guest, or QEMU, has said what became of a device.
fn is_answered(machine: &Machine, runner: &Runner, manner: Manner, boot: Mark) -> bool {
    if runner.refused.is_some() {
        return true;
    }
    if runner.asked.is_empty() {
        return has_done(machine, &runner.connectors, boot.max(runner.since), Request::Add);
    }
    if manner.fate(runner.kind) == Fate::Open && is_kept(machine.transcript(), runner, manner, boot) {
        return true;
    }
    let mut asked = runner.asked.iter().filter(|asked| asked.refused.is_none());
    asked.all(|asked| machine.events().iter().skip(asked.events).any(|event| is_end(event, runner.id)))
}

/// Whether the guest was asked for one of these connectors, and did not give it, as its manners are.
pub(super) fn is_kept(transcript: &Transcript, runner: &Runner, manner: Manner, from: Mark) -> bool {
    transcript.says(from, |record| {
        matches!(record, Record::Done { drc, request: Request::Remove, outcome, .. }
            if manner.keeps(*outcome) && runner.connectors.contains(drc))
    })
}

/// Whether the guest is through with a request about each of these connectors.
pub(super) fn has_done(machine: &Machine, connectors: &[DrcIndex], from: Mark, asked: Request) -> bool {
    connectors.iter().all(|&connector| {
        machine.transcript().says(from, |record| {
            matches!(record, Record::Done { drc, request, .. } if *drc == connector && *request == asked)
        })
    })
}

/// Waits until the guest idles and has nothing left to do; whether it came to that.
pub fn idles(machine: &mut Machine) -> Result<bool, Stop> {
    for _ in 0..ROUNDS {
        let from = machine.transcript().mark();
        machine.say("go")?;
        let heard = |machine: &Machine| {
            let go = |record: &Record<'_>| matches!(record, Record::Order { line } if line.0 == "go");
            machine.transcript().says(from, go).then_some(())
        };
        if machine.wait_within(BUSY_LIMIT, "the guest's answer", heard)?.is_none() {
            return Ok(false);
        }
        let mut said = machine.transcript().entries_since(from);
        if said.all(|entry| matches!(entry.record, Record::Order { .. })) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the guest reads at its connectors.
fn dump(machine: &mut Machine) -> Result<Option<BTreeMap<DrcIndex, EntitySense>>, Stop> {
    let from = machine.transcript().mark();
    machine.say("dump")?;
    let told = |machine: &Machine| {
        machine.transcript().says(from, |record| matches!(record, Record::Heap { .. })).then_some(())
    };
    if machine.wait_within(BUSY_LIMIT, "the guest's readings", told)?.is_none() {
        return Ok(None);
    }
    let readings = machine.transcript().entries_since(from).filter_map(|entry| match entry.record {
        Record::Sense { drc, state, .. } => Some((drc, state)),
        _ => None,
    });
    Ok(Some(readings.collect()))
}

/// The device on each connector; nothing where this QEMU cannot be asked.
fn holders(machine: &mut Machine, course: &Course) -> Result<Option<BTreeMap<DrcIndex, String>>, Stop> {
    let mut holders = BTreeMap::new();
    let unknown = |runner: &Runner| runner.refused.is_none() && runner.connectors.is_empty();
    if course.runners.iter().any(unknown) && machine.ask("qom-list", json!({ "path": CONNECTORS }))?.is_none()
    {
        return Ok(None);
    }
    for connector in course.connectors() {
        let path = format!("{CONNECTORS}/{:x}", connector.0);
        match machine.execute("qom-get", json!({ "path": path, "property": "device" })) {
            Ok(path) => {
                let id = path.as_str().and_then(id_of);
                holders.extend(id.map(|id| (connector, id.to_owned())));
            }
            Err(Stop::Qmp(QmpError::Refused { class, .. })) if class == "CommandNotFound" => return Ok(None),
            // A connector without a device has no such property; one of a host bridge that went is no more.
            Err(Stop::Qmp(QmpError::Refused { .. })) => {}
            Err(stop) => return Err(stop),
        }
    }
    Ok(Some(holders))
}

/// The ids of the devices in QEMU's object tree.
fn present(machine: &mut Machine) -> Result<Option<BTreeSet<String>>, Stop> {
    let children = machine.ask("qom-list", json!({ "path": PERIPHERAL }))?;
    Ok(children.map(|children| children_of(&children).collect()))
}

fn children_of(answer: &Value) -> impl Iterator<Item = String> {
    let is_child = |entry: &&Value| {
        entry.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with("child<"))
    };
    let children = answer.as_array().into_iter().flatten().filter(is_child);
    children.filter_map(|entry| entry.get("name")?.as_str().map(str::to_owned))
}

/// The ids of the devices that QMP's own lists name.
fn lists(machine: &mut Machine) -> Result<BTreeMap<&'static str, BTreeSet<String>>, Stop> {
    let mut lists = BTreeMap::new();
    if let Some(memory) = machine.ask(MEMORY_LIST, json!({}))? {
        lists.insert(MEMORY_LIST, of_memory(&memory).collect());
    }
    if let Some(cores) = machine.ask(CORE_LIST, json!({}))? {
        lists.insert(CORE_LIST, of_cores(&cores).collect());
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::children_of;
    use serde_json::json;

    #[test]
    fn devices_are_the_children_in_the_object_tree() {
        let objects =
            json!([{"name": "type", "type": "string"}, {"name": "third", "type": "child<pc-dimm>"}]);
        assert_eq!(children_of(&objects).collect::<Vec<_>>(), ["third"]);
    }
}
