//! Walks, driven against the model of the hypervisor's half.

mod faults;

use super::{Action, Conclusion, Reply, Transition, Walk};
use crate::hotplug::State;
use crate::hotplug::model::{Config, How, Notice, Platform, What};
use crate::log::{Outcome, Record, Request};
use crate::papr::connector::WorkArea;
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::indicator::{ACTIVE, EntitySense, INACTIVE, ISOLATE, Indicator, Sensor, UNISOLATE, USABLE};
use crate::papr::status::Status;
use std::string::{String, ToString};
use std::vec::Vec;

pub(in crate::hotplug) const CORE: DrcIndex = DrcIndex(0x1000_0001);
pub(in crate::hotplug) const LMB: DrcIndex = DrcIndex(0x8000_0004);
pub(in crate::hotplug) const PCI: DrcIndex = DrcIndex(0x4000_0008);
const PHB: DrcIndex = DrcIndex(0x2000_0005);
const PMEM: DrcIndex = DrcIndex(0x9000_0000);

pub(in crate::hotplug) const EACH: [(DrcIndex, What); 5] = [
    (CORE, What::Core(1)),
    (LMB, What::Dimm { first: 4, blocks: 1 }),
    (PCI, What::Pci { phb: 0, devfn: 8 }),
    (PHB, What::Phb(5)),
    (PMEM, What::Nvdimm(0)),
];

/// The states that a connector can have while its device is there.
pub(in crate::hotplug) fn states(index: DrcIndex) -> &'static [State] {
    match index.kind() {
        DrcKind::PCI => &[State::PowerOn, State::Unisolated, State::Configured],
        _ => &[State::Unusable, State::Available, State::Unisolated, State::Configured],
    }
}

/// A guest with one connector, and the platform behind it.
#[derive(Clone)]
pub(in crate::hotplug) struct Bench {
    pub(in crate::hotplug) platform: Platform,
    pub(in crate::hotplug) index: DrcIndex,
    pub(in crate::hotplug) in_use: bool,
    moves: Vec<Transition>,
}

impl Bench {
    /// The device of the connector at `index` is plugged, and the guest has brought it to `state`.
    pub(in crate::hotplug) fn at(index: DrcIndex, state: State) -> Self {
        let what = EACH.iter().find(|(place, _)| *place == index).expect("a place").1;
        let mut platform = Platform::new(Config::default());
        platform.cas(true);
        platform.plug("device", what, How::Hot).expect("the place is free");
        let mut bench = Self { platform, index, in_use: state == State::Configured, moves: Vec::new() };
        let calls = [(Indicator::ALLOCATION_STATE, USABLE), (Indicator::ISOLATION_STATE, UNISOLATE)];
        for (indicator, value) in calls {
            if bench.state() != state && !(index.kind().is_physical() && indicator.0 == 9003) {
                assert_eq!(bench.set(indicator, value), Status::SUCCESS);
            }
        }
        if bench.state() != state {
            assert_eq!(bench.configure(), Status::SUCCESS);
        }
        assert_eq!(bench.state(), state);
        bench
    }

    /// The connector at `index` of a platform that someone else has prepared.
    pub(in crate::hotplug) fn on(platform: Platform, index: DrcIndex) -> Self {
        Self { platform, index, in_use: false, moves: Vec::new() }
    }

    /// The same, and the host wants it back; `None` where it cannot ask for that.
    pub(in crate::hotplug) fn wanted_back(index: DrcIndex, state: State) -> Option<Self> {
        let mut bench = Self::at(index, state);
        bench.platform.unplug("device").ok()?;
        Some(bench)
    }

    pub(in crate::hotplug) fn state(&self) -> State {
        self.platform.drc(self.index).expect("listed").state()
    }

    fn set(&mut self, indicator: Indicator, value: u32) -> Status {
        self.platform.set_indicator(indicator, self.index, value)
    }

    fn configure(&mut self) -> Status {
        let mut area = WorkArea::new(self.index);
        loop {
            match self.platform.configure_connector(&mut area) {
                Status(1..) => {}
                end => return end,
            }
        }
    }

    /// Does what a walk says. What no guest may do is an error of the walk.
    pub(in crate::hotplug) fn perform(&mut self, action: &Action) -> Reply {
        match *action {
            Action::ReadSense => {
                let (rc, sense) = self.platform.get_sensor_state(Sensor::DR_ENTITY_SENSE, self.index);
                Reply::Sense(rc, sense)
            }
            Action::SetIndicator { indicator, value } => {
                assert!(!(self.in_use && value == ISOLATE), "what is in use is not isolated");
                Reply::Status(self.set(indicator, value))
            }
            Action::Configure | Action::Drain => Reply::Configured(self.configure(), Ok(())),
            Action::Use => {
                assert_eq!(self.state(), State::Configured, "only what is configured is used");
                self.in_use = true;
                Reply::Used(Ok(()))
            }
            Action::StopUse => {
                self.in_use = false;
                Reply::Used(Ok(()))
            }
            Action::Finished(_) => panic!("there is nothing to do"),
        }
    }

