//! The guest: what it is, what it knows, and how it speaks.
//!
//! The chapters of its life are methods in files of their own; here is what they share.

use super::aiming::Aim;
use super::arguments::Arguments;
use super::facts::Facts;
use super::interrupts::Controller;
use super::journal;
use super::listening::RawLog;
use super::lives::Life;
use super::numbered::Numbered;
use super::station::Station;
use crate::hotplug::inventory::Inventory;
use crate::log::{Record, Severity, Text};
use crate::machine::Machine;
use crate::openfirmware::flatten::FlatTree;
use crate::papr::drc::DrcIndex;
use crate::papr::rtas::{Calls, Missing, Tokens};
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// What the guest has seen so far, for its last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that ended as they should.
    pub done: u32,
    /// Requests that failed.
    pub failed: u32,
    /// Problems that were not minor.
    pub problems: u32,
    /// Events taken from the queue.
    pub events: u32,
    /// Events that could not be understood.
    pub unknown: u32,
}

/// Something happened that the guest cannot live with; the record that tells of it has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fatal;

/// What a chapter of the guest's life comes to.
pub type Chapter<T = ()> = Result<T, Fatal>;

/// The guest.
#[derive(Debug)]
pub struct Guest<M> {
    /// The machine, with its calls numbered.
    pub(super) machine: Numbered<M>,
    /// What the user asked for.
    pub(super) arguments: Arguments,
    /// What the device tree says.
    pub(super) facts: Facts,
    /// The tokens of RTAS; all missing until it is up.
    pub(super) tokens: Tokens,
    /// RTAS is in memory.
    pub(super) rtas_ready: bool,
    /// The interrupt controller.
    pub(super) controller: Controller,
    /// Where the event sources send, if it is not to this processor.
    pub(super) aim: Option<Aim>,
    /// RTAS is up.
    pub(super) rtas_up: bool,
    /// The tree as it was read last: CAS can be repeated, and makes another of it.
    pub(super) before: Option<FlatTree>,
    /// Connectors that an earlier life had and that the tree does not give: they came by events.
    pub(super) inherited: Vec<DrcIndex>,
    /// The tree that the hypervisor handed out, where the guest has asked it itself; until it is read.
    pub(super) given: Option<FlatTree>,
    /// The end of the memory that was there at boot is the guest's.
    pub(super) has_last_page: bool,
    /// What the guest knows of each connector.
    pub(super) inventory: Inventory,
    /// What it has seen so far.
    pub(super) tally: Tally,
    /// Events that were taken and told, and not acted on yet, with their numbers.
    pub(super) waiting: VecDeque<(u32, RawLog)>,
    /// Connectors that events have told of and that are to be measured, where that is the guest's task.
    pub(super) specimens: Vec<DrcIndex>,
    /// Which boot this is, and where that is kept.
    pub(super) life: Life,
    /// The platform has asked the guest to end.
    pub(super) over: bool,
    visits: Vec<u32>,
}

impl<M: Machine> Guest<M> {
    /// A guest that knows nothing yet. Needs no heap.
    pub fn new(machine: M) -> Self {
        Self {
            machine: Numbered::new(machine),
            arguments: Arguments::default(),
            facts: Facts::default(),
            tokens: Tokens::read(|_| None),
            rtas_ready: false,
            controller: Controller::default(),
            aim: None,
            rtas_up: false,
            before: None,
            inherited: Vec::new(),
            given: None,
            has_last_page: false,
            inventory: Inventory::new(),
            tally: Tally::default(),
            waiting: VecDeque::new(),
            specimens: Vec::new(),
            life: Life::default(),
            over: false,
            visits: Vec::new(),
        }
    }

    /// Says one thing.
    pub(super) fn say(&mut self, record: &Record<'_>) {
        journal::say(&mut self.machine, record);
    }

    /// Says something worth knowing.
    pub(super) fn note(&mut self, text: fmt::Arguments<'_>) {
        self.say(&Record::Note { text: alloc::fmt::format(text).into() });
    }

    /// Says that something is wrong.
    pub(super) fn problem(&mut self, severity: Severity, what: &str, detail: impl Into<Text<'static>>) {
        if severity != Severity::Minor {
            self.tally.problems += 1;
        }
        self.say(&Record::Problem { severity, what: what.into(), detail: detail.into() });
    }

    /// Says what it is that the guest cannot live with.
    pub(super) fn fatal(&mut self, what: &str, detail: impl Into<Text<'static>>) -> Fatal {
        self.problem(Severity::Fatal, what, detail);
        Fatal
    }

    /// Comes to a station: lines name it from now on, and the guest holds or crashes here if it was told to.
    pub(super) fn reach(&mut self, station: Station) {
        journal::set_station(station.word());
        self.leave_a_trace(station);
        if self.visits.is_empty() {
            self.visits = alloc::vec![0; Station::ALL.len()];
        }
        let Some(visit) = self.visits.get_mut(station as usize) else { return };
        *visit += 1;
        let visit = *visit;
        if self.machine.holds().matches(station, visit) {
            self.machine.say_hold(station.word(), visit);
            self.obey_until_go();
            // An order may have led elsewhere.
            journal::set_station(station.word());
        }
        if let Some(crash) = self.arguments.crash.filter(|crash| crash.at == station && visit == 1) {
            self.note(format_args!("crash={} was asked for", crash.kind));
            self.machine.bare().crash(crash.kind);
            self.problem(Severity::Major, "crash", String::from("this machine does not crash that way"));
        }
    }

    /// RTAS calls, ready to be made.
    pub(super) fn rtas(&mut self) -> Calls<'_, Numbered<M>> {
        Calls::new(&mut self.machine, &self.tokens)
    }

    /// A call without which nothing works.
    pub(super) fn must<T>(&mut self, call: impl FnOnce(&mut Self) -> Result<T, Missing>) -> Chapter<T> {
        call(self).map_err(|missing| self.fatal("rtas", missing.to_string()))
    }
}
