//! Memory at size: DIMMs of many blocks, rows and gaps, nodes, and what comes of a part that cannot be taken.

use crate::case::Case;
use crate::hands::{ARMED, HOLD_ARMED, arm, leave, take};
use crate::seen::{all, judged, option, reach};
use anyhow::{Result, ensure};
use paprika::log::{Outcome, Record, Request};
use paprika::papr::drc::{DrcIndex, DrcKind};
use paprika_harness::defects::Step;
use paprika_harness::device::{self, Kind, LMB_BYTES};
use paprika_harness::machine::Machine;
use paprika_harness::qemu::command::Setup;
use paprika_harness::scenario::{HOLDS, Run};
use paprika_harness::stop::Stop;
use serde_json::json;

const BEFORE_CAS: &str = "before-cas";
/// One page of each block: gigabytes are plugged here, and the host is to keep its memory.
const SPARSE: &str = "memtest=256m";
/// Blocks of the DIMMs that are plugged one after the other.
const SIZES: [u64; 3] = [1, 4, 64];

pub(crate) fn cases() -> Vec<Case> {
    let nodes = |name: &str, more: &str| {
        Case::new(name, format!("{HOLDS} {SPARSE} {more}"), on_two_nodes).on(two_nodes)
    };
    vec![
        Case::new("dimms", format!("{HOLDS} {SPARSE}"), sizes).on(roomy).under_slof(),
        Case::new("dimms", format!("{HOLDS} {SPARSE}"), sizes).on(roomy),
        Case::new("dimms-without-drmem-v2", format!("{HOLDS} {SPARSE} ov5=-drmem-v2"), sizes).on(roomy),
        Case::new("dimms-without-hp-evt", format!("{HOLDS} {SPARSE} ov5=-hp-evt"), by_counts).on(roomy),
        Case::new("dimms-with-gaps", format!("{HOLD_ARMED} {SPARSE}"), gaps).on(roomy),
        nodes("nodes-form1", "ov5=-form2"),
        nodes("nodes-form2", "ov5=+form2"),
        Case::new("dimm-in-part", format!("{HOLD_ARMED} {SPARSE} policy=add:half:2@3"), in_part).on(roomy),
    ]
}

fn roomy(setup: &mut Setup) {
    setup.memory = "512M,slots=16,maxmem=64G".into();
}

/// Two nodes with memory of their own.
fn two_nodes(setup: &mut Setup) {
    setup.memory = "1G,slots=8,maxmem=8G".into();
    for node in ["0", "1"] {
        setup.extra.extend([
            "-object".to_owned(),
            format!("memory-backend-ram,id=node{node},size=512M"),
            "-numa".to_owned(),
            format!("node,nodeid={node},memdev=node{node}"),
        ]);
    }
}

/// The name of a DIMM of so many blocks.
fn name(window: &str, blocks: u64) -> String {
    format!("{}-{blocks}", if window == ARMED { "late" } else { "early" })
}

/// DIMMs of each size in a row, told of by the tree and by events; all of them go again, the largest first.
fn plug_and_unplug(run: &mut Run, machine: &mut Machine) -> Result<(), Stop> {
    reach(machine, BEFORE_CAS)?;
    run.turn_to(Step::Plug);
    for window in [BEFORE_CAS, ARMED] {
        if window == ARMED {
            machine.go()?;
            machine.wait_for_hold(ARMED, paprika_harness::transcript::Mark::default())?;
        }
        for blocks in SIZES {
            run.plug(machine, &name(window, blocks), Kind::Dimm(blocks * LMB_BYTES), window)?;
        }
    }
    take(run, machine)?;
    run.turn_to(Step::UnplugDimm);
    for window in [BEFORE_CAS, ARMED] {
        for blocks in SIZES.into_iter().rev() {
            run.unplug(machine, &name(window, blocks))?;
        }
    }
    leave(run, machine)
}

/// How the events named what is to be added.
fn identifiers(machine: &Machine) -> Vec<String> {
    all(machine, |record| match record {
        Record::Event { resource, action, id, .. } if resource.0 == "memory" && action.0 == "add" => {
            Some(id.to_string())
        }
        _ => None,
    })
}

fn sizes(machine: &mut Machine) -> Result<()> {
    let Some(report) = judged(machine, plug_and_unplug)? else { return Ok(()) };
    let blocks: usize = report.devices.iter().map(|device| device.connectors.len()).sum();
    ensure!(blocks as u64 == 2 * SIZES.iter().sum::<u64>(), "{blocks} connectors");
    let late = report.devices.iter().filter(|device| device.window == ARMED);
    let wanted: Vec<String> =
        late.map(|dimm| format!("count-indexed:{}@{}", dimm.connectors.len(), dimm.connectors[0])).collect();
    ensure!(identifiers(machine) == wanted, "{:?}, not {wanted:?}", identifiers(machine));
    Ok(())
}

