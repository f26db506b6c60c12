//! Text to the terminal, for those who cannot ask a machine for it: the panic and the exception path.

use super::hcall;
use crate::papr::hcall::{Hcall, TERM_CHARS};
use crate::papr::status::ReturnCode;
use core::fmt;

/// Collects characters until a call is full.
#[derive(Debug)]
pub(super) struct Console {
    unit: u32,
    held: [u8; TERM_CHARS],
    len: usize,
}

/// How often a busy terminal is tried before its text is given up.
const TRIES: u32 = 100_000;

impl Console {
    pub(super) const fn new(unit: u32) -> Self {
        Self { unit, held: [0; TERM_CHARS], len: 0 }
    }

    pub(super) fn flush(&mut self) {
        let (opcode, args) = Hcall::put_term_char(self.unit, &self.held[..self.len]).registers();
        self.len = 0;
        for _ in 0..TRIES {
            // SAFETY: H_PUT_TERM_CHAR takes its text in registers and writes to no memory.
            if unsafe { hcall::raw(opcode, args) }.code != ReturnCode::BUSY {
                return;
            }
        }
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.held[self.len] = byte;
            self.len += 1;
            if self.len == TERM_CHARS {
                self.flush();
            }
        }
        Ok(())
    }
}
