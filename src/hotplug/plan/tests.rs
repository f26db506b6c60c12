//! From events to connectors, and what becomes of several at once.

use super::{Campaign, Inventory, Plan, PlanError, Task, plan, request_of};
use crate::hotplug::State;
use crate::hotplug::connector::Conclusion;
use crate::log::{Learned, Outcome, Request};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::event::{Action, Hotplug, Identifier, IdentifierKind, Resource};
use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use std::string::{String, ToString};
use std::vec::Vec;

const CORE: DrcIndex = DrcIndex(0x1000_0008);
const SLOT: DrcIndex = DrcIndex(0x4000_0008);

const fn lmb(id: u32) -> DrcIndex {
    DrcIndex(0x8000_0000 | id)
}

/// Six memory blocks, of which the guest has the third and the fourth; a core; a PCI slot with a name of its own.
fn inventory() -> Inventory {
    let mut inventory = Inventory::new();
    let blocks: Vec<_> = (4..10).map(|id| (lmb(id), std::format!("LMB {id}"))).collect();
    let listed = blocks.iter().map(|(index, name)| (*index, name.as_str(), DrcKind::LMB));
    assert_eq!(inventory.extend(listed), []);
    let others = [
        (CORE, "CPU 8", DrcKind::CPU),
        (SLOT, "U7.1-C1", DrcKind::PCI),
        (DrcIndex(0x2000_0005), "PHB 5", DrcKind::PHB),
        (DrcIndex(0x9000_0000), "PMEM 0", DrcKind::PMEM),
        (DrcIndex(0x3000_0001), "V1", DrcKind::VIO),
    ];
    assert_eq!(inventory.extend(others), []);
    assert!(inventory.hold(lmb(6), Learned::Tree) && inventory.hold(lmb(7), Learned::Event));
    inventory
}

