//! Event sources: which events come, in which order and by which interrupt, how many pulses become how many interrupts, and
//! how an interrupt that got lost is found again.
//!
//! Events that cost nothing are made by asking for a core again and again that a guest in bad manners does not give. Each log
//! bears a number of its own (the platform log identifier), so that order and completeness can be told although all look alike.

use crate::defects::Step;
use crate::device::{self, Kind};
use crate::machine::Machine;
use crate::qemu::command::Setup;
use crate::race::settle::idles;
use crate::scenario::Run;
use crate::stop::Stop;
use crate::trace;
use crate::transcript::Mark;
use crate::trials::buffers::{classes, warn};
use crate::trials::case::Case;
use crate::trials::hands::leave;
use crate::trials::seen::{all, identifiers, judged};
use anyhow::{Context, Result, anyhow, ensure};
use paprika::log::Record;
use std::time::Duration;

/// The interrupts of the two sources, as every QEMU at hand numbers them.
const EPOW_IRQ: u64 = 0x1000;
const HOT_PLUG_IRQ: u64 = 0x1001;
/// Cores to be asked for in turn.
const CORES: [&str; 4] = ["core-1", "core-2", "core-3", "core-4"];
/// The events by which these come.
const COMING: usize = CORES.len();
/// Holds with the handler armed, and when what came then has been taken; tells each log's number.
const HOLDS: &str = "hold=handler-armed,idle#1 print=sections";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for count in [1, 10, 1000] {
        let case = |name: &str, more: &str, irq| {
            let play = move |machine: &mut Machine| many(machine, count, irq);
            Case::new(format!("{name}-{count}"), format!("{HOLDS}{more}"), play).on(traced)
        };
        cases.push(case("events", "", HOT_PLUG_IRQ));
        cases.push(case("events-without-hp-evt", " ov5=-hp-evt", EPOW_IRQ));
    }
    cases.extend([
        Case::new("events-mixed", HOLDS, mixed).on(traced),
        Case::new("interrupts-kept-off", HOLDS, kept_off).on(traced),
        Case::new("interrupts-lost", HOLDS, lost).on(traced),
        Case::new("interrupts-before-the-handler", "hold=rtas-up,handler-armed print=sections", early)
            .on(traced),
    ]);
    cases
}

/// The controller's trace, too: there the pulses are.
fn traced(setup: &mut Setup) {
    setup.trace.push("xics_ics_set_irq_msi".into());
}

/// How often QEMU has pulsed a source so far.
fn pulses(machine: &Machine, irq: u64) -> usize {
    let (log, of) = (machine.trace(), format!("[irq {irq:#x}]"));
    let set = trace::events(&log)
        .filter(|event| event.name == "xics_ics_set_irq_msi" && event.arguments.contains(&of))
        .count();
    // A pulse goes up and down.
    set / 2
}

/// The interrupts since a mark, of any source: the source, and how many events each brought.
fn interrupts(machine: &Machine, from: Mark) -> Vec<(u64, u32)> {
    let entries = machine.transcript().entries_since(from);
    let interrupts = entries.filter_map(|entry| match entry.record {
        Record::Interrupt { irq, events, .. } => Some((irq.map_or(0, |irq| irq.0), events)),
        _ => None,
    });
    interrupts.collect()
}

/// The numbers of all logs, in the order in which they came.
///
/// QEMU writes them in the order of bytes of its host. Ref: QEMU hw/ppc/spapr_events.c (spapr_init_maina)
fn numbers(machine: &Machine) -> Vec<u32> {
    const AT: usize = 32;
    all(machine, |record| match record {
        Record::Section { id, bytes, .. } if id.0 == "PH" => {
            Some(u32::from_ne_bytes(bytes.0.get(AT..AT + 4)?.try_into().ok()?))
        }
        _ => None,
    })
}

/// No log is missing, and none came before another one that was made first.
fn in_order(machine: &Machine, wanted: usize) -> Result<()> {
    let numbers = numbers(machine);
    let first = *numbers.first().ok_or_else(|| anyhow!("no log came"))?;
    let all: Vec<u32> = (first..).take(wanted).collect();
    ensure!(numbers == all, "{wanted} logs were made, from {first} on; these came: {numbers:?}");
    Ok(())
}

