//! Boots the payload in real QEMUs, and looks at what the guest, QMP and QEMU's trace say.
//!
//! Each trial is named `<QEMU's version>/<firmware>/<what>`, so that `cargo test --test boots -- 7.2` or `-- vof/crash` picks
//! some. The QEMUs are those of [`matrix`]. A missing QEMU or a missing payload is a failure: silence is never success.

mod answers;
mod matrix;
mod terminal;

use libtest_mimic::{Failed, Trial};
use matrix::Place;
use paprika_harness::qemu::Qemu;
use paprika_harness::qemu::command::Setup;
use paprika_harness::trials::{self, Case, End};
use std::path::Path;
use std::time::Duration;

/// How long a boot may take, with room for a busy machine.
const LIMIT: Duration = Duration::from_secs(100);

fn main() {
    matrix::run_trials(trials)
}

/// All trials of one QEMU.
fn trials((version, qemu): (&str, &Qemu), payload: &Path, _: Place) -> Vec<Trial> {
    let trial = |case: Case| trial(case, version, Setup::new(qemu.clone(), payload.to_owned()));
    let by_hand = terminal::trial(version, qemu, payload);
    let answers = answers::trial(version, qemu, payload);
    trials::all().into_iter().map(trial).chain([answers, by_hand]).collect()
}

fn trial(case: Case, version: &str, setup: Setup) -> Trial {
    let name = format!("{version}/{}/{}", case.firmware().word(), case.name());
    Trial::test(name.clone(), move || match case.run(&setup, LIMIT, Box::new(|_| {})) {
        End::Well => Ok(()),
        End::Lacking(words) => {
            eprintln!("SKIP: {words} [{name}]");
            Ok(())
        }
        End::Wrong(problem) => Err(Failed::from(problem)),
    })
}
