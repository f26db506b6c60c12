//! Listening: the event sources are armed, the queue is drained, and the guest waits for more.
//!
//! The handler in assembly only counts an interrupt. Here it is claimed, the queue is read until it is empty, the
//! interrupt is ended, and only then are the events acted on: the time from the interrupt to the empty queue is the
//! platform's and the guest's reading alone, and nothing that an event asks for can keep the next one waiting.

use super::facts::Source;
use super::guest::{Chapter, Guest};
use super::hold::Order;
use super::interrupts::Claim;
use super::station::Station;
use crate::log::{Hex, Record, Severity};
use crate::machine::{Clock, Machine, Taken};
use crate::papr::event::{EventMask, LOG_MAX};
use crate::papr::interrupt::{PRIORITY_EVENTS, PRIORITY_MASKED};
use crate::papr::status::Status;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// An event log as it came out of the queue.
pub(super) type RawLog = Vec<u8>;

/// The most events that one drain takes: a queue that does not end must not keep the guest for ever.
const DRAIN_MOST: u32 = 65_536;

impl<M: Machine> Guest<M> {
    /// Installs the handler: the vectors are in place, every source is known and off, the processor lets nothing
    /// through.
    pub fn install_the_handler(&mut self) -> Chapter {
        self.say(&self.controller.record());
        let ready = self.controller.set_up(&mut self.machine);
        ready.map_err(|problem| self.fatal("interrupt controller", problem))?;
        self.machine.set_intake(self.controller.intake());
        for source in self.facts.sources.clone() {
            self.say_source(&source);
            self.route(source.irq, PRIORITY_MASKED);
        }
        if self.facts.sources.is_empty() {
            self.problem(Severity::Major, "/event-sources", "no event source: nothing will ever be heard");
        }
        self.reach(Station::HandlerInstalled);
        Ok(())
    }

    /// Arms the handler, and drains the queue once, whatever the interrupt did: what was queued while nobody could
    /// listen has no interrupt of its own any more.
    pub fn arm_the_handler(&mut self) -> Chapter {
        self.switch_sources(PRIORITY_EVENTS);
        let opened = self.controller.open(&mut self.machine);
        self.heed(opened);
        self.reach(Station::HandlerArmed);
        self.scan()?;
        self.poll()
    }

    /// Routes every event source to its processor with a priority; [`PRIORITY_MASKED`] switches it off.
    pub(super) fn switch_sources(&mut self, priority: u8) {
        for source in self.facts.sources.clone() {
            self.route(source.irq, priority);
        }
    }

    /// The rest of the guest's life: waits, listens, acts.
    pub fn live(&mut self) -> Chapter {
        loop {
            self.act()?;
            if self.is_over() {
                return Ok(());
            }
            self.reach(Station::Idle);
            let logs = self.wait()?;
            self.keep(logs);
        }
    }

    fn say_source(&mut self, source: &Source) {
        self.say(&Record::Source {
            name: source.name.as_str().into(),
            irq: Hex(source.irq.into()),
            level: source.level,
            mask: Hex(source.mask.bits().into()),
        });
    }

    fn route(&mut self, irq: u32, priority: u8) {
        let server = self.target();
        let answer = self.controller.route(&mut self.machine, &self.tokens, irq, server, priority);
        self.heed(answer);
    }

    /// Says what an interrupt controller could not do. The guest lives on, though it may not hear any more.
    pub(super) fn heed(&mut self, answer: Result<(), String>) {
        if let Err(problem) = answer {
            self.problem(Severity::Major, "interrupt controller", problem);
        }
    }

    /// Waits for an interrupt, and takes what it brings. What the host says meanwhile is done.
    fn wait(&mut self) -> Chapter<Vec<RawLog>> {
        loop {
            if let Some(claim) = self.machine.claim() {
                return self.answer(claim);
            }
            if let Some(said) = self.machine.idle(Order::ALL) {
                self.consider(said);
                self.act()?;
                if self.is_over() {
                    return Ok(Vec::new());
                }
            }
        }
    }

    /// Drains the queue behind an interrupt that was accepted, and ends the interrupt.
    fn answer(&mut self, claim: Claim) -> Chapter<Vec<RawLog>> {
        let logs = match claim.source {
            Some(irq) if !claim.is_from_processor() => self.drain(irq)?,
            _ => Vec::new(),
        };
        self.end_interrupt(claim);
        self.say_interrupt(claim.taken, claim.source, logs.len());
        Ok(logs)
    }

    fn say_interrupt(&mut self, taken: Taken, source: Option<u32>, events: usize) {
        let drained = self.machine.ticks();
        self.say(&Record::Interrupt {
            count: taken.count,
            irq: source.map(|irq| Hex(irq.into())),
            taken: taken.at,
            drained,
            events: u32::try_from(events).unwrap_or(u32::MAX),
        });
    }

    /// Takes what is in the queue, although no interrupt has told of it.
    pub(super) fn poll(&mut self) -> Chapter {
        let logs = self.drain(0)?;
        self.keep(logs);
        Ok(())
    }

    /// Takes events with check-exception until there are none; an empty queue is accepted.
    fn drain(&mut self, irq: u32) -> Chapter<Vec<RawLog>> {
        self.drain_with("check-exception", |guest, log| guest.rtas().check_exception(irq, wanted(), log))
    }

    /// Takes events with event-scan until there are none.
    pub(super) fn scan(&mut self) -> Chapter {
        let logs = self.drain_with("event-scan", |guest, log| guest.rtas().event_scan(wanted(), log))?;
        self.keep(logs);
        Ok(())
    }

    fn drain_with(
        &mut self,
        call: &'static str,
        mut take: impl FnMut(&mut Self, &mut [u8; LOG_MAX]) -> Result<Status, crate::papr::rtas::Missing>,
    ) -> Chapter<Vec<RawLog>> {
        let mut logs = Vec::new();
        let mut buffer = [0; LOG_MAX];
        let rc = loop {
            let rc = take(self, &mut buffer).map_err(|missing| self.fatal(call, format!("{missing}")))?;
            if rc != Status::SUCCESS || logs.len() as u32 >= DRAIN_MOST {
                break rc;
            }
            logs.push(as_long_as_it_says(&buffer));
            self.reach(Station::Draining);
        };
        let mask = Hex(wanted().bits().into());
        self.say(&Record::Drain { call: call.into(), mask, events: logs.len() as u32, rc });
        if rc == Status::SUCCESS {
            self.problem(Severity::Major, call, format!("the queue does not end: {DRAIN_MOST} events"));
        } else if rc != Status::NONE_FOUND {
            self.problem(Severity::Major, call, format!("{rc}"));
        }
        self.reach(Station::Drained);
        Ok(logs)
    }
}

/// The classes that this guest takes.
fn wanted() -> EventMask {
    EventMask::EPOW | EventMask::HOT_PLUG
}

/// A log, without the rest of its buffer.
fn as_long_as_it_says(buffer: &[u8; LOG_MAX]) -> RawLog {
    let len = crate::papr::event::total_len(buffer).unwrap_or(LOG_MAX);
    buffer[..len.min(LOG_MAX)].to_vec()
}
