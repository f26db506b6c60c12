//! XIVE: sources have pages, and what they let through is written into a queue.
//!
//! A source that is off has P set and not Q, as the source keeps what comes then; were Q set alone, as it is before
//! anybody has switched it on, it would be lost.
//!
//! Ref: QEMU hw/intc/spapr_xive.c, QEMU hw/intc/xive.c

use super::Bus;
use super::claims::{Claim, Intake};
use super::decisions::{Cursor, after_keeping_back, is_let_through, owes};
use crate::agent::journal;
use crate::log::{Hex, Record};
use crate::machine::IoError;
use crate::papr::hcall::Hcall;
use crate::papr::interrupt::{PRIORITY_EVENTS, PRIORITY_MASKED};
use crate::papr::status::ReturnCode;
use crate::papr::xive::{Load, SourceFlags, SourceInfo, State};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The power of two of a queue's bytes where the tree does not say: the page that every machine has.
pub(super) const USUAL_SHIFT: u32 = 16;

/// A source that the guest knows.
#[derive(Clone, Copy, Debug)]
struct Line {
    irq: u32,
    info: SourceInfo,
    held: Held,
}

/// Whether a source is held back. So that it never has two entries in a queue, it is not made ready before what it has let
/// through was ended, even if it was off and on again meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Nobody has switched it yet, and what comes is lost.
    Off,
    /// It keeps what comes; and what it has let through before is ended, or not yet.
    Back { ended: bool },
    /// It lets through what comes.
    No,
}

/// The controller.
#[derive(Debug)]
pub struct Xive {
    /// The operating system's page of the management area.
    pub(super) page: u64,
    /// The power of two of a queue's bytes.
    pub(super) shift: u32,
    /// Sources are reached by calls and not by their pages.
    pub(super) by_call: bool,
    /// The thread that the guest runs on.
    pub(super) server: u32,
    lines: Vec<Line>,
}

/// Something that was done, and to what.
#[derive(Default)]
struct Done {
    call: &'static str,
    irq: Option<u32>,
    server: Option<u32>,
    priority: Option<u8>,
    value: Option<u64>,
}

impl Done {
    fn say<M: Bus>(self, bus: &mut M, rc: ReturnCode) -> Result<(), String> {
        let Self { call, irq, server, priority, value } = self;
        let record = Record::Xive {
            call: call.into(),
            irq: irq.map(|irq| Hex(irq.into())),
            server,
            priority: priority.map(u32::from),
            rc,
            value: value.map(Hex),
        };
        journal::say(bus, &record);
        match (rc, irq) {
            (ReturnCode::SUCCESS, _) => Ok(()),
            (_, Some(irq)) => Err(format!("{call} of interrupt {irq:#x}: {rc}")),
            (_, None) => Err(format!("{call}: {rc}")),
        }
    }
}

impl Xive {
    pub(super) const fn new(page: u64, shift: u32, server: u32, by_call: bool) -> Self {
        Self { page, shift, by_call, server, lines: Vec::new() }
    }

    pub(super) fn reset<M: Bus>(&mut self, bus: &mut M) -> Result<(), String> {
        self.lines.clear();
        let reply = bus.hcall(Hcall::int_reset());
        Done { call: "reset", ..Done::default() }.say(bus, reply.code)
    }

    /// Gives the controller an empty queue for what goes to this server.
    pub(super) fn set_queue<M: Bus>(&self, bus: &mut M, server: u32) -> Result<(), String> {
        let rc = bus.set_queue(server, PRIORITY_EVENTS, self.shift);
        let rc = rc.ok_or_else(|| format!("no memory for a queue of 2^{} bytes", self.shift))?;
        let (to, priority, value) = (Some(server), Some(PRIORITY_EVENTS), Some(1 << self.shift));
        Done { call: "set-queue", server: to, priority, value, irq: None }.say(bus, rc)
    }

    /// What accepts what goes to this server, by an empty queue.
    pub(super) const fn intake(&self, server: u32) -> Intake {
        Intake::Xive { page: self.page, server, cursor: Cursor::new(self.shift) }
    }

    /// A source, asked for where it is not known yet.
    fn line<M: Bus>(&mut self, bus: &mut M, irq: u32) -> Result<usize, String> {
        if let Some(at) = self.lines.iter().position(|line| line.irq == irq) {
            return Ok(at);
        }
        let reply = bus.hcall(Hcall::int_get_source_info(irq));
        let info = SourceInfo::read(&reply);
        let value = info.ok().and_then(|info| info.page);
        Done { call: "source-info", irq: Some(irq), value, ..Done::default() }.say(bus, reply.code)?;
        if let Ok(info) = info {
            self.lines.push(Line { irq, info, held: Held::Off });
        }
        Ok(self.lines.len() - 1)
    }

