//! Persistent memory: what is found again, and what cannot be had.

use crate::defects::Step;
use crate::device::{self, Kind, LABEL_BYTES, LMB_BYTES, add_object};
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::scenario::power_down;
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::trials::case::Case;
use crate::trials::hands::{ARMED, HOLD_ARMED, QUICK, arm, leave, take};
use crate::trials::seen::{all, content, find, judged, reach};
use anyhow::{Context, Result, ensure};
use paprika::log::{Outcome, Record, Request, Verdict as GuestVerdict};
use paprika::papr::drc::DrcIndex;
use paprika::papr::status::ReturnCode;
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const UUID: &str = "75a3cdd7-6a2f-4791-8d15-fe0a920e8e9e";
/// Where the guest waits for what comes.
const IDLE: &str = "idle";
/// The last bytes of the metadata, as the host wrote them.
const METADATA: [u8; 8] = *b"metadata";
/// What a guest of ours leaves at the start.
const SIGNATURE: [u8; 8] = *b"Paprika!";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("nvdimm-reset", format!("{QUICK} hold={ARMED},{IDLE}#1"), found_after_a_reset),
        Case::new("nvdimm-too-small", QUICK, too_small),
        Case::new("nvdimm-flush", QUICK, flush),
        Case::new("nvdimm-read-only", HOLD_ARMED, only_read),
        Case::new("nvdimm-write-read-only", format!("{HOLD_ARMED} pmem=bold"), written_all_the_same),
    ]
}

/// A file of this size, with metadata at its end.
fn file(path: &Path, size: u64) -> Result<File, Stop> {
    let file = File::options().read(true).write(true).create_new(true).open(path)?;
    file.set_len(size)?;
    file.write_all_at(&METADATA, size - METADATA.len() as u64)?;
    Ok(file)
}

/// What a guest wrote is there for the next one, and in the file; metadata that the host wrote is there for both.
fn found_after_a_reset(machine: &mut Machine) -> Result<()> {
    const SIZE: u64 = LMB_BYTES + LABEL_BYTES;
    let file = file(&device::file(machine, "nvdimm"), SIZE)?;
    machine.start()?;
    machine.wait_for_hold(ARMED, Mark::default())?;
    let connectors = device::plug(machine, "nvdimm", Kind::Nvdimm(LMB_BYTES))?;
    let taken = |record: &Record<'_>| matches!(record, Record::Done { drc, request: Request::Add, .. } if connectors.contains(drc));
    machine.go()?;
    machine.wait_for_record("that it is taken", Mark::default(), taken)?;
    // A guest that is reset while it speaks loses a line.
    machine.wait_for_hold(IDLE, Mark::default())?;

    let reset = machine.transcript().mark();
    machine.reset()?;
    machine.wait_for_hold(ARMED, reset)?;
    machine.go()?;
    machine.wait_for_hold(IDLE, reset)?;
    machine.go()?;
    let again = machine.transcript().says(reset, taken);
    ensure!(again, "the guest does not take it after the reset");
    power_down(machine)?;
    content(machine)?;

    let found = all(machine, |record| match record {
        Record::Content { found, lives, pages, bad, .. } => Some((found.to_string(), lives, pages > 0, bad)),
        _ => None,
    });
    ensure!(found == [("blank".to_owned(), 0, false, 0), ("ours".to_owned(), 1, true, 0)], "{found:?}");
    let metadata = all(machine, |record| match record {
        Record::Scm { call, rc, value, .. } if call.0 == "read-metadata" && rc == ReturnCode::SUCCESS => {
            Some(value.0.to_be_bytes())
        }
        _ => None,
    });
    // Of the three that a guest reads the second is its own.
    let as_written =
        metadata.chunks(3).all(|read| read.first() == Some(&METADATA) && read.get(2) == Some(&METADATA));
    ensure!(as_written && metadata.len() == 6, "metadata: {metadata:x?}");
    let (mut start, mut end) = ([0; 8], [0; 8]);
    file.read_exact_at(&mut start, 0).context("the start of the file")?;
    file.read_exact_at(&mut end, SIZE - 8).context("the end of the file")?;
    ensure!((start, end) == (SIGNATURE, METADATA), "the file holds {start:x?} … {end:x?}");
    Ok(())
}

/// QEMU's words, where it refuses something.
fn refusal<T>(answer: Result<T, Stop>) -> Result<Option<String>, Stop> {
    match answer {
        Ok(_) => Ok(None),
        Err(Stop::Qmp(QmpError::Refused { description, .. })) => Ok(Some(description)),
        Err(stop) => Err(stop),
    }
}

