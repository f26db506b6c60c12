//! The tour: a connector is brought to a state, the call is made, and the state is inferred.

use super::{Answer, CALLS, Call, Row, State, states};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::indicator::{EntitySense, ISOLATE, Indicator, Sensor, UNISOLATE, UNUSABLE, USABLE};
use crate::papr::status::Status;
use alloc::collections::VecDeque;

/// What is to be done next about a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Make this call; answer with [`Found::Status`], or with [`Found::Sense`] where a sensor is read.
    Call(DrcIndex, Call),
    /// Make one call of configure-connector; answer with [`Found::Status`].
    Step(DrcIndex),
    /// Print this; answer with [`Found::Told`].
    Row(Row),
    /// This connector cannot be brought back, and is left where it is; answer with [`Found::Told`].
    GiveUp(DrcIndex),
    /// Nothing more: so many rows are missing for want of connectors.
    Finished(usize),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing was asked, or nothing is to be said about it.
    Told,
    /// What a call returned.
    Status(Status),
    /// What reading a sensor returned, and what it read.
    Sense(Status, EntitySense),
}

/// What was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    /// On the way to the row's state: this call, which leads to that state.
    Bring(Call, State),
    /// The row's call.
    Call,
    /// Finding out the state: by the sense, by giving it back, by a step of configure-connector, by isolating.
    Sense,
    Unallocate,
    Step,
    Isolate,
    Print,
    GiveUp,
}

/// A tour through the table.
#[derive(Clone, Debug)]
pub struct Tour {
    kind: DrcKind,
    /// The connectors that are left, the one in use first.
    connectors: VecDeque<DrcIndex>,
    /// A connector that nobody knows.
    nobody: Option<DrcIndex>,
    /// The rows that are left, the one at hand first.
    rows: VecDeque<(State, Call)>,
    /// Rows that had no connector.
    missing: usize,
    phase: Phase,
    /// The state of the connector in use.
    state: State,
    /// A step of configure-connector was made that unisolating alone takes back.
    half_read: bool,
    /// What the row's call answered.
    answer: Answer,
}

impl Tour {
    /// A tour of connectors of one kind, each of which has a device that the guest has done nothing with and the host
    /// does not want back; and of one index that nobody knows, if there is one.
    pub fn new(
        kind: DrcKind,
        connectors: impl IntoIterator<Item = DrcIndex>,
        nobody: Option<DrcIndex>,
    ) -> Self {
        let known = states(kind).iter().flat_map(|state| CALLS.map(|call| (*state, call)));
        let unknown = CALLS.into_iter().filter(|_| nobody.is_some()).map(|call| (State::Unknown, call));
        Self {
            kind,
            connectors: connectors.into_iter().collect(),
            nobody,
            rows: known.chain(unknown).collect(),
            missing: 0,
            phase: Phase::Start,
            state: State::empty(kind.is_physical()),
            half_read: false,
            answer: NOTHING,
        }
    }

    /// Takes what came of the last thing, and says the next. A finished tour stays finished.
    pub fn next(&mut self, found: Found) -> Ask {
        if self.rows.is_empty() {
            return Ask::Finished(self.missing);
        }
        self.phase = match (self.phase, found) {
            (Phase::Start, _) => self.begin(),
            (Phase::Bring(_, goal), Found::Status(Status::SUCCESS)) => {
                (self.state, self.half_read) = (goal, false);
                self.begin()
            }
            (Phase::Bring(..), _) => Phase::GiveUp,
            (Phase::Print, _) => {
                self.rows.pop_front();
                if self.state == State::Unknown { Phase::GiveUp } else { self.begin() }
            }
            (Phase::GiveUp, _) => {
                self.connectors.pop_front();
                (self.state, self.half_read) = (State::empty(self.kind.is_physical()), false);
                self.begin()
            }
            (Phase::Call, found) => self.called(found),
            (_, found) => self.infer(found),
        };
        self.ask()
    }

