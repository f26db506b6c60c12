//! Trials: stories of one boot that are more than a race, as CAS in all its forms, resets at every station, event sources,
//! interrupt controllers, devices at size. `paprika race --list` names them, `paprika race --only NAME` plays one.
//!
//! Each is a function of a machine that was set up for it; what it finds wrong is its error. A known defect of a QEMU passes,
//! and is told.

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
mod memory;
mod migration;
mod pci;
mod places;
mod pmem;
mod policies;
mod resets;
mod seen;
mod sources;
mod targets;
mod tour;
mod transitions;
mod vectors;

pub use case::{Case, End};

/// All of them, the longest first.
pub fn all() -> Vec<Case> {
    let cases = [
        resets::cases(),
        lives::cases(),
        kinds::cases(),
        pci::cases(),
        pmem::cases(),
        memory::cases(),
        places::cases(),
        cores::cases(),
        controllers::cases(),
        targets::cases(),
        migration::cases(),
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
    cases.into_iter().flatten().collect()
}

/// The trials of this name: one, or one for each firmware.
pub fn named(name: &str) -> Vec<Case> {
    all().into_iter().filter(|case| case.name() == name).collect()
}

#[cfg(test)]
mod tests {
    use super::{all, named};
    use crate::race::Scenario;
    use std::collections::BTreeSet;

    #[test]
    fn every_trial_has_a_name_of_its_own_under_its_firmware_and_none_is_that_of_a_race() {
        let all = all();
        let names: BTreeSet<String> = all.iter().map(|case| format!("{case:?}")).collect();
        assert_eq!(names.len(), all.len());
        for case in &all {
            assert!(!named(case.name()).is_empty() && Scenario::named(case.name()).is_none(), "{case:?}");
        }
    }
}
