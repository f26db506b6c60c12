//! Trying memory that was plugged: every page gets a pattern, and must hold it.

use super::{Powerpc64, block};
use crate::machine::{Memory, MemoryRange, MemoryReport};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where the memory ends that was there at boot, in which the payload, its heap and the firmware live.
static INITIAL_END: AtomicU64 = AtomicU64::new(u64::MAX);

/// The pattern of an address: its bits, stirred, so that neither a stuck line nor a mirrored block passes.
const fn pattern(address: u64) -> u64 {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ address.rotate_left(32)
}

/// The doubleword of a page that is tried; it moves from page to page, so that every offset has its turn. `page` is a
/// power of two: this runs for each page of all memory, where a division would be most of the work.
const fn probe(page_address: u64, page: u64) -> u64 {
    page_address + (((page_address >> page.trailing_zeros()) << 3) & (page - 1))
}

/// Says where the memory ends that was there at boot. Nothing below is ever tried.
pub(super) fn set_initial_end(end: u64) {
    INITIAL_END.store(end, Relaxed);
}

/// Where the memory ends in which the guest itself lives; the highest address while nobody has said so.
pub(super) fn initial_end() -> u64 {
    INITIAL_END.load(Relaxed)
}

/// The addresses of the pages of a range, if none of them is ours.
fn pages(range: MemoryRange, page: u64) -> Option<impl Iterator<Item = u64>> {
    let end = foreign(range.base, range.size)?;
    let fits = page >= 8 && page.is_power_of_two() && range.base.is_multiple_of(page);
    fits.then(|| (range.base..end).step_by(page as usize))
}

/// The end of memory that was not there at boot, so that no object of ours is in it.
fn foreign(base: u64, size: u64) -> Option<u64> {
    base.checked_add(size).filter(|_| base >= initial_end())
}

impl Memory for Powerpc64 {
    fn try_pages(&mut self, range: MemoryRange, page: u64) -> Option<MemoryReport> {
        for address in pages(range, page)? {
            let at = probe(address, page);
            // SAFETY: `range` lies beyond all memory that was there at boot, so no object of ours is in it; the caller
            // has taken it from the hypervisor. Real-mode addresses are pointers here, and this one is aligned.
            unsafe { (at as *mut u64).write_volatile(pattern(at)) };
        }
        self.check_pages(range, page)
    }

    fn check_pages(&self, range: MemoryRange, page: u64) -> Option<MemoryReport> {
        let mut report = MemoryReport::default();
        for address in pages(range, page)? {
            let at = probe(address, page);
            report.pages += 1;
            // SAFETY: as in `try_pages`.
            if unsafe { (at as *const u64).read_volatile() } != pattern(at) {
                report.bad += 1;
            }
        }
        Some(report)
    }

    fn load<const N: usize>(&self, address: u64) -> Option<[u64; N]> {
        foreign(address, size_of::<[u64; N]>() as u64).filter(|_| address.is_multiple_of(8))?;
        // SAFETY: as in `try_pages`, for each of the doublewords.
        Some(core::array::from_fn(|at| unsafe { (address as *const u64).add(at).read_volatile() }))
    }

    fn touch(&self, address: u64) -> Option<Option<u64>> {
        foreign(address, size_of::<u64>() as u64).filter(|_| address.is_multiple_of(8))?;
        let (loaded, value): (u64, u64);
        let recovery = (&raw const block::current().recovery).cast::<u64>();
        // SAFETY: as in `try_pages`, but the memory may be gone: then the load raises an exception, and `boot/vectors.S`
        // goes on at label 3 with all registers as they were, as `recovery` says. It stands there for this load alone.
        unsafe {
            asm!(
                "bcl 20, 31, 2f",           // where are we? (this form is no call to a branch predictor)
                "2: mflr {value}",
                "addi {value}, {value}, 3f - 2b",
                "std {value}, 0({recovery})", // from here on an exception leads to 3 ...
                "li {loaded}, 0",
                "ld {value}, 0({address})",
                "twi 0, {value}, 0",        // (a trap that never traps, but waits for the value)
                "isync",
                "li {loaded}, 1",
                "3: li 0, 0",
                "std 0, 0({recovery})",     // ... and from here on not any more
                address = in(reg_nonzero) address,
                recovery = in(reg_nonzero) recovery,
                loaded = out(reg) loaded,
                value = out(reg_nonzero) value,
                out("r0") _,
                out("lr") _,
                options(nostack, preserves_flags),
            );
        }
        Some((loaded == 1).then_some(value))
    }

    fn store<const N: usize>(&mut self, address: u64, words: [u64; N]) -> Option<()> {
        foreign(address, size_of::<[u64; N]>() as u64).filter(|_| address.is_multiple_of(8))?;
        for (at, word) in (address..).step_by(8).zip(words) {
            // SAFETY: as in `try_pages`.
            unsafe { (at as *mut u64).write_volatile(word) };
            // SAFETY: writes the doubleword's cache block back; nothing else changes.
            unsafe { asm!("dcbst 0, {}", in(reg) at, options(nostack, preserves_flags)) };
        }
        // SAFETY: orders what was written back before what follows.
        unsafe { asm!("sync", options(nostack, preserves_flags)) };
        Some(())
    }
}
