//! The life of one connector for one request, as a step machine.
//!
//! A [`Walk`] is told what each call answered and says what to do next; it makes no calls itself. Whatever fails, it
//! gives back what it acquired. One rule shapes the way back: a connector that is unisolated can only go forward, so
//! configure-connector is run to its end ([`Action::Drain`]) before it can be isolated. And one refusal is ordinary: a
//! logical memory block whose device nobody wants back cannot be isolated at all, so a failed acquisition can end
//! [`Outcome::Stuck`], and a failed release goes back into use.
//!
//! | request | sequence |
//! |---|---|
//! | acquire, logical | sense, allocate usable, unisolate, configure, use |
//! | acquire, physical | sense, unisolate, configure, dr-indicator active, use |
//! | release, logical | stop use, isolate, allocate unusable |
//! | release, physical | stop use, isolate, dr-indicator inactive |
//!
//! The indicator of a physical connector is a lamp: that it cannot be set is noted in the reason and changes nothing.
//!
//! Ref: LoPAR 13.7 (DR Operations), QEMU hw/ppc/spapr_drc.c

use super::State;
use crate::log::{Outcome, Record, Request};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::indicator::{
    ACTIVE, EntitySense, INACTIVE, ISOLATE, Indicator, UNISOLATE, UNUSABLE, USABLE,
};
use crate::papr::status::Status;
use alloc::string::{String, ToString};
use core::fmt;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the entity sense; answer with [`Reply::Sense`].
    ReadSense,
    /// Set an indicator; answer with [`Reply::Status`].
    SetIndicator {
        /// Which.
        indicator: Indicator,
        /// To what.
        value: u32,
    },
    /// Run configure-connector to its end and keep what it hands out; answer with [`Reply::Configured`].
    Configure,
    /// Run configure-connector to its end and throw away what it hands out; answer with [`Reply::Configured`].
    Drain,
    /// Use the resource; answer with [`Reply::Used`].
    Use,
    /// Stop using the resource; answer with [`Reply::Used`].
    StopUse,
    /// Nothing: this is what became of it.
    Finished(Conclusion),
}

/// What the last action answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing was done yet.
    Start,
    /// What the sensor call returned, and what it read.
    Sense(Status, EntitySense),
    /// What set-indicator returned.
    Status(Status),
    /// The last status of configure-connector, and why its fragment is of no use.
    Configured(Status, Result<(), String>),
    /// Whether it worked, and why not.
    Used(Result<(), String>),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// What became of it.
    pub outcome: Outcome,
    /// The connector's state, as far as the guest can know.
    pub state: State,
    /// Everything that went wrong on the way, in order; or why nothing was done.
    pub reason: String,
}

/// A call that may have moved the connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The connector.
    pub index: DrcIndex,
    /// What it connects.
    pub kind: DrcKind,
    /// The indicator, or `configure-connector`.
    pub call: &'static str,
    /// The value that was set; `keep` or `drain` for configure-connector.
    pub value: &'static str,
    /// What the call returned.
    pub rc: Status,
    /// What the guest takes the state to have been.
    pub before: State,
    /// What it takes it to be now.
    pub after: State,
}

impl Transition {
    /// As it stands in the log.
    pub fn record(&self) -> Record<'static> {
        Record::Transition {
            drc: self.index,
            kind: self.kind,
            call: self.call.into(),
            value: self.value.into(),
            rc: self.rc,
            before: self.before.name().into(),
            after: self.after.name().into(),
        }
    }
}

/// Where a walk is: each phase but the first and the last asks for one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    // Acquiring.
    Sense,
    Allocate,
    Unisolate,
    Configure,
    Light,
    Use,
    // Giving back what was acquired.
    BackDrain,
    BackIsolate,
    BackUnallocate,
    BackDim,
    // Releasing.
    SenseHeld,
    StopUse,
    Isolate,
    Unallocate,
    Dim,
    // Going back into use after a release that was refused.
    Reconnect,
    Reconfigure,
    Refuse,
    Reuse,
    Done,
}

/// One connector on its way.
#[derive(Clone, Debug)]
pub struct Walk {
    index: DrcIndex,
    kind: DrcKind,
    request: Request,
    state: State,
    phase: Phase,
    /// The lamp was lit.
    lit: bool,
    /// The resource was in use and is not any more.
    stopped: bool,
    /// The fragment was asked for a second time.
    asked_again: bool,
    reason: String,
    outcome: Outcome,
    moved: Option<Transition>,
}

