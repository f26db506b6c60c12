//! Resets at every station, with nothing in flight, with plugs, with unplugs, and with either half done.
//!
//! A tour is one QEMU and many boots. In each the guest comes to a station, the host acts there and resets the machine in one of
//! several ways, and the next boot is held against the properties: it knows which boot it is and where the last one
//! ended, nothing is left in the queue, what the tree gives reads cold-plugged and is used, and QEMU's lists agree.

use crate::defects::Step;
use crate::device::Kind::{self, Core, Dimm, Nvdimm, Pci, Phb};
use crate::device::{Family, LMB_BYTES, VIRTIO};
use crate::machine::Machine;
use crate::qemu::command::Setup;
use crate::scenario::power_down;
use crate::trials::case::Case;
use crate::trials::hands::{ARMED, HOLD_ARMED, arm, leave, poll};
use crate::trials::seen::{find, judged, reach};
use crate::trials::tour::{self, Act, Tour, Way};
use anyhow::{Result, ensure};
use paprika::log::Record;
use std::time::Duration;

/// Stations that the guest comes by in each boot.
const EARLY: [&str; 9] = [
    "client-interface-up",
    "before-cas",
    "after-cas",
    "tree-read",
    "rtas-up",
    "handler-installed",
    "handler-armed",
    "drained",
    "idle",
];
/// Stations on the way of a device that comes, with the visit: a plug that is half done.
const COMING: [(&str, u32); 7] = [
    ("draining", 1),
    ("event-taken", 1),
    ("before-step", 1),
    ("after-step", 1),
    ("after-step", 2),
    ("after-step", 3),
    ("after-step", 4),
];
/// The same for a device that goes.
const GOING: [(&str, u32); 5] =
    [("draining", 1), ("event-taken", 1), ("before-release", 1), ("after-step", 1), ("after-step", 2)];

pub(crate) fn cases() -> Vec<Case> {
    let all = |name: &str, play: fn(&mut Machine) -> Result<()>| {
        Case::new(format!("resets-{name}"), tour::arguments(), play).on(roomy)
    };
    let kind = |kind: Kind, name: &str| {
        Case::new(format!("resets-{name}"), tour::arguments(), move |machine| with(machine, kind)).on(roomy)
    };
    let mut cases = vec![
        all("by-order", |machine| at_all(machine, Way::Order)),
        all("by-qmp", |machine| at_all(machine, Way::Qmp)),
        all("by-watchdog", |machine| at_all(machine, Way::Watchdog)),
        all("by-panic", |machine| at_all(machine, Way::Panic)),
        all("under-slof", |machine| {
            let mut tour = Tour::start(machine)?;
            // Each boot takes seconds.
            tour.lap("after-cas", None, Way::Order)?;
            tour.lap("idle", Some(Act::Plug(Dimm(LMB_BYTES))), Way::Qmp)?;
            tour.end()
        })
        .under_slof(),
        kind(Dimm(2 * LMB_BYTES), Family::Memory.word()),
        kind(Pci(VIRTIO), Family::Pci.word()),
        kind(Phb, Family::Phb.word()),
        kind(Nvdimm(LMB_BYTES), Family::Pmem.word()),
        kind(Core, Family::Cpu.word()),
    ];
    cases.push(all("by-nobody", restarts));
    let xive = format!("{} ov5=+xive", tour::arguments());
    cases.push(Case::new("resets-by-nobody-xive", xive, restarts).on(roomy));
    cases.push(Case::new("watchdog-zero", HOLD_ARMED, watchdog_zero));
    cases.push(Case::new("watchdog-outlives", HOLD_ARMED, watchdog_outlives));
    // A core that is asked back kills some QEMUs at the reset: each has a QEMU of its own.
    for (station, visit) in
        [("before-cas", 1), ("handler-armed", 1), ("before-release", 1), ("after-step", 1)]
    {
        let play = move |machine: &mut Machine| {
            let mut tour = Tour::start(machine)?;
            tour.hold_one(Core)?;
            if EARLY.contains(&station) {
                tour.lap(station, Some(Act::Unplug), Way::Qmp)?;
            } else {
                tour.going(station, visit, Way::Qmp)?;
            }
            // What is left of a core shows when the next reset comes by.
            tour.lap("idle", None, Way::Qmp)?;
            tour.lap("idle", Some(Act::Plug(Dimm(LMB_BYTES))), Way::Order)?;
            tour.end()
        };
        let name = format!("resets-cpu-asked-{station}");
        cases.push(Case::new(name, tour::arguments(), play).on(roomy));
    }
    cases
}

