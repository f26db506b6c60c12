//! PCI functions: several at once, many in one slot, behind a bridge, and such as do not fit.

use crate::defects::{Step, XHCI, sticky};
use crate::device::{self, E1000, Kind, VIRTIO};
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::scenario::{is_deletion, power_down};
use crate::stop::Stop;
use crate::trials::case::Case;
use crate::trials::hands::{ARMED, HOLD_ARMED, arm, leave, plugged_when_armed, poll, take};
use crate::trials::seen::{all, ends, find, judged, reach, told};
use anyhow::{Result, ensure};
use paprika::log::{Outcome, Record, Request, Verdict as GuestVerdict};
use serde_json::json;
use std::time::Duration;

/// A function with which nobody speaks, neither this guest nor any other.
const TEST_DEVICE: &str = "pci-testdev";
/// A bridge to another bus.
const BRIDGE: &str = "pci-bridge";

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("pci-multifunction", HOLD_ARMED, multifunction),
        Case::new("pci-several", HOLD_ARMED, several),
        Case::new("pci-bridge", HOLD_ARMED, bridge),
        Case::new("pci-e1000", HOLD_ARMED, e1000),
        Case::new("pci-no-driver", HOLD_ARMED, no_driver),
        Case::new("pci-xhci", HOLD_ARMED, xhci),
        Case::new("pci-no-room", HOLD_ARMED, no_room),
        Case::new("pci-occupied", HOLD_ARMED, occupied),
    ]
}

/// Nothing is told of the functions of a slot until function 0 is there, and they all go when it is asked for. The guest
/// hears of function 0 first when they come, and last when they go.
fn multifunction(machine: &mut Machine) -> Result<()> {
    const SLOT: &str = "5";
    let (mut before, mut after) = (None, None);
    let outcome = judged(machine, |run, machine| {
        arm(run, machine)?;
        for number in [2, 1, 0] {
            if number == 0 {
                before = Some(poll(machine)?);
            }
            let place = json!({ "addr": format!("{SLOT}.{number}"), "multifunction": true });
            run.plug_with(machine, &format!("f{number}"), Kind::Pci(VIRTIO), ARMED, &place)?;
        }
        take(run, machine)?;
        run.turn_to(Step::UnplugPci);
        device::unplug(machine, "f1")?;
        after = Some(poll(machine)?);
        run.unplug_together(machine, &["f0"], &["f0", "f1", "f2"])?;
        leave(run, machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    ensure!((before, after) == (Some(0), Some(0)), "events without function 0: {before:?}, {after:?}");
    let events = |action: &str| {
        all(machine, |record| match record {
            Record::Event { action: its, id, .. } if its.0 == action => Some(id.to_string()),
            _ => None,
        })
    };
    // The devices are listed as they were plugged: function 2, 1, 0.
    let connectors = report.devices.iter().flat_map(|device| device.connectors.clone());
    let ids: Vec<String> = connectors.map(|connector| format!("index:{connector}")).collect();
    ensure!(events("remove") == ids, "removed: {:?}", events("remove"));
    let backwards: Vec<String> = ids.iter().rev().cloned().collect();
    ensure!(events("add") == backwards, "added: {:?}", events("add"));
    Ok(())
}

/// Many functions whose events lie in the queue together, both ways.
fn several(machine: &mut Machine) -> Result<()> {
    let ids: Vec<String> = (0..6).map(|number| format!("pci-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    judged(machine, |run, machine| {
        let devices: Vec<_> = ids.iter().map(|id| (*id, Kind::Pci(VIRTIO))).collect();
        plugged_when_armed(run, machine, &devices)?;
        run.turn_to(Step::UnplugPci);
        run.unplug_together(machine, &ids, &ids)?;
        leave(run, machine)
    })?;
    let addresses = all(machine, |record| match record {
        Record::Bar { space, base: Some(base), .. } if space.0 == "memory64" => Some(base.0),
        _ => None,
    });
    let distinct: std::collections::BTreeSet<_> = addresses.iter().collect();
    ensure!(distinct.len() == ids.len() && addresses.len() == ids.len(), "addresses: {addresses:x?}");
    Ok(())
}

/// A bridge brings connectors of its own; what is behind it gets a bus and addresses there.
fn bridge(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        arm(run, machine)?;
        run.plug_with(machine, "bridge", Kind::Pci(BRIDGE), ARMED, &json!({ "chassis_nr": 1 }))?;
        let behind = json!({ "bus": "bridge", "addr": "2" });
        run.plug_with(machine, "behind", Kind::Pci(VIRTIO), ARMED, &behind)?;
        take(run, machine)?;
        run.turn_to(Step::UnplugPci);
        run.unplug(machine, "behind")?;
        run.unplug(machine, "bridge")?;
        leave(run, machine)
    })?;
    if outcome.is_none() {
        return Ok(());
    }
    let address = find(machine, "where the function behind the bridge is", |record| match record {
        Record::Pci { address, driver, .. } if driver.0 == "virtio" => Some(address.to_string()),
        _ => None,
    })?;
    ensure!(address == "01:02.0", "behind the bridge: {address}");
    Ok(())
}

/// A register with a known value is read back.
fn e1000(machine: &mut Machine) -> Result<()> {
    /// Full duplex, and the link is up.
    const UP: u64 = 3;
    comes_and_goes(machine, E1000, "e1000")?;
    let status = find(machine, "the status register", |record| match record {
        Record::Io { what, value, .. } if what.0 == "status" => Some(value.0),
        _ => None,
    })?;
    ensure!(status & UP == UP, "status: {status:#x}");
    Ok(())
}

/// A function that nobody speaks with is taken and given back all the same.
fn no_driver(machine: &mut Machine) -> Result<()> {
    comes_and_goes(machine, TEST_DEVICE, "none")
}

/// The same with a device that some QEMUs do not let go.
fn xhci(machine: &mut Machine) -> Result<()> {
    comes_and_goes(machine, XHCI, "none")
}

/// A function comes and goes; this guest's driver for it is `driver`.
fn comes_and_goes(machine: &mut Machine, model: &'static str, driver: &str) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        let kind = Kind::Pci(model);
        if sticky(machine.version(), kind).is_some() {
            run.patience = Duration::from_millis(500);
        }
        plugged_when_armed(run, machine, &[("function", kind)])?;
        run.turn_to(Step::UnplugPci);
        run.unplug(machine, "function")?;
        leave(run, machine)
    })?;
    if outcome.is_none() {
        return Ok(());
    }
    let drivers = all(machine, |record| match record {
        Record::Pci { driver, .. } => Some(driver.to_string()),
        _ => None,
    });
    ensure!(drivers == [driver], "drivers: {drivers:?}");
    Ok(())
}

