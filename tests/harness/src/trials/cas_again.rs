//! CAS again in a life that goes on: with plugs and unplugs between, with other vectors, before the guest listens and after.

use crate::defects::{Step, explaining};
use crate::device::{self, Kind, LMB_BYTES};
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::scenario::{is_deletion, power_down};
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::trials::cas::cas;
use crate::trials::case::Case;
use crate::trials::hands::leave;
use crate::trials::seen::{all, content, identifiers, judged, negotiated, reach, sources};
use anyhow::{Context, Result, ensure};
use paprika::log::{Change, Learned, Outcome, Record, Request};
use paprika::papr::drc::DrcIndex;
use std::collections::BTreeMap;
use std::time::Duration;

/// The guest holds before its own CAS.
const EARLY: &str = "hold=before-cas#1,handler-armed memtest=256m";
/// It idles, and takes orders there.
const LATE: &str = "memtest=256m";
/// It calls CAS without the firmware, which is gone when it idles.
const LATE_HCALL: &str = "cas=hcall memtest=256m";
/// Where the tree says which memory blocks are the guest's.
const MEMORY: &str = "/ibm,dynamic-reconfiguration-memory";
const DIMM: Kind = Kind::Dimm(LMB_BYTES);
const FUNCTION: Kind = Kind::Pci("virtio-rng-pci");
/// The source of the older events, and that of the newer ones.
const EPOW: u64 = 0x1000;
const HOT_PLUG: u64 = 0x1001;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("cas-plugs-between", EARLY, between).under_slof(),
        Case::new("cas-plugs-between", EARLY, between),
        Case::new("cas-refused-with-a-plug", EARLY, around_a_refusal),
        Case::new("cas-late", LATE_HCALL, late),
        Case::new("cas-late-after-firmware", LATE, late),
        Case::new("cas-late-after-firmware", LATE, late).under_slof(),
        Case::new("cas-hp-evt-switched", LATE, switched),
        Case::new("cas-zeros-unplug", LATE, zeros),
        Case::new("cas-core-goes", "hold=before-cas#1", core_goes),
    ]
}

/// What the guest says it calls.
const CALL: &str = "ibm,client-architecture-support";

/// A core that no guest has started is asked back while CAS is on its way: QEMU stands, dies or hangs, as luck has it.
fn core_goes(machine: &mut Machine) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut hangs = false;
    let end = judged(machine, |run, machine| {
        device::plug(machine, "core", Kind::Core)?;
        machine.start()?;
        machine.wait_for_hold("before-cas", Mark::default())?;
        run.turn_to(Step::UnplugCoreInCas);
        // The guest says that it calls; nobody waits for the answer.
        let from = machine.transcript().mark();
        machine.say("cas")?;
        let calls = |record: &Record<'_>| matches!(record, Record::Firmware { why, .. } if why.0 == CALL);
        machine.wait_for_record("that it calls CAS", from, calls)?;
        device::unplug(machine, "core")?;
        let answer = |record: &Record<'_>| matches!(record, Record::CasAnswer { .. });
        let answered = |machine: &Machine| machine.transcript().says(from, answer).then_some(());
        hangs = machine.wait_within(PATIENCE, "the answer of CAS", answered)?.is_none();
        if hangs {
            return Err(Stop::Broken("CAS does not come back".into()));
        }
        machine.go()?;
        leave(run, machine)
    });
    match explaining(machine.version(), &[Step::UnplugCoreInCas]).filter(|_| hangs) {
        Some(defect) => eprintln!("note: XFAIL: it hangs: known defect ({})", defect.id),
        None => drop(end?),
    }
    Ok(())
}

/// How often the guest was told of each connector by a tree, and how often by an event.
fn told(machine: &Machine) -> BTreeMap<DrcIndex, (u32, u32)> {
    let mut told: BTreeMap<DrcIndex, (u32, u32)> = BTreeMap::new();
    let begins = all(machine, |record| match record {
        Record::Begin { drc, request: Request::Add, learned, .. } => Some((drc, learned)),
        _ => None,
    });
    for (drc, learned) in begins {
        let (trees, events) = told.entry(drc).or_default();
        *(if learned == Learned::Tree { trees } else { events }) += 1;
    }
    told
}

/// What becomes of a request about any connector of this device, from `from` on.
fn becomes(
    machine: &mut Machine,
    from: Mark,
    request: Request,
    by: Learned,
    wanted: Outcome,
) -> Result<DrcIndex, Stop> {
    machine.wait(&format!("that something is {wanted}, told by {by}"), |machine| {
        let mut begun = None;
        machine.transcript().entries_since(from).find_map(|entry| match entry.record {
            Record::Begin { drc, request: asked, learned, .. } if asked == request && learned == by => {
                begun = Some(drc);
                None
            }
            Record::Done { drc, request: asked, outcome, .. }
                if asked == request && begun == Some(drc) && outcome == wanted =>
            {
                Some(drc)
            }
            _ => None,
        })
    })
}

