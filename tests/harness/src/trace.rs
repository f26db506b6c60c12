//! The third witness: the trace that QEMU writes about itself.
//!
//! Only builds with the `log` trace backend have one (Debian's do); where there is none, nothing is concluded from it.
//! Set-indicator events are traced at the request, before QEMU knows whether it will refuse it.

mod life;

pub use life::{Held, Life, lives};

use paprika::papr::drc::DrcIndex;
use std::time::Duration;

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

/// When that was, since 1970: the time of an event in either of its forms.
pub fn since_1970(time: &str) -> Option<Duration> {
    let time = time.trim_end_matches('Z');
    let (whole, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let seconds = match whole.split_once('T') {
        None => whole.parse().ok()?,
        Some((date, time)) => {
            let [year, month, day] = numbers(date, '-')?;
            let [hour, minute, second] = numbers(time, ':')?;
            days(year, month, day)?.checked_mul(86_400)?.checked_add(hour * 3600 + minute * 60 + second)?
        }
    };
    let digits =
        fraction.get(..fraction.len().min(9)).filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    let nanoseconds: u32 = format!("{digits:0<9}").parse().ok()?;
    Some(Duration::new(seconds, nanoseconds))
}

/// Three small numbers.
fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let mut parts = text.split(between).map(|part| part.parse().ok().filter(|number| *number < 10_000));
    let mut next = || parts.next().flatten();
    Some([next()?, next()?, next()?])
}

/// The days from 1970 to a date of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let to_year = 365 * year + year / 4 - year / 100 + year / 400;
    (to_year + (153 * month + 2) / 5 + day).checked_sub(719_469)
}

/// Whether a trace tells of connectors, and is whole: on a full disk its last line is cut.
pub fn is_telling(log: &str) -> bool {
    log.ends_with('\n') && events(log).any(|event| event.name.starts_with("spapr_drc_"))
}

/// Every event of a trace, in order.
pub fn events(log: &str) -> impl Iterator<Item = TraceEvent<'_>> {
    log.lines().filter_map(TraceEvent::parse)
}

#[cfg(test)]
mod tests {
    use super::{TraceEvent, events, is_telling, since_1970};
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
    fn both_clocks_tell_the_same_time() {
        let wanted = std::time::Duration::new(1_795_493_089, 506_701_000);
        assert_eq!(since_1970("1795493089.506701"), Some(wanted));
        assert_eq!(since_1970("2026-11-24T04:04:49.506701Z"), Some(wanted));
        assert_eq!(since_1970("1970-01-01T00:00:00Z"), Some(std::time::Duration::ZERO));
        assert_eq!(since_1970("2000-02-29T00:00:00.0Z").map(|time| time.as_secs()), Some(951_782_400));
        for odd in
            ["", "x", "1.x", "2026-11T1:2:3Z", "T", "1969-01-01T0:0:0Z", "1.é", "99999999999999999999.0"]
        {
            assert_eq!(since_1970(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_trace_without_connectors_or_without_its_end_tells_nothing() {
        assert!(is_telling("1@2.3:spapr_drc_reset drc: 0x1\n"));
        for log in ["", "x\n", "1@2.3:spapr_cas_continue \n", "1@2.3:spapr_drc_reset drc: 0x1\n1@2.3:spa"] {
            assert!(!is_telling(log), "{log}");
        }
    }

    #[test]
    fn a_cut_line_does_no_harm() {
        let line = "7349@1795493091.061932:spapr_drc_attach drc: 0x80000004";
        for end in 0..line.len() {
            let _ = TraceEvent::parse(&line[..end]).and_then(|event| event.connector());
        }
    }
}
