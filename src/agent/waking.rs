//! Waking up: the firmware is met, the heap is found, the boot arguments are read.

use super::arguments::Arguments;
use super::guest::{Chapter, Guest};
use super::journal;
use super::station::Station;
use crate::log::{Hex, Record, Severity};
use crate::machine::{LowMemory, Machine};
use crate::openfirmware::client;
use crate::papr::rtas::Call;
use crate::wire::Reader;
use alloc::format;
use core::ffi::CStr;

/// The longest boot arguments that are read, in bytes.
const ARGUMENTS: usize = 2048;
/// The heap's size where nobody says: enough for the trees of a machine without memory connectors, several times.
const HEAP: u64 = 6 << 20;
/// What each memory block that the machine can have adds to that: its lines in the trees, twice, and in the inventory.
const HEAP_PER_BLOCK: u64 = 512;
/// The smallest heap that is worth a try.
const HEAP_LEAST: u64 = 64 << 10;
/// How the heap is aligned: to the largest base page.
const HEAP_ALIGN: u32 = 64 << 10;
/// The heap must be below 4 GiB, and so must its size.
const HEAP_MOST: u64 = 1 << 30;

/// What can be asked before there is a heap.
struct FirstLook {
    firmware: &'static str,
    tick_rate: u32,
    /// Memory blocks that the machine can have.
    blocks: u64,
}

impl<M: Machine> Guest<M> {
    /// Meets the firmware: from here the guest has a heap, knows its boot arguments and its terminal.
    pub fn meet_the_firmware(&mut self) -> Chapter {
        self.reach_without_heap();
        let mut text = [0; ARGUMENTS];
        self.machine.lend();
        let look = self.first_look();
        let len = self.property(c"/chosen", c"bootargs", &mut text).unwrap_or(0);
        let wanted = Arguments::heap_of(as_text(&text[..len.min(ARGUMENTS)]))
            .unwrap_or_else(|| usual_heap(look.blocks));
        let heap = self.find_heap(wanted);
        self.machine.take();

        self.machine.bare().set_tick_rate(look.tick_rate);
        self.say_boot(look.firmware, look.tick_rate);
        self.find_what_survived();
        match heap {
            None => return Err(self.fatal("heap", "the firmware has no memory to give")),
            Some(size) if size < wanted => {
                self.problem(
                    Severity::Major,
                    "heap",
                    format!("{wanted} bytes were wanted, {size} were to be had"),
                );
            }
            Some(_) => {}
        }
        if len > ARGUMENTS {
            let detail = format!("the boot arguments have {len} bytes, {ARGUMENTS} are read");
            self.problem(Severity::Major, "/chosen/bootargs", detail);
        }
        self.take_arguments(as_text(&text[..len.min(ARGUMENTS)]));
        self.reach(Station::ClientInterfaceUp);
        Ok(())
    }

    fn reach_without_heap(&mut self) {
        journal::set_station(Station::Entry.word());
    }

    /// A property of a node, by its path, as far as it fits; its full length.
    fn property(&mut self, path: &CStr, name: &CStr, out: &mut [u8]) -> Option<usize> {
        let node = client::finddevice(&mut self.machine, path).ok().flatten()?;
        client::getprop(&mut self.machine, node, name, out).ok().flatten()
    }

    fn cell(&mut self, path: &CStr, name: &CStr) -> Option<u32> {
        let mut cell = [0; 4];
        (self.property(path, name, &mut cell)? == 4).then(|| u32::from_be_bytes(cell))
    }

    fn first_look(&mut self) -> FirstLook {
        if let Some(token) = self.cell(c"/rtas", Call::OsTerm.property()) {
            self.machine.bare().set_os_term(token);
        }
        let firmware = client::firmware(&mut self.machine).unwrap_or("unknown");
        if let Ok(Some(unit)) = client::stdout_unit(&mut self.machine) {
            journal::set_terminal(unit);
        }
        let tick_rate = self.tick_rate().unwrap_or(0);
        let mut capacity = [0; 20];
        let read = self.property(c"/rtas", c"ibm,lrdr-capacity", &mut capacity).unwrap_or(0);
        let blocks = blocks_of(&capacity[..read.min(capacity.len())]).unwrap_or(0);
        FirstLook { firmware, tick_rate, blocks }
    }

