//! A model of XIVE's half: sources with P and Q, routes, queues in the guest's memory, and one thread's management area.
//!
//! Ref: QEMU hw/intc/xive.c (xive_source_esb_read, xive_router_notify, xive_tctx_accept)

use crate::machine::{Arg, Clock, EventQueues, Hypervisor, Io, IoError, Rtas};
use crate::papr::hcall::{Hcall, Reply};
use crate::papr::pci::Width;
use crate::papr::status::{ReturnCode, Status};
use std::collections::BTreeMap;

/// The management area's page.
pub(super) const PAGE: u64 = 0x6_0302_031a_0000;
/// Where the pages of sources are: two for each, the one that triggers first.
const SOURCES: u64 = 0x6_0100_0000_0000;
const SOURCE_SIZE: u64 = 0x2_0000;

#[derive(Debug, Default)]
struct Source {
    p: bool,
    q: bool,
    route: Option<(u32, u8, u32)>,
}

#[derive(Debug)]
struct Queue {
    entries: Vec<u32>,
    place: usize,
    generation: bool,
}

/// The controller and the memory of its queues.
#[derive(Debug, Default)]
pub(super) struct Fake {
    sources: BTreeMap<u32, Source>,
    queues: BTreeMap<(u32, u8), Queue>,
    /// What is pending for the thread, a bit for each priority.
    pending: u8,
    pub(super) priority: u8,
    /// How often the page of a source was touched.
    pub(super) touched: u32,
    /// Every source says that its page must not be.
    pub(super) by_call: bool,
    /// `H_INT_ESB` hands out bytes in the wrong order.
    pub(super) swapped: bool,
    pub(super) said: String,
}

impl Fake {
    pub(super) fn new(irqs: &[u32]) -> Self {
        let sources = irqs.iter().map(|irq| (*irq, Source { q: true, ..Source::default() })).collect();
        Self { sources, ..Self::default() }
    }

    /// A device triggers its source.
    pub(super) fn trigger(&mut self, irq: u32) {
        let source = self.sources.get_mut(&irq).expect("a source that there is");
        match (source.p, source.q) {
            (false, false) => {
                source.p = true;
                self.deliver(irq);
            }
            (false, true) => {}
            (true, _) => source.q = true,
        }
    }

    fn deliver(&mut self, irq: u32) {
        let Some((server, priority, number)) = self.sources[&irq].route else { return };
        let Some(queue) = self.queues.get_mut(&(server, priority)) else { return };
        queue.entries[queue.place] = u32::from(queue.generation) << 31 | number;
        queue.place += 1;
        if queue.place == queue.entries.len() {
            queue.place = 0;
            queue.generation = !queue.generation;
        }
        self.pending |= 1 << priority;
    }

    /// Whether the thread is interrupted.
    pub(super) fn is_signalled(&self) -> bool {
        self.most_urgent().is_some()
    }

    fn most_urgent(&self) -> Option<u8> {
        (0..8).find(|priority| self.pending & 1 << priority != 0).filter(|priority| *priority < self.priority)
    }

    fn load(&mut self, irq: u32, offset: u64) -> Option<u64> {
        let source = self.sources.get_mut(&irq)?;
        let before = u64::from(source.p) << 1 | u64::from(source.q);
        match offset {
            0x800 => {}
            0xc00 | 0xd00 | 0xe00 | 0xf00 => {
                (source.p, source.q) = (offset & 0x200 != 0, offset & 0x100 != 0);
            }
            _ => return None,
        }
        Some(before)
    }

    fn is_routed(&mut self, [flags, irq, server, priority, number]: [u64; 5]) -> Option<()> {
        assert_eq!(flags, 2, "the number is given");
        let source = self.sources.get_mut(&(irq as u32))?;
        source.route = Some((server as u32, priority as u8, number as u32));
        Some(())
    }

