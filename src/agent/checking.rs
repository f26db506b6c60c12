//! Checking: check-exception as the host wants it, with any classes, any length, and a buffer anywhere.
//!
//! The buffer lies in the middle of an area whose every byte is known before the call, so that what the hypervisor wrote
//! can be told, in the buffer and around it. Where the area is memory that came later it need not be all there, and gets back
//! what it held.
//!
//! Ref: LoPAR 7.3.8

use super::guest::{Chapter, Guest};
use crate::log::{Hex, Record, Severity};
use crate::machine::{Arg, Machine};
use crate::papr::event::{EventMask, LOG_MAX, total_len};
use crate::papr::status::Status;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes before the buffer that are watched.
const BEFORE: usize = 64;
/// Bytes from the start of the buffer on that are watched: whatever was said of the length, a log must find room.
const AFTER: usize = 2 * LOG_MAX;
/// What each byte of the area is before the call. No log ends with it.
const CANARY: u8 = 0xa5;
/// Bytes of a doubleword.
const WORD: usize = 8;

/// What is wanted of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    /// The classes.
    mask: EventMask,
    /// The length that the hypervisor is told.
    length: u32,
    /// Where the buffer starts; none for one of the guest's own.
    at: Option<u32>,
}

impl Wish {
    /// Reads `mask=<hex> length=<bytes> at=<hex>`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut wish = Self { mask: EventMask::EPOW | EventMask::HOT_PLUG, length: LOG_MAX as u32, at: None };
        for word in text.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let taken = match key {
                "mask" => hex(value).map(|bits| wish.mask = EventMask::from_bits_retain(bits)),
                "length" => value.parse().ok().map(|length| wish.length = length),
                "at" => hex(value).map(|at| wish.at = Some(at)),
                _ => None,
            };
            let known = "mask=<hex>, length=<bytes> and at=<hex> are known, up to 32 bits";
            taken.ok_or_else(|| format!("{word}: {known}"))?;
        }
        Ok(wish)
    }
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// What is found in an area after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traces {
    /// Bytes before the buffer that are not what they were.
    before: usize,
    /// Bytes from the start of the buffer to the last that is not what it was.
    written: usize,
}

impl Traces {
    fn of(before: &[u8], after: &[u8]) -> Self {
        let is_new = |byte: &u8| *byte != CANARY;
        Self {
            before: before.iter().filter(|byte| is_new(byte)).count(),
            written: after.iter().rposition(is_new).map_or(0, |last| last + 1),
        }
    }
}

impl<M: Machine> Guest<M> {
    /// Makes a call as the host wishes, and keeps the event that it brings, if the whole of its log can be found.
    pub(super) fn check(&mut self, argument: &str) -> Chapter {
        let wish = match Wish::parse(argument) {
            Ok(wish) => wish,
            Err(problem) => {
                self.problem(Severity::Minor, "check", problem);
                return Ok(());
            }
        };
        let mut area = vec![CANARY; BEFORE + AFTER];
        let rc = match wish.at {
            None => {
                let buffer = area.get_mut(BEFORE..).unwrap_or_default();
                self.must(|guest| {
                    guest.rtas().check_exception_as(0, wish.mask, Arg::Out(buffer), wish.length)
                })?
            }
            Some(at) => match self.check_at(wish, at, &mut area)? {
                Some(rc) => rc,
                None => {
                    self.problem(
                        Severity::Minor,
                        "check",
                        format!("{at:#x}: the guest itself may live there"),
                    );
                    return Ok(());
                }
            },
        };
        let (before, after) = area.split_at(BEFORE);
        self.tell_check(wish, rc, Traces::of(before, after), after);
        Ok(())
    }

    fn tell_check(&mut self, wish: Wish, rc: Status, traces: Traces, buffer: &[u8]) {
        let written = buffer.get(..traces.written).unwrap_or_default();
        let log = total_len(written).ok().and_then(|len| written.get(..len));
        let log = log.filter(|_| rc == Status::SUCCESS);
        self.say(&Record::Check {
            mask: Hex(wish.mask.bits().into()),
            length: wish.length,
            at: wish.at.map(|at| Hex(at.into())),
            rc,
            before: traces.before as u32,
            written: traces.written as u32,
            event: log.map(|_| self.tally.events + 1),
        });
        self.keep(log.map(<[u8]>::to_vec).into_iter().collect());
    }

