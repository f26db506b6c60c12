//! Boots the payload in real QEMUs, and looks at what the guest, QMP and QEMU's trace say.
//!
//! Each trial is named `<QEMU's version>/<firmware>/<what>`, so that `cargo test --test boots -- 7.2` or `-- vof/crash` picks
//! some. The QEMUs are those of [`matrix`]. A missing QEMU or a missing payload is a failure: silence is never success.

mod answers;
mod arguments;
mod buffers;
mod cas;
mod cas_again;
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
mod places;
mod pmem;
mod policies;
mod resets;
mod seen;
mod sources;
mod targets;
mod terminal;
mod tour;
mod transitions;
mod vectors;

use case::Case;
use libtest_mimic::Trial;
use paprika_harness::qemu::Qemu;
use std::path::Path;

fn main() {
    matrix::run_trials(trials)
}

/// All trials of one QEMU, the longest first.
fn trials(name: &str, qemu: &Qemu, payload: &Path) -> Vec<Trial> {
    let cases = [
        resets::cases(),
        lives::cases(qemu),
        kinds::cases(),
        pci::cases(),
        pmem::cases(),
        memory::cases(),
        places::cases(),
        cores::cases(),
        controllers::cases(),
        targets::cases(),
        policies::cases(),
        transitions::cases(),
        vectors::cases(),
        cas_again::cases(),
        cas::cases(),
        endings::cases(),
        buffers::cases(),
        sources::cases(),
        arguments::cases(),
    ];
    let trial = |case: Case| case.into_trial(name, qemu, payload);
    let by_hand = terminal::trial(name, qemu, payload);
    let answers = answers::trial(name, qemu, payload);
    cases.into_iter().flatten().map(trial).chain([answers, by_hand]).collect()
}
