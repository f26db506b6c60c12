//! A PCI function in use: found where its node says, given its addresses, spoken to, and put to rest again.
//!
//! A function is what its node says or it is not used. Its base address registers are sized while it answers to no
//! address; what the firmware has assigned stays, the rest goes where nothing else is. Then a register is read back
//! through memory, by a driver where this guest has one. Whatever does not work, the function is put to rest: it
//! answers to nothing, masters nothing and holds no address.
//!
//! Memory must find a place. I/O may not: there is little of it, behind bridges least, and this guest does without.
//!
//! The functions on a host bridge's own bus that are nobody's business here are looked at once, so that nothing is put
//! where they are.

pub mod bridge;
pub mod config;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
mod virtio;
pub mod windows;

use super::phb::{Expected, Phb};
use crate::agent::journal;
use crate::log::{Hex, Record};
use crate::machine::{Clock, Hypervisor, Io, Rtas};
use crate::papr::drc::DrcIndex;
use crate::papr::pci::{
    Address, Bar, DEVICES, FUNCTIONS, HEADER_BRIDGE, HEADER_LAYOUT, HEADER_MULTIFUNCTION, Space, Width,
    command, register,
};
use crate::papr::rtas::Tokens;
use crate::word_enum;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use config::{Config, Found};
use windows::{Span, may_stay, place};

word_enum! {
    /// Who speaks to a function.
    pub enum Driver {
        /// virtio of version 1: a handshake over features.
        Virtio = "virtio",
        /// An Ethernet controller that has a status register.
        E1000 = "e1000",
        /// A bridge to another bus: what is behind it gets a bus number and windows.
        Bridge = "bridge",
        /// Nobody: the first word of its memory is read.
        None = "none",
    }
}

/// The vendor of virtio devices.
///
/// Ref: virtio 1.2 4.1.2 (PCI Device Discovery)
const VENDOR_VIRTIO: u32 = 0x1af4;
/// Intel, and the models of QEMU's e1000.
///
/// Ref: QEMU hw/net/e1000_regs.h
const VENDOR_INTEL: u32 = 0x8086;
const E1000_MODELS: [u32; 3] = [0x100e, 0x1004, 0x100f];
/// Where an e1000 has its status register.
const E1000_STATUS: u64 = 8;

impl Driver {
    fn of(expected: &Expected, layout: u32) -> Self {
        match (expected.vendor, expected.device) {
            _ if layout == HEADER_BRIDGE => Self::Bridge,
            (VENDOR_VIRTIO, 0x1000..=0x107f) => Self::Virtio,
            (VENDOR_INTEL, model) if E1000_MODELS.contains(&model) => Self::E1000,
            _ => Self::None,
        }
    }
}

/// All that the guest needs of a machine to use a function.
pub trait Bus: Rtas + Clock + Io + Hypervisor {}
impl<M: Rtas + Clock + Io + Hypervisor> Bus for M {}

/// What is needed to use one function, and to say what came of it.
#[derive(Debug)]
pub struct Function<'g, M> {
    /// The machine.
    pub machine: &'g mut M,
    /// The tokens of its RTAS.
    pub tokens: &'g Tokens,
    /// The host bridge that the function is behind.
    pub phb: &'g mut Phb,
    /// Its connector.
    pub drc: DrcIndex,
    /// What its node says.
    pub expected: Expected,
}

