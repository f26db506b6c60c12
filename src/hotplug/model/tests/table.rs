//! The transition table, cell by cell.

use super::super::{Notice, Platform};
use super::{CORE, EACH, LMB, PCI, allocation, configure, isolation, plugged};
use crate::hotplug::State;
use crate::papr::connector::WorkArea;
use crate::papr::drc::DrcIndex;
use crate::papr::indicator::{
    ACTION, EXCHANGE, EntitySense, ISOLATE, Indicator, RECOVER, Sensor, UNISOLATE, UNUSABLE, USABLE,
};
use crate::papr::status::Status;
use State::{Available, Configured, PowerOn, Unisolated, Unusable};

/// A platform whose connector at `index` is in `state`, with the device still wanted or not.
fn at(index: DrcIndex, state: State, wanted_back: bool) -> Platform {
    let what = EACH.iter().find(|(place, _)| *place == index).expect("a place").1;
    let mut platform = plugged(what);
    // An empty connector lets its device go at once, so that one is asked for on the way.
    let steps: &[fn(&mut Platform, DrcIndex) -> Status] = &[
        |platform, index| allocation(platform, index, USABLE),
        |platform, index| isolation(platform, index, UNISOLATE),
        configure,
    ];
    let steps = match state {
        Unusable | PowerOn => &steps[..0],
        Available => &steps[..1],
        Unisolated => &steps[usize::from(index.kind().is_physical())..2],
        _ => &steps[usize::from(index.kind().is_physical())..],
    };
    for step in steps {
        assert_eq!(step(&mut platform, index), Status::SUCCESS);
    }
    assert_eq!(state_of(&platform, index), state);
    if wanted_back {
        platform.unplug("device").expect("it is there");
        assert!(platform.drc(index).expect("listed").unplug_requested());
    }
    platform
}

fn state_of(platform: &Platform, index: DrcIndex) -> State {
    platform.drc(index).expect("listed").state()
}

/// What a call does in a state: its status, the state after it, and whether the device is gone.
type Cell = (i32, State, bool);

fn check(
    index: DrcIndex,
    state: State,
    wanted_back: bool,
    call: impl FnOnce(&mut Platform) -> Status,
    cell: Cell,
) {
    let mut platform = at(index, state, wanted_back);
    let status = call(&mut platform);
    let gone = platform.device("device").is_none();
    assert_eq!((status.0, state_of(&platform, index), gone), cell, "{index} {state} {wanted_back}");
    let drc = platform.drc(index).expect("listed");
    assert_eq!(drc.device().is_none(), gone);
    if status != Status::SUCCESS {
        assert_eq!(drc.unplug_requested(), wanted_back, "a call that fails changes nothing");
    }
}

#[test]
fn a_logical_connector_answers_as_the_table_says() {
    for index in [CORE, LMB] {
        for (value, cells) in [
            (USABLE, [(0, Available), (0, Available), (0, Unisolated), (0, Configured)]),
            (UNUSABLE, [(0, Unusable), (0, Unusable), (-3, Unisolated), (-3, Configured)]),
            (EXCHANGE, [(-3, Unusable), (-3, Available), (-3, Unisolated), (-3, Configured)]),
            (RECOVER, [(-3, Unusable), (-3, Available), (-3, Unisolated), (-3, Configured)]),
            (4, [(-3, Unusable), (-3, Available), (-3, Unisolated), (-3, Configured)]),
        ] {
            for (state, (status, after)) in
                [Unusable, Available, Unisolated, Configured].into_iter().zip(cells)
            {
                check(index, state, false, |p| allocation(p, index, value), (status, after, false));
            }
        }
        for (value, cells) in [
            (UNISOLATE, [(-3, Unusable), (0, Unisolated), (0, Unisolated), (0, Configured)]),
            (2, [(-3, Unusable), (-3, Available), (-3, Unisolated), (-3, Configured)]),
        ] {
            for (state, (status, after)) in
                [Unusable, Available, Unisolated, Configured].into_iter().zip(cells)
            {
                check(index, state, false, |p| isolation(p, index, value), (status, after, false));
            }
        }
        let cells = [(-9003, Unusable), (-9003, Available), (0, Configured), (0, Configured)];
        for (state, (status, after)) in [Unusable, Available, Unisolated, Configured].into_iter().zip(cells) {
            check(index, state, false, |p| configure(p, index), (status, after, false));
        }
        for state in [Unusable, Available, Unisolated, Configured] {
            let lamp = |p: &mut Platform| p.set_indicator(Indicator::DR_INDICATOR, index, 1);
            check(index, state, false, lamp, (-3, state, false));
        }
    }
}

