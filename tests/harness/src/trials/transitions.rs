//! The state machine of the connectors: every call from every state, on a real QEMU.

use crate::device::Family;
use crate::machine::Machine;
use crate::transitions::{MEASURE, measure};
use crate::trials::case::Case;
use anyhow::{Result, ensure};

/// Calls in a table, from each state and for an index that belongs to no connector.
const CALLS: usize = 18;
/// States of a logical connector, and of a physical one, as PCI's.
const STATES: [usize; 2] = [4, 3];

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("transitions", MEASURE, every_call),
        Case::new("transitions", MEASURE, every_call).under_slof(),
    ]
}

fn every_call(machine: &mut Machine) -> Result<()> {
    let measured = measure(machine, Family::ALL, "this one".to_owned())?;
    ensure!(measured.lacking.is_empty() && measured.missing.is_empty(), "{measured:?}");
    let [logical, physical] = STATES.map(|states| (states + 1) * CALLS);
    ensure!(measured.cells.len() == 4 * logical + physical, "{} rows", measured.cells.len());
    let wrong: Vec<_> = measured.unexpected().collect();
    ensure!(wrong.is_empty(), "not what a correct hypervisor answers: {wrong:#?}");
    Ok(())
}
