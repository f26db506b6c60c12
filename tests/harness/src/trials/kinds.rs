//! The five kinds of devices, and host bridges with what is behind them.

use crate::defects::Step;
use crate::device::{self, Family, Kind, VIRTIO};
use crate::machine::Machine;
use crate::scenario::{HOLDS, Run, power_down};
use crate::stop::Stop;
use crate::trials::case::Case;
use crate::trials::hands::{ARMED, HOLD_ARMED, arm, leave, take};
use crate::trials::seen::{all, find, judged, negotiated, reach};
use anyhow::{Result, ensure};
use paprika::log::{Learned, Record, Request};
use serde_json::json;
use std::collections::BTreeSet;

const BEFORE_CAS: &str = "before-cas";

pub(crate) fn cases() -> Vec<Case> {
    let quick = format!("{HOLDS} memtest=64k");
    vec![
        Case::new("kinds-all", &quick, every_kind).under_slof(),
        Case::new("kinds-all", &quick, every_kind),
        Case::new("kinds-without-hp-evt", format!("{quick} ov5=-hp-evt"), every_kind),
        Case::new("phb-then-device", HOLD_ARMED, behind_a_new_bridge),
        Case::new("phb-with-device", HOLD_ARMED, with_what_is_behind),
        Case::new("phb-early", HOLDS, behind_an_early_bridge),
        Case::new("phb-while-leaving", HOLD_ARMED, while_the_last_one_leaves),
    ]
}

/// Each kind is plugged where the tree tells, and again where an event does; used, and taken away where QEMU can.
fn every_kind(machine: &mut Machine) -> Result<()> {
    let Some(report) = judged(machine, |run, machine| run.story(machine, Family::ALL))? else {
        return Ok(());
    };
    negotiated(machine)?;
    let kinds: BTreeSet<_> = report.devices.iter().map(|device| device.kind.connector().0).collect();
    ensure!(kinds.len() == Family::ALL.len(), "kinds: {kinds:?}");
    for device in &report.devices {
        let learned = all(machine, |record| match record {
            Record::Begin { drc, request: Request::Add, learned, .. } if device.connectors.contains(&drc) => {
                Some(learned)
            }
            _ => None,
        });
        let way = if device.window == BEFORE_CAS { Learned::Tree } else { Learned::Event };
        ensure!(learned == [way], "{}: {learned:?}", device.id);
    }
    Ok(())
}

/// Plugs a host bridge and a function behind it.
fn plug_both(run: &mut Run, machine: &mut Machine, window: &'static str) -> Result<(), Stop> {
    run.plug(machine, "phb", Kind::Phb, window)?;
    run.plug_with(machine, "behind", Kind::Pci(VIRTIO), window, &json!({ "bus": "phb.0" }))
}

/// The guest takes both; then the bridge is asked for, and what is behind it goes with it.
fn both_go(run: &mut Run, machine: &mut Machine) -> Result<(), Stop> {
    take(run, machine)?;
    run.turn_to(Step::UnplugPhb);
    run.unplug_together(machine, &["phb"], &["phb", "behind"])?;
    leave(run, machine)
}

/// A host bridge's own connectors can be used at once; the function goes first, then the bridge, and both come again.
fn behind_a_new_bridge(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        arm(run, machine)?;
        plug_both(run, machine, ARMED)?;
        take(run, machine)?;
        run.turn_to(Step::UnplugPci);
        run.unplug(machine, "behind")?;
        run.turn_to(Step::UnplugPhb);
        run.unplug(machine, "phb")?;
        run.turn_to(Step::Plug);
        run.plug(machine, "phb-again", Kind::Phb, "idle")?;
        run.plug_with(machine, "again", Kind::Pci(VIRTIO), "idle", &json!({ "bus": "phb-again.0" }))?;
        run.wait_until_taken(machine)?;
        run.turn_to(Step::UnplugPhb);
        run.unplug_together(machine, &["phb-again"], &["phb-again", "again"])?;
        leave(run, machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    let connectors: Vec<_> = report.devices.iter().map(|device| device.connectors.clone()).collect();
    ensure!(connectors[..2] == connectors[2..], "the second time on other connectors: {connectors:?}");
    // What is plugged behind a bridge is behind that bridge.
    let bridges = all(machine, |record| match record {
        Record::Pci { bridge, .. } => Some(bridge.0),
        _ => None,
    });
    let bridge = find(machine, "that it has a host bridge", |record| match record {
        Record::Phb { drc, bridge, .. } if connectors[0] == [drc] => Some(bridge.0),
        _ => None,
    })?;
    ensure!(bridges == [bridge, bridge], "functions behind {bridges:x?}, the bridge is {bridge:x}");
    Ok(())
}

/// Only the host bridge is asked for; what is behind it goes with it.
fn with_what_is_behind(machine: &mut Machine) -> Result<()> {
    judged(machine, |run, machine| {
        arm(run, machine)?;
        plug_both(run, machine, ARMED)?;
        both_go(run, machine)
    })?;
    Ok(())
}

/// Plugged before CAS both are in the tree.
fn behind_an_early_bridge(machine: &mut Machine) -> Result<()> {
    judged(machine, |run, machine| {
        reach(machine, BEFORE_CAS)?;
        run.turn_to(Step::Plug);
        plug_both(run, machine, BEFORE_CAS)?;
        machine.go()?;
        machine.wait_for_hold(ARMED, Default::default())?;
        both_go(run, machine)
    })?;
    Ok(())
}

/// A host bridge is plugged as soon as its connector is free, while QEMU still takes the last one of that index apart.
fn while_the_last_one_leaves(machine: &mut Machine) -> Result<()> {
    /// How often: whether QEMU survives it is a matter of luck.
    const ROUNDS: usize = 4;
    judged(machine, |run, machine| {
        reach(machine, ARMED)?;
        machine.go()?;
        for round in 0..ROUNDS {
            let id = format!("phb-{round}");
            let from = machine.transcript().mark();
            run.turn_to(Step::AfterPhb);
            let connectors = device::plug_with(machine, &id, Kind::Phb, &json!({ "index": 5 }))?;
            let done = |request| move |record: &Record<'_>| matches!(record, Record::Done { drc, request: r, .. } if connectors.contains(drc) && *r == request);
            machine.wait_for_record("that the bridge is taken", from, done.clone()(Request::Add))?;
            device::unplug(machine, &id)?;
            machine.wait_for_record("that the bridge is released", from, done(Request::Remove))?;
        }
        power_down(machine)
    })?;
    Ok(())
}
