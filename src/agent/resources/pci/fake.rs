//! A model of the platform's half of PCI: functions with configuration space behind RTAS, and with memory behind their
//! base address registers that answers only where it was told to, and only while it may.
//!
//! Ref: QEMU hw/pci/pci.c (pci_default_write_config, pci_update_mappings), QEMU hw/virtio/virtio-pci.c (common cfg)

use super::windows::Window;
use crate::machine::{Arg, Clock, Hypervisor, Io, IoError, Rtas};
use crate::papr::hcall::{Hcall, Reply};
use crate::papr::pci::{Address, Bar, Space, Width, command, register};
use crate::papr::rtas::{Call, Tokens};
use crate::papr::status::{ReturnCode, Status};
use std::collections::BTreeMap;

/// What the memory behind a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// Every word reads as this, little-endian.
    Word(u32),
    /// The common configuration of virtio; the features that are offered, and whether it refuses what it is told.
    Virtio { features: u64, refuses: bool },
}

/// A base address register.
#[derive(Clone, Copy, Debug)]
struct Register {
    index: u8,
    space: Space,
    size: u64,
    behind: Behind,
}

/// A function.
#[derive(Clone, Debug)]
pub(super) struct Device {
    bytes: [u8; 256],
    registers: Vec<Register>,
    /// Where the function was told to answer to addresses while a register held a mask: nobody may do that.
    pub(super) answered_while_sized: bool,
    status: u8,
    select: u32,
    driver: [u32; 2],
}

impl Device {
    pub(super) fn new(vendor: u16, device: u16, class: u32, header: u8) -> Self {
        let mut bytes = [0; 256];
        bytes[0..2].copy_from_slice(&vendor.to_le_bytes());
        bytes[2..4].copy_from_slice(&device.to_le_bytes());
        bytes[8..12].copy_from_slice(&(class << 8 | 1).to_le_bytes());
        bytes[usize::from(register::HEADER_TYPE)] = header;
        let registers = Vec::new();
        Self { bytes, registers, answered_while_sized: false, status: 0, select: 0, driver: [0; 2] }
    }

    pub(super) fn with(mut self, index: u8, space: Space, size: u64, behind: Behind) -> Self {
        self.registers.push(Register { index, space, size, behind });
        let flags: u32 = match space {
            Space::Io => 1,
            Space::Memory32 => 0,
            Space::Memory64 => 0xc,
        };
        self.put(register::BAR0 + 4 * u16::from(index), 4, flags);
        self
    }

    /// An rng of virtio 1: 16 KiB with the common configuration at their begin.
    pub(super) fn virtio(features: u64, refuses: bool) -> Self {
        let mut new = Self::new(0x1af4, 0x1044, 0xff00, 0).with(
            4,
            Space::Memory64,
            0x4000,
            Behind::Virtio { features, refuses },
        );
        new.bytes[usize::from(register::STATUS)] = 0x10;
        new.bytes[usize::from(register::CAPABILITIES)] = 0x84;
        // MSI-X first, which is none of ours, then notifications, then the common configuration, then a circle.
        new.bytes[0x84..0x86].copy_from_slice(&[0x11, 0x70]);
        new.bytes[0x70..0x75].copy_from_slice(&[9, 0x40, 20, 2, 4]);
        new.bytes[0x40..0x45].copy_from_slice(&[9, 0x84, 16, 1, 4]);
        new
    }

