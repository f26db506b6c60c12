//! The seam: where the machine begins.
//!
//! Everything above the seam is ordinary code that builds and is tested on any host; `arch` implements these traits
//! on the real machine, and the unit tests implement them with models of the other side's half.

use crate::papr::hcall::{Hcall, Reply};
use crate::papr::pci::Width;
use crate::papr::status::{ReturnCode, Status};
use crate::word_enum;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;

/// One argument cell of a call to the firmware. Buffers are handed over by address, for the time of the call.
#[derive(Debug)]
pub enum Arg<'a> {
    /// A number.
    Cell(u32),
    /// The address of a string with its NUL.
    Str(&'a CStr),
    /// The address of bytes that the firmware reads.
    In(&'a [u8]),
    /// The address of bytes that the firmware writes.
    Out(&'a mut [u8]),
    /// The address of bytes that the firmware reads and writes.
    InOut(&'a mut [u8]),
}

/// Calls to the hypervisor.
pub trait Hypervisor {
    /// Makes the call. [`Hcall`] can only be made for calls that do not write to our memory.
    fn hcall(&mut self, call: Hcall) -> Reply;
}

/// The client interface could not serve a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceError {
    /// The firmware does not know the service, or its entry refused.
    Missing,
    /// The firmware has been told to quiesce: there is nobody to call any more.
    Gone,
    /// More arguments and results than a call can have.
    TooManyCells,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the firmware does not have this service",
            Self::Gone => "the firmware has been quiesced",
            Self::TooManyCells => "more cells than a client interface call can have",
        })
    }
}

