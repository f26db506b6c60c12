//! Interrupts, whichever controller there is: how sources are switched, what is accepted, and how it is ended.
//!
//! CAS decides between XICS and XIVE, and the tree says how it has. What differs ends here. A [`Controller`] switches
//! sources and ends interrupts; its [`Intake`] accepts them, also in the middle of other work. With both a source
//! that is off keeps what comes, and gives it out when it is on again.
//!
//! | | XICS | XIVE |
//! |---|---|---|
//! | a source is switched | `ibm,set-xive` | `H_INT_SET_SOURCE_CONFIG`, and P and Q of its page |
//! | a thread opens and closes | `H_CPPR` | a byte of the management area |
//! | an interrupt is accepted | `H_XIRR` | two bytes of the management area, then the queue |
//! | an interrupt is ended | `H_EOI` | P and Q, then the byte of the management area |

mod claims;
pub mod decisions;
mod ear;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
mod xics;
mod xive;

pub use claims::{Claim, Claims, Intake};
pub use ear::Ear;
pub use xive::Xive;

use crate::log::{Hex, Record};
use crate::machine::{Clock, EventQueues, Hypervisor, Io, Rtas};
use crate::openfirmware::tree::InterruptController;
use crate::papr::interrupt::{PRIORITY_CLOSED, PRIORITY_OPEN};
use crate::papr::rtas::Tokens;
use alloc::string::String;

/// What a controller is reached by.
pub trait Bus: Hypervisor + Clock + Io + Rtas + EventQueues {}
impl<M: Hypervisor + Clock + Io + Rtas + EventQueues> Bus for M {}

/// The controller.
#[derive(Debug, Default)]
pub enum Controller {
    /// XICS: all by calls.
    #[default]
    Xics,
    /// XIVE: by calls, pages and queues.
    Xive(Xive),
}

impl Controller {
    /// The controller of the tree. `by_call` keeps off the pages of sources where a call can do the same.
    pub fn new(found: &InterruptController, server: u32, by_call: bool) -> Self {
        match found {
            InterruptController::Xics => Self::Xics,
            InterruptController::Xive { page, queues } => {
                // The smallest queue holds more than there are sources.
                let shift = queues.iter().copied().min().unwrap_or(xive::USUAL_SHIFT);
                Self::Xive(Xive::new(*page, shift, server, by_call))
            }
        }
    }

    /// What the guest says of it.
    pub fn record(&self) -> Record<'static> {
        match self {
            Self::Xics => {
                Record::Controller { name: "xics".into(), page: None, queue: None, sources: "calls".into() }
            }
            Self::Xive(xive) => Record::Controller {
                name: "xive".into(),
                page: Some(Hex(xive.page)),
                queue: Some(Hex(1 << xive.shift)),
                sources: if xive.by_call { "calls" } else { "pages" }.into(),
            },
        }
    }

    /// Closes this processor for every interrupt, and readies what interrupts need.
    ///
    /// # Errors
    /// In words: this controller cannot be used.
    pub fn set_up<M: Bus>(&mut self, bus: &mut M) -> Result<(), String> {
        self.intake().set_priority(bus, PRIORITY_CLOSED)?;
        match self {
            Self::Xics => Ok(()),
            Self::Xive(xive) => {
                // Whoever was here before may have left something.
                xive.reset(bus)?;
                xive.set_queue(bus, xive.server)
            }
        }
    }

    /// Opens this processor for every interrupt.
    ///
    /// # Errors
    /// In words: it stays closed.
    pub fn open<M: Bus>(&self, bus: &mut M) -> Result<(), String> {
        self.intake().set_priority(bus, PRIORITY_OPEN)
    }

    /// Sends a source to a processor, with a priority; [`crate::papr::interrupt::PRIORITY_MASKED`] switches it off.
    ///
    /// # Errors
    /// In words: the call that failed. The source may be on or off.
    pub fn route<M: Bus>(
        &mut self,
        bus: &mut M,
        tokens: &Tokens,
        irq: u32,
        server: u32,
        priority: u8,
    ) -> Result<(), String> {
        match self {
            Self::Xics => xics::route(bus, tokens, irq, server, priority),
            Self::Xive(xive) => xive.route(bus, irq, server, priority),
        }
    }

    /// Says where a source is sent to.
    ///
    /// # Errors
    /// In words: the call that failed.
    pub fn say_route<M: Bus>(&mut self, bus: &mut M, tokens: &Tokens, irq: u32) -> Result<(), String> {
        match self {
            Self::Xics => xics::say_route(bus, tokens, irq),
            Self::Xive(xive) => xive.say_route(bus, irq),
        }
    }

    /// Makes the source of an interrupt ready for the next. What has come from it meanwhile comes when the processor
    /// that has accepted the interrupt has ended it: see [`Intake::end`].
    ///
    /// # Errors
    /// In words: there may be no more interrupts from it.
    pub fn release<M: Bus>(&mut self, bus: &mut M, claim: &Claim) -> Result<(), String> {
        match self {
            Self::Xics => Ok(()),
            Self::Xive(xive) => xive.release(bus, claim),
        }
    }

    /// What accepts its interrupts on the processor that the guest runs on.
    pub const fn intake(&self) -> Intake {
        match self {
            Self::Xics => Intake::Xics,
            Self::Xive(xive) => xive.intake(xive.server),
        }
    }

    /// What accepts interrupts on another processor; only there it can be used.
    ///
    /// # Errors
    /// In words: that processor cannot have any.
    pub fn intake_of<M: Bus>(&self, bus: &mut M, server: u32) -> Result<Intake, String> {
        match self {
            Self::Xics => Ok(Intake::Xics),
            Self::Xive(xive) => xive.set_queue(bus, server).map(|()| xive.intake(server)),
        }
    }
}