    pub(super) fn get(&self, at: u16, width: u32) -> u32 {
        let bytes = &self.bytes[usize::from(at)..][..width as usize];
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    fn put(&mut self, at: u16, width: u32, value: u32) {
        self.bytes[usize::from(at)..][..width as usize]
            .copy_from_slice(&value.to_le_bytes()[..width as usize]);
    }

    /// The bits of a word of base address registers that can be set, and those that always are.
    fn writable(&self, at: u16) -> (u32, u32) {
        for bar in &self.registers {
            let low = register::BAR0 + 4 * u16::from(bar.index);
            let flags = self.get(low, 4) & if bar.space == Space::Io { 3 } else { 0xf };
            let mask = !(bar.size - 1);
            if at == low {
                return (mask as u32, flags);
            }
            if bar.space == Space::Memory64 && at == low + 4 {
                return ((mask >> 32) as u32, 0);
            }
        }
        (0, 0)
    }

    fn write(&mut self, at: u16, width: u32, value: u32) {
        let bars = if self.get(register::HEADER_TYPE, 1) & 0x7f == 1 { 0x10..0x18 } else { 0x10..0x28 };
        if bars.contains(&at) {
            let (mask, flags) = self.writable(at);
            let answers = self.get(register::COMMAND, 2) & u32::from(command::IO | command::MEMORY) != 0;
            self.answered_while_sized |= value == u32::MAX && answers;
            self.put(at, 4, value & mask | flags);
        } else if at == register::COMMAND || at >= 0x18 {
            self.put(at, width, value);
        }
    }

    fn base(&self, bar: &Register) -> u64 {
        let low = register::BAR0 + 4 * u16::from(bar.index);
        let high = if bar.space == Space::Memory64 { self.get(low + 4, 4) } else { 0 };
        Bar::address_in(bar.space, self.get(low, 4), high)
    }

    fn load(&self, behind: Behind, offset: u64) -> u32 {
        match (behind, offset) {
            (Behind::Word(word), _) => word,
            (Behind::Virtio { features, .. }, 4) => (features >> (32 * self.select)) as u32,
            (_, 18) => 1,
            (_, 20) => self.status.into(),
            _ => 0,
        }
    }

    fn store(&mut self, behind: Behind, offset: u64, value: u32) {
        let Behind::Virtio { refuses, .. } = behind else { return };
        match offset {
            0 | 8 => self.select = value & 1,
            12 => self.driver[self.select as usize] = value,
            20 if value & 8 != 0 && (refuses || self.driver[1] & 1 == 0) => self.status = value as u8 & !8,
            20 => self.status = value as u8,
            _ => {}
        }
    }
}

/// A host bridge with functions.
#[derive(Debug, Default)]
pub(super) struct Fake {
    pub(super) devices: BTreeMap<Address, Device>,
    pub(super) windows: Vec<Window>,
    pub(super) said: String,
    pub(super) now: u64,
}

impl Fake {
    pub(super) fn tokens() -> Tokens {
        Tokens::read(|call| Some(call as u32))
    }

    fn at(&mut self, real: u64) -> Option<(Address, Behind, u64)> {
        for (address, device) in &self.devices {
            if device.get(register::COMMAND, 2) & u32::from(command::MEMORY) == 0 {
                continue;
            }
            for bar in device.registers.iter().filter(|bar| bar.space != Space::Io) {
                let base = device.base(bar);
                let starts = self.windows.iter().find_map(|w| w.real_address(bar.space, base, bar.size));
                if let Some(start) = starts.filter(|start| (*start..start + bar.size).contains(&real)) {
                    return Some((*address, bar.behind, real - start));
                }
            }
        }
        None
    }

    /// What the guest has said of this kind.
    pub(super) fn records(&self, kind: &str) -> usize {
        self.said.lines().filter(|line| line.contains(&format!("] {kind} "))).count()
    }
}

impl Rtas for Fake {
    fn rtas(&mut self, token: u32, args: &mut [Arg<'_>], rets: &mut [u32]) -> Status {
        let cells: Vec<u32> =
            args.iter().map(|arg| if let Arg::Cell(cell) = arg { *cell } else { 0 }).collect();
        let at = (cells[0] & 0xff) as u16;
        let Some(device) = self.devices.get_mut(&Address::from_reg(cells[0])) else {
            return Status::HARDWARE;
        };
        if token == Call::ReadPciConfig as u32 {
            rets[0] = device.get(at, cells[3]);
        } else {
            device.write(at, cells[3], cells[4]);
        }
        Status::SUCCESS
    }
}

impl Io for Fake {
    fn io_load(&mut self, address: u64, width: Width) -> Result<u32, IoError> {
        let Some((at, behind, offset)) = self.at(address) else { return Ok(width.ones()) };
        Ok(width.swap(self.devices[&at].load(behind, offset)))
    }

    fn io_store(&mut self, address: u64, width: Width, value: u32) -> Result<(), IoError> {
        if let Some((at, behind, offset)) = self.at(address)
            && let Some(device) = self.devices.get_mut(&at)
        {
            device.store(behind, offset, width.swap(value));
        }
        Ok(())
    }

    /// A PCI device here takes no more than four bytes at a time.
    fn io_load_double(&mut self, _: u64) -> Result<u64, IoError> {
        Err(IoError::Refused(ReturnCode::PARAMETER))
    }

    fn io_store_double(&mut self, _: u64, _: u64) -> Result<(), IoError> {
        Err(IoError::Refused(ReturnCode::PARAMETER))
    }
}

impl Hypervisor for Fake {
    fn hcall(&mut self, call: Hcall) -> Reply {
        // The only calls here are those that write to the terminal.
        let (_, [_, len, high, low, _]) = call.registers();
        let chars = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        self.said.push_str(&String::from_utf8_lossy(&chars[..len as usize]));
        Reply { code: ReturnCode::SUCCESS, values: [0; 4] }
    }
}

impl Clock for Fake {
    fn ticks(&self) -> u64 {
        self.now
    }
    fn tick_rate(&self) -> u64 {
        1000
    }
    fn pause(&mut self, ticks: u64) {
        self.now += ticks;
    }
}
