//! What is known and set in one place each, and ways to crash on purpose.

use super::{Powerpc64, block, clock, entry, heap, memory, panic, processors};
use crate::machine::{Boot, Crash, HeapUse, Hypervisor, Platform, Taken};
use crate::papr::hcall::Hcall;
use core::arch::asm;
use core::sync::atomic::Ordering::Relaxed;

impl Platform for Powerpc64 {
    fn boot(&self) -> Boot {
        self.boot
    }

    fn set_heap(&mut self, base: u32, size: u32) {
        heap::set(base, size);
    }

    fn heap(&self) -> HeapUse {
        heap::usage()
    }

    fn set_tick_rate(&mut self, rate: u32) {
        clock::set_rate(rate);
    }

    fn set_initial_memory_end(&mut self, end: u64) {
        memory::set_initial_end(end);
    }

    fn set_server(&mut self, server: u32) {
        entry::set_boot_server(server);
    }

    fn set_os_term(&mut self, token: u32) {
        panic::set_os_term(token);
    }

    fn set_stop_self(&mut self, token: u32) {
        processors::set_stop_self(token);
    }

    fn taken(&self) -> Taken {
        let block = block::current();
        Taken { count: block.taken.load(Relaxed), at: block.taken_at.load(Relaxed) }
    }

    fn crash(&mut self, how: Crash) {
        match how {
            Crash::Panic => panic!("crash=panic was asked for"),
            // SAFETY: ends the guest, which is what was asked for.
            Crash::Trap => unsafe { asm!("trap", options(noreturn)) },
            Crash::Load => load(),
            Crash::Stack => {
                fill(self, 0);
            }
        }
    }
}

/// Where no pseries has memory: in the middle of the largest hole of its real address space.
///
/// Ref: QEMU hw/ppc/spapr.c (PCI windows start at 32 TiB)
const NOWHERE: u64 = 0x0fff_ffff_0000_0000;

/// Loads from where nothing is. Newer QEMUs answer with a machine check; older ones read zeroes, and so that this
/// ends badly everywhere, what was read is then executed: a zero is no instruction.
fn load() {
    // SAFETY: ends the guest, which is what was asked for.
    unsafe {
        asm!(
            "ld 3, 0(4)",
            "mtctr 4",
            "bctr",
            in("r4") NOWHERE,
            options(noreturn)
        );
    }
}

/// Eats the stack, with a call to the hypervisor at each level, as code that recurses in earnest would have.
#[inline(never)]
#[allow(unconditional_recursion, reason = "this is what was asked for")]
fn fill(machine: &mut Powerpc64, level: u64) -> u64 {
    let eaten = [level; 64];
    machine.hcall(Hcall::get_term_char(0));
    let below = fill(machine, core::hint::black_box(&eaten)[0] + 1);
    below + eaten[1]
}
