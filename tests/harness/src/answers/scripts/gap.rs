//! The gap between CAS and the armed handler: how wide it is, and what becomes of an interrupt in it.

use super::{DIMM, as_it_is};
use crate::answers::bench::{Bench, Script};
use crate::device::Kind;
use crate::stop::Stop;
use paprika::log::Record;
use serde_json::json;

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
    play: |bench| in_the_gap(bench, "handler-installed", Some("event-scan")),
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
    for (at, here) in ["before-cas", first_after, "handler-armed"].into_iter().enumerate() {
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
        bench.go()?;
    }
    bench.pass("idle")?;
    bench.settle(&core)?;
    bench.fate(&core);
    bench.fate(&dimm);
    width(bench);
    woken(bench);
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
        let name = match irq.as_str() {
            "1000" => "EPOW",
            "1001" => "hotplug",
            _ => return None,
        };
        (status & WAITS != 0).then(|| name.to_owned())
    };
    text.lines().filter_map(row).collect()
}

/// Notes how many calls and ticks lie between the answer of CAS and the armed handler.
fn width(bench: &mut Bench<'_>) {
    let transcript = bench.machine.transcript();
    let (mut answered, mut from, mut to) = (false, None, None);
    let mut rate = 0;
    let mut last_order = 0;
    for entry in transcript.entries() {
        match &entry.record {
            Record::Boot { tick_rate, .. } => rate = *tick_rate,
            Record::CasAnswer { .. } => answered = true,
            Record::Hold { station, calls, .. } if station.0 == "after-cas" => from = Some(*calls),
            Record::Hold { station, calls, .. } if station.0 == "handler-armed" => {
                to = Some((*calls, entry.ticks));
            }
            Record::Order { .. } if to.is_none() && answered => last_order = entry.ticks,
            _ => {}
        }
    }
    if let (Some(from), Some((calls, ticks))) = (from, to) {
        bench.facts.note("calls in the gap", calls.saturating_sub(from));
        if rate > 0 {
            let micros = ticks.saturating_sub(last_order).saturating_mul(1_000_000) / u64::from(rate);
            bench.facts.note("microseconds in the gap", micros);
        }
    }
}

/// Notes which interrupts came, and what the guest found in its queue by either call. Not when they came: how soon a
/// virtual CPU notices an interrupt is a matter of luck.
fn woken(bench: &mut Bench<'_>) {
    let interrupts = bench.all(|record| match record {
        Record::Interrupt { irq: Some(irq), .. } => Some(if irq.0 == 0x1001 { "hotplug" } else { "EPOW" }),
        _ => None,
    });
    bench.facts.note("interrupts", interrupts);
    for call in ["event-scan", "check-exception"] {
        let found = bench.all(|record| match record {
            Record::Drain { call: its, events, .. } => (its.0 == call).then_some(events),
            _ => None,
        });
        bench.facts.note(format!("events by {call}"), found.into_iter().sum::<u32>());
    }
}

#[cfg(test)]
mod tests {
    use super::sources;

    #[test]
    fn what_waits_at_the_interrupt_controller_is_read() {
        let text = "CPU 0 XIRR=00000000 ((nil)) PP=ff MFRR=ff\nICS 1000..1fff 0x55\n  1000 MSI ff 08\n  1001 MSI 05 00\n";
        assert_eq!(sources(text), ["EPOW"]);
        assert_eq!(sources("  1000 LSI 05 00\n  1001 MSI 05 04\n  1100 MSI ff 08"), ["hotplug"]);
        assert!(sources("").is_empty());
    }
}