    /// Takes a walk to its end; `answer` stands between it and the platform.
    fn walk_with(
        &mut self,
        walk: &mut Walk,
        mut answer: impl FnMut(&mut Self, usize, &Action) -> Reply,
    ) -> Conclusion {
        /// More than any walk needs.
        const BOUND: usize = 16;
        let mut action = walk.next(Reply::Start);
        for step in 0..BOUND {
            self.moves.extend(walk.transition());
            if let Action::Finished(end) = action {
                return end;
            }
            action = walk.next(answer(self, step, &action));
        }
        panic!("the walk does not end")
    }

    fn walk(&mut self, request: Request, belief: State) -> Conclusion {
        let mut walk = walk(self.index, request, belief);
        self.walk_with(&mut walk, |bench, _, action| bench.perform(action))
    }

    /// What was moved, as `call value rc`.
    fn story(&self) -> Vec<String> {
        self.moves
            .iter()
            .map(|moved| std::format!("{} {}: {} > {}", moved.call, moved.value, moved.before, moved.after))
            .collect()
    }

    fn deleted(&mut self) -> bool {
        self.platform.notices().contains(&Notice::Deleted("device".into()))
    }
}

fn walk(index: DrcIndex, request: Request, belief: State) -> Walk {
    match request {
        Request::Add => Walk::acquire(index, index.kind(), belief),
        Request::Remove => Walk::release(index, index.kind(), belief),
    }
}

#[test]
fn a_logical_connector_is_acquired_and_released_step_by_step() {
    for index in [CORE, LMB, PHB] {
        let mut bench = Bench::at(index, State::Unusable);
        let end = bench.walk(Request::Add, State::Unusable);
        assert_eq!((end.outcome, end.state, end.reason.as_str()), (Outcome::Taken, State::Configured, ""));
        assert!(bench.in_use);
        bench.platform.unplug("device").expect("it is there");
        let end = bench.walk(Request::Remove, State::Configured);
        assert_eq!((end.outcome, end.state, end.reason.as_str()), (Outcome::Released, State::Unusable, ""));
        assert!(bench.deleted() && !bench.in_use);
        assert_eq!(
            bench.story(),
            [
                "allocation-state usable: unusable > available",
                "isolation-state unisolate: available > unisolated",
                "configure-connector keep: unisolated > configured",
                "isolation-state isolate: configured > available",
                "allocation-state unusable: available > unusable",
            ]
        );
    }
}

#[test]
fn a_physical_connector_is_acquired_and_released_step_by_step() {
    let mut bench = Bench::at(PCI, State::PowerOn);
    let end = bench.walk(Request::Add, State::PowerOn);
    assert_eq!((end.outcome, end.state), (Outcome::Taken, State::Configured));
    assert_eq!(bench.platform.drc(PCI).expect("listed").indicator(), ACTIVE);
    bench.platform.unplug("device").expect("it is there");
    let end = bench.walk(Request::Remove, State::Configured);
    assert_eq!((end.outcome, end.state), (Outcome::Released, State::PowerOn));
    assert_eq!(bench.platform.drc(PCI).expect("listed").indicator(), INACTIVE);
    assert_eq!(
        bench.story(),
        [
            "isolation-state unisolate: power-on > unisolated",
            "configure-connector keep: unisolated > configured",
            "dr-indicator active: configured > configured",
            "isolation-state isolate: configured > power-on",
            "dr-indicator inactive: power-on > power-on",
        ]
    );
}

#[test]
fn every_kind_is_acquired_from_every_state_whether_the_guest_knows_it_or_not() {
    for (index, _) in EACH {
        for state in states(index) {
            for belief in [*state, State::Unknown] {
                let mut bench = Bench::at(index, *state);
                let end = bench.walk(Request::Add, belief);
                let kept = belief == State::Configured;
                let outcome = if kept { Outcome::Kept } else { Outcome::Taken };
                assert_eq!(
                    (end.outcome, end.state),
                    (outcome, State::Configured),
                    "{index} {state} {belief}"
                );
                assert_eq!((bench.state(), bench.in_use), (State::Configured, true));
            }
        }
    }
}

#[test]
fn what_is_wanted_back_is_released_from_every_state() {
    for (index, _) in EACH {
        for state in states(index) {
            let Some(mut bench) = Bench::wanted_back(index, *state) else { continue };
            let end = bench.walk(Request::Remove, *state);
            let outcome = match (index.kind(), *state) {
                // Configuring a block is to QEMU the refusal to give it back, and there is no other way out.
                (DrcKind::LMB, State::Unisolated) => Outcome::Stuck,
                (_, state) if state == State::empty(index.kind().is_physical()) => Outcome::Ignored,
                _ => Outcome::Released,
            };
            assert_eq!(end.outcome, outcome, "{index} {state}: {}", end.reason);
            assert_eq!(end.state, bench.state());
            assert_eq!(bench.deleted(), outcome != Outcome::Stuck);
        }
    }
}

#[test]
fn a_block_that_is_not_wanted_back_stays_in_use() {
    let mut bench = Bench::at(LMB, State::Configured);
    let end = bench.walk(Request::Remove, State::Configured);
    assert_eq!((end.outcome, end.state, bench.in_use), (Outcome::Kept, State::Configured, true));
    assert_eq!(end.reason, "isolation-state isolate: hardware-error");
}

