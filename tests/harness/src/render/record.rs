//! One record in words.

use paprika::log::{Field, Record, Text};
use std::fmt::Write as _;
use std::time::Duration;

/// The record as a person would say it, with `per_second` ticks of the time base in a second; what has no words of its own
/// is shown field by field.
pub(super) fn words(record: &Record<'_>, per_second: u32) -> String {
    match record {
        Record::Note { text } => format!("note: {text}"),
        Record::Problem { severity, what, detail } => format!("{severity} problem: {what}: {detail}"),
        Record::Argument { word, problem } => format!("argument `{word}`: {problem}"),
        Record::Help { word, meaning } => format!("{word:<34} {meaning}"),
        Record::Hold { station, visit, calls } => {
            format!("holds at {station} (visit {visit}, after {calls} calls)")
        }
        Record::Event { number, class, resource, action, id, .. } => {
            format!("event {number}: {class} {resource} {action} {id}")
        }
        Record::Interrupt { count, irq, taken, drained, events } => {
            let source = irq.map_or_else(|| "nowhere (spurious)".to_owned(), |irq| format!("{irq:?}"));
            let time = super::time(drained.saturating_sub(*taken), per_second);
            format!("interrupt {count} from {source}: {events} events, queue drained after {}", short(time))
        }
        Record::Drain { call, mask, events, rc } => {
            format!("{call} {mask:?} -> {rc} after {events} events")
        }
        Record::Begin { drc, kind, request, learned, event } => {
            let event = event.map(|number| format!(" {number}")).unwrap_or_default();
            format!("{drc} {kind} {request}: begins, told by {learned}{event}")
        }
        Record::Sense { drc, rc, state } => format!("{drc} sense -> {rc}, {state}"),
        Record::Transition { drc, kind, call, value, rc, before, after } => {
            format!("{drc} {kind} {call} {value} -> {rc}: {before} => {after}")
        }
        Record::Fragment { drc, node, nodes, properties, calls } => {
            format!("{drc} configured in {calls} calls: {node}, {nodes} nodes, {properties} properties")
        }
        Record::Memory { drc, base, size, pages, bad } => {
            format!("{drc} memory {base:?} + {size:?}: {pages} pages written and read back, {bad} bad")
        }
        Record::Thread { drc, server, step, rc, value } => {
            let drc = drc.map_or_else(|| "boot core".to_owned(), |drc| drc.to_string());
            format!("{drc} thread {server} {step} -> {rc} ({value:?})")
        }
        Record::Done { drc, kind, request, outcome, reason } => {
            let reason = if reason.0.is_empty() { String::new() } else { format!(": {reason}") };
            format!("{drc} {kind} {request}: {outcome}{reason}")
        }
        other => of_use(other).unwrap_or_else(|| by_field(other)),
    }
}

/// What PCI and persistent memory say while they are used.
fn of_use(record: &Record<'_>) -> Option<String> {
    Some(match record {
        Record::Phb { drc, bridge, first, last, slots } => {
            format!("{drc} host bridge {bridge:?}: buses {first} to {last}, {slots} connectors")
        }
        Record::Window { drc, space, bus, real, size } => {
            format!("{drc} window of {size:?} in {space}: {bus:?} on the bus is at {real:?}")
        }
        Record::Pci { drc, address, vendor, device, class, driver, .. } => {
            format!(
                "{drc} function {address} is {:04x}:{:04x} of class {:06x}, driver {driver}",
                vendor.0, device.0, class.0
            )
        }
        Record::Bar { drc, index, space, size, base, from } => match base {
            Some(base) => format!("{drc} BAR {index}: {size:?} in {space} at {base:?}, chosen by the {from}"),
            None => format!("{drc} BAR {index}: {size:?} in {space} fit into no window"),
        },
        Record::Io { drc, what, address, value } => format!("{drc} {what} at {address:?}: {value:?}"),
        Record::Pmem { drc, unit, block, blocks, metadata, flush } => {
            let flush = if *flush { ", to be flushed by calls" } else { "" };
            format!("{drc} unit {unit}: {blocks} blocks of {block:?}, {metadata} bytes of metadata{flush}")
        }
        Record::Scm { drc, call, about, rc, value, more } => {
            format!("{drc} {call} {about:?} -> {rc}: {value:?}, {more:?}")
        }
        Record::Content { drc, found, lives, pages, bad } => {
            format!("{drc} held {found} content of {lives} lives: {pages} pages looked at, {bad} bad")
        }
        _ => return None,
    })
}

/// A short time, in microseconds.
fn short(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

fn by_field(record: &Record<'_>) -> String {
    let mut text = record.kind().to_owned();
    for (name, value) in record.fields() {
        let shown = Text::get(&value).map_or_else(|| value.clone(), |text| text.to_string());
        let quote = if shown.contains(' ') { "\"" } else { "" };
        let _ = write!(text, " {name}={quote}{shown}{quote}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::words;
    use paprika::log::{Hex, Record};
    use paprika::papr::drc::{DrcIndex, DrcKind};
    use paprika::papr::status::Status;

    #[test]
    fn a_transition_names_call_code_and_states() {
        let record = Record::Transition {
            drc: DrcIndex(0x8000_0004),
            kind: DrcKind::LMB,
            call: "allocation-state".into(),
            value: "usable".into(),
            rc: Status::SUCCESS,
            before: "unusable".into(),
            after: "available".into(),
        };
        assert_eq!(
            words(&record, 1),
            "80000004 lmb allocation-state usable -> success: unusable => available"
        );
    }

    #[test]
    fn an_interrupt_tells_its_source_and_how_long_the_queue_took() {
        let of = |irq| Record::Interrupt { count: 2, irq, taken: 1024, drained: 1024 + 64_000, events: 1 };
        assert_eq!(
            words(&of(Some(Hex(0x1001))), 512_000_000),
            "interrupt 2 from 0x1001: 1 events, queue drained after 125.0 µs"
        );
        assert!(words(&of(None), 512_000_000).contains("spurious"));
        assert!(words(&of(None), 0).contains("µs"));
    }

    #[test]
    fn a_function_and_its_addresses_are_told_as_people_write_them() {
        let drc = DrcIndex(0x4000_0008);
        let function = Record::Pci {
            drc,
            bridge: Hex(0x8_0000_0002),
            address: "00:01.0".into(),
            vendor: Hex(0x1af4),
            device: Hex(0x1005),
            class: Hex(0xff00),
            driver: "virtio".into(),
        };
        assert_eq!(
            words(&function, 1),
            "40000008 function 00:01.0 is 1af4:1005 of class 00ff00, driver virtio"
        );
        let bar = |base| Record::Bar {
            drc,
            index: 4,
            space: "memory64".into(),
            size: Hex(0x4000),
            base,
            from: "guest".into(),
        };
        assert_eq!(
            words(&bar(Some(Hex(0x1000))), 1),
            "40000008 BAR 4: 0x4000 in memory64 at 0x1000, chosen by the guest"
        );
        assert_eq!(words(&bar(None), 1), "40000008 BAR 4: 0x4000 in memory64 fit into no window");
    }

    #[test]
    fn a_record_without_words_of_its_own_shows_its_fields() {
        let record = Record::Source { name: "a b".into(), irq: Hex(0x1001), level: false, mask: Hex(1) };
        assert_eq!(words(&record, 1), "source name=\"a b\" irq=0x1001 level=no mask=0x1");
    }
}
