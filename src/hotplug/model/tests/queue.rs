//! Events, interrupts and the calls that take them.

use super::super::{Config, EPOW_IRQ, Ending, HOT_PLUG_IRQ, How, Machine, Platform, What};
use super::{CORE, plugged};
use crate::machine::{Arg, Rtas};
use crate::papr::event::{EventMask, LOG_MAX};
use crate::papr::indicator::{EntitySense, Indicator};
use crate::papr::rtas::{Call, Calls};
use crate::papr::status::Status;

const EPOW: u32 = EventMask::EPOW.bits();
const HOT_PLUG: u32 = EventMask::HOT_PLUG.bits();

fn pulses(platform: &mut Platform) -> [u32; 2] {
    [EPOW_IRQ, HOT_PLUG_IRQ].map(|irq| platform.line(irq).expect("a source").pulses)
}

#[test]
fn an_event_pulses_its_source_and_taking_one_announces_the_rest() {
    let mut platform = plugged(What::Core(1));
    assert_eq!(pulses(&mut platform), [0, 1]);
    platform.plug("other", What::Core(2), How::Hot).expect("free");
    platform.powerdown();
    assert_eq!(pulses(&mut platform), [1, 2]);
    assert!(platform.check_exception(HOT_PLUG).is_some());
    assert_eq!(pulses(&mut platform), [2, 3]);
    assert!(platform.check_exception(HOT_PLUG).is_some());
    assert_eq!(pulses(&mut platform), [3, 3]);
    assert!(platform.check_exception(HOT_PLUG).is_none());
    assert_eq!(pulses(&mut platform), [3, 3], "finding nothing announces nothing");
    assert_eq!((platform.event_scan(), platform.queued()), (Status::NONE_FOUND, 1));
    assert_eq!(pulses(&mut platform), [4, 3]);
}

#[test]
fn the_first_event_of_a_class_is_taken_whatever_stands_before_it() {
    let mut platform = plugged(What::Core(1));
    platform.powerdown();
    let first = platform.check_exception(EPOW).expect("the shutdown");
    assert_eq!(first[..4], [0x06, 0x34, 0x00, 0x40]);
    assert!(platform.check_exception(0).is_none());
    assert!(platform.check_exception(EPOW).is_none());
    assert!(platform.check_exception(u32::MAX).is_some());
}

#[test]
fn the_class_is_decided_when_an_event_is_taken() {
    let mut platform = Platform::new(Config::default());
    platform.plug("core", What::Core(1), How::Hot).expect("free");
    assert_eq!(pulses(&mut platform), [1, 0], "before CAS it is signalled as EPOW");
    assert!(platform.check_exception(HOT_PLUG).is_none());
    assert!(platform.check_exception(EPOW).is_some());
}

#[test]
fn a_pulse_that_came_while_its_source_was_off_is_kept() {
    let mut platform = plugged(What::Core(1));
    assert_eq!(platform.interrupt(), None);
    platform.line(HOT_PLUG_IRQ).expect("a source").priority = 5;
    assert_eq!(platform.interrupt().map(|line| line.irq), Some(HOT_PLUG_IRQ));
    assert_eq!(platform.interrupt(), None);
    platform.reset();
    assert_eq!(platform.line(HOT_PLUG_IRQ).expect("a source").priority, 0xff);
}

#[test]
fn the_log_is_the_one_that_was_made_by_hand() {
    let made = include_str!("../../../../tests/data/events/made-cpu-add.hex");
    let digits: std::string::String = made.lines().filter(|line| !line.starts_with('#')).collect();
    let mut made = crate::log::parse_hex(&digits).expect("hexadecimal digits");
    let mut log = plugged(What::Core(1)).check_exception(HOT_PLUG).expect("an event").to_vec();
    for bytes in [&mut made, &mut log] {
        // When it was made, and how many were made before it.
        bytes[32..40].fill(0);
        bytes[64..68].fill(0);
    }
    assert_eq!(log, made);
}

