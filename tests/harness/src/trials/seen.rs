//! What trials ask of what was seen: parsed records and QMP's events, never text.

use crate::checks;
use crate::machine::Machine;
use crate::render::{Colour, report};
use crate::scenario::{self, Run};
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::verdict::{Finding, Verdict};
use anyhow::{Result, anyhow, ensure};
use paprika::log::{Record, Verdict as GuestVerdict};
use std::collections::BTreeSet;

/// The first record that `pick` picks something from, or an error that names it.
pub(crate) fn find<T>(machine: &Machine, what: &str, pick: impl FnMut(Record<'_>) -> Option<T>) -> Result<T> {
    all(machine, pick).into_iter().next().ok_or_else(|| anyhow!("the guest never says {what}"))
}

/// All that `pick` picks from the records.
pub(crate) fn all<T>(machine: &Machine, mut pick: impl FnMut(Record<'_>) -> Option<T>) -> Vec<T> {
    machine.transcript().entries().filter_map(|entry| pick(entry.record)).collect()
}

/// How often QEMU told of this.
pub(crate) fn told(machine: &Machine, event: &str) -> usize {
    machine.events().iter().filter(|told| told.name == event).count()
}

/// What was asked and granted of an option of vector 5; zeros where the guest does not name it.
pub(crate) fn option(machine: &Machine, wanted: &str) -> (u8, u8) {
    let options = all(machine, |record| match record {
        Record::CasOption { name, asked, granted } if name.0 == wanted => Some((asked, granted)),
        _ => None,
    });
    options.last().copied().unwrap_or_default()
}

/// How the events named what is to be added or removed, in order.
pub(crate) fn identifiers(machine: &Machine, wanted: &str, what: &str) -> Vec<String> {
    all(machine, |record| match record {
        Record::Event { resource, action, id, .. } if resource.0 == wanted && action.0 == what => {
            Some(id.to_string())
        }
        _ => None,
    })
}

/// The interrupts that came.
pub(crate) fn sources(machine: &Machine) -> BTreeSet<u64> {
    let interrupts = all(machine, |record| match record {
        Record::Interrupt { irq, .. } => irq.map(|irq| irq.0),
        _ => None,
    });
    interrupts.into_iter().collect()
}

/// The log is whole.
pub(crate) fn whole(machine: &Machine) -> Result<()> {
    let problems: Vec<Finding> = checks::of_log(machine.transcript(), true)
        .into_iter()
        .filter(|finding| finding.verdict != Verdict::Pass)
        .collect();
    ensure!(problems.is_empty(), "{problems:?}");
    Ok(())
}

/// The guest lived to its last line and is content, and has powered QEMU off.
pub(crate) fn content(machine: &mut Machine) -> Result<()> {
    ends(machine, GuestVerdict::Pass)
}

/// The guest lived to its last line, with this verdict, and has powered QEMU off.
pub(crate) fn ends(machine: &mut Machine, wanted: GuestVerdict) -> Result<()> {
    let exit = machine.wait_for_end()?;
    ensure!(exit.success(), "QEMU {exit}");
    whole(machine)?;
    let verdict = find(machine, "its last line", |record| match record {
        Record::End { verdict, .. } => Some(verdict),
        _ => None,
    })?;
    ensure!(verdict == wanted, "the guest's verdict is {verdict}");
    let by_guest = |event: &&crate::qmp::Event| {
        event.name == "SHUTDOWN" && event.text("reason") == Some("guest-shutdown")
    };
    ensure!(machine.events().iter().any(|event| by_guest(&event)), "no SHUTDOWN by the guest");
    ensure!(told(machine, "GUEST_PANICKED") == 0, "GUEST_PANICKED");
    Ok(())
}

/// CAS was answered well.
pub(crate) fn negotiated(machine: &Machine) -> Result<()> {
    let answer = find(machine, "what CAS answered", |record| match record {
        Record::CasAnswer { catch, result, granted } => Some((catch.0, result.0, granted.is_some())),
        _ => None,
    })?;
    ensure!(answer == (0, 0, true), "CAS answered {answer:?}");
    Ok(())
}

/// Plays a story and holds every property against it; nothing more is to be asked where a known defect ended it.
pub(crate) fn judged(
    machine: &mut Machine,
    story: impl FnOnce(&mut Run, &mut Machine) -> Result<(), Stop>,
) -> Result<Option<scenario::Report>> {
    let outcome = scenario::play(machine, story);
    let passes = outcome.verdict.exit_status() == 0 || outcome.verdict == Verdict::Skip;
    ensure!(passes, "{}", report(&outcome, machine.transcript(), Colour::Off));
    let news = [Verdict::ExpectedFail, Verdict::UnexpectedPass];
    for finding in outcome.findings.iter().filter(|finding| news.contains(&finding.verdict)) {
        eprintln!("note: {finding}");
    }
    Ok(Some(outcome).filter(|outcome| outcome.verdict != Verdict::ExpectedFail))
}

/// Waits until the guest holds at the station that it was told to hold at.
pub(crate) fn reach(machine: &mut Machine, station: &str) -> Result<(), Stop> {
    machine.start()?;
    machine.wait_for_hold(station, Mark::default())
}
