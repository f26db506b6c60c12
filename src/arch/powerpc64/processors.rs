//! Starting other threads, hearing from them, and stopping them.
//!
//! A thread gets a block and a stack of its own from the heap. It says that it runs by writing into its block, waits
//! by ceding, and stops itself when it is asked to. Stack and block are kept for the next time: a server number that
//! was used once is likely to come again, and a stopped thread that QEMU has not quite stopped must not run on freed
//! memory.

use super::block::{self, Block};
use super::{Powerpc64, clock, entry, exception, firmware, stack};
use crate::machine::{Boot, Listener, Processors, Slice, ThreadReport};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;

/// Values of [`Block::state`]: not in use.
const FREE: u32 = 0;
/// Prepared, and perhaps started.
const PREPARED: u32 = 1;
/// It runs and has said so.
const RUNNING: u32 = 2;
/// It has been asked to stop.
const ASKED: u32 = 3;
/// It is about to call stop-self.
const STOPPING: u32 = 4;

/// Values of [`Block::work`]: none.
const IDLE: u32 = 0;
/// Given, and not done yet.
const GIVEN: u32 = 1;
/// Done: the sum is there.
const DONE: u32 = 2;

/// Bytes of a thread's stack, and of its stack for exceptions.
const STACK: usize = 32 * 1024;
const EMERGENCY: usize = 16 * 1024;
/// How often a waiting thread looks whether it is to stop: a sixteenth of a second if nobody prods it.
const LOOK: u64 = 32_000_000;

/// A thread that was prepared at least once.
struct Thread {
    server: u32,
    /// Never freed, and shared with the thread, which knows it by SPRG1.
    block: &'static Block,
    /// The address of the same.
    address: u32,
    /// What it does each time that it wakes. Never freed either.
    listener: &'static Mutex<Option<Listener<Powerpc64>>>,
}

static THREADS: Mutex<Vec<Thread>> = Mutex::new(Vec::new());

/// The token of `stop-self`: a thread has nobody to ask.
static STOP_SELF: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    /// See `boot/secondary.S`.
    fn secondary_start();
}

fn block_of(server: u32) -> Option<&'static Block> {
    THREADS.lock().iter().find(|thread| thread.server == server).map(|thread| thread.block)
}

fn listener_of(server: u32) -> Option<&'static Mutex<Option<Listener<Powerpc64>>>> {
    THREADS.lock().iter().find(|thread| thread.server == server).map(|thread| thread.listener)
}

/// Sixteen bytes, aligned so.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Quadword([u8; 16]);

/// A stack that is never freed; its lowest address. `None` when there is no memory for it.
fn new_stack(bytes: usize) -> Option<u64> {
    let mut stack = Vec::new();
    stack.try_reserve_exact(bytes / 16).ok()?;
    stack.resize(bytes / 16, Quadword([0; 16]));
    Some(Vec::leak(stack).as_ptr() as u64)
}

/// A new thread's block, with its stacks. `None` when there is no memory for them.
fn make(server: u32) -> Option<Thread> {
    let mut block = Block::empty();
    block.toc = entry::toc();
    block.stack_low = new_stack(STACK)?;
    block.stack_top = block.stack_low + STACK as u64;
    block.emergency_top = new_stack(EMERGENCY)? + EMERGENCY as u64;
    block.handler = exception::entry_point();
    block.server = u64::from(server);
    // SAFETY: the stack was made above.
    unsafe { stack::arm(&block) };
    let block: &'static Block = Box::leak(Box::new(block));
    let listener = Box::leak(Box::new(Mutex::new(None)));
    Some(Thread { server, block, address: block as *const Block as u32, listener })
}

/// Sets the token of `stop-self`.
pub(super) fn set_stop_self(token: u32) {
    STOP_SELF.store(token, Ordering::Relaxed);
}

impl Processors for Powerpc64 {
    fn prepare(&mut self, server: u32) -> Option<(u32, u32)> {
        if block_of(server).is_none() {
            let thread = make(server)?;
            THREADS.lock().push(thread);
        }
        let threads = THREADS.lock();
        let thread = threads.iter().find(|thread| thread.server == server)?;
        let state = &thread.block.state;
        state.compare_exchange(FREE, PREPARED, Ordering::AcqRel, Ordering::Acquire).ok()?;
        Some((secondary_start as *const () as u32, thread.address))
    }

