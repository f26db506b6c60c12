//! CPUs at size: all cores that there can be, in any order, with threads, and again and again.

use crate::case::Case;
use crate::hands::{ARMED, HOLD_ARMED, arm, leave, take};
use crate::seen::{all, judged, reach};
use anyhow::{Result, ensure};
use paprika::log::Record;
use paprika_harness::defects::Step;
use paprika_harness::device::{self, Kind};
use paprika_harness::machine::Machine;
use paprika_harness::qemu::command::Setup;
use paprika_harness::scenario::is_deletion;
use serde_json::json;
use std::collections::BTreeSet;

/// All cores but the first, in an order that nobody would choose.
const ORDER: [u32; 7] = [5, 2, 7, 1, 6, 3, 4];
/// Some of them: there are gaps between.
const SPARSE: [u32; 3] = [6, 2, 4];
/// Threads of a core.
const THREADS: [u32; 3] = [2, 4, 8];
/// What a QEMU says that emulates cores of one thread only.
const NO_THREADS: &str = "TCG cannot support more than 1 thread/core";
/// How often a core comes and goes.
const ROUNDS: u32 = 3;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("all-cores", HOLD_ARMED, |machine: &mut Machine| in_order(machine, &ORDER)).under_slof(),
        Case::new("all-cores", HOLD_ARMED, |machine: &mut Machine| in_order(machine, &ORDER)),
        Case::new("cores-with-gaps", HOLD_ARMED, |machine: &mut Machine| in_order(machine, &SPARSE)),
        Case::new("core-again", HOLD_ARMED, again),
        Case::new("core-beyond-maxcpus", "hold=before-cas", beyond)
            .on(|setup| setup.cpus = "1,maxcpus=2".into()),
    ];
    cases.extend(THREADS.map(|threads| {
        let cpus = move |setup: &mut Setup| {
            setup.cpus = format!("{threads},threads={threads},maxcpus={}", 3 * threads);
        };
        let name = format!("threads-{threads}");
        Case::new(name, HOLD_ARMED, move |machine| smt(machine, threads)).on(cpus).unless(NO_THREADS)
    }));
    cases
}

/// The threads that ran on a stack of their own.
fn ran(machine: &Machine) -> BTreeSet<u32> {
    let servers = all(machine, |record| match record {
        Record::Thread { server, step, rc, .. } if step.0 == "run" && rc.0 == 0 => Some(server),
        _ => None,
    });
    servers.into_iter().collect()
}

/// Each time that threads came, all that there were worked, and the sum was right; how many there were.
fn worked(machine: &Machine) -> Result<Vec<u32>> {
    let works = all(machine, |record| match record {
        Record::Work { threads, sum, expected, .. } => Some((threads, sum == expected)),
        _ => None,
    });
    ensure!(works.iter().all(|(_, right)| *right), "a sum is wrong: {works:?}");
    Ok(works.into_iter().map(|(threads, _)| threads).collect())
}

/// Cores come in this order, work together, and go in the same order.
fn in_order(machine: &mut Machine, order: &[u32]) -> Result<()> {
    let name = |core: &u32| format!("core{core}");
    let outcome = judged(machine, |run, machine| {
        arm(run, machine)?;
        for core in order {
            run.plug_with(machine, &name(core), Kind::Core, ARMED, &json!({ "core-id": core }))?;
        }
        take(run, machine)?;
        run.turn_to(Step::UnplugCore);
        for core in order {
            run.unplug(machine, &name(core))?;
        }
        leave(run, machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    let indexes: Vec<u32> = report.devices.iter().map(|device| device.connectors[0].0 & 0xffff).collect();
    ensure!(indexes == order, "connectors {indexes:?}");
    ensure!(ran(machine) == order.iter().copied().collect(), "{:?}", ran(machine));
    let threads: Vec<u32> = (1..).take(order.len()).collect();
    ensure!(worked(machine)? == threads, "{:?} threads worked", worked(machine)?);
    Ok(())
}

/// A core comes, runs, and goes, time and again.
fn again(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        arm(run, machine)?;
        machine.go()?;
        for round in 0..ROUNDS {
            let id = format!("core-{round}");
            run.turn_to(Step::Plug);
            run.plug_with(machine, &id, Kind::Core, "idle", &json!({ "core-id": 1 }))?;
            run.wait_until_taken(machine)?;
            run.turn_to(Step::UnplugCore);
            run.unplug(machine, &id)?;
        }
        leave(run, machine)
    })?;
    if outcome.is_some() {
        ensure!(worked(machine)? == vec![1; ROUNDS as usize], "{:?} threads worked", worked(machine)?);
    }
    Ok(())
}

/// A core comes and goes before any guest could touch it, and comes once more: only one is ever there.
fn beyond(machine: &mut Machine) -> Result<()> {
    judged(machine, |run, machine| {
        reach(machine, "before-cas")?;
        for (id, step) in [("one", Step::Plug), ("two", Step::PlugBeyond)] {
            run.turn_to(step);
            device::plug(machine, id, Kind::Core)?;
            let gone =
                |machine: &Machine| machine.events().iter().any(|event| is_deletion(event, id)).then_some(());
            device::unplug(machine, id)?;
            machine.wait("the end of the core", gone)?;
        }
        machine.go()?;
        leave(run, machine)
    })?;
    Ok(())
}

/// Cores with several threads: those beside the boot thread run, and all of each core that comes.
fn smt(machine: &mut Machine, threads: u32) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        arm(run, machine)?;
        run.plug_with(machine, "one", Kind::Core, ARMED, &json!({ "core-id": threads }))?;
        run.plug_with(machine, "two", Kind::Core, ARMED, &json!({ "core-id": 2 * threads }))?;
        take(run, machine)?;
        run.turn_to(Step::UnplugCore);
        for id in ["two", "one"] {
            run.unplug(machine, id)?;
        }
        leave(run, machine)
    })?;
    if outcome.is_none() {
        return Ok(());
    }
    ensure!(ran(machine) == (1..3 * threads).collect(), "{:?}", ran(machine));
    let wanted = [threads - 1, 2 * threads - 1, 3 * threads - 1];
    ensure!(worked(machine)? == wanted, "{:?} threads worked", worked(machine)?);
    Ok(())
}
