//! The table and the tour, against the model.

use super::{Answer, Ask, CALLS, Call, Found, Row, Tour, expected, is_possible, states};
use crate::hotplug::State;
use crate::hotplug::model::{Config, How, Platform, What};
use crate::papr::connector::WorkArea;
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::indicator::{EntitySense, Indicator};
use crate::papr::status::Status;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use std::string::{String, ToString};
use std::vec::Vec;

const NOBODY: DrcIndex = DrcIndex(0x1000_0063);

/// A platform with devices of this kind, and their connectors.
fn platform(kind: DrcKind) -> (Platform, Vec<DrcIndex>) {
    let mut platform = Platform::new(Config::default());
    platform.cas(true);
    let what = match kind {
        DrcKind::CPU => What::Core(1),
        DrcKind::LMB => What::Dimm { first: 4, blocks: 6 },
        DrcKind::PHB => What::Phb(5),
        DrcKind::PMEM => What::Nvdimm(0),
        _ => What::Pci { phb: 0, devfn: 8 },
    };
    platform.plug("device", what, How::Hot).expect("free");
    let connectors = platform.device("device").expect("plugged").drcs().to_vec();
    (platform, connectors)
}

fn call(platform: &mut Platform, index: DrcIndex, call: Call) -> Found {
    match call {
        Call::Set(indicator, value) => Found::Status(platform.set_indicator(indicator, index, value)),
        Call::Sense(sensor) => {
            let (rc, sense) = platform.get_sensor_state(sensor, index);
            Found::Sense(rc, sense)
        }
        Call::Configure => {
            let mut area = WorkArea::new(index);
            loop {
                match platform.configure_connector(&mut area) {
                    Status(1..) => {}
                    end => return Found::Status(end),
                }
            }
        }
    }
}

/// Makes a tour; its rows, how many connectors were given up, and how many rows are missing.
fn travel(platform: &mut Platform, mut tour: Tour) -> (Vec<Row>, usize, usize) {
    let (mut rows, mut given_up, mut found) = (Vec::new(), 0, Found::Told);
    for _ in 0..2000 {
        found = match tour.next(found) {
            Ask::Call(index, asked) => call(platform, index, asked),
            Ask::Step(index) => Found::Status(platform.configure_connector(&mut WorkArea::new(index))),
            Ask::Row(row) => {
                rows.push(row);
                Found::Told
            }
            Ask::GiveUp(_) => {
                given_up += 1;
                Found::Told
            }
            Ask::Finished(missing) => {
                assert_eq!(tour.next(Found::Told), Ask::Finished(missing));
                return (rows, given_up, missing);
            }
        };
    }
    panic!("the tour does not end")
}

const KINDS: [DrcKind; 5] = [DrcKind::CPU, DrcKind::LMB, DrcKind::PHB, DrcKind::PMEM, DrcKind::PCI];

#[test]
fn a_tour_makes_every_call_from_every_state_and_finds_what_is_expected() {
    for kind in KINDS {
        let (mut platform, connectors) = platform(kind);
        let (rows, given_up, missing) = travel(&mut platform, Tour::new(kind, connectors, Some(NOBODY)));
        assert_eq!((rows.len(), missing), ((states(kind).len() + 1) * CALLS.len(), 0), "{kind}");
        for row in &rows {
            assert!(row.is_expected(), "{row:?}, and not {:?}", expected(kind, row.before, row.call));
        }
        // A block that was configured cannot be brought back.
        assert_eq!(given_up, if kind == DrcKind::LMB { 1 } else { 0 });
    }
}

/// The table of a kind as text: one line for each call, one column for each state.
fn table(kind: DrcKind) -> Vec<String> {
    let line = |call: &Call| {
        let cells = states(kind).iter().map(|state| {
            let Answer { rc, after, .. } = expected(kind, *state, *call);
            let moved = if after == *state { String::new() } else { std::format!(">{after}") };
            std::format!("{}{moved}", rc.0)
        });
        std::format!("{call}: {}", cells.collect::<Vec<_>>().join(" "))
    };
    CALLS
        .iter()
        .filter(|call| matches!(call, Call::Set(Indicator(9001 | 9003), 0..=1) | Call::Configure))
        .map(line)
        .collect()
}

#[test]
fn the_table_is_the_one_of_the_reference() {
    let logical = [
        "isolation-state isolate: 0 0 -3 0>available",
        "isolation-state unisolate: -3 0>unisolated 0 0",
        "allocation-state unusable: 0 0>unusable -3 -3",
        "allocation-state usable: 0>available 0 0 0",
        "configure-connector: -9003 -9003 0>configured 0",
    ];
    assert_eq!(table(DrcKind::CPU), logical);
    assert_eq!(table(DrcKind::PHB), logical);
    assert_eq!(table(DrcKind::LMB)[0], "isolation-state isolate: 0 0 -3 -1");
    assert_eq!(table(DrcKind::LMB)[1..], logical[1..]);
    assert_eq!(
        table(DrcKind::PCI),
        [
            "isolation-state isolate: 0 -3 0>power-on",
            "isolation-state unisolate: 0>unisolated 0 0",
            "allocation-state unusable: -3 -3 -3",
            "allocation-state usable: -3 -3 -3",
            "configure-connector: -9003 0>configured 0",
        ]
    );
}

