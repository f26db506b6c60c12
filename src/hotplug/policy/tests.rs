//! Manners, tried against the model of the hypervisor's half.

mod events;

use super::{Conduct, Manner, Move, Policy};
use crate::hotplug::State;
use crate::hotplug::connector::tests::{Bench, CORE, EACH, LMB, PCI, states};
use crate::hotplug::connector::{Action, Conclusion, Reply};
use crate::hotplug::model::{Config, HostError, How, Notice, Platform, What};
use crate::log::{Outcome, Request};
use crate::papr::drc::{DrcIndex, DrcKind};
use proptest::prelude::{any, proptest};
use std::string::ToString;
use std::vec::Vec;

/// What a conduct did beside its calls.
#[derive(Default)]
struct Story {
    waited: Vec<u32>,
    touched: usize,
    configured: usize,
    calls: usize,
}

/// Takes a conduct to its end.
fn behave(bench: &mut Bench, manner: Manner, request: Request, belief: State) -> (Conclusion, Story) {
    let mut conduct = Conduct::new(manner, request, bench.index, bench.index.kind(), belief);
    let mut story = Story::default();
    let mut reply = Reply::Start;
    for _ in 0..20 {
        reply = match conduct.next(reply) {
            Move::Do(Action::Finished(end)) => {
                assert_eq!(conduct.next(Reply::Start), Move::Do(Action::Finished(end.clone())));
                return (end, story);
            }
            Move::Do(action) => {
                story.calls += 1;
                story.configured += usize::from(action == Action::Configure);
                bench.perform(&action)
            }
            Move::Wait(ms) => {
                story.waited.push(ms);
                Reply::Start
            }
            Move::Touch => {
                story.touched += 1;
                Reply::Used(Ok(()))
            }
        };
    }
    panic!("{manner} does not end")
}

const ALL: [Manner; 10] = [
    Manner::Accept,
    Manner::Refuse,
    Manner::RefuseByConfiguring,
    Manner::Ignore,
    Manner::Late(70),
    Manner::Half(0),
    Manner::Half(3),
    Manner::Unasked,
    Manner::Twice,
    Manner::Touch,
];

#[test]
fn what_is_written_is_read_back() {
    for manner in ALL {
        for only in [None, Some(1), Some(u32::MAX)] {
            let policy = Policy { manner, only };
            assert_eq!(Policy::parse(&policy.to_string()), Some(policy));
        }
    }
    for word in Policy::WORDS {
        let word = word.replace("MS", "5").replace(":N", ":2");
        assert_eq!(Policy::parse(&word).expect("a word").to_string(), word);
    }
    assert_eq!(Policy::parse("refuse@2"), Some(Policy { manner: Manner::Refuse, only: Some(2) }));
}

#[test]
fn what_is_not_a_policy_is_not_read() {
    for text in [
        "",
        "Accept",
        "late",
        "late:",
        "late:-1",
        "half:x",
        "half:4294967296",
        "refuse:1",
        "refuse@0",
        "refuse@",
        "@1",
    ] {
        assert_eq!(Policy::parse(text), None, "{text}");
    }
}

#[test]
fn a_place_restricts_a_policy_to_one_connector() {
    let policy = Policy { manner: Manner::Refuse, only: Some(2) };
    assert_eq!([1, 2, 3].map(|place| policy.at(place)), [Manner::Accept, Manner::Refuse, Manner::Accept]);
    let policy = Policy { manner: Manner::Ignore, only: None };
    assert_eq!(policy.at(7), Manner::Ignore);
}

#[test]
fn who_accepts_does_what_is_asked() {
    for (index, _) in EACH {
        let mut bench = Bench::at(index, State::empty(index.kind().is_physical()));
        let belief = bench.state();
        let (end, story) = behave(&mut bench, Manner::Accept, Request::Add, belief);
        assert_eq!((end.outcome, story.configured, story.touched), (Outcome::Taken, 1, 0));
        assert_eq!(story.waited, []);
    }
}

/// How often the host has heard of a refusal.
fn refusals(bench: &mut Bench) -> usize {
    let refused = Notice::Refused("device".into());
    bench.platform.notices().iter().filter(|notice| **notice == refused).count()
}

#[test]
fn a_refusal_reaches_the_host_where_there_is_a_way_to_refuse() {
    for (index, _) in EACH {
        for state in [State::Unisolated, State::Configured] {
            for manner in [Manner::Refuse, Manner::RefuseByConfiguring] {
                let Some(mut bench) = Bench::wanted_back(index, state) else { continue };
                let in_use = bench.in_use;
                let (end, _) = behave(&mut bench, manner, Request::Remove, state);
                let heard = match (index.kind(), manner) {
                    (DrcKind::PCI, _) => 0,
                    (DrcKind::LMB, Manner::Refuse) => 2,
                    (DrcKind::LMB, _) | (_, Manner::Refuse) => 1,
                    _ => 0,
                };
                assert_eq!(refusals(&mut bench), heard, "{index} {state} {manner}");
                assert_eq!(end.state, bench.state());
                assert_eq!(bench.in_use, in_use, "what is refused is never put down");
                let ignored = index == PCI && state == State::Unisolated;
                assert_eq!(end.outcome, if ignored { Outcome::Ignored } else { Outcome::Kept });
            }
        }
    }
}

#[test]
fn who_ignores_an_event_makes_no_call() {
    for request in [Request::Add, Request::Remove] {
        let mut bench = Bench::at(CORE, State::Unisolated);
        let (end, story) = behave(&mut bench, Manner::Ignore, request, State::Unisolated);
        assert_eq!((end.outcome, end.state, story.calls), (Outcome::Ignored, State::Unisolated, 0));
        assert_eq!(end.reason, "told to ignore it");
    }
}

