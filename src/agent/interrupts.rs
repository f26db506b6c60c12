//! The interrupts of the event sources, through the XICS presentation controller.
//!
//! Ref: LoPAR 6.1 (XICS), 14.5.4.7 (interrupt calls)

use crate::machine::{Clock, Hypervisor, Rtas};
use crate::papr::hcall::Hcall;
use crate::papr::interrupt::{PRIORITY_CLOSED, PRIORITY_OPEN, Xirr};
use crate::papr::rtas::{Calls, Missing, Tokens};
use crate::papr::status::{ReturnCode, Status};

/// Closes this processor for every interrupt: what comes is kept by the controller.
pub fn close<M: Hypervisor>(machine: &mut M) -> ReturnCode {
    machine.hcall(Hcall::cppr(PRIORITY_CLOSED)).code
}

/// Opens this processor for every interrupt.
pub fn open<M: Hypervisor>(machine: &mut M) -> ReturnCode {
    machine.hcall(Hcall::cppr(PRIORITY_OPEN)).code
}

/// Sends a source to a processor, with a priority.
pub fn route<M: Rtas + Clock>(
    machine: &mut M,
    tokens: &Tokens,
    irq: u32,
    server: u32,
    priority: u8,
) -> Result<Status, Missing> {
    Calls::new(machine, tokens).set_xive(irq, server, priority)
}

/// Accepts the interrupt that is pending: no other of its priority or below comes until it is ended. `None` when the
/// call is refused, as it is when the controller is another one.
pub fn accept<M: Hypervisor>(machine: &mut M) -> Option<Xirr> {
    let reply = machine.hcall(Hcall::xirr());
    // The register has 32 bits; what the call returns above them is no part of it.
    (reply.code == ReturnCode::SUCCESS).then_some(Xirr(reply.values[0] as u32))
}

/// Ends an interrupt that was accepted.
pub fn end<M: Hypervisor>(machine: &mut M, xirr: Xirr) -> ReturnCode {
    machine.hcall(Hcall::eoi(xirr.0)).code
}
