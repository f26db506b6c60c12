//! Streams that are sound, cut, endless, absurd.

use super::{Collector, Fragment, FragmentError, Limits, Progress};
use crate::hotplug::model::{Config, How, Platform, What};
use crate::papr::connector::{WORK_AREA, WorkArea};
use crate::papr::drc::DrcIndex;
use crate::papr::indicator::{Indicator, UNISOLATE, USABLE};
use crate::papr::status::Status;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use std::string::String;
use std::vec::Vec;

/// One answer: a status, a name, a value.
type Answer<'a> = (i32, &'a [u8], &'a [u8]);

/// A work area that holds a name and a value, as far as they fit.
fn area(name: &[u8], value: &[u8]) -> WorkArea {
    const NAME_AT: usize = 20;
    let mut area = WorkArea::new(DrcIndex(1));
    let mut put = |at: usize, bytes: &[u8]| {
        let room = &mut area.0[at.min(WORK_AREA)..];
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
    };
    let cell = |value: usize| u32::try_from(value).expect("small").to_be_bytes();
    let value_at = NAME_AT + name.len() + 1;
    put(8, &cell(NAME_AT));
    put(12, &cell(value.len()));
    put(16, &cell(value_at));
    put(NAME_AT, name);
    put(NAME_AT + name.len(), &[0]);
    put(value_at, value);
    area
}