    fn ask(&self) -> Ask {
        let Some((before, call)) = self.rows.front().copied() else { return Ask::Finished(self.missing) };
        let index = if before == State::Unknown { self.nobody } else { self.connectors.front().copied() };
        let Some(index) = index else { return Ask::Finished(self.missing) };
        let row = Row { kind: self.kind, index, before, call, answer: self.answer };
        match self.phase {
            Phase::Bring(call, _) => Ask::Call(index, call),
            Phase::Start | Phase::Call => Ask::Call(index, call),
            Phase::Sense => Ask::Call(index, Call::Sense(Sensor::DR_ENTITY_SENSE)),
            Phase::Unallocate => Ask::Call(index, Call::Set(Indicator::ALLOCATION_STATE, UNUSABLE)),
            Phase::Step => Ask::Step(index),
            Phase::Isolate => Ask::Call(index, Call::Set(Indicator::ISOLATION_STATE, ISOLATE)),
            Phase::Print => Ask::Row(row),
            Phase::GiveUp => Ask::GiveUp(self.connectors.front().copied().unwrap_or(index)),
        }
    }

    /// Begins the first row for which there is a connector.
    fn begin(&mut self) -> Phase {
        while let Some((target, _)) = self.rows.front().copied() {
            match target {
                State::Unknown => return Phase::Call,
                _ if self.connectors.is_empty() => self.missing += 1,
                _ if target == self.state && !self.half_read => return Phase::Call,
                _ => return self.toward(target),
            }
            self.rows.pop_front();
        }
        Phase::Print
    }

    /// The next call on the way to a state. What is unisolated can only go on.
    fn toward(&self, target: State) -> Phase {
        let isolation = |value| Call::Set(Indicator::ISOLATION_STATE, value);
        let allocation = |value| Call::Set(Indicator::ALLOCATION_STATE, value);
        match self.state {
            State::Unusable => Phase::Bring(allocation(USABLE), State::Available),
            State::Available if target < State::Available => {
                Phase::Bring(allocation(UNUSABLE), State::Unusable)
            }
            State::Available | State::PowerOn => Phase::Bring(isolation(UNISOLATE), State::Unisolated),
            State::Unisolated => Phase::Bring(Call::Configure, State::Configured),
            State::Configured => Phase::Bring(isolation(ISOLATE), State::isolated(self.kind.is_physical())),
            State::Unknown => Phase::GiveUp,
        }
    }

    fn called(&mut self, found: Found) -> Phase {
        self.answer = match found {
            Found::Status(rc) => Answer { rc, ..NOTHING },
            Found::Sense(rc, sense) => Answer { rc, sense, ..NOTHING },
            Found::Told => return self.skip(),
        };
        match self.rows.front() {
            // Nobody's state cannot be found out; the connector in use stays where it is.
            Some((State::Unknown, _)) => Phase::Print,
            _ if self.kind.is_physical() => Phase::Step,
            _ => Phase::Sense,
        }
    }

    /// Nothing is known of what the row's call did.
    fn skip(&mut self) -> Phase {
        self.missing += 1;
        match self.rows.pop_front() {
            Some((State::Unknown, _)) | None => self.begin(),
            _ => Phase::GiveUp,
        }
    }

    /// One more thing is known of the state.
    fn infer(&mut self, found: Found) -> Phase {
        let isolated = State::isolated(self.kind.is_physical());
        let (after, left) = match (self.phase, found) {
            (Phase::Sense, Found::Sense(Status::SUCCESS, EntitySense::UNUSABLE)) => {
                (State::Unusable, State::Unusable)
            }
            (Phase::Sense, Found::Sense(Status::SUCCESS, _)) => return Phase::Unallocate,
            (Phase::Unallocate, Found::Status(Status::SUCCESS)) => (State::Available, State::Unusable),
            (Phase::Unallocate, Found::Status(Status::PARAMETER)) => return Phase::Isolate,
            (Phase::Step, Found::Status(Status::NOT_CONFIGURABLE)) => (isolated, isolated),
            (Phase::Step, Found::Status(Status(1..=4))) => {
                self.half_read = true;
                return Phase::Isolate;
            }
            (Phase::Isolate, Found::Status(Status::PARAMETER)) => (State::Unisolated, State::Unisolated),
            (Phase::Isolate, Found::Status(Status::HARDWARE)) => (State::Configured, State::Configured),
            (Phase::Isolate, Found::Status(Status::SUCCESS)) => {
                self.half_read = false;
                (State::Configured, isolated)
            }
            _ => (State::Unknown, State::Unknown),
        };
        (self.answer.after, self.state) = (after, left);
        Phase::Print
    }
}

/// The answer before there is one.
const NOTHING: Answer = Answer { rc: Status::SUCCESS, sense: EntitySense::EMPTY, after: State::Unknown };
