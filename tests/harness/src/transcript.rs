//! The second witness: what the guest said, line by line, and whether all of it arrived.
//!
//! Lines are kept as text; a record is a view of its line. So nothing is ever lost in translation, and a line that cannot
//! be read stands beside those that can.

use paprika::log::{Damage, Entry, Record, parse, parse_again};
use std::fmt;
use std::time::Duration;

/// What a line turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A record of the guest's log.
    Record,
    /// The firmware's text, or anybody else's.
    Other,
    /// It starts as a record, but cannot be trusted.
    Damaged(Damage),
}

/// One line of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it arrived, since the machine was started.
    pub at: Duration,
    /// In which boot: 0 before the first record, then counted from 1.
    pub boot: u32,
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: String,
}

impl Line {
    /// The record that it holds.
    pub fn entry(&self) -> Option<Entry<'_>> {
        // Damage was found when the line came; a record is asked for by every check.
        if self.kind == Kind::Record { parse_again(&self.text) } else { None }
    }
}

/// A place where lines are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The boot in which it happened.
    pub boot: u32,
    /// The sequence number that should have come.
    pub expected: u32,
    /// The one that came.
    pub found: u32,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot {}: line {} came where {} was due", self.boot, self.found, self.expected)
    }
}

/// A place in the transcript: what is searched from there on was said later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

/// Everything that was said on the console.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    lines: Vec<Line>,
    gaps: Vec<Gap>,
    boots: u32,
    next_seq: u32,
    foreign: Option<String>,
}

/// This tool's version, which is the payload's where both were built from the same sources.
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Transcript {
    /// Takes the next line of the console.
    pub fn push(&mut self, at: Duration, text: String) -> &Line {
        let kind = match parse(&text) {
            None => Kind::Other,
            Some(Err(damage)) => {
                // A first record that is whole, but of no kind that we know.
                if damage == Damage::Record && self.boots == 0 {
                    self.foreign = Some(foreign("speaks otherwise"));
                }
                Kind::Damaged(damage)
            }
            Some(Ok(entry)) => {
                let (seq, version) = match &entry.record {
                    Record::Boot { version, .. } => (entry.seq, Some(version.to_string())),
                    _ => (entry.seq, None),
                };
                self.count(seq, version.is_some());
                if let Some(version) = version.filter(|version| version != VERSION) {
                    self.foreign = Some(foreign(&format!("is {version}")));
                }
                Kind::Record
            }
        };
        self.lines.push(Line { at, boot: self.boots, kind, text });
        &self.lines[self.lines.len() - 1]
    }

    /// A boot starts with the record that says so; its lines count from 0.
    fn count(&mut self, seq: u32, is_boot: bool) {
        if is_boot || self.boots == 0 {
            self.boots += 1;
            self.next_seq = 0;
        }
        if seq != self.next_seq {
            self.gaps.push(Gap { boot: self.boots, expected: self.next_seq, found: seq });
        }
        self.next_seq = seq.wrapping_add(1);
    }

    /// All lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The end of what was said so far.
    pub fn mark(&self) -> Mark {
        Mark(self.lines.len())
    }

    /// The lines from a place on.
    pub fn since(&self, mark: Mark) -> &[Line] {
        self.lines.get(mark.0..).unwrap_or_default()
    }

    /// The records, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries_since(Mark::default())
    }

    /// The records from a place on, in order.
    pub fn entries_since(&self, mark: Mark) -> impl Iterator<Item = Entry<'_>> {
        self.since(mark).iter().filter_map(Line::entry)
    }

    /// The records from a place on, in order, each with the place behind it.
    pub fn places_since(&self, mark: Mark) -> impl Iterator<Item = (Mark, Entry<'_>)> {
        let lines = (mark.0 + 1..).zip(self.since(mark));
        lines.filter_map(|(behind, line)| Some((Mark(behind), line.entry()?)))
    }

    /// Where the last boot begins.
    pub fn last_boot(&self) -> Mark {
        Mark(self.lines.iter().rposition(|line| line.boot != self.boots).map_or(0, |before| before + 1))
    }

    /// Where the boot begins to which what was said just before a place belongs.
    pub fn boot_before(&self, mark: Mark) -> Mark {
        let said = self.lines.get(..mark.0).unwrap_or(&self.lines);
        let boot = said.last().map(|line| line.boot);
        Mark(said.iter().rposition(|line| Some(line.boot) != boot).map_or(0, |before| before + 1))
    }

    /// The records from a place on, in order, up to another.
    pub fn entries_between(&self, from: Mark, until: Option<Mark>) -> impl Iterator<Item = Entry<'_>> {
        let end = until.map_or(self.lines.len(), |until| until.0.min(self.lines.len()));
        self.lines.get(from.0..end).unwrap_or_default().iter().filter_map(Line::entry)
    }

    /// Whether a record that `wanted` accepts was said from a place on.
    pub fn says(&self, mark: Mark, wanted: impl Fn(&Record<'_>) -> bool) -> bool {
        self.entries_since(mark).any(|entry| wanted(&entry.record))
    }

    /// Where lines are missing.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The lines that start as records and cannot be trusted.
    pub fn damaged(&self) -> impl Iterator<Item = (&Line, Damage)> {
        self.lines.iter().filter_map(|line| match line.kind {
            Kind::Damaged(damage) => Some((line, damage)),
            Kind::Record | Kind::Other => None,
        })
    }

    /// What is wrong with a payload that is not of this tool's version, and what to do.
    pub fn foreign(&self) -> Option<&str> {
        self.foreign.as_deref()
    }

    /// How often the guest has booted.
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// The last lines, for those who ask what happened.
    pub fn tail(&self, count: usize) -> &[Line] {
        &self.lines[self.lines.len().saturating_sub(count)..]
    }
}

