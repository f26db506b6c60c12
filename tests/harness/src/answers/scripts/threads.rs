//! A thread that runs beside CAS, and a last thread that stops.
//!
//! The guest does neither of its own: it negotiates before it starts a thread, and never stops the one that it lives on. So
//! the host does it behind its back, by [`Qtest`].

use super::as_it_is;
use crate::answers::bench::{Bench, Script};
use crate::qemu::command::Setup;
use crate::qtest::Qtest;
use crate::stop::Stop;
use paprika::log::Record;
use paprika::papr::status::ReturnCode;
use serde_json::json;
use std::time::Duration;

/// Memory that nobody uses: behind the payload and what it claims under VOF, and below what it claims under SLOF, also in the
/// smallest machine.
const SCRATCH: u32 = 192 << 20;
/// Where the words of a call stand in it.
const CELLS: u64 = SCRATCH as u64 + 0x100;
/// A branch to itself. Ref: ISA 3.1B I 2.4 (b)
const SPIN: u32 = 0x4800_0000;
/// The thread that is started: the second CPU's first.
const SECOND: u32 = 1;
/// How long a guest that idles may take to answer; it does so in milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// A guest that calls CAS alone, and again beside a thread that runs.
pub const BESIDE: Script = Script {
    name: "cas-beside-a-thread",
    story: "the guest calls CAS; then its second thread is started behind its back, and it calls CAS once more",
    append: "hold=before-cas#1",
    arrange: |setup: &mut Setup| setup.cpus = "2,maxcpus=4".into(),
    play: beside,
};

fn beside(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.hold("before-cas")?;
    let Some(mut qtest) = Qtest::attach(bench.machine)? else { return Ok(()) };
    negotiate(bench, "alone")?;
    bench.machine.tell("starts a second thread behind the guest's back");
    qtest.write_word(SCRATCH.into(), SPIN)?;
    let status = qtest.rtas("start-cpu", &[SECOND, SCRATCH, 0], 1, CELLS)?;
    if status != 0 {
        return Err(Stop::Broken(format!("start-cpu answers {status}")));
    }
    negotiate(bench, "beside")
}

/// Has the guest call CAS, and notes what it answered.
fn negotiate(bench: &mut Bench<'_>, when: &str) -> Result<(), Stop> {
    let from = bench.machine.transcript().mark();
    bench.machine.say("cas")?;
    let (catch, result) = bench.machine.wait("the answer of CAS", |machine| {
        machine.transcript().entries_since(from).find_map(|entry| match entry.record {
            Record::CasAnswer { catch, result, .. } => Some((catch, result)),
            _ => None,
        })
    })?;
    let granted = (catch, result) == (ReturnCode::SUCCESS, ReturnCode::SUCCESS);
    bench.facts.note(format!("{when}: granted"), granted);
    bench.facts.note(format!("{when}: answer"), format!("{catch}, {result}"));
    Ok(())
}

/// A guest whose only thread stops.
pub const LAST: Script = Script {
    name: "last-thread",
    story: "the guest idles and answers; then stop-self is called behind its back in the name of its only thread",
    append: "hold=idle#1",
    arrange: as_it_is,
    play: last,
};

fn last(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.hold("idle")?;
    let Some(mut qtest) = Qtest::attach(bench.machine)? else { return Ok(()) };
    if !answers(bench)? {
        return Err(Stop::Broken("the guest does not even answer before its thread stops".to_owned()));
    }
    let told = bench.machine.events().len();
    bench.machine.tell("calls stop-self in the name of the guest's only thread");
    qtest.rtas("stop-self", &[], 0, CELLS)?;
    let state = match answers(bench) {
        Ok(answers) => {
            bench.facts.note("answers", answers);
            let state = bench.machine.execute("query-status", json!({}))?;
            state.get("status").and_then(|state| state.as_str()).unwrap_or_default().to_owned()
        }
        Err(Stop::Ended { exit, .. }) if exit.success() => {
            bench.facts.note("answers", false);
            "ended".to_owned()
        }
        Err(stop) => return Err(stop),
    };
    bench.facts.note("state", state);
    let events: Vec<String> =
        bench.machine.events().iter().skip(told).map(|event| event.name.clone()).collect();
    bench.facts.note("events", events);
    Ok(())
}

/// Whether the guest looks into its queue when it is told to.
fn answers(bench: &mut Bench<'_>) -> Result<bool, Stop> {
    let from = bench.machine.transcript().mark();
    bench.machine.say("poll")?;
    let answer = bench.machine.wait_within(PATIENCE, "the answer to `poll`", |machine| {
        machine.transcript().says(from, |record| matches!(record, Record::Drain { .. })).then_some(())
    })?;
    Ok(answer.is_some())
}