/// The cores come, and the guest will not give them; it holds, and its queue is empty.
fn settle(run: &mut Run, machine: &mut Machine) -> Result<(), Stop> {
    crate::trials::hands::arm(run, machine)?;
    for core in CORES {
        run.plug(machine, core, Kind::Core, "handler-armed")?;
    }
    machine.go()?;
    machine.wait_for_hold("idle", Mark::default())?;
    run.wait_until_taken(machine)?;
    // What is left of the interrupts of what came is not to be mixed up with what follows.
    machine.order("drop")?;
    machine.order("policy remove:ignore")
}

/// Asks for cores in turn, so many times; each is an event.
fn ask(machine: &mut Machine, times: usize) -> Result<(), Stop> {
    CORES.iter().cycle().take(times).try_for_each(|core| device::unplug(machine, core))
}

/// Events queue up while the guest holds. All of them come, in their order, by the right source; and of all the pulses, one for
/// each event that is queued and one for each that is taken while there are more, two become interrupts, and one does where there is one.
fn many(machine: &mut Machine, count: usize, irq: u64) -> Result<()> {
    let (mut queued, mut pulsed, mut told) = (0, 0, Vec::new());
    judged(machine, |run, machine| {
        settle(run, machine)?;
        let (before, from) = (pulses(machine, irq), machine.transcript().mark());
        ask(machine, count)?;
        queued = pulses(machine, irq) - before;
        machine.go()?;
        idles(machine)?;
        pulsed = pulses(machine, irq) - before;
        told = interrupts(machine, from);
        leave(run, machine)
    })?;
    in_order(machine, COMING + count + 1)?;
    let cores: Vec<String> = (1..=COMING).map(|core| format!("index:1000000{core}")).collect();
    let wanted: Vec<String> = cores.iter().cycle().take(count).cloned().collect();
    ensure!(identifiers(machine, "cpu", "remove") == wanted, "in another order");
    ensure!(queued == count, "{count} events were queued with {queued} pulses");
    ensure!(pulsed == count + count - 1, "{count} events were queued and taken with {pulsed} pulses");
    eprintln!("note: {count} events: {pulsed} pulses, {} interrupts", told.len());
    let brought = u32::try_from(count)?;
    // The first brings all; what was pulsed meanwhile is one more, with nothing behind it.
    let wanted = [(irq, brought), (irq, 0)];
    ensure!(told == wanted[..count.min(2)], "interrupts, and what they brought: {told:x?}");
    Ok(())
}

/// Warnings between requests: a guest that takes all classes gets them in the order in which they were made, and each source
/// has pulsed for its own.
fn mixed(machine: &mut Machine) -> Result<()> {
    let (mut from, mut before) = (Mark::default(), [0; 2]);
    let sources = [HOT_PLUG_IRQ, EPOW_IRQ];
    let mut pulsed = [0; 2];
    judged(machine, |run, machine| {
        settle(run, machine)?;
        from = machine.transcript().mark();
        before = sources.map(|irq| pulses(machine, irq));
        for times in [1, 2, 0, 3] {
            ask(machine, times)?;
            warn(machine)?;
        }
        pulsed = sources.map(|irq| pulses(machine, irq));
        machine.go()?;
        crate::trials::buffers::end(machine)
    })?;
    let (plug, epow) = ("hotplug", "epow");
    let wanted = [plug, epow, plug, plug, epow, epow, plug, plug, plug, epow];
    let told = classes(machine);
    ensure!(told.get(COMING..) == Some(&wanted.map(str::to_owned)[..]), "{told:?}");
    in_order(machine, COMING + wanted.len())?;
    let queued = [pulsed[0] - before[0], pulsed[1] - before[1]];
    ensure!(queued == [6, 4], "pulses of the sources: {queued:?}");
    // The first that comes empties the queue of both.
    let told = interrupts(machine, from);
    ensure!(told.iter().map(|(_, events)| *events).sum::<u32>() == 10, "{told:x?}");
    Ok(())
}

/// Waits until the guest says what an interrupt brought.
fn wait_for_interrupt(machine: &mut Machine, from: Mark) -> Result<(u64, u32), Stop> {
    machine.wait("an interrupt", |machine| interrupts(machine, from).first().copied())
}

/// The guest idles for a while; the interrupts that it was told of.
fn quiet(machine: &mut Machine, from: Mark) -> Result<Vec<(u64, u32)>, Stop> {
    const WHILE: Duration = Duration::from_millis(300);
    machine.wait_within(WHILE, "nothing", |machine| interrupts(machine, from).first().map(drop))?;
    idles(machine)?;
    Ok(interrupts(machine, from))
}

