//! The frame of one log line: `P[seq ticks station] record *sum`.
//!
//! The `P[` tells our lines from the firmware's text on the same console. `seq` counts from 0 in each boot, so that a
//! lost line leaves a gap. `ticks` is the time base (512 ticks are a microsecond on QEMU; the `boot` record names the
//! frequency). `station` says where in its life the guest is. `sum` is a CRC-16 over everything before ` *`, so that
//! a damaged line is noticed.

use super::record::Record;
use alloc::string::String;
use core::fmt::{self, Write};

/// What every line of ours starts with.
pub const START: &str = "P[";

/// One line of the log, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Counts the lines of one boot from 0.
    pub seq: u32,
    /// The time base when the line was written, in ticks.
    pub ticks: u64,
    /// The last station that the guest came to; a word without spaces.
    pub station: &'a str,
    /// What the guest says.
    pub record: Record<'a>,
}

/// Why a line that starts as ours is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It has no ` *` and sum at its end: cut, or run together with another.
    Unfinished,
    /// The sum is not that of the text.
    Sum {
        /// As computed over the text.
        computed: u16,
        /// As the line says.
        stated: u16,
    },
    /// The frame before the record cannot be read.
    Frame,
    /// The frame is right, the record is none that this version knows: a guest of another version.
    Record,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Unfinished => f.write_str("the line does not end in its sum"),
            Damage::Sum { computed, stated } => {
                write!(f, "the sum is {computed:04x}, the line says {stated:04x}")
            }
            Damage::Frame => f.write_str("sequence number, time or station cannot be read"),
            Damage::Record => f.write_str("no record of this version: is the payload of another one?"),
        }
    }
}

/// CRC-16/CCITT-FALSE, one byte at a time.
fn crc(sum: u16, byte: u8) -> u16 {
    (0..8).fold(
        sum ^ (u16::from(byte) << 8),
        |sum, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 }
        },
    )
}

const CRC_START: u16 = 0xffff;

/// Passes text on and sums it up on the way.
struct Summing<'w> {
    out: &'w mut dyn Write,
    sum: u16,
}

impl Write for Summing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.sum = text.bytes().fold(self.sum, crc);
        self.out.write_str(text)
    }
}

/// Writes one line with its end; needs no memory beyond what `out` takes.
pub fn write(out: &mut dyn Write, seq: u32, ticks: u64, station: &str, record: &Record<'_>) -> fmt::Result {
    let mut line = Summing { out, sum: CRC_START };
    write!(line, "{START}{seq} {ticks} {station}] ")?;
    record.put(&mut line)?;
    let Summing { out, sum } = line;
    writeln!(out, " *{sum:04x}")
}

/// Reads one line. `None` where no part of it is ours; firmware text before our start is skipped.
pub fn parse(line: &str) -> Option<Result<Entry<'_>, Damage>> {
    let line = line.trim_end_matches(['\r', '\n']);
    let start = line.find(START)?;
    Some(parse_ours(&line[start..]))
}

fn parse_ours(line: &str) -> Result<Entry<'_>, Damage> {
    let (text, sum) = line.rsplit_once(" *").ok_or(Damage::Unfinished)?;
    if sum.len() != 4 || !sum.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Damage::Unfinished);
    }
    let stated = u16::from_str_radix(sum, 16).map_err(|_| Damage::Unfinished)?;
    let computed = text.bytes().fold(CRC_START, crc);
    if stated != computed {
        return Err(Damage::Sum { computed, stated });
    }
    entry(text)
}

/// Reads a line again that [`parse`] has found to be whole: its sum is not computed a second time.
pub fn parse_again(line: &str) -> Option<Entry<'_>> {
    let start = line.find(START)?;
    let (text, _) = line[start..].rsplit_once(" *")?;
    entry(text).ok()
}

/// Reads what stands before the sum.
fn entry(text: &str) -> Result<Entry<'_>, Damage> {
    let frame = text.strip_prefix(START).ok_or(Damage::Frame)?;
    let (frame, record) = frame.split_once("] ").ok_or(Damage::Frame)?;
    let mut words = frame.split(' ');
    let mut word = || words.next().ok_or(Damage::Frame);
    let seq = word()?.parse().map_err(|_| Damage::Frame)?;
    let ticks = word()?.parse().map_err(|_| Damage::Frame)?;
    let station = word()?;
    if words.next().is_some() {
        return Err(Damage::Frame);
    }
    let record = Record::get(record).ok_or(Damage::Record)?;
    Ok(Entry { seq, ticks, station, record })
}

impl Entry<'_> {
    /// The line as the guest writes it, without its end.
    pub fn line(&self) -> String {
        let mut line = String::new();
        // A `String` takes everything, so there is no error to pass on.
        let _ = write(&mut line, self.seq, self.ticks, self.station, &self.record);
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::{Damage, Entry, Record, parse, parse_again};
    use crate::log::record::arbitrary;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn every_record_survives_the_round_trip(seed in any::<[u64; 24]>(), seq in any::<u32>(), ticks in any::<u64>()) {
            for record in arbitrary::all_kinds(&seed) {
                let entry = Entry { seq, ticks, station: "after-cas", record };
                let line = entry.line();
                prop_assert_eq!(parse(&line), Some(Ok(entry.clone())), "{}", line);
                prop_assert_eq!(parse_again(&line), Some(entry), "{}", line);
            }
        }

        #[test]
        fn a_changed_byte_is_noticed(seed in any::<[u64; 24]>(), at in any::<usize>(), to in b'!'..=b'~') {
            for record in arbitrary::all_kinds(&seed) {
                let entry = Entry { seq: 1, ticks: 2, station: "idle", record };
                let line = entry.line();
                let mut bytes = line.clone().into_bytes();
                let at = at % bytes.len();
                bytes[at] = to;
                let changed = String::from_utf8(bytes).expect("ASCII");
                if changed != line {
                    prop_assert!(!matches!(parse(&changed), Some(Ok(_))), "{} passed for {}", changed, line);
                }
            }
        }

        #[test]
        fn a_cut_line_is_noticed(seed in any::<[u64; 24]>(), at in any::<usize>()) {
            for record in arbitrary::all_kinds(&seed) {
                let line = Entry { seq: 1, ticks: 2, station: "idle", record }.line();
                prop_assert!(!matches!(parse(&line[..at % line.len()]), Some(Ok(_))));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }

    #[test]
    fn the_form_of_a_line_is_frozen() {
        let line = "P[7 5120 idle] note text=hello%20you *";
        let entry =
            Entry { seq: 7, ticks: 5120, station: "idle", record: Record::Note { text: "hello you".into() } };
        assert!(entry.line().starts_with(line), "{}", entry.line());
        assert_eq!(parse(&format!("SLOF says {}\r\n", entry.line())), Some(Ok(entry)));
    }

    #[test]
    fn other_text_is_not_ours() {
        assert_eq!(parse("Booting from memory..."), None);
        assert_eq!(parse("P[7 5120 idle] note text=hel"), Some(Err(Damage::Unfinished)));
    }
}
