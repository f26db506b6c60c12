//! The queue of events and the two interrupts that announce them.
//!
//! Ref: QEMU hw/ppc/spapr_events.c

use crate::papr::event::{Action, EventMask, Identifier, IdentifierKind, Resource};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The interrupt of the EPOW source. Ref: QEMU include/hw/ppc/spapr_irq.h (SPAPR_IRQ_EPOW)
pub const EPOW_IRQ: u32 = 0x1000;
/// The interrupt of the hotplug source. Ref: QEMU include/hw/ppc/spapr_irq.h (SPAPR_IRQ_HOTPLUG)
pub const HOT_PLUG_IRQ: u32 = 0x1001;
/// Bytes of every event that QEMU makes.
pub const QUEUED_LEN: usize = 116;

/// The priority with which a source is off.
const MASKED: u8 = 0xff;

/// What an event tells, and its log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Queued {
    is_hotplug: bool,
    log: [u8; QUEUED_LEN],
}

/// An interrupt source: edge-triggered, and latched while it is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub irq: u32,
    /// The server that it goes to.
    pub server: u32,
    /// Its priority; 0xff is off.
    pub priority: u8,
    /// The priority to go back to when it is turned on.
    pub saved: u8,
    /// A pulse came and was not delivered yet.
    pub latched: bool,
    /// How many pulses came.
    pub pulses: u32,
}

impl Line {
    const fn new(irq: u32) -> Self {
        Self { irq, server: 0, priority: MASKED, saved: MASKED, latched: false, pulses: 0 }
    }
}

/// The queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    events: VecDeque<Queued>,
    next_plid: u32,
    pub(super) lines: [Line; 2],
}

impl Queue {
    pub(super) fn new() -> Self {
        let lines = [Line::new(EPOW_IRQ), Line::new(HOT_PLUG_IRQ)];
        Self { events: VecDeque::new(), next_plid: 0, lines }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Queues an event and pulses its source. `own_source`: hotplug has a source of its own.
    ///
    /// Ref: QEMU hw/ppc/spapr_events.c (rtas_event_log_queue, spapr_hotplug_req_event, spapr_powerdown_req)
    pub(super) fn push(&mut self, hotplug: Option<(Resource, Action, Identifier<'_>)>, own_source: bool) {
        let log = log(hotplug, self.next_plid);
        self.next_plid = self.next_plid.wrapping_add(1);
        let event = Queued { is_hotplug: hotplug.is_some(), log };
        let source = source(&event, own_source);
        self.events.push_back(event);
        self.pulse(source);
    }

    fn pulse(&mut self, source: EventMask) {
        let irq = if source == EventMask::HOT_PLUG { HOT_PLUG_IRQ } else { EPOW_IRQ };
        for line in self.lines.iter_mut().filter(|line| line.irq == irq) {
            line.latched = true;
            line.pulses += 1;
        }
    }

    /// Pulses each source that has events.
    pub(super) fn pulse_again(&mut self, own_source: bool) {
        for mask in [EventMask::EPOW, EventMask::HOT_PLUG] {
            if self.events.iter().any(|event| source(event, own_source) == mask) {
                self.pulse(mask);
            }
        }
    }

    /// Takes the first event of the classes in `mask`. The class is decided now, not when the event was queued.
    ///
    /// Ref: QEMU hw/ppc/spapr_events.c (rtas_event_log_dequeue, check_exception)
    pub(super) fn take(&mut self, mask: u32, own_source: bool) -> Option<[u8; QUEUED_LEN]> {
        let wanted = |event: &Queued| source(event, own_source).bits() & mask != 0;
        let at = self.events.iter().position(wanted)?;
        let event = self.events.remove(at)?;
        self.pulse_again(own_source);
        Some(event.log)
    }

    /// CAS drops the hotplug events and keeps the others.
    ///
    /// Ref: QEMU hw/ppc/spapr_events.c (spapr_clear_pending_hotplug_events)
    pub(super) fn drop_hotplug(&mut self) {
        self.events.retain(|event| !event.is_hotplug);
    }

    /// A reset drops everything, and the interrupt controller forgets.
    ///
    /// Ref: QEMU hw/ppc/spapr_events.c (spapr_clear_pending_events), hw/intc/xics.c (ics_reset)
    pub(super) fn reset(&mut self) {
        self.events.clear();
        self.lines = self.lines.map(|line| Line { pulses: line.pulses, ..Line::new(line.irq) });
    }

    pub(super) fn line(&mut self, irq: u32) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.irq == irq)
    }

