//! The machine state register.

use bitflags::bitflags;
use core::arch::asm;

/// A bit by the number that the architecture gives it: 0 is the most significant of 64.
const fn ppc_bit(number: u32) -> u64 {
    1 << (63 - number)
}

bitflags! {
    /// The bits of the machine state register that this guest touches.
    ///
    /// Ref: ISA 3.1B III 4.2.1
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Msr: u64 {
        /// 64-bit mode.
        const SF = ppc_bit(0);
        /// Vector registers may be used.
        const VEC = ppc_bit(38);
        /// Vector-scalar registers may be used.
        const VSX = ppc_bit(40);
        /// External interrupts and the decrementer are taken.
        const EE = ppc_bit(48);
        /// Floating point registers may be used.
        const FP = ppc_bit(50);
        /// Machine checks are taken, and do not stop the processor.
        const ME = ppc_bit(51);
        /// An exception now can be recovered from.
        const RI = ppc_bit(62);
    }
}

impl Msr {
    /// The state that Rust code runs in.
    pub(super) const RUST: Self =
        Self::SF.union(Self::VEC).union(Self::VSX).union(Self::FP).union(Self::ME).union(Self::RI);

    /// Sixteen bits from `shift` up, for an assembler that loads constants by halfwords.
    pub(super) const fn halfword(self, shift: u32) -> u64 {
        self.bits() >> shift & 0xffff
    }
}

/// Turns external interrupts and the decrementer on, so that one that is waiting is taken, and off again.
pub(super) fn let_interrupts_in() {
    let on = Msr::RI | Msr::EE;
    // SAFETY: mtmsrd with L = 1 changes EE and RI only, and both values are legal in real mode; what is taken only counts,
    // and turns EE off (`boot/vectors.S`).
    unsafe { asm!("mtmsrd {}, 1", in(reg) on.bits(), options(nostack)) };
    interrupts_off();
}

/// Turns external interrupts and the decrementer off.
///
/// They are on only after a hypervisor call that turned them on (H_CEDE), or for a moment, and until the next interrupt is
/// taken.
pub(super) fn interrupts_off() {
    // SAFETY: mtmsrd with L = 1 changes EE and RI only, and both values are legal in real mode; the handlers that EE
    // would let in are not needed by any code that calls this.
    unsafe { asm!("mtmsrd {}, 1", in(reg) Msr::RI.bits(), options(nostack)) };
}
