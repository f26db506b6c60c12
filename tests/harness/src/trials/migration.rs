//! Migration: the machine moves into a second QEMU, wherever it is in its life and whatever is under way.
//!
//! QEMU 7.2 loses the decrementer on the way, and with it a guest that cedes; there the guests spin while they wait, and what
//! needs more than that is skipped. One trial is about that and nothing else.

use crate::defects::{self, Step};
use crate::device::{self, Kind, LMB_BYTES, VIRTIO};
use crate::machine::{Addition, Failure, Journey, Machine, Way, keep_awake};
use crate::qemu::Version;
use crate::scenario::{Run, Stage};
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::trials::case::Case;
use crate::trials::hands::{ARMED, arm, gone, leave, take};
use crate::trials::seen::{all, judged};
use anyhow::{Result, ensure};
use paprika::log::{Record, Request};
use std::time::Duration;

/// Memory is only a means, but its content has to come over.
const ARGUMENTS: &str = "memtest=1m";
const DIMM: Kind = Kind::Dimm(LMB_BYTES);
/// The first QEMU with `file:`.
const FILE_SINCE: Version = Version::new(8, 2, 0);
/// The stations of a boot, each of which the guest comes by without any device.
const TOUR: &str = "client-interface-up,before-cas,after-cas,tree-read,rtas-up,handler-installed,handler-armed,drained#1,idle#1";

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, holds: &str, play: fn(&mut Machine) -> Result<()>| {
        Case::new(format!("migrate-{name}"), format!("hold={holds} {ARGUMENTS}"), play).on(keep_awake)
    };
    let mut cases = vec![
        case("by-socket", ARMED, |machine| by_each_way(machine, Way::Socket)),
        case("by-command", ARMED, |machine| by_each_way(machine, Way::Command)),
        case("by-file", ARMED, |machine| {
            if machine.version() < FILE_SINCE {
                eprintln!("SKIP: QEMU {} migrates into no file by itself", machine.version());
                return Ok(());
            }
            by_each_way(machine, Way::File)
        }),
        case("tour", TOUR, tour),
        case("tour", TOUR, tour).under_slof(),
        case("queue", ARMED, queue),
        case("pending", ARMED, pending),
        case("order-same", ARMED, |machine| in_order(machine, |_| {})),
        case("order-other", ARMED, |machine| in_order(machine, Addition::turn_round)),
        case("in-vain", ARMED, in_vain),
        Case::new("migrate-decrementer", format!("hold={ARMED} memtest=1m"), decrementer),
    ];
    for (kind, name) in [(DIMM, "dimm"), (Kind::Core, "core"), (Kind::Pci(VIRTIO), "pci"), (Kind::Phb, "phb")]
    {
        for request in [Request::Add, Request::Remove] {
            for nth in 1..=2 {
                // Behind the second step a PCI function that goes is not the guest's any more.
                if (name, request, nth) == ("pci", Request::Remove, 2) {
                    continue;
                }
                let holds = format!("{ARMED}#1,after-step");
                let play = move |machine: &mut Machine| half_way(machine, kind, request, nth);
                let name = format!("migrate-half-{request}-{name}-{nth}");
                cases.push(Case::new(name, format!("hold={holds} {ARGUMENTS}"), play).on(keep_awake));
            }
        }
    }
    cases
}

/// Whether this QEMU lacks what a trial needs, which is said aloud.
fn loses_the_decrementer(machine: &Machine) -> bool {
    let loses = defects::loses_the_decrementer(machine.version());
    if loses {
        eprintln!(
            "SKIP: QEMU {} does not migrate the decrementer, so that the guest sleeps on",
            machine.version()
        );
    }
    loses
}

/// Moves the machine, and has the guest look around; nothing may be other than it was.
fn moved(machine: &mut Machine, journey: &Journey) -> Result<(), Stop> {
    machine.migrate(journey)?;
    look_around(machine)
}

/// The guest finds all as it was.
fn look_around(machine: &mut Machine) -> Result<(), Stop> {
    match machine.tell_of_move()? {
        0 => Ok(()),
        odd => Err(Stop::Broken(format!("{odd} things are not as they were"))),
    }
}

fn by(way: Way) -> Journey {
    Journey { way, ..Journey::default() }
}

/// A DIMM comes before the move, another after it; both are given back.
fn by_each_way(machine: &mut Machine, way: Way) -> Result<()> {
    judged(machine, |run, machine| {
        arm(run, machine)?;
        run.plug(machine, "before", DIMM, ARMED)?;
        take(run, machine)?;
        run.turn_to(Step::Migrate);
        moved(machine, &by(way))?;
        run.plug(machine, "after", DIMM, "idle")?;
        run.wait_until_taken(machine)?;
        run.turn_to(Step::UnplugDimm);
        run.unplug(machine, "before")?;
        run.unplug(machine, "after")?;
        leave(run, machine)
    })?;
    ensure!(machine.moves() == 1, "it has moved {} times", machine.moves());
    let away = all(machine, |record| match record {
        Record::Moved { away, .. } => Some(away),
        _ => None,
    });
    // It looks two thousand times a second.
    ensure!(away.iter().all(|ticks| *ticks > 512_000), "the guest did not notice: {away:?} ticks");
    Ok(())
}

