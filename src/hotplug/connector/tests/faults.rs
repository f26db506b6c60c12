//! What a walk makes of failures: each of them, at each of its steps.

use super::{Action, Bench, EACH, Reply, Walk, states, walk};
use crate::hotplug::State;
use crate::hotplug::connector::Conclusion;
use crate::log::{Outcome, Request};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::indicator::{EntitySense, UNUSABLE};
use crate::papr::status::Status;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use std::string::ToString;

/// Every status that the specification knows, and some that it does not.
const STATUSES: [i32; 17] =
    [-1, -2, -3, -9000, -9001, -9002, -9003, -9005, 1, 2, 5, 9900, 9905, 42, -4711, i32::MIN, i32::MAX];

/// One failure.
#[derive(Clone, Copy, Debug)]
struct Fault {
    /// The step that it hits.
    step: usize,
    /// What the guest is told.
    status: Status,
    /// Whether the call was carried out all the same.
    done: bool,
}

impl Fault {
    /// Puts the fault between the walk and the platform.
    fn answer(self, bench: &mut Bench, action: &Action) -> Reply {
        let real = match action {
            Action::Use => return Reply::Used(Err("no use".to_string())),
            Action::StopUse => return Reply::Used(Err("in use".to_string())),
            // A stream whose last status is a step has not come to its end, and so has moved nothing.
            Action::Configure | Action::Drain if !self.done || matches!(self.status, Status(1..=5)) => {
                Reply::Configured(self.status, Ok(()))
            }
            action if self.done => bench.perform(action),
            Action::ReadSense => Reply::Sense(self.status, EntitySense::EMPTY),
            _ => Reply::Status(self.status),
        };
        match real {
            Reply::Sense(_, sense) => Reply::Sense(self.status, sense),
            Reply::Configured(..) => Reply::Configured(self.status, Err("broken".to_string())),
            _ => Reply::Status(self.status),
        }
    }
}

/// Whether the specification says of this status that nothing was done.
fn is_final(status: Status) -> bool {
    status.0 < 0 && status != Status::BUSY && status.name().is_some()
}

/// Walks with these faults, and checks the end. How many steps it took.
fn run(mut bench: Bench, request: Request, belief: State, faults: &[Fault]) -> usize {
    let mut steps = 0;
    let context = std::format!("{} {request} from {belief} with {faults:?}", bench.index);
    let mut walk = walk(bench.index, request, belief);
    let end = bench.walk_with(&mut walk, |bench, step, action| {
        steps = step + 1;
        match faults.iter().find(|fault| fault.step == step) {
            Some(fault) => fault.answer(bench, action),
            None => bench.perform(action),
        }
    });
    check(&mut bench, request, &end, &std::format!("{context}: {end:?}"));
    steps
}

/// What must hold at the end, whatever went wrong.
fn check(bench: &mut Bench, request: Request, end: &Conclusion, context: &str) {
    let empty = State::empty(bench.index.kind().is_physical());
    assert!(end.state == State::Unknown || end.state == bench.state(), "{} {context}", bench.state());
    match end.outcome {
        Outcome::Taken => assert!(request == Request::Add && bench.in_use, "{context}"),
        Outcome::Kept => assert!(bench.in_use, "{context}"),
        Outcome::Released => assert!(request == Request::Remove && bench.state() == empty, "{context}"),
        Outcome::Failed => assert!(!end.reason.is_empty(), "{context}"),
        Outcome::Stuck => assert!(!bench.in_use && !end.reason.is_empty(), "{context}"),
        Outcome::Ignored => {}
    }
    if matches!(end.outcome, Outcome::Taken | Outcome::Kept) {
        assert_eq!(bench.state(), State::Configured, "{context}");
    } else {
        assert!(!bench.in_use || end.outcome == Outcome::Failed, "{context}");
    }
}

/// Every start of every kind.
fn starts(request: Request) -> impl Iterator<Item = (DrcIndex, State, bool)> {
    EACH.into_iter().flat_map(move |(index, _)| {
        states(index).iter().flat_map(move |state| {
            let wanted: &[bool] = if request == Request::Remove { &[false, true] } else { &[false] };
            wanted.iter().map(move |wanted| (index, *state, *wanted))
        })
    })
}

fn bench(index: DrcIndex, state: State, wanted_back: bool) -> Option<Bench> {
    if wanted_back { Bench::wanted_back(index, state) } else { Some(Bench::at(index, state)) }
}

/// The most steps that a walk takes.
const STEPS: usize = 12;

#[test]
fn each_failure_at_each_step_ends_in_what_the_platform_has() {
    for request in [Request::Add, Request::Remove] {
        for (index, state, wanted) in starts(request) {
            let Some(bench) = bench(index, state, wanted) else { continue };
            let steps = run(bench.clone(), request, state, &[]);
            for (step, status) in (0..steps).flat_map(|step| STATUSES.map(|status| (step, Status(status)))) {
                run(bench.clone(), request, state, &[Fault { step, status, done: false }]);
                // A call that says for certain that it did nothing has done nothing.
                if !is_final(status) {
                    run(bench.clone(), request, state, &[Fault { step, status, done: true }]);
                }
            }
        }
    }
}

