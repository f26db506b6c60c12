//! Hypervisor calls that the guest makes, each with a constructor of its own.
//!
//! A raw hypervisor call is not safe: some let the hypervisor write wherever they point. So an [`Hcall`] can only be
//! made by the functions here and in [`super::scm`], and all of these keep off our memory.
//!
//! Ref: LoPAR 14.5.4

use super::status::ReturnCode;

/// A hypervisor call that does not write to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hcall {
    /// The opcode, for r3.
    opcode: u64,
    /// The arguments, from r4.
    args: [u64; ARGUMENTS],
}

/// The most arguments that a call of ours has.
pub const ARGUMENTS: usize = 5;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// r3.
    pub code: ReturnCode,
    /// r4 to r7; only those that the call names are written by it.
    pub values: [u64; 4],
}

/// `H_LOGICAL_CI_LOAD`: bytes, address; the number in r4. Never an [`Hcall`]: see [`crate::machine::Io`].
///
/// Ref: QEMU hw/ppc/spapr_hcall.c (h_logical_load)
pub const H_LOGICAL_CI_LOAD: u64 = 0x3c;
/// `H_LOGICAL_CI_STORE`: bytes, address, number. Never an [`Hcall`]: it could write to the guest's own memory.
///
/// Ref: QEMU hw/ppc/spapr_hcall.c (h_logical_store)
pub const H_LOGICAL_CI_STORE: u64 = 0x40;
/// `KVMPPC_H_CAS`: vectors, buffer, bytes of the buffer. Never an [`Hcall`]: see [`crate::machine::Negotiator`].
///
/// Ref: QEMU include/hw/ppc/spapr.h
pub const H_CAS: u64 = 0xf002;
/// Bytes in front of the tree that [`H_CAS`] hands out: a version, in the byte order of QEMU's host.
///
/// Ref: QEMU hw/ppc/spapr_hcall.c (h_client_architecture_support)
pub const CAS_HEADER: usize = 4;
/// `H_GET_TERM_CHAR`. Ref: LoPAR 16.4.1
const H_GET_TERM_CHAR: u64 = 0x54;
/// `H_PUT_TERM_CHAR`. Ref: LoPAR 16.4.2
const H_PUT_TERM_CHAR: u64 = 0x58;
/// `H_EOI`. Ref: LoPAR 14.5.4.7.1
const H_EOI: u64 = 0x64;
/// `H_CPPR`. Ref: LoPAR 14.5.4.7.2
const H_CPPR: u64 = 0x68;
/// `H_XIRR`. Ref: LoPAR 14.5.4.7.5
const H_XIRR: u64 = 0x74;
/// `H_CEDE`. Ref: LoPAR 14.5.4.4.1
const H_CEDE: u64 = 0xe0;
/// `H_CONFER`. Ref: LoPAR 14.5.4.4.2
const H_CONFER: u64 = 0xe4;
/// `H_PROD`. Ref: LoPAR 14.5.4.4.3
const H_PROD: u64 = 0xe8;

/// `H_WATCHDOG`. Ref: QEMU hw/watchdog/spapr_watchdog.c (h_watchdog)
const H_WATCHDOG: u64 = 0x45c;

/// Characters that one terminal call carries.
pub const TERM_CHARS: usize = 16;

impl Hcall {
    /// A call with its arguments; the registers beyond are 0. Only for calls that keep off our memory: whoever uses it
    /// says why the call does.
    pub(super) const fn new<const N: usize>(opcode: u64, given: [u64; N]) -> Self {
        let mut args = [0; ARGUMENTS];
        let mut at = 0;
        while at < N {
            args[at] = given[at];
            at += 1;
        }
        Self { opcode, args }
    }

    /// The opcode, and the arguments from r4.
    pub const fn registers(&self) -> (u64, [u64; ARGUMENTS]) {
        (self.opcode, self.args)
    }

    /// Whether the call is about a terminal.
    pub const fn is_console(&self) -> bool {
        matches!(self.opcode, H_GET_TERM_CHAR | H_PUT_TERM_CHAR)
    }

    /// Reads up to [`TERM_CHARS`] characters from a virtual terminal: their count in r4, themselves in r5 and r6.
    pub const fn get_term_char(unit: u32) -> Self {
        Self::new(H_GET_TERM_CHAR, [unit as u64])
    }