/// Switches the sources off. An order is heard before it is obeyed, and the next one is heard behind that.
fn masked(machine: &mut Machine) -> Result<(), Stop> {
    machine.order("mask")?;
    machine.order("policy accept")
}

/// The next hold from a place on: the station, and the place behind it.
fn next_hold(machine: &Machine, from: Mark) -> Option<(Mark, String)> {
    machine.transcript().places_since(from).find_map(|(place, entry)| match entry.record {
        Record::Hold { station, .. } => Some((place, station.to_string())),
        _ => None,
    })
}

/// It moves at every station of a boot, and once more when it idles.
fn tour(machine: &mut Machine) -> Result<()> {
    let mut passed = Mark::default();
    judged(machine, |run, machine| {
        run.turn_to(Step::Migrate);
        machine.start()?;
        loop {
            let (place, station) = machine.wait("the next hold", |machine| next_hold(machine, passed))?;
            passed = place;
            moved(machine, &Journey::default())?;
            if station == "idle" {
                break;
            }
            machine.go()?;
        }
        machine.go()?;
        run.plug(machine, "dimm", DIMM, "idle")?;
        run.wait_until_taken(machine)?;
        leave(run, machine)
    })?;
    ensure!(machine.moves() >= 9, "it has moved {} times", machine.moves());
    Ok(())
}

/// Lets the guest go on, from hold to hold, until `done`.
fn go_on_until(
    machine: &mut Machine,
    from: Mark,
    mut done: impl FnMut(&Machine) -> bool,
) -> Result<(), Stop> {
    let mut passed = from;
    loop {
        let next = machine.wait("the end of a request", |machine| {
            if done(machine) { Some(None) } else { next_hold(machine, passed).map(Some) }
        })?;
        let Some((place, _)) = next else { return Ok(()) };
        passed = place;
        machine.go()?;
    }
}

/// Whether the guest is through with a request of this kind, from a place on.
fn is_done(machine: &Machine, from: Mark, wanted: Request) -> bool {
    let done = |record: &Record<'_>| matches!(record, Record::Done { request, .. } if *request == wanted);
    machine.transcript().says(from, done)
}

/// Lets the guest go on to its nth hold from a place on, and moves it there; then lets it come to the end of its request.
fn move_at_hold(machine: &mut Machine, from: Mark, nth: u32, request: Request) -> Result<(), Stop> {
    let mut passed = from;
    for hold in 1..=nth {
        (passed, _) = machine.wait("the next step on a connector", |machine| next_hold(machine, passed))?;
        if hold < nth {
            machine.go()?;
        }
    }
    moved(machine, &Journey::default())?;
    machine.go()?;
    go_on_until(machine, passed, |machine| is_done(machine, from, request))
}

/// Asks for a device back, and does not wait.
fn ask_back(run: &mut Run, machine: &mut Machine, id: &str) -> Result<(), Stop> {
    for device in run.devices.iter_mut().filter(|device| device.id == id) {
        device.stage = Stage::AskedBack;
    }
    device::unplug(machine, id)
}

/// A device has gone that was asked for, as QEMU says in an event from the `from`-th on.
fn is_back(run: &mut Run, machine: &mut Machine, id: &str, from: usize) -> Result<(), Stop> {
    for device in run.devices.iter_mut().filter(|device| device.id == id) {
        gone(machine, id, device.kind, from)?;
        device.stage = Stage::GivenBack;
    }
    Ok(())
}

/// It moves in the middle of a request: behind the nth step on the connector.
fn half_way(machine: &mut Machine, kind: Kind, request: Request, nth: u32) -> Result<()> {
    if loses_the_decrementer(machine) {
        return Ok(());
    }
    judged(machine, |run, machine| {
        arm(run, machine)?;
        run.plug(machine, "device", kind, ARMED)?;
        let from = machine.transcript().mark();
        machine.go()?;
        if request == Request::Add {
            run.turn_to(Step::Migrate);
            move_at_hold(machine, from, nth, Request::Add)?;
        }
        go_on_until(machine, from, |machine| is_done(machine, from, Request::Add))?;
        run.wait_until_taken(machine)?;

        run.turn_to(Step::unplug(kind));
        let (from, events) = (machine.transcript().mark(), machine.events().len());
        ask_back(run, machine, "device")?;
        if request == Request::Remove {
            run.turn_to(Step::Migrate);
            move_at_hold(machine, from, nth, Request::Remove)?;
        }
        go_on_until(machine, from, |machine| is_done(machine, from, Request::Remove))?;
        is_back(run, machine, "device", events)?;
        leave(run, machine)
    })?;
    ensure!(machine.moves() == 1, "it has moved {} times", machine.moves());
    Ok(())
}

