//! The XIVE interrupt controller as a guest sees it: calls that route, pages that are loaded from, queues that are read.
//!
//! A source has two bits of state, P and Q, which are moved by loads from its page. What it lets through is routed to a
//! thread and a priority; the controller writes its number into the queue for both, in the guest's memory, and signals the
//! thread. The thread accepts by a load from its management area (TIMA), which hands out the priority and closes the thread
//! for it; the queue says who it was.
//!
//! Ref: QEMU hw/intc/spapr_xive.c (the hypervisor calls), QEMU hw/intc/xive.c (sources, queues and TIMA)

use super::hcall::{Hcall, Reply};
use super::status::ReturnCode;
use bitflags::bitflags;

const H_INT_GET_SOURCE_INFO: u64 = 0x3a8;
const H_INT_SET_SOURCE_CONFIG: u64 = 0x3ac;
const H_INT_GET_SOURCE_CONFIG: u64 = 0x3b0;
const H_INT_GET_QUEUE_INFO: u64 = 0x3b4;
/// `H_INT_SET_QUEUE_CONFIG`: flags, server, priority, address, the power of two of its bytes. Never an [`Hcall`]: from
/// then on the hypervisor writes there. See [`crate::machine::EventQueues`].
pub const H_INT_SET_QUEUE_CONFIG: u64 = 0x3b8;
const H_INT_ESB: u64 = 0x3c8;
const H_INT_SYNC: u64 = 0x3cc;
const H_INT_RESET: u64 = 0x3d0;

/// Flag of [`H_INT_SET_QUEUE_CONFIG`]: every entry that is written is signalled.
pub const QUEUE_ALWAYS_NOTIFY: u64 = 1;
/// Flag of `H_INT_SET_SOURCE_CONFIG`: the number for the queue is given, too.
const SET_NUMBER: u64 = 2;
/// Flag of `H_INT_ESB`: a store, and not a load.
const ESB_STORE: u64 = 1;
/// An address that is none.
const NO_PAGE: u64 = u64::MAX;

/// A store of anything to the page at this offset triggers the source.
pub const TRIGGER: u64 = 0;

/// None of these makes the hypervisor write to memory, but into queues that it was given before.
impl Hcall {
    /// What there is to know of a source: see [`SourceInfo`].
    pub const fn int_get_source_info(irq: u32) -> Self {
        Self::new(H_INT_GET_SOURCE_INFO, [0, irq as u64])
    }

    /// Routes a source to a thread and a priority; `number` is what is written into the queue.
    pub const fn int_set_source_config(irq: u32, server: u32, priority: u8, number: u32) -> Self {
        let args = [SET_NUMBER, irq as u64, server as u64, priority as u64, number as u64];
        Self::new(H_INT_SET_SOURCE_CONFIG, args)
    }

    /// Where a source is routed to: the thread in r4, the priority in r5, its number in r6.
    pub const fn int_get_source_config(irq: u32) -> Self {
        Self::new(H_INT_GET_SOURCE_CONFIG, [0, irq as u64])
    }

    /// The page of a queue in r4, the power of two of its bytes in r5.
    pub const fn int_get_queue_info(server: u32, priority: u8) -> Self {
        Self::new(H_INT_GET_QUEUE_INFO, [0, server as u64, priority as u64])
    }

    /// Loads from the page of a source on our behalf: what was read is in r4.
    pub const fn int_esb_load(irq: u32, from: Load) -> Self {
        Self::new(H_INT_ESB, [0, irq as u64, from as u64, 0])
    }

    /// Triggers a source on our behalf.
    pub const fn int_esb_trigger(irq: u32) -> Self {
        Self::new(H_INT_ESB, [ESB_STORE, irq as u64, TRIGGER, 0])
    }

    /// Returns when all that the source has let through is in its queue.
    pub const fn int_sync(irq: u32) -> Self {
        Self::new(H_INT_SYNC, [0, irq as u64])
    }

    /// Puts all sources and queues back to where they were at the start of the machine.
    pub const fn int_reset() -> Self {
        Self::new(H_INT_RESET, [0])
    }
}

bitflags! {
    /// What a source says of itself.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SourceFlags: u64 {
        /// An interrupt may be ended by a store to its page.
        const STORE_EOI = 1;
        /// There is a page that triggers it.
        const TRIGGER_PAGE = 1 << 1;
        /// It is a level.
        const LEVEL = 1 << 2;
        /// Its page must not be touched: `H_INT_ESB` does.
        const BY_CALL = 1 << 3;
        /// Bits without a name are kept.
        const _ = !0;
    }
}

/// What there is to know of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// What it says of itself.
    pub flags: SourceFlags,
    /// Its management page, where [`Load`]s go.
    pub page: Option<u64>,
    /// The page where a store triggers it.
    pub trigger: Option<u64>,
}

impl SourceInfo {
    /// Reads the answer to [`Hcall::int_get_source_info`].
    ///
    /// # Errors
    /// The code with which the call failed.
    pub fn read(reply: &Reply) -> Result<Self, ReturnCode> {
        if reply.code != ReturnCode::SUCCESS {
            return Err(reply.code);
        }
        let [flags, page, trigger, _] = reply.values;
        let there = |page: u64| (page != NO_PAGE).then_some(page);
        Ok(Self { flags: SourceFlags::from_bits_retain(flags), page: there(page), trigger: there(trigger) })
    }
}