/// A pulse that comes while the source is off, or while the processor takes none, is kept, and comes when that is over.
fn kept_off(machine: &mut Machine) -> Result<()> {
    let mut found = Vec::new();
    judged(machine, |run, machine| {
        settle(run, machine)?;
        machine.go()?;
        idles(machine)?;
        for (off, on) in [("mask", "arm"), ("close", "open")] {
            machine.order(off)?;
            let (from, before) = (machine.transcript().mark(), pulses(machine, HOT_PLUG_IRQ));
            ask(machine, 1)?;
            let meanwhile = quiet(machine, from)?;
            machine.order(on)?;
            let then = wait_for_interrupt(machine, from)?;
            found.push((meanwhile, then, pulses(machine, HOT_PLUG_IRQ) - before));
        }
        leave(run, machine)
    })?;
    ensure!(found == vec![(Vec::new(), (HOT_PLUG_IRQ, 1), 1); 2], "{found:x?}");
    in_order(machine, COMING + 3)
}

/// The guest ends an interrupt and does not look into its queue. No other comes by itself, nor when the sources are armed anew:
/// event-scan finds it. So does the next event, which brings the lost one with it.
fn lost(machine: &mut Machine) -> Result<()> {
    let (mut dropped, mut meanwhile, mut scanned, mut next) = (Vec::new(), Vec::new(), (0, 0), (0, 0));
    let mut pulsed = 0;
    judged(machine, |run, machine| {
        settle(run, machine)?;
        let (from, before) = (machine.transcript().mark(), pulses(machine, HOT_PLUG_IRQ));
        ask(machine, 1)?;
        machine.order("drop")?;
        wait_for_interrupt(machine, from)?;
        dropped = interrupts(machine, from);
        let from = machine.transcript().mark();
        machine.go()?;
        quiet(machine, from)?;
        machine.order("mask")?;
        machine.order("arm")?;
        meanwhile = quiet(machine, from)?;
        ensure_pulses(machine, before + 1)?;
        machine.order("event-scan")?;
        scanned = wait_for_interrupt(machine, from)?;
        pulsed = pulses(machine, HOT_PLUG_IRQ) - before;
        let from = machine.transcript().mark();
        ask(machine, 1)?;
        next = wait_for_interrupt(machine, from)?;
        leave(run, machine)
    })?;
    ensure!(dropped == [(HOT_PLUG_IRQ, 0)], "{dropped:x?}");
    ensure!(meanwhile.is_empty(), "nobody was to come: {meanwhile:x?}");
    ensure!((scanned, pulsed) == ((HOT_PLUG_IRQ, 1), 2), "{scanned:x?} after {pulsed} pulses");
    ensure!(next == (HOT_PLUG_IRQ, 1), "{next:x?}");
    in_order(machine, COMING + 3)
}

/// The source has been pulsed so often.
fn ensure_pulses(machine: &Machine, wanted: usize) -> Result<(), Stop> {
    let pulses = pulses(machine, HOT_PLUG_IRQ);
    let odd = || Stop::Broken(format!("{pulses} pulses, not {wanted}"));
    (pulses == wanted).then_some(()).ok_or_else(odd)
}

/// A core that comes after CAS and before there is a handler: its event is found by the first look into the queue, and its
/// interrupt comes when the sources are armed. Arming pulses nothing by itself; each event-scan, one that is ordered and the
/// guest's own just before that look, pulses once more, as the event is still in the queue.
fn early(machine: &mut Machine) -> Result<()> {
    let mut told = Vec::new();
    judged(machine, |run, machine| {
        crate::trials::seen::reach(machine, "rtas-up")?;
        run.turn_to(Step::Plug);
        run.plug(machine, "core", Kind::Core, "rtas-up")?;
        machine.go()?;
        machine.wait_for_hold("handler-armed", Mark::default())?;
        // Arming pulses nothing: this is the one of the plug.
        ensure_pulses(machine, 1)?;
        machine.order("event-scan")?;
        machine.order("drop")?;
        ensure_pulses(machine, 2)?;
        machine.go()?;
        run.wait_until_taken(machine)?;
        idles(machine)?;
        // The guest's own event-scan.
        ensure_pulses(machine, 3)?;
        told = interrupts(machine, Mark::default());
        leave(run, machine)
    })?;
    // Each pulse became an interrupt: two were dropped, and the third came when the queue was empty.
    ensure!(told == [(HOT_PLUG_IRQ, 0); 3], "{told:x?}");
    in_order(machine, 2).context("the core, and the end")
}