/// The sources are masked while devices come; the events move with the machine, and are told there in their order.
fn queue(machine: &mut Machine) -> Result<()> {
    const QUEUED: [(&str, Kind); 4] =
        [("dimm", DIMM), ("core", Kind::Core), ("pci", Kind::Pci(VIRTIO)), ("second", DIMM)];
    judged(machine, |run, machine| {
        arm(run, machine)?;
        machine.go()?;
        masked(machine)?;
        for (id, kind) in QUEUED {
            run.plug(machine, id, kind, "idle")?;
        }
        run.turn_to(Step::Migrate);
        moved(machine, &Journey::default())?;
        let early = all(machine, |record| matches!(record, Record::Event { .. }).then_some(())).len();
        ensure_that(early == 0, || format!("{early} events were told before the move"))?;
        machine.order("arm")?;
        run.wait_until_taken(machine)?;
        for id in ["pci", "second", "dimm", "core"] {
            if id == "core" {
                run.turn_to(Step::UnplugCore);
            }
            run.unplug(machine, id)?;
        }
        leave(run, machine)
    })?;
    let told = all(machine, |record| match record {
        Record::Event { resource, action, .. } if action.0 == "add" => Some(resource.to_string()),
        _ => None,
    });
    ensure!(told == ["memory", "cpu", "pci", "memory"], "the events that moved: {told:?}");
    Ok(())
}

fn ensure_that(holds: bool, problem: impl FnOnce() -> String) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Broken(problem())) }
}

/// Devices are asked for and the guest does not hear of it; it does after the move, and they go.
fn pending(machine: &mut Machine) -> Result<()> {
    const ASKED: [(&str, Kind); 3] = [("dimm", DIMM), ("pci", Kind::Pci(VIRTIO)), ("core", Kind::Core)];
    if loses_the_decrementer(machine) {
        return Ok(());
    }
    judged(machine, |run, machine| {
        arm(run, machine)?;
        for (id, kind) in ASKED {
            run.plug(machine, id, kind, ARMED)?;
        }
        take(run, machine)?;
        masked(machine)?;
        let events = machine.events().len();
        for (id, kind) in ASKED {
            run.turn_to(Step::unplug(kind));
            ask_back(run, machine, id)?;
        }
        run.turn_to(Step::Migrate);
        moved(machine, &Journey::default())?;
        machine.order("arm")?;
        for (id, _) in ASKED {
            is_back(run, machine, id, events)?;
        }
        leave(run, machine)
    })?;
    Ok(())
}

/// DIMMs of several sizes, named on the other command line in this order; each has its place and its content.
fn in_order(machine: &mut Machine, arrange: fn(&mut [Addition])) -> Result<()> {
    const DIMMS: [(&str, Kind); 3] = [("small", DIMM), ("large", Kind::Dimm(2 * LMB_BYTES)), ("last", DIMM)];
    judged(machine, |run, machine| {
        arm(run, machine)?;
        for (id, kind) in DIMMS {
            run.plug(machine, id, kind, ARMED)?;
        }
        take(run, machine)?;
        run.turn_to(Step::Migrate);
        moved(machine, &Journey { arrange, ..Journey::default() })?;
        run.turn_to(Step::UnplugDimm);
        for (id, _) in DIMMS {
            run.unplug(machine, id)?;
        }
        leave(run, machine)
    })?;
    Ok(())
}

/// A migration is cancelled, the destination of another one dies: the guest goes on, with all that is queued.
fn in_vain(machine: &mut Machine) -> Result<()> {
    judged(machine, |run, machine| {
        arm(run, machine)?;
        run.plug(machine, "before", DIMM, ARMED)?;
        take(run, machine)?;
        masked(machine)?;
        run.plug(machine, "queued", DIMM, "idle")?;
        run.turn_to(Step::Migrate);
        for failure in [Failure::Cancelled, Failure::DestinationDies] {
            machine.migrate_in_vain(&Journey::default(), failure)?;
            look_around(machine)?;
        }
        machine.order("arm")?;
        run.wait_until_taken(machine)?;
        moved(machine, &Journey::default())?;
        run.turn_to(Step::UnplugDimm);
        for id in ["queued", "before"] {
            run.unplug(machine, id)?;
        }
        leave(run, machine)
    })?;
    Ok(())
}

/// A guest that has given the processor away until its decrementer expires.
fn decrementer(machine: &mut Machine) -> Result<()> {
    let mut wakes = false;
    judged(machine, |run, machine| {
        arm(run, machine)?;
        machine.go()?;
        machine.order("policy accept")?;
        run.turn_to(Step::Migrate);
        machine.migrate(&Journey::default())?;
        machine.say("dump")?;
        let from = machine.transcript().mark();
        let told = |machine: &Machine| {
            machine.transcript().says(from, |record| matches!(record, Record::Heap { .. })).then_some(())
        };
        wakes = machine.wait_within(Duration::from_secs(3), "the guest's answer", told)?.is_some();
        // An interrupt wakes it in any case.
        run.plug(machine, "dimm", DIMM, "idle")?;
        run.wait_until_taken(machine)?;
        leave(run, machine)
    })?;
    let keeps = !defects::loses_the_decrementer(machine.version());
    ensure!(wakes == keeps, "QEMU {}: wakes: {wakes}", machine.version());
    if !keeps {
        eprintln!("XFAIL: QEMU {} does not migrate the decrementer", machine.version());
    }
    Ok(())
}
