//! An ear: another thread that interrupts are sent to.
//!
//! Only the thread itself can accept what it is signalled and open itself again. So it does these two each time that it
//! wakes, and hands over what it has accepted; the guest drains the queue, as it always does, and hands it back to be ended.

use super::claims::{Claim, Intake};
use crate::machine::{EventQueues, Hypervisor, Io, Listener, Platform};
use crate::papr::hcall::Hcall;
use crate::papr::interrupt::{PRIORITY_CLOSED, PRIORITY_OPEN};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;

/// What the thread and the guest share.
#[derive(Debug, Default)]
struct Shared {
    /// How many interrupts the thread's handler had counted when they were accepted last; `None` while it is closed.
    counted: Option<u64>,
    /// The guest wants no more of them.
    over: bool,
    /// Accepted, and not known to the guest.
    heard: Vec<Claim>,
    /// To be ended.
    answered: Vec<Claim>,
    problem: Option<String>,
}

/// A thread that listens.
#[derive(Clone, Debug)]
pub struct Ear {
    /// Its interrupt server number.
    pub server: u32,
    shared: Arc<Mutex<Shared>>,
}

impl Ear {
    /// A thread that does not listen yet.
    pub fn new(server: u32) -> Self {
        Self { server, shared: Arc::default() }
    }

    /// What the thread does each time that it wakes. `home` is the server that the guest runs on: it is woken when there is
    /// something.
    pub fn listener<M: Hypervisor + Io + EventQueues + Platform>(
        &self,
        mut intake: Intake,
        home: u32,
    ) -> Listener<M> {
        let Self { server, shared } = self.clone();
        Box::new(move |machine| {
            let mut shared = shared.lock();
            let taken = machine.taken();
            let counted = match shared.counted {
                Some(counted) => counted,
                None if shared.over => return,
                None => {
                    let opened = intake.set_priority(machine, PRIORITY_OPEN);
                    shared.note(opened);
                    taken.count
                }
            };
            shared.counted = Some(taken.count);
            if taken.count != counted {
                let claims = intake.accept(machine, taken);
                shared.heard.extend(claims.into_iter().map(|claim| claim.by(server)));
                machine.hcall(Hcall::prod(home));
            } else if shared.over {
                shared.counted = None;
                let closed = intake.set_priority(machine, PRIORITY_CLOSED);
                shared.note(closed);
            }
            for claim in core::mem::take(&mut shared.answered) {
                let ended = intake.end(machine, &claim);
                shared.note(ended);
            }
        })
    }

    /// What it has accepted since it was asked last.
    pub fn heard(&self) -> Vec<Claim> {
        core::mem::take(&mut self.shared.lock().heard)
    }

    /// Whether it has opened itself, and goes on listening.
    pub fn is_open(&self) -> bool {
        self.shared.lock().counted.is_some()
    }

    /// Hands back a claim whose queue was read. The thread ends it when it wakes.
    pub fn answer(&self, claim: Claim) {
        self.shared.lock().answered.push(claim);
    }

    /// Wants no more of it: it closes when it wakes.
    pub fn close(&self) {
        self.shared.lock().over = true;
    }

    /// What went wrong since it was asked last.
    pub fn problem(&self) -> Option<String> {
        self.shared.lock().problem.take()
    }
}

impl Shared {
    fn note(&mut self, result: Result<(), String>) {
        self.problem = self.problem.take().or(result.err());
    }
}