#[test]
fn one_failed_call_on_the_way_in_gives_back_what_was_acquired() {
    for (index, state, _) in starts(Request::Add) {
        let empty = State::empty(index.kind().is_physical());
        if state != empty {
            continue;
        }
        for step in 0..STEPS {
            let mut bench = Bench::at(index, state);
            let fault = Fault { step, status: Status::HARDWARE, done: false };
            let mut walk = walk(index, Request::Add, state);
            let end = bench.walk_with(&mut walk, |bench, at, action| {
                if at == step { fault.answer(bench, action) } else { bench.perform(action) }
            });
            match end.outcome {
                Outcome::Taken => assert!(bench.in_use),
                Outcome::Failed => assert_eq!(bench.state(), empty, "{index} at step {step}: {end:?}"),
                // Once it was configured, a block that nobody wants back cannot be isolated.
                Outcome::Stuck => {
                    assert_eq!((index.kind(), bench.state()), (DrcKind::LMB, State::Configured))
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_sense_that_makes_no_sense_is_a_failure() {
    for (index, _) in EACH {
        let empty = State::empty(index.kind().is_physical());
        for value in [0, 2, 3, 4, 77, u32::MAX].map(EntitySense) {
            let mut bench = Bench::at(index, empty);
            let mut walk = walk(index, Request::Add, empty);
            let end = bench.walk_with(&mut walk, |bench, _, action| match action {
                Action::ReadSense => Reply::Sense(Status::SUCCESS, value),
                action => bench.perform(action),
            });
            let outcome = match (index.kind().is_physical(), value) {
                (true, EntitySense::EMPTY) => Outcome::Ignored,
                (false, EntitySense::UNUSABLE) => Outcome::Taken,
                _ => Outcome::Failed,
            };
            assert_eq!(end.outcome, outcome, "{index} senses {value}");
        }
    }
}

#[test]
fn a_reply_to_another_question_ends_the_walk() {
    for (index, _) in EACH {
        let empty = State::empty(index.kind().is_physical());
        for wrong in [Reply::Start, Reply::Used(Ok(())), Reply::Configured(Status::SUCCESS, Ok(()))] {
            let mut walk = walk(index, Request::Add, empty);
            let _ = walk.next(Reply::Start);
            let Action::Finished(end) = walk.next(wrong) else { panic!("it ends") };
            assert_eq!(
                (end.outcome, end.reason.as_str()),
                (Outcome::Failed, "the reply does not fit the action")
            );
        }
    }
}

fn reply() -> impl Strategy<Value = Reply> {
    let status =
        || prop_oneof![4 => Just(0), 2 => (0..17_usize).prop_map(|at| STATUSES[at]), 1 => any::<i32>()];
    let result = || any::<bool>().prop_map(|ok| if ok { Ok(()) } else { Err("no".to_string()) });
    prop_oneof![
        (status(), 0..6_u32).prop_map(|(rc, sense)| Reply::Sense(Status(rc), EntitySense(sense))),
        status().prop_map(|rc| Reply::Status(Status(rc))),
        (status(), result()).prop_map(|(rc, fragment)| Reply::Configured(Status(rc), fragment)),
        result().prop_map(Reply::Used),
        Just(Reply::Start),
    ]
}

fn belief() -> impl Strategy<Value = State> {
    use State::{Available, Configured, PowerOn, Unisolated, Unknown, Unusable};
    proptest::sample::select(vec![Unknown, Unusable, Available, PowerOn, Unisolated, Configured])
}

fn request() -> impl Strategy<Value = Request> {
    any::<bool>().prop_map(|add| if add { Request::Add } else { Request::Remove })
}

/// The kind of the reply that an action waits for, out of arbitrary ones.
fn fitting(action: &Action, replies: &[Reply]) -> Option<Reply> {
    let fits = |reply: &&Reply| {
        matches!(
            (action, reply),
            (Action::ReadSense, Reply::Sense(..))
                | (Action::SetIndicator { .. }, Reply::Status(_))
                | (Action::Configure | Action::Drain, Reply::Configured(..))
                | (Action::Use | Action::StopUse, Reply::Used(_))
        )
    };
    replies.iter().find(fits).cloned()
}

proptest! {
    #[test]
    fn any_replies_end_within_a_bound(
        place in 0..5_usize,
        request in request(),
        belief in belief(),
        steps in vec(vec(reply(), 1..8), 24),
        fit in any::<bool>(),
    ) {
        let index = EACH[place].0;
        let mut walk: Walk = walk(index, request, belief);
        let mut action = walk.next(Reply::Start);
        let mut count = 0;
        for replies in &steps {
            if matches!(action, Action::Finished(_)) {
                break;
            }
            count += 1;
            let fitting = if fit { fitting(&action, replies) } else { None };
            action = walk.next(fitting.unwrap_or_else(|| replies[0].clone()));
        }
        assert!(matches!(action, Action::Finished(_)), "{action:?} after {count}");
        assert!(count <= STEPS, "{count}");
    }

    #[test]
    fn several_failures_end_in_what_the_platform_has(
        place in 0..5_usize,
        at in 0..4_usize,
        request in request(),
        wanted in any::<bool>(),
        faults in vec((0..STEPS, 0..17_usize, any::<bool>()), 0..5),
    ) {
        let index = EACH[place].0;
        let state = states(index)[at % states(index).len()];
        let faults: Vec<_> = faults.into_iter().map(|(step, status, done)| {
            let status = Status(STATUSES[status]);
            Fault { step, status, done: done && !is_final(status) }
        }).collect();
        if let Some(bench) = bench(index, state, wanted && request == Request::Remove) {
            run(bench, request, state, &faults);
        }
    }
}

#[test]
fn the_value_that_gives_back_is_unusable() {
    // The way back of a logical connector ends with this call; nothing after it can undo the giving back.
    let mut bench = Bench::at(super::CORE, State::Unusable);
    let mut walk = walk(super::CORE, Request::Add, State::Unusable);
    let mut last = None;
    let _ = bench.walk_with(&mut walk, |bench, _, action| {
        last = Some(action.clone());
        match action {
            Action::Use => Reply::Used(Err("no".to_string())),
            action => bench.perform(action),
        }
    });
    assert!(matches!(last, Some(Action::SetIndicator { value: UNUSABLE, .. })));
}