#[test]
fn who_is_late_does_the_same_after_a_while() {
    let mut bench = Bench::at(LMB, State::Unusable);
    let (end, story) = behave(&mut bench, Manner::Late(70), Request::Add, State::Unusable);
    assert_eq!((end.outcome, story.waited), (Outcome::Taken, vec![70]));
}

#[test]
fn who_stops_half_way_leaves_the_connector_at_that_step() {
    use State::{Available, Configured, PowerOn, Unisolated, Unusable};
    for (index, request, from, after) in [
        (CORE, Request::Add, Unusable, [Unusable, Available, Unisolated, Configured]),
        (PCI, Request::Add, PowerOn, [PowerOn, Unisolated, Configured, Configured]),
        (LMB, Request::Remove, Configured, [Configured, Available, Unusable, Unusable]),
        (PCI, Request::Remove, Configured, [Configured, PowerOn, PowerOn, PowerOn]),
    ] {
        for (steps, state) in (0..).zip(after) {
            let mut bench = match request {
                Request::Add => Bench::at(index, from),
                Request::Remove => Bench::wanted_back(index, from).expect("it can be asked for"),
            };
            let (end, _) = behave(&mut bench, Manner::Half(steps), request, from);
            assert_eq!((bench.state(), end.state), (state, state), "{index} {request} {steps}");
            let whole = end.outcome != Outcome::Stuck;
            assert!(whole || end.reason.starts_with("told to stop"), "{}", end.reason);
        }
    }
}

#[test]
fn who_releases_unasked_does_so_after_taking_and_only_then() {
    let then = |manner: Manner, outcome| manner.then(Request::Add, outcome);
    assert_eq!(then(Manner::Unasked, Outcome::Taken), Some(Request::Remove));
    assert_eq!(then(Manner::Unasked, Outcome::Kept), None);
    assert_eq!(then(Manner::Accept, Outcome::Taken), None);
    assert_eq!(Manner::Unasked.then(Request::Remove, Outcome::Released), None, "there is an end to it");
    for (index, outcome) in [(CORE, Outcome::Released), (LMB, Outcome::Kept)] {
        let mut bench = Bench::at(index, State::Unusable);
        let (end, _) = behave(&mut bench, Manner::Unasked, Request::Add, State::Unusable);
        assert_eq!(end.outcome, Outcome::Taken);
        let (end, _) = behave(&mut bench, Manner::Unasked, Request::Remove, end.state);
        assert_eq!(end.outcome, outcome, "QEMU lets go of a block only when it wants it back");
        assert!(bench.platform.device("device").is_some(), "and of a device as well");
    }
}

#[test]
fn who_configures_twice_is_answered_twice() {
    for (index, _) in EACH {
        let mut bench = Bench::at(index, State::empty(index.kind().is_physical()));
        let belief = bench.state();
        let (end, story) = behave(&mut bench, Manner::Twice, Request::Add, belief);
        assert_eq!((end.outcome, story.configured, end.reason.as_str()), (Outcome::Taken, 2, ""));
    }
}

#[test]
fn what_is_touched_after_its_release_stays_released() {
    let mut bench = Bench::wanted_back(LMB, State::Configured).expect("it can be asked for");
    let (end, story) = behave(&mut bench, Manner::Touch, Request::Remove, State::Configured);
    assert_eq!((end.outcome, end.state, story.touched), (Outcome::Released, State::Unusable, 1));
    assert_eq!(end.reason, "touched after its release; it can still be used");
    let mut bench = Bench::at(LMB, State::Configured);
    let (end, story) = behave(&mut bench, Manner::Touch, Request::Remove, State::Configured);
    assert_eq!((end.outcome, story.touched), (Outcome::Kept, 0), "what is kept is not touched");
}

#[test]
fn a_dimm_of_which_one_block_is_refused_is_half_gone() {
    let mut platform = Platform::new(Config::default());
    platform.cas(true);
    platform.plug("dimm", What::Dimm { first: 4, blocks: 2 }, How::Hot).expect("room");
    let policy = Policy::parse("refuse@2").expect("a policy");
    let mut bench = Bench::on(platform, LMB);
    let each = |bench: &mut Bench, request| {
        [LMB, DrcIndex(LMB.0 + 1)].map(|index| {
            bench.index = index;
            let manner = policy.at(1 + index.0 - LMB.0);
            let belief = bench.state();
            behave(bench, manner, request, belief).0.outcome
        })
    };
    assert_eq!(each(&mut bench, Request::Add), [Outcome::Taken; 2]);
    bench.platform.unplug("dimm").expect("it is there");
    assert_eq!(each(&mut bench, Request::Remove), [Outcome::Released, Outcome::Kept]);
    // Both QEMU 7.2 and later abort at the next request; the model says so instead.
    assert!(matches!(bench.platform.unplug("dimm"), Err(HostError::Abort(_))));
}

proptest! {
    #[test]
    fn every_manner_ends_in_what_the_platform_has(
        manner in 0..10_usize,
        place in 0..5_usize,
        at in 0..4_usize,
        add in any::<bool>(),
        wanted in any::<bool>(),
    ) {
        let index = EACH[place].0;
        let state = states(index)[at % states(index).len()];
        let bench = if wanted { Bench::wanted_back(index, state) } else { Some(Bench::at(index, state)) };
        let Some(mut bench) = bench else { return Ok(()) };
        let request = if add { Request::Add } else { Request::Remove };
        let belief = bench.state();
        let (end, _) = behave(&mut bench, ALL[manner], request, belief);
        assert_eq!(end.state, bench.state(), "{end:?}");
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,12}") {
        if let Some(policy) = Policy::parse(&text) {
            assert_eq!(Policy::parse(&policy.to_string()), Some(policy));
        }
    }
}
