//! Sections: their common header, and the two that every platform event log starts with.

use super::{Epow, EventError, Hotplug};
use crate::wire::{Reader, Short};
use core::fmt;

/// Bytes of a section's header, which its length counts.
const SECTION_HEADER: usize = 8;

/// What a section is: two letters.
///
/// Ref: LoPAR 10.3.2.2 (Table 150)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionId(pub u16);

impl SectionId {
    /// Main-A, the private header.
    pub const MAIN_A: Self = Self(u16::from_be_bytes(*b"PH"));
    /// Main-B, the user header.
    pub const MAIN_B: Self = Self(u16::from_be_bytes(*b"UH"));
    /// Environmental and power warning.
    pub const EPOW: Self = Self(u16::from_be_bytes(*b"EP"));
    /// Hotplug.
    pub const HOT_PLUG: Self = Self(u16::from_be_bytes(*b"HP"));
}

impl fmt::Display for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = self.0.to_be_bytes();
        match core::str::from_utf8(&letters) {
            Ok(text) if letters.iter().all(u8::is_ascii_alphanumeric) => f.pad(text),
            _ => write!(f, "{:#06x}", self.0),
        }
    }
}

/// One section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Where it starts in the log, in bytes.
    pub at: usize,
    /// What it is.
    pub id: SectionId,
    /// Bytes of it, with this header.
    pub length: u16,
    /// The version of its format.
    pub version: u8,
    /// Its subtype.
    pub subtype: u8,
    /// The component that made it.
    pub component: u16,
    /// What follows the header.
    pub bytes: &'a [u8],
}

/// What a section says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// When, and by whom.
    MainA(MainA),
    /// About what.
    MainB(MainB),
    /// Environmental and power warning.
    Epow(Epow),
    /// Hotplug.
    Hotplug(Hotplug<'a>),
    /// A section that this guest has no use for.
    Other,
}

impl<'a> Section<'a> {
    /// Reads the section at the start of `bytes`, which stand at `at` in the log.
    ///
    /// # Errors
    /// When the header is short, or its length is less than itself or more than there is.
    pub(super) fn parse(bytes: &'a [u8], at: usize) -> Result<Self, EventError> {
        const LENGTH_AT: usize = 2;
        let mut reader = Reader::new(bytes);
        let mut section =
            Self::header(&mut reader, at).map_err(|short| EventError::short(at, &reader, short))?;
        let rest = section
            .len()
            .checked_sub(SECTION_HEADER)
            .ok_or_else(|| EventError::value("section length", at + LENGTH_AT, u32::from(section.length)))?;
        section.bytes =
            reader.take(rest, "section").map_err(|short| EventError::short(at, &reader, short))?;
        Ok(section)
    }

    fn header(reader: &mut Reader<'a>, at: usize) -> Result<Self, Short> {
        Ok(Self {
            at,
            id: SectionId(reader.u16("section id")?),
            length: reader.u16("section length")?,
            version: reader.u8("section version")?,
            subtype: reader.u8("section subtype")?,
            component: reader.u16("section component")?,
            bytes: &[],
        })
    }

    /// Bytes of the section, with its header.
    pub(super) fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Reads what the section says.
    ///
    /// # Errors
    /// When the section is shorter than what it must hold.
    pub fn body(&self) -> Result<Body<'a>, EventError> {
        let mut reader = Reader::new(self.bytes);
        let body = match self.id {
            SectionId::MAIN_A => MainA::read(&mut reader).map(Body::MainA),
            SectionId::MAIN_B => MainB::read(&mut reader).map(Body::MainB),
            SectionId::EPOW => Epow::read(&mut reader, self.version).map(Body::Epow),
            SectionId::HOT_PLUG => Hotplug::read(&mut reader).map(Body::Hotplug),
            _ => Ok(Body::Other),
        };
        body.map_err(|short| EventError::short(self.at + SECTION_HEADER, &reader, short))
    }
}

/// A moment in binary-coded decimals, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// `0xYYYYMMDD`.
    pub date: u32,
    /// `0xHHMMSS00`.
    pub time: u32,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [century, year, month, day] = self.date.to_be_bytes();
        let [hour, minute, second, hundredths] = self.time.to_be_bytes();
        write!(f, "{century:02x}{year:02x}-{month:02x}-{day:02x}T{hour:02x}:{minute:02x}:{second:02x}")?;
        if hundredths == 0 { Ok(()) } else { write!(f, ".{hundredths:02x}") }
    }
}

/// Main-A, the private header: who made the log, and when.
///
/// Ref: LoPAR 10.3.2.2.1 (Table 151)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MainA {
    /// When the log was made.
    pub created: Stamp,
    /// Who made it: `H` is the hypervisor.
    pub creator: u8,
    /// How many sections the log has.
    pub sections: u8,
    /// Platform log identifier. QEMU counts from 0 and stores it in its host's byte order.
    pub plid: u32,
}

impl MainA {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Short> {
        let created = Stamp { date: reader.u32("creation date")?, time: reader.u32("creation time")? };
        reader.take(8, "platform data")?;
        let creator = reader.u8("creator")?;
        reader.take(2, "reserved bytes")?;
        let sections = reader.u8("section count")?;
        reader.take(12, "platform data")?;
        let plid = reader.u32("platform log identifier")?;
        Ok(Self { created, creator, sections, plid })
    }
}

/// Main-B, the user header: what the log is about.
///
/// Ref: LoPAR 10.3.2.2.2 (Table 152)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MainB {
    /// The subsystem: 0x80 platform, 0xa0 environment.
    pub subsystem: u8,
    /// How bad: 0 for a mere event.
    pub severity: u8,
    /// What kind within the subsystem: 0xd0 is a normal shutdown.
    pub subtype: u8,
    /// What is to be done.
    pub action_flags: u16,
}

impl MainB {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Short> {
        let subsystem = reader.u8("subsystem")?;
        reader.take(1, "platform data")?;
        let severity = reader.u8("event severity")?;
        let subtype = reader.u8("event subtype")?;
        reader.take(6, "platform data")?;
        let action_flags = reader.u16("action flags")?;
        Ok(Self { subsystem, severity, subtype, action_flags })
    }
}
