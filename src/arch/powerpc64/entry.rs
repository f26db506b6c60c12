//! From the firmware's jump to the first safe Rust.

use super::block::{Block, CALL_FRAME};
use super::msr::Msr;
use super::{exception, firmware, low_memory, restart, stack};
use crate::machine::Boot;
use core::arch::{asm, global_asm};
use core::mem::offset_of;

global_asm!(include_str!("../../../boot/head.S"),
    msr_63_48 = const Msr::RUST.halfword(48),
    msr_47_32 = const Msr::RUST.halfword(32),
    msr_31_16 = const Msr::RUST.halfword(16),
    msr_15_0 = const Msr::RUST.halfword(0),
    frame = const CALL_FRAME,
    entry = sym start,
);
global_asm!(include_str!("../../../boot/memory.S"));
global_asm!(include_str!("../../../boot/secondary.S"),
    msr_63_48 = const Msr::RUST.halfword(48),
    msr_47_32 = const Msr::RUST.halfword(32),
    msr_31_16 = const Msr::RUST.halfword(16),
    msr_15_0 = const Msr::RUST.halfword(0),
    frame = const CALL_FRAME,
    block_toc = const offset_of!(Block, toc),
    block_stack_top = const offset_of!(Block, stack_top),
    entry = sym super::processors::secondary,
);

/// The machine. There is one; a second value of the type speaks with the same hardware.
#[derive(Debug)]
pub struct Powerpc64 {
    pub(super) boot: Boot,
}

/// The boot processor's block.
static mut BOOT_BLOCK: Block = Block::empty();

/// Bytes of the boot processor's stack for exceptions.
const EMERGENCY: usize = 16 * 1024;

/// A stack, aligned as the ABI wants it.
#[repr(C, align(16))]
struct EmergencyStack([u8; EMERGENCY]);

static mut EMERGENCY_STACK: EmergencyStack = EmergencyStack([0; EMERGENCY]);

unsafe extern "Rust" {
    static __stack_low: u8;
    static __stack_top: u8;
    static _start: u8;
    static __image_end: u8;
    /// The guest's life, in the binary that links this library.
    #[allow(improper_ctypes, reason = "both sides are Rust, compiled together")]
    safe fn paprika_life(machine: Powerpc64) -> !;
}

/// Names the function that `head.S` ends in: `fn(Powerpc64) -> !`.
#[macro_export]
macro_rules! entry {
    ($life:path) => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "Rust" fn paprika_life(machine: $crate::arch::powerpc64::Powerpc64) -> ! {
                let life: fn($crate::arch::powerpc64::Powerpc64) -> ! = $life;
                life(machine)
            }
        };
    };
}

/// Where the payload was loaded: the address of its first byte.
pub(super) fn load_address() -> u64 {
    &raw const _start as u64
}

/// Where the payload is, its stack included.
pub(super) fn image() -> core::ops::Range<u64> {
    load_address()..&raw const __image_end as u64
}

/// r2 of the running code: the same for all of the payload.
pub(super) fn toc() -> u64 {
    let toc;
    // SAFETY: reads a register.
    unsafe { asm!("mr {}, 2", out(reg) toc, options(nomem, nostack, preserves_flags)) };
    toc
}

/// The first Rust function, called by `head.S` on the boot processor with the payload relocated and `.bss` cleared.
extern "C" fn start(client_interface: u64, initrd: u64, initrd_size: u64, base: u64, msr: u64) -> ! {
    let block = &raw mut BOOT_BLOCK;
    // SAFETY: nothing else runs yet, and nothing has read the block; all pointers are to statics and linker symbols.
    unsafe {
        (*block).toc = toc();
        (*block).stack_top = &raw const __stack_top as u64;
        (*block).stack_low = &raw const __stack_low as u64;
        (*block).emergency_top = &raw const EMERGENCY_STACK as u64 + EMERGENCY as u64;
        (*block).handler = exception::entry_point();
        asm!("mtsprg 1, {}", in(reg) block, options(nostack, preserves_flags));
        stack::arm(&*block);
    }
    firmware::set_client_interface(client_interface);
    let (initrd, initrd_size) = if client_interface == 0 {
        restart::set_handover(initrd);
        (0, 0)
    } else {
        (initrd, initrd_size)
    };
    low_memory::take();
    let pvr: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mfpvr {}", out(reg) pvr, options(nomem, nostack, preserves_flags)) };
    paprika_life(Powerpc64 { boot: Boot { base, msr, pvr: pvr as u32, initrd, initrd_size } })
}

/// Sets the boot processor's interrupt server number, for records about it.
pub(super) fn set_boot_server(server: u32) {
    // SAFETY: only the boot processor calls this, and no assembly reads the field.
    unsafe { (&raw mut BOOT_BLOCK.server).write(u64::from(server)) };
}