/// A function with more memory than its host bridge has windows for: the guest says so and gives it back, and the host can
/// take it away without the guest.
fn no_room(machine: &mut Machine) -> Result<()> {
    const GIB: u64 = 1 << 30;
    machine.start()?;
    machine.wait_for_hold(ARMED, Default::default())?;
    let small = json!({ "mem_win_size": GIB / 2, "mem64_win_size": GIB / 2 });
    device::plug_with(machine, "phb", Kind::Phb, &small)?;
    device::add_object(machine, "memory-backend-ram", "shared", json!({ "size": GIB }))?;
    let place = json!({ "bus": "phb.0", "memdev": "shared" });
    let connectors = device::plug_with(machine, "huge", Kind::Pci("ivshmem-plain"), &place)?;
    machine.go()?;
    let failed = |record: &Record<'_>| matches!(record, Record::Done { drc, request: Request::Add, .. } if connectors.contains(drc));
    machine.wait_for_record("the guest's word on it", Default::default(), failed)?;
    device::unplug(machine, "huge")?;
    machine.wait_for_event("that it is gone", 0, |event| is_deletion(event, "huge"))?;
    power_down(machine)?;
    ends(machine, GuestVerdict::Fail)?;
    let (outcome, reason) = find(machine, "what became of it", |record| match record {
        Record::Done { drc, outcome, reason, .. } if connectors.contains(&drc) => {
            Some((outcome, reason.to_string()))
        }
        _ => None,
    })?;
    ensure!(outcome == Outcome::Failed && reason.contains("fits into no window"), "{outcome}: {reason}");
    let last = all(machine, |record| match record {
        Record::Transition { drc, after, .. } if connectors.contains(&drc) => Some(after.to_string()),
        _ => None,
    });
    ensure!(last.last().is_some_and(|state| state == "power-on"), "it is left {last:?}");
    Ok(())
}

/// A function is plugged where another one is: QEMU has to refuse.
fn occupied(machine: &mut Machine) -> Result<()> {
    let mut answer = None;
    let outcome = judged(machine, |run, machine| {
        reach(machine, ARMED)?;
        let place = |function: u8| json!({ "addr": format!("5.{function}"), "multifunction": true });
        run.turn_to(Step::Plug);
        run.plug_with(machine, "f1", Kind::Pci(VIRTIO), ARMED, &place(1))?;
        run.plug_with(machine, "f0", Kind::Pci(VIRTIO), ARMED, &place(0))?;
        take(run, machine)?;
        run.turn_to(Step::PlugOnOccupied);
        answer = match device::plug_with(machine, "other", Kind::Pci(VIRTIO), &place(1)) {
            Err(Stop::Qmp(QmpError::Refused { description, .. })) => Some(description),
            other => other.map(|_| None)?,
        };
        leave(run, machine)
    })?;
    ensure!(outcome.is_none() || answer.is_some(), "QEMU has two functions in one place");
    ensure!(outcome.is_none() || told(machine, "SHUTDOWN") == 1, "QEMU does not go on");
    Ok(())
}
