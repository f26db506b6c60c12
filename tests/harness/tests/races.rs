//! Every race of the lab as a trial, in every QEMU at hand, so that a test runner lists, filters, retries and shards them.
//!
//! Each is named `<QEMU's version>/<firmware>/<kind>/<action>/<window>`. What a firmware cannot do is ignored, with the reason
//! as the trial's kind. A known defect of a QEMU passes, and is told. A missing QEMU or payload is a failure.

#[path = "boots/matrix.rs"]
mod matrix;

use libtest_mimic::{Failed, Trial};
use paprika_harness::qemu::Qemu;
use paprika_harness::qemu::command::{Firmware, Setup};
use paprika_harness::race::Scenario;
use paprika_harness::race::action::Action;
use paprika_harness::race::expect::Expect;
use paprika_harness::race::lab;
use paprika_harness::race::report::is_good;
use paprika_harness::race::window::Window;
use paprika_harness::verdict::Verdict;
use std::path::Path;
use std::time::Duration;

/// How long a race may take, with room for a busy machine.
const LIMIT: Duration = Duration::from_secs(100);

fn main() {
    matrix::run_trials(trials)
}

/// All races of one QEMU: under VOF every one, under SLOF what VOF has no time for. The slow ones first.
fn trials(name: &str, qemu: &Qemu, payload: &Path) -> Vec<Trial> {
    let under = |firmware: Firmware| move |scenario: Scenario| (firmware, scenario);
    let in_slof = Scenario::all()
        .into_iter()
        .filter(|scenario| scenario.window == Window::Firmware && scenario.action == Action::Plug);
    let races = in_slof.map(under(Firmware::Slof));
    let races = races.chain(Scenario::all().into_iter().map(under(Firmware::Vof)));
    races.map(|(firmware, scenario)| trial(name, qemu, payload, firmware, scenario)).collect()
}

fn trial(version: &str, qemu: &Qemu, payload: &Path, firmware: Firmware, scenario: Scenario) -> Trial {
    let mut setup = Setup::new(qemu.clone(), payload.to_owned());
    setup.firmware = firmware;
    let name = format!("{version}/{}/{scenario}", firmware.to_string().to_lowercase());
    let skipped = scenario.skipped(firmware);
    let of = name.clone();
    let trial = Trial::test(name, move || {
        let outcome = lab::run(scenario, &setup, LIMIT, Expect::Auto, Box::new(|_| {}));
        let words: Vec<String> = outcome.notable().iter().map(ToString::to_string).collect();
        let words = words.join("\n");
        match outcome.verdict {
            Verdict::Pass => {}
            verdict if is_good(verdict) => eprintln!("{words} [{of}]"),
            verdict => return Err(Failed::from(format!("{verdict}\n{words}"))),
        }
        Ok(())
    });
    match skipped {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    }
}