fn foreign(how: &str) -> String {
    format!("the payload {how}, this tool is {VERSION}: build both anew (`make payload`)")
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Transcript;
    use paprika::log::{Entry, Hex, Record};
    use std::time::Duration;

    /// The first record of a boot.
    pub(crate) fn boot() -> Record<'static> {
        Record::Boot {
            version: env!("CARGO_PKG_VERSION").into(),
            firmware: "vof".into(),
            pvr: Hex(0x4e_0200),
            msr: Hex(0),
            base: Hex(0x40_0000),
            tick_rate: 512_000_000,
            initrd: Hex(0),
            initrd_size: 0,
        }
    }

    /// A line as the guest writes it.
    pub(crate) fn line(seq: u32, record: Record<'_>) -> String {
        Entry { seq, ticks: 1000 + u64::from(seq) * 512, station: "idle", record }.line()
    }

    /// The transcript of a boot that says these records after its first.
    pub(crate) fn saying(records: impl IntoIterator<Item = Record<'static>>) -> Transcript {
        let mut transcript = Transcript::default();
        for (seq, record) in (0..).zip(std::iter::once(boot()).chain(records)) {
            transcript.push(Duration::from_millis(seq.into()), line(seq, record));
        }
        transcript
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{boot, line};
    use super::{Gap, Kind, Record, Transcript};
    use paprika::log::Damage;
    use std::time::Duration;

    fn note() -> Record<'static> {
        Record::Note { text: "x".into() }
    }

    fn of(lines: &[String]) -> Transcript {
        let mut transcript = Transcript::default();
        for text in lines {
            transcript.push(Duration::ZERO, text.clone());
        }
        transcript
    }

    #[test]
    fn records_are_found_among_the_firmwares_words() {
        let transcript = of(&["SLOF".into(), line(0, boot()), "Booting".into(), line(1, note())]);
        let kinds: Vec<Kind> = transcript.lines().iter().map(|line| line.kind).collect();
        assert_eq!(kinds, [Kind::Other, Kind::Record, Kind::Other, Kind::Record]);
        let boots: Vec<u32> = transcript.lines().iter().map(|line| line.boot).collect();
        assert_eq!(boots, [0, 1, 1, 1]);
        assert_eq!(transcript.gaps(), []);
        assert_eq!(transcript.entries().count(), 2);
    }

    #[test]
    fn a_lost_line_leaves_a_gap() {
        let transcript = of(&[line(0, boot()), line(1, note()), line(3, note())]);
        assert_eq!(transcript.gaps(), [Gap { boot: 1, expected: 2, found: 3 }]);
    }

    #[test]
    fn a_lost_beginning_is_a_gap_too() {
        assert_eq!(of(&[line(2, note())]).gaps(), [Gap { boot: 1, expected: 0, found: 2 }]);
    }

    #[test]
    fn a_damaged_line_is_kept_and_told() {
        let broken = line(1, note()).replace("text=x", "text=y");
        let transcript = of(&[line(0, boot()), broken, line(2, note())]);
        let damaged: Vec<Damage> = transcript.damaged().map(|(_, damage)| damage).collect();
        assert!(matches!(damaged[..], [Damage::Sum { .. }]), "{damaged:?}");
        assert_eq!(transcript.gaps().len(), 1);
    }

    /// Whether anything is wrong with these lines.
    fn is_noticed(lines: &[String]) -> bool {
        let transcript = of(lines);
        !transcript.gaps().is_empty() || transcript.damaged().next().is_some()
    }

    #[test]
    fn no_line_can_be_lost_doubled_or_exchanged_unnoticed() {
        let whole: Vec<String> =
            (0..8).map(|seq| line(seq, if seq == 0 { boot() } else { note() })).collect();
        assert!(!is_noticed(&whole));
        // Only what follows tells of a lost line; the last one is missed because it says that it is the last.
        for at in 0..whole.len() - 1 {
            let without: Vec<String> = [&whole[..at], &whole[at + 1..]].concat();
            assert!(is_noticed(&without), "lost {at}");
            let mut exchanged = whole.clone();
            exchanged.swap(at, at + 1);
            assert!(is_noticed(&exchanged), "exchanged {at}");
        }
        for at in 1..whole.len() {
            let doubled = [&whole[..=at], &whole[at..]].concat();
            assert!(is_noticed(&doubled), "doubled {at}");
        }
    }

    #[test]
    fn no_byte_of_a_line_can_be_lost_or_changed_unnoticed() {
        let (first, changed, last) = (line(0, boot()), line(1, note()), line(2, note()));
        for at in 0..changed.len() {
            let with = |piece: &str| {
                let middle = format!("{}{piece}{}", &changed[..at], &changed[at + 1..]);
                is_noticed(&[first.clone(), middle, last.clone()])
            };
            assert!(with("") && with("~") && with("\u{fffd}"), "byte {at} of {changed}");
            let run_together = format!("{}{last}", &changed[..at]);
            assert!(is_noticed(&[first.clone(), run_together]), "cut at {at}");
        }
    }

    #[test]
    fn a_payload_of_another_version_is_noticed_at_its_first_line() {
        let own = line(0, boot());
        assert_eq!(of(std::slice::from_ref(&own)).foreign(), None);
        let Record::Boot { firmware, pvr, msr, base, tick_rate, initrd, initrd_size, .. } = boot() else {
            panic!("{own}")
        };
        let version = "99.9.9".into();
        let other = Record::Boot { version, firmware, pvr, msr, base, tick_rate, initrd, initrd_size };
        let transcript = of(&[line(0, other), line(1, note())]);
        assert!(transcript.foreign().is_some_and(|problem| problem.contains("99.9.9")));
    }

    #[test]
    fn a_second_boot_is_no_gap() {
        let transcript = of(&[line(0, boot()), line(1, note()), line(0, boot()), line(1, note())]);
        assert_eq!((transcript.boots(), transcript.gaps().len()), (2, 0));
        assert_eq!(transcript.lines().last().map(|line| line.boot), Some(2));
    }

    #[test]
    fn numbers_that_start_again_without_a_boot_are_a_gap() {
        let transcript = of(&[line(0, boot()), line(1, note()), line(0, note())]);
        assert_eq!((transcript.boots(), transcript.gaps().len()), (1, 1));
    }

    #[test]
    fn a_search_from_a_mark_sees_only_what_came_later() {
        let mut transcript = of(&[line(0, boot()), line(1, note())]);
        let mark = transcript.mark();
        let is_note = |record: &Record<'_>| matches!(record, Record::Note { .. });
        assert!(!transcript.says(mark, is_note));
        transcript.push(Duration::ZERO, line(2, note()));
        assert!(transcript.says(mark, is_note));
        assert_eq!(transcript.tail(9).len(), 3);
    }
}
