//! The configuration space of one function, and what can be learned from it.

use crate::machine::{Clock, Rtas};
use crate::papr::pci::{
    Address, Bar, CAPABILITY_VENDOR, STATUS_CAPABILITIES, Space, Width, bars_of, command, register,
};
use crate::papr::rtas::{Calls, Tokens};
use crate::papr::status::Status;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The most capabilities that are looked at: as many as find room. A list may be a circle.
const CAPABILITIES_MOST: usize = 48;

/// The configuration space of one function.
#[derive(Debug)]
pub struct Config<'g, M> {
    /// The machine.
    pub machine: &'g mut M,
    /// The tokens of its RTAS.
    pub tokens: &'g Tokens,
    /// The host bridge.
    pub buid: u64,
    /// The function.
    pub address: Address,
}

/// A base address register as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is for.
    pub bar: Bar,
    /// The address that it holds; 0 where it was not assigned.
    pub base: u64,
}

impl<M: Rtas + Clock> Config<'_, M> {
    /// Reads a register.
    ///
    /// # Errors
    /// In words, when RTAS refuses: most often there is no such function.
    pub fn read(&mut self, register: u16, width: Width) -> Result<u32, String> {
        let answer = Calls::new(self.machine, self.tokens)
            .read_pci_config(self.buid, self.address, register, width)
            .map_err(|missing| missing.to_string())?;
        match answer {
            (Status::SUCCESS, value) => Ok(value),
            (status, _) => {
                Err(format!("register {register:#x} of {} cannot be read: {status}", self.address))
            }
        }
    }

    /// Writes a register.
    ///
    /// # Errors
    /// In words, when RTAS refuses.
    pub fn write(&mut self, register: u16, width: Width, value: u32) -> Result<(), String> {
        let status = Calls::new(self.machine, self.tokens)
            .write_pci_config(self.buid, self.address, register, width, value)
            .map_err(|missing| missing.to_string())?;
        match status {
            Status::SUCCESS => Ok(()),
            status => Err(format!("register {register:#x} of {} cannot be written: {status}", self.address)),
        }
    }

    /// Vendor and device; `None` where there is no function.
    pub fn id(&mut self) -> Option<(u32, u32)> {
        const NOBODY: u32 = 0xffff;
        let id = self.read(register::ID, Width::Word).ok()?;
        (id & NOBODY != NOBODY).then_some((id & NOBODY, id >> 16))
    }

    /// Turns bits of the command register off, and then others on.
    ///
    /// # Errors
    /// In words, when RTAS refuses.
    pub fn command(&mut self, off: u16, on: u16) -> Result<(), String> {
        let now = self.read(register::COMMAND, Width::Half)?;
        self.write(register::COMMAND, Width::Half, now & !u32::from(off) | u32::from(on))
    }

    /// Sizes every base address register of a header of this layout. The function must not answer to addresses
    /// meanwhile: the registers hold all ones for a moment, and get back what they held.
    ///
    /// # Errors
    /// In words, when RTAS refuses.
    pub fn bars(&mut self, layout: u32) -> Result<Vec<Found>, String> {
        self.command(command::IO | command::MEMORY, 0)?;
        let mut found = Vec::new();
        let mut index = 0;
        while index < bars_of(layout) {
            let at = register::BAR0 + 4 * u16::from(index);
            let (low_was, low) = self.probe(at)?;
            let wide = Bar::space_of(low).0 == Space::Memory64 && index + 1 < bars_of(layout);
            let (high_was, high) = if wide { self.probe(at + 4)? } else { (0, 0) };
            if let Some(bar) = Bar::from_mask(index, low, high) {
                found.push(Found { bar, base: Bar::address_in(bar.space, low_was, high_was) });
            }
            index += 1 + u8::from(wide);
        }
        Ok(found)
    }

    /// What a register holds, and what it says after all ones were written to it.
    fn probe(&mut self, at: u16) -> Result<(u32, u32), String> {
        let was = self.read(at, Width::Word)?;
        self.write(at, Width::Word, u32::MAX)?;
        let says = self.read(at, Width::Word)?;
        self.write(at, Width::Word, was)?;
        Ok((was, says))
    }

    /// Gives a base address register its address.
    ///
    /// # Errors
    /// In words, when RTAS refuses, or the register does not hold it.
    pub fn assign(&mut self, bar: &Bar, base: u64) -> Result<(), String> {
        let at = bar.register();
        self.write(at, Width::Word, base as u32)?;
        let mut high = 0;
        if bar.space == Space::Memory64 {
            self.write(at + 4, Width::Word, (base >> 32) as u32)?;
            high = self.read(at + 4, Width::Word)?;
        }
        let holds = Bar::address_in(bar.space, self.read(at, Width::Word)?, high);
        if holds == base {
            Ok(())
        } else {
            Err(format!("BAR {} was given {base:#x} and holds {holds:#x}", bar.index))
        }
    }

    /// Where the capabilities of a vendor's own are.
    ///
    /// # Errors
    /// In words, when RTAS refuses.
    pub fn vendor_capabilities(&mut self) -> Result<Vec<u16>, String> {
        let mut found = Vec::new();
        if self.read(register::STATUS, Width::Half)? & STATUS_CAPABILITIES == 0 {
            return Ok(found);
        }
        let mut at = self.read(register::CAPABILITIES, Width::Byte)? & !3;
        for _ in 0..CAPABILITIES_MOST {
            // What is below is the header; a capability says in a byte where the next one is, and 0 ends the list.
            const HEADER: u32 = 0x40;
            let Some(place) = u16::try_from(at).ok().filter(|_| at >= HEADER) else { break };
            let head = self.read(place, Width::Half)?;
            if head & 0xff == CAPABILITY_VENDOR {
                found.push(place);
            }
            at = head >> 8 & !3;
        }
        Ok(found)
    }
}
