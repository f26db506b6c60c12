//! Bounds of stacks.
//!
//! There is no translation, so no page below a stack could be made to fault. Instead each call to the hypervisor or
//! the firmware checks the stack pointer and a word at the stack's end, and every exception looks at the stack pointer
//! it came with. Below the boot processor's stack lies a guard that belongs to nobody (`linker.ld`): an overflow
//! spends itself there while the next check finds it, and the panic that reports it has room to run.

use super::block::{self, Block};
use core::arch::asm;

/// What stands at the lowest doubleword of each stack while it is whole: no address, no small number, no text.
pub(super) const CANARY: u64 = 0x5ca1_ab1e_0ddb_a115;

/// The stack pointer.
pub(super) fn pointer() -> u64 {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mr {}, 1", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Whether `pointer` is on the stack of this block.
pub(super) fn holds(block: &Block, pointer: u64) -> bool {
    (block.stack_low..=block.stack_top).contains(&pointer)
}

/// Puts the canary at the end of a stack.
///
/// # Safety
/// `block.stack_low` must be the lowest address of a stack that is the caller's to write to.
pub(super) unsafe fn arm(block: &Block) {
    // SAFETY: the caller vouches for the address; stacks are at least 16-byte aligned.
    unsafe { (block.stack_low as *mut u64).write_volatile(CANARY) };
}

/// Panics when the running thread's stack has overflowed.
pub(super) fn check() {
    let block = block::current();
    let pointer = pointer();
    // The exception path has a stack of its own and a frame that tells of the other.
    if block.failed.load(core::sync::atomic::Ordering::Relaxed) {
        return;
    }
    // SAFETY: `arm` was given the same address when the stack was made, and stacks are never freed while they run.
    let canary = unsafe { (block.stack_low as *const u64).read_volatile() };
    if pointer < block.stack_low || canary != CANARY {
        // Once is enough: the panic itself makes calls.
        block.failed.store(true, core::sync::atomic::Ordering::Relaxed);
        panic!(
            "stack overflow: r1 is {pointer:#x}, the stack ends at {:#x}, the word there is {canary:#x}",
            block.stack_low
        );
    }
}