#[test]
fn isolating_tells_memory_from_the_others() {
    let cells = |configured| [(0, Unusable), (0, Available), (-3, Unisolated), configured];
    for (index, cells) in [(CORE, cells((0, Available))), (LMB, cells((-1, Configured)))] {
        for (state, (status, after)) in [Unusable, Available, Unisolated, Configured].into_iter().zip(cells) {
            check(index, state, false, |p| isolation(p, index, ISOLATE), (status, after, false));
        }
    }
}

#[test]
fn a_logical_connector_that_is_wanted_back_answers_as_the_table_says() {
    for index in [CORE, LMB] {
        check(index, Available, true, |p| allocation(p, index, UNUSABLE), (0, Unusable, true));
        check(index, Unisolated, true, |p| allocation(p, index, UNUSABLE), (-3, Unisolated, false));
        check(index, Configured, true, |p| allocation(p, index, UNUSABLE), (-3, Configured, false));
        check(index, Available, true, |p| allocation(p, index, USABLE), (0, Available, false));
        check(index, Available, true, |p| isolation(p, index, ISOLATE), (0, Available, false));
        check(index, Unisolated, true, |p| isolation(p, index, ISOLATE), (-3, Unisolated, false));
        check(index, Configured, true, |p| isolation(p, index, ISOLATE), (0, Available, false));
        check(index, Available, true, |p| isolation(p, index, UNISOLATE), (0, Unisolated, false));
        check(index, Available, true, |p| configure(p, index), (-9003, Available, false));
    }
}

#[test]
fn unisolating_what_is_wanted_back_refuses_it() {
    for state in [Unisolated, Configured] {
        for (index, times) in [(CORE, 1), (LMB, 2)] {
            let mut platform = at(index, state, true);
            assert_eq!(isolation(&mut platform, index, UNISOLATE), Status::SUCCESS);
            assert!(!platform.drc(index).expect("listed").unplug_requested());
            assert_eq!(platform.notices(), vec![Notice::Refused("device".into()); times]);
            assert_eq!(state_of(&platform, index), state);
            platform.unplug("device").expect("it can be asked for again");
        }
    }
}

#[test]
fn configuring_memory_that_is_wanted_back_refuses_it_and_nothing_else() {
    for state in [Unisolated, Configured] {
        for (index, notices) in [(CORE, vec![]), (LMB, vec![Notice::Refused("device".into())])] {
            let mut platform = at(index, state, true);
            assert_eq!(configure(&mut platform, index), Status::SUCCESS);
            assert_eq!(platform.drc(index).expect("listed").unplug_requested(), notices.is_empty());
            assert_eq!(platform.notices(), notices);
        }
    }
}

#[test]
fn a_logical_connector_without_device_cannot_be_made_usable() {
    for (index, what) in EACH.into_iter().filter(|(index, _)| !index.kind().is_physical()) {
        let mut platform = plugged(what);
        if platform.unplug("device").is_err() {
            continue;
        }
        assert_eq!(platform.device("device"), None, "what was never acquired goes at once");
        assert_eq!(allocation(&mut platform, index, USABLE), Status::PARAMETER);
        assert_eq!(state_of(&platform, index), Unusable);
    }
}

#[test]
fn a_physical_connector_answers_as_the_table_says() {
    let states = [PowerOn, Unisolated, Configured];
    for (value, cells) in [
        (ISOLATE, [(0, PowerOn), (-3, Unisolated), (0, PowerOn)]),
        (UNISOLATE, [(0, Unisolated), (0, Unisolated), (0, Configured)]),
        (2, [(-3, PowerOn), (-3, Unisolated), (-3, Configured)]),
    ] {
        for (state, (status, after)) in states.into_iter().zip(cells) {
            check(PCI, state, false, |p| isolation(p, PCI, value), (status, after, false));
        }
    }
    let cells = [(-9003, PowerOn), (0, Configured), (0, Configured)];
    for (state, (status, after)) in states.into_iter().zip(cells) {
        check(PCI, state, false, |p| configure(p, PCI), (status, after, false));
        check(PCI, state, false, |p| allocation(p, PCI, USABLE), (-3, state, false));
        check(PCI, state, false, |p| allocation(p, PCI, UNUSABLE), (-3, state, false));
    }
    check(PCI, Configured, true, |p| isolation(p, PCI, ISOLATE), (0, PowerOn, true));
    check(PCI, Unisolated, true, |p| isolation(p, PCI, ISOLATE), (-3, Unisolated, false));
}