impl Walk {
    fn new(index: DrcIndex, kind: DrcKind, request: Request, state: State) -> Self {
        Self {
            index,
            kind,
            request,
            state,
            phase: Phase::Start,
            lit: false,
            stopped: false,
            asked_again: false,
            reason: String::new(),
            outcome: Outcome::Failed,
            moved: None,
        }
    }

    /// Acquires a connector that the guest takes to be in `state`.
    pub fn acquire(index: DrcIndex, kind: DrcKind, state: State) -> Self {
        Self::new(index, kind, Request::Add, state)
    }

    /// Releases a connector that the guest takes to be in `state`.
    pub fn release(index: DrcIndex, kind: DrcKind, state: State) -> Self {
        Self::new(index, kind, Request::Remove, state)
    }

    /// What the last reply moved.
    pub const fn transition(&self) -> Option<Transition> {
        self.moved
    }

    /// Takes the answer to the last action and says what to do next. A finished walk stays finished.
    pub fn next(&mut self, reply: Reply) -> Action {
        self.moved = None;
        self.phase = match (self.phase, reply) {
            (Phase::Done, _) => Phase::Done,
            (Phase::Start, Reply::Start) => self.first(),
            (Phase::Sense, Reply::Sense(rc, sense)) => self.sensed(rc, sense),
            (Phase::SenseHeld, Reply::Sense(rc, sense)) => self.sensed_held(rc, sense),
            (Phase::Configure | Phase::Reconfigure | Phase::BackDrain, Reply::Configured(rc, fragment)) => {
                self.configured(rc, fragment)
            }
            (Phase::Use | Phase::StopUse | Phase::Reuse, Reply::Used(result)) => self.used(result),
            (phase, Reply::Status(rc)) => match self.ask(phase) {
                Action::SetIndicator { indicator, value } => self.set(indicator, value, rc),
                _ => self.misfit(),
            },
            _ => self.misfit(),
        };
        self.ask(self.phase)
    }

    fn is_physical(&self) -> bool {
        self.kind.is_physical()
    }

    /// What a phase asks for.
    fn ask(&self, phase: Phase) -> Action {
        let set = |indicator, value| Action::SetIndicator { indicator, value };
        match phase {
            Phase::Sense | Phase::SenseHeld => Action::ReadSense,
            Phase::Allocate => set(Indicator::ALLOCATION_STATE, USABLE),
            Phase::Unallocate | Phase::BackUnallocate => set(Indicator::ALLOCATION_STATE, UNUSABLE),
            Phase::Unisolate | Phase::Reconnect | Phase::Refuse => set(Indicator::ISOLATION_STATE, UNISOLATE),
            Phase::Isolate | Phase::BackIsolate => set(Indicator::ISOLATION_STATE, ISOLATE),
            Phase::Light => set(Indicator::DR_INDICATOR, ACTIVE),
            Phase::Dim | Phase::BackDim => set(Indicator::DR_INDICATOR, INACTIVE),
            Phase::Configure | Phase::Reconfigure => Action::Configure,
            Phase::BackDrain => Action::Drain,
            Phase::Use | Phase::Reuse => Action::Use,
            Phase::StopUse => Action::StopUse,
            Phase::Start | Phase::Done => Action::Finished(self.conclusion()),
        }
    }

    fn conclusion(&self) -> Conclusion {
        Conclusion { outcome: self.outcome, state: self.state, reason: self.reason.clone() }
    }

