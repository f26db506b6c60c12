//! Cores at size: all that there can be, in any order and with gaps, with several threads, and the same one again.

use crate::defects::Step;
use crate::device::{self, Kind};
use crate::machine::Machine;
use crate::qemu::command::Setup;
use crate::scenario::{HOLDS, Run, is_deletion};
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::trials::case::Case;
use crate::trials::hands::{ARMED, HOLD_ARMED, arm, leave, take};
use crate::trials::memory::BEFORE_CAS;
use crate::trials::seen::{all, identifiers, judged, option, reach, sources};
use anyhow::{Result, ensure};
use paprika::log::{Learned, Record, Request};
use paprika::papr::drc::{DrcIndex, DrcKind};
use serde_json::json;
use std::collections::BTreeSet;
use std::ops::Range;

/// All cores but the first, in an order that nobody would choose. Two of them come before CAS.
const ORDER: [u32; 7] = [5, 2, 7, 1, 6, 3, 4];
/// Some of them: there are gaps between.
const SPARSE: [u32; 4] = [6, 3, 2, 4];
/// How many come before CAS.
const EARLY: usize = 2;
/// The interrupt of the source of hotplug events, as every QEMU at hand numbers it.
const HOT_PLUG_IRQ: u64 = 0x1001;
/// Threads of a core.
const THREADS: [u32; 3] = [2, 4, 8];
/// What a QEMU says that emulates cores of one thread only.
const NO_THREADS: &str = "TCG cannot support more than 1 thread/core";
/// How often a core comes and goes.
const ROUNDS: u32 = 3;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("all-cores", HOLDS, |machine: &mut Machine| in_order(machine, &ORDER, 1)).under_slof(),
        Case::new("all-cores", HOLDS, |machine: &mut Machine| in_order(machine, &ORDER, 1)),
        Case::new("cores-with-gaps", HOLDS, |machine: &mut Machine| in_order(machine, &SPARSE, 1)),
        Case::new("cores-without-hp-evt", format!("{HOLDS} ov5=-hp-evt"), |machine: &mut Machine| {
            in_order(machine, &SPARSE, 0)
        }),
        Case::new("core-again", HOLD_ARMED, again),
        Case::new("core-beyond-maxcpus", "hold=before-cas", beyond)
            .on(|setup| setup.cpus = "1,maxcpus=2".into()),
    ];
    cases.extend(THREADS.map(|threads| {
        let cpus = move |setup: &mut Setup| {
            setup.cpus = format!("{threads},threads={threads},maxcpus={}", 4 * threads);
        };
        let play = move |machine: &mut Machine| smt(machine, threads);
        Case::new(format!("threads-{threads}"), HOLDS, play).on(cpus).unless(NO_THREADS)
    }));
    cases
}

/// The connector of the core with this id, on a machine whose threads have as many numbers as there are.
const fn connector(core: u32) -> DrcIndex {
    DrcIndex(0x1000_0000 | core)
}

