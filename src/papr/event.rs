//! Event logs.

use bitflags::bitflags;

/// The longest event log that this guest takes, in bytes.
///
/// Ref: LoPAR 10.3.1
pub const LOG_MAX: usize = 2048;

bitflags! {
    /// Classes of events, as check-exception and event-scan take them.
    ///
    /// Ref: LoPAR 10.2.1 (Table 140)
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct EventMask: u32 {
        /// Internal errors.
        const INTERNAL_ERRORS = 0x8000_0000;
        /// Environmental and power warnings.
        const EPOW = 0x4000_0000;
        /// Hotplug events.
        const HOT_PLUG = 0x1000_0000;
        /// I/O events.
        const IO = 0x0800_0000;
    }
}
