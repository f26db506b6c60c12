//! The head of an event log: the summary word and the version 6 header.

use super::EventError;
use crate::open_enum;
use crate::wire::Reader;
use bitflags::bitflags;

/// Bytes of the version 6 header.
pub(super) const HEADER_LEN: usize = 16;
/// The company whose section formats are known.
const IBM: [u8; 4] = *b"IBM\0";

/// The first word of a log, which every version has.
///
/// Ref: LoPAR 10.3.2 (Table 147)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary(pub u32);

impl Summary {
    const fn bits(self, shift: u32, mask: u8) -> u8 {
        (self.0 >> shift) as u8 & mask
    }

    /// The version of the log's format.
    pub const fn version(self) -> u8 {
        self.bits(24, 0xff)
    }

    /// How bad it is.
    pub const fn severity(self) -> LogSeverity {
        LogSeverity(self.bits(21, 0b111))
    }

    /// What has been done about it.
    pub const fn disposition(self) -> Disposition {
        Disposition(self.bits(19, 0b11))
    }

    /// Whether more than the summary follows.
    pub const fn is_extended(self) -> bool {
        self.bits(18, 1) == 1
    }

    /// Who started it.
    pub const fn initiator(self) -> Initiator {
        Initiator(self.bits(12, 0xf))
    }

    /// What it was aimed at; the same values as the initiator.
    pub const fn target(self) -> Initiator {
        Initiator(self.bits(8, 0xf))
    }

    /// What kind of event it is.
    pub const fn log_type(self) -> LogType {
        LogType(self.bits(0, 0xff))
    }
}

open_enum! {
    /// How bad an event is.
    ///
    /// Ref: LoPAR 10.3.2 (Table 147)
    pub LogSeverity: u8 {
        /// Nothing is wrong.
        NO_ERROR = 0 => "no-error",
        /// Something happened.
        EVENT = 1 => "event",
        /// Something may go wrong.
        WARNING = 2 => "warning",
        /// An error that is tied to an instruction.
        ERROR_SYNC = 3 => "error-sync",
        /// An error.
        ERROR = 4 => "error",
        /// The end.
        FATAL = 5 => "fatal",
        /// It has been reported before.
        ALREADY_REPORTED = 6 => "already-reported",
    }
}

open_enum! {
    /// What the platform has done about an event.
    ///
    /// Ref: LoPAR 10.3.2 (Table 147)
    pub Disposition: u8 {
        /// All is well again.
        FULLY_RECOVERED = 0 => "fully-recovered",
        /// It works, but not as before.
        LIMITED_RECOVERY = 1 => "limited-recovery",
        /// Nothing, or nothing that helped.
        NOT_RECOVERED = 2 => "not-recovered",
    }
}

open_enum! {
    /// Who started an event, or what it was aimed at.
    ///
    /// Ref: LoPAR 10.3.2 (Table 147), QEMU hw/ppc/spapr_events.c (RTAS_LOG_INITIATOR)
    pub Initiator: u8 {
        /// Nobody knows.
        UNKNOWN = 0 => "unknown",
        /// A processor.
        CPU = 1 => "cpu",
        /// A PCI device or bus.
        PCI = 2 => "pci",
        /// An ISA device or bus.
        ISA = 3 => "isa",
        /// Memory.
        MEMORY = 4 => "memory",
        /// Power management.
        POWER_MANAGEMENT = 5 => "power-management",
        /// Hotplug.
        HOT_PLUG = 6 => "hot-plug",
    }
}

open_enum! {
    /// What kind of event a log tells of. There are more; these are the ones with sections that matter here.
    ///
    /// Ref: LoPAR 10.3.2 (Table 147)
    pub LogType: u8 {
        /// Environmental and power warning.
        EPOW = 0x40 => "epow",
        /// Resource reassignment notification.
        PRRN = 0xa0 => "prrn",
        /// Platform error.
        PLATFORM = 0xe0 => "platform",
        /// I/O event.
        IO = 0xe1 => "io",
        /// Platform information.
        INFO = 0xe2 => "info",
        /// Resource deallocation.
        DEALLOCATION = 0xe3 => "deallocation",
        /// Dump notification.
        DUMP = 0xe4 => "dump",
        /// Hotplug.
        HOT_PLUG = 0xe5 => "hotplug",
    }
}

bitflags! {
    /// The first byte of the version 6 header.
    ///
    /// Ref: LoPAR 10.3.2.1 (Table 149)
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct HeaderFlags: u8 {
        /// The log says something.
        const VALID = 0x80;
        /// An error that could not be corrected.
        const UNRECOVERABLE = 0x40;
        /// An error that was corrected, or can be.
        const RECOVERABLE = 0x20;
        /// The machine runs degraded.
        const DEGRADED = 0x10;
        /// Something may fail soon.
        const PREDICTIVE = 0x08;
        /// The log has not been seen before.
        const NEW = 0x04;
        /// The log is big-endian.
        const BIG_ENDIAN = 0x02;
    }
}

open_enum! {
    /// How what follows the header is laid out.
    ///
    /// Ref: LoPAR 10.3.2.1 (Table 149)
    pub LogFormat: u8 {
        /// Platform event log: sections.
        PLATFORM_EVENT = 0xe => "platform-event",
    }
}

/// The version 6 header.
///
/// Ref: LoPAR 10.3.2.1 (Table 149)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Byte 0.
    pub flags: HeaderFlags,
    /// Byte 2, the low four bits.
    pub format: LogFormat,
}

impl Header {
    /// Reads a header that sections follow; `base` is where it stands in the log.
    ///
    /// # Errors
    /// When it is short, not valid, or announces something other than sections that this guest can walk.
    pub(super) fn parse(bytes: &[u8], base: usize) -> Result<Self, EventError> {
        const FORMAT_AT: usize = 2;
        const COMPANY_AT: usize = 12;
        let mut reader = Reader::new(bytes);
        let header = reader.take(HEADER_LEN, "version 6 header");
        let header = header.map_err(|short| EventError::short(base, &reader, short))?;
        let flags = HeaderFlags::from_bits_retain(header[0]);
        if !flags.contains(HeaderFlags::VALID | HeaderFlags::BIG_ENDIAN) {
            return Err(EventError::value("version 6 flags", base, u32::from(header[0])));
        }
        let format = LogFormat(header[FORMAT_AT] & 0xf);
        if format != LogFormat::PLATFORM_EVENT {
            return Err(EventError::value("log format", base + FORMAT_AT, u32::from(format.0)));
        }
        let mut company = [0; 4];
        company.copy_from_slice(&header[COMPANY_AT..]);
        if company != IBM {
            return Err(EventError::value("company", base + COMPANY_AT, u32::from_be_bytes(company)));
        }
        Ok(Self { flags, format })
    }
}