#[test]
fn a_physical_connector_cannot_be_refused() {
    for state in [Unisolated, Configured] {
        let mut platform = at(PCI, state, true);
        assert_eq!(isolation(&mut platform, PCI, UNISOLATE), Status::SUCCESS);
        assert!(platform.drc(PCI).expect("listed").unplug_requested());
        assert_eq!(platform.notices(), []);
    }
}

#[test]
fn an_empty_slot_has_a_lamp_and_nothing_else() {
    let mut platform = at(PCI, PowerOn, false);
    platform.unplug("device").expect("it is there");
    for value in 0..=ACTION {
        assert_eq!(platform.set_indicator(Indicator::DR_INDICATOR, PCI, value), Status::SUCCESS);
        assert_eq!(platform.drc(PCI).expect("listed").indicator(), value);
    }
    assert_eq!(platform.set_indicator(Indicator::DR_INDICATOR, PCI, ACTION + 1), Status::PARAMETER);
    assert_eq!(isolation(&mut platform, PCI, UNISOLATE), Status::PARAMETER);
    assert_eq!(isolation(&mut platform, PCI, ISOLATE), Status::SUCCESS);
    assert_eq!(state_of(&platform, PCI), PowerOn);
}

#[test]
fn the_sense_follows_the_state_or_the_device() {
    for (index, state, sense) in [
        (CORE, Unusable, EntitySense::UNUSABLE),
        (CORE, Available, EntitySense::PRESENT),
        (CORE, Unisolated, EntitySense::PRESENT),
        (CORE, Configured, EntitySense::PRESENT),
        (PCI, PowerOn, EntitySense::PRESENT),
        (PCI, Configured, EntitySense::PRESENT),
    ] {
        let platform = at(index, state, false);
        let answer = platform.get_sensor_state(Sensor::DR_ENTITY_SENSE, index);
        assert_eq!(answer, (Status::SUCCESS, sense));
        let answer = platform.get_sensor_state(Sensor(9001), index);
        assert_eq!(answer, (Status::PARAMETER, EntitySense::EMPTY));
    }
    let mut platform = at(PCI, PowerOn, false);
    platform.unplug("device").expect("it is there");
    let answer = platform.get_sensor_state(Sensor::DR_ENTITY_SENSE, PCI);
    assert_eq!(answer, (Status::SUCCESS, EntitySense::EMPTY));
}

#[test]
fn an_unknown_connector_is_a_parameter_error() {
    let nobody = DrcIndex(0x1000_0063);
    let mut platform = at(CORE, Configured, false);
    for indicator in [9001, 9002, 9003, 0].map(Indicator) {
        assert_eq!(platform.set_indicator(indicator, nobody, 0), Status::PARAMETER);
    }
    assert_eq!(platform.set_indicator(Indicator(9004), CORE, 0), Status::PARAMETER);
    let answer = platform.get_sensor_state(Sensor::DR_ENTITY_SENSE, nobody);
    assert_eq!(answer, (Status::PARAMETER, EntitySense::EMPTY));
    assert_eq!(platform.configure_connector(&mut WorkArea::new(nobody)), Status::PARAMETER);
}

#[test]
fn unisolating_rewinds_the_stream_and_only_from_available() {
    let mut platform = at(CORE, Unisolated, false);
    let mut area = WorkArea::new(CORE);
    assert_eq!(platform.configure_connector(&mut area), Status(2));
    assert_eq!(isolation(&mut platform, CORE, UNISOLATE), Status::SUCCESS);
    assert_eq!(platform.configure_connector(&mut area), Status(3), "it goes on where it was");
    assert_eq!(configure(&mut platform, CORE), Status::SUCCESS);
    assert_eq!(platform.configure_connector(&mut area), Status(2), "after the end it starts anew");
    assert_eq!(isolation(&mut platform, CORE, ISOLATE), Status::SUCCESS);
    assert_eq!(isolation(&mut platform, CORE, UNISOLATE), Status::SUCCESS);
    assert_eq!(platform.configure_connector(&mut area), Status(2), "and after it was isolated");
}