/// The last CAS tells of each device that is there, whatever came and went between those before it, and no event does.
fn between(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        reach(machine, "before-cas")?;
        run.turn_to(Step::Plug);
        for (words, id, kind) in [
            ("", "dimm", DIMM),
            ("ov5=-drmem-v2", "core", Kind::Core),
            ("ov5=00", "function", FUNCTION),
            ("ov5=+form2", "phb", Kind::Phb),
        ] {
            run.plug(machine, id, kind, "before-cas")?;
            cas(machine, words)?;
        }
        // It comes, is told by a tree, goes, and is told by none.
        device::plug(machine, "passing", DIMM)?;
        cas(machine, "")?;
        let from = machine.events().len();
        device::unplug(machine, "passing")?;
        cas(machine, "")?;
        machine.wait_for_event("the end of `passing`", from, |event| is_deletion(event, "passing"))?;
        device::clean_up(machine, "passing", DIMM)?;
        machine.go()?;
        machine.wait_for_hold("handler-armed", Mark::default())?;
        machine.go()?;
        run.wait_until_taken(machine)?;
        leave(run, machine)
    })?;
    if outcome.is_none() {
        return Ok(());
    }
    negotiated(machine)?;
    let told = told(machine);
    ensure!(told.values().all(|how| *how == (1, 0)), "told of: {told:?}");
    let memory = all(machine, |record| match record {
        Record::TreeDiff { node, change, .. } if node.0 == MEMORY => Some(change),
        _ => None,
    });
    // It comes with the first, is changed to the other form, goes, comes again, and is changed by what passes.
    let (changed, came, went) = (Change::Changed, Change::Came, Change::Went);
    let wanted = [came, changed, went, came];
    ensure!(memory.starts_with(&wanted) && memory.len() >= 6, "{MEMORY}: {memory:?}");
    Ok(())
}

/// What was plugged before a CAS that is refused is told by the one that works.
fn around_a_refusal(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        reach(machine, "before-cas")?;
        run.turn_to(Step::Plug);
        for (words, id) in [("pvr=end", "one"), ("form=count-low", "two"), ("form=beyond-end", "three")] {
            run.plug(machine, id, DIMM, "before-cas")?;
            let came = cas(machine, words)?;
            if came.well {
                return Err(Stop::Broken(format!("`cas {words}` is granted")));
            }
        }
        machine.go()?;
        machine.wait_for_hold("handler-armed", Mark::default())?;
        machine.go()?;
        run.wait_until_taken(machine)?;
        leave(run, machine)
    })?;
    let told = told(machine);
    ensure!(outcome.is_none() || told.values().all(|how| *how == (1, 0)), "told of: {told:?}");
    Ok(())
}

/// Waits until the guest idles.
fn idle(machine: &mut Machine) -> Result<(), Stop> {
    machine.start()?;
    machine.wait_for_record(
        "that the queue is empty",
        Mark::default(),
        |record| matches!(record, Record::Drain { call, .. } if call.0 == "check-exception"),
    )
}

/// Has the guest switch its sources off, so that no event is taken before CAS, and waits until it has: both of them.
fn mask(machine: &mut Machine) -> Result<(), Stop> {
    let from = machine.transcript().mark();
    machine.order("mask")?;
    machine.wait("that both sources are off", |machine| {
        let off = machine.transcript().entries_since(from);
        let off = off.filter(|entry| matches!(entry.record, Record::Irq { priority: 255, .. }));
        (off.count() == 2).then_some(())
    })
}