/// Calls to Open Firmware's client interface.
///
/// Ref: IEEE 1275 6.3
pub trait ClientInterface {
    /// Calls `name` with `args`; the result cells land in `rets`.
    ///
    /// # Errors
    /// When there is no such service, or no firmware any more.
    fn service(&mut self, name: &CStr, args: &mut [Arg<'_>], rets: &mut [u32]) -> Result<(), ServiceError>;
}

/// Calls to RTAS.
///
/// Ref: LoPAR 7.2
pub trait Rtas {
    /// Calls `token`; the first result cell is returned, the others land in `rets`. One call, however it is answered:
    /// who wants to honour a busy status uses [`crate::papr::rtas::Calls`].
    fn rtas(&mut self, token: u32, args: &mut [Arg<'_>], rets: &mut [u32]) -> Status;
}

/// Putting RTAS into memory.
///
/// Ref: LoPAR 7.2.3 (instantiate-rtas)
pub trait RtasHome {
    /// Finds `size` bytes for RTAS that are its own for good; their address.
    fn rtas_memory(&mut self, size: u32) -> Option<u32>;
    /// Uses RTAS through this entry from now on. `false` when it does not lie in the memory that was found for it.
    fn enter_rtas_at(&mut self, entry: u32) -> bool;
}

/// Low memory, where the exception vectors are: the firmware lives there too.
pub trait LowMemory {
    /// Gives low memory to the firmware for a series of calls: a fault is the firmware's until [`LowMemory::take`].
    /// Without it low memory is swapped around every single call.
    fn lend(&mut self);
    /// Takes low memory back: our vectors are in place.
    fn take(&mut self);
    /// The firmware has been told to quiesce: nobody is called any more, and low memory is ours for good.
    fn retire_firmware(&mut self);
}

/// Negotiating in ways in which no operating system does.
pub trait Negotiator {
    /// `KVMPPC_H_CAS`: what a firmware calls when its client negotiates. The tree lands in `tree`, with a header in front of it
    /// (see [`crate::papr::hcall::CAS_HEADER`]); it is as good as any memory that the platform may write to.
    ///
    /// Ref: QEMU hw/ppc/spapr_hcall.c (h_client_architecture_support)
    fn h_cas(&mut self, vectors: Arg<'_>, tree: &mut [u8]) -> ReturnCode;
    /// Puts `bytes` at the real address `at`, in memory that the firmware's `claim` gave to nobody else. `false` where the
    /// guest itself lives.
    fn put(&mut self, at: u32, bytes: &[u8]) -> bool;
}

/// The time base.
pub trait Clock {
    /// Ticks of the time base.
    fn ticks(&self) -> u64;
    /// Ticks in a second.
    fn tick_rate(&self) -> u64;
    /// Gives the processor away for about `ticks`, or until an interrupt comes.
    fn pause(&mut self, ticks: u64);
    /// Takes the interrupts that are waiting, and keeps the processor.
    fn breathe(&mut self) {}
    /// Gives the processor away for about `ms` milliseconds, however many interrupts come.
    fn sleep_ms(&mut self, ms: u32) {
        let until = self.ticks().saturating_add(self.tick_rate() / 1000 * u64::from(ms));
        loop {
            let now = self.ticks();
            if now >= until {
                return;
            }
            self.pause(until - now);
        }
    }
}

/// A range of real memory that is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// The first real address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// What trying memory gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// Pages that were written.
    pub pages: u64,
    /// Pages that did not hold what was written.
    pub bad: u64,
}

/// Memory that is not ours from the start.
pub trait Memory {
    /// Writes a pattern derived from its address into each page of `page` bytes, then reads all of them back.
    /// `None` where the range touches memory that the guest itself lives in, or wraps around.
    fn try_pages(&mut self, range: MemoryRange, page: u64) -> Option<MemoryReport>;
    /// Looks whether the pages still hold the pattern, without writing. `None` as for [`Memory::try_pages`].
    fn check_pages(&self, range: MemoryRange, page: u64) -> Option<MemoryReport>;
    /// Reads doublewords. `None` as for [`Memory::try_pages`], or where the address is no multiple of 8.
    fn load<const N: usize>(&self, address: u64) -> Option<[u64; N]>;
    /// Reads a doubleword that may not be there any more; the inner `None` where it is not. `None` as for
    /// [`Memory::load`].
    fn touch(&self, address: u64) -> Option<Option<u64>>;
    /// Writes doublewords, and sends them on from the processor's cache to where they stay. `None` as for
    /// [`Memory::load`].
    fn store<const N: usize>(&mut self, address: u64, words: [u64; N]) -> Option<()>;
}

/// An access to a device was not made, or was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// Below this address is the memory in which the guest itself lives.
    Memory(u64),
    /// The address is no multiple of the width.
    Misaligned,
    /// The hypervisor refused.
    Refused(ReturnCode),
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(u64::MAX) => f.write_str("nobody has said yet where the guest's own memory ends"),
            Self::Memory(end) => write!(f, "the guest's own memory reaches up to {end:#x}"),
            Self::Misaligned => f.write_str("the address is not a multiple of the width"),
            Self::Refused(code) => write!(f, "the hypervisor refuses: {code}"),
        }
    }
}

impl IoError {
    /// Whether an access of so many bytes may be made by a guest that lives below `memory_end`.
    ///
    /// # Errors
    /// When it may not, and why.
    pub fn check(address: u64, bytes: u32, memory_end: u64) -> Result<(), Self> {
        if address < memory_end {
            return Err(Self::Memory(memory_end));
        }
        let aligned = address.is_multiple_of(u64::from(bytes));
        if aligned { Ok(()) } else { Err(Self::Misaligned) }
    }
}

/// Accesses to devices, by real address. The hypervisor makes them, since in real mode a guest cannot say that an
/// access is not to be cached. A number is in the order of the processor; PCI devices want it turned around.
///
/// The memory that was there at boot is not reached: a store to it would be a store through the back door.
///
/// Ref: QEMU hw/ppc/spapr_hcall.c (h_logical_load, h_logical_store), which come from LoPAR 14.5.4
pub trait Io {
    /// Loads `width` bytes.
    ///
    /// # Errors
    /// See [`IoError`].
    fn io_load(&mut self, address: u64, width: Width) -> Result<u32, IoError>;
    /// Stores `width` bytes.
    ///
    /// # Errors
    /// See [`IoError`]; nothing was stored then.
    fn io_store(&mut self, address: u64, width: Width, value: u32) -> Result<(), IoError>;
    /// Loads eight bytes.
    ///
    /// # Errors
    /// See [`IoError`].
    fn io_load_double(&mut self, address: u64) -> Result<u64, IoError>;
    /// Stores eight bytes.
    ///
    /// # Errors
    /// See [`IoError`]; nothing was stored then.
    fn io_store_double(&mut self, address: u64, value: u64) -> Result<(), IoError>;
}

/// Queues in the guest's memory into which the interrupt controller writes what it lets through.
///
/// The guest hands out memory here that the hypervisor writes to whenever it likes, so only the machine knows where it
/// is; the layers above read entries by their place.
///
/// Ref: QEMU hw/intc/spapr_xive.c (h_int_set_queue_config)
pub trait EventQueues {
    /// Gives the controller an empty queue of 2^`shift` bytes for what goes to a thread with this priority. Where there was
    /// one, it is emptied and given again. `None` when there is no memory for it.
    fn set_queue(&mut self, server: u32, priority: u8, shift: u32) -> Option<ReturnCode>;
    /// The entry at this place of the queue, counted from 0; 0 where there is no such place, as in a queue that has never
    /// been written to.
    fn queue_entry(&self, server: u32, priority: u8, place: u32) -> u32;
}

/// What a thread says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadReport {
    /// Its stack pointer, as it saw it itself.
    pub stack: u64,
    /// The interrupt server number that it was told.
    pub server: u32,
}