    /// The same with a buffer in memory that came later, or where there is none; `area` is what was there after the call.
    /// Nothing where the guest itself may live.
    fn check_at(&mut self, wish: Wish, at: u32, area: &mut [u8]) -> Chapter<Option<Status>> {
        let Some(start) = u64::from(at).checked_sub(BEFORE as u64) else { return Ok(None) };
        let skew = start as usize % WORD;
        let Some(held) = self.lay_canaries(start - skew as u64) else { return Ok(None) };
        let rc =
            self.must(|guest| guest.rtas().check_exception_as(0, wish.mask, Arg::Cell(at), wish.length))?;
        let found = self.gather(start - skew as u64, &held);
        for (byte, found) in area.iter_mut().zip(found.into_iter().skip(skew)) {
            *byte = found;
        }
        Ok(Some(rc))
    }

    /// Fills the area that starts at `base` as far as it is there; what it held. Nothing where it must not be touched.
    ///
    /// What is not there may raise an exception, or read as some number whatever is written to it.
    fn lay_canaries(&mut self, base: u64) -> Option<Vec<Option<u64>>> {
        let machine = self.machine.bare();
        let words = (base..).step_by(WORD).take((BEFORE + AFTER) / WORD + 1);
        let held: Option<Vec<Option<u64>>> = words.clone().map(|address| machine.touch(address)).collect();
        let mut held = held?;
        let canary = u64::from_be_bytes([CANARY; WORD]);
        for (address, word) in words.zip(&mut held).filter(|(_, word)| word.is_some()) {
            machine.store(address, [canary])?;
            *word = word.filter(|_| machine.touch(address).flatten() == Some(canary));
        }
        Some(held)
    }

    /// What the area holds, with a canary where there is nothing; then it holds again what it had held.
    fn gather(&mut self, base: u64, held: &[Option<u64>]) -> Vec<u8> {
        let machine = self.machine.bare();
        let mut found = Vec::new();
        for (address, word) in (base..).step_by(WORD).zip(held) {
            let now = word.and_then(|_| machine.touch(address).flatten());
            found.extend(now.map_or([CANARY; WORD], u64::to_be_bytes));
            if let Some(word) = word {
                machine.store(address, [*word]);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{BEFORE, CANARY, EventMask, Traces, Wish};

    #[test]
    fn a_wish_is_read_with_what_a_guest_does_by_itself_as_its_defaults() {
        let usual = Wish { mask: EventMask::EPOW | EventMask::HOT_PLUG, length: 2048, at: None };
        assert_eq!(Wish::parse("length=2048"), Ok(usual));
        let wish = Wish::parse("mask=0x10000001 length=15 at=4fffffff").expect("sound");
        assert_eq!((wish.mask.bits(), wish.length, wish.at), (0x1000_0001, 15, Some(0x4fff_ffff)));
    }

    #[test]
    fn a_wish_that_means_nothing_is_named() {
        for bad in ["mask=", "mask=100000000", "length=-1", "length=0x10", "at=top", "irq=5", "mask"] {
            let problem = Wish::parse(bad).expect_err(bad);
            assert!(problem.starts_with(&format!("{bad}: mask=<hex>, ")), "{problem}");
        }
    }

    #[test]
    fn what_was_written_is_found_with_its_end_and_what_lies_before_it() {
        let mut area = [CANARY; BEFORE + 200];
        let traces = |area: &[u8]| {
            let (before, after) = area.split_at(BEFORE);
            let Traces { before, written } = Traces::of(before, after);
            (before, written)
        };
        assert_eq!(traces(&area), (0, 0));
        area[BEFORE..BEFORE + 116].fill(0);
        // A byte that happens to be a canary, in the middle.
        area[BEFORE + 50] = CANARY;
        assert_eq!(traces(&area), (0, 116));
        area[BEFORE - 1] = 0;
        assert_eq!(traces(&area), (1, 116));
    }
}
