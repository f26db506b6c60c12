//! Environmental and power warnings.

use crate::open_enum;
use crate::wire::{Reader, Short};

open_enum! {
    /// What is to be done, as the sensor's value says.
    ///
    /// Ref: LoPAR 10.2.2 (Table 142)
    pub EpowAction: u8 {
        /// All is well again.
        RESET = 0 => "reset",
        /// Cooling is not as it should be.
        WARN_COOLING = 1 => "warn-cooling",
        /// Power is not as it should be.
        WARN_POWER = 2 => "warn-power",
        /// Shut down in order.
        SYSTEM_SHUTDOWN = 3 => "system-shutdown",
        /// Halt within 20 seconds.
        SYSTEM_HALT = 4 => "system-halt",
        /// The main enclosure fails.
        MAIN_ENCLOSURE = 5 => "main-enclosure",
        /// Power is about to go.
        POWER_OFF = 7 => "power-off",
    }
}

open_enum! {
    /// Why a shutdown is asked for.
    ///
    /// Ref: LoPAR 10.3.2.2.8 (Table 159)
    pub EpowModifier: u8 {
        /// None of the others: not given.
        NONE = 0 => "none",
        /// Someone asked for it.
        NORMAL = 1 => "normal",
        /// The machine runs on a battery.
        ON_UPS = 2 => "on-ups",
        /// Critical functions are lost.
        LOSS_OF_CRITICAL_FUNCTIONS = 3 => "loss-of-critical-functions",
        /// It is too hot.
        AMBIENT_TEMPERATURE_TOO_HIGH = 4 => "ambient-temperature-too-high",
    }
}

open_enum! {
    /// Whom a warning concerns: the extended modifier.
    ///
    /// Ref: LoPAR 10.3.2.2.8 (Table 159)
    pub EpowScope: u8 {
        /// The whole machine.
        SYSTEM_WIDE = 0 => "system-wide",
        /// This partition.
        THIS_PARTITION = 1 => "this-partition",
    }
}

/// The EPOW section.
///
/// Ref: LoPAR 10.3.2.2.8 (Table 159)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epow {
    /// The sensor's value; the action is in its low four bits.
    pub sensor: u8,
    /// Why.
    pub modifier: EpowModifier,
    /// Whom it concerns, which sections have from version 2 on.
    pub scope: Option<EpowScope>,
    /// The platform's own code.
    pub reason: u64,
}

impl Epow {
    pub(super) fn read(reader: &mut Reader<'_>, version: u8) -> Result<Self, Short> {
        let sensor = reader.u8("sensor value")?;
        // Only the low four bits are the modifier, as with the sensor's value.
        let modifier = EpowModifier(reader.u8("event modifier")? & 0xf);
        let scope = EpowScope(reader.u8("extended modifier")?);
        reader.take(1, "reserved byte")?;
        let reason = reader.u64("reason code")?;
        Ok(Self { sensor, modifier, scope: (version >= 2).then_some(scope), reason })
    }

    /// What is to be done.
    pub const fn action(&self) -> EpowAction {
        EpowAction(self.sensor & 0xf)
    }
}
