//! Event logs: what check-exception hands out, section by section.
//!
//! A log is a summary word, a length, and, from version 6 on, a header and sections that each say their own length.
//! None of these lengths is believed: [`EventLog::parse`] fails only where there is not even a summary, and
//! [`EventLog::sections`] hands out every section that is whole, then says what is wrong with the rest and where. So
//! whoever reads a damaged log still has everything that came before the damage.
//!
//! Ref: LoPAR 10.3.2 (RTAS Error/Event Return Format), QEMU hw/ppc/spapr_events.c

mod epow;
mod head;
mod hotplug;
mod section;

pub use epow::{Epow, EpowAction, EpowModifier, EpowScope};
pub use head::{Disposition, Header, HeaderFlags, Initiator, LogFormat, LogSeverity, LogType, Summary};
pub use hotplug::{Action, Hotplug, Identifier, IdentifierKind, Resource};
pub use section::{Body, MainA, MainB, Section, SectionId, Stamp};

use crate::wire::{Reader, Short};
use bitflags::bitflags;
use core::fmt;

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

/// Bytes of the summary word and the extended length.
const SUMMARY_LEN: usize = 8;
/// The only version whose sections this guest can read.
const VERSION: u8 = 6;

/// What is wrong with a log, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventError {
    /// The item, in the words of the format.
    pub what: &'static str,
    /// Its offset from the start of the log, in bytes.
    pub at: usize,
    /// What is wrong with it.
    pub fault: EventFault,
}

/// What can be wrong with an item of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFault {
    /// It goes beyond the end of what holds it.
    Short {
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// It has a value with which the rest makes no sense.
    Value(u32),
}

impl EventError {
    /// An item that reads too far, in bytes that start at `base` in the log.
    fn short(base: usize, reader: &Reader<'_>, short: Short) -> Self {
        let Short { what, needed, left } = short;
        Self { what, at: base + reader.position(), fault: EventFault::Short { needed, left } }
    }

    const fn value(what: &'static str, at: usize, value: u32) -> Self {
        Self { what, at, fault: EventFault::Value(value) }
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, at, .. } = self;
        match self.fault {
            EventFault::Short { needed, left } => {
                write!(f, "{what} at byte {at} needs {needed} bytes, {left} are left")
            }
            EventFault::Value(value) => write!(f, "{what} at byte {at} is {value:#x}"),
        }
    }
}

/// How long the log is that starts here, in bytes, by its own word. It may be longer than what is there.
///
/// Ref: LoPAR 10.3.2 (Table 147)
///
/// # Errors
/// When there is not even a summary.
pub fn total_len(bytes: &[u8]) -> Result<usize, EventError> {
    let (summary, extended_length) = summary(bytes)?;
    Ok(length(summary, extended_length))
}

fn summary(bytes: &[u8]) -> Result<(Summary, u32), EventError> {
    let mut reader = Reader::new(bytes);
    let mut cell = |what| reader.u32(what).map_err(|short| EventError::short(0, &reader, short));
    Ok((Summary(cell("summary")?), cell("extended length")?))
}

fn length(summary: Summary, extended_length: u32) -> usize {
    let extended = if summary.is_extended() { extended_length } else { 0 };
    usize::try_from(extended).unwrap_or(usize::MAX).saturating_add(SUMMARY_LEN)
}

/// An event log, as far as it could be read.
#[derive(Clone, Copy, Debug)]
pub struct EventLog<'a> {
    /// The first word.
    pub summary: Summary,
    /// Bytes that follow the summary and this number, by the log's own word.
    pub extended_length: u32,
    /// The version 6 header, where there is one and it could be read.
    pub header: Option<Header>,
    /// The log's bytes, as many as there are.
    bytes: &'a [u8],
    /// Why there is no header.
    problem: Option<EventError>,
}

impl<'a> EventLog<'a> {
    /// Reads the log at the start of `bytes`, which may go on after it.
    ///
    /// # Errors
    /// When there is not even a summary. What else is wrong is told by [`EventLog::sections`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EventError> {
        let (summary, extended_length) = summary(bytes)?;
        let bytes = bytes.get(..length(summary, extended_length)).unwrap_or(bytes);
        let mut log = Self { summary, extended_length, header: None, bytes, problem: None };
        if summary.is_extended() {
            match log.read_header() {
                Ok(header) => log.header = Some(header),
                Err(problem) => log.problem = Some(problem),
            }
        }
        Ok(log)
    }

    fn read_header(&self) -> Result<Header, EventError> {
        if self.summary.version() != VERSION {
            return Err(EventError::value("version", 0, u32::from(self.summary.version())));
        }
        Header::parse(self.bytes.get(SUMMARY_LEN..).unwrap_or_default(), SUMMARY_LEN)
    }

    /// The log's bytes: as many as it says, or as there are.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How long the log is, by its own word.
    pub fn len(&self) -> usize {
        length(self.summary, self.extended_length)
    }

    /// Never: a log has at least its summary.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The sections in their order. What is wrong comes as the last item.
    pub fn sections(&self) -> Sections<'a> {
        let (at, problem) = match self.header {
            Some(_) => (SUMMARY_LEN + head::HEADER_LEN, None),
            None => (self.bytes.len(), self.problem),
        };
        let missing = if self.header.is_some() { self.len() - self.bytes.len() } else { 0 };
        Sections { bytes: self.bytes, at, missing, problem }
    }

    /// The first thing that is wrong with the log or with a section that this guest understands. A log that ends
    /// early between two sections is only noticed by the count that Main-A keeps.
    pub fn problem(&self) -> Option<EventError> {
        self.sections()
            .find_map(|section| match section {
                Ok(section) => section.body().err(),
                Err(problem) => Some(problem),
            })
            .or_else(|| self.miscount())
    }

    fn miscount(&self) -> Option<EventError> {
        const COUNT_AT: usize = 27;
        let counted = self.sections().count();
        let (at, said) = self.sections().find_map(|section| {
            let section = section.ok()?;
            let Ok(Body::MainA(main_a)) = section.body() else { return None };
            Some((section.at, main_a.sections))
        })?;
        (usize::from(said) != counted)
            .then(|| EventError::value("section count", at + COUNT_AT, u32::from(said)))
    }

    fn bodies(&self) -> impl Iterator<Item = Body<'a>> {
        self.sections().filter_map(|section| section.ok()?.body().ok())
    }

    /// The first hotplug section that could be read.
    pub fn hotplug(&self) -> Option<Hotplug<'a>> {
        self.bodies().find_map(|body| if let Body::Hotplug(hotplug) = body { Some(hotplug) } else { None })
    }

    /// The first environmental or power warning that could be read.
    pub fn epow(&self) -> Option<Epow> {
        self.bodies().find_map(|body| if let Body::Epow(epow) = body { Some(epow) } else { None })
    }
}

/// The sections of a log, one after the other.
#[derive(Clone, Debug)]
pub struct Sections<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bytes that the log should have had after these.
    missing: usize,
    /// What is still to be said.
    problem: Option<EventError>,
}

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, EventError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            if self.missing > 0 {
                let fault = EventFault::Short { needed: self.missing, left: 0 };
                self.problem = Some(EventError { what: "log", at: self.at, fault });
                self.missing = 0;
            }
            return self.problem.take().map(Err);
        }
        let section = Section::parse(rest, self.at);
        match &section {
            Ok(section) => self.at += section.len(),
            // Nothing after a section without a sound length can be found.
            Err(_) => (self.at, self.missing) = (self.bytes.len(), 0),
        }
        Some(section)
    }
}

#[cfg(test)]
mod tests;
