//! The event log's tests.

use super::{
    Action, Body, Disposition, EpowAction, EpowModifier, EpowScope, EventError, EventFault, EventLog,
    Identifier, IdentifierKind, Initiator, LOG_MAX, LogSeverity, LogType, Resource, SectionId, total_len,
};
use crate::log::{Field, Text, parse_hex};
use crate::papr::drc::DrcIndex;
use proptest::prelude::{Just, Strategy, any, proptest};
use std::string::{String, ToString};
use std::vec::Vec;

fn data(text: &str) -> Vec<u8> {
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    parse_hex(&digits).expect("hexadecimal digits")
}

fn cpu_add() -> Vec<u8> {
    data(include_str!("../../../tests/data/events/made-cpu-add.hex"))
}

fn dimm_add() -> Vec<u8> {
    data(include_str!("../../../tests/data/events/made-dimm-add.hex"))
}

fn epow() -> Vec<u8> {
    data(include_str!("../../../tests/data/events/made-epow-shutdown.hex"))
}

fn all() -> [Vec<u8>; 3] {
    [cpu_add(), dimm_add(), epow()]
}

/// A log with this hotplug section in place of its own.
fn with_hotplug(section: &[u8]) -> Vec<u8> {
    const SECTION_AT: usize = 96;
    let mut bytes = cpu_add();
    bytes.truncate(SECTION_AT);
    let length = u8::try_from(section.len() + 8).expect("a small section");
    bytes.extend([b'H', b'P', 0, length, 1, 0, 0, 0]);
    bytes.extend(section);
    bytes[7] = u8::try_from(bytes.len() - 8).expect("a small log");
    bytes
}

fn identifier(section: &[u8]) -> String {
    let bytes = with_hotplug(section);
    let log = EventLog::parse(&bytes).expect("a summary");
    log.hotplug().map(|hotplug| hotplug.id.to_string()).unwrap_or_default()
}

#[test]
fn a_core_that_is_added_reads_as_qemu_says_it() {
    let bytes = cpu_add();
    let log = EventLog::parse(&bytes).expect("a sound log");
    assert_eq!(log.problem(), None);
    assert_eq!(bytes.len(), 116);
    assert_eq!(log.len(), 116);
    let summary = log.summary;
    assert_eq!((summary.version(), summary.severity()), (6, LogSeverity::EVENT));
    assert_eq!((summary.disposition(), summary.is_extended()), (Disposition::NOT_RECOVERED, true));
    assert_eq!((summary.initiator(), summary.target()), (Initiator::HOT_PLUG, Initiator::UNKNOWN));
    assert_eq!(summary.log_type(), LogType::HOT_PLUG);
    let hotplug = log.hotplug().expect("a hotplug section");
    assert_eq!((hotplug.resource, hotplug.action), (Resource::CPU, Action::ADD));
    assert_eq!(hotplug.id, Identifier::Index(DrcIndex(0x1000_0001)));
    assert_eq!(log.epow(), None);
}

#[test]
fn the_sections_stand_in_their_order() {
    let bytes = cpu_add();
    let log = EventLog::parse(&bytes).expect("a sound log");
    let sections: Vec<_> = log.sections().map(|section| section.expect("a sound section")).collect();
    let heads: Vec<_> = sections.iter().map(|s| (s.at, s.id.to_string(), s.length, s.version)).collect();
    let expected = [(24, "PH", 0x30, 0), (72, "UH", 0x18, 0), (96, "HP", 0x14, 1)];
    assert_eq!(heads, expected.map(|(at, id, length, version)| (at, id.to_string(), length, version)));
    let Ok(Body::MainA(main_a)) = sections[0].body() else { panic!("main A") };
    assert_eq!(main_a.created.to_string(), "2026-01-02T03:04:05");
    assert_eq!((main_a.creator, main_a.sections, main_a.plid), (b'H', 3, 0x0500_0000));
    let Ok(Body::MainB(main_b)) = sections[1].body() else { panic!("main B") };
    assert_eq!((main_b.subsystem, main_b.severity, main_b.subtype), (0x80, 0, 0));
}

