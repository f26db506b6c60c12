//! The journal: one line after the other, numbered, with the station that the guest has come to.
//!
//! What every line needs is shared between the guest, which writes lines as long as it lives, and the panic path,
//! which may have to write the last one at any time. The lock is never held while a line is on its way.

use super::station::Station;
use crate::log::{self, Record};
use crate::machine::{Clock, Hypervisor};
use crate::papr::hcall::{Hcall, TERM_CHARS};
use crate::papr::status::ReturnCode;
use core::fmt::{self, Write};
use spin::Mutex;

/// What every line needs.
struct Journal {
    seq: u32,
    station: &'static str,
    terminal: u32,
}

/// The terminal that is meant when the tree has not named one: the first.
///
/// Ref: LoPAR 16.4 (unit address 0 is the partition's own virtual terminal)
const FIRST_TERMINAL: u32 = 0;

static JOURNAL: Mutex<Journal> = Mutex::new(Journal { seq: 0, station: "entry", terminal: FIRST_TERMINAL });

/// The terminal that lines go to.
pub fn terminal() -> u32 {
    JOURNAL.lock().terminal
}

/// Sets the terminal that lines go to.
pub fn set_terminal(unit: u32) {
    JOURNAL.lock().terminal = unit;
}

/// The lines of a new life count from 0 again. The terminal stays.
pub fn begin() {
    let mut journal = JOURNAL.lock();
    (journal.seq, journal.station) = (0, Station::Entry.word());
}

/// Sets the station that lines name from now on.
pub fn set_station(station: &'static str) {
    JOURNAL.lock().station = station;
}

/// Writes the next line to `out`.
pub fn write(out: &mut dyn Write, ticks: u64, record: &Record<'_>) -> fmt::Result {
    let (seq, station) = {
        let mut journal = JOURNAL.lock();
        let seq = journal.seq;
        journal.seq = seq.wrapping_add(1);
        (seq, journal.station)
    };
    log::write(out, seq, ticks, station, record)
}

/// Says `record` on the terminal.
pub fn say<M: Hypervisor + Clock + ?Sized>(machine: &mut M, record: &Record<'_>) {
    let ticks = machine.ticks();
    let mut terminal = Terminal { unit: terminal(), machine, held: [0; TERM_CHARS], len: 0 };
    // The terminal takes everything or drops it; a line that was dropped leaves a gap that the host sees.
    let _ = write(&mut terminal, ticks, record);
    terminal.flush();
}

/// Text on its way to a virtual terminal, in portions of one call.
struct Terminal<'m, M: ?Sized> {
    unit: u32,
    machine: &'m mut M,
    held: [u8; TERM_CHARS],
    len: usize,
}

/// How often a busy terminal is tried before a portion is given up, with a rest in between.
const TRIES: u32 = 1000;
/// The rest, in ticks: a tenth of a millisecond on QEMU.
const REST: u64 = 51_200;

impl<M: Hypervisor + Clock + ?Sized> Terminal<'_, M> {
    fn flush(&mut self) {
        let call = Hcall::put_term_char(self.unit, &self.held[..self.len]);
        self.len = 0;
        for _ in 0..TRIES {
            if self.machine.hcall(call).code != ReturnCode::BUSY {
                return;
            }
            self.machine.pause(REST);
        }
    }
}

impl<M: Hypervisor + Clock + ?Sized> Write for Terminal<'_, M> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            self.held[self.len] = byte;
            self.len += 1;
            if self.len == TERM_CHARS {
                self.flush();
            }
        }
        Ok(())
    }
}
