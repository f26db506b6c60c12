//! The time base, and giving the processor away.

use super::{Powerpc64, hcall, msr};
use crate::machine::Clock;
use crate::papr::hcall::Hcall;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// Ticks in a second where the tree has not said otherwise yet: what PAPR machines have had since POWER5, and QEMU
/// has always.
///
/// Ref: QEMU hw/ppc/spapr.h (SPAPR_TIMEBASE_FREQ)
const USUAL_RATE: u64 = 512_000_000;

static RATE: AtomicU64 = AtomicU64::new(USUAL_RATE);

/// Ticks of the time base.
pub(super) fn ticks() -> u64 {
    let ticks;
    // SAFETY: reads a register that everybody may read.
    unsafe { asm!("mftb {}", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}

/// Cedes the processor until an interrupt comes or `ticks` have passed.
pub(super) fn pause(ticks: u64) {
    // The classic decrementer has 31 bits before its sign; a longer wait wakes early, which `pause` may.
    let ticks = ticks.clamp(1, 0x7fff_ffff);
    // SAFETY: the decrementer is this thread's own, and its interrupt only counts (`boot/vectors.S`).
    unsafe { asm!("mtdec {}", in(reg) ticks, options(nomem, nostack, preserves_flags)) };
    cede();
}

/// Cedes the processor until an interrupt comes. Interrupts are off again when it returns.
pub(super) fn cede() {
    let (opcode, args) = Hcall::cede().registers();
    // SAFETY: H_CEDE writes to no memory. It returns with MSR[EE] on, and what is pending is taken at once by handlers
    // that only count and turn it off again.
    unsafe { hcall::raw(opcode, args) };
    // Nothing may have been pending (H_PROD): then EE is still on.
    msr::interrupts_off();
}

/// How many ticks a second has.
pub(super) fn rate() -> u64 {
    RATE.load(Ordering::Relaxed)
}

/// Sets how many ticks a second has.
pub(super) fn set_rate(rate: u32) {
    if rate != 0 {
        RATE.store(u64::from(rate), Ordering::Relaxed);
    }
}

impl Clock for Powerpc64 {
    fn ticks(&self) -> u64 {
        ticks()
    }

    fn tick_rate(&self) -> u64 {
        RATE.load(Ordering::Relaxed)
    }

    fn pause(&mut self, ticks: u64) {
        pause(ticks);
    }

    fn breathe(&mut self) {
        msr::let_interrupts_in();
        // QEMU has work that waits until every processor has been outside of the guest for a moment.
        let (opcode, args) = Hcall::confer().registers();
        // SAFETY: H_CONFER writes to no memory, and leaves MSR[EE] as it is.
        unsafe { hcall::raw(opcode, args) };
    }
}
