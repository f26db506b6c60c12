//! What a call says about itself: RTAS statuses and hypervisor return codes.

use crate::open_enum;
use crate::open_field;

open_enum! {
    /// The first return cell of an RTAS call, as signed 32 bits. The meaning of the -900x values depends on the call.
    ///
    /// Ref: LoPAR 7.2.8 (Table 11)
    pub Status: i32 {
        /// The call did what it says.
        SUCCESS = 0 => "success",
        /// No event was found (check-exception, event-scan); other calls use it for their own next step.
        NONE_FOUND = 1 => "none-found",
        /// Hardware error, or the machine refuses.
        HARDWARE = -1 => "hardware-error",
        /// Busy: call again.
        BUSY = -2 => "busy",
        /// Parameter error; QEMU shares it with "not supported" and "no such indicator".
        PARAMETER = -3 => "parameter-error",
        /// Multi-level isolation error.
        ISOLATION = -9000 => "isolation-error",
        /// Valid outstanding translations exist.
        TRANSLATIONS = -9001 => "outstanding-translations",
        /// Not authorized.
        NOT_AUTHORIZED = -9002 => "not-authorized",
        /// The connector cannot be configured in its state.
        NOT_CONFIGURABLE = -9003 => "not-configurable",
        /// Other threads of the partition are running.
        MULTI_THREADS = -9005 => "multi-threads-active",
    }
}
open_field!(Status);

/// First of the extended delay statuses: 9900 + n means "call again after 10ⁿ milliseconds", n from 0 to 5.
const EXTENDED_DELAY: i32 = 9900;

impl Status {
    /// How long to wait before the call is repeated, in milliseconds, if the status asks for that.
    ///
    /// Ref: LoPAR 7.2.8 (Table 11)
    pub fn retry_after_ms(self) -> Option<u32> {
        match self.0 {
            -2 => Some(1),
            delay @ EXTENDED_DELAY..=9905 => Some(10_u32.pow(delay.abs_diff(EXTENDED_DELAY))),
            _ => None,
        }
    }
}

open_enum! {
    /// What a hypervisor call returns in r3, as signed 64 bits.
    ///
    /// Ref: LoPAR 14.5.1 (Table 170)
    pub ReturnCode: i64 {
        /// Done.
        SUCCESS = 0 => "H_SUCCESS",
        /// Busy: call again.
        BUSY = 1 => "H_BUSY",
        /// Hardware error.
        HARDWARE = -1 => "H_HARDWARE",
        /// No such function.
        FUNCTION = -2 => "H_FUNCTION",
        /// Not from problem state.
        PRIVILEGE = -3 => "H_PRIVILEGE",
        /// Parameter error.
        PARAMETER = -4 => "H_PARAMETER",
        /// Not in this mode.
        BAD_MODE = -5 => "H_BAD_MODE",
        /// Not found.
        NOT_FOUND = -7 => "H_NOT_FOUND",
        /// The resource is in use or missing.
        RESOURCE = -16 => "H_RESOURCE",
        /// The second parameter is wrong.
        P2 = -55 => "H_P2",
        /// The third parameter is wrong.
        P3 = -56 => "H_P3",
        /// The fourth parameter is wrong.
        P4 = -57 => "H_P4",
        /// The fifth parameter is wrong.
        P5 = -58 => "H_P5",
        /// The platform does not do that.
        UNSUPPORTED = -67 => "H_UNSUPPORTED",
        /// It would lie over something else.
        OVERLAP = -68 => "H_OVERLAP",
        /// Other threads of the partition are running.
        MULTI_THREADS_ACTIVE = -9005 => "H_MULTI_THREADS_ACTIVE",
    }
}
open_field!(ReturnCode);

impl ReturnCode {
    /// How long to wait before the call is repeated, in milliseconds, if the code asks for that.
    ///
    /// Ref: LoPAR 14.5.1 (Table 170)
    pub fn retry_after_ms(self) -> Option<u32> {
        match self {
            Self::BUSY => Some(1),
            Self(code) => Status(i32::try_from(code).ok()?).retry_after_ms().filter(|_| code > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ReturnCode, Status};

    #[test]
    fn a_hypervisor_call_is_busy_in_its_own_way() {
        let delay = |code| ReturnCode(code).retry_after_ms();
        assert_eq!(delay(1), Some(1));
        assert_eq!(delay(9901), Some(10));
        assert_eq!(delay(9905), Some(100_000));
        // RTAS calls this busy; for a hypervisor call it means that there is no such function.
        for other in [-2, 0, 18, 9906, -9901, i64::MIN, i64::MAX, 9901 | 1 << 40] {
            assert_eq!(delay(other), None, "{other}");
        }
    }

    #[test]
    fn an_unknown_value_is_kept() {
        assert_eq!(Status(-3).to_string(), "parameter-error");
        assert_eq!(Status(-4711).to_string(), "-4711");
        assert_eq!(format!("{:?}", Status::BUSY), "Status(busy)");
        assert_eq!(Status::from_name("busy"), Some(Status(-2)));
    }

    #[test]
    fn delays_are_powers_of_ten() {
        let delay = |status| Status(status).retry_after_ms();
        assert_eq!(delay(-2), Some(1));
        assert_eq!(delay(9900), Some(1));
        assert_eq!(delay(9903), Some(1000));
        assert_eq!(delay(9905), Some(100_000));
        for other in [0, 1, -1, 9906, 9899, i32::MIN, i32::MAX] {
            assert_eq!(delay(other), None, "{other}");
        }
    }
}
