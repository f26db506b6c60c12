//! The gap between CAS and the armed handler: how wide it is, and what becomes of an interrupt in it.

use super::{DIMM, as_it_is};
use crate::answers::bench::{Bench, Script};
use crate::device::Kind;
use crate::stop::Stop;
use crate::transcript::Transcript;
use paprika::log::Record;
use serde_json::json;
use std::time::Duration;

/// Where the handler is armed, and the guest has not looked into its queue.
const ARMED: &str = "handler-armed";
/// The order, and the call.
const SCAN: &str = "event-scan";
/// How long a guest that holds is left alone, so that it notices what waits for it: many of its looks.
const NOTICE: Duration = Duration::from_millis(40);

/// A core and a DIMM that come just after CAS.
pub const GAP: Script = Script {
    name: "gap",
    story: "a core and a DIMM come just after CAS; the interrupt controller is looked at until the handler is armed",
    append: "hold=before-cas#1,after-cas#1,handler-armed#1,idle#1 memtest=256m",
    arrange: as_it_is,
    play: |bench| in_the_gap(bench, "after-cas", None),
};
/// A core that comes when the sources are off, and a guest that scans for events.
pub const MASKED: Script = Script {
    name: "masked",
    story: "a core comes while the sources are off; the guest calls event-scan, then arms the handler",
    append: "hold=before-cas#1,handler-installed#1,handler-armed#1,idle#1 memtest=256m",
    arrange: as_it_is,
    play: |bench| in_the_gap(bench, "handler-installed", Some(SCAN)),
};
/// A core that comes before CAS.
pub const EARLY: Script = Script {
    name: "early",
    story: "a core and a DIMM come just before CAS; the interrupt controller is looked at until the handler is armed",
    append: "hold=before-cas#1,after-cas#1,handler-armed#1,idle#1 memtest=256m",
    arrange: as_it_is,
    play: |bench| in_the_gap(bench, "before-cas", None),
};

fn in_the_gap(bench: &mut Bench<'_>, station: &str, order: Option<&str>) -> Result<(), Stop> {
    let (mut core, mut dimm) = (None, None);
    let first_after = if station == "handler-installed" { station } else { "after-cas" };
    for (at, here) in ["before-cas", first_after, ARMED].into_iter().enumerate() {
        bench.hold(here)?;
        if here == station {
            core = bench.plug("core", Kind::Core)?;
            if order.is_none() {
                dimm = bench.plug("dimm", DIMM)?;
            }
            pending(bench, "plugged")?;
            if let Some(order) = order {
                let found = bench.look(order)?;
                bench.facts.note("found by event-scan while masked", found);
                pending(bench, "scanned")?;
            }
        }
        pending(bench, ["before CAS", "after CAS", "armed"][at])?;
        if here == ARMED {
            armed(bench)?;
        }
        bench.go()?;
    }
    bench.pass("idle")?;
    bench.settle(&core)?;
    bench.fate(&core);
    bench.fate(&dimm);
    outcome(bench);
    Ok(())
}

/// Notes the sources that have an interrupt pending at the controller, as QEMU's monitor shows them.
fn pending(bench: &mut Bench<'_>, when: &str) -> Result<(), Stop> {
    let asked = json!({ "command-line": "info pic" });
    if let Some(text) = bench.machine.ask("human-monitor-command", asked)? {
        bench.facts.note(format!("pending {when}"), sources(text.as_str().unwrap_or_default()));
    }
    Ok(())
}

/// The event sources in XICS's state that wait or were sent, by name.
///
/// Ref: QEMU hw/intc/xics.c (ics_pic_print_info)
fn sources(text: &str) -> Vec<String> {
    /// Asserted, sent, rejected, or pending while masked.
    const WAITS: u8 = 0xf;
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let irq = words.next()?.to_owned();
        let status = words.rfind(|word| word.len() == 2)?;
        let status = u8::from_str_radix(status, 16).ok()?;
        let irq = u64::from_str_radix(&irq, 16).ok().filter(|irq| [0x1000, 0x1001].contains(irq))?;
        (status & WAITS != 0).then(|| name(irq).to_owned())
    };
    text.lines().filter_map(row).collect()
}

/// Lets the guest notice an interrupt that waits for it, then has it call event-scan while it still holds: what is raised again
/// by that can be told from what came by itself.
fn armed(bench: &mut Bench<'_>) -> Result<(), Stop> {
    // A guest that holds looks for interrupts whenever it gives the processor away, many times in this.
    bench.machine.wait_within(NOTICE, "nothing", |_| None::<()>)?;
    bench.look(SCAN)?;
    pending(bench, "scanned when armed")
}

