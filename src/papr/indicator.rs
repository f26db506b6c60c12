//! Indicators: what `set-indicator` sets on a connector.
//!
//! Ref: LoPAR 7.3.10 (set-indicator), 13.5.3 (Tables 179 to 181)

use crate::open_enum;
use crate::open_field;

open_enum! {
    /// The indicator's token.
    pub Indicator: u32 {
        /// Whether the connector is isolated from the running partition.
        ISOLATION_STATE = 9001 => "isolation-state",
        /// The visual indicator of a physical connector.
        DR_INDICATOR = 9002 => "dr-indicator",
        /// Whether a logical resource is allocated to the partition.
        ALLOCATION_STATE = 9003 => "allocation-state",
    }
}
open_field!(Indicator);

/// A value of [`Indicator::ISOLATION_STATE`]: isolated.
pub const ISOLATE: u32 = 0;
/// A value of [`Indicator::ISOLATION_STATE`]: connected.
pub const UNISOLATE: u32 = 1;
/// A value of [`Indicator::ALLOCATION_STATE`]: given back to the platform.
pub const UNUSABLE: u32 = 0;
/// A value of [`Indicator::ALLOCATION_STATE`]: allocated to the partition.
pub const USABLE: u32 = 1;
/// A value of [`Indicator::ALLOCATION_STATE`]: taken from the pool of spares.
pub const EXCHANGE: u32 = 2;
/// A value of [`Indicator::ALLOCATION_STATE`]: recovered by the platform.
pub const RECOVER: u32 = 3;
/// A value of [`Indicator::DR_INDICATOR`]: off.
pub const INACTIVE: u32 = 0;
/// A value of [`Indicator::DR_INDICATOR`]: on.
pub const ACTIVE: u32 = 1;
/// A value of [`Indicator::DR_INDICATOR`]: blinking, this is the one.
pub const IDENTIFY: u32 = 2;
/// A value of [`Indicator::DR_INDICATOR`]: blinking, do something.
pub const ACTION: u32 = 3;

impl Indicator {
    /// The name of a value of this indicator.
    pub fn value_name(self, value: u32) -> Option<&'static str> {
        Some(match (self, value) {
            (Self::ISOLATION_STATE, ISOLATE) => "isolate",
            (Self::ISOLATION_STATE, UNISOLATE) => "unisolate",
            (Self::ALLOCATION_STATE, UNUSABLE) => "unusable",
            (Self::ALLOCATION_STATE, USABLE) => "usable",
            (Self::ALLOCATION_STATE, EXCHANGE) => "exchange",
            (Self::ALLOCATION_STATE, RECOVER) => "recover",
            (Self::DR_INDICATOR, INACTIVE) => "inactive",
            (Self::DR_INDICATOR, ACTIVE) => "active",
            (Self::DR_INDICATOR, IDENTIFY) => "identify",
            (Self::DR_INDICATOR, ACTION) => "action",
            _ => return None,
        })
    }
}

open_enum! {
    /// A sensor's token.
    ///
    /// Ref: LoPAR 7.3.9 (get-sensor-state)
    pub Sensor: u32 {
        /// Whether a connector has something, and whether that can be used.
        DR_ENTITY_SENSE = 9003 => "dr-entity-sense",
    }
}

open_enum! {
    /// What [`Sensor::DR_ENTITY_SENSE`] reads.
    ///
    /// Ref: LoPAR 13.5.3.3 (Table 178)
    pub EntitySense: u32 {
        /// The slot is empty (physical connectors only).
        EMPTY = 0 => "empty",
        /// Something is there.
        PRESENT = 1 => "present",
        /// Nothing that is allocated to this partition (logical connectors only).
        UNUSABLE = 2 => "unusable",
        /// Available for exchange.
        EXCHANGE = 3 => "exchange",
        /// Recovered by the platform.
        RECOVER = 4 => "recover",
    }
}
open_field!(EntitySense);

#[cfg(test)]
mod tests {
    use super::{EntitySense, Indicator, Sensor};

    #[test]
    fn tokens_are_frozen() {
        assert_eq!(Indicator::ISOLATION_STATE.0, 9001);
        assert_eq!(Indicator::DR_INDICATOR.0, 9002);
        assert_eq!(Indicator::ALLOCATION_STATE.0, 9003);
        assert_eq!(Sensor::DR_ENTITY_SENSE.0, 9003);
        assert_eq!(EntitySense::UNUSABLE.0, 2);
    }
}
