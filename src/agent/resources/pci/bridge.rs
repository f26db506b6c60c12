//! A bridge to another bus: it gets a bus number and a share of the windows of the bus that it is on.
//!
//! What the firmware has set up stays. Otherwise the bus gets the next free number, every bridge above it learns of
//! that, and each window is as large as there is room, from generous to the least that a bridge can have. A window that
//! finds no room is closed: what is behind the bridge may not need it.
//!
//! Ref: PCI-to-PCI Bridge 1.2 3.2.5 (bridge configuration registers)

use super::windows::{Span, Window, place};
use super::{Bus, Function};
use crate::agent::resources::phb::Phb;
use crate::log::{Hex, Record};
use crate::papr::pci::{Address, Bar, Space, Width, command, register};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A bridge that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Where it is.
    pub address: Address,
    /// The bus behind it.
    pub first: u8,
    /// The last bus behind it.
    pub last: u8,
    /// What it forwards.
    pub windows: Vec<Window>,
}

impl Phb {
    /// The windows of a bus: those of the host bridge, or of the bridge that it is behind. Only what reads without side
    /// effects may go into a bridge's window for 64 bits.
    pub(super) fn windows_of(&self, bus: u8, prefetchable: bool) -> Vec<Window> {
        if bus == self.buses.0 {
            return self.windows.clone();
        }
        let bridge = self.bridges.iter().find(|bridge| bridge.first == bus);
        let windows = bridge.map(|bridge| bridge.windows.as_slice()).unwrap_or_default().iter();
        windows.filter(|window| prefetchable || window.space != Space::Memory64).copied().collect()
    }

    /// What is taken on a bus.
    pub(super) fn taken_on(&self, bus: u8) -> Vec<Span> {
        self.taken.iter().filter(|span| span.owner.bus() == bus).copied().collect()
    }

    /// The next bus that has no number yet.
    fn next_bus(&self) -> Option<u8> {
        let used = self.bridges.iter().map(|bridge| bridge.last).max().unwrap_or(self.buses.0);
        used.checked_add(1).filter(|bus| *bus <= self.buses.1)
    }
}

/// The bits of an address that a window's registers have, and what is below them at its end.
const GRAIN: u64 = 1 << 20;
/// A memory window that forwards nothing: it ends before it begins.
const CLOSED: u32 = 0x0000_fff0;
/// An I/O window that forwards nothing.
const CLOSED_IO: u32 = 0x00f0;
/// Of a bridge: the I/O that it forwards, bits 12 to 15 of base and limit in the upper halves of two bytes.
const IO_WINDOW: u16 = 0x1c;
/// Sizes of I/O windows that are tried; there is little of it.
const SIZES_IO: [u64; 2] = [0x4000, 0x1000];
/// Sizes of memory windows that are tried.
const SIZES: [u64; 3] = [16 * GRAIN, 4 * GRAIN, GRAIN];
/// Sizes of windows for 64 bits that are tried.
const SIZES_WIDE: [u64; 3] = [1024 * GRAIN, 64 * GRAIN, GRAIN];

/// The two halves of a memory window's register.
fn halves(base: u64, size: u64) -> u32 {
    let upper = |address: u64| (address >> 16) as u32 & 0xfff0;
    upper(base) | upper(base + size - 1) << 16
}

/// The two bytes of an I/O window's register.
fn io_halves(base: u64, size: u64) -> u32 {
    let upper = |address: u64| (address >> 8) as u32 & 0xf0;
    upper(base) | upper(base + size - 1) << 8
}

/// What a memory window's register says, with the upper words of base and limit; `None` where it forwards nothing.
fn says(word: u32, base_upper: u32, limit_upper: u32) -> Option<(u64, u64)> {
    let address = |half: u32, upper: u32| u64::from(upper) << 32 | u64::from(half & 0xfff0) << 16;
    let base = address(word, base_upper);
    let end = (address(word >> 16, limit_upper) | (GRAIN - 1)).checked_add(1)?;
    (base != 0 && base < end).then(|| (base, end - base))
}