/// How wide the gap is between CAS and the armed handler: calls, and microseconds of the guest's clock from the order to go on
/// behind CAS.
fn width(transcript: &Transcript) -> Option<(u64, u64)> {
    let (mut rate, mut from, mut start) = (0, None, None);
    for entry in transcript.entries() {
        match &entry.record {
            Record::Boot { tick_rate, .. } => rate = u64::from(*tick_rate),
            Record::Hold { station, calls, .. } if station.0 == "after-cas" => from = Some(*calls),
            Record::Hold { station, calls, .. } if station.0 == ARMED => {
                let ticks = entry.ticks.saturating_sub(start?);
                let micros = ticks.saturating_mul(1_000_000).checked_div(rate)?;
                return Some((calls.saturating_sub(from?), micros));
            }
            // The last before the handler is armed lets the guest go on.
            Record::Order { .. } if from.is_some() => start = Some(entry.ticks),
            _ => {}
        }
    }
    None
}

/// The interrupts of the last boot: those that were taken before the guest called event-scan with its handler armed, and all others.
fn interrupts(transcript: &Transcript) -> [Vec<&'static str>; 2] {
    let (mut is_armed, mut scanned) = (false, None);
    let mut interrupts = Vec::new();
    for entry in transcript.entries_since(transcript.last_boot()) {
        match &entry.record {
            Record::Hold { station, .. } => is_armed |= station.0 == ARMED,
            Record::Order { line } if is_armed && line.0 == SCAN => {
                scanned.get_or_insert(entry.ticks);
            }
            // It is told of when the guest answers it, which is later.
            Record::Interrupt { irq: Some(irq), taken, .. } => interrupts.push((name(irq.0), *taken)),
            _ => {}
        }
    }
    let is_early = |taken: u64| scanned.is_none_or(|at| taken < at);
    let those = |early: bool| {
        interrupts.iter().filter(|(_, taken)| is_early(*taken) == early).map(|(name, _)| *name).collect()
    };
    [those(true), those(false)]
}

fn name(irq: u64) -> &'static str {
    if irq == 0x1001 { "hotplug" } else { "EPOW" }
}

/// Notes the width of the gap, which interrupts came, and what the guest found in its queue by either call.
fn outcome(bench: &mut Bench<'_>) {
    let transcript = bench.machine.transcript();
    let (width, [armed, later]) = (width(transcript), interrupts(transcript));
    if let Some((calls, micros)) = width {
        bench.facts.note("calls in the gap", calls);
        bench.facts.note("microseconds in the gap", micros);
    }
    bench.facts.note("interrupts at arming", armed);
    bench.facts.note("interrupts later", later);
    for call in [SCAN, "check-exception"] {
        let found = bench.all(|record| match record {
            Record::Drain { call: its, events, .. } => (its.0 == call).then_some(events),
            _ => None,
        });
        bench.facts.note(format!("events by {call}"), found.into_iter().sum::<u32>());
    }
}

#[cfg(test)]
mod tests {
    use super::{interrupts, sources, width};
    use crate::transcript::Transcript;
    use crate::transcript::testing::saying;
    use paprika::log::{Hex, Record};

    fn hold(station: &'static str, calls: u64) -> Record<'static> {
        Record::Hold { station: station.into(), visit: 1, calls }
    }

    fn order(line: &'static str) -> Record<'static> {
        Record::Order { line: line.into() }
    }

    /// A guest that takes one interrupt when it is armed, and another after event-scan. A line is a microsecond.
    fn life() -> Transcript {
        let note = || Record::Note { text: "x".into() };
        let interrupt = |irq: u64, taken: u64| {
            let (count, drained, events) = (1, taken, 0);
            Record::Interrupt { count, irq: Some(Hex(irq)), taken, drained, events }
        };
        let mut records = vec![order("go"), hold("after-cas", 40), note(), order("go"), note(), note()];
        records.extend([hold("handler-armed", 100), order("event-scan"), order("go")]);
        // The order for event-scan is the ninth line: 1000 and eight times 512 ticks.
        records.extend([interrupt(0x1001, 1000 + 8 * 512 - 1), interrupt(0x1000, 1000 + 8 * 512 + 1)]);
        saying(records)
    }

    #[test]
    fn the_gap_begins_when_the_guest_goes_on_behind_cas() {
        assert_eq!(width(&life()), Some((60, 3)));
        assert_eq!(width(&saying([hold("after-cas", 40), hold("handler-armed", 100)])), None);
        assert_eq!(width(&saying([order("go"), hold("handler-armed", 100)])), None);
    }

    #[test]
    fn what_event_scan_raises_is_told_from_what_came_by_itself() {
        assert_eq!(interrupts(&life()), [vec!["hotplug"], vec!["EPOW"]]);
        assert_eq!(interrupts(&saying([])), [vec![""; 0], vec![""; 0]]);
    }

    #[test]
    fn what_waits_at_the_interrupt_controller_is_read() {
        let text = "CPU 0 XIRR=00000000 ((nil)) PP=ff MFRR=ff\nICS 1000..1fff 0x55\n  1000 MSI ff 08\n  1001 MSI 05 00\n";
        assert_eq!(sources(text), ["EPOW"]);
        assert_eq!(sources("  1000 LSI 05 00\n  1001 MSI 05 04\n  1100 MSI ff 08"), ["hotplug"]);
        assert!(sources("").is_empty());
    }
}