#[test]
fn a_wrong_answer_is_not_expected() {
    let (mut platform, connectors) = platform(DrcKind::CPU);
    let (rows, ..) = travel(&mut platform, Tour::new(DrcKind::CPU, connectors, None));
    for row in rows {
        let wrong = |answer| !Row { answer, ..row }.is_expected();
        assert!(wrong(Answer { rc: Status(-2), ..row.answer }));
        assert!(wrong(Answer { after: State::Unknown, ..row.answer }));
        assert!(wrong(Answer { sense: EntitySense(5), ..row.answer }));
    }
}

#[test]
fn rows_without_a_connector_are_counted() {
    let rows = states(DrcKind::LMB).len() * CALLS.len();
    let (mut platform, connectors) = platform(DrcKind::LMB);
    assert_eq!(travel(&mut platform, Tour::new(DrcKind::LMB, [], None)), (vec![], 0, rows));
    let (found, given_up, missing) =
        travel(&mut platform, Tour::new(DrcKind::LMB, [connectors[0]], Some(NOBODY)));
    assert_eq!((given_up, found.len() + missing), (1, rows + CALLS.len()));
    assert!(found.iter().filter(|row| row.before == State::Unknown).count() == CALLS.len());
}

#[test]
fn calls_are_named() {
    let names: Vec<_> =
        [CALLS[0], CALLS[1], CALLS[3], CALLS[5], CALLS[17]].map(|call| call.to_string()).into();
    let expected = [
        "sense dr-entity-sense",
        "sense 9001",
        "isolation-state isolate",
        "isolation-state 2",
        "configure-connector",
    ];
    assert_eq!(names, expected);
}

fn found() -> impl Strategy<Value = Found> {
    prop_oneof![
        1 => (0..1_u8).prop_map(|_| Found::Told),
        6 => (-4..5_i32).prop_map(|status| Found::Status(Status(status))),
        2 => any::<i32>().prop_map(|status| Found::Status(Status(status))),
        3 => (-1..1_i32, 0..4_u32).prop_map(|(rc, sense)| Found::Sense(Status(rc), EntitySense(sense))),
    ]
}

proptest! {
    #[test]
    fn any_answers_bring_a_tour_to_its_end(answers in vec(found(), 1..40), physical in any::<bool>()) {
        let kind = if physical { DrcKind::PCI } else { DrcKind::CPU };
        let mut tour = Tour::new(kind, (1..5).map(DrcIndex), Some(NOBODY));
        let mut asked = answers.iter().cycle();
        let mut step = 0;
        while !matches!(tour.next(*asked.next().expect("endless")), Ask::Finished(_)) {
            step += 1;
            assert!(step < 20_000, "the tour does not end");
        }
    }
}

#[test]
fn a_guest_that_races_with_its_host_allows_for_what_it_cannot_know() {
    let (usable, isolate) =
        (Call::Set(Indicator::ALLOCATION_STATE, 1), Call::Set(Indicator::ISOLATION_STATE, 0));
    for (kind, before, call, rc, possible) in [
        (DrcKind::LMB, State::Unusable, usable, Status::SUCCESS, true),
        (DrcKind::LMB, State::Unusable, usable, Status::PARAMETER, true),
        (DrcKind::LMB, State::Unusable, usable, Status::HARDWARE, false),
        (DrcKind::LMB, State::Available, usable, Status::PARAMETER, false),
        (DrcKind::LMB, State::Configured, isolate, Status::SUCCESS, true),
        (DrcKind::LMB, State::Configured, isolate, Status::HARDWARE, true),
        (DrcKind::CPU, State::Configured, isolate, Status::HARDWARE, false),
        (DrcKind::PCI, State::PowerOn, Call::Configure, Status::SUCCESS, false),
    ] {
        assert_eq!(is_possible(kind, before, call, rc), possible, "{kind} {before} {call} {rc}");
    }
    for kind in [DrcKind::CPU, DrcKind::LMB, DrcKind::PCI, DrcKind::PHB, DrcKind::PMEM] {
        for (&before, call) in states(kind).iter().flat_map(|before| CALLS.map(|call| (before, call))) {
            assert!(
                is_possible(kind, before, call, expected(kind, before, call).rc),
                "{kind} {before} {call}"
            );
        }
    }
}