    pub(super) fn route<M: Bus>(
        &mut self,
        bus: &mut M,
        irq: u32,
        server: u32,
        priority: u8,
    ) -> Result<(), String> {
        let at = self.line(bus, irq)?;
        let line = self.lines[at];
        if priority == PRIORITY_MASKED {
            self.lines[at].held = self.keep_back(bus, line)?;
            return Ok(());
        }
        let reply = bus.hcall(Hcall::int_set_source_config(irq, server, priority, irq));
        let (irq, server, priority) = (Some(irq), Some(server), Some(priority));
        Done { call: "set-source", irq, server, priority, value: None }.say(bus, reply.code)?;
        self.lines[at].held = Held::No;
        self.let_through(bus, line)
    }

    /// Switches a source off, so that it keeps what comes.
    fn keep_back<M: Bus>(&self, bus: &mut M, line: Line) -> Result<Held, String> {
        let (before, held) = match line.held {
            Held::Back { .. } => (self.load(bus, line, Load::Get)?, line.held),
            Held::Off | Held::No => {
                let before = self.load(bus, line, Load::Set10)?;
                if let Some(more) = after_keeping_back(before) {
                    self.load(bus, line, more)?;
                }
                (before, Held::Back { ended: !is_let_through(before) })
            }
        };
        self.say_moved(bus, "keep-back", line.irq, before)?;
        Ok(held)
    }

    /// Switches a source on, which was held as it says.
    fn let_through<M: Bus>(&self, bus: &mut M, line: Line) -> Result<(), String> {
        let is_ready = line.held == Held::No || line.held == Held::Back { ended: false };
        let before = self.load(bus, line, if is_ready { Load::Get } else { Load::Set00 })?;
        self.say_moved(bus, "let-through", line.irq, before)?;
        if !is_ready && owes(before) { self.trigger(bus, line) } else { Ok(()) }
    }

    fn say_moved<M: Bus>(
        &self,
        bus: &mut M,
        call: &'static str,
        irq: u32,
        from: State,
    ) -> Result<(), String> {
        let value = Some(from.bits().into());
        Done { call, irq: Some(irq), value, ..Done::default() }.say(bus, ReturnCode::SUCCESS)
    }

    pub(super) fn say_route<M: Bus>(&mut self, bus: &mut M, irq: u32) -> Result<(), String> {
        let at = self.line(bus, irq)?;
        let reply = bus.hcall(Hcall::int_get_source_config(irq));
        let state = self.load(bus, self.lines[at], Load::Get)?;
        let [server, priority, ..] = reply.values;
        Done {
            call: "get-source",
            irq: Some(irq),
            server: u32::try_from(server).ok(),
            priority: u8::try_from(priority).ok(),
            value: Some(state.bits().into()),
        }
        .say(bus, reply.code)
    }

    /// Makes the source of an interrupt ready for the next.
    pub(super) fn release<M: Bus>(&mut self, bus: &mut M, claim: &Claim) -> Result<(), String> {
        let line = self.lines.iter_mut().find(|line| Some(line.irq) == claim.source);
        let on = line.and_then(|line| match &mut line.held {
            Held::No => Some(*line),
            Held::Back { ended } => {
                // It goes on keeping back what comes.
                *ended = true;
                None
            }
            Held::Off => None,
        });
        on.map_or(Ok(()), |line| self.make_ready(bus, line))
    }

    fn make_ready<M: Bus>(&self, bus: &mut M, line: Line) -> Result<(), String> {
        if line.info.flags.contains(SourceFlags::LEVEL) {
            // A level triggers once more by itself.
            return self.load(bus, line, Load::Eoi).map(|_| ());
        }
        if owes(self.load(bus, line, Load::Set00)?) { self.trigger(bus, line) } else { Ok(()) }
    }

    fn load<M: Bus>(&self, bus: &mut M, line: Line, from: Load) -> Result<State, String> {
        let problem = |problem| format!("{from:?} of interrupt {:#x}: {problem}", line.irq);
        let page =
            line.info.page.filter(|_| !self.by_call && !line.info.flags.contains(SourceFlags::BY_CALL));
        let loaded = match page {
            Some(page) => bus
                .io_load_double(page.wrapping_add(from as u64))
                .map_err(|refused| problem(refused.to_string()))?,
            None => {
                let reply = bus.hcall(Hcall::int_esb_load(line.irq, from));
                if reply.code != ReturnCode::SUCCESS {
                    return Err(problem(format!("H_INT_ESB: {}", reply.code)));
                }
                reply.values[0]
            }
        };
        State::new(loaded).ok_or_else(|| problem(format!("{loaded:#x} is no P and Q")))
    }

    /// Triggers a source that owes an interrupt.
    fn trigger<M: Bus>(&self, bus: &mut M, line: Line) -> Result<(), String> {
        let page = line.info.trigger.filter(|_| !self.by_call);
        let rc = match page {
            Some(page) => match bus.io_store_double(page, 0) {
                Err(IoError::Refused(code)) => code,
                Err(problem) => return Err(format!("trigger of interrupt {:#x}: {problem}", line.irq)),
                Ok(()) => ReturnCode::SUCCESS,
            },
            None => bus.hcall(Hcall::int_esb_trigger(line.irq)).code,
        };
        Done { call: "trigger", irq: Some(line.irq), ..Done::default() }.say(bus, rc)
    }
}
