//! The hypervisor call instruction.

use super::{Powerpc64, stack};
use crate::machine::Hypervisor;
use crate::papr::hcall::{ARGUMENTS, Hcall, Reply};
use crate::papr::status::ReturnCode;
use core::arch::asm;

/// `sc 1` with up to five arguments.
///
/// # Safety
/// The call must not make the hypervisor write to memory that Rust code relies on.
pub(super) unsafe fn raw(opcode: u64, args: [u64; ARGUMENTS]) -> Reply {
    let [a, b, c, d, e] = args;
    let (code, v0, v1, v2, v3): (u64, u64, u64, u64, u64);
    // SAFETY: the caller vouches for memory. Of the registers the hypervisor may change r0, r3 to r12, ctr, xer and
    // the volatile fields of cr (Ref: LoPAR 14.5.1, Table 169), all of which are named; `nomem` is not, since the
    // hypervisor may read and write what the call is about. QEMU returns from H_CEDE with MSR[EE] on; the caller
    // knows that.
    unsafe {
        asm!(
            // By its bits: an assembler may take `sc 1` for a later instruction set than it was told.
            ".long 0x44000022",
            inlateout("r3") opcode => code,
            inlateout("r4") a => v0,
            inlateout("r5") b => v1,
            inlateout("r6") c => v2,
            inlateout("r7") d => v3,
            inlateout("r8") e => _,
            out("r0") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            out("ctr") _, out("xer") _,
            out("cr0") _, out("cr1") _, out("cr5") _, out("cr6") _, out("cr7") _,
            options(nostack)
        );
    }
    Reply { code: ReturnCode(code as i64), values: [v0, v1, v2, v3] }
}

impl Hypervisor for Powerpc64 {
    fn hcall(&mut self, call: Hcall) -> Reply {
        stack::check();
        let (opcode, args) = call.registers();
        // SAFETY: an `Hcall` can only be made for calls that do not write to memory.
        unsafe { raw(opcode, args) }
    }
}