impl<M: Bus> Function<'_, M> {
    /// Opens the bridge to the bus behind it.
    pub(super) fn open(&mut self) -> Result<(), String> {
        let address = self.expected.address;
        let (first, last) = self.number()?;
        self.phb.bridges.retain(|bridge| bridge.address != address);
        self.phb.bridges.push(Bridge { address, first, last, windows: Vec::new() });
        self.open_io()?;
        let word = self.config().read(register::MEMORY_WINDOW, Width::Word)?;
        let memory = self.share(Space::Memory32, &SIZES, says(word, 0, 0))?;
        let word = memory.map_or(CLOSED, |(base, size)| halves(base, size));
        self.config().write(register::MEMORY_WINDOW, Width::Word, word)?;
        self.open_prefetchable()?;
        self.config().command(0, command::IO | command::MEMORY | command::MASTER)
    }

    /// The first and the last bus behind the bridge, which get their numbers where the firmware gave none.
    fn number(&mut self) -> Result<(u8, u8), String> {
        let address = self.expected.address;
        let first = self.config().read(register::SECONDARY, Width::Byte)? as u8;
        if first != 0 {
            let last = self.config().read(register::SUBORDINATE, Width::Byte)? as u8;
            return Ok((first, last.max(first)));
        }
        let bus = self.phb.next_bus().ok_or_else(|| "there is no bus number left".to_string())?;
        self.config().write(register::PRIMARY, Width::Byte, address.bus().into())?;
        self.config().write(register::SECONDARY, Width::Byte, bus.into())?;
        self.config().write(register::SUBORDINATE, Width::Byte, bus.into())?;
        let above = |bridge: &&mut Bridge| (bridge.first..=bridge.last).contains(&address.bus());
        let mut raised = Vec::new();
        for bridge in self.phb.bridges.iter_mut().filter(above) {
            bridge.last = bus;
            raised.push(bridge.address);
        }
        for address in raised {
            self.config_at(address).write(register::SUBORDINATE, Width::Byte, bus.into())?;
        }
        Ok((bus, bus))
    }

    fn open_io(&mut self) -> Result<(), String> {
        let io = self.share(Space::Io, &SIZES_IO, None)?;
        let half = io.map_or(CLOSED_IO, |(base, size)| io_halves(base, size));
        self.config().write(IO_WINDOW, Width::Half, half)
    }

    fn open_prefetchable(&mut self) -> Result<(), String> {
        let word = self.config().read(register::PREFETCHABLE_WINDOW, Width::Word)?;
        let base_upper = self.config().read(register::PREFETCHABLE_BASE_UPPER, Width::Word)?;
        let limit_upper = self.config().read(register::PREFETCHABLE_LIMIT_UPPER, Width::Word)?;
        let wide = self.share(Space::Memory64, &SIZES_WIDE, says(word, base_upper, limit_upper))?;
        let (word, base, limit) = wide.map_or((CLOSED, 0, 0), |(base, size)| {
            (halves(base, size), (base >> 32) as u32, ((base + size - 1) >> 32) as u32)
        });
        self.config().write(register::PREFETCHABLE_WINDOW, Width::Word, word)?;
        self.config().write(register::PREFETCHABLE_BASE_UPPER, Width::Word, base)?;
        self.config().write(register::PREFETCHABLE_LIMIT_UPPER, Width::Word, limit)
    }

    /// Takes a share of the windows of the bus that the bridge is on: what it forwards already, or the first of the
    /// `sizes` that finds a place.
    fn share(
        &mut self,
        space: Space,
        sizes: &[u64],
        forwards: Option<(u64, u64)>,
    ) -> Result<Option<(u64, u64)>, String> {
        let owner = self.expected.address;
        let windows = self.phb.windows_of(owner.bus(), space == Space::Memory64);
        let taken = self.phb.taken_on(owner.bus());
        let stays = forwards.filter(|&(base, size)| {
            let span = Span { owner, space, base, size };
            windows.iter().any(|window| window.real_address(space, base, size).is_some())
                && !taken.iter().any(|taken| taken.collides(&span))
        });
        let found = stays.or_else(|| {
            sizes.iter().find_map(|&size| {
                let bar = Bar { index: 0, space, prefetchable: true, size };
                place(&windows, &taken, owner, &bar).map(|base| (base, size))
            })
        });
        let Some((base, size)) = found else { return Ok(None) };
        let real = self.phb.real_address(space, base, size);
        let cpu = real.ok_or_else(|| "a bridge's window is in none of the host bridge's".to_string())?;
        let window = Window { space, bus: base, cpu, size };
        self.phb.taken.push(Span { owner, space, base, size });
        if let Some(bridge) = self.phb.bridges.iter_mut().find(|bridge| bridge.address == owner) {
            bridge.windows.push(window);
        }
        self.say(&Record::Window {
            drc: self.drc,
            space: space.word().into(),
            bus: Hex(base),
            real: Hex(cpu),
            size: Hex(size),
        });
        Ok(Some((base, size)))
    }

    /// Closes the bridge: it forwards nothing. The bus keeps its number, which costs nothing.
    pub(super) fn close(&mut self) -> Result<(), String> {
        self.config().write(IO_WINDOW, Width::Half, CLOSED_IO)?;
        self.config().write(register::MEMORY_WINDOW, Width::Word, CLOSED)?;
        self.config().write(register::PREFETCHABLE_WINDOW, Width::Word, CLOSED)
    }
}

#[cfg(test)]
mod tests {
    use super::{CLOSED, GRAIN, halves, io_halves, says};

    #[test]
    fn windows_in_registers_are_frozen() {
        assert_eq!(halves(0x8010_0000, 16 * GRAIN), 0x8100_8010);
        assert_eq!((io_halves(0x1000, 0x1000), io_halves(0x4000, 0x4000)), (0x1010, 0x7040));
        assert_eq!(says(0x8100_8010, 0, 0), Some((0x8010_0000, 16 * GRAIN)));
        assert_eq!(says(0x3ff1_0001, 0x2100, 0x2100), Some((0x2100_0000_0000, 1024 * GRAIN)));
        assert_eq!(says(CLOSED, 0, 0), None);
        assert_eq!(says(0, 0, 0), None, "a bridge after reset forwards nothing that is meant");
        assert_eq!(says(u32::MAX, u32::MAX, u32::MAX), None, "a window to the end of everything has no end");
    }
}