    /// Delivers an interrupt that is latched and let through.
    pub(super) fn deliver(&mut self) -> Option<Line> {
        let line = self.lines.iter_mut().find(|line| line.latched && line.priority != MASKED)?;
        line.latched = false;
        Some(*line)
    }
}

/// Ref: QEMU hw/ppc/spapr_events.c (rtas_event_log_to_source)
fn source(event: &Queued, own_source: bool) -> EventMask {
    if event.is_hotplug && own_source { EventMask::HOT_PLUG } else { EventMask::EPOW }
}

/// The log of an event, made at midnight of 1 January 2026.
///
/// Ref: QEMU hw/ppc/spapr_events.c (spapr_init_v6hdr, spapr_init_maina, spapr_hotplug_req_event, spapr_powerdown_req)
fn log(hotplug: Option<(Resource, Action, Identifier<'_>)>, plid: u32) -> [u8; QUEUED_LEN] {
    const EXTENDED_LEN: u32 = 0x6c;
    let mut bytes = Vec::with_capacity(QUEUED_LEN);
    let summary: u32 = if hotplug.is_some() { 0x0634_60e5 } else { 0x0634_0040 };
    bytes.extend(summary.to_be_bytes());
    bytes.extend(EXTENDED_LEN.to_be_bytes());
    bytes.extend(*b"\x86\0\x8e\0\0\0\0\0\0\0\0\0IBM\0");
    bytes.extend(
        *b"PH\0\x30\0\0\0\0\x20\x26\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0H\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0",
    );
    // QEMU stores this one as its host does.
    bytes.extend(plid.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(*b"UH\0\x18\0\0\0\0");
    bytes.extend(if hotplug.is_some() { [0x80, 0, 0, 0] } else { [0xa0, 0, 0, 0xd0] });
    bytes.extend([0; 12]);
    match hotplug {
        Some((resource, action, id)) => {
            bytes.extend(*b"HP\0\x14\x01\0\0\0");
            bytes.extend([resource.0, action.0]);
            bytes.extend(identifier(id));
        }
        None => bytes.extend(*b"EP\0\x14\x02\0\0\0\x03\x01\x01\0\0\0\0\0\0\0\0\0"),
    }
    let mut log = [0; QUEUED_LEN];
    let len = bytes.len().min(QUEUED_LEN);
    log[..len].copy_from_slice(&bytes[..len]);
    log
}

/// The kind of an identifier, a reserved byte, and the identifier. QEMU uses only these three.
fn identifier(id: Identifier<'_>) -> [u8; 10] {
    let (kind, [high, low]) = match id {
        Identifier::Count(count) => (IdentifierKind::COUNT, [count, 0]),
        Identifier::CountIndexed { count, first } => (IdentifierKind::COUNT_INDEXED, [count, first.0]),
        Identifier::Index(index) => (IdentifierKind::INDEX, [index.0, 0]),
        Identifier::Name(_) | Identifier::Unknown { .. } => (IdentifierKind(0), [0, 0]),
    };
    let mut bytes = [0; 10];
    bytes[0] = kind.0;
    bytes[2..6].copy_from_slice(&high.to_be_bytes());
    bytes[6..].copy_from_slice(&low.to_be_bytes());
    bytes
}
