//! The firmware: the client interface and RTAS, through one way in.

use super::{Powerpc64, heap, low_memory, stack};
use crate::machine::{Arg, ClientInterface, LowMemory, Rtas, RtasHome, ServiceError};
use crate::papr::status::Status;
use core::arch::global_asm;
use core::ffi::CStr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

global_asm!(include_str!("../../../boot/firmware.S"));

unsafe extern "C" {
    /// See `boot/firmware.S`.
    fn firmware_call(r3: u64, r4: u64, entry: u64) -> u64;
}

/// The client interface's entry; 0 when there is none any more.
static CLIENT_INTERFACE: AtomicU64 = AtomicU64::new(0);
/// RTAS's memory, and its entry there; 0 before it is instantiated.
static RTAS_ENTRY: AtomicU64 = AtomicU64::new(0);
static RTAS_BASE: AtomicU64 = AtomicU64::new(0);
static RTAS_SIZE: AtomicU64 = AtomicU64::new(0);

/// Remembers the client interface's entry, as the firmware gave it.
pub(super) fn set_client_interface(entry: u64) {
    CLIENT_INTERFACE.store(entry, Relaxed);
}

/// The most argument and result cells of one call. VOF takes ten of the client interface, RTAS has no such bound;
/// nothing that this guest calls needs more.
const CELLS: usize = 16;

/// An argument block, for the client interface (name, counts, cells) and for RTAS (token, counts, cells).
#[repr(C, align(16))]
struct Block([u32; 3 + CELLS]);

/// The real address of something of ours, as a cell. All of the payload is below 4 GiB.
fn address<T: ?Sized>(thing: *const T) -> u32 {
    thing.cast::<u8>() as u32
}

/// What stands for an argument in its cell.
pub(super) fn cell(arg: &mut Arg<'_>) -> u32 {
    match arg {
        Arg::Cell(cell) => *cell,
        Arg::Str(text) => address(text.as_ptr()),
        Arg::In(bytes) => address(bytes.as_ptr()),
        Arg::Out(bytes) | Arg::InOut(bytes) => address(bytes.as_mut_ptr()),
    }
}

/// Lays out the block of a call; `None` when it has too many cells.
fn lay_out(first: u32, args: &mut [Arg<'_>], rets: usize) -> Option<Block> {
    if args.len() + rets > CELLS {
        return None;
    }
    // A result cell that the firmware does not write is to be told from one that it does.
    let mut block = Block([u32::MAX; 3 + CELLS]);
    block.0[..3].copy_from_slice(&[first, args.len() as u32, rets as u32]);
    for (slot, arg) in block.0[3..].iter_mut().zip(args) {
        *slot = cell(arg);
    }
    Some(block)
}

impl ClientInterface for Powerpc64 {
    fn service(&mut self, name: &CStr, args: &mut [Arg<'_>], rets: &mut [u32]) -> Result<(), ServiceError> {
        stack::check();
        let entry = CLIENT_INTERFACE.load(Relaxed);
        if entry == 0 {
            return Err(ServiceError::Gone);
        }
        let mut block =
            lay_out(address(name.as_ptr()), args, rets.len()).ok_or(ServiceError::TooManyCells)?;
        let lent = !low_memory::is_ours();
        low_memory::give_back();
        // SAFETY: the entry is the firmware's own, low memory is as it left it, and interrupts are off outside of
        // `clock::cede`. The block and all buffers live until the call returns; the exclusive borrows of those that it
        // may write are in `args`.
        let refused = unsafe { firmware_call(address(&raw mut block).into(), 0, entry) } as u32;
        if !lent {
            low_memory::take();
        }
        // SAFETY: the block is ours; what the firmware wrote into it is read as raw cells.
        let cells = unsafe { (&raw const block.0).read_volatile() };
        rets.copy_from_slice(&cells[3 + args.len()..][..rets.len()]);
        if refused == 0 { Ok(()) } else { Err(ServiceError::Missing) }
    }
}

impl LowMemory for Powerpc64 {
    fn lend(&mut self) {
        low_memory::give_back();
    }

    fn take(&mut self) {
        low_memory::take();
    }

    fn retire_firmware(&mut self) {
        set_client_interface(0);
        low_memory::take();
    }
}

/// One RTAS call: through RTAS's own entry, once it is there.
pub(super) fn rtas(token: u32, args: &mut [Arg<'_>], rets: &mut [u32]) -> Status {
    let entry = RTAS_ENTRY.load(Relaxed);
    let Some(mut block) = lay_out(token, args, rets.len() + 1) else { return Status::PARAMETER };
    if entry == 0 {
        return Status::HARDWARE;
    }
    // SAFETY: RTAS was instantiated at memory that is its own for good; it runs in real mode with interrupts off, and
    // what it writes are the block and the buffers in `args`, which live until it returns.
    unsafe { firmware_call(address(&raw mut block).into(), RTAS_BASE.load(Relaxed), entry) };
    // SAFETY: the block is ours; what RTAS wrote into it is read as raw cells.
    let cells = unsafe { (&raw const block.0).read_volatile() };
    let answers = &cells[3 + args.len()..];
    rets.copy_from_slice(&answers[1..=rets.len()]);
    Status(answers[0] as i32)
}

impl Rtas for Powerpc64 {
    fn rtas(&mut self, token: u32, args: &mut [Arg<'_>], rets: &mut [u32]) -> Status {
        stack::check();
        rtas(token, args, rets)
    }
}

/// RTAS's memory, its size and its entry there, for the next life.
pub(super) fn rtas_home() -> [u64; 3] {
    [RTAS_BASE.load(Relaxed), RTAS_SIZE.load(Relaxed), RTAS_ENTRY.load(Relaxed)]
}

/// Uses the RTAS that an earlier life has instantiated.
pub(super) fn inherit_rtas([base, size, entry]: [u64; 3]) {
    RTAS_BASE.store(base, Relaxed);
    RTAS_SIZE.store(size, Relaxed);
    RTAS_ENTRY.store(entry, Relaxed);
}

impl RtasHome for Powerpc64 {
    fn rtas_memory(&mut self, size: u32) -> Option<u32> {
        let base = heap::forever(size as usize)?;
        RTAS_BASE.store(base.into(), Relaxed);
        RTAS_SIZE.store(size.into(), Relaxed);
        Some(base)
    }

    fn enter_rtas_at(&mut self, entry: u32) -> bool {
        let base = RTAS_BASE.load(Relaxed);
        let inside = (base..base + RTAS_SIZE.load(Relaxed)).contains(&entry.into());
        if inside {
            RTAS_ENTRY.store(entry.into(), Relaxed);
        }
        inside
    }
}
