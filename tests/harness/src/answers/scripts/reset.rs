//! What a reset makes of what was in flight, and a CAS that resets the machine.

use super::{DIMM, as_it_is};
use crate::answers::bench::{Bench, Script};
use crate::device::{Family, Kind, VIRTIO};
use crate::qemu::command::{Firmware, Setup};
use crate::stop::Stop;
use paprika::log::Record;
use serde_json::json;

/// A core that is plugged, taken and then there after a reset.
pub const CORE_RESET: Script = Script {
    name: "core-reset",
    story: "a core comes, the guest starts it; then the machine is reset",
    append: "hold=idle#1 memtest=256m",
    arrange: as_it_is,
    play: core_reset,
};

fn core_reset(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.pass("idle")?;
    let core = bench.plug("core", Kind::Core)?;
    bench.settle(&core)?;
    bench.reset("idle")?;
    bench.settle(&core)?;
    bench.fate(&core);
    let ran = bench.all(|record| match record {
        Record::Thread { drc: Some(_), server, step, rc, .. } if step.0 == "run" && rc.0 == 0 => Some(server),
        _ => None,
    });
    bench.facts.note("threads that ran after the reset", ran);
    Ok(())
}

/// Events in the queue, and a request that the guest ignored, at a reset.
pub const QUEUE_RESET: Script = Script {
    name: "queue-reset",
    story: "a DIMM is asked for that the guest does not give back; then the sources are masked and a device of each kind \
            comes; then the machine is reset",
    append: "hold=idle#1 memtest=256m policy=remove:ignore",
    arrange: as_it_is,
    play: queue_reset,
};

fn queue_reset(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.pass("idle")?;
    let asked = bench.plug("asked", DIMM)?;
    bench.settle(&asked)?;
    bench.ask("asked")?;
    let before = bench.facts.text("asked: asked").unwrap_or_default().to_owned();
    bench.facts.note("request before the reset", before);
    bench.machine.order("mask")?;
    let mut devices = Vec::new();
    let heard = events(bench);
    for family in Family::ALL {
        devices.push(bench.plug(family.word(), family.kind())?);
    }
    bench.facts.note("plugged", devices.iter().flatten().count());
    bench.facts.note("heard before the reset", events(bench) - heard);
    let told = bench.machine.events().len();
    bench.reset("idle")?;
    bench.settle(&None)?;
    for device in &devices {
        bench.fate(device);
    }
    bench.facts.note("events after the reset", events(bench));
    bench.told("asked", told)
}

/// How many events the guest has read in this boot.
fn events(bench: &Bench<'_>) -> usize {
    bench.all(|record| matches!(record, Record::Event { .. }).then_some(())).len()
}

/// A CAS that SLOF cannot finish.
pub const CAS_RESET: Script = Script {
    name: "cas-reset",
    story: "under SLOF a host bridge with a function behind it comes before CAS; if the machine is reset by that, a DIMM \
            comes before the second CAS",
    append: "hold=before-cas#1,idle#1 memtest=256m",
    arrange: |setup: &mut Setup| setup.firmware = Firmware::Slof,
    play: cas_reset,
};
/// The same under VOF, where this QEMU has it.
pub const CAS_RESET_VOF: Script = Script {
    name: "cas-reset-vof",
    story: "the same under VOF",
    arrange: |setup: &mut Setup| setup.firmware = Firmware::Vof,
    ..CAS_RESET
};

fn cas_reset(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.hold("before-cas")?;
    bench.plug_with("bridge", Kind::Phb, &json!({ "index": 5 }))?;
    let behind = bench.plug_with("behind", Kind::Pci(VIRTIO), &json!({ "bus": "bridge.0" }))?;
    let boots = bench.machine.transcript().boots();
    let from = bench.machine.transcript().mark();
    bench.go()?;
    let next = bench.machine.wait("the next hold", |machine| {
        machine.transcript().entries_since(from).find_map(|entry| match entry.record {
            Record::Hold { station, .. } => Some(station.to_string()),
            _ => None,
        })
    })?;
    let mut dimm = None;
    if next == "before-cas" {
        dimm = bench.plug("dimm", DIMM)?;
        bench.go()?;
        bench.hold("idle")?;
    }
    bench.settle(&None)?;
    let resets = bench.machine.transcript().boots() - boots;
    bench.facts.note("resets by CAS", resets);
    bench.fate(&behind);
    bench.fate(&dimm);
    Ok(())
}
