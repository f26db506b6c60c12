//! Property 7: an illegal call changes nothing and returns the right code. What the guest did on its way is held against the
//! model of a correct hypervisor, and a connector that refused something against what its sensor reads next.

use super::{Case, Class, DrcIndex, Finding, Record};
use paprika::hotplug::State;
use paprika::hotplug::transitions::{Call, is_possible};
use paprika::log::Entry;
use paprika::papr::indicator::{EntitySense, Indicator};
use paprika::papr::status::Status;
use std::collections::BTreeMap;

/// Every state that has a name in the log.
const STATES: [State; 5] =
    [State::Unusable, State::Available, State::PowerOn, State::Unisolated, State::Configured];
/// Every indicator of a connector.
const INDICATORS: [Indicator; 3] =
    [Indicator::ISOLATION_STATE, Indicator::ALLOCATION_STATE, Indicator::DR_INDICATOR];
/// More values than any indicator has.
const VALUES: u32 = 8;

impl Case<'_> {
    /// Every call on a connector is answered as a correct hypervisor could.
    pub(super) fn calls(&self) -> Finding {
        const PROPERTY: &str = "answers calls on connectors as it should";
        let wrong = self.transcript.entries().find_map(|entry| wrong_code(&entry));
        let subject = "the hypervisor";
        match wrong {
            Some(detail) => Finding::broken(PROPERTY, subject, Class::WrongAnswer, detail),
            None => Finding::pass(PROPERTY, subject),
        }
    }

    /// A call that is refused leaves a connector as it was.
    pub(super) fn refused_calls(&self) -> Finding {
        const PROPERTY: &str = "a call that is refused changes nothing";
        // What was refused last on each connector, and the state in which that was.
        let mut refused: BTreeMap<DrcIndex, (State, String)> = BTreeMap::new();
        for entry in self.transcript.entries() {
            match entry.record {
                Record::Boot { .. } => refused.clear(),
                Record::Transition { drc, rc, .. } => {
                    let before = state(&entry).filter(|_| rc.0 < 0 && rc.retry_after_ms().is_none());
                    match before {
                        Some(before) => drop(refused.insert(drc, (before, said(&entry)))),
                        None => drop(refused.remove(&drc)),
                    }
                }
                Record::Sense { drc, rc: Status::SUCCESS, state: sense } => {
                    let Some((before, call)) = refused.remove(&drc) else { continue };
                    if reads(before).is_some_and(|wanted| wanted != sense) {
                        let detail = format!("the guest: {call}; then the sensor reads {sense}");
                        return Finding::broken(PROPERTY, drc.to_string(), Class::WrongState, detail);
                    }
                }
                _ => {}
            }
        }
        Finding::pass(PROPERTY, "the hypervisor")
    }
}

/// What a logical connector reads in this state. That of a physical one follows from its device.
fn reads(state: State) -> Option<EntitySense> {
    match state {
        State::Unusable => Some(EntitySense::UNUSABLE),
        State::Available => Some(EntitySense::PRESENT),
        _ => None,
    }
}

fn state(entry: &Entry<'_>) -> Option<State> {
    let Record::Transition { before, .. } = &entry.record else { return None };
    STATES.into_iter().find(|state| state.name() == before.0)
}

/// What is wrong with the answer to a call.
fn wrong_code(entry: &Entry<'_>) -> Option<String> {
    let Record::Transition { kind, call, value, rc, .. } = &entry.record else { return None };
    let configure = call.0 == "configure-connector";
    // Busy is always right, and a stream that was broken off has no code of its own.
    if rc.retry_after_ms().is_some() || (configure && rc.0 > 0) {
        return None;
    }
    let made = if configure { Call::Configure } else { indicator(&call.0, &value.0)? };
    let before = state(entry)?;
    (!is_possible(*kind, before, made, *rc)).then(|| format!("the guest: {}", said(entry)))
}

fn indicator(call: &str, value: &str) -> Option<Call> {
    let indicator = INDICATORS.into_iter().find(|indicator| indicator.name() == Some(call))?;
    let value = (0..VALUES).find(|number| indicator.value_name(*number) == Some(value))?;
    Some(Call::Set(indicator, value))
}

fn said(entry: &Entry<'_>) -> String {
    let Record::Transition { drc, call, value, rc, before, .. } = &entry.record else { return String::new() };
    format!("{drc} {call} {value} from {before} returned {rc}")
}