impl<M: Bus> Function<'_, M> {
    fn say(&mut self, record: &Record<'_>) {
        journal::say(self.machine, record);
    }

    fn config(&mut self) -> Config<'_, M> {
        self.config_at(self.expected.address)
    }

    fn config_at(&mut self, address: Address) -> Config<'_, M> {
        Config { machine: self.machine, tokens: self.tokens, buid: self.phb.buid, address }
    }

    /// Uses the function.
    ///
    /// # Errors
    /// In words, when it does not work; it is at rest then.
    pub fn take(&mut self) -> Result<(), String> {
        let layout = self.meet()?;
        let driver = Driver::of(&self.expected, layout);
        let Expected { address, vendor, device, class } = self.expected;
        self.say(&Record::Pci {
            drc: self.drc,
            bridge: Hex(self.phb.buid),
            address: address.to_string().into(),
            vendor: Hex(vendor.into()),
            device: Hex(device.into()),
            class: Hex(class.into()),
            driver: driver.word().into(),
        });
        let used = self.put(layout).and_then(|bars| self.speak(driver, &bars));
        if used.is_err() {
            // What cannot be put to rest either has gone away; the reason that counts is the first.
            let _ = self.rest();
        }
        used
    }

    /// Looks whether the function is what its node says; the layout of its header.
    fn meet(&mut self) -> Result<u32, String> {
        let Expected { address, vendor, device, class } = self.expected;
        let (its_vendor, its_device) =
            self.config().id().ok_or_else(|| format!("there is no function at {address}"))?;
        let its_class = self.config().read(register::CLASS, Width::Word)? >> 8;
        if (its_vendor, its_device, its_class) == (vendor, device, class) {
            return Ok(self.config().read(register::HEADER_TYPE, Width::Byte)? & HEADER_LAYOUT);
        }
        Err(format!(
            "{address} is {its_vendor:04x}:{its_device:04x} of class {its_class:06x}, \
             its node says {vendor:04x}:{device:04x} of class {class:06x}"
        ))
    }

    /// Gives the function its addresses and lets it answer to them.
    fn put(&mut self, layout: u32) -> Result<Vec<Found>, String> {
        self.survey();
        let address = self.expected.address;
        self.phb.taken.retain(|span| span.owner != address);
        self.config().command(command::MASTER, 0)?;
        let mut bars = self.config().bars(layout)?;
        // What the firmware has chosen is looked at first, so that nothing new is put there.
        bars.sort_by_key(|found| (found.base == 0, core::cmp::Reverse(found.bar.size)));
        for found in &mut bars {
            self.put_one(found)?;
        }
        self.config().command(0, command::MEMORY)?;
        Ok(bars)
    }

    fn put_one(&mut self, found: &mut Found) -> Result<(), String> {
        let address = self.expected.address;
        let windows = self.phb.windows_of(address.bus(), found.bar.prefetchable);
        let taken = self.phb.taken_on(address.bus());
        let Bar { index, space, size, .. } = found.bar;
        let mut span = Span { owner: address, space, base: found.base, size };
        let stays = may_stay(&windows, &taken, &span);
        let base = if stays { Some(span.base) } else { place(&windows, &taken, address, &found.bar) };
        self.say(&Record::Bar {
            drc: self.drc,
            index,
            space: space.word().into(),
            size: Hex(size),
            base: base.map(Hex),
            from: if stays { "firmware" } else { "guest" }.into(),
        });
        let base = match base {
            Some(base) => base,
            // This guest speaks with devices through memory; one can do without its I/O.
            None if space == Space::Io => 0,
            None => {
                return Err(format!(
                    "BAR {index} of {size:#x} bytes in {} fits into no window",
                    space.word()
                ));
            }
        };
        if !stays {
            self.config().assign(&found.bar, base)?;
        }
        (found.base, span.base) = (base, base);
        if base != 0 {
            self.phb.taken.push(span);
        }
        Ok(())
    }

    /// Reads something back.
    fn speak(&mut self, driver: Driver, bars: &[Found]) -> Result<(), String> {
        match driver {
            Driver::Virtio => self.greet(bars),
            Driver::Bridge => self.open(),
            Driver::E1000 => self.look("status", bars, E1000_STATUS),
            Driver::None => self.look("first-word", bars, 0),
        }
    }

    /// Reads a word of the first memory; there need not be any where nobody knows the device.
    fn look(&mut self, what: &'static str, bars: &[Found], offset: u64) -> Result<(), String> {
        let mut memory: Vec<&Found> = bars.iter().filter(|found| found.bar.space != Space::Io).collect();
        memory.sort_by_key(|found| found.bar.index);
        let Some(found) = memory.first() else { return Ok(()) };
        let at = self.real_address(found)? + offset;
        let value = self.load(at, Width::Word)?;
        self.read_back(what, at, value);
        Ok(())
    }

    fn read_back(&mut self, what: &'static str, at: u64, value: u32) {
        self.say(&Record::Io {
            drc: self.drc,
            what: what.into(),
            address: Hex(at),
            value: Hex(value.into()),
        });
    }

    fn real_address(&self, found: &Found) -> Result<u64, String> {
        let Bar { index, space, size, .. } = found.bar;
        let address = self.phb.real_address(space, found.base, size);
        address.ok_or_else(|| format!("BAR {index} at {:#x} is in no window", found.base))
    }

    fn load(&mut self, at: u64, width: Width) -> Result<u32, String> {
        let value =
            self.machine.io_load(at, width).map_err(|problem| format!("load at {at:#x}: {problem}"))?;
        Ok(width.swap(value))
    }

    fn store(&mut self, at: u64, width: Width, value: u32) -> Result<(), String> {
        let value = width.swap(value);
        self.machine.io_store(at, width, value).map_err(|problem| format!("store at {at:#x}: {problem}"))
    }

    /// Stops using the function: the device is reset where this guest knows how, and put to rest.
    ///
    /// # Errors
    /// In words, when the device does not let go.
    pub fn stop(&mut self) -> Result<(), String> {
        if self.config().id().is_none() {
            // It went away before it was asked for: there is nothing left to stop.
            self.forget();
            return Ok(());
        }
        let layout = self.config().read(register::HEADER_TYPE, Width::Byte)? & HEADER_LAYOUT;
        if Driver::of(&self.expected, layout) == Driver::Virtio {
            self.part()?;
        }
        self.rest()
    }

    /// Puts the function to rest: it answers to nothing, masters nothing, and its addresses are free.
    fn rest(&mut self) -> Result<(), String> {
        self.forget();
        self.config().command(command::IO | command::MEMORY | command::MASTER, 0)?;
        let layout = self.config().read(register::HEADER_TYPE, Width::Byte)? & HEADER_LAYOUT;
        if layout == HEADER_BRIDGE {
            self.close()?;
        }
        for found in self.config().bars(layout)? {
            self.config().assign(&found.bar, 0)?;
        }
        Ok(())
    }

    fn forget(&mut self) {
        let address = self.expected.address;
        self.phb.taken.retain(|span| span.owner != address);
        self.phb.bridges.retain(|bridge| bridge.address != address);
    }

    /// Looks once at the functions on the host bridge's own bus, and remembers where the firmware has put them.
    fn survey(&mut self) {
        if core::mem::replace(&mut self.phb.surveyed, true) {
            return;
        }
        let bus = self.phb.buses.0;
        for device in 0..DEVICES {
            for function in 0..FUNCTIONS {
                let Some(address) = Address::new(bus, device, function) else { continue };
                // A device without function 0 is not there, and functions beyond it are where it says so.
                let more = self.survey_one(address);
                if function == 0 && !more {
                    break;
                }
            }
        }
    }

    /// Remembers where one function is; whether its header says that there are more.
    fn survey_one(&mut self, address: Address) -> bool {
        let mut config = self.config_at(address);
        if config.id().is_none() {
            return false;
        }
        let kind = config.read(register::HEADER_TYPE, Width::Byte).unwrap_or(0);
        let was = config.read(register::COMMAND, Width::Half);
        let bars = config.bars(kind & HEADER_LAYOUT).unwrap_or_default();
        if let Ok(was) = was {
            // It was the firmware's doing and is left as it was; what this guest uses is set when it is used.
            let _ = config.write(register::COMMAND, Width::Half, was);
        }
        let assigned = bars.iter().filter(|found| found.base != 0);
        self.phb.taken.extend(assigned.map(|found| Span {
            owner: address,
            space: found.bar.space,
            base: found.base,
            size: found.bar.size,
        }));
        kind & HEADER_MULTIFUNCTION != 0
    }
}
