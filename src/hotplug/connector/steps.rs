//! Where each answer leads: the way in, the way out, and the way back from either.

use super::{Phase, State, Transition, Walk};
use crate::log::{Outcome, Request};
use crate::papr::indicator::{EntitySense, ISOLATE, Indicator, UNISOLATE, UNUSABLE, USABLE};
use crate::papr::status::Status;
use alloc::string::String;

impl Walk {
    /// The sense before acquiring.
    pub(super) fn sensed(&mut self, rc: Status, sense: EntitySense) -> Phase {
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
    pub(super) fn sensed_held(&mut self, rc: Status, sense: EntitySense) -> Phase {
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
    pub(super) fn set(&mut self, indicator: Indicator, value: u32, rc: Status) -> Phase {
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
            Phase::Isolate => self.say_no(),
            Phase::Unallocate => Phase::Reconnect,
            Phase::Dim => self.finish(Outcome::Released),
            Phase::Refuse => self.resume(),
            _ => self.finish(Outcome::Stuck),
        }
    }

    /// Tells the platform that the guest does not give the resource back. Physical connectors have no way to say so.
    fn say_no(&mut self) -> Phase {
        if self.is_physical() { self.resume() } else { Phase::Refuse }
    }

    fn resume(&mut self) -> Phase {
        if self.stopped { Phase::Reuse } else { self.finish(Outcome::Kept) }
    }

    /// Configure-connector came to an end.
    pub(super) fn configured(&mut self, rc: Status, fragment: Result<(), String>) -> Phase {
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
            Phase::Reconfigure if done => self.say_no(),
            Phase::Reconfigure => self.finish(Outcome::Stuck),
            Phase::RefuseByConfiguring => self.resume(),
            _ if !done => Phase::BackDrain,
            _ if sound && core::mem::take(&mut self.ask_twice) => Phase::Configure,
            _ if sound && self.is_physical() => Phase::Light,
            _ if sound => Phase::Use,
            // A stream that someone left half read begins in its middle; asked again, it starts at the top.
            _ if !core::mem::replace(&mut self.asked_again, true) => Phase::Configure,
            _ => Phase::BackIsolate,
        }
    }

    /// The resource was put to use, or put down.
    pub(super) fn used(&mut self, result: Result<(), String>) -> Phase {
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
            (Phase::StopUse, false) => self.say_no(),
            (_, true) => self.finish(Outcome::Kept),
            (_, false) => self.finish(Outcome::Stuck),
        }
    }
}

/// Whether a status says for certain whether the call did something: busy and unknown ones do not.
fn is_certain(rc: Status) -> bool {
    rc == Status::SUCCESS || (rc.0 < 0 && rc != Status::BUSY && rc.name().is_some())
}