    fn report(&self, server: u32) -> Option<ThreadReport> {
        let block = block_of(server)?;
        let state = block.state.load(Ordering::Acquire);
        (state >= RUNNING).then(|| ThreadReport {
            stack: block.seen_stack.load(Ordering::Relaxed),
            server: block.server as u32,
        })
    }

    fn ask_to_stop(&mut self, server: u32) {
        if let Some(block) = block_of(server) {
            let _ = block.state.compare_exchange(RUNNING, ASKED, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    fn is_stopping(&self, server: u32) -> bool {
        block_of(server).is_some_and(|block| block.state.load(Ordering::Acquire) == STOPPING)
    }

    fn running(&self) -> Vec<u32> {
        let threads = THREADS.lock();
        let running = threads.iter().filter(|one| one.block.state.load(Ordering::Acquire) == RUNNING);
        running.map(|one| one.server).collect()
    }

    fn give(&mut self, server: u32, work: Slice) -> bool {
        let Some(block) = block_of(server) else { return false };
        // A sum that nobody took is of no use to anybody.
        let is_free = block.work.load(Ordering::Acquire) != GIVEN;
        if !is_free || block.state.load(Ordering::Acquire) != RUNNING {
            return false;
        }
        block.first.store(work.first, Ordering::Relaxed);
        block.count.store(work.count, Ordering::Relaxed);
        block.work.store(GIVEN, Ordering::Release);
        true
    }

    fn sum(&mut self, server: u32) -> Option<u64> {
        let block = block_of(server)?;
        block.work.compare_exchange(DONE, IDLE, Ordering::AcqRel, Ordering::Acquire).ok()?;
        Some(block.sum.load(Ordering::Relaxed))
    }

    fn listen(&mut self, server: u32, listener: Option<Listener<Self>>) -> bool {
        let runs = block_of(server).is_some_and(|block| block.state.load(Ordering::Acquire) == RUNNING);
        match listener_of(server).filter(|_| runs) {
            Some(slot) => {
                *slot.lock() = listener;
                true
            }
            None => false,
        }
    }

    fn forget(&mut self, server: u32) {
        if let Some(slot) = listener_of(server) {
            *slot.lock() = None;
        }
        if let Some(block) = block_of(server) {
            block.work.store(IDLE, Ordering::Relaxed);
            block.state.store(FREE, Ordering::Release);
        }
    }
}

/// A secondary thread's life, called by `boot/secondary.S` on the thread's own stack.
pub(super) extern "C" fn secondary(_: *mut Block) -> ! {
    let block = block::current();
    block.seen_stack.store(stack::pointer(), Ordering::Relaxed);
    block.state.store(RUNNING, Ordering::Release);
    let mut machine = Powerpc64 { boot: Boot::default() };
    let listener = listener_of(block.server as u32);
    while block.state.load(Ordering::Acquire) != ASKED {
        if let Some(slot) = listener
            && let Some(listen) = slot.lock().as_mut()
        {
            listen(&mut machine);
        }
        if block.work.load(Ordering::Acquire) == GIVEN {
            work(block);
        } else {
            clock::pause(LOOK);
        }
    }
    block.state.store(STOPPING, Ordering::Release);
    // It does not come back. Where it was refused there is nothing left to do but to wait.
    firmware::rtas(STOP_SELF.load(Ordering::Relaxed), &mut [], &mut []);
    loop {
        clock::pause(u64::MAX);
    }
}

/// Adds up what was given, number by number: the compiler is kept from knowing better.
fn work(block: &Block) {
    let (first, count) = (block.first.load(Ordering::Relaxed), block.count.load(Ordering::Relaxed));
    let numbers = (first..first.saturating_add(count)).map(core::hint::black_box);
    block.sum.store(numbers.fold(0, u64::wrapping_add), Ordering::Relaxed);
    block.work.store(DONE, Ordering::Release);
}
