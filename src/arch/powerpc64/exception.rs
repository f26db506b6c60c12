//! What is done about an exception that nobody expected: it is told in full, and the guest ends.

use super::block::{Block, Frame};
use super::{entry, panic, stack};
use crate::log::{Hex, Record};
use core::sync::atomic::Ordering::Relaxed;

/// The address of the function that `boot/vectors.S` calls.
pub(super) fn entry_point() -> u64 {
    unexpected as *const () as u64
}

/// SRR1 at a program interrupt, bit 44: the instruction does not exist.
///
/// Ref: ISA 3.1B III 7.5.9
const PROGRAM_ILLEGAL: u64 = 1 << (63 - 44);
/// Bit 45: the instruction is not for this state.
const PROGRAM_PRIVILEGED: u64 = 1 << (63 - 45);
/// Bit 46: a trap instruction.
const PROGRAM_TRAP: u64 = 1 << (63 - 46);

/// The name of a vector, and for a program interrupt the reason.
///
/// Ref: ISA 3.1B III 7.5
fn name(vector: u64, srr1: u64) -> &'static str {
    match vector {
        0x700 if srr1 & PROGRAM_TRAP != 0 => "program-trap",
        0x700 if srr1 & PROGRAM_ILLEGAL != 0 => "program-illegal-instruction",
        0x700 if srr1 & PROGRAM_PRIVILEGED != 0 => "program-privileged-instruction",
        0x100 => "system-reset",
        0x200 => "machine-check",
        0x300 => "data-storage",
        0x380 => "data-segment",
        0x400 => "instruction-storage",
        0x480 => "instruction-segment",
        0x500 => "external",
        0x600 => "alignment",
        0x700 => "program",
        0x800 => "floating-point-unavailable",
        0x900 => "decrementer",
        0x980 => "hypervisor-decrementer",
        0xa00 => "directed-doorbell",
        0xc00 => "system-call",
        0xd00 => "trace",
        0xe00 => "hypervisor-data-storage",
        0xe20 => "hypervisor-instruction-storage",
        0xe40 => "hypervisor-emulation-assistance",
        0xe60 => "hypervisor-maintenance",
        0xe80 => "hypervisor-doorbell",
        0xea0 => "hypervisor-virtualization",
        0xf00 => "performance-monitor",
        0xf20 => "vector-unavailable",
        0xf40 => "vsx-unavailable",
        0xf60 => "facility-unavailable",
        0xf80 => "hypervisor-facility-unavailable",
        _ => "unknown",
    }
}

/// The most frames of a back trace.
const DEPTH: u32 = 32;

/// Tells of the exception whose registers are in the block, on the stack for exceptions, and ends the guest.
extern "C" fn unexpected(block: *mut Block) -> ! {
    // SAFETY: `boot/vectors.S` passes the block of this thread, which runs nothing else now.
    let block = unsafe { &*block };
    let again = block.failed.swap(true, Relaxed);
    let frame = &block.frame;
    let overflow = !stack::holds(block, frame.gpr[1]);
    if again {
        // The telling itself failed: no more of it.
        panic::end(c"exception while an exception or a panic was being told");
    }
    panic::say(&Record::Exception {
        name: if overflow { "stack-overflow" } else { name(frame.vector, frame.srr1) }.into(),
        vector: Hex(frame.vector),
        server: block.server as u32,
        srr0: Hex(frame.srr0),
        srr1: Hex(frame.srr1),
        dar: Hex(frame.dar),
        dsisr: Hex(frame.dsisr),
    });
    tell_registers(frame);
    if !overflow {
        trace(block, frame);
    }
    panic::end(c"unexpected exception")
}

fn tell_registers(frame: &Frame) {
    for (four, first) in frame.gpr.chunks_exact(4).zip((0_u8..).step_by(4)) {
        let [a, b, c, d] = [four[0], four[1], four[2], four[3]].map(Hex);
        panic::say(&Record::Registers { first, a, b, c, d });
    }
    panic::say(&Record::Special {
        lr: Hex(frame.lr),
        ctr: Hex(frame.ctr),
        cr: Hex(frame.cr),
        xer: Hex(frame.xer),
    });
}

/// The back trace: where it happened, and from frame to frame as long as the chain stays on the stack.
///
/// Ref: ELFv2 ABI 2.3.1 (the stack frame: back chain at 0, LR save doubleword at 16)
fn trace(block: &Block, frame: &Frame) {
    let base = entry::load_address();
    let mut stack = frame.gpr[1];
    let mut address = frame.srr0;
    for depth in 0..DEPTH {
        panic::say(&Record::Frame { depth, address: Hex(address.wrapping_sub(base)), stack: Hex(stack) });
        let Some(back) = read(block, stack) else { return };
        let Some(saved) = read(block, back.wrapping_add(16)) else { return };
        if back <= stack || saved == 0 {
            return;
        }
        (stack, address) = (back, saved);
    }
}

/// A doubleword of the thread's stack.
fn read(block: &Block, at: u64) -> Option<u64> {
    if !at.is_multiple_of(8) || !stack::holds(block, at) || at + 8 > block.stack_top {
        return None;
    }
    // SAFETY: aligned and within the thread's stack, which nobody else writes to while the thread is here.
    Some(unsafe { (at as *const u64).read_volatile() })
}