    /// Writes `text` to a virtual terminal; what is beyond [`TERM_CHARS`] characters is left out.
    pub fn put_term_char(unit: u32, text: &[u8]) -> Self {
        let mut chars = [0; TERM_CHARS];
        let len = text.len().min(TERM_CHARS);
        chars[..len].copy_from_slice(&text[..len]);
        let packed = u128::from_be_bytes(chars);
        // The first eight characters travel in r6, the others in r7.
        Self::new(H_PUT_TERM_CHAR, [u64::from(unit), len as u64, (packed >> 64) as u64, packed as u64])
    }

    /// Waits for an interrupt, with MSR\[EE\] on.
    pub const fn cede() -> Self {
        Self::new(H_CEDE, [])
    }

    /// Leaves the processor to all others for a moment.
    pub const fn confer() -> Self {
        Self::new(H_CONFER, [u64::MAX, 0])
    }

    /// Wakes the processor with this interrupt server number out of its next or present [`Hcall::cede`].
    pub const fn prod(server: u32) -> Self {
        Self::new(H_PROD, [server as u64])
    }

    /// Starts a watchdog, which resets the machine when it is not stopped within `ms` milliseconds. They count from 1.
    ///
    /// Ref: QEMU hw/watchdog/spapr_watchdog.c (PSERIES_WDTF_OP_START, PSERIES_WDTF_ACTION_HARD_RESTART)
    pub const fn reset_after(ms: u64, watchdog: u64) -> Self {
        const START: u64 = 0x1 << 8;
        const HARD_RESTART: u64 = 0x2;
        Self::new(H_WATCHDOG, [START | HARD_RESTART, watchdog, ms])
    }

    /// Sets the current processor priority of this thread.
    pub const fn cppr(priority: u8) -> Self {
        Self::new(H_CPPR, [priority as u64])
    }

    /// Accepts an interrupt: the external interrupt request register in r4.
    pub const fn xirr() -> Self {
        Self::new(H_XIRR, [])
    }

    /// Ends the interrupt that [`Hcall::xirr`] accepted.
    pub const fn eoi(xirr: u32) -> Self {
        Self::new(H_EOI, [xirr as u64])
    }
}

impl Reply {
    /// The characters of a [`Hcall::get_term_char`]; the hypervisor's count is held to what can be there.
    pub fn term_chars(&self) -> ([u8; TERM_CHARS], usize) {
        let [count, high, low, _] = self.values;
        let chars = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        let count = if self.code == ReturnCode::SUCCESS { count.min(TERM_CHARS as u64) } else { 0 };
        (chars, count as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hcall, Reply, ReturnCode};

    #[test]
    fn opcodes_and_registers_are_frozen() {
        assert_eq!(Hcall::cede().registers(), (0xe0, [0; 5]));
        assert_eq!(Hcall::prod(3).registers(), (0xe8, [3, 0, 0, 0, 0]));
        assert_eq!(Hcall::cppr(0xff).registers(), (0x68, [0xff, 0, 0, 0, 0]));
        assert_eq!(Hcall::reset_after(50, 1).registers(), (0x45c, [0x102, 1, 50, 0, 0]));
        assert_eq!(Hcall::xirr().registers(), (0x74, [0; 5]));
        assert_eq!(Hcall::eoi(0xff00_1001).registers(), (0x64, [0xff00_1001, 0, 0, 0, 0]));
        assert_eq!(Hcall::get_term_char(7).registers(), (0x54, [7, 0, 0, 0, 0]));
        let text = b"0123456789";
        let registers = [0x7100_0000, 10, 0x3031_3233_3435_3637, 0x3839_0000_0000_0000, 0];
        assert_eq!(Hcall::put_term_char(0x7100_0000, text).registers(), (0x58, registers));
    }

    #[test]
    fn a_count_that_lies_is_held_to_the_registers() {
        let reply = Reply { code: ReturnCode::SUCCESS, values: [99, 0x6162_0000_0000_0000, 0, 0] };
        let (chars, count) = reply.term_chars();
        assert_eq!((&chars[..2], count), (&b"ab"[..], 16));
        assert_eq!(Reply { code: ReturnCode::PARAMETER, ..reply }.term_chars().1, 0);
    }
}