    fn first(&self) -> Phase {
        match self.request {
            Request::Add => Phase::Sense,
            Request::Remove if self.state == State::Configured => Phase::StopUse,
            Request::Remove => Phase::SenseHeld,
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Phase {
        self.outcome = outcome;
        Phase::Done
    }

    fn note(&mut self, text: &str) {
        if !self.reason.is_empty() {
            self.reason.push_str("; ");
        }
        self.reason.push_str(text);
    }

    fn finish_with(&mut self, outcome: Outcome, reason: impl fmt::Display) -> Phase {
        self.note(&reason.to_string());
        self.finish(outcome)
    }

    /// The caller answered another question than was asked: nothing more can be done safely.
    fn misfit(&mut self) -> Phase {
        let empty = self.state == State::empty(self.is_physical());
        let outcome = if empty { Outcome::Failed } else { Outcome::Stuck };
        self.finish_with(outcome, "the reply does not fit the action")
    }

    /// Everything that was acquired has been given back.
    fn given_back(&mut self) -> Phase {
        self.finish(if self.request == Request::Add { Outcome::Failed } else { Outcome::Released })
    }
}

impl Walk {
    /// The sense before acquiring.
    fn sensed(&mut self, rc: Status, sense: EntitySense) -> Phase {
        if rc != Status::SUCCESS {
            return self.finish_with(Outcome::Failed, format_args!("dr-entity-sense: {rc}"));
        }
        match (self.is_physical(), sense, self.state) {
            (_, EntitySense::PRESENT, State::Configured) => {
                self.finish_with(Outcome::Kept, "the guest has it already")
            }
            (false, EntitySense::UNUSABLE, _) => {
                self.state = State::Unusable;
                Phase::Allocate
            }
            // Left over from a walk that got stuck; every call of the sequence may be made again.
            (false, EntitySense::PRESENT, State::Available | State::Unisolated | State::Unknown) => {
                Phase::Allocate
            }
            (false, EntitySense::PRESENT, _) => {
                // What is usable without this guest's doing came with the tree, and that is configured.
                self.state = State::Configured;
                self.finish_with(Outcome::Kept, "it is usable already")
            }
            (true, EntitySense::PRESENT, _) => Phase::Unisolate,
            (true, EntitySense::EMPTY, _) => {
                self.state = State::PowerOn;
                self.finish_with(Outcome::Ignored, "the slot is empty")
            }
            _ => self.finish_with(Outcome::Failed, format_args!("it senses {sense}")),
        }
    }

    /// The sense before releasing what the guest does not use.
    fn sensed_held(&mut self, rc: Status, sense: EntitySense) -> Phase {
        if rc != Status::SUCCESS {
            return self.finish_with(Outcome::Failed, format_args!("dr-entity-sense: {rc}"));
        }
        match sense {
            EntitySense::EMPTY | EntitySense::UNUSABLE => {
                self.state = State::empty(self.is_physical());
                self.finish_with(Outcome::Ignored, "the guest does not have it")
            }
            EntitySense::PRESENT if self.state == State::Unisolated => Phase::BackDrain,
            EntitySense::PRESENT => Phase::BackIsolate,
            _ => self.finish_with(Outcome::Failed, format_args!("it senses {sense}")),
        }
    }

    /// An indicator was set, or not.
    fn set(&mut self, indicator: Indicator, value: u32, rc: Status) -> Phase {
        let call = indicator.name().unwrap_or("indicator");
        let text = indicator.value_name(value).unwrap_or("unknown");
        self.settle(call, text, rc, self.after(rc, self.state_after(indicator, value)));
        if rc == Status::SUCCESS {
            self.went_well()
        } else {
            self.note(&alloc::format!("{call} {text}: {rc}"));
            self.went_wrong(is_certain(rc))
        }
    }

    /// The state after a call that leads to `goal` when it works.
    fn after(&self, rc: Status, goal: State) -> State {
        match rc {
            Status::SUCCESS => goal,
            rc if is_certain(rc) => self.state,
            _ => State::Unknown,
        }
    }

    fn settle(&mut self, call: &'static str, value: &'static str, rc: Status, after: State) {
        let Self { index, kind, state: before, .. } = *self;
        self.state = after;
        self.moved = Some(Transition { index, kind, call, value, rc, before, after });
    }

    /// The state after an indicator was set with success.
    fn state_after(&self, indicator: Indicator, value: u32) -> State {
        match (indicator, value, self.state) {
            (Indicator::ALLOCATION_STATE, UNUSABLE, _) => State::Unusable,
            (Indicator::ALLOCATION_STATE, USABLE, State::Unusable) => State::Available,
            (Indicator::ISOLATION_STATE, ISOLATE, State::Unusable) => State::Unusable,
            (Indicator::ISOLATION_STATE, ISOLATE, State::Unknown) if !self.is_physical() => State::Unknown,
            (Indicator::ISOLATION_STATE, ISOLATE, _) => State::isolated(self.is_physical()),
            (Indicator::ISOLATION_STATE, UNISOLATE, State::Available | State::PowerOn) => State::Unisolated,
            (_, _, state) => state,
        }
    }

    fn went_well(&mut self) -> Phase {
        match self.phase {
            Phase::Allocate => Phase::Unisolate,
            Phase::Unisolate => Phase::Configure,
            Phase::Light => {
                self.lit = true;
                Phase::Use
            }
            Phase::BackIsolate if !self.is_physical() => Phase::BackUnallocate,
            Phase::BackIsolate if self.lit || self.request == Request::Remove => Phase::BackDim,
            Phase::Isolate if self.is_physical() => Phase::Dim,
            Phase::Isolate => Phase::Unallocate,
            Phase::Unallocate | Phase::Dim => self.finish(Outcome::Released),
            Phase::Reconnect => Phase::Reconfigure,
            Phase::Refuse => self.resume(),
            _ => self.given_back(),
        }
    }

    /// What now, when `self.phase` did not work. Only a status that is `certain` says that nothing has moved.
    fn went_wrong(&mut self, certain: bool) -> Phase {
        match self.phase {
            Phase::Allocate if certain => self.finish(Outcome::Failed),
            Phase::Allocate => Phase::BackUnallocate,
            Phase::Unisolate if !certain => Phase::BackDrain,
            Phase::Unisolate if self.is_physical() => self.finish(Outcome::Failed),
            Phase::Unisolate => Phase::BackUnallocate,
            Phase::Light => Phase::Use,
            Phase::BackDim => self.given_back(),
            Phase::Isolate if !certain => Phase::Reconnect,
            Phase::Isolate => self.refuse(),
            Phase::Unallocate => Phase::Reconnect,
            Phase::Dim => self.finish(Outcome::Released),
            Phase::Refuse => self.resume(),
            _ => self.finish(Outcome::Stuck),
        }
    }

    /// Tells the platform that the guest does not give the resource back. Physical connectors have no way to say so.
    fn refuse(&mut self) -> Phase {
        if self.is_physical() { self.resume() } else { Phase::Refuse }
    }

    fn resume(&mut self) -> Phase {
        if self.stopped { Phase::Reuse } else { self.finish(Outcome::Kept) }
    }

    /// Configure-connector came to an end.
    fn configured(&mut self, rc: Status, fragment: Result<(), String>) -> Phase {
        let value = if self.phase == Phase::BackDrain { "drain" } else { "keep" };
        // A stream that was broken off has moved nothing, although its last status is no error.
        let broken_off = (1..=5).contains(&rc.0);
        let after = if broken_off { self.state } else { self.after(rc, State::Configured) };
        self.settle("configure-connector", value, rc, after);
        let done = rc == Status::SUCCESS;
        if !done {
            self.note(&alloc::format!("configure-connector {value}: {rc}"));
        }
        let sound = fragment.is_ok();
        if let Err(why) = fragment {
            self.note(&why);
        }
        match self.phase {
            Phase::BackDrain => Phase::BackIsolate,
            Phase::Reconfigure if done => self.refuse(),
            Phase::Reconfigure => self.finish(Outcome::Stuck),
            _ if !done => Phase::BackDrain,
            _ if sound && self.is_physical() => Phase::Light,
            _ if sound => Phase::Use,
            // A stream that someone left half read begins in its middle; asked again, it starts at the top.
            _ if !core::mem::replace(&mut self.asked_again, true) => Phase::Configure,
            _ => Phase::BackIsolate,
        }
    }

    /// The resource was put to use, or put down.
    fn used(&mut self, result: Result<(), String>) -> Phase {
        let works = result.is_ok();
        if let Err(why) = result {
            self.note(&why);
        }
        match (self.phase, works) {
            (Phase::Use, true) => self.finish(Outcome::Taken),
            (Phase::Use, false) => Phase::BackIsolate,
            (Phase::StopUse, true) => {
                self.stopped = true;
                Phase::Isolate
            }
            (Phase::StopUse, false) => self.refuse(),
            (_, true) => self.finish(Outcome::Kept),
            (_, false) => self.finish(Outcome::Stuck),
        }
    }
}

/// Whether a status says for certain whether the call did something: busy and unknown ones do not.
fn is_certain(rc: Status) -> bool {
    rc == Status::SUCCESS || (rc.0 < 0 && rc != Status::BUSY && rc.name().is_some())
}

#[cfg(test)]
mod tests;
