//! The queues of the XIVE controller: memory that the hypervisor writes to on its own.
//!
//! Nobody holds a reference to that memory; it is read and cleared by its address, and is never given back, since the
//! hypervisor may write to it as long as it lives.

use super::{Powerpc64, hcall, heap, stack};
use crate::machine::EventQueues;
use crate::papr::status::ReturnCode;
use crate::papr::xive::{H_INT_SET_QUEUE_CONFIG, QUEUE_ALWAYS_NOTIFY};
use alloc::vec::Vec;
use spin::Mutex;

/// A queue that the controller knows.
#[derive(Clone, Copy)]
struct Queue {
    server: u32,
    priority: u8,
    /// The power of two of its bytes.
    shift: u32,
    address: u64,
}

static QUEUES: Mutex<Vec<Queue>> = Mutex::new(Vec::new());

/// The largest queue that there can be: as large as the largest page of this kind.
const SHIFT_MOST: u32 = 24;
/// Bytes of an entry.
const ENTRY: u64 = 4;

impl Queue {
    fn find(server: u32, priority: u8) -> Option<Self> {
        QUEUES.lock().iter().copied().find(|queue| queue.server == server && queue.priority == priority)
    }

    /// Memory for a queue, aligned to its size.
    fn new(server: u32, priority: u8, shift: u32) -> Option<Self> {
        let address = heap::forever_aligned(1 << shift, 1 << shift)?;
        Some(Self { server, priority, shift, address: address.into() })
    }

    /// The addresses of its entries.
    fn entries(self) -> impl Iterator<Item = u64> {
        (self.address..self.address + (1 << self.shift)).step_by(ENTRY as usize)
    }
}

impl EventQueues for Powerpc64 {
    fn set_queue(&mut self, server: u32, priority: u8, shift: u32) -> Option<ReturnCode> {
        let queue = match Queue::find(server, priority) {
            Some(queue) if queue.shift == shift => queue,
            // Another size: the memory of the old one stays what it is.
            _ => (12..=SHIFT_MOST).contains(&shift).then(|| Queue::new(server, priority, shift))??,
        };
        QUEUES.lock().retain(|one| (one.server, one.priority) != (server, priority));
        QUEUES.lock().push(queue);
        for at in queue.entries() {
            // SAFETY: aligned and within memory that `heap::forever_aligned` gave for this queue alone.
            unsafe { (at as *mut u32).write_volatile(0) };
        }
        stack::check();
        let (server, priority) = (u64::from(server), u64::from(priority));
        let args = [QUEUE_ALWAYS_NOTIFY, server, priority, queue.address, shift.into()];
        // SAFETY: from now on the hypervisor writes to the memory of this queue, which is used for nothing else and is
        // never given back.
        Some(unsafe { hcall::raw(H_INT_SET_QUEUE_CONFIG, args) }.code)
    }

    fn queue_entry(&self, server: u32, priority: u8, place: u32) -> u32 {
        let Some(queue) = Queue::find(server, priority) else { return 0 };
        let offset = u64::from(place) * ENTRY;
        if offset >= 1 << queue.shift {
            return 0;
        }
        // SAFETY: aligned and within the queue. The hypervisor writes entries whole.
        unsafe { ((queue.address + offset) as *const u32).read_volatile() }
    }
}
