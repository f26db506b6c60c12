//! Host bridges as real machines have them, and damaged ones.

use super::super::pci::windows::Window;
use super::{Address, Expected, Fragment, Phb, Space, connectors_of, read, windows};
use crate::hotplug::fragment::{Collector, Progress};
use crate::openfirmware::captured::TREES;
use crate::openfirmware::tree::Tree;
use crate::papr::connector::WorkArea;
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::status::Status;
use proptest::prelude::{any, prop, prop_assert, proptest};

const PHBS: [&str; 3] = [
    include_str!("../../../../tests/data/connectors/qemu-7.2-phb.txt"),
    include_str!("../../../../tests/data/connectors/qemu-10.0-phb.txt"),
    include_str!("../../../../tests/data/connectors/qemu-11.1-phb.txt"),
];
const FUNCTIONS: [&str; 3] = [
    include_str!("../../../../tests/data/connectors/qemu-7.2-pci.txt"),
    include_str!("../../../../tests/data/connectors/qemu-10.0-pci.txt"),
    include_str!("../../../../tests/data/connectors/qemu-11.1-pci.txt"),
];

/// The fragment that a captured stream makes, without the properties that `left_out` names.
fn fragment_without(stream: &str, left_out: &str) -> Fragment {
    let mut collector = Collector::default();
    for line in stream.lines().filter(|line| !line.starts_with('#')) {
        let (status, bytes) = line.split_once(' ').unwrap_or((line, ""));
        let bytes = crate::log::parse_hex(bytes).expect("hexadecimal digits");
        let mut area = WorkArea::new(DrcIndex(0));
        area.0[..bytes.len()].copy_from_slice(&bytes);
        let needle = format!("{left_out}\0");
        if !left_out.is_empty() && bytes.windows(needle.len()).any(|part| part == needle.as_bytes()) {
            continue;
        }
        let status = Status(status.parse().expect("a status"));
        if collector.feed(status, &area) == Progress::Ended {
            break;
        }
    }
    collector.finish().1.expect("a sound stream")
}

fn fragment(stream: &str) -> Fragment {
    fragment_without(stream, "")
}

/// A captured host bridge.
pub(in crate::agent::resources) fn captured() -> Phb {
    Phb::from_fragment(&fragment(PHBS[0]), &mut Vec::new()).expect("sound").0
}

#[test]
fn every_captured_host_bridge_has_its_windows_and_its_connectors() {
    for stream in PHBS {
        let mut problems = Vec::new();
        let (phb, connectors) = Phb::from_fragment(&fragment(stream), &mut problems).expect("sound");
        assert_eq!(problems, []);
        assert_eq!((phb.drc, phb.buid), (Some(DrcIndex(0x2000_0001)), 0x0800_0000_2000_0001));
        assert_eq!(phb.buses, (0, 255));
        let window = |space, bus, cpu, size| Window { space, bus, cpu, size };
        let expected = [
            window(Space::Io, 0, 0x2000_0001_0000, 0x1_0000),
            window(Space::Memory32, 0x8000_0000, 0x2001_0000_0000, 0x8000_0000),
            window(Space::Memory64, 0x2200_0000_0000, 0x2200_0000_0000, 1 << 40),
        ];
        assert_eq!(phb.windows, expected);
        assert_eq!((connectors.len(), phb.slots.len()), (256, 256));
        let last = connectors.iter().find(|one| one.index == DrcIndex(0x4001_00ff)).expect("devfn 255");
        assert_eq!((last.kind, last.name.as_str()), (DrcKind::PCI, "C65791"));
        assert_eq!(phb.real_address(Space::Memory64, 0x8000_1000, 4), Some(0x2001_0000_1000));
        assert_eq!(phb.real_address(Space::Io, 0x8000_1000, 4), None);
    }
}

#[test]
fn every_captured_function_says_where_and_what_it_is() {
    for stream in FUNCTIONS {
        let address = Address::new(0, 1, 0).expect("in range");
        let expected = Expected { address, vendor: 0x8086, device: 0x100e, class: 0x2_0000 };
        assert_eq!(Expected::from_fragment(&fragment(stream)), Ok(expected));
        assert_eq!(connectors_of(&fragment(stream), &mut Vec::new()), []);
    }
}

#[test]
fn a_missing_property_is_named() {
    for property in ["vendor-id", "device-id", "class-code", "reg"] {
        let problem = Expected::from_fragment(&fragment_without(FUNCTIONS[0], property)).expect_err(property);
        assert!(problem.contains(property), "{problem}");
    }
    for property in ["reg", "ranges"] {
        let fragment = fragment_without(PHBS[0], property);
        let problem = Phb::from_fragment(&fragment, &mut Vec::new()).expect_err(property);
        assert_eq!(problem, format!("there is no {property}"));
    }
}

#[test]
fn every_captured_tree_has_its_host_bridge() {
    for (name, bytes) in TREES {
        let mut problems = Vec::new();
        let (phbs, functions) = read(&Tree::new(bytes).expect(name), &mut problems);
        assert_eq!(problems, [], "{name}");
        assert_eq!((phbs.len(), functions.len()), (1, 0), "{name}");
        assert_eq!(phbs[0].buid, 0x0800_0000_2000_0000, "{name}");
        assert_eq!((phbs[0].windows.len(), phbs[0].slots.len()), (3, 256), "{name}");
    }
}

#[test]
fn windows_that_are_cut_short_are_an_error() {
    let mut ranges = [0; 56];
    ranges[0] = 1;
    for len in 0..=ranges.len() {
        assert_eq!(windows(&ranges[..len]).is_ok(), len % 28 == 0, "{len}");
    }
    // Configuration space is no window.
    assert_eq!(windows(&ranges).map(|windows| windows.len()), Ok(1));
}

proptest! {
    #[test]
    fn no_windows_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(windows) = windows(&bytes) {
            prop_assert!(windows.len() <= bytes.len() / 28);
        }
    }
}
