//! The end: a panic, and the way out of an exception.
//!
//! Both say what they know and then call `ibm,os-term`, so that the host sees a guest that panicked and not one that
//! hangs. Nothing here needs the heap or the state of the guest above.

use super::console::Console;
use super::{clock, firmware, hcall};
use crate::agent::journal;
use crate::log::{Record, Text};
use crate::machine::Arg;
use crate::papr::status::Status;
use core::ffi::CStr;
use core::fmt::Write;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// The token of `ibm,os-term` as the tree has it; until then the one that QEMU has always had.
///
/// Ref: QEMU include/hw/ppc/spapr.h (RTAS_IBM_OS_TERM)
static OS_TERM: AtomicU32 = AtomicU32::new(0x201f);

/// Remembers the token of `ibm,os-term`.
pub(super) fn set_os_term(token: u32) {
    OS_TERM.store(token, Relaxed);
}

/// Writes a record to the terminal.
pub(super) fn say(record: &Record<'_>) {
    static FIRST: AtomicBool = AtomicBool::new(true);
    let mut console = Console::new(journal::terminal());
    if FIRST.swap(false, Relaxed) {
        // A record that was cut short must not hide the first of ours.
        let _ = console.write_str("\n");
    }
    let _ = journal::write(&mut console, clock::ticks(), record);
    console.flush();
}

/// `H_RTAS`, QEMU's own way to RTAS: only for an end that comes before RTAS has been instantiated.
///
/// Ref: QEMU include/hw/ppc/spapr.h (KVMPPC_H_RTAS)
const H_RTAS: u64 = 0xf000;

/// Tells the platform that the guest is dead. Never returns, whatever the platform makes of it.
pub(super) fn end(message: &'static CStr) -> ! {
    let token = OS_TERM.load(Relaxed);
    if firmware::rtas(token, &mut [Arg::Str(message)], &mut []) == Status::HARDWARE {
        let block: [u32; 5] = [token, 1, 1, message.as_ptr() as u32, 0];
        // SAFETY: QEMU reads the message and writes the status into the block, which is ours.
        unsafe { hcall::raw(H_RTAS, [(&raw const block) as u64, 0, 0, 0, 0]) };
    }
    loop {
        clock::pause(u64::MAX);
    }
}

/// A message that formats itself into a bounded buffer; what does not fit is left out.
struct Message {
    bytes: [u8; 400],
    len: usize,
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for c in text.chars() {
            let room = self.bytes.get_mut(self.len..self.len + c.len_utf8());
            let Some(room) = room else { return Err(core::fmt::Error) };
            self.len += c.encode_utf8(room).len();
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static PANICKING: AtomicBool = AtomicBool::new(false);
    if PANICKING.swap(true, Relaxed) {
        end(c"panic while a panic was being told");
    }
    let mut message = Message { bytes: [0; 400], len: 0 };
    let _ = write!(message, "{}", info.message());
    let text = core::str::from_utf8(&message.bytes[..message.len]).unwrap_or("");
    let (file, line) = info.location().map_or(("?", 0), |at| (at.file(), at.line()));
    say(&Record::Panic { file: file.into(), line, message: Text::from(text) });
    end(c"panic")
}

/// Where the landing pads of a prebuilt `alloc` would go on. It was compiled to unwind; this payload aborts, so nobody
/// ever comes here, but the linker wants to know the place.
// SAFETY: the name is the unwinder's, and there is no other one in this image.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    end(c"unwinding")
}