/// Room for a device in every lap.
fn roomy(setup: &mut Setup) {
    setup.memory = "512M,slots=32,maxmem=16G".into();
    setup.cpus = "1,maxcpus=64".into();
    setup.machine = Some("nvdimm=on".into());
}

/// At every station, with nothing in flight.
fn at_all(machine: &mut Machine, way: Way) -> Result<()> {
    let mut tour = Tour::start(machine)?;
    for station in EARLY {
        tour.lap(station, None, way)?;
    }
    tour.end()
}

/// At every station with a device of this kind that comes, and with one that goes.
fn with(machine: &mut Machine, kind: Kind) -> Result<()> {
    let mut tour = Tour::start(machine)?;
    let ways = [Way::Qmp, Way::Order];
    for (at, station) in EARLY.into_iter().enumerate() {
        tour.lap(station, Some(Act::Plug(kind)), ways[at % 2])?;
        tour.clear()?;
    }
    for (at, (station, visit)) in COMING.into_iter().enumerate() {
        tour.coming(kind, station, visit, ways[at % 2])?;
        tour.clear()?;
    }
    // What no QEMU takes back, or not safely, is asked back elsewhere, or not at all.
    if !matches!(kind, Core | Nvdimm(_)) {
        for (at, station) in EARLY.into_iter().enumerate() {
            tour.hold_one(kind)?;
            tour.lap(station, Some(Act::Unplug), ways[(at + 1) % 2])?;
        }
        for (at, (station, visit)) in GOING.into_iter().enumerate() {
            tour.hold_one(kind)?;
            tour.going(station, visit, ways[at % 2])?;
        }
    }
    tour.end()
}

/// The guest begins anew without a reset, as by kexec, and has what it had; what comes meanwhile is heard by the next life.
fn restarts(machine: &mut Machine) -> Result<()> {
    let mut tour = Tour::start(machine)?;
    for kind in [Dimm(2 * LMB_BYTES), Pci(VIRTIO), Phb, Nvdimm(LMB_BYTES), Core] {
        tour.hold_one(kind)?;
    }
    tour.lap("idle", None, Way::Restart)?;
    tour.restart_and_take(Dimm(LMB_BYTES))?;
    tour.lap("idle", None, Way::Restart)?;
    tour.clear()?;
    tour.lap("idle", None, Way::Restart)?;
    tour.lap("idle", None, Way::Qmp)?;
    tour.end()
}

/// The guest starts a watchdog that there cannot be.
fn watchdog_zero(machine: &mut Machine) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        arm(run, machine)?;
        run.turn_to(Step::WatchdogZero);
        machine.order("watchdog 20@0")?;
        machine.order("dump")?;
        machine.go()?;
        leave(run, machine)
    })?;
    if outcome.is_some() {
        let answer = find(machine, "what came of the watchdog", |record| match record {
            Record::Problem { what, detail, .. } if what.0 == "watchdog" => Some(detail.to_string()),
            _ => None,
        })?;
        ensure!(answer == "H_P2", "H_WATCHDOG answers {answer}");
    }
    Ok(())
}

/// A watchdog that was started before a reset bites after it.
fn watchdog_outlives(machine: &mut Machine) -> Result<()> {
    reach(machine, ARMED)?;
    machine.order("watchdog 1500")?;
    // An order is done when the next one is answered; and a reset must not cut a line short.
    poll(machine)?;
    let boots = |number: u32| move |machine: &Machine| (machine.transcript().boots() >= number).then_some(());
    machine.reset()?;
    machine.wait("the second boot", boots(2))?;
    let third = machine.wait_within(Duration::from_secs(20), "the third boot", boots(3))?;
    ensure!(third.is_some(), "a reset has stopped the watchdog: FINDINGS.md says otherwise");
    machine.wait_for_hold(ARMED, machine.transcript().last_boot())?;
    machine.go()?;
    power_down(machine)?;
    Ok(())
}