/// A guest that lives and calls CAS finds in the tree what came just before, and lets go of what was asked back: QEMU has ended
/// that by itself, and told of nothing. Events tell again of what comes and goes afterwards.
fn late(machine: &mut Machine) -> Result<()> {
    let kinds = [("dimm", DIMM), ("phb", Kind::Phb), ("function", FUNCTION)];
    let outcome = judged(machine, |run, machine| {
        idle(machine)?;
        run.turn_to(Step::Plug);
        mask(machine)?;
        for (id, kind) in kinds {
            let from = machine.transcript().mark();
            device::plug(machine, id, kind)?;
            cas(machine, "cas=hcall")?;
            becomes(machine, from, Request::Add, Learned::Tree, Outcome::Taken)?;
        }
        for (id, kind) in kinds {
            let (from, told) = (machine.transcript().mark(), machine.events().len());
            device::unplug(machine, id)?;
            cas(machine, "cas=hcall")?;
            becomes(machine, from, Request::Remove, Learned::Tree, Outcome::Released)?;
            machine.wait_for_event(&format!("the end of `{id}`"), told, |event| is_deletion(event, id))?;
            device::clean_up(machine, id, kind)?;
        }
        machine.order("arm")?;
        for (id, kind) in kinds {
            run.plug(machine, id, kind, "idle")?;
            run.wait_until_taken(machine)?;
            // What is in use already is not taken a second time.
            cas(machine, "cas=hcall")?;
        }
        for (id, _) in kinds {
            run.unplug(machine, id)?;
        }
        leave(run, machine)
    })?;
    // The bridge that is always there, and the others once each way.
    let told = told(machine);
    let mut how: Vec<_> = told.values().copied().collect();
    how.sort_unstable();
    ensure!(outcome.is_none() || how == [(1, 0), (1, 1), (1, 1), (1, 1)], "told of: {told:?}");
    Ok(())
}

/// Without HP_EVT a DIMM is told of by the older source and by its size alone, and QEMU does not ask it back; with it, all is as
/// it should be again. The guest switches by CAS alone.
fn switched(machine: &mut Machine) -> Result<()> {
    idle(machine)?;
    for (words, source, id) in [
        ("cas=hcall ov5=-hp-evt", EPOW, "count:1"),
        ("cas=hcall", HOT_PLUG, "count-indexed:1@"),
        ("cas=hcall ov5=-hp-evt", EPOW, "count:1"),
    ] {
        let came = cas(machine, words)?;
        ensure!(came.well, "{words}: {came:?}");
        let name = format!("dimm-{}", identifiers(machine, "memory", "add").len());
        let from = machine.transcript().mark();
        device::plug(machine, &name, DIMM)?;
        becomes(machine, from, Request::Add, Learned::Event, Outcome::Taken)?;
        let said = identifiers(machine, "memory", "add");
        ensure!(said.last().is_some_and(|said| said.starts_with(id)), "{words}: {said:?}");
        ensure!(sources(machine).contains(&source), "{words}: {:?}", sources(machine));
        let from = (machine.transcript().mark(), machine.events().len());
        match device::unplug(machine, &name) {
            Err(Stop::Qmp(QmpError::Refused { .. })) if source == EPOW => {}
            Ok(()) if source == HOT_PLUG => {
                becomes(machine, from.0, Request::Remove, Learned::Event, Outcome::Released)?;
                machine.wait_for_event("its end", from.1, |event| is_deletion(event, &name))?;
            }
            other => return Err(other.err().context("asking it back is not refused")?.into()),
        }
    }
    end(machine)
}

/// Vector 5 of zeroes looks to QEMU as if nobody had negotiated: it asks a DIMM back, by the older source, which it refuses to do
/// for a guest that has only left out HP_EVT.
fn zeros(machine: &mut Machine) -> Result<()> {
    idle(machine)?;
    ensure!(cas(machine, "cas=hcall")?.well, "the first CAS");
    let from = machine.transcript().mark();
    device::plug(machine, "dimm", DIMM)?;
    becomes(machine, from, Request::Add, Learned::Event, Outcome::Taken)?;
    let refusal = |machine: &mut Machine| match device::unplug(machine, "dimm") {
        Err(Stop::Qmp(QmpError::Refused { .. })) => Ok(true),
        Err(stop) => Err(stop),
        Ok(()) => Ok(false),
    };
    ensure!(cas(machine, "cas=hcall ov5=-hp-evt")?.well, "CAS without HP_EVT");
    ensure!(refusal(machine)?, "without HP_EVT a DIMM is asked back");
    let came = cas(machine, "cas=hcall ov5=00")?;
    ensure!(came.well && came.granted == "0000", "{came:?}");
    // The tree says nothing of memory blocks any more, so the guest keeps what it has.
    ensure!(came.tree.iter().any(|(node, change, _)| node == MEMORY && *change == Change::Went), "{came:?}");
    let (from, told) = (machine.transcript().mark(), machine.events().len());
    ensure!(!refusal(machine)?, "with zeroes a DIMM is not asked back");
    becomes(machine, from, Request::Remove, Learned::Event, Outcome::Released)?;
    machine.wait_for_event("the end of `dimm`", told, |event| is_deletion(event, "dimm"))?;
    ensure!(sources(machine).contains(&EPOW), "{:?}", sources(machine));
    end(machine)
}

/// Asks the guest to end, which it does in order and content.
fn end(machine: &mut Machine) -> Result<()> {
    power_down(machine)?;
    content(machine)
}
