//! Accepting interrupts.
//!
//! An interrupt is accepted as soon as the guest sees that its handler has counted one, also in the middle of other work:
//! accepted, it is not presented again, and a guest that gives the processor away can sleep. It is ended only when the
//! queue behind it has been read.

use super::decisions::Cursor;
use super::ear::Ear;
use crate::machine::{EventQueues, Hypervisor, Io, Platform, Taken};
use crate::papr::hcall::Hcall;
use crate::papr::interrupt::{IPI, PRIORITY_EVENTS, PRIORITY_OPEN, SPURIOUS, Xirr};
use crate::papr::pci::Width;
use crate::papr::status::ReturnCode;
use crate::papr::xive::{Ack, Entry, tima};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What has to be known to end an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The controller did not let it be accepted, as it does when it is another one.
    Refused,
    /// What `H_XIRR` gave.
    Xics(Xirr),
    /// By XIVE's queue; the last of those that were accepted together opens the processor again.
    Xive { reopens: bool },
}

/// An interrupt that was accepted and is not ended yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where it came from; `None` when nothing was there.
    pub source: Option<u32>,
    /// What the handler noted.
    pub taken: Taken,
    /// The thread that has accepted it and has to end it; `None` for the one that the guest runs on.
    pub server: Option<u32>,
    how: How,
}

impl Claim {
    /// Whether another processor has sent it, and no source.
    pub fn is_from_processor(&self) -> bool {
        matches!(self.how, How::Xics(xirr) if xirr.source() == IPI)
    }

    const fn new(source: Option<u32>, taken: Taken, how: How) -> Self {
        Self { source, taken, server: None, how }
    }

    /// The same, accepted by another thread.
    pub(super) fn by(self, server: u32) -> Self {
        Self { server: Some(server), ..self }
    }

    const fn xirr(&self) -> Option<Xirr> {
        match self.how {
            How::Xics(xirr) => Some(xirr),
            _ => None,
        }
    }

    const fn reopens(&self) -> bool {
        matches!(self.how, How::Xive { reopens: true })
    }
}

/// How interrupts are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intake {
    /// By a call: no other of its priority or below comes until it is ended.
    #[default]
    Xics,
    /// By the management area and a queue.
    Xive {
        /// The operating system's page of the management area.
        page: u64,
        /// The thread whose queue it is.
        server: u32,
        /// Where the queue is read next.
        cursor: Cursor,
    },
}

impl Intake {
    /// Sets what the processor that calls lets through.
    ///
    /// # Errors
    /// In words: it is as it was.
    pub fn set_priority<M: Hypervisor + Io>(&self, machine: &mut M, priority: u8) -> Result<(), String> {
        match self {
            Self::Xics => match machine.hcall(Hcall::cppr(priority)).code {
                ReturnCode::SUCCESS => Ok(()),
                code => Err(format!("H_CPPR: {code}; is it XICS?")),
            },
            Self::Xive { page, .. } => {
                let at = page.wrapping_add(tima::CPPR);
                machine
                    .io_store(at, Width::Byte, priority.into())
                    .map_err(|problem| format!("priority {priority:#x} to {at:#x}: {problem}"))
            }
        }
    }

    /// Ends an interrupt that the processor that calls has accepted; it is open again for others.
    ///
    /// # Errors
    /// In words: there may be no more interrupts.
    pub fn end<M: Hypervisor + Io>(&self, machine: &mut M, claim: &Claim) -> Result<(), String> {
        match self {
            Self::Xics => {
                // What is spurious has not closed the processor.
                let xirr = claim.xirr().filter(|_| claim.source.is_some());
                let code = xirr.map(|xirr| machine.hcall(Hcall::eoi(xirr.0)).code);
                match code.filter(|code| *code != ReturnCode::SUCCESS) {
                    Some(code) => Err(format!("H_EOI: {code}")),
                    None => Ok(()),
                }
            }
            Self::Xive { .. } if claim.reopens() => self.set_priority(machine, PRIORITY_OPEN),
            Self::Xive { .. } => Ok(()),
        }
    }

    /// Accepts all that is pending, at least one claim, which may be for nothing.
    pub fn accept<M: Hypervisor + Io + EventQueues>(&mut self, machine: &mut M, taken: Taken) -> Vec<Claim> {
        match self {
            Self::Xics => alloc::vec![xics(machine, taken)],
            Self::Xive { page, server, cursor } => {
                let at = page.wrapping_add(tima::ACKNOWLEDGE);
                // The load has 16 bits.
                let ack = machine.io_load(at, Width::Half).map(|loaded| Ack(loaded as u16));
                let Ok(ack) = ack else {
                    return alloc::vec![Claim::new(None, taken, How::Refused)];
                };
                let mut claims = Vec::new();
                while let Some(irq) =
                    cursor.take(Entry(machine.queue_entry(*server, PRIORITY_EVENTS, cursor.place())))
                {
                    claims.push(Claim::new(Some(irq), taken, How::Xive { reopens: false }));
                }
                if claims.is_empty() {
                    claims.push(Claim::new(None, taken, How::Xive { reopens: false }));
                }
                if let Some(last) = claims.last_mut() {
                    last.how = How::Xive { reopens: ack.priority().is_some() };
                }
                claims
            }
        }
    }
}

