//! Memory at size: DIMMs of many blocks in a row, by the tree and by events of every form, and what comes of a part that
//! cannot be taken.

use crate::defects::Step;
use crate::device::{self, Kind, LMB_BYTES, MEMORY_LIST};
use crate::machine::Machine;
use crate::qemu::command::Setup;
use crate::qmp::Event;
use crate::race::settle::idles;
use crate::scenario::{HOLDS, Plugged, Run, is_end};
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::trials::case::Case;
use crate::trials::hands::{ARMED, HOLD_ARMED, arm, gone, leave, take};
use crate::trials::seen::{all, identifiers, judged, option, reach, sources};
use anyhow::{Result, anyhow, ensure};
use paprika::log::{Learned, Outcome, Record, Request, Verdict as GuestVerdict};
use paprika::papr::drc::{DrcIndex, DrcKind};
use paprika::papr::indicator::EntitySense;
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) const BEFORE_CAS: &str = "before-cas";
/// One page of each block: gigabytes are plugged here, and the host is to keep its memory.
pub(crate) const SPARSE: &str = "memtest=256m";
/// Blocks of the DIMMs that are plugged one after the other.
const SIZES: [u64; 3] = [1, 4, 64];
/// The interrupt of the source of warnings, as every QEMU at hand numbers it.
const EPOW_IRQ: u64 = 0x1000;
/// After the last of the five steps of the second block.
const BETWEEN: &str = "after-step#10";
/// After the second step of the third block: it can be used, and is not yet configured.
const WITHIN: &str = "after-step#12";
/// A DIMM of four blocks.
const FOUR: Kind = Kind::Dimm(4 * LMB_BYTES);

pub(crate) fn cases() -> Vec<Case> {
    let row = |name: &str, more: &str, v2: u8| {
        let play = move |machine: &mut Machine| sizes(machine, v2);
        Case::new(name, format!("{HOLDS} {SPARSE} {more}"), play).on(roomy)
    };
    let part = |name: &str, more: &str, play: fn(&mut Machine) -> Result<()>| {
        Case::new(name, format!("{HOLD_ARMED}{more}"), play).on(roomy)
    };
    vec![
        row("dimms", "", 1),
        row("dimms-without-drmem-v2", "ov5=-drmem-v2", 0),
        row("dimms", "", 1).under_slof(),
        Case::new("dimms-without-hp-evt", format!("{HOLDS} {SPARSE} ov5=-hp-evt"), by_counts).on(roomy),
        part("dimm-in-part", &format!(" {SPARSE} policy=add:half:2@3"), in_part),
        part("dimm-goes-between-blocks", &format!(",{BETWEEN} {SPARSE}"), between_blocks),
        part("dimm-goes-within-a-block", &format!(",{WITHIN} {SPARSE}"), within_a_block),
    ]
}

fn roomy(setup: &mut Setup) {
    setup.memory = "512M,slots=16,maxmem=64G".into();
}

/// Where QEMU has put each DIMM, by its id.
pub(crate) type Places = BTreeMap<String, u64>;

/// Asks QEMU where its DIMMs are.
pub(crate) fn places(machine: &mut Machine) -> Result<Places, Stop> {
    let listed = machine.execute(MEMORY_LIST, json!({}))?;
    let place = |device: &serde_json::Value| {
        let data = device.get("data")?;
        Some((data.get("id")?.as_str()?.to_owned(), data.get("addr")?.as_u64()?))
    };
    Ok(listed.as_array().into_iter().flatten().filter_map(place).collect())
}

/// The guest used each block of a DIMM at the address at which QEMU has it.
pub(crate) fn stands_there(machine: &Machine, dimm: &Plugged, places: &Places) -> Result<()> {
    let place = *places.get(&dimm.id).ok_or_else(|| anyhow!("QEMU does not list {}", dimm.id))?;
    let used: BTreeMap<DrcIndex, (u64, u64)> = dimm
        .entries(machine.transcript())
        .filter_map(|entry| match entry.record {
            Record::Memory { drc, base, size, .. } => Some((drc, (base.0, size.0))),
            _ => None,
        })
        .collect();
    for (connector, base) in dimm.connectors.iter().zip((place..).step_by(LMB_BYTES as usize)) {
        let found = used.get(connector);
        ensure!(found == Some(&(base, LMB_BYTES)), "{} {connector} at {base:#x}: used {found:x?}", dimm.id);
    }
    Ok(())
}

