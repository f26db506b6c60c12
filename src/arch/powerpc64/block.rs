//! The block: what one processor's assembly and its Rust code share.
//!
//! Each thread has one; SPRG1 holds its address. The assembly in `boot/` addresses its fields by offsets that are
//! taken from this type, so the two cannot drift apart.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

/// The registers at an exception, in the order in which `boot/vectors.S` stores them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// r0 to r31.
    pub gpr: [u64; 32],
    /// The vector's address.
    pub vector: u64,
    /// Where the processor was.
    pub srr0: u64,
    /// Its state there.
    pub srr1: u64,
    /// Data address register.
    pub dar: u64,
    /// Data storage interrupt status register.
    pub dsisr: u64,
    /// Link register.
    pub lr: u64,
    /// Count register.
    pub ctr: u64,
    /// Condition register.
    pub cr: u64,
    /// Fixed-point exception register.
    pub xer: u64,
}

const _: () = assert!(size_of::<Frame>() == 8 * 41, "boot/vectors.S stores 41 doublewords");

/// The block of one thread.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Block {
    /// For the vectors: r12, r11, CR of what was interrupted, and room for one more.
    pub scratch: [u64; 4],
    /// r2 of the payload.
    pub toc: u64,
    /// Where the thread's stack starts (its highest address).
    pub stack_top: u64,
    /// The lowest address that its stack may reach.
    pub stack_low: u64,
    /// Where the stack for exceptions starts.
    pub emergency_top: u64,
    /// The function for exceptions that nobody expected.
    pub handler: u64,
    /// The thread's interrupt server number.
    pub server: u64,
    /// External interrupts that were taken.
    pub taken: AtomicU64,
    /// The time base at the last of them.
    pub taken_at: AtomicU64,
    /// Decrementer interrupts that were taken.
    pub ticks: AtomicU64,
    /// The registers at an exception that nobody expected.
    pub frame: Frame,
    /// Where to go on after an exception at a load that was made in doubt; 0 where no exception is expected.
    pub recovery: AtomicU64,
    /// Such an exception has been taken: a second one must not ask for the same help again.
    pub failed: AtomicBool,
    /// What a secondary thread says: see `processors`.
    pub state: AtomicU32,
    /// Its stack pointer, as it sees it itself.
    pub seen_stack: AtomicU64,
    /// What its work is at: see `processors`.
    pub work: AtomicU32,
    /// The first number of its work, how many there are, and their sum.
    pub first: AtomicU64,
    pub count: AtomicU64,
    pub sum: AtomicU64,
}

impl Block {
    /// A block in which only what is zero is right.
    pub(super) const fn empty() -> Self {
        Self {
            scratch: [0; 4],
            toc: 0,
            stack_top: 0,
            stack_low: 0,
            emergency_top: 0,
            handler: 0,
            server: 0,
            taken: AtomicU64::new(0),
            taken_at: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            frame: Frame {
                gpr: [0; 32],
                vector: 0,
                srr0: 0,
                srr1: 0,
                dar: 0,
                dsisr: 0,
                lr: 0,
                ctr: 0,
                cr: 0,
                xer: 0,
            },
            recovery: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            state: AtomicU32::new(0),
            seen_stack: AtomicU64::new(0),
            work: AtomicU32::new(0),
            first: AtomicU64::new(0),
            count: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }
}

/// Bytes that a callee may store into above the stack pointer, rounded up: the ELFv2 header and parameter area.
pub(super) const CALL_FRAME: u64 = 112;

/// The running thread's block.
pub(super) fn current() -> &'static Block {
    let address: *const Block;
    // SAFETY: SPRG1 is the partition's own register; reading it does nothing.
    unsafe { core::arch::asm!("mfsprg {}, 1", out(reg) address, options(nomem, nostack, preserves_flags)) };
    // SAFETY: `entry::start` and `boot/secondary.S` set SPRG1 to a block that is never freed, before any other Rust
    // code runs on the thread. What the assembly writes while Rust holds this reference is atomic or, for `scratch` and
    // `frame`, never read through it except by the exception path, after the write.
    unsafe { &*address }
}