fn xics<M: Hypervisor>(machine: &mut M, taken: Taken) -> Claim {
    let reply = machine.hcall(Hcall::xirr());
    if reply.code != ReturnCode::SUCCESS {
        return Claim::new(None, taken, How::Refused);
    }
    // The register has 32 bits; what the call returns above them is no part of it.
    let xirr = Xirr(reply.values[0] as u32);
    let source = Some(xirr.source()).filter(|source| *source != SPURIOUS);
    Claim::new(source, taken, How::Xics(xirr))
}

/// The interrupts that were accepted and not ended yet, oldest first.
#[derive(Debug, Default)]
pub struct Claims {
    intake: Intake,
    counted: u64,
    open: Vec<Claim>,
    ears: Vec<Ear>,
}

impl Claims {
    /// From now on interrupts are accepted in this way.
    pub fn set_intake(&mut self, intake: Intake) {
        self.intake = intake;
    }

    /// The other threads that listen.
    pub fn ears(&mut self) -> &mut Vec<Ear> {
        &mut self.ears
    }

    /// Takes over what other threads have accepted; whether there is anything to be ended.
    pub fn hear(&mut self) -> bool {
        let heard = self.ears.iter().flat_map(Ear::heard);
        self.open.extend(heard);
        !self.open.is_empty()
    }

    /// Whether the handler has counted an interrupt that was not accepted yet.
    pub fn is_due<M: Platform>(&self, machine: &M) -> bool {
        machine.taken().count != self.counted
    }

    /// Accepts the interrupt that is due.
    pub fn accept<M: Hypervisor + Io + EventQueues + Platform>(&mut self, machine: &mut M) {
        let taken = machine.taken();
        self.counted = taken.count;
        self.open.extend(self.intake.accept(machine, taken));
    }

    /// The oldest of them.
    pub fn oldest(&mut self) -> Option<Claim> {
        (!self.open.is_empty()).then(|| self.open.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::Claims;
    use crate::machine::{Boot, Crash, EventQueues, HeapUse, Hypervisor, Io, IoError, Platform, Taken};
    use crate::papr::hcall::{Hcall, Reply};
    use crate::papr::interrupt::Xirr;
    use crate::papr::pci::Width;
    use crate::papr::status::ReturnCode;

    /// A controller that presents sources one after the other, and a handler that counts them.
    #[derive(Default)]
    struct Presenter {
        pending: Vec<u32>,
        counted: u64,
    }

    impl Hypervisor for Presenter {
        fn hcall(&mut self, _: Hcall) -> Reply {
            let xirr = self.pending.pop().unwrap_or(0);
            Reply { code: ReturnCode::SUCCESS, values: [xirr.into(), 0, 0, 0] }
        }
    }

    #[rustfmt::skip]
    impl Io for Presenter {
        fn io_load(&mut self, _: u64, _: Width) -> Result<u32, IoError> { unreachable!("XICS has no pages") }
        fn io_store(&mut self, _: u64, _: Width, _: u32) -> Result<(), IoError> { unreachable!("XICS has no pages") }
        fn io_load_double(&mut self, _: u64) -> Result<u64, IoError> { unreachable!("XICS has no pages") }
        fn io_store_double(&mut self, _: u64, _: u64) -> Result<(), IoError> { unreachable!("XICS has no pages") }
    }

    #[rustfmt::skip]
    impl EventQueues for Presenter {
        fn set_queue(&mut self, _: u32, _: u8, _: u32) -> Option<ReturnCode> { unreachable!("XICS has no queues") }
        fn queue_entry(&self, _: u32, _: u8, _: u32) -> u32 { unreachable!("XICS has no queues") }
    }

    #[rustfmt::skip]
    impl Platform for Presenter {
        fn boot(&self) -> Boot { Boot::default() }
        fn set_heap(&mut self, _: u32, _: u32) {}
        fn heap(&self) -> HeapUse { HeapUse::default() }
        fn set_tick_rate(&mut self, _: u32) {}
        fn set_initial_memory_end(&mut self, _: u64) {}
        fn set_server(&mut self, _: u32) {}
        fn set_os_term(&mut self, _: u32) {}
        fn set_stop_self(&mut self, _: u32) {}
        fn taken(&self) -> Taken { Taken { count: self.counted, at: 7 * self.counted } }
        fn crash(&mut self, _: Crash) {}
    }

    #[test]
    fn each_interrupt_is_accepted_once_and_handed_out_in_order() {
        let mut machine = Presenter { pending: vec![0xff00_1001], counted: 1 };
        let mut claims = Claims::default();
        assert!(claims.is_due(&machine));
        claims.accept(&mut machine);
        assert!(!claims.is_due(&machine));
        machine.counted = 2;
        assert!(claims.is_due(&machine));
        claims.accept(&mut machine);
        let first = claims.oldest().expect("the first");
        assert_eq!((first.source, first.taken.at), (Some(0x1001), 7));
        let second = claims.oldest().expect("the second");
        assert_eq!((second.source, second.xirr()), (None, Some(Xirr(0))), "nothing was there");
        assert_eq!(claims.oldest(), None);
    }
}
