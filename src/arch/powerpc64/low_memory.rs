//! Low memory: ours, but for the times when the firmware works.
//!
//! The exception vectors are at fixed low addresses, and so is the firmware: SLOF keeps its own handlers there, VOF all
//! of its code. So our vectors are swapped in as soon as Rust runs, swapped out around every call of the client
//! interface (or a whole series of them, which is cheaper: see [`lend`]), and in for good when the firmware has been
//! told to quiesce. What was there is kept and put back, since it is the firmware's data too. While low memory is
//! lent, a fault is the firmware's: the log names that window (`firmware window=open`).

use super::block::{Block, CALL_FRAME};
use super::msr::Msr;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The lowest address that is swapped: the first vector.
const LOW_START: u64 = 0x100;
/// Vector of the external interrupt.
const EXTERNAL: u64 = 0x500;
/// Vector of the decrementer.
const DECREMENTER: u64 = 0x900;

global_asm!(include_str!("../../../boot/vectors.S"),
    low_start = const LOW_START,
    external = const EXTERNAL,
    decrementer = const DECREMENTER,
    frame = const CALL_FRAME,
    msr_31_16 = const Msr::RUST.halfword(16),
    msr_15_0 = const Msr::RUST.halfword(0),
    block_scratch = const offset_of!(Block, scratch),
    block_ticks = const offset_of!(Block, ticks),
    block_taken = const offset_of!(Block, taken),
    block_taken_at = const offset_of!(Block, taken_at),
    block_frame = const offset_of!(Block, frame),
    block_recovery = const offset_of!(Block, recovery),
    block_emergency_top = const offset_of!(Block, emergency_top),
    block_toc = const offset_of!(Block, toc),
    block_handler = const offset_of!(Block, handler),
);

unsafe extern "C" {
    static vectors_start: u8;
    static vectors_end: u8;
}

/// Room for what the firmware has there; the vectors are smaller (asserted in `swap`).
const ROOM: usize = 0x1900 / 8;

static mut FIRMWARES: [u64; ROOM] = [0; ROOM];
static OURS: AtomicBool = AtomicBool::new(false);

/// A processor's cache line, in bytes: the smallest that a POWER processor has had since POWER4.
const CACHE_LINE: usize = 128;

/// Doublewords of the vectors.
fn doublewords() -> usize {
    (&raw const vectors_end as usize - &raw const vectors_start as usize) / 8
}

/// Makes code that was written as data visible to instruction fetches.
fn publish(start: u64, bytes: usize) {
    for line in (0..bytes).step_by(CACHE_LINE) {
        let at = start + line as u64;
        // SAFETY: cache instructions on memory that the caller has just written; they change no content.
        unsafe { asm!("dcbst 0, {0}", "sync", "icbi 0, {0}", in(reg) at, options(nostack, preserves_flags)) };
    }
    // SAFETY: orders the above before what is fetched next.
    unsafe { asm!("sync", "isync", options(nostack, preserves_flags)) };
}

/// Takes low memory for our vectors, and keeps what the firmware has there.
pub(super) fn take() {
    if OURS.swap(true, Relaxed) {
        return;
    }
    let count = doublewords().min(ROOM);
    let ours = (&raw const vectors_start).cast::<u64>();
    let low = LOW_START as *mut u64;
    let kept = (&raw mut FIRMWARES).cast::<u64>();
    for i in 0..count {
        // SAFETY: `low` is RAM on every pseries, it is the firmware's while the firmware runs and nobody's now; `kept`
        // has ROOM doublewords, `ours` has `count`; all are 8-byte aligned.
        unsafe {
            kept.add(i).write(low.add(i).read_volatile());
            low.add(i).write_volatile(ours.add(i).read());
        }
    }
    publish(LOW_START, count * 8);
}

/// Gives low memory back to the firmware, as it was.
pub(super) fn give_back() {
    if !OURS.swap(false, Relaxed) {
        return;
    }
    let count = doublewords().min(ROOM);
    let low = LOW_START as *mut u64;
    let kept = (&raw const FIRMWARES).cast::<u64>();
    for i in 0..count {
        // SAFETY: as in `take`; our vectors are not needed while interrupts are off and the firmware has the machine.
        unsafe { low.add(i).write_volatile(kept.add(i).read()) };
    }
    publish(LOW_START, count * 8);
}

/// Whether our vectors are in place.
pub(super) fn is_ours() -> bool {
    OURS.load(Relaxed)
}
