//! What real QEMUs sent: it is understood, it is what the model says, and cut at any byte it does no harm.

use super::fragment::{Collector, Fragment, FragmentError, Progress};
use super::inventory::Inventory;
use super::model::{Config, How, Machine, Platform, QUEUED_LEN, What};
use super::plan::plan;
use crate::log::{Request, parse_hex};
use crate::papr::connector::WorkArea;
use crate::papr::drc::DrcIndex;
use crate::papr::event::{EpowAction, EventLog};
use crate::papr::status::Status;
use proptest::prelude::{any, proptest};
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

/// The files of a directory of captured data whose names begin and end so, in order.
fn files(directory: &str, prefix: &str, suffix: &str) -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(directory);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the directory is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let named = paths.iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        let what = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
        Some((what.into(), std::fs::read_to_string(path).expect("text")))
    });
    let files: Vec<_> = named.collect();
    assert!(!files.is_empty());
    files
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#'))
}

/// The captured event logs, as `VERSION-WHAT`.
fn events() -> Vec<(String, Vec<u8>)> {
    let bytes = |text: &str| parse_hex(&lines(text).collect::<String>()).expect("hexadecimal digits");
    files("events", "captured-qemu-", ".hex").into_iter().map(|(name, text)| (name, bytes(&text))).collect()
}

/// A stream: each status, and the work area's bytes that belong to it.
type Stream = Vec<(Status, Vec<u8>)>;

/// The captured streams, as `VERSION-WHAT`.
fn streams() -> Vec<(String, Stream)> {
    let answer = |line: &str| {
        let (status, digits) = line.split_once(' ').expect("a status and bytes");
        (Status(status.parse().expect("a number")), parse_hex(digits).expect("hexadecimal digits"))
    };
    let stream = |text: String| lines(&text).map(answer).collect();
    files("connectors", "qemu-", ".txt").into_iter().map(|(name, text)| (name, stream(text))).collect()
}

/// A work area that begins with these bytes; the rest is what was there before.
fn area(bytes: &[u8], rest: u8) -> WorkArea {
    let mut area = WorkArea::new(DrcIndex(0));
    area.0.fill(rest);
    area.0[..bytes.len()].copy_from_slice(bytes);
    area
}

fn collect(stream: &[(Status, Vec<u8>)]) -> Result<Fragment, FragmentError> {
    let mut collector = Collector::default();
    for (status, bytes) in stream {
        if collector.feed(*status, &area(bytes, 0)) == Progress::Ended {
            break;
        }
    }
    collector.finish().1
}

/// What is plugged in the machine of the capture, by the name of its files.
fn plugged(what: &str) -> Option<What> {
    Some(match what {
        "cpu" => What::Core(2),
        "memory" => What::Dimm { first: 4, blocks: 2 },
        "pci" => What::Pci { phb: 0, devfn: 8 },
        "phb" => What::Phb(1),
        "pmem" => What::Nvdimm(3),
        _ => return None,
    })
}

/// The machine of the capture.
fn machine(hotplug_events: bool) -> Platform {
    let config = Config { cores: 4, lmbs: 14, pmem_slots: 4, ..Config::default() };
    let mut platform = Machine::new(config).platform;
    platform.cas(hotplug_events);
    platform
}

/// The log that the model sends in the place of a captured one.
fn modelled(what: &str) -> [u8; QUEUED_LEN] {
    let mut platform = machine(what != "memory-add-count");
    if what == "epow-shutdown" {
        platform.powerdown();
    } else {
        let mut words = what.split('-');
        let device = plugged(words.next().unwrap_or_default()).expect("a device");
        platform.plug("device", device, How::Hot).expect("free");
        if words.next() == Some("remove") {
            let _ = platform.check_exception(u32::MAX);
            platform.cas(true);
            platform.unplug("device").expect("it is there");
        }
    }
    platform.check_exception(u32::MAX).expect("an event")
}

/// `VERSION-WHAT` without its version.
fn what(name: &str) -> &str {
    name.split_once('-').map_or(name, |(_, what)| what)
}

#[test]
fn captured_events_are_those_of_the_model() {
    let events = events();
    assert_eq!(events.len(), 3 * 11);
    for (name, mut log) in events {
        let mut expected = modelled(what(&name));
        for bytes in [&mut log[..], &mut expected] {
            // When it was made, and how many were made before it.
            bytes[32..40].fill(0);
            bytes[64..68].fill(0);
        }
        assert_eq!(log, expected, "{name}");
    }
}

