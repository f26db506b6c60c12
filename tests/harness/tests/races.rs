//! Every race of the lab as a trial, in every QEMU at hand, so that a test runner lists, filters, retries and shards them.
//!
//! Each is named `<QEMU's version>/<firmware>/<kind>/<action>/<window>`: all of them under VOF, and under SLOF those in which
//! it has a part. What a firmware cannot do is ignored beforehand, and what a QEMU cannot do when it has said so. A known defect
//! of a QEMU passes, and is told. A missing QEMU or payload is a failure, whatever was asked for.
//!
//! With `PAPRIKA_RACES=share` each race is run in one of the QEMUs only, by turns, and few under SLOF: enough for every change.

#[path = "boots/matrix.rs"]
mod matrix;

use libtest_mimic::{Arguments, Completion, Failed, Trial, run};
use paprika_harness::qemu::Qemu;
use paprika_harness::qemu::command::{Firmware, Setup};
use paprika_harness::race::action::Action;
use paprika_harness::race::expect::Expect;
use paprika_harness::race::lab::{self, Outcome};
use paprika_harness::race::report::{is_good, why_skipped};
use paprika_harness::race::{Family, Scenario};
use paprika_harness::verdict::Verdict;
use std::env;
use std::path::Path;
use std::time::Duration;

/// How long a race may take, with room for a busy machine.
const LIMIT: Duration = Duration::from_secs(100);
/// Which races there are: all of them, or `share`.
const RACES: &str = "PAPRIKA_RACES";

fn main() {
    let arguments = Arguments::from_args();
    let (qemus, payload) = matrix::ready();
    let share = env::var_os(RACES).is_some_and(|which| which == "share");
    let mut trials = Vec::new();
    // The slow ones first.
    for firmware in [Firmware::Slof, Firmware::Vof] {
        for race in Scenario::all().into_iter().filter(|race| is_run(*race, firmware, share)) {
            let turn = turn(race) % qemus.len();
            let own = qemus.iter().enumerate().filter(|(at, _)| !share || *at == turn);
            trials.extend(own.map(|(_, (name, qemu))| trial(name, qemu, &payload, firmware, race)));
        }
    }
    run(&arguments, trials).exit()
}

/// Whether a race is one of those that are run under a firmware.
fn is_run(race: Scenario, firmware: Firmware, share: bool) -> bool {
    match firmware {
        Firmware::Vof => true,
        Firmware::Slof => race.is_about_slof() && (!share || race.action == Action::Plug),
    }
}

/// Whose turn it is: races that differ in one thing alone are run in QEMUs that follow each other.
fn turn(race: Scenario) -> usize {
    let family = Family::ALL.iter().position(|family| *family == race.family);
    let action = Action::ALL.iter().position(|action| *action == race.action);
    family.unwrap_or(0) + action.unwrap_or(0) + race.window as usize
}

fn trial(version: &str, qemu: &Qemu, payload: &Path, firmware: Firmware, race: Scenario) -> Trial {
    let mut setup = Setup::new(qemu.clone(), payload.to_owned());
    setup.firmware = firmware;
    let name = format!("{version}/{}/{race}", firmware.word());
    let of = name.clone();
    let trial = Trial::ignorable_test(name, move || {
        settled(&of, &lab::run(race, &setup, LIMIT, Expect::Auto, Box::new(|_| {})))
    });
    match race.skipped(firmware) {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    }
}

/// What a race is for a test runner.
fn settled(name: &str, outcome: &Outcome) -> Result<Completion, Failed> {
    if let Some(reason) = why_skipped(outcome) {
        eprintln!("SKIP: {reason} [{name}]");
        return Ok(Completion::ignored_with(reason));
    }
    let words: Vec<String> = outcome.notable().iter().map(ToString::to_string).collect();
    let words = words.join("\n");
    match outcome.verdict {
        Verdict::Pass => Ok(Completion::Completed),
        verdict if is_good(verdict) => {
            eprintln!("note: {words} [{name}]");
            Ok(Completion::Completed)
        }
        verdict => Err(Failed::from(format!("{verdict}\n{words}\n{}", outcome.account.join("\n")))),
    }
}
