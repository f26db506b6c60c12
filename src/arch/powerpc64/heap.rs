//! The allocator: one piece of memory that the firmware lends, under `linked_list_allocator`.

use super::Powerpc64;
use crate::machine::{HeapUse, KEEPSAKE, Keepsake};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use linked_list_allocator::Heap;
use spin::Mutex;

/// The heap, and the most that was ever in use.
struct Allocator(Mutex<(Heap, usize)>);

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(Mutex::new((Heap::empty(), 0)));

// SAFETY: memory comes from `linked_list_allocator`, under a lock. No interrupt handler allocates, so the lock cannot
// be taken again by the thread that holds it.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (heap, high_water) = &mut *self.0.lock();
        let start = heap.allocate_first_fit(layout).map_or(null_mut(), NonNull::as_ptr);
        *high_water = (*high_water).max(heap.used());
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if let Some(start) = NonNull::new(start) {
            // SAFETY: the caller got this from `alloc` with the same layout.
            unsafe { self.0.lock().0.deallocate(start, layout) };
        }
    }
}

/// A page that RTAS, or anybody who wants a page, can live in.
const PAGE: usize = 4096;

/// Memory that is never given back, page-aligned and cleared; its address.
pub(super) fn forever(size: usize) -> Option<u32> {
    forever_aligned(size, PAGE)
}

/// The same with another alignment, a power of two.
pub(super) fn forever_aligned(size: usize, align: usize) -> Option<u32> {
    let layout = Layout::from_size_align(size.max(1), align).ok()?;
    // SAFETY: the layout has a size; the result is checked.
    let start = unsafe { alloc::alloc::alloc_zeroed(layout) };
    (!start.is_null()).then_some(start as u32)
}

/// Bytes of the keepsake, behind the heap.
const KEEPSAKE_BYTES: usize = KEEPSAKE * size_of::<u64>();
/// Where it is; 0 before there is a heap.
static KEEPSAKE_AT: AtomicU64 = AtomicU64::new(0);

/// Where the keepsake is, for the next life.
pub(super) fn keepsake() -> u64 {
    KEEPSAKE_AT.load(Relaxed)
}

/// Uses the keepsake of the life that the firmware started, so that a boot finds it where it looks.
pub(super) fn set_keepsake(at: u64) {
    KEEPSAKE_AT.store(at, Relaxed);
}

impl Keepsake for Powerpc64 {
    fn keepsake(&self) -> Option<[u64; KEEPSAKE]> {
        let at = KEEPSAKE_AT.load(Relaxed) as *const u64;
        // SAFETY: `set` has kept these doublewords out of the heap; whatever is there, any bits are numbers.
        (!at.is_null()).then(|| core::array::from_fn(|i| unsafe { at.add(i).read_volatile() }))
    }

    fn keep(&mut self, words: [u64; KEEPSAKE]) {
        let at = KEEPSAKE_AT.load(Relaxed) as *mut u64;
        for (i, word) in words.into_iter().enumerate().filter(|_| !at.is_null()) {
            // SAFETY: as above; only this processor writes them.
            unsafe { at.add(i).write_volatile(word) };
        }
    }
}

/// Gives the allocator its memory: `size` bytes at `base`, which the firmware's `claim` has just returned; the end of it is
/// the keepsake's.
/// Only the first call has an effect.
pub(super) fn set(base: u32, size: u32) {
    let (heap, _) = &mut *ALLOCATOR.0.lock();
    if heap.size() == 0 {
        // SAFETY: `claim` hands out memory that belongs to nobody else, and the client program keeps it.
        unsafe { heap.init(base as *mut u8, size as usize - KEEPSAKE_BYTES) };
        KEEPSAKE_AT.store(u64::from(base) + u64::from(size) - KEEPSAKE_BYTES as u64, Relaxed);
    }
}

/// Takes about the largest piece of the heap that is free; its address, and its bytes. It is never given back.
pub(super) fn largest_piece() -> Option<(u64, u64)> {
    const ALIGN: usize = 64 << 10;
    let HeapUse { size, used, .. } = usage();
    let mut wanted = (size - used) & !(ALIGN - 1);
    while wanted >= ALIGN {
        let layout = Layout::from_size_align(wanted, ALIGN).ok()?;
        // SAFETY: the layout has a size; the result is checked.
        let start = unsafe { ALLOCATOR.alloc(layout) };
        if !start.is_null() {
            return Some((start as u64, wanted as u64));
        }
        wanted -= ALIGN;
    }
    None
}

/// Where the heap is.
pub(super) fn range() -> core::ops::Range<u64> {
    let (heap, _) = &*ALLOCATOR.0.lock();
    heap.bottom() as u64..heap.top() as u64
}

/// How full the heap is.
pub(super) fn usage() -> HeapUse {
    let (heap, high_water) = &*ALLOCATOR.0.lock();
    HeapUse { size: heap.size(), used: heap.used(), high_water: *high_water }
}