#[test]
fn an_empty_connector_is_left_alone() {
    for (index, reason) in [(CORE, "allocation-state usable: parameter-error"), (PCI, "the slot is empty")] {
        let empty = State::empty(index.kind().is_physical());
        let mut bench = Bench::wanted_back(index, empty).expect("it goes at once");
        let end = bench.walk(Request::Add, empty);
        assert_eq!((end.state, end.reason.as_str()), (empty, reason));
        assert_ne!(end.outcome, Outcome::Taken);
    }
}

#[test]
fn a_resource_that_cannot_be_used_is_given_back() {
    for (index, _) in EACH {
        let empty = State::empty(index.kind().is_physical());
        let mut bench = Bench::at(index, empty);
        let mut walk = walk(index, Request::Add, empty);
        let end = bench.walk_with(&mut walk, |bench, _, action| match action {
            Action::Use => Reply::Used(Err("it does not work".to_string())),
            action => bench.perform(action),
        });
        // A block whose DIMM nobody wants back cannot be given back.
        let stuck = index == LMB;
        let (outcome, state) =
            if stuck { (Outcome::Stuck, State::Configured) } else { (Outcome::Failed, empty) };
        assert_eq!(
            (end.outcome, end.state, bench.state()),
            (outcome, state, state),
            "{index}: {}",
            end.reason
        );
        assert!(end.reason.starts_with("it does not work"));
        let dark = bench.platform.drc(index).expect("listed").indicator() == INACTIVE;
        assert!(dark, "the lamp that was lit is out again");
    }
}

#[test]
fn a_resource_that_cannot_be_put_down_is_refused() {
    for (index, _) in EACH {
        let Some(mut bench) = Bench::wanted_back(index, State::Configured) else { continue };
        let mut walk = walk(index, Request::Remove, State::Configured);
        let end = bench.walk_with(&mut walk, |bench, _, action| match action {
            Action::StopUse => Reply::Used(Err("it is busy".to_string())),
            action => bench.perform(action),
        });
        assert_eq!((end.outcome, bench.state(), bench.in_use), (Outcome::Kept, State::Configured, true));
        let refused = bench.platform.notices().contains(&Notice::Refused("device".into()));
        assert_eq!(refused, index != PCI, "a physical connector has no way to say so");
    }
}

#[test]
fn a_stream_that_someone_left_half_read_is_asked_for_again() {
    let mut bench = Bench::at(CORE, State::Unisolated);
    let mut asked = 0;
    let mut walk = walk(CORE, Request::Add, State::Unisolated);
    let end = bench.walk_with(&mut walk, |bench, _, action| {
        let reply = bench.perform(action);
        asked += usize::from(*action == Action::Configure);
        match reply {
            Reply::Configured(rc, _) if asked == 1 => Reply::Configured(rc, Err("no root".to_string())),
            reply => reply,
        }
    });
    assert_eq!((end.outcome, asked, end.reason.as_str()), (Outcome::Taken, 2, "no root"));
}

#[test]
fn the_lamp_decides_nothing() {
    let lamp = |bench: &mut Bench, action: &Action| match action {
        Action::SetIndicator { indicator: Indicator::DR_INDICATOR, .. } => Reply::Status(Status::HARDWARE),
        action => bench.perform(action),
    };
    for (request, state, outcome) in [
        (Request::Add, State::PowerOn, Outcome::Taken),
        (Request::Remove, State::Configured, Outcome::Released),
    ] {
        let mut bench = Bench::at(PCI, state);
        let mut walk = walk(PCI, request, state);
        let end = bench.walk_with(&mut walk, |bench, _, action| lamp(bench, action));
        assert_eq!(end.outcome, outcome);
        assert!(end.reason.starts_with("dr-indicator "), "{}", end.reason);
    }
}

#[test]
fn a_transition_stands_in_the_log_with_both_states() {
    let mut bench = Bench::at(CORE, State::Unusable);
    let _ = bench.walk(Request::Add, State::Unusable);
    let Record::Transition { drc, kind, call, value, rc, before, after } = bench.moves[0].record() else {
        panic!("a transition")
    };
    assert_eq!((drc, kind, rc), (CORE, DrcKind::CPU, Status::SUCCESS));
    let words = [call, value, before, after].map(|text| text.to_string());
    assert_eq!(words, ["allocation-state", "usable", "unusable", "available"]);
}

#[test]
fn a_finished_walk_stays_finished() {
    let mut bench = Bench::at(PCI, State::Configured);
    let mut walk = walk(PCI, Request::Add, State::Configured);
    let end = bench.walk_with(&mut walk, |bench, _, action| bench.perform(action));
    for reply in
        [Reply::Start, Reply::Status(Status::SUCCESS), Reply::Sense(Status::SUCCESS, EntitySense::EMPTY)]
    {
        assert_eq!(walk.next(reply), Action::Finished(end.clone()));
        assert_eq!(walk.transition(), None);
    }
}