/// Without the newer events only a count is told, the guest takes any blocks, and QEMU takes no DIMM back.
fn by_counts(machine: &mut Machine) -> Result<()> {
    let Some(report) = judged(machine, plug_and_unplug)? else { return Ok(()) };
    ensure!(option(machine, "hp-evt") == (0, 0), "hp-evt: {:?}", option(machine, "hp-evt"));
    ensure!(report.devices.iter().all(|device| device.refusal.is_some()), "QEMU took a DIMM back");
    let wanted = SIZES.map(|blocks| format!("count:{blocks}"));
    ensure!(identifiers(machine) == wanted, "{:?}, not {wanted:?}", identifiers(machine));
    Ok(())
}

/// A DIMM high up, one in the gap; the one in the middle goes, and a larger one takes its place.
fn gaps(machine: &mut Machine) -> Result<()> {
    const GIB: u64 = 1 << 30;
    let at = |address: u64| json!({ "addr": address });
    let outcome = judged(machine, |run, machine| {
        arm(run, machine)?;
        run.plug_with(machine, "low", Kind::Dimm(LMB_BYTES), ARMED, &at(GIB))?;
        run.plug_with(machine, "middle", Kind::Dimm(2 * LMB_BYTES), ARMED, &at(3 * GIB))?;
        run.plug_with(machine, "high", Kind::Dimm(4 * LMB_BYTES), ARMED, &at(8 * GIB))?;
        take(run, machine)?;
        run.turn_to(Step::UnplugDimm);
        run.unplug(machine, "middle")?;
        run.plug_with(machine, "larger", Kind::Dimm(16 * LMB_BYTES), "idle", &at(3 * GIB))?;
        run.wait_until_taken(machine)?;
        for id in ["low", "larger", "high"] {
            run.unplug(machine, id)?;
        }
        leave(run, machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    let firsts: Vec<DrcIndex> = report.devices.iter().map(|device| device.connectors[0]).collect();
    // An index says where the block is, in blocks.
    let wanted = [4, 12, 32, 12].map(|block| DrcIndex(0x8000_0000 + block));
    ensure!(firsts == wanted, "{firsts:?}");
    Ok(())
}

/// The guest finds each DIMM on the node that the host gave it.
fn on_two_nodes(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        reach(machine, BEFORE_CAS)?;
        run.turn_to(Step::Plug);
        for (window, suffix) in [(BEFORE_CAS, "early"), (ARMED, "late")] {
            if window == ARMED {
                machine.go()?;
                machine.wait_for_hold(ARMED, paprika_harness::transcript::Mark::default())?;
            }
            for node in [0, 1] {
                let id = format!("node{node}-{suffix}");
                run.plug_with(machine, &id, Kind::Dimm(2 * LMB_BYTES), window, &json!({ "node": node }))?;
            }
        }
        take(run, machine)?;
        run.turn_to(Step::UnplugDimm);
        run.unplug_all(machine)?;
        leave(run, machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    for device in &report.devices {
        let wanted: u32 = if device.id.starts_with("node1") { 1 } else { 0 };
        for connector in &device.connectors {
            let told = all(machine, |record| match record {
                Record::Numa { drc, node, .. } if drc == *connector => Some(node),
                _ => None,
            });
            ensure!(told.first() == Some(&Some(wanted)), "{} {connector}: {told:?}", device.id);
        }
    }
    let form2 = option(machine, "form2").1;
    let forms = all(machine, |record| match record {
        Record::Affinity { form, .. } => Some(form),
        _ => None,
    });
    ensure!(forms.last().copied() == Some(if form2 == 1 { 2 } else { 1 }), "form2 {form2}: {forms:?}");
    ensure!(option(machine, "form2").0 == form2, "asked {:?}", option(machine, "form2"));
    Ok(())
}

/// Of four blocks the third stops half way: what was taken is given back as far as the hypervisor lets it. It does not: a
/// block that nobody asked back is not isolated.
fn in_part(machine: &mut Machine) -> Result<()> {
    judged(machine, |run, machine| {
        arm(run, machine)?;
        device::plug(machine, "dimm", Kind::Dimm(4 * LMB_BYTES))?;
        machine.go()?;
        let tried = |record: &Record<'_>| matches!(record, Record::Problem { what, .. } if what.0 == "event");
        machine.wait_for_record("that a part could not be taken", Default::default(), tried)?;
        leave(run, machine)
    })?;
    let ends = all(machine, |record| match record {
        Record::Done { drc, request, outcome, .. } if drc.kind() == DrcKind::LMB => {
            Some((drc.0 & 0xf, request, outcome))
        }
        _ => None,
    });
    let (add, remove) = (Request::Add, Request::Remove);
    let wanted = [
        (4, add, Outcome::Taken),
        (5, add, Outcome::Taken),
        (6, add, Outcome::Stuck),
        (5, remove, Outcome::Kept),
        (4, remove, Outcome::Kept),
    ];
    ensure!(ends == wanted, "{ends:?}");
    Ok(())
}
