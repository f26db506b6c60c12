//! The table of all calls from all states: what is to be called, what comes of it, and what should.
//!
//! A [`Tour`] takes connectors of one kind through every state, makes every [`Call`] from each, legal or not, and finds
//! out where that left the connector. [`expected`] is what a correct hypervisor answers, from [`super::model`]. The tour
//! decides and does no I/O: the guest carries it out and prints the [`Row`]s, and whoever reads them compares.
//!
//! No call reads a connector's state, so the tour infers it. The sense tells a logical connector that is unusable, and
//! giving it back works only where it is available. Of a physical one configure-connector takes a step only from
//! unisolated and configured. Isolating tells these two apart: from unisolated it is a parameter error. This moves the
//! connector, so it is brought to its start again for each call. A connector that cannot be brought back, as a memory
//! block that nobody wants back, is given up for the next of its kind.
//!
//! Ref: LoPAR 13.4 (Figures 12 and 13), QEMU hw/ppc/spapr_drc.c

mod tour;

pub use tour::{Ask, Found, Tour};

use super::State;
use super::model::Drc;
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::indicator::{EntitySense, Indicator, Sensor};
use crate::papr::status::Status;
use core::fmt;

/// A call about a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Sets an indicator.
    Set(Indicator, u32),
    /// Reads a sensor.
    Sense(Sensor),
    /// Runs configure-connector to its end.
    Configure,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(indicator, value) => match indicator.value_name(*value) {
                Some(name) => write!(f, "{indicator} {name}"),
                None => write!(f, "{indicator} {value}"),
            },
            Self::Sense(sensor) => write!(f, "sense {sensor}"),
            Self::Configure => f.write_str("configure-connector"),
        }
    }
}

/// What a call answered, and where it left the connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the call returned; of configure-connector the last status.
    pub rc: Status,
    /// What a sensor read; empty for other calls, and where it failed.
    pub sense: EntitySense,
    /// The state after it.
    pub after: State,
}

/// One cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the connector connects.
    pub kind: DrcKind,
    /// The connector.
    pub index: DrcIndex,
    /// The state before the call.
    pub before: State,
    /// The call.
    pub call: Call,
    /// What came of it.
    pub answer: Answer,
}

impl Row {
    /// Whether it is what a correct hypervisor answers.
    pub fn is_expected(&self) -> bool {
        expected(self.kind, self.before, self.call) == self.answer
    }
}

/// The states of a kind of connector, in the order in which a device goes through them.
pub fn states(kind: DrcKind) -> &'static [State] {
    match kind.is_physical() {
        true => &[State::PowerOn, State::Unisolated, State::Configured],
        false => &[State::Unusable, State::Available, State::Unisolated, State::Configured],
    }
}

/// Every call: each value of each indicator and one more, an indicator and a sensor that nobody knows.
pub const CALLS: [Call; 18] = {
    use Call::{Configure, Sense, Set};
    const ISOLATION: Indicator = Indicator::ISOLATION_STATE;
    const ALLOCATION: Indicator = Indicator::ALLOCATION_STATE;
    const LAMP: Indicator = Indicator::DR_INDICATOR;
    [
        Sense(Sensor::DR_ENTITY_SENSE),
        Sense(Sensor(9001)),
        Set(Indicator(9004), 0),
        Set(ISOLATION, 0),
        Set(ISOLATION, 1),
        Set(ISOLATION, 2),
        Set(ALLOCATION, 0),
        Set(ALLOCATION, 1),
        Set(ALLOCATION, 2),
        Set(ALLOCATION, 3),
        Set(ALLOCATION, 4),
        Set(LAMP, 0),
        Set(LAMP, 1),
        Set(LAMP, 2),
        Set(LAMP, 3),
        Set(LAMP, 4),
        Set(LAMP, u32::MAX),
        Configure,
    ]
};

/// What a correct hypervisor answers for a connector with a device that the host does not want back.
/// Where nobody knows the connector ([`State::Unknown`]), every call is a parameter error.
pub fn expected(kind: DrcKind, before: State, call: Call) -> Answer {
    if before == State::Unknown {
        return Answer { rc: Status::PARAMETER, sense: EntitySense::EMPTY, after: State::Unknown };
    }
    made(&mut Drc::with_device(kind, before), call)
}

/// Whether a correct hypervisor can answer a call in this state with this status. A guest that races with its host does
/// not know whether there is a device, or whether the host wants it back; each of these is allowed for.
pub fn is_possible(kind: DrcKind, before: State, call: Call, rc: Status) -> bool {
    let variants = Drc::with_device(kind, before).variants();
    variants.into_iter().any(|mut drc| made(&mut drc, call).rc == rc)
}

/// Makes a call about a connector.
fn made(drc: &mut Drc, call: Call) -> Answer {
    let (rc, sense) = match call {
        Call::Set(indicator, value) => (drc.set(indicator, value).0, EntitySense::EMPTY),
        Call::Sense(sensor) => drc.read(sensor),
        Call::Configure => (drc.configure(), EntitySense::EMPTY),
    };
    Answer { rc, sense, after: drc.state() }
}

#[cfg(test)]
mod tests;
