//! The numbered machine: every call to the firmware and the hypervisor has its number.
//!
//! QEMU serves such calls and the host's commands one at a time, so the order of calls and commands is all that a race
//! can consist of. Each call is numbered from 1 in each boot, and the guest can be told to hold before any of them.
//! Console traffic is left out: it changes nothing that a hotplug could see, and numbering it would make the log
//! renumber the calls that it is about. So are the waiting calls of a hold itself.

use super::hold::{self, Order, Said, Typed, Wait};
use super::interrupts::{Claim, Claims, Ear, Intake};
use super::journal;
use super::station::Holds;
use crate::log::Record;
use crate::machine::{
    Arg, ClientInterface, Clock, EventQueues, Hypervisor, Io, IoError, LowMemory, Machine, Negotiator, Rtas,
    ServiceError,
};
use crate::papr::hcall::{Hcall, Reply};
use crate::papr::pci::Width;
use crate::papr::status::{ReturnCode, Status};
use alloc::vec::Vec;
use core::ffi::CStr;

/// A machine whose calls are numbered.
#[derive(Debug)]
pub struct Numbered<M> {
    machine: M,
    calls: u64,
    holds: Holds,
    lent: bool,
    typed: Typed,
    wait: Wait,
    claims: Claims,
}

impl<M: Machine> Numbered<M> {
    /// Numbers the calls to `machine` from 1.
    pub fn new(machine: M) -> Self {
        Self {
            machine,
            calls: 0,
            holds: Holds::default(),
            lent: false,
            typed: Typed::default(),
            wait: Wait::Cede,
            claims: Claims::default(),
        }
    }

    /// The machine itself, for what is no call.
    pub fn bare(&mut self) -> &mut M {
        &mut self.machine
    }

    /// Sets where the guest is to hold.
    pub fn set_holds(&mut self, holds: Holds) {
        self.holds = holds;
    }

    /// Sets how the guest waits.
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// Where the guest is to hold.
    pub fn holds(&self) -> &Holds {
        &self.holds
    }

    /// How many calls there have been in this boot.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Sets how interrupts are accepted.
    pub fn set_intake(&mut self, intake: Intake) {
        self.claims.set_intake(intake);
    }

    /// The other threads that listen.
    pub fn ears(&mut self) -> &mut Vec<Ear> {
        self.claims.ears()
    }

    /// Takes over what other threads have accepted.
    pub fn hear(&mut self) {
        self.claims.hear();
    }

    /// The oldest interrupt that was accepted and not ended yet.
    pub fn claim(&mut self) -> Option<Claim> {
        self.claims.hear();
        self.claims.oldest()
    }

    /// Says that the guest holds.
    pub fn say_hold(&mut self, station: &str, visit: u32) {
        let record = Record::Hold { station: station.into(), visit, calls: self.calls };
        journal::say(&mut self.machine, &record);
    }

    /// Waits for an order, with our vectors in place: the firmware is not at work while we wait.
    pub fn order(&mut self, known: &[Order]) -> Said {
        if self.lent {
            self.machine.take();
        }
        let mut waiting = Waiting { machine: &mut self.machine, claims: &mut self.claims };
        let order = hold::order(&mut waiting, &mut self.typed, known, self.wait);
        if self.lent {
            self.machine.lend();
        }
        order
    }

    /// Gives the processor away until an interrupt has been accepted, or until the host has typed one of these orders.
    /// This is one call, however often the guest wakes up on the way to look at the terminal.
    pub fn idle(&mut self, known: &[Order]) -> Option<Said> {
        self.number();
        self.typed.begin();
        loop {
            hold::wait(&mut self.machine, self.wait);
            if self.accept_what_is_due() {
                return None;
            }
            if self.claims.hear() {
                return None;
            }
            if let Some(said) = hold::hear(&mut self.machine, &mut self.typed, known) {
                return Some(said);
            }
        }
    }

    /// Accepts an interrupt that has come; whether one has.
    fn accept_what_is_due(&mut self) -> bool {
        let due = self.claims.is_due(&self.machine);
        if due {
            self.number();
            self.claims.accept(&mut self.machine);
        }
        due
    }

    /// The longest time in which the guest only waited and did not look at the terminal, in ticks, since this was asked.
    pub fn longest_silence(&mut self) -> u64 {
        self.typed.longest_silence()
    }