fn device_add(machine: &mut Machine, driver: &str, more: Value) -> Result<(), Stop> {
    let mut arguments = json!({ "driver": driver, "id": "nvdimm", "memdev": "backend", "uuid": UUID });
    if let (Some(all), Some(more)) = (arguments.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    machine.execute("device_add", arguments).map(drop)
}

/// No room for a block, none for metadata, or a file that is smaller than it should be: QEMU says no, nobody hears of the
/// device, and afterwards a good one can be plugged in its place.
fn too_small(machine: &mut Machine) -> Result<()> {
    const KIB: u64 = 1 << 10;
    // Size of the backend, and of the label.
    const SMALL: [(u64, u64); 4] = [
        (KIB << 10, 512 * KIB),
        (LMB_BYTES, 128 * KIB),
        (LMB_BYTES, LMB_BYTES),
        (LMB_BYTES + 64 * KIB, 64 * KIB),
    ];
    let mut refusals = Vec::new();
    let outcome = judged(machine, |run, machine| {
        arm(run, machine)?;
        for (size, label) in SMALL {
            add_object(machine, "memory-backend-ram", "backend", json!({ "size": size }))?;
            refusals.push(refusal(device_add(machine, "nvdimm", json!({ "label-size": label })))?);
            machine.execute("object-del", json!({ "id": "backend" }))?;
        }
        let path = device::file(machine, "short");
        file(&path, KIB << 10)?;
        let short =
            json!({ "size": LMB_BYTES + LABEL_BYTES, "mem-path": path.to_string_lossy(), "share": true });
        refusals.push(refusal(add_object(machine, "memory-backend-file", "backend", short))?);
        run.plug(machine, "nvdimm", Kind::Nvdimm(LMB_BYTES), ARMED)?;
        take(run, machine)?;
        leave(run, machine)
    })?;
    if outcome.is_none() {
        return Ok(());
    }
    ensure!(
        refusals.len() == SMALL.len() + 1 && refusals.iter().all(Option::is_some),
        "refusals: {refusals:?}"
    );
    let events = all(machine, |record| {
        matches!(record, Record::Event { class, .. } if class.0 == "hotplug").then_some(())
    });
    ensure!(events.len() == 1, "the guest heard of {} devices", events.len());
    Ok(())
}

/// A device from which what was written has to be flushed by a call is flushed.
fn flush(machine: &mut Machine) -> Result<()> {
    const SIZE: u64 = LMB_BYTES + LABEL_BYTES;
    machine.start()?;
    machine.wait_for_hold(ARMED, Mark::default())?;
    let path = device::file(machine, "nvdimm");
    file(&path, SIZE)?;
    let backend = json!({ "size": SIZE, "mem-path": path.to_string_lossy(), "share": true });
    add_object(machine, "memory-backend-file", "backend", backend)?;
    device_add(machine, "spapr-nvdimm", json!({ "label-size": LABEL_BYTES }))?;
    machine.go()?;
    until_done(machine)?;
    power_down(machine)?;
    content(machine)?;
    let must = find(machine, "what the device is like", |record| match record {
        Record::Pmem { flush, .. } => Some(flush),
        _ => None,
    })?;
    let flushed = all(machine, |record| match record {
        Record::Scm { call, rc, .. } if call.0 == "flush" => Some(rc),
        _ => None,
    });
    ensure!(must && flushed == [ReturnCode::SUCCESS], "it must be flushed: {must}; flushes: {flushed:?}");
    Ok(())
}

/// Waits until the guest is through with a persistent memory device.
fn until_done(machine: &mut Machine) -> Result<(), Stop> {
    let done = |record: &Record<'_>| matches!(record, Record::Done { drc, request: Request::Add, .. } if is_pmem(*drc));
    machine.wait_for_record("the guest's word on the device", Mark::default(), done)
}

fn is_pmem(drc: DrcIndex) -> bool {
    drc.kind() == Kind::Nvdimm(0).connector()
}

/// Plugs a device whose backend is read-only.
fn plug_read_only(machine: &mut Machine) -> Result<(), Stop> {
    const SIZE: u64 = LMB_BYTES + LABEL_BYTES;
    let path = device::file(machine, "nvdimm");
    file(&path, SIZE)?;
    let backend =
        json!({ "size": SIZE, "mem-path": path.to_string_lossy(), "share": true, "readonly": true });
    add_object(machine, "memory-backend-file", "backend", backend)?;
    device_add(machine, "nvdimm", json!({ "label-size": LABEL_BYTES, "unarmed": true }))
}

/// A device that says that it cannot keep anything is taken, and only read.
fn only_read(machine: &mut Machine) -> Result<()> {
    machine.start()?;
    machine.wait_for_hold(ARMED, Mark::default())?;
    plug_read_only(machine)?;
    machine.go()?;
    until_done(machine)?;
    power_down(machine)?;
    content(machine)?;
    let calls = all(machine, |record| match record {
        Record::Scm { call, .. } => Some(call.to_string()),
        _ => None,
    });
    ensure!(!calls.iter().any(|call| call.contains("metadata")), "calls: {calls:?}");
    Ok(())
}

/// Writing its metadata is refused to the guest, which gives the device back.
fn written_all_the_same(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        run.wanted = GuestVerdict::Fail;
        reach(machine, ARMED)?;
        plug_read_only(machine)?;
        run.turn_to(Step::WriteReadOnly);
        machine.go()?;
        until_done(machine)?;
        leave(run, machine)
    })?;
    if outcome.is_none() {
        return Ok(());
    }
    let refused = find(machine, "what came of writing", |record| match record {
        Record::Scm { call, rc, .. } if call.0 == "write-metadata" => Some(rc),
        _ => None,
    })?;
    ensure!(refused == ReturnCode::P2, "writing returned {refused}");
    let outcome = find(machine, "what became of it", |record| match record {
        Record::Done { drc, outcome, .. } if is_pmem(drc) => Some(outcome),
        _ => None,
    })?;
    ensure!(outcome == Outcome::Failed, "it was {outcome}");
    Ok(())
}
