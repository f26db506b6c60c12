//! The interrupts of the event sources, through the XICS presentation controller.
//!
//! An interrupt is accepted as soon as the guest sees that its handler has counted one, also in the middle of other work:
//! accepted, it is not presented again, and a guest that gives the processor away can sleep. It is ended only when the
//! queue behind it has been read.
//!
//! Ref: LoPAR 6.1 (XICS), 14.5.4.7 (interrupt calls)

use crate::machine::{Clock, Hypervisor, Platform, Rtas, Taken};
use crate::papr::hcall::Hcall;
use crate::papr::interrupt::{PRIORITY_CLOSED, PRIORITY_OPEN, Xirr};
use crate::papr::rtas::{Calls, Missing, Tokens};
use crate::papr::status::{ReturnCode, Status};
use alloc::vec::Vec;

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

/// An interrupt that was accepted and is not ended yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What accepting it gave; `None` when the controller refused the call.
    pub xirr: Option<Xirr>,
    /// What the handler noted.
    pub taken: Taken,
}

/// The interrupts that were accepted and not ended yet, oldest first.
#[derive(Debug, Default)]
pub struct Claims {
    counted: u64,
    open: Vec<Claim>,
}

impl Claims {
    /// Whether the handler has counted an interrupt that was not accepted yet.
    pub fn is_due<M: Platform>(&self, machine: &M) -> bool {
        machine.taken().count != self.counted
    }

    /// Accepts the interrupt that is due.
    pub fn accept<M: Hypervisor + Platform>(&mut self, machine: &mut M) {
        let taken = machine.taken();
        self.counted = taken.count;
        self.open.push(Claim { xirr: accept(machine), taken });
    }

    /// The oldest of them.
    pub fn oldest(&mut self) -> Option<Claim> {
        (!self.open.is_empty()).then(|| self.open.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::Claims;
    use crate::machine::{Boot, Crash, HeapUse, Hypervisor, Platform, Taken};
    use crate::papr::hcall::{Hcall, Reply};
    use crate::papr::interrupt::Xirr;
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
        assert_eq!((first.xirr.map(Xirr::source), first.taken.at), (Some(0x1001), 7));
        assert_eq!(claims.oldest().and_then(|claim| claim.xirr), Some(Xirr(0)));
        assert_eq!(claims.oldest(), None);
    }
}