    fn number(&mut self) {
        self.calls += 1;
        if self.holds.at_call(self.calls) {
            self.say_hold("call", 1);
            // In the middle of one call there is no place for others.
            self.order(&[Order::Go]);
        }
    }
}

impl<M: Machine> Hypervisor for Numbered<M> {
    fn hcall(&mut self, call: Hcall) -> Reply {
        if !call.is_console() {
            self.number();
        }
        self.machine.hcall(call)
    }
}

impl<M: Machine> ClientInterface for Numbered<M> {
    fn service(&mut self, name: &CStr, args: &mut [Arg<'_>], rets: &mut [u32]) -> Result<(), ServiceError> {
        self.number();
        self.machine.service(name, args, rets)
    }
}

impl<M: Machine> Negotiator for Numbered<M> {
    fn h_cas(&mut self, vectors: Arg<'_>, tree: &mut [u8]) -> ReturnCode {
        self.number();
        self.machine.h_cas(vectors, tree)
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> bool {
        self.machine.put(at, bytes)
    }
}

impl<M: Machine> Rtas for Numbered<M> {
    fn rtas(&mut self, token: u32, args: &mut [Arg<'_>], rets: &mut [u32]) -> Status {
        self.number();
        self.machine.rtas(token, args, rets)
    }
}

impl<M: Machine> Io for Numbered<M> {
    fn io_load(&mut self, address: u64, width: Width) -> Result<u32, IoError> {
        self.number();
        self.machine.io_load(address, width)
    }

    fn io_store(&mut self, address: u64, width: Width, value: u32) -> Result<(), IoError> {
        self.number();
        self.machine.io_store(address, width, value)
    }

    fn io_load_double(&mut self, address: u64) -> Result<u64, IoError> {
        self.number();
        self.machine.io_load_double(address)
    }

    fn io_store_double(&mut self, address: u64, value: u64) -> Result<(), IoError> {
        self.number();
        self.machine.io_store_double(address, value)
    }
}

impl<M: Machine> EventQueues for Numbered<M> {
    fn set_queue(&mut self, server: u32, priority: u8, shift: u32) -> Option<ReturnCode> {
        self.number();
        self.machine.set_queue(server, priority, shift)
    }

    fn queue_entry(&self, server: u32, priority: u8, place: u32) -> u32 {
        self.machine.queue_entry(server, priority, place)
    }
}

impl<M: Machine> Clock for Numbered<M> {
    fn ticks(&self) -> u64 {
        self.machine.ticks()
    }

    fn tick_rate(&self) -> u64 {
        self.machine.tick_rate()
    }

    fn pause(&mut self, ticks: u64) {
        // Ceding is a call like any other: the host can step in before it.
        self.number();
        self.machine.pause(ticks);
        self.accept_what_is_due();
    }

    fn breathe(&mut self) {
        self.machine.breathe();
        self.accept_what_is_due();
    }
}

impl<M: Machine> LowMemory for Numbered<M> {
    fn lend(&mut self) {
        self.lent = true;
        self.machine.lend();
    }

    fn take(&mut self) {
        self.lent = false;
        self.machine.take();
    }

    fn retire_firmware(&mut self) {
        self.lent = false;
        self.machine.retire_firmware();
    }
}

/// A machine whose guest does nothing but wait. An interrupt that comes meanwhile is accepted, or it would come again at
/// once, every time that the processor is given away.
struct Waiting<'m, M> {
    machine: &'m mut M,
    claims: &'m mut Claims,
}

impl<M: Machine> Waiting<'_, M> {
    fn accept_what_is_due(&mut self) {
        if self.claims.is_due(self.machine) {
            self.claims.accept(self.machine);
        }
    }
}

impl<M: Machine> Hypervisor for Waiting<'_, M> {
    fn hcall(&mut self, call: Hcall) -> Reply {
        self.machine.hcall(call)
    }
}

impl<M: Machine> Clock for Waiting<'_, M> {
    fn ticks(&self) -> u64 {
        self.machine.ticks()
    }

    fn tick_rate(&self) -> u64 {
        self.machine.tick_rate()
    }

    fn pause(&mut self, ticks: u64) {
        self.machine.pause(ticks);
        self.accept_what_is_due();
    }

    fn breathe(&mut self) {
        self.machine.breathe();
        self.accept_what_is_due();
    }
}
