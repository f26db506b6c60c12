//! Stories: what each witness says of a race that went well, to be changed by those who lie.

use crate::device::{Kind, LMB_BYTES, MEMORY_LIST};
use crate::qemu::Version;
use crate::qmp::Event;
use crate::race::course::{Again, Asked, Course, Runner};
use crate::race::expect::Expect;
use crate::race::judge::{Case, account, judge, seen};
use crate::race::manner::Manner;
use crate::race::settle::Settled;
use crate::stop::Stop;
use crate::transcript::Transcript;
use crate::transcript::testing::{boot, line};
use crate::verdict::Finding;
use paprika::log::{Learned, Outcome, Record, Request};
use paprika::papr::drc::{DrcIndex, DrcKind};
use paprika::papr::indicator::EntitySense;
use paprika::papr::status::Status;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The device of every story.
pub(super) const DEVICE: &str = "second";
/// The connector that it hangs on.
pub(super) const LMB: DrcIndex = DrcIndex(0x8000_0004);

/// All that is said and done.
pub(super) struct Story {
    /// What the guest says in each boot, until everybody has come to rest.
    pub(super) boots: Vec<Vec<Record<'static>>>,
    /// What it says when it is asked to end.
    pub(super) evening: Vec<Record<'static>>,
    /// The device; its marks follow from what the guest says.
    pub(super) runner: Runner,
    /// Whether it is asked for as soon as the guest has it, and not before.
    pub(super) asked_when_taken: bool,
    /// What the other witnesses say in the end.
    pub(super) settled: Settled,
    /// What QEMU tells, after the device was asked for.
    pub(super) events: Vec<Event>,
    /// How the guest treats what it is asked.
    pub(super) manner: Manner,
    /// How often the host resets the machine.
    pub(super) resets: u32,
    /// What QEMU does with a device after a CAS without option vector 6.
    pub(super) without_ov6: Option<bool>,
    /// Why the race stopped.
    pub(super) stop: Option<Stop>,
    /// The profile.
    pub(super) expect: Expect,
}

pub(super) fn begin(request: Request, learned: Learned) -> Record<'static> {
    Record::Begin { drc: LMB, kind: DrcKind::LMB, request, learned, event: None }
}

pub(super) fn done(request: Request, outcome: Outcome) -> Record<'static> {
    Record::Done { drc: LMB, kind: DrcKind::LMB, request, outcome, reason: "because".into() }
}

pub(super) fn sense(state: EntitySense) -> Record<'static> {
    Record::Sense { drc: LMB, rc: Status::SUCCESS, state }
}

/// A call, as `allocation-state usable`, from a state with this answer.
pub(super) fn call(
    call: &'static str,
    value: &'static str,
    before: &'static str,
    rc: Status,
) -> Record<'static> {
    let (call, value, before, after) = (call.into(), value.into(), before.into(), before.into());
    Record::Transition { drc: LMB, kind: DrcKind::LMB, call, value, rc, before, after }
}

pub(super) fn told() -> Record<'static> {
    let (class, resource, action, id) = ("hotplug".into(), "memory".into(), "add".into(), "count:1".into());
    Record::Event { number: 1, class, resource, action, id, length: 116 }
}

/// A trace in which these things happen to the connector.
pub(super) fn trace(events: &[&str]) -> String {
    let line = |event: &&str| format!("1@2.3:spapr_drc_{event} drc: {:#x}\n", LMB.0);
    events.iter().map(line).collect()
}

pub(super) fn deleted(device: &str) -> Event {
    let data = json!({"device": device, "path": format!("/machine/peripheral/{device}")});
    Event { at: Duration::ZERO, timestamp: 0, name: "DEVICE_DELETED".into(), data }
}

/// What the guest says of a device that comes to it by an event.
fn comes() -> Vec<Record<'static>> {
    vec![
        begin(Request::Add, Learned::Event),
        sense(EntitySense::UNUSABLE),
        call("allocation-state", "usable", "unusable", Status::SUCCESS),
        call("isolation-state", "unisolate", "available", Status::SUCCESS),
        call("configure-connector", "keep", "unisolated", Status::SUCCESS),
        done(Request::Add, Outcome::Taken),
    ]
}

impl Story {
    /// A DIMM is plugged when the guest listens, and stays.
    pub(super) fn of_a_plug() -> Self {
        let named = || BTreeSet::from([DEVICE.to_owned()]);
        Self {
            boots: vec![comes()],
            evening: Vec::new(),
            runner: Runner {
                id: DEVICE,
                kind: Kind::Dimm(LMB_BYTES),
                connectors: vec![LMB],
                since: Default::default(),
                by_tree: false,
                early: false,
                refused: None,
                asked: Vec::new(),
                later: None,
                again: Some(Again::Taken),
            },
            asked_when_taken: true,
            settled: Settled {
                at: Default::default(),
                present: Some(named()),
                lists: BTreeMap::from([(MEMORY_LIST, named())]),
                holders: Some(BTreeMap::from([(LMB, DEVICE.to_owned())])),
                senses: Some(BTreeMap::from([(LMB, EntitySense::PRESENT)])),
                trace: Some(trace(&["realize", "attach", "set_configured"])),
            },
            events: Vec::new(),
            manner: Manner::Good,
            resets: 0,
            without_ov6: None,
            stop: None,
            expect: Expect::Auto,
        }
    }