fn collect_with(limits: Limits, answers: &[Answer<'_>]) -> (Status, Result<Fragment, FragmentError>) {
    let mut collector = Collector::new(limits);
    for (status, name, value) in answers {
        let progress = collector.feed(Status(*status), &area(name, value));
        if progress == Progress::Ended {
            break;
        }
    }
    collector.finish()
}

fn collect(answers: &[Answer<'_>]) -> Result<Fragment, FragmentError> {
    collect_with(Limits::DEFAULT, answers).1
}

const ROOT: Answer<'_> = (2, b"pci@1", b"");
const END: Answer<'_> = (0, b"", b"");
const UP: Answer<'_> = (4, b"", b"");

#[test]
fn a_sound_stream_becomes_a_tree() {
    let stream = [
        ROOT,
        (3, b"reg", &[0, 0, 0, 1, 0, 0, 0, 2]),
        (2, b"ethernet@1", b""),
        (3, b"ibm,my-drc-index", &[0x40, 0, 0, 8]),
        (1, b"ethernet@2", b""),
        (3, b"device_type", b"network\0"),
        (-2, b"", b""),
        (9902, b"", b""),
        UP,
        END,
    ];
    let fragment = collect(&stream).expect("a fragment");
    let paths: Vec<_> = (0..3).map(|node| fragment.path(node)).collect();
    assert_eq!(paths, ["/pci@1", "/pci@1/ethernet@1", "/pci@1/ethernet@2"]);
    assert_eq!((fragment.properties(), fragment.calls()), (3, 10));
    let reg: Vec<_> = fragment.property("reg").expect("there").cells().collect();
    assert_eq!(reg, [1, 2]);
    assert_eq!(fragment.property("reg").and_then(super::Property::cell), None, "two cells are not one");
    let index = fragment.nodes()[1].property("ibm,my-drc-index").and_then(super::Property::cell);
    assert_eq!(index, Some(0x4000_0008));
    assert_eq!(fragment.nodes()[2].property("device_type").and_then(super::Property::text), Some("network"));
    let names: Vec<_> = fragment.iter().map(|(path, property)| path + ":" + &property.name).collect();
    assert_eq!(names[2], "/pci@1/ethernet@2:device_type");
    assert_eq!(fragment.root().map(|root| root.name.as_str()), Some("pci@1"));
}

#[test]
fn what_is_wrong_is_said_and_the_stream_is_read_to_its_end() {
    let name = |text: &str| String::from(text);
    for (stream, error) in [
        (&[END][..], FragmentError::Empty),
        (&[(3, b"reg", b""), END], FragmentError::NoNode(name("reg"))),
        (&[UP, END], FragmentError::AboveRoot),
        (&[ROOT, UP, UP, END], FragmentError::AboveRoot),
        (&[ROOT, (3, b"reg", b""), (3, b"reg", b"x"), END], FragmentError::Repeated(name("reg"))),
        (&[ROOT, (2, b"a", b""), UP, (2, b"a", b""), UP, END], FragmentError::Repeated(name("a"))),
        (&[ROOT, (2, b"a", b""), (2, b"b", b""), END], FragmentError::OpenLevels(2)),
    ] {
        let (status, result) = collect_with(Limits::DEFAULT, stream);
        assert_eq!((status, result), (Status::SUCCESS, Err(error)));
    }
}

#[test]
fn the_first_defect_is_the_one_that_is_named() {
    let stream = [(3, b"early".as_slice(), b"".as_slice()), UP, END];
    assert_eq!(collect(&stream), Err(FragmentError::NoNode("early".into())));
}

#[test]
fn a_call_that_fails_ends_the_stream() {
    for status in [-1, -3, -9003, 5, 6, i32::MIN, i32::MAX] {
        let (last, result) = collect_with(Limits::DEFAULT, &[ROOT, (status, b"", b""), END]);
        assert_eq!((last.0, result), (status, Err(FragmentError::Failed(Status(status)))));
    }
}

#[test]
fn a_stream_that_never_ends_is_given_up() {
    for answer in [ROOT, (1, b"sibling", b""), (3, b"reg", b""), UP, (-2, b"", b"")] {
        let mut collector = Collector::new(Limits { wait_ms: u32::MAX, ..Limits::DEFAULT });
        let page = area(answer.1, answer.2);
        let calls = (1..).find(|_| collector.feed(Status(answer.0), &page) == Progress::Ended);
        assert_eq!(calls, Some(Limits::DEFAULT.calls));
        assert_eq!(collector.finish().1, Err(FragmentError::Endless), "{answer:?}");
    }
}

#[test]
fn a_stream_that_is_always_busy_is_given_up_by_its_time() {
    let mut collector = Collector::default();
    let page = area(b"", b"");
    assert_eq!(collector.feed(Status(9903), &page), Progress::Wait(1000));
    let calls = (2..100).find(|_| collector.feed(Status(9903), &page) == Progress::Ended);
    assert_eq!(calls, Some(11));
    assert_eq!(collector.finish().1, Err(FragmentError::Endless));
}

#[test]
fn everything_has_a_bound() {
    let limits = Limits { depth: 3, nodes: 4, properties: 2, bytes: 24, calls: 50, wait_ms: 5 };
    let node = |name| (2, name, b"".as_slice());
    let deep: Vec<_> = [b"a", b"b", b"c", b"d"].map(|name| node(name.as_slice())).into();
    let wide = [ROOT, node(b"a"), UP, node(b"b"), UP, node(b"c"), UP, node(b"d"), UP, END];
    let many = [ROOT, (3, b"a", b""), (3, b"b", b""), (3, b"c", b""), END];
    let long = [ROOT, (3, b"a", &[0; 24]), END];
    for (stream, what) in
        [(&deep[..], "levels"), (&wide[..], "nodes"), (&many[..], "properties"), (&long[..], "bytes")]
    {
        let mut collector = Collector::new(limits);
        for (status, name, value) in stream {
            let _ = collector.feed(Status(*status), &area(name, value));
        }
        assert_eq!(collector.finish().1, Err(FragmentError::TooLarge(what)));
    }
}

#[test]
fn absurd_names_are_kept_as_far_as_they_are_text() {
    let long = [b'x'; 4000];
    for (name, text) in [
        (&b""[..], ""),
        (b"a b\n=\xff", "a b\n=\u{fffd}"),
        (b"../../etc", "../../etc"),
        (&long, core::str::from_utf8(&long).expect("ascii")),
    ] {
        let fragment = collect(&[(2, name, b""), (3, name, b"v"), END]).expect("a fragment");
        assert_eq!(fragment.root().map(|root| root.name.as_str()), Some(text));
        assert!(fragment.property(text).is_some());
    }
}

#[test]
fn a_name_without_end_or_outside_the_page_is_a_defect() {
    let mut unending = area(b"", b"");
    unending.0[20..].fill(b'x');
    let mut outside = area(b"", b"");
    outside.0[8..12].fill(0xff);
    for page in [unending, outside] {
        let mut collector = Collector::default();
        assert_eq!(collector.feed(Status(2), &page), Progress::More, "the stream goes on");
        assert_eq!(collector.feed(Status(0), &page), Progress::Ended);
        assert!(matches!(collector.finish().1, Err(FragmentError::WorkArea(_))));
    }
}

#[test]
fn a_value_that_does_not_fit_into_the_page_is_cut_and_is_no_defect() {
    let fragment = collect(&[ROOT, (3, b"interrupt-map", &[7; 5000]), END]).expect("a fragment");
    let property = fragment.property("interrupt-map").expect("there");
    assert_eq!(property.value.len() + property.cut, 5000);
    assert_eq!(property.value.len(), WORK_AREA - 20 - 14);
}

#[test]
fn a_collection_that_was_not_fed_to_its_end_is_no_fragment() {
    let stream = [ROOT, (3, b"reg", b"1234".as_slice()), (2, b"a", b""), UP, END];
    for cut in 0..stream.len() {
        let (_, result) = collect_with(Limits::DEFAULT, &stream[..cut]);
        assert_eq!(result, Err(FragmentError::Endless), "cut after {cut} calls");
    }
}

#[test]
fn the_models_streams_are_sound_and_say_whose_they_are() {
    let places = [
        (DrcIndex(0x1000_0001), What::Core(1), 1),
        (DrcIndex(0x8000_0004), What::Dimm { first: 4, blocks: 1 }, 1),
        (DrcIndex(0x4000_0008), What::Pci { phb: 0, devfn: 8 }, 1),
        (DrcIndex(0x2000_0005), What::Phb(5), 2),
        (DrcIndex(0x9000_0000), What::Nvdimm(0), 1),
    ];
    for (index, what, nodes) in places {
        let mut platform = Platform::new(Config::default());
        platform.plug("device", what, How::Hot).expect("free");
        if nodes > 1 {
            platform.plug("child", What::Pci { phb: 5, devfn: 0 }, How::Hot).expect("free");
        }
        let _ = platform.set_indicator(Indicator::ALLOCATION_STATE, index, USABLE);
        let _ = platform.set_indicator(Indicator::ISOLATION_STATE, index, UNISOLATE);
        let mut page = WorkArea::new(index);
        let mut collector = Collector::default();
        while collector.feed(platform.configure_connector(&mut page), &page) != Progress::Ended {}
        let fragment = collector.finish().1.expect("a fragment");
        assert_eq!(fragment.nodes().len(), nodes);
        let mine = fragment.property("ibm,my-drc-index").and_then(super::Property::cell);
        assert!(mine.is_none_or(|mine| mine == index.0));
    }
}

fn status() -> impl Strategy<Value = i32> {
    prop_oneof![8 => 0..5_i32, 1 => Just(-2), 1 => 9900..9906_i32, 1 => any::<i32>()]
}

proptest! {
    #[test]
    fn no_stream_makes_it_panic_or_go_on_beyond_its_bounds(
        answers in vec((status(), vec(any::<u8>(), 0..6), vec(any::<u8>(), 0..6), any::<Option<[u32; 3]>>()), 0..80),
    ) {
        let limits = Limits { depth: 3, nodes: 6, properties: 9, bytes: 64, calls: 40, wait_ms: 500 };
        let mut collector = Collector::new(limits);
        let mut fed = 0;
        for (status, name, value, cells) in &answers {
            let mut page = area(name, value);
            for (at, cell) in cells.iter().flatten().enumerate() {
                page.0[8 + 4 * at..12 + 4 * at].copy_from_slice(&cell.to_be_bytes());
            }
            fed += 1;
            if collector.feed(Status(*status), &page) == Progress::Ended {
                break;
            }
        }
        assert!(fed <= 40);
        if let (_, Ok(fragment)) = collector.finish() {
            assert!(fragment.nodes().len() <= 6 && fragment.properties() <= 9);
            let parents = fragment.nodes().iter().enumerate();
            assert!(parents.into_iter().all(|(at, node)| node.parent.is_none_or(|parent| parent < at)));
        }
    }
}