fn event(resource: Resource, action: Action, id: Identifier<'_>) -> Hotplug<'_> {
    Hotplug { resource, action, id }
}

fn plan_of(resource: Resource, action: Action, id: Identifier<'_>) -> Result<Plan, PlanError> {
    plan(&event(resource, action, id), &inventory())
}

fn one(request: Request, index: DrcIndex) -> Result<Plan, PlanError> {
    Ok(Plan { request, wanted: 1, candidates: vec![index] })
}

#[test]
fn an_index_means_one_connector_of_each_kind() {
    for (resource, index) in [
        (Resource::CPU, CORE),
        (Resource::MEMORY, lmb(4)),
        (Resource::SLOT, DrcIndex(0x3000_0001)),
        (Resource::PHB, DrcIndex(0x2000_0005)),
        (Resource::PCI, SLOT),
        (Resource::PMEM, DrcIndex(0x9000_0000)),
    ] {
        let id = Identifier::Index(index);
        assert_eq!(plan_of(resource, Action::ADD, id), one(Request::Add, index));
        assert_eq!(plan_of(resource, Action::REMOVE, id), one(Request::Remove, index));
    }
}

#[test]
fn a_name_means_the_connector_that_has_it() {
    assert_eq!(plan_of(Resource::CPU, Action::ADD, Identifier::Name(b"CPU 8")), one(Request::Add, CORE));
    assert_eq!(plan_of(Resource::PCI, Action::ADD, Identifier::Name(b"U7.1-C1")), one(Request::Add, SLOT));
    for name in [&b"C8"[..], b"", b"CPU 8 ", b"\xff\xfe"] {
        let text = String::from_utf8_lossy(name).into_owned();
        let error = plan_of(Resource::PCI, Action::ADD, Identifier::Name(name));
        assert_eq!(error, Err(PlanError::NoName(text)));
    }
}

#[test]
fn a_count_with_an_index_means_just_those_blocks() {
    let id = Identifier::CountIndexed { count: 3, first: lmb(5) };
    for (action, request) in [(Action::ADD, Request::Add), (Action::REMOVE, Request::Remove)] {
        let candidates = vec![lmb(5), lmb(6), lmb(7)];
        assert_eq!(plan_of(Resource::MEMORY, action, id), Ok(Plan { request, wanted: 3, candidates }));
    }
}

#[test]
fn a_mere_count_means_any_blocks() {
    let count = |action, count| plan_of(Resource::MEMORY, action, Identifier::Count(count));
    let candidates = vec![lmb(4), lmb(5), lmb(8), lmb(9)];
    assert_eq!(count(Action::ADD, 2), Ok(Plan { request: Request::Add, wanted: 2, candidates }));
    let candidates = vec![lmb(7), lmb(6)];
    assert_eq!(count(Action::REMOVE, 1), Ok(Plan { request: Request::Remove, wanted: 1, candidates }));
    assert_eq!(count(Action::ADD, 5), Err(PlanError::TooMany { wanted: 5, there: 4 }));
    assert_eq!(count(Action::REMOVE, u32::MAX), Err(PlanError::TooMany { wanted: u32::MAX, there: 2 }));
    assert_eq!(count(Action::ADD, 0), Err(PlanError::Zero));
}

#[test]
fn an_event_that_cannot_be_followed_says_why() {
    let memory = |id| plan_of(Resource::MEMORY, Action::ADD, id).expect_err("senseless").to_string();
    let run = |count, first| memory(Identifier::CountIndexed { count, first });
    assert_eq!(run(0, lmb(4)), "none are asked for");
    assert_eq!(run(3, lmb(8)), "there is no connector 8000000a");
    assert_eq!(run(u32::MAX, lmb(4)), "there is no connector ffffffff");
    assert_eq!(run(2, DrcIndex(u32::MAX)), "there is no connector ffffffff");
    assert_eq!(memory(Identifier::Index(lmb(77))), "there is no connector 8000004d");
    assert_eq!(memory(Identifier::Index(CORE)), "the connector 10000008 is a cpu and not a memory");
    assert_eq!(memory(Identifier::Name(b"x")), "there is no connector named x");
    assert_eq!(memory(Identifier::Count(9)), "9 are asked for, there are 4");
    let id = Identifier::Unknown { kind: IdentifierKind(9), bytes: &[] };
    assert_eq!(memory(id), "unknown identifier 9");
    for id in [Identifier::Count(1), Identifier::CountIndexed { count: 1, first: CORE }] {
        assert_eq!(plan_of(Resource::CPU, Action::ADD, id), Err(PlanError::Uncountable(Resource::CPU)));
    }
    let id = Identifier::Index(CORE);
    assert_eq!(plan_of(Resource(77), Action::ADD, id), Err(PlanError::Resource(Resource(77))));
    assert_eq!(plan_of(Resource::CPU, Action(3), id), Err(PlanError::Action(Action(3))));
    assert_eq!(request_of(Action(0)), Err(PlanError::Action(Action(0))));
}

/// Carries a plan out: what becomes of each connector is told by `outcome`. The tasks in order, and whether it is whole.
fn carry_out(plan: Plan, outcome: impl Fn(Request, DrcIndex) -> Outcome) -> (Vec<Task>, bool) {
    let mut campaign = Campaign::new(plan);
    let mut tasks = Vec::new();
    let mut last = None;
    while let Some(task) = campaign.next(last) {
        let (Task::Do(request, index) | Task::Undo(request, index)) = task;
        last = Some(outcome(request, index));
        tasks.push(task);
        assert!(tasks.len() < 1000, "it ends");
    }
    assert_eq!(campaign.next(None), None, "it stays at its end");
    (tasks, campaign.is_complete())
}

const fn good(request: Request) -> Outcome {
    match request {
        Request::Add => Outcome::Taken,
        Request::Remove => Outcome::Released,
    }
}

fn add(id: u32) -> Task {
    Task::Do(Request::Add, lmb(id))
}

fn memory(action: Action, id: Identifier<'_>) -> Plan {
    plan_of(Resource::MEMORY, action, id).expect("a plan")
}

#[test]
fn what_works_is_done_in_order_and_no_more_than_is_wanted() {
    let (tasks, whole) = carry_out(memory(Action::ADD, Identifier::Count(2)), |request, _| good(request));
    assert_eq!((tasks, whole), (vec![add(4), add(5)], true));
}

#[test]
fn a_mere_count_tries_the_next_when_one_fails() {
    let outcome = |request, index| if index == lmb(4) { Outcome::Failed } else { good(request) };
    let (tasks, whole) = carry_out(memory(Action::ADD, Identifier::Count(3)), outcome);
    assert_eq!((tasks, whole), (vec![add(4), add(5), add(8), add(9)], true));
}

#[test]
fn when_too_few_are_left_everything_is_undone_last_first() {
    let outcome = |request, index| if index == lmb(8) { Outcome::Failed } else { good(request) };
    let (tasks, whole) = carry_out(memory(Action::ADD, Identifier::Count(4)), outcome);
    let undo = |id| Task::Undo(Request::Remove, lmb(id));
    assert_eq!((tasks, whole), (vec![add(4), add(5), add(8), undo(5), undo(4)], false));
}

#[test]
fn a_count_with_an_index_stops_at_the_first_failure() {
    let id = Identifier::CountIndexed { count: 3, first: lmb(4) };
    let outcome = |request, index| if index == lmb(5) { Outcome::Stuck } else { good(request) };
    let (tasks, whole) = carry_out(memory(Action::ADD, id), outcome);
    assert_eq!((tasks, whole), (vec![add(4), add(5), Task::Undo(Request::Remove, lmb(4))], false));
    let remove = |id| Task::Do(Request::Remove, lmb(id));
    let outcome = |request, index| if index == lmb(5) { Outcome::Kept } else { good(request) };
    let (tasks, whole) = carry_out(memory(Action::REMOVE, id), outcome);
    assert_eq!((tasks, whole), (vec![remove(4), remove(5), Task::Undo(Request::Add, lmb(4))], false));
}

#[test]
fn what_is_as_it_should_be_counts_and_is_not_undone() {
    let id = Identifier::CountIndexed { count: 3, first: lmb(4) };
    for (action, settled) in [(Action::ADD, Outcome::Kept), (Action::REMOVE, Outcome::Ignored)] {
        let outcome = |request, index| if index == lmb(4) { settled } else { good(request) };
        let (tasks, whole) = carry_out(memory(action, id), outcome);
        assert_eq!((tasks.len(), whole), (3, true));
        let outcome = |request, index: DrcIndex| match index.0 & 0xf {
            4 => settled,
            5 => good(request),
            _ => Outcome::Failed,
        };
        let (tasks, whole) = carry_out(memory(action, id), outcome);
        assert!(matches!(tasks[..], [.., Task::Undo(_, index)] if index == lmb(5)), "{tasks:?}");
        assert_eq!((tasks.len(), whole), (4, false));
    }
}

#[test]
fn an_undo_that_fails_does_not_stop_the_others() {
    let id = Identifier::CountIndexed { count: 3, first: lmb(4) };
    let outcome = |request, index| match request {
        Request::Add if index != lmb(6) => Outcome::Taken,
        _ => Outcome::Failed,
    };
    let (tasks, whole) = carry_out(memory(Action::ADD, id), outcome);
    let undone: Vec<_> = tasks.iter().filter(|task| matches!(task, Task::Undo(..))).collect();
    assert_eq!((undone.len(), whole), (2, false));
}

/// Any outcome for any connector, by number.
const OUTCOMES: [Outcome; 6] =
    [Outcome::Taken, Outcome::Released, Outcome::Kept, Outcome::Failed, Outcome::Stuck, Outcome::Ignored];

proptest! {
    #[test]
    fn a_campaign_is_whole_or_leaves_nothing_behind(
        wanted in 1..8_usize,
        more in 0..4_usize,
        add in any::<bool>(),
        outcomes in vec(0..6_usize, 12),
    ) {
        let request = if add { Request::Add } else { Request::Remove };
        let candidates: Vec<_> = (0..).map(lmb).take(wanted + more).collect();
        let plan = Plan { request, wanted, candidates };
        let mut changed = Vec::new();
        let mut campaign = Campaign::new(plan);
        let mut last = None;
        let mut tasks = 0;
        while let Some(task) = campaign.next(last) {
            tasks += 1;
            last = Some(match task {
                Task::Do(way, index) => {
                    assert_eq!(way, request);
                    let outcome = OUTCOMES[outcomes[tasks - 1]];
                    if outcome == good(request) {
                        changed.push(index);
                    }
                    outcome
                }
                Task::Undo(way, index) => {
                    assert_ne!(way, request);
                    assert_eq!(changed.pop(), Some(index));
                    Outcome::Failed
                }
            });
            assert!(tasks <= 2 * (wanted + more));
        }
        assert!(campaign.is_complete() || changed.is_empty());
    }

    #[test]
    fn no_event_makes_planning_panic(
        cells in any::<[u32; 2]>(),
        bytes in any::<[u8; 3]>(),
        name in vec(any::<u8>(), 0..6),
    ) {
        let inventory = inventory();
        let [count, first] = cells;
        for id in [
            Identifier::Index(DrcIndex(first)),
            Identifier::Count(count),
            Identifier::CountIndexed { count, first: DrcIndex(first) },
            Identifier::Name(&name),
        ] {
            let event = event(Resource(bytes[0] % 8), Action(bytes[1] % 4), id);
            if let Ok(plan) = plan(&event, &inventory) {
                assert!(plan.wanted >= 1 && plan.wanted <= plan.candidates.len());
            }
        }
    }
}

#[test]
fn what_a_plan_did_is_what_the_next_one_starts_from() {
    let mut inventory = inventory();
    let count = Identifier::Count(4);
    let first = plan(&event(Resource::MEMORY, Action::ADD, count), &inventory).expect("a plan");
    let end = Conclusion { outcome: Outcome::Taken, state: State::Configured, reason: String::new() };
    let mut campaign = Campaign::new(first);
    let mut last = None;
    while let Some(Task::Do(request, index)) = campaign.next(last) {
        inventory.conclude(index, request, Learned::Event, &end);
        last = Some(end.outcome);
    }
    assert!(campaign.is_complete());
    let again = plan(&event(Resource::MEMORY, Action::ADD, Identifier::Count(1)), &inventory);
    assert_eq!(again, Err(PlanError::TooMany { wanted: 1, there: 0 }));
}