#[test]
fn a_dimm_is_named_by_count_and_index() {
    let bytes = dimm_add();
    let hotplug = EventLog::parse(&bytes).expect("a sound log").hotplug().expect("a hotplug section");
    assert_eq!((hotplug.resource, hotplug.action), (Resource::MEMORY, Action::ADD));
    assert_eq!(hotplug.id.to_string(), "count-indexed:2@80000004");
}

#[test]
fn a_shutdown_is_an_epow() {
    let bytes = epow();
    let log = EventLog::parse(&bytes).expect("a sound log");
    assert_eq!((log.problem(), log.hotplug()), (None, None));
    assert_eq!(log.summary.log_type(), LogType::EPOW);
    let epow = log.epow().expect("an EPOW section");
    assert_eq!((epow.action(), epow.modifier), (EpowAction::SYSTEM_SHUTDOWN, EpowModifier::NORMAL));
    assert_eq!((epow.scope, epow.reason), (Some(EpowScope::THIS_PARTITION), 0));
}

#[test]
fn every_identifier_has_its_text() {
    assert_eq!(identifier(&[1, 1, 2, 0, 0x10, 0, 0, 1]), "index:10000001");
    assert_eq!(identifier(&[2, 1, 3, 0, 0, 0, 0, 2]), "count:2");
    assert_eq!(identifier(b"\x02\x02\x01\0LMB 4\0\0\0"), "name:LMB 4");
    assert_eq!(identifier(b"\x02\x02\x01\0LMB 4"), "name:LMB 4");
    assert_eq!(identifier(&[2, 2, 9, 0, 0xab, 0xcd]), "unknown-9:abcd");
    let mut line = String::new();
    Text::from(identifier(b"\x02\x02\x01\0LMB 4")).put(&mut line).expect("a string takes everything");
    assert_eq!(line, "name:LMB%204");
}

#[test]
fn values_of_the_format_are_frozen() {
    let resources = ["cpu", "memory", "slot", "phb", "pci", "pmem"];
    for (value, name) in (1..).zip(resources) {
        assert_eq!(Resource(value).to_string(), name);
    }
    assert_eq!((Action::ADD.0, Action::REMOVE.0), (1, 2));
    let kinds =
        [IdentifierKind::NAME, IdentifierKind::INDEX, IdentifierKind::COUNT, IdentifierKind::COUNT_INDEXED];
    assert_eq!(kinds.map(|kind| kind.0), [1, 2, 3, 4]);
    assert_eq!((SectionId::HOT_PLUG.0, SectionId::EPOW.0), (0x4850, 0x4550));
    assert_eq!((SectionId(0x4d43).to_string(), SectionId(1).to_string()), ("MC".into(), "0x0001".into()));
    assert_eq!((LogType::HOT_PLUG.0, LogType::EPOW.0), (0xe5, 0x40));
}

#[test]
fn a_buffer_may_be_longer_than_the_log() {
    for mut bytes in all() {
        bytes.resize(LOG_MAX, 0xff);
        let log = EventLog::parse(&bytes).expect("a sound log");
        assert_eq!((log.problem(), log.bytes().len()), (None, 116));
        assert_eq!(total_len(&bytes), Ok(116));
    }
}

#[test]
fn a_log_cut_at_any_byte_says_so_and_keeps_what_was_whole() {
    for bytes in all() {
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            let Ok(log) = EventLog::parse(cut) else {
                assert!(len < 8, "{len}");
                continue;
            };
            assert!(log.problem().is_some(), "{len}");
            let whole = log.sections().filter(Result::is_ok).count();
            let expected = [72, 96, 116].iter().filter(|end| len >= **end).count();
            assert_eq!(whole, expected, "{len}");
            assert_eq!(log.sections().filter(Result::is_err).count(), 1, "{len}");
        }
    }
}

#[test]
fn a_section_length_that_lies_is_named_with_its_place() {
    for (length, fault) in [
        (0_u16, EventFault::Value(0)),
        (7, EventFault::Value(7)),
        (0x19, EventFault::Short { needed: 0x11, left: 0xc }),
        (u16::MAX, EventFault::Short { needed: 0xfff7, left: 0xc }),
    ] {
        let mut bytes = cpu_add();
        bytes[98..100].copy_from_slice(&length.to_be_bytes());
        let log = EventLog::parse(&bytes).expect("a summary");
        let problem = log.problem().expect("a problem");
        assert_eq!(problem.fault, fault);
        assert_eq!(log.sections().filter(Result::is_ok).count(), 2);
        assert_eq!(log.hotplug(), None);
    }
    let text = EventError { what: "section length", at: 98, fault: EventFault::Value(7) }.to_string();
    assert_eq!(text, "section length at byte 98 is 0x7");
}