#[test]
fn captured_events_can_be_followed() {
    let platform = machine(true);
    let listed: Vec<_> = platform.listed().collect();
    let mut inventory = Inventory::new();
    assert_eq!(inventory.extend(listed.iter().map(|(index, name, kind)| (*index, name.as_str(), *kind))), []);
    for (name, bytes) in events() {
        let log = EventLog::parse(&bytes).expect("a log");
        assert_eq!((log.problem(), log.len(), log.sections().count()), (None, bytes.len(), 3), "{name}");
        if let Some(epow) = log.epow() {
            assert_eq!(epow.action(), EpowAction::SYSTEM_SHUTDOWN);
            continue;
        }
        let plan = plan(&log.hotplug().expect("one or the other"), &inventory).expect("a plan");
        let removes = name.ends_with("remove");
        assert_eq!(plan.request, if removes { Request::Remove } else { Request::Add });
        let wanted = if name.contains("memory") { 2 } else { 1 };
        assert_eq!((plan.wanted, plan.candidates.len() >= wanted), (wanted, true), "{name}");
    }
}

#[test]
fn captured_events_cut_at_any_byte_say_what_is_wrong() {
    for (name, bytes) in events() {
        for cut in 0..bytes.len() {
            match EventLog::parse(&bytes[..cut]) {
                Err(_) => assert!(cut < 8, "{name} cut at {cut}"),
                Ok(log) => assert!(log.problem().is_some(), "{name} cut at {cut}"),
            }
        }
    }
}

#[test]
fn captured_streams_are_sound_fragments() {
    let streams = streams();
    assert_eq!(streams.len(), 3 * 6);
    for (name, stream) in streams {
        let fragment = collect(&stream).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let root = fragment.root().expect("a root").name.clone();
        let expected = match what(&name) {
            "cpu" => "PowerPC,POWER9@2",
            "memory" => "memory@800000040000000",
            "memory-second" => "memory@800000050000000",
            "pci" => "ethernet@1",
            "phb" => "pci@800000020000001",
            _ => "ibm,pmemory@90000003",
        };
        assert_eq!(root, expected, "{name}");
        let index = fragment.property("ibm,my-drc-index").and_then(super::fragment::Property::cell);
        assert_eq!(index.is_none(), name.contains("memory") && !name.contains("pmem"), "{name}");
        assert_eq!(fragment.nodes().len(), if name.ends_with("phb") { 2 } else { 1 });
        assert!(fragment.iter().all(|(_, property)| property.cut == 0), "{name}");
    }
}

#[test]
fn what_the_models_fragments_have_is_what_real_ones_have() {
    for (name, stream) in streams() {
        let Some(device) = plugged(what(&name)) else { continue };
        let mut platform = machine(true);
        platform.plug("device", device, How::Hot).expect("free");
        if device == What::Phb(1) {
            platform.plug("behind", What::Pci { phb: 1, devfn: 16 }, How::Hot).expect("free");
        }
        platform.cas(true);
        let index = platform.device("device").expect("plugged").drcs()[0];
        let mut page = WorkArea::new(index);
        let mut collector = Collector::default();
        while collector.feed(platform.configure_connector(&mut page), &page) != Progress::Ended {}
        let (modelled, captured) = (collector.finish().1.expect("sound"), collect(&stream).expect("sound"));
        for (ours, theirs) in modelled.nodes().iter().zip(captured.nodes()) {
            // What hangs on the bridge is another device in the model.
            let is_same = ours.parent.is_none();
            assert_eq!(ours.name == theirs.name, is_same, "{name}");
            for property in &ours.properties {
                let same = theirs.property(&property.name).expect("a real one has it");
                assert!(!is_same || same.value == property.value, "{name}: {}", property.name);
            }
        }
        assert_eq!(modelled.nodes().len(), captured.nodes().len());
    }
}

#[test]
fn captured_streams_that_break_off_are_no_fragments() {
    for (name, stream) in streams() {
        for cut in 0..stream.len() {
            assert_eq!(collect(&stream[..cut]), Err(FragmentError::Endless), "{name} cut after {cut}");
        }
    }
}

#[test]
fn captured_answers_cut_at_any_byte_do_no_harm() {
    for (_, stream) in streams() {
        let mut collector = Collector::default();
        for (status, bytes) in &stream {
            for (cut, rest) in (0..bytes.len()).flat_map(|cut| [(cut, 0), (cut, 0xff)]) {
                let mut damaged = collector.clone();
                let _ = damaged.feed(*status, &area(&bytes[..cut], rest));
                let _ = damaged.feed(Status::SUCCESS, &area(&[], 0));
                let _ = damaged.finish();
            }
            let _ = collector.feed(*status, &area(bytes, 0));
        }
    }
}

proptest! {
    #[test]
    fn captured_streams_with_any_byte_changed_end(at in any::<(u16, u16, u16)>(), value in any::<u8>()) {
        let streams = streams();
        let (_, stream) = &streams[usize::from(at.0) % streams.len()];
        let mut stream = stream.clone();
        let line = usize::from(at.1) % stream.len();
        let bytes = &mut stream[line].1;
        let place = usize::from(at.2) % bytes.len();
        bytes[place] = value;
        let _ = collect(&stream);
    }
}