    fn tick_rate(&mut self) -> Option<u32> {
        let machine = &mut self.machine;
        let cpus = client::finddevice(machine, c"/cpus").ok()??;
        let cpu = client::child(machine, cpus).ok()??;
        client::getprop_cell(machine, cpu, c"timebase-frequency").ok()?
    }

    /// Claims a heap of `wanted` bytes, or of half as many, and so on; what it got.
    fn find_heap(&mut self, wanted: u64) -> Option<u64> {
        let mut size = wanted.clamp(HEAP_LEAST, HEAP_MOST);
        while size >= HEAP_LEAST {
            let cell = u32::try_from(size).ok()?;
            if let Ok(Some(base)) = client::claim(&mut self.machine, cell, HEAP_ALIGN) {
                self.machine.bare().set_heap(base, cell);
                return Some(size);
            }
            size /= 2;
        }
        None
    }

    pub(super) fn say_boot(&mut self, firmware: &'static str, tick_rate: u32) {
        let boot = self.machine.bare().boot();
        self.say(&Record::Boot {
            version: env!("CARGO_PKG_VERSION").into(),
            firmware: firmware.into(),
            pvr: Hex(boot.pvr.into()),
            msr: Hex(boot.msr),
            base: Hex(boot.base),
            tick_rate,
            initrd: Hex(boot.initrd),
            initrd_size: boot.initrd_size,
        });
    }

    pub(super) fn take_arguments(&mut self, text: &str) {
        self.say(&Record::Arguments { text: text.into() });
        let (arguments, malformed) = Arguments::parse(text);
        for bad in malformed {
            self.say(&Record::Argument { word: bad.word.into(), problem: bad.problem.into() });
        }
        if arguments.help {
            for (word, meaning) in Arguments::help() {
                self.say(&Record::Help { word: word.into(), meaning: meaning.into() });
            }
        }
        self.machine.set_holds(arguments.holds.clone());
        self.machine.set_wait(arguments.wait);
        self.arguments = arguments;
    }
}

/// Bytes up to the first NUL, where they are text; nothing where they are none.
fn as_text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    match core::str::from_utf8(&bytes[..end]) {
        Ok(text) => text,
        // The part that is text.
        Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
    }
}

/// How many memory blocks the machine can have.
///
/// Ref: LoPAR 13.5.2.1 (ibm,lrdr-capacity: the highest address, the size of a block, the number of processors)
fn blocks_of(capacity: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(capacity);
    let highest = reader.u64("highest address").ok()?;
    let block = reader.u64("block size").ok()?;
    highest.checked_div(block)
}

fn usual_heap(blocks: u64) -> u64 {
    HEAP.saturating_add(blocks.saturating_mul(HEAP_PER_BLOCK))
}

#[cfg(test)]
mod tests {
    use super::{as_text, blocks_of, usual_heap};

    #[test]
    fn what_is_no_text_is_left_out() {
        assert_eq!(as_text(b"hold=idle\0rest"), "hold=idle");
        assert_eq!(as_text(b"help \xff"), "help ");
        assert_eq!(as_text(b"\0"), "");
    }

    #[test]
    fn the_heap_grows_with_what_the_machine_can_have() {
        let capacity = [[0, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0x10, 0, 0, 0]].concat();
        assert_eq!(blocks_of(&capacity), Some(4096));
        assert_eq!(blocks_of(&capacity[..15]), None);
        assert_eq!(blocks_of(&[0; 16]), None);
        assert!(usual_heap(4096) > usual_heap(16));
        assert_eq!(usual_heap(u64::MAX), u64::MAX);
    }
}