/// How the guest learned of each block, and what it sensed before it did anything: what the tree gives is there to use, what
/// an event tells of is not yet.
pub(crate) fn came_as_it_should(machine: &Machine, dimm: &Plugged) -> Result<()> {
    let wanted = match dimm.window {
        BEFORE_CAS => (Learned::Tree, EntitySense::PRESENT),
        _ => (Learned::Event, EntitySense::UNUSABLE),
    };
    let (mut learned, mut sensed) = (BTreeMap::new(), BTreeMap::new());
    for entry in dimm.entries(machine.transcript()) {
        match entry.record {
            Record::Begin { drc, learned: how, .. } => learned.entry(drc).or_insert(how),
            Record::Sense { drc, state, .. } => {
                sensed.entry(drc).or_insert(state);
                continue;
            }
            _ => continue,
        };
    }
    for connector in &dimm.connectors {
        let found = learned.get(connector).copied().zip(sensed.get(connector).copied());
        ensure!(found == Some(wanted), "{} {connector}: {found:?}, not {wanted:?}", dimm.id);
    }
    Ok(())
}

/// The name of a DIMM of so many blocks.
fn name(window: &str, blocks: u64) -> String {
    format!("{}-{blocks}", if window == ARMED { "late" } else { "early" })
}

/// DIMMs of each size in a row, told of by the tree and by events; all of them go again, the largest first.
fn plug_and_unplug(run: &mut Run, machine: &mut Machine, found: &mut Places) -> Result<(), Stop> {
    reach(machine, BEFORE_CAS)?;
    run.turn_to(Step::Plug);
    for window in [BEFORE_CAS, ARMED] {
        if window == ARMED {
            machine.go()?;
            machine.wait_for_hold(ARMED, Mark::default())?;
        }
        for blocks in SIZES {
            run.plug(machine, &name(window, blocks), Kind::Dimm(blocks * LMB_BYTES), window)?;
        }
    }
    take(run, machine)?;
    *found = places(machine)?;
    run.turn_to(Step::UnplugDimm);
    for window in [BEFORE_CAS, ARMED] {
        for blocks in SIZES.into_iter().rev() {
            run.unplug(machine, &name(window, blocks))?;
        }
    }
    leave(run, machine)
}

/// With either form of the list of blocks in the tree all comes to the same.
fn sizes(machine: &mut Machine, v2: u8) -> Result<()> {
    let mut places = Places::new();
    let outcome = judged(machine, |run, machine| plug_and_unplug(run, machine, &mut places))?;
    let Some(report) = outcome else { return Ok(()) };
    ensure!(option(machine, "drmem-v2") == (v2, v2), "drmem-v2: {:?}", option(machine, "drmem-v2"));
    // Memory that can come begins at 1 GiB, and an index says where its block is, in blocks.
    let mut next = 0x8000_0004;
    for dimm in &report.devices {
        let blocks = u32::try_from(dimm.connectors.len())?;
        let wanted: Vec<DrcIndex> = (next..next + blocks).map(DrcIndex).collect();
        ensure!(dimm.connectors == wanted, "{}: {:?}", dimm.id, dimm.connectors);
        next += blocks;
        stands_there(machine, dimm, &places)?;
        came_as_it_should(machine, dimm)?;
    }
    let identifier =
        |dimm: &Plugged| format!("count-indexed:{}@{}", dimm.connectors.len(), dimm.connectors[0]);
    let (early, late) = report.devices.split_at(SIZES.len());
    let added: Vec<String> = late.iter().map(identifier).collect();
    ensure!(identifiers(machine, "memory", "add") == added, "{:?}", identifiers(machine, "memory", "add"));
    let removed: Vec<String> = early.iter().rev().chain(late.iter().rev()).map(identifier).collect();
    let told = identifiers(machine, "memory", "remove");
    ensure!(told == removed, "{told:?}, not {removed:?}");
    Ok(())
}