    /// The same, before CAS: the tree tells of it.
    pub(super) fn of_an_early_plug() -> Self {
        let mut story = Self::of_a_plug();
        story.boots = vec![vec![
            begin(Request::Add, Learned::Tree),
            sense(EntitySense::PRESENT),
            done(Request::Add, Outcome::Taken),
        ]];
        (story.runner.by_tree, story.runner.early) = (true, true);
        story.settled.trace = Some(trace(&["realize", "attach", "reset"]));
        story
    }

    /// It is plugged and taken, asked for, and given back.
    pub(super) fn of_an_unplug() -> Self {
        let mut story = Self::of_a_plug();
        story.boots[0].extend([
            begin(Request::Remove, Learned::Event),
            call("isolation-state", "isolate", "configured", Status::SUCCESS),
            call("allocation-state", "unusable", "available", Status::SUCCESS),
            done(Request::Remove, Outcome::Released),
        ]);
        story.runner.asked = vec![Asked { at: Default::default(), events: 0, refused: None }];
        story.events = vec![deleted(DEVICE)];
        let asked = ["attach", "set_configured", "unplug_request", "awaiting_quiesce"];
        story.settled = Settled {
            present: Some(BTreeSet::new()),
            lists: BTreeMap::from([(MEMORY_LIST, BTreeSet::new())]),
            holders: Some(BTreeMap::new()),
            senses: Some(BTreeMap::new()),
            trace: Some(trace(&asked) + &trace(&["set_allocation_state_finalizing"])),
            ..story.settled
        };
        story
    }

    /// It is plugged and taken, asked for, and kept; the guest says so. Later it goes.
    pub(super) fn of_a_kept_device() -> Self {
        let mut story = Self::of_an_unplug();
        story.manner = Manner::RemoveRefuse;
        story.boots[0].truncate(7);
        story.boots[0].extend([
            call("isolation-state", "unisolate", "configured", Status::SUCCESS),
            done(Request::Remove, Outcome::Kept),
        ]);
        let trace = trace(&["attach", "set_configured", "unplug_request", "awaiting_quiesce"]);
        story.settled = Settled { trace: Some(trace), ..Self::of_a_plug().settled };
        let refused = Event { name: "DEVICE_UNPLUG_GUEST_ERROR".into(), ..deleted(DEVICE) };
        story.events = vec![refused, deleted(DEVICE)];
        story
    }

    /// It is plugged just before a reset.
    pub(super) fn of_a_reset() -> Self {
        let mut story = Self::of_an_early_plug();
        story.boots.insert(0, Vec::new());
        (story.runner.early, story.resets) = (false, 1);
        story
    }

    /// It is refused before CAS, and taken later.
    pub(super) fn of_a_refusal() -> Self {
        let mut story = Self::of_an_early_plug();
        (story.boots, story.runner.connectors) = (vec![Vec::new()], Vec::new());
        story.runner.refused = Some("no OS runs".to_owned());
        (story.runner.later, story.runner.again) = (Some(Again::Taken), None);
        story.without_ov6 = Some(true);
        story.settled = Settled {
            present: Some(BTreeSet::new()),
            lists: BTreeMap::from([(MEMORY_LIST, BTreeSet::new())]),
            holders: Some(BTreeMap::new()),
            senses: Some(BTreeMap::new()),
            trace: Some(trace(&["realize", "reset"])),
            ..story.settled
        };
        story
    }

    /// What comes of it.
    pub(super) fn judged(&self) -> Vec<Finding> {
        self.tell(judge)
    }

    /// What a person is told of it.
    pub(super) fn account(&self) -> Vec<String> {
        self.tell(account)
    }

    /// The profile that is seen in it.
    pub(super) fn seen(&self) -> Option<Expect> {
        self.tell(seen)
    }

    fn tell<T>(&self, hear: impl FnOnce(&Case<'_>) -> T) -> T {
        let mut transcript = Transcript::default();
        let mut runner = self.runner.clone();
        let mut asked_at = None;
        for (count, records) in self.boots.iter().enumerate() {
            transcript.push(Duration::ZERO, line(0, boot()));
            if count == 0 {
                runner.since = transcript.mark();
            }
            for (seq, record) in (1..).zip(records) {
                let taken = matches!(record, Record::Done { request: Request::Add, .. });
                transcript.push(Duration::ZERO, line(seq, record.clone()));
                if taken && asked_at.is_none() {
                    asked_at = Some(transcript.mark());
                }
            }
        }
        let asked_at = asked_at.filter(|_| self.asked_when_taken).unwrap_or(runner.since);
        runner.asked.iter_mut().for_each(|asked| asked.at = asked_at);
        let settled = Settled { at: transcript.mark(), ..self.settled.clone() };
        let said = self.boots.last().map_or(0, Vec::len);
        for (seq, record) in (1..).zip(&self.evening) {
            let seq = seq + u32::try_from(said).expect("a short story");
            transcript.push(Duration::ZERO, line(seq, record.clone()));
        }
        let mut course = Course::default();
        course.dusk = Some(settled.at);
        (course.settled, course.runners) = (Some(settled), vec![runner]);
        course.manner = self.manner;
        (course.resets, course.without_ov6) = (self.resets, self.without_ov6);
        hear(&Case {
            course: &course,
            transcript: &transcript,
            events: &self.events,
            stop: self.stop.as_ref(),
            backtrace: None,
            version: Version::new(7, 2, 22),
            expect: self.expect,
        })
    }
}
