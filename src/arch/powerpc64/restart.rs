//! Starting the payload anew without a reset: the processor goes to the first byte of the image once more.
//!
//! As in kexec, r5 is 0, for there is no client interface any more, and r3 points at what the earlier life hands over. The
//! image is entered as it is: `boot/head.S` clears `.bss` and relocates, which does no harm to what is relocated; what
//! has changed in `.data` is put back here. RTAS, the tree and all else of the earlier life stay in its heap, and the
//! heap of the next one is a piece of that.

use super::{Powerpc64, clock, entry, firmware, heap, memory, processors, queues};
use crate::agent::journal;
use crate::machine::{Legacy, Restart};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// "Paprika" and what it is: a handover.
const MAGIC: u64 = u64::from_be_bytes(*b"PaprikaH");

/// Bytes of the earlier life's.
#[derive(Clone, Copy)]
#[repr(C)]
struct Span {
    start: u64,
    len: u64,
}

/// What one life hands over to the next.
#[repr(C)]
struct Handover {
    magic: u64,
    tree: Span,
    note: Span,
    heap: Span,
    keepsake: u64,
    rtas: [u64; 3],
    tick_rate: u64,
    memory_end: u64,
    initrd: Span,
}

/// Where the handover is; 0 in a life that the firmware started.
static HANDOVER: AtomicU64 = AtomicU64::new(0);

/// Remembers what r3 held, where nobody gave a client interface.
pub(super) fn set_handover(at: u64) {
    HANDOVER.store(at, Relaxed);
}

/// What is handed over, if anything is.
fn handover() -> Option<&'static Handover> {
    let at = HANDOVER.load(Relaxed) as *const Handover;
    if at.is_null() || !at.is_aligned() {
        return None;
    }
    // SAFETY: whoever enters the payload without a client interface points r3 at a handover, or at something else that
    // lies in memory and starts otherwise; nothing of the earlier life is ever written again.
    let handover = unsafe { &*at };
    (handover.magic == MAGIC).then_some(handover)
}

impl Span {
    fn of(bytes: Vec<u8>) -> Self {
        let bytes = Vec::leak(bytes);
        Self { start: bytes.as_ptr() as u64, len: bytes.len() as u64 }
    }

    fn copy(self) -> Vec<u8> {
        // SAFETY: made by `of` in the earlier life, whose heap nobody writes to any more; the new heap was a free piece of it.
        unsafe { core::slice::from_raw_parts(self.start as *const u8, self.len as usize) }.to_vec()
    }
}

impl Restart for Powerpc64 {
    fn inherit(&mut self) -> Option<Legacy> {
        let from = handover()?;
        heap::set(from.heap.start as u32, from.heap.len as u32);
        heap::set_keepsake(from.keepsake);
        firmware::inherit_rtas(from.rtas);
        clock::set_rate(from.tick_rate as u32);
        memory::set_initial_end(from.memory_end);
        self.boot.initrd = from.initrd.start;
        self.boot.initrd_size = from.initrd.len;
        Some(Legacy { tree: from.tree.copy(), note: from.note.copy() })
    }

    fn restart(&mut self, legacy: Legacy) {
        let mut handover = Box::new(Handover {
            magic: MAGIC,
            tree: Span::of(legacy.tree),
            note: Span::of(legacy.note),
            heap: Span { start: 0, len: 0 },
            keepsake: heap::keepsake(),
            rtas: firmware::rtas_home(),
            tick_rate: clock::rate(),
            memory_end: memory::initial_end(),
            initrd: Span { start: self.boot.initrd, len: self.boot.initrd_size },
        });
        let Some((start, len)) = heap::largest_piece() else { return };
        handover.heap = Span { start, len };
        processors::forget_all();
        queues::forget_all();
        journal::begin();
        let handover: *const Handover = Box::leak(handover);
        // SAFETY: the image is entered at its first byte, as by the firmware; it takes its own stack, and what it needs of this
        // life it finds through r3. Interrupts are off, as they are in all of Rust here.
        unsafe {
            asm!(
                "mtctr {entry}",
                "bctr",
                entry = in(reg) entry::load_address(),
                in("r3") handover,
                in("r4") 0,
                in("r5") 0,
                options(noreturn)
            );
        }
    }
}