/// Numbers that are to be added up: those from `first` on, `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The first.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// What a thread is to do each time that it wakes, with a machine of its own.
pub type Listener<M> = Box<dyn FnMut(&mut M) + Send>;

/// The other threads of the machine.
pub trait Processors {
    /// Readies a stack for the thread with this interrupt server number, and returns the entry address and the
    /// argument for `start-cpu`. `None` when there is no memory for one more, or the thread is already in use.
    fn prepare(&mut self, server: u32) -> Option<(u32, u32)>;
    /// What the thread has said, once it runs.
    fn report(&self, server: u32) -> Option<ThreadReport>;
    /// Asks the thread to stop itself.
    fn ask_to_stop(&mut self, server: u32);
    /// Whether the thread has got as far as its last call, `stop-self`.
    fn is_stopping(&self, server: u32) -> bool;
    /// The threads that run and have not been asked to stop, by their interrupt server numbers.
    fn running(&self) -> Vec<u32>;
    /// Gives work to a thread that runs and is not at work. It wakes when it is prodded. `false` when there is no such thread.
    fn give(&mut self, server: u32, work: Slice) -> bool;
    /// Takes the sum that a thread has come to; `None` while it is at work.
    fn sum(&mut self, server: u32) -> Option<u64>;
    /// Has a thread that runs do this from now on each time that it wakes; nothing for `None`. `false` when there is no such
    /// thread.
    fn listen(&mut self, server: u32, listener: Option<Listener<Self>>) -> bool
    where
        Self: Sized;
    /// The thread stands still: its stack may be used again.
    fn forget(&mut self, server: u32);
}

/// Doublewords of a keepsake.
pub const KEEPSAKE: usize = 4;

/// A few doublewords in memory that no image is loaded over: what a boot leaves there the next one may find.
pub trait Keepsake {
    /// What is there. `None` before the heap is, behind which it lies.
    fn keepsake(&self) -> Option<[u64; KEEPSAKE]>;
    /// Leaves these; nothing happens before there is a heap.
    fn keep(&mut self, words: [u64; KEEPSAKE]);
}

/// What a life hands over to one that begins without a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// The flattened device tree, as it was read last.
    pub tree: Vec<u8>,
    /// The note of what it had.
    pub note: Vec<u8>,
}

/// Beginning anew without a reset, as an operating system does that starts another one by kexec.
pub trait Restart {
    /// Takes what an earlier life handed over, with its heap, its RTAS and its time base; `None` where the firmware has
    /// started this one.
    fn inherit(&mut self) -> Option<Legacy>;
    /// Enters the payload once more. Returns only where there is no memory for that.
    fn restart(&mut self, legacy: Legacy);
}

