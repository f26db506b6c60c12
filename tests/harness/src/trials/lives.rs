//! Whole lives: devices come, are used, and go.

use crate::defects::Step;
use crate::device::{Family, Kind, LMB_BYTES};
use crate::machine::Machine;
use crate::qemu::command::Setup;
use crate::scenario::{HOLDS, power_down};
use crate::trials::case::Case;
use crate::trials::hands::{ARMED, HOLD_ARMED, plugged_when_armed};
use crate::trials::seen::{all, find, judged, negotiated, option, reach};
use anyhow::{Context, Result, ensure};
use paprika::log::{Learned, Record};
use paprika::papr::drc::DrcKind;

/// CPUs that the payload must live on.
const CPUS: [&str; 3] = ["power8", "power9", "power10"];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("run", HOLDS, run),
        Case::new("256M", HOLDS, run).on(|setup| setup.memory = "256M".into()),
        Case::new("four-cpus", HOLDS, four_cpus).on(|setup| setup.cpus = "4,maxcpus=8".into()),
        Case::new("maxmem-1T", HOLDS, run).on(|setup| setup.memory = "512M,slots=8,maxmem=1T".into()),
        Case::new("initrd", "until=armed", initrd).on(with_ramdisk),
        Case::new("initrd", "until=armed", initrd).under_slof().on(with_ramdisk),
        Case::new("four-blocks", HOLD_ARMED, four_blocks),
        Case::new("shutdown", HOLD_ARMED, shutdown),
        Case::new("without-hp-evt", format!("{HOLD_ARMED} ov5=-hp-evt"), without_hp_evt),
        Case::new("without-drmem-v2", format!("{HOLDS} ov5=-drmem-v2"), without_drmem_v2),
        Case::new("dimm-after-core", HOLD_ARMED, dimm_after_core),
    ];
    cases.extend(CPUS.map(|cpu| {
        Case::new(format!("cpu-{cpu}"), HOLDS, run).on(move |setup| setup.cpu = Some(cpu.to_owned()))
    }));
    cases
}

/// What `paprika run` does, with what only a test asks.
fn run(machine: &mut Machine) -> Result<()> {
    lives(machine, 0)
}

/// The same on a machine that starts with so many cores beside the one that boots.
fn lives(machine: &mut Machine, further_cores: usize) -> Result<()> {
    let Some(report) = judged(machine, |run, machine| run.story(machine, Family::USUAL))? else {
        return Ok(());
    };
    negotiated(machine)?;
    for name in ["hp-evt", "drmem-v2", "drconf-memory"] {
        ensure!(option(machine, name) == (1, 1), "{name}: {:?}", option(machine, name));
    }
    let learned = all(machine, |record| match record {
        // Every machine starts with a PCI host bridge, which stands in the tree like the rest.
        Record::Begin { learned, kind, request: paprika::log::Request::Add, .. } if kind != DrcKind::PHB => {
            Some(learned)
        }
        _ => None,
    });
    let by = |way| learned.iter().filter(|learned| **learned == way).count();
    ensure!(
        (by(Learned::Tree), by(Learned::Event)) == (2 + further_cores, 2),
        "the guest learned by {learned:?}"
    );
    ensure!(report.devices.len() == 4, "{} devices", report.devices.len());
    Ok(())
}

/// The cores that are there from the start are in the tree, too, and run.
fn four_cpus(machine: &mut Machine) -> Result<()> {
    lives(machine, 3)?;
    let mut ran = all(machine, |record| match record {
        Record::Thread { server, step, rc, .. } if step.0 == "run" && rc.0 == 0 => Some(server),
        _ => None,
    });
    ran.sort_unstable();
    ensure!(ran == [1, 2, 3, 4, 5], "threads that ran: {ran:?}");
    Ok(())
}

/// Any file will do, and the payload is there.
fn with_ramdisk(setup: &mut Setup) {
    setup.initrd = Some(setup.payload.clone());
}

fn initrd(machine: &mut Machine) -> Result<()> {
    machine.start()?;
    crate::trials::seen::content(machine)?;
    let (start, size) = find(machine, "who booted it", |record| match record {
        Record::Boot { initrd, initrd_size, .. } => Some((initrd.0, initrd_size)),
        _ => None,
    })?;
    let command = machine.command();
    let path =
        command.split_once("-initrd ").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
    let real =
        std::fs::metadata(path.trim_matches('\'')).with_context(|| format!("the ramdisk `{path}`"))?.len();
    ensure!(start != 0 && size == real, "initrd at {start:#x} with {size} bytes of {real}");
    Ok(())
}