    fn answer(&mut self, opcode: u64, args: [u64; 5]) -> Option<[u64; 4]> {
        let irq = args[1] as u32;
        match opcode {
            0x3a8 => {
                self.sources.get(&irq)?;
                let page = SOURCES + SOURCE_SIZE * u64::from(irq);
                let flags = u64::from(self.by_call) << 3;
                Some([flags, page + SOURCE_SIZE / 2, page, 16])
            }
            0x3ac => self.is_routed(args).map(|()| [0; 4]),
            0x3b0 => {
                let (server, priority, number) = self.sources.get(&irq)?.route.unwrap_or((0, 0xff, 0));
                Some([server.into(), priority.into(), number.into(), 0])
            }
            0x3c8 if args[0] == 1 => {
                self.trigger(irq);
                Some([u64::MAX, 0, 0, 0])
            }
            0x3c8 => {
                let loaded = self.load(irq, args[2])?;
                Some([if self.swapped { loaded.swap_bytes() } else { loaded }, 0, 0, 0])
            }
            0x3d0 => {
                self.sources
                    .values_mut()
                    .for_each(|source| *source = Source { q: true, ..Source::default() });
                self.queues.clear();
                Some([0; 4])
            }
            _ => None,
        }
    }

    /// The source whose page is at this address, and the offset in its pages.
    fn page_of(&mut self, address: u64) -> (u32, u64) {
        self.touched += 1;
        ((((address - SOURCES) / SOURCE_SIZE) as u32), (address - SOURCES) % SOURCE_SIZE)
    }
}

impl Hypervisor for Fake {
    fn hcall(&mut self, call: Hcall) -> Reply {
        let (opcode, args) = call.registers();
        if call.is_console() {
            let chars = (u128::from(args[2]) << 64 | u128::from(args[3])).to_be_bytes();
            self.said.push_str(&String::from_utf8_lossy(&chars[..args[1] as usize]));
            return Reply { code: ReturnCode::SUCCESS, values: [0; 4] };
        }
        match self.answer(opcode, args) {
            Some(values) => Reply { code: ReturnCode::SUCCESS, values },
            None => Reply { code: ReturnCode::P2, values: [0; 4] },
        }
    }
}

impl EventQueues for Fake {
    fn set_queue(&mut self, server: u32, priority: u8, shift: u32) -> Option<ReturnCode> {
        let entries = vec![0; 1 << (shift - 2)];
        self.queues.insert((server, priority), Queue { entries, place: 0, generation: true });
        Some(ReturnCode::SUCCESS)
    }

    fn queue_entry(&self, server: u32, priority: u8, place: u32) -> u32 {
        self.queues[&(server, priority)].entries[place as usize]
    }
}

impl Io for Fake {
    fn io_load(&mut self, address: u64, width: Width) -> Result<u32, IoError> {
        assert_eq!((address - PAGE, width), (0x810, Width::Half));
        match self.most_urgent() {
            Some(priority) => {
                self.pending &= !(1 << priority);
                self.priority = priority;
                Ok(0x8000 | u32::from(priority))
            }
            None => Ok(self.priority.into()),
        }
    }

    fn io_store(&mut self, address: u64, width: Width, value: u32) -> Result<(), IoError> {
        assert_eq!((address - PAGE, width), (0x11, Width::Byte));
        self.priority = value as u8;
        Ok(())
    }

    fn io_load_double(&mut self, address: u64) -> Result<u64, IoError> {
        let (irq, offset) = self.page_of(address);
        assert!(offset >= SOURCE_SIZE / 2, "the page that triggers was loaded from");
        self.load(irq, offset - SOURCE_SIZE / 2).ok_or(IoError::Refused(ReturnCode::PARAMETER))
    }

    fn io_store_double(&mut self, address: u64, _: u64) -> Result<(), IoError> {
        let (irq, offset) = self.page_of(address);
        assert_eq!(offset, 0, "nothing else of a source is stored to");
        self.trigger(irq);
        Ok(())
    }
}

impl Rtas for Fake {
    fn rtas(&mut self, _: u32, _: &mut [Arg<'_>], _: &mut [u32]) -> Status {
        unreachable!("XIVE has no RTAS calls")
    }
}

impl Clock for Fake {
    fn ticks(&self) -> u64 {
        0
    }
    fn tick_rate(&self) -> u64 {
        1000
    }
    fn pause(&mut self, _: u64) {}
}
