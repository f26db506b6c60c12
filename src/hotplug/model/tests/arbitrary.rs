//! Any sequence of calls and host commands: no panic, and what must always hold does.

use super::super::{Config, How, Platform, What};
use crate::hotplug::State;
use crate::papr::connector::WorkArea;
use crate::papr::drc::DrcIndex;
use crate::papr::indicator::Indicator;
use crate::papr::status::Status;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

#[derive(Clone, Debug)]
enum Move {
    Set(Indicator, DrcIndex, u32),
    Configure(DrcIndex),
    Take(u32),
    Scan,
    Plug(What, bool),
    Unplug(What),
    Cas(bool),
    Reset,
    Powerdown,
}

/// Connectors where devices come and go, and some that nobody knows.
fn index() -> impl Strategy<Value = DrcIndex> {
    let near = [0x1000_0000, 0x1000_0001, 0x2000_0005, 0x4000_0008, 0x4000_0009, 0x4005_0008, 0x9000_0000];
    prop_oneof![
        (0..7_usize).prop_map(move |at| DrcIndex(near[at])),
        (0x8000_0004..0x8000_0008_u32).prop_map(DrcIndex),
        any::<u32>().prop_map(DrcIndex),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        (0..3_u32).prop_map(What::Core),
        (4..8_u32, 0..3_u32).prop_map(|(first, blocks)| What::Dimm { first, blocks }),
        Just(What::Phb(5)),
        (0..2_u32, 8..10_u32).prop_map(|(bus, devfn)| What::Pci { phb: bus * 5, devfn }),
        Just(What::Nvdimm(0)),
    ]
}

fn one() -> impl Strategy<Value = Move> {
    let indicator = (9000..9005_u32).prop_map(Indicator);
    prop_oneof![
        8 => (indicator, index(), 0..4_u32).prop_map(|(indicator, index, value)| Move::Set(indicator, index, value)),
        6 => index().prop_map(Move::Configure),
        2 => any::<u32>().prop_map(Move::Take),
        1 => Just(Move::Scan),
        3 => (what(), any::<bool>()).prop_map(|(what, hot)| Move::Plug(what, hot)),
        3 => what().prop_map(Move::Unplug),
        1 => any::<bool>().prop_map(Move::Cas),
        1 => Just(Move::Reset),
        1 => Just(Move::Powerdown),
    ]
}

/// The device of a place has a name of its own, so that it can be found again.
fn name(what: What) -> std::string::String {
    std::format!("{what:?}")
}

fn apply(platform: &mut Platform, step: &Move) {
    match step {
        Move::Set(indicator, index, value) => {
            let before = platform.drc(*index).cloned();
            let status = platform.set_indicator(*indicator, *index, *value);
            if status != Status::SUCCESS {
                assert_eq!(platform.drc(*index), before.as_ref(), "a call that fails changes nothing");
            }
        }
        Move::Configure(index) => {
            let _ = platform.configure_connector(&mut WorkArea::new(*index));
        }
        Move::Take(mask) => {
            let _ = platform.check_exception(*mask);
        }
        Move::Scan => assert_eq!(platform.event_scan(), Status::NONE_FOUND),
        Move::Plug(what, hot) => {
            let how = if *hot { How::Hot } else { How::Cold };
            let _ = platform.plug(&name(*what), *what, how);
        }
        Move::Unplug(what) => {
            let _ = platform.unplug(&name(*what));
        }
        Move::Cas(hotplug_events) => platform.cas(*hotplug_events),
        Move::Reset => platform.reset(),
        Move::Powerdown => platform.powerdown(),
    }
}

fn check(platform: &Platform) {
    for (index, _, kind) in platform.listed() {
        let drc = platform.drc(index).expect("listed");
        let fits = match drc.state() {
            State::Unusable | State::Available => !kind.is_physical(),
            State::PowerOn => kind.is_physical(),
            State::Unisolated | State::Configured => true,
            State::Unknown => false,
        };
        assert!(fits, "{index} {}", drc.state());
        assert!(drc.is_empty() || drc.device().is_some(), "{index} is {} without device", drc.state());
        assert!(!drc.unplug_requested() || drc.device().is_some(), "{index}: nothing to want back");
        assert!(!(drc.unplug_requested() && drc.is_empty()), "{index}: it would have gone at once");
        if let Some(id) = drc.device() {
            assert!(platform.device(id).is_some_and(|device| device.drcs().contains(&index)));
        }
    }
}

proptest! {
    #[test]
    fn no_sequence_breaks_it(steps in vec(one(), 0..60)) {
        let mut platform = Platform::new(Config::default());
        for step in &steps {
            apply(&mut platform, step);
            check(&platform);
        }
    }

    #[test]
    fn after_a_reset_everything_is_as_cold_plugged(steps in vec(one(), 0..60)) {
        let mut platform = Platform::new(Config::default());
        steps.iter().for_each(|step| apply(&mut platform, step));
        platform.reset();
        check(&platform);
        assert_eq!(platform.queued(), 0);
        for (index, _, _) in platform.listed() {
            let drc = platform.drc(index).expect("listed");
            assert_eq!(drc.is_empty(), drc.device().is_none(), "{index}");
            assert!(drc.is_empty() || drc.state() == State::Configured);
        }
    }
}