#[test]
fn a_section_that_is_too_short_for_its_kind_is_named_and_the_next_one_is_found() {
    let mut bytes = with_hotplug(&[1, 1, 2]);
    bytes.extend([b'E', b'P', 0, 20, 2, 0, 0, 0, 3, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes[7] = u8::try_from(bytes.len() - 8).expect("a small log");
    let log = EventLog::parse(&bytes).expect("a summary");
    let problem = log.problem().expect("a problem");
    assert_eq!(problem.to_string(), "reserved byte at byte 107 needs 1 bytes, 0 are left");
    assert_eq!(log.sections().count(), 4);
    assert_eq!(log.epow().map(|epow| epow.action()), Some(EpowAction::SYSTEM_SHUTDOWN));
}

#[test]
fn a_head_that_announces_no_sections_is_not_walked() {
    for (at, value, what) in
        [(0, 5, "version"), (8, 0x06, "version 6 flags"), (10, 0x83, "log format"), (20, b'X', "company")]
    {
        let mut bytes = cpu_add();
        bytes[at] = value;
        let log = EventLog::parse(&bytes).expect("a summary");
        let sections: Vec<_> = log.sections().collect();
        assert!(matches!(sections[..], [Err(problem)] if problem.what == what), "{what}: {sections:?}");
        assert_eq!(log.header, None);
    }
}

#[test]
fn a_log_that_is_not_extended_is_its_summary() {
    let mut bytes = cpu_add();
    bytes[1] &= !0x04;
    let log = EventLog::parse(&bytes).expect("a summary");
    assert_eq!((log.len(), log.sections().count(), log.problem()), (8, 0, None));
}

#[test]
fn an_extended_length_that_lies_is_noticed() {
    let mut bytes = cpu_add();
    bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    let log = EventLog::parse(&bytes).expect("a summary");
    assert_eq!(log.hotplug().map(|hotplug| hotplug.resource), Some(Resource::CPU));
    assert_eq!(log.problem().map(|problem| (problem.what, problem.at)), Some(("log", 116)));
    bytes[4..8].copy_from_slice(&0x40_u32.to_be_bytes());
    let log = EventLog::parse(&bytes).expect("a summary");
    assert_eq!(log.problem().map(|problem| (problem.what, problem.at)), Some(("section count", 51)));
    bytes[7] = 0x41;
    let log = EventLog::parse(&bytes).expect("a summary");
    assert_eq!(log.problem().map(|problem| (problem.what, problem.at)), Some(("section id", 72)));
}

/// Every way to read a log.
fn read_all(bytes: &[u8]) {
    let _ = total_len(bytes);
    match EventLog::parse(bytes) {
        Err(error) => assert!(bytes.len() < 8, "{error}"),
        Ok(log) => {
            let mut sections = log.sections();
            let read: Vec<_> = sections.by_ref().collect();
            assert!(read.len() <= bytes.len() / 8 + 1);
            assert!(read.iter().rev().skip(1).all(Result::is_ok));
            assert!(sections.next().is_none());
            let _ = (log.hotplug().map(|hotplug| hotplug.id.to_string()), log.epow(), log.problem());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        read_all(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(
        mut bytes in (0..3_usize).prop_flat_map(|which| Just(all()[which].clone())),
        at in 0..116_usize,
        value in any::<u8>(),
        len in 0..=116_usize,
    ) {
        bytes[at] = value;
        read_all(&bytes[..len]);
    }

    #[test]
    fn no_lengths_make_it_panic(extended in any::<u32>(), lengths in any::<[u16; 3]>()) {
        let mut bytes = dimm_add();
        bytes[4..8].copy_from_slice(&extended.to_be_bytes());
        for (at, length) in [26, 74, 98].into_iter().zip(lengths) {
            // Half of the lengths are small, so that there are many sections to walk.
            let length = if length % 2 == 0 { length } else { length % 40 };
            bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
        }
        read_all(&bytes);
    }
}
