//! Boots the payload in real QEMUs, and looks at what the guest, QMP and QEMU's trace say.
//!
//! Each trial is named `<QEMU's version>/<firmware>/<what>`, so that `cargo test --test boots -- 7.2` or `-- vof/crash` picks
//! some. The QEMUs are those of [`matrix`]. A missing QEMU or a missing payload is a failure: silence is never success.

mod arguments;
mod case;
mod controllers;
mod cores;
mod endings;
mod hands;
mod kinds;
mod lives;
mod matrix;
mod memory;
mod pci;
mod pmem;
mod policies;
mod seen;
mod terminal;
mod transitions;
mod vectors;

use case::Case;
use libtest_mimic::{Arguments, Trial, run};
use paprika_harness::qemu::Qemu;
use std::path::Path;

fn main() {
    let arguments = Arguments::from_args();
    let trials = match (matrix::qemus(), matrix::payload()) {
        (Ok(qemus), Ok(payload)) => {
            qemus.iter().flat_map(|(name, qemu)| trials(name, qemu, &payload)).collect()
        }
        (qemus, payload) => {
            let problems = [qemus.err(), payload.err()].into_iter().flatten();
            problems.map(|problem| Trial::test("set-up", move || Err(problem.into()))).collect()
        }
    };
    run(&arguments, trials).exit()
}

/// All trials of one QEMU, the longest first.
fn trials(name: &str, qemu: &Qemu, payload: &Path) -> Vec<Trial> {
    let cases = [
        lives::cases(qemu),
        kinds::cases(),
        pci::cases(),
        pmem::cases(),
        memory::cases(),
        cores::cases(),
        controllers::cases(),
        policies::cases(),
        transitions::cases(),
        vectors::cases(),
        endings::cases(),
        arguments::cases(),
    ];
    let trial = |case: Case| case.into_trial(name, qemu, payload);
    let by_hand = terminal::trial(name, qemu, payload);
    cases.into_iter().flatten().map(trial).chain([by_hand]).collect()
}
