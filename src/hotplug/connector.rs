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
    RefuseByConfiguring,
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
    /// The fragment is to be asked for once more although it is sound.
    ask_twice: bool,
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
            ask_twice: false,
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

    /// Asks for the fragment once more when it has it.
    #[must_use]
    pub const fn asking_twice(mut self) -> Self {
        self.ask_twice = true;
        self
    }

    /// Refuses to release a connector: by un-isolating it once more, or, for a memory block, by configuring it once
    /// more (`by_configuring`). A physical connector knows no refusal, and nothing is done about it.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (drc_unisolate_logical, rtas_ibm_configure_connector)
    pub fn refuse(index: DrcIndex, kind: DrcKind, state: State, by_configuring: bool) -> Self {
        let mut walk = Self::new(index, kind, Request::Remove, state);
        walk.phase = match state {
            _ if kind.is_physical() => Phase::Done,
            State::Configured | State::Unisolated if by_configuring => Phase::RefuseByConfiguring,
            State::Configured | State::Unisolated => Phase::Refuse,
            _ => Phase::Done,
        };
        if walk.phase == Phase::Done {
            let held = state == State::Configured;
            walk.outcome = if held { Outcome::Kept } else { Outcome::Ignored };
            walk.note("there is no way to refuse it");
        }
        walk
    }

    /// The state that the guest takes the connector to be in.
    pub const fn state(&self) -> State {
        self.state
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
            (phase @ (Phase::Refuse | Phase::RefuseByConfiguring), Reply::Start) => phase,
            (Phase::Start, Reply::Start) => self.first(),
            (Phase::Sense, Reply::Sense(rc, sense)) => self.sensed(rc, sense),
            (Phase::SenseHeld, Reply::Sense(rc, sense)) => self.sensed_held(rc, sense),
            (
                Phase::Configure | Phase::Reconfigure | Phase::RefuseByConfiguring | Phase::BackDrain,
                Reply::Configured(rc, fragment),
            ) => self.configured(rc, fragment),
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
            Phase::Configure | Phase::Reconfigure | Phase::RefuseByConfiguring => Action::Configure,
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

mod steps;
#[cfg(test)]
pub(super) mod tests;