/// A load from the page of a source: each returns what P and Q were, and what else it does depends on where it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Load {
    /// Ends an interrupt, and lets the hardware trigger once more if there was another meanwhile. Returns not P and Q but
    /// whether there was.
    Eoi = 0,
    /// Does nothing else.
    Get = 0x800,
    /// Sets both to 0: ready.
    Set00 = 0xc00,
    /// Sets only Q: off, and what comes is lost.
    Set01 = 0xd00,
    /// Sets only P: nothing gets through, and what comes is kept in Q.
    Set10 = 0xe00,
    /// Sets both: nothing gets through, and something has come.
    Set11 = 0xf00,
}

/// P and Q.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State(u8);

impl State {
    /// Ready: the next trigger gets through.
    pub const READY: Self = Self(0);
    /// Off: a trigger is lost.
    pub const OFF: Self = Self(1);
    /// One has got through and was not ended; or the guest keeps the source back.
    pub const PENDING: Self = Self(2);
    /// The same, and another has come since.
    pub const QUEUED: Self = Self(3);

    /// What a load returned; `None` where that is no P and Q.
    pub const fn new(loaded: u64) -> Option<Self> {
        if loaded <= 3 { Some(Self(loaded as u8)) } else { None }
    }

    /// P and Q as a number.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

/// Offsets in the operating system's page of the thread interrupt management area.
pub mod tima {
    /// A byte: the current processor priority. Storing it lets more or less through.
    pub const CPPR: u64 = 0x11;
    /// Two bytes: loading them accepts what is pending. See [`super::Ack`].
    pub const ACKNOWLEDGE: u64 = 0x810;
}

/// What accepting gave: why the thread was signalled, and the priority that it is at now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack(pub u16);

impl Ack {
    /// The priority that was signalled to the operating system, if anything was.
    pub const fn priority(self) -> Option<u8> {
        const EXCEPTION: u16 = 0x8000;
        if self.0 & EXCEPTION != 0 { Some(self.0 as u8) } else { None }
    }
}

/// An entry of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub u32);

impl Entry {
    /// The bit that the controller turns over each time it has come to the end of the queue.
    pub const fn generation(self) -> bool {
        self.0 >> 31 != 0
    }

    /// The number that the source was given.
    pub const fn number(self) -> u32 {
        self.0 & 0x7fff_ffff
    }
}

#[cfg(test)]
mod tests {
    use super::{Ack, Entry, Hcall, Load, Reply, ReturnCode, SourceFlags, SourceInfo, State};

    #[test]
    fn opcodes_and_registers_are_frozen() {
        let registers = |call: Hcall| call.registers();
        assert_eq!(registers(Hcall::int_get_source_info(0x1001)), (0x3a8, [0, 0x1001, 0, 0, 0]));
        assert_eq!(
            registers(Hcall::int_set_source_config(0x1001, 2, 5, 9)),
            (0x3ac, [2, 0x1001, 2, 5, 9]),
            "with the number"
        );
        assert_eq!(registers(Hcall::int_get_source_config(0x1001)), (0x3b0, [0, 0x1001, 0, 0, 0]));
        assert_eq!(registers(Hcall::int_get_queue_info(1, 5)), (0x3b4, [0, 1, 5, 0, 0]));
        assert_eq!(registers(Hcall::int_esb_load(0x1001, Load::Set10)), (0x3c8, [0, 0x1001, 0xe00, 0, 0]));
        assert_eq!(registers(Hcall::int_esb_trigger(0x1001)), (0x3c8, [1, 0x1001, 0, 0, 0]));
        assert_eq!(registers(Hcall::int_sync(0x1001)), (0x3cc, [0, 0x1001, 0, 0, 0]));
        assert_eq!(registers(Hcall::int_reset()), (0x3d0, [0; 5]));
        assert_eq!(super::H_INT_SET_QUEUE_CONFIG, 0x3b8);
    }

    #[test]
    fn where_loads_are_made_is_frozen() {
        let loads = [Load::Eoi, Load::Get, Load::Set00, Load::Set01, Load::Set10, Load::Set11];
        assert_eq!(loads.map(|load| load as u64), [0, 0x800, 0xc00, 0xd00, 0xe00, 0xf00]);
        assert_eq!((super::tima::CPPR, super::tima::ACKNOWLEDGE), (0x11, 0x810));
    }

    #[test]
    fn a_source_may_have_no_pages() {
        let reply = |code, values| SourceInfo::read(&Reply { code, values });
        let info = reply(ReturnCode::SUCCESS, [0x8a, u64::MAX, u64::MAX, 16]).expect("it is there");
        assert_eq!((info.page, info.trigger), (None, None));
        assert!(info.flags.contains(SourceFlags::BY_CALL | SourceFlags::TRIGGER_PAGE));
        assert_eq!(info.flags.bits(), 0x8a, "what has no name is kept");
        let info = reply(ReturnCode::SUCCESS, [0, 0x6010_0200_3000, 0x6010_0200_2000, 16]);
        assert_eq!(info.map(|info| info.page), Ok(Some(0x6010_0200_3000)));
        assert_eq!(reply(ReturnCode::P2, [0; 4]), Err(ReturnCode::P2));
    }

    #[test]
    fn what_is_read_is_taken_apart() {
        assert_eq!((Ack(0x8005).priority(), Ack(0x0005).priority()), (Some(5), None));
        assert_eq!(Ack(0x80ff).priority(), Some(0xff));
        let entry = Entry(0x8000_1001);
        assert_eq!((entry.generation(), entry.number()), (true, 0x1001));
        assert!(!Entry(0x1001).generation());
        assert_eq!(State::new(1), Some(State::OFF));
        assert_eq!([State::new(4), State::new(1 << 56), State::new(u64::MAX)], [None; 3]);
        let states = [State::READY, State::OFF, State::PENDING, State::QUEUED];
        assert_eq!(states.map(State::bits), [0, 1, 2, 3]);
    }
}
