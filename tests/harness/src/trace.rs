//! The third witness: the trace that QEMU writes about itself.
//!
//! Only builds with the `log` trace backend have one (Debian's do); where there is none, nothing is concluded from it.
//! Set-indicator events are traced at the request, before QEMU knows whether it will refuse it.

mod life;

pub use life::{Held, Life};

use paprika::papr::drc::DrcIndex;

/// One event of the trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceEvent<'a> {
    /// When, as QEMU wrote it: seconds with a fraction, or ISO 8601.
    pub time: &'a str,
    /// The event.
    pub name: &'a str,
    /// What it says, in words of its own.
    pub arguments: &'a str,
}

impl<'a> TraceEvent<'a> {
    /// Reads one line; `None` for a line that is no event (a log line of QEMU's, or a cut one).
    ///
    /// Up to QEMU 10 a line reads `pid@seconds.micros:event arguments`, later `ISO-8601-time event arguments`.
    pub fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim_end();
        let (time, rest) = match line.split_once('@') {
            Some((pid, rest)) if !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) => {
                rest.split_once(':')?
            }
            _ => line.split_once(' ')?,
        };
        let (name, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
        let is_name = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        (time.starts_with(|c: char| c.is_ascii_digit()) && is_name(name)).then_some(Self {
            time,
            name,
            arguments,
        })
    }

    /// The connector that it is about: `drc: 0x80000004` among its arguments.
    pub fn connector(&self) -> Option<DrcIndex> {
        let (_, rest) = self.arguments.split_once("drc: 0x")?;
        let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        u32::from_str_radix(&rest[..end], 16).ok().map(DrcIndex)
    }
}

/// Every event of a trace, in order.
pub fn events(log: &str) -> impl Iterator<Item = TraceEvent<'_>> {
    log.lines().filter_map(TraceEvent::parse)
}

#[cfg(test)]
mod tests {
    use super::{TraceEvent, events};
    use paprika::papr::drc::DrcIndex;

    #[test]
    fn both_forms_are_read() {
        let old =
            TraceEvent::parse("7349@1795493091.061932:spapr_drc_attach drc: 0x80000004").expect("an event");
        assert_eq!(
            (old.time, old.name, old.arguments),
            ("1795493091.061932", "spapr_drc_attach", "drc: 0x80000004")
        );
        assert_eq!(old.connector(), Some(DrcIndex(0x8000_0004)));
        let line = "2026-11-24T04:04:49.506701Z spapr_drc_set_isolation_state drc: 0x10000001, state: 0x1";
        let new = TraceEvent::parse(line).expect("an event");
        assert_eq!(
            (new.name, new.connector()),
            ("spapr_drc_set_isolation_state", Some(DrcIndex(0x1000_0001)))
        );
    }

    #[test]
    fn an_event_needs_no_arguments() {
        let event = TraceEvent::parse("1@2.3:spapr_cas_continue ").expect("an event");
        assert_eq!((event.name, event.arguments, event.connector()), ("spapr_cas_continue", "", None));
    }

    #[test]
    fn other_lines_are_left_out() {
        let log = "2026-11-24T04:04:49Z qemu-system-ppc64: warning: x\n\nOS terminated: y\n12@\n1@2.3:spapr_drc_reset drc: 0x1\n";
        assert_eq!(events(log).map(|event| event.name).collect::<Vec<_>>(), ["spapr_drc_reset"]);
    }

    #[test]
    fn a_cut_line_does_no_harm() {
        let line = "7349@1795493091.061932:spapr_drc_attach drc: 0x80000004";
        for end in 0..line.len() {
            let _ = TraceEvent::parse(&line[..end]).and_then(|event| event.connector());
        }
    }
}