#[test]
fn the_calls_of_rtas_reach_the_platform() {
    let mut machine = Machine::new(Config::default());
    machine.platform.cas(true);
    machine.platform.plug("core", What::Core(1), How::Hot).expect("free");
    let tokens = Machine::tokens();
    let mut calls = Calls::new(&mut machine, &tokens);
    let mut log = [0; LOG_MAX];
    assert_eq!(calls.set_xive(HOT_PLUG_IRQ, 0, 5), Ok(Status::SUCCESS));
    assert_eq!(calls.set_xive(HOT_PLUG_IRQ, 77, 5), Ok(Status::PARAMETER));
    assert_eq!(calls.int_off(HOT_PLUG_IRQ), Ok(Status::SUCCESS));
    assert_eq!(calls.int_on(HOT_PLUG_IRQ), Ok(Status::SUCCESS));
    assert_eq!(calls.event_scan(EventMask::all(), &mut log), Ok(Status::NONE_FOUND));
    assert_eq!(calls.check_exception(HOT_PLUG_IRQ, EventMask::HOT_PLUG, &mut log), Ok(Status::SUCCESS));
    assert_eq!(log[96..98], *b"HP");
    assert_eq!(calls.check_exception(HOT_PLUG_IRQ, EventMask::HOT_PLUG, &mut log), Ok(Status::NONE_FOUND));
    assert_eq!(calls.entity_sense(CORE), Ok((Status::SUCCESS, EntitySense::UNUSABLE)));
    assert_eq!(calls.set_indicator(Indicator::ALLOCATION_STATE, CORE, 1), Ok(Status::SUCCESS));
    assert_eq!(calls.entity_sense(CORE), Ok((Status::SUCCESS, EntitySense::PRESENT)));
    assert_eq!(calls.query_cpu_stopped_state(1), Ok((Status::SUCCESS, 0)));
    assert_eq!(calls.start_cpu(1, 0x100, 1), Ok(Status::SUCCESS));
    assert_eq!(calls.start_cpu(1, 0x100, 1), Ok(Status::HARDWARE));
    assert_eq!(calls.start_cpu(9, 0x100, 1), Ok(Status::PARAMETER));
    assert_eq!(calls.query_cpu_stopped_state(1), Ok((Status::SUCCESS, 2)));
    assert_eq!(calls.os_term(c"why"), Ok(Status::SUCCESS));
    assert_eq!(machine.ending, Some(Ending::Dead("why".into())));
    assert_eq!(machine.platform.interrupt().map(|line| line.priority), Some(5));
}

#[test]
fn a_call_with_other_cells_than_it_takes_changes_nothing() {
    let tokens = Machine::tokens();
    for call in Call::ALL {
        let Some(token) = tokens.get(*call) else { continue };
        if *call == Call::OsTerm {
            continue;
        }
        for (args, rets) in [(0, 5), (9, 0), (9, 5)] {
            let mut machine = Machine::new(Config::default());
            let mut args: Vec<_> = (0..args).map(|_| Arg::Cell(1)).collect();
            let status = machine.rtas(token, &mut args, &mut vec![0; rets]);
            assert_eq!((status, machine.ending), (Status::PARAMETER, None), "{call:?}");
        }
    }
    assert_eq!(Machine::new(Config::default()).rtas(0x2fff, &mut [], &mut []), Status::PARAMETER);
}

#[test]
fn the_length_of_the_buffer_is_not_looked_at() {
    let mut machine = Machine::new(Config::default());
    machine.platform = plugged(What::Core(1));
    let mut short = [0; 100];
    let args = &mut [
        Arg::Cell(0x500),
        Arg::Cell(0),
        Arg::Cell(u32::MAX),
        Arg::Cell(0),
        Arg::Out(&mut short),
        Arg::Cell(100),
    ];
    assert_eq!(machine.rtas(0x200e, args, &mut []), Status::SUCCESS);
    assert_eq!(machine.overrun, 16);
}