/// The threads that took this step with success, those of one core or of all.
fn threads(machine: &Machine, wanted: &str, core: Option<DrcIndex>) -> BTreeSet<u32> {
    let servers = all(machine, |record| match record {
        Record::Thread { drc, server, step, rc, .. } if step.0 == wanted && rc.0 == 0 => {
            (core.is_none() || drc == core).then_some(server)
        }
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

/// How the guest learned of each core that it took, in order.
fn learned(machine: &Machine) -> Vec<(DrcIndex, Learned)> {
    all(machine, |record| match record {
        Record::Begin { drc, kind: DrcKind::CPU, request: Request::Add, learned, .. } => Some((drc, learned)),
        _ => None,
    })
}

/// Plugs these cores, the first [`EARLY`] of them before CAS and the others when the handler is armed.
fn plug(run: &mut Run, machine: &mut Machine, order: &[u32]) -> Result<(), Stop> {
    reach(machine, BEFORE_CAS)?;
    run.turn_to(Step::Plug);
    let (early, late) = order.split_at(EARLY.min(order.len()));
    for (window, cores) in [(BEFORE_CAS, early), (ARMED, late)] {
        for core in cores {
            run.plug_with(machine, &name(*core), Kind::Core, window, &json!({ "core-id": core }))?;
        }
        if window == BEFORE_CAS {
            machine.go()?;
            machine.wait_for_hold(ARMED, Mark::default())?;
        }
    }
    take(run, machine)
}

fn name(core: u32) -> String {
    format!("core{core}")
}

/// Cores come in this order, work together, and go in the same order. With and without the newer events each is told of by its
/// own index.
fn in_order(machine: &mut Machine, order: &[u32], hp_evt: u8) -> Result<()> {
    let mut connectors = Vec::new();
    let outcome = judged(machine, |run, machine| {
        plug(run, machine, order)?;
        connectors = run.devices.iter().map(|device| device.connectors[0]).collect();
        run.turn_to(Step::UnplugCore);
        for core in order {
            run.unplug(machine, &name(*core))?;
        }
        leave(run, machine)
    })?;
    let wanted: Vec<DrcIndex> = order.iter().copied().map(connector).collect();
    ensure!(connectors == wanted, "connectors {connectors:?}");
    ensure!(option(machine, "hp-evt") == (hp_evt, hp_evt), "hp-evt: {:?}", option(machine, "hp-evt"));
    let servers: BTreeSet<u32> = order.iter().copied().collect();
    ensure!(threads(machine, "run", None) == servers, "{:?} ran", threads(machine, "run", None));
    let many: Vec<u32> = (1..).take(order.len()).collect();
    ensure!(worked(machine)? == many, "{:?} threads worked", worked(machine)?);

    // In the tree cores stand in an order of the hypervisor's own.
    let learned = learned(machine);
    let by = |how| learned.iter().filter(|(_, by)| *by == how).map(|(drc, _)| *drc).collect::<Vec<_>>();
    let (early, late) = wanted.split_at(EARLY);
    let tree: BTreeSet<DrcIndex> = by(Learned::Tree).into_iter().collect();
    ensure!(tree == early.iter().copied().collect(), "by the tree: {tree:?}");
    ensure!(by(Learned::Event) == late, "by events: {:?}", by(Learned::Event));
    let indexes = |drcs: &[DrcIndex]| drcs.iter().map(|drc| format!("index:{drc}")).collect::<Vec<_>>();
    let added = identifiers(machine, "cpu", "add");
    ensure!(added == indexes(late), "{added:?}, not {:?}", indexes(late));

    if outcome.is_some() {
        let removed = identifiers(machine, "cpu", "remove");
        ensure!(removed == indexes(&wanted), "{removed:?}, not {:?}", indexes(&wanted));
        ensure!(threads(machine, "stop", None) == servers, "{:?} stopped", threads(machine, "stop", None));
        // Without the newer events there is only the source of warnings.
        ensure!(
            sources(machine).contains(&HOT_PLUG_IRQ) == (hp_evt == 1),
            "interrupts {:x?}",
            sources(machine)
        );
    }
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

/// Cores with several threads, one of them before CAS, none where the first gap is: all threads of each core run, those beside
/// the boot thread, too, under the connector of their core.
fn smt(machine: &mut Machine, width: u32) -> Result<()> {
    let order = [3, 1, 2].map(|core| core * width);
    let servers = |core: u32| -> Range<u32> { core..core + width };
    let outcome = judged(machine, |run, machine| {
        plug(run, machine, &order)?;
        run.turn_to(Step::UnplugCore);
        for core in order {
            run.unplug(machine, &name(core))?;
        }
        leave(run, machine)
    })?;
    for core in order {
        let ran = threads(machine, "run", Some(connector(core)));
        ensure!(ran == servers(core).collect(), "core {core}: {ran:?} ran");
        if outcome.is_some() {
            let stopped = threads(machine, "stop", Some(connector(core)));
            ensure!(stopped == ran, "core {core}: {stopped:?} stopped");
        }
    }
    let beside = threads(machine, "run", Some(connector(0)));
    ensure!(beside == (1..width).collect(), "beside the boot thread: {beside:?}");
    let wanted = [1, 2, 3, 4].map(|cores| cores * width - 1);
    ensure!(worked(machine)? == wanted, "{:?} threads worked", worked(machine)?);
    Ok(())
}