/// Without the newer events only a count is told, by the source of warnings; the guest takes any blocks, and QEMU takes no
/// DIMM back.
fn by_counts(machine: &mut Machine) -> Result<()> {
    let mut places = Places::new();
    let outcome = judged(machine, |run, machine| plug_and_unplug(run, machine, &mut places))?;
    let Some(report) = outcome else { return Ok(()) };
    ensure!(option(machine, "hp-evt") == (0, 0), "hp-evt: {:?}", option(machine, "hp-evt"));
    ensure!(report.devices.iter().all(|device| device.refusal.is_some()), "QEMU took a DIMM back");
    let wanted = SIZES.map(|blocks| format!("count:{blocks}"));
    let told = identifiers(machine, "memory", "add");
    ensure!(told == wanted, "{told:?}, not {wanted:?}");
    ensure!(sources(machine) == [EPOW_IRQ].into(), "interrupts {:x?}", sources(machine));
    for dimm in &report.devices {
        stands_there(machine, dimm, &places)?;
        came_as_it_should(machine, dimm)?;
    }
    Ok(())
}

/// What became of each request about a block, in order: the last digit of its index, the request, the outcome.
fn ends(machine: &Machine) -> Vec<(u32, Request, Outcome)> {
    all(machine, |record| match record {
        Record::Done { drc, request, outcome, .. } if drc.kind() == DrcKind::LMB => {
            Some((drc.0 & 0xf, request, outcome))
        }
        _ => None,
    })
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
    let (add, remove) = (Request::Add, Request::Remove);
    let wanted = [
        (4, add, Outcome::Taken),
        (5, add, Outcome::Taken),
        (6, add, Outcome::Stuck),
        (5, remove, Outcome::Kept),
        (4, remove, Outcome::Kept),
    ];
    ensure!(ends(machine) == wanted, "{:?}", ends(machine));
    Ok(())
}

/// Four blocks come, and the host asks for them back while the guest takes them, at the station that it holds at.
fn asked_too_early(run: &mut Run, machine: &mut Machine) -> Result<Vec<DrcIndex>, Stop> {
    // The guest is to say that it could not do all of it.
    run.wanted = GuestVerdict::Fail;
    arm(run, machine)?;
    let connectors = device::plug(machine, "first", FOUR)?;
    machine.go()?;
    machine.wait_for_hold("after-step", Mark::default())?;
    run.turn_to(Step::UnplugDimm);
    device::unplug(machine, "first")?;
    machine.go()?;
    Ok(connectors)
}

/// The host wants the DIMM back when two of its blocks are taken: the others are gone before the guest gets there, and what
/// was taken is given back. It is all or nothing, and another DIMM can take the place.
fn between_blocks(machine: &mut Machine) -> Result<()> {
    let mut before = Vec::new();
    let outcome = judged(machine, |run, machine| {
        before = asked_too_early(run, machine)?;
        gone(machine, "first", FOUR, 0)?;
        run.turn_to(Step::Plug);
        run.plug(machine, "second", FOUR, "idle")?;
        run.wait_until_taken(machine)?;
        run.turn_to(Step::UnplugDimm);
        run.unplug(machine, "second")?;
        leave(run, machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    ensure!(report.devices[0].connectors == before, "the second is elsewhere");
    let (add, remove) = (Request::Add, Request::Remove);
    let wanted = [
        (4, add, Outcome::Taken),
        (5, add, Outcome::Taken),
        (6, add, Outcome::Failed),
        (5, remove, Outcome::Released),
        (4, remove, Outcome::Released),
    ];
    ensure!(ends(machine).starts_with(&wanted), "{:?}", ends(machine));
    Ok(())
}

/// The same when a third is on its way. To configure it tells QEMU that the guest keeps the DIMM, which takes its request back
/// for all blocks; but the fourth has lost its device. What was taken cannot be given back, and the next request is the end
/// of a QEMU that has not noticed.
fn within_a_block(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        asked_too_early(run, machine)?;
        let told = |event: &Event| is_end(event, "first");
        machine.wait_for_event("QEMU's word on `first`", 0, told)?;
        idles(machine)?;
        run.turn_to(Step::UnplugTorn);
        let events = machine.events().len();
        device::unplug(machine, "first")?;
        gone(machine, "first", FOUR, events)?;
        leave(run, machine)
    })?;
    let (add, remove) = (Request::Add, Request::Remove);
    let wanted = [
        (4, add, Outcome::Taken),
        (5, add, Outcome::Taken),
        (6, add, Outcome::Taken),
        (7, add, Outcome::Failed),
        (6, remove, Outcome::Kept),
        (5, remove, Outcome::Kept),
        (4, remove, Outcome::Kept),
    ];
    let lives = outcome.is_some();
    ensure!(lives || ends(machine).starts_with(&wanted), "{:?}", ends(machine));
    Ok(())
}