/// What the firmware told the payload when it jumped to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// Where the payload was loaded.
    pub base: u64,
    /// The machine state register at entry.
    pub msr: u64,
    /// The processor version register.
    pub pvr: u32,
    /// Where the initial ramdisk starts; 0 without one.
    pub initrd: u64,
    /// Bytes of the initial ramdisk.
    pub initrd_size: u64,
}

/// What the heap holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapUse {
    /// All of it.
    pub size: usize,
    /// In use now.
    pub used: usize,
    /// The most that was ever in use.
    pub high_water: usize,
}

/// External interrupts that this processor has taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many in this boot.
    pub count: u64,
    /// The time base at the last of them.
    pub at: u64,
}

word_enum! {
    /// A way to end badly, on purpose.
    pub enum Crash {
        /// A Rust panic.
        Panic = "panic",
        /// A trap instruction.
        Trap = "trap",
        /// A load from where there is no memory.
        Load = "load",
        /// A stack that grows without end.
        Stack = "stack",
    }
}

/// What only the machine itself can do or know, beside calls.
pub trait Platform {
    /// What the firmware told.
    fn boot(&self) -> Boot;
    /// Gives the allocator its memory: `size` bytes at `base`, fresh from the firmware's `claim`. Only once.
    fn set_heap(&mut self, base: u32, size: u32);
    /// How full the heap is.
    fn heap(&self) -> HeapUse;
    /// Sets how many ticks a second has; 0 is no news.
    fn set_tick_rate(&mut self, rate: u32);
    /// Says where the memory ends that was there at boot; nothing below is ever tried.
    fn set_initial_memory_end(&mut self, end: u64);
    /// Sets this processor's interrupt server number.
    fn set_server(&mut self, server: u32);
    /// Sets the token of `ibm,os-term`, for the day when there is nobody left to ask.
    fn set_os_term(&mut self, token: u32);
    /// Sets the token of `stop-self`, for the threads that this processor starts.
    fn set_stop_self(&mut self, token: u32);
    /// External interrupts that this processor has taken.
    fn taken(&self) -> Taken;
    /// Ends badly. Returns where this machine has no such way to end.
    fn crash(&mut self, how: Crash);
}

/// A whole machine.
pub trait Machine:
    Hypervisor
    + ClientInterface
    + Negotiator
    + Rtas
    + RtasHome
    + LowMemory
    + Clock
    + Memory
    + Io
    + EventQueues
    + Processors
    + Keepsake
    + Restart
    + Platform
{
}

impl<M> Machine for M where
    M: Hypervisor
        + ClientInterface
        + Negotiator
        + Rtas
        + RtasHome
        + LowMemory
        + Clock
        + Memory
        + Io
        + EventQueues
        + Processors
        + Keepsake
        + Restart
        + Platform
{
}

#[cfg(test)]
mod tests {
    use super::{IoError, Width};

    #[test]
    fn no_access_to_a_device_reaches_the_guests_own_memory() {
        let end = 0x2000_0000;
        let check = |address, width: Width| IoError::check(address, width.bytes(), end);
        assert_eq!(check(end - 4, Width::Word), Err(IoError::Memory(end)));
        assert_eq!(check(0, Width::Byte), Err(IoError::Memory(end)));
        assert_eq!(check(end, Width::Word), Ok(()));
        assert_eq!(check(end + 2, Width::Word), Err(IoError::Misaligned));
        assert_eq!(check(end + 2, Width::Half), Ok(()));
        assert_eq!(check(u64::MAX, Width::Byte), Ok(()));
        assert_eq!(IoError::check(end + 4, 8, end), Err(IoError::Misaligned));
        assert_eq!(
            IoError::check(u64::MAX - 3, 4, u64::MAX),
            Err(IoError::Memory(u64::MAX)),
            "before the end of memory is known nothing is allowed"
        );
    }
}