/// One DIMM on four connectors.
fn four_blocks(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        plugged_when_armed(run, machine, &[("dimm", Kind::Dimm(4 * LMB_BYTES))])?;
        run.turn_to(Step::UnplugDimm);
        run.unplug(machine, "dimm")?;
        power_down(machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    let connectors = report.devices.iter().map(|device| device.connectors.len()).sum::<usize>();
    ensure!(connectors == 4, "the DIMM hangs on {connectors} connectors");
    Ok(())
}

/// The host asks for an end, and the guest is told by an EPOW event.
fn shutdown(machine: &mut Machine) -> Result<()> {
    judged(machine, |_, machine| {
        reach(machine, ARMED)?;
        machine.go()?;
        power_down(machine)
    })?;
    let told = find(machine, "an EPOW event", |record| match record {
        Record::Event { class, action, .. } if class.0 == "epow" => Some(action.to_string()),
        _ => None,
    })?;
    ensure!(told.contains("shutdown"), "the event says {told}");
    Ok(())
}

/// Without the newer events everything comes by the EPOW source, with counts, and QEMU takes no DIMM back.
fn without_hp_evt(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        plugged_when_armed(run, machine, &[("dimm", Kind::Dimm(LMB_BYTES))])?;
        let from = machine.transcript().mark();
        run.plug(machine, "core", Kind::Core, "idle")?;
        machine.wait_for_record(
            "an interrupt",
            from,
            |record| matches!(record, Record::Interrupt { events, .. } if *events > 0),
        )?;
        run.wait_until_taken(machine)?;
        run.turn_to(Step::UnplugDimm);
        run.unplug(machine, "dimm")?;
        run.turn_to(Step::UnplugCore);
        run.unplug(machine, "core")?;
        run.turn_to(Step::PowerDown);
        power_down(machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    ensure!(option(machine, "hp-evt") == (0, 0), "hp-evt: {:?}", option(machine, "hp-evt"));
    let refused =
        report.devices.iter().find(|device| device.id == "dimm").and_then(|dimm| dimm.refusal.clone());
    ensure!(refused.is_some(), "QEMU took the DIMM back");
    let epow = find(machine, "its EPOW source", |record| match record {
        Record::Source { name, irq, .. } if name.0 == "epow-events" => Some(irq),
        _ => None,
    })?;
    let sources = all(machine, |record| match record {
        Record::Interrupt { irq: Some(irq), events, .. } if events > 0 => Some(irq),
        _ => None,
    });
    ensure!(
        !sources.is_empty() && sources.iter().all(|irq| *irq == epow),
        "events by {sources:?}, EPOW is {epow:?}"
    );
    let memory = find(machine, "an event for memory", |record| match record {
        Record::Event { resource, id, .. } if resource.0 == "memory" => Some(id.to_string()),
        _ => None,
    })?;
    ensure!(memory == "count:1", "memory was told of by {memory}");
    Ok(())
}

/// The older form of the memory node.
fn without_drmem_v2(machine: &mut Machine) -> Result<()> {
    if judged(machine, |run, machine| run.story(machine, Family::USUAL))?.is_none() {
        return Ok(());
    }
    ensure!(option(machine, "drmem-v2") == (0, 0), "drmem-v2: {:?}", option(machine, "drmem-v2"));
    let properties = find(machine, "the memory node", |record| match record {
        Record::TreeDiff { node, came, .. } if node.0 == "/ibm,dynamic-reconfiguration-memory" => {
            Some(came.to_string())
        }
        _ => None,
    })?;
    let names: Vec<&str> = properties.split(';').collect();
    ensure!(
        names.contains(&"ibm,dynamic-memory") && !names.contains(&"ibm,dynamic-memory-v2"),
        "the node has {properties}"
    );
    Ok(())
}

/// A DIMM that is plugged after a core went away: older QEMUs do not survive it.
fn dimm_after_core(machine: &mut Machine) -> Result<()> {
    judged(machine, |run, machine| {
        plugged_when_armed(run, machine, &[("core", Kind::Core)])?;
        run.turn_to(Step::UnplugCore);
        run.unplug(machine, "core")?;
        run.turn_to(Step::AfterCore);
        run.plug(machine, "dimm", Kind::Dimm(LMB_BYTES), "idle")?;
        run.wait_until_taken(machine)?;
        run.unplug(machine, "dimm")?;
        power_down(machine)
    })?;
    Ok(())
}
