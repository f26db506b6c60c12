//! Aiming: which processor the event sources send their interrupts to, and what becomes of that when it goes.
//!
//! Events are drained and acted on where the guest runs, whoever has taken the interrupt.

use super::guest::Guest;
use super::interrupts::{Claim, Ear};
use crate::log::{Hex, Record, Severity};
use crate::machine::{Clock, Hypervisor, Machine};
use crate::papr::hcall::Hcall;
use crate::papr::interrupt::PRIORITY_EVENTS;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How often a thread is looked at, a millisecond apart, that is to begin or to end listening.
const LOOKS: u32 = 2000;
/// The word for a target that is kept though its thread stops.
const STAY: &str = "stay";

/// Where the event sources send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    server: u32,
    /// Whether it stays so when that thread stops, which no operating system would do.
    stays: bool,
}

impl Aim {
    /// Reads the number of a server, and perhaps `stay`.
    pub fn parse(text: &str) -> Option<Self> {
        let (server, stays) = match text.split_once(' ') {
            None => (text, false),
            Some((server, STAY)) => (server, true),
            Some(_) => return None,
        };
        server.parse().ok().map(|server| Self { server, stays })
    }
}

impl<M: Machine> Guest<M> {
    /// The server that the event sources send to.
    pub(super) fn target(&self) -> u32 {
        self.aim.map_or(self.facts.boot_server, |aim| aim.server)
    }

    /// Has the event sources send to another processor from now on, and switches them on.
    pub(super) fn redirect(&mut self, text: &str) {
        let Some(aim) = Aim::parse(text) else {
            let detail = format!("{text:?} is no number of a server, or a number and {STAY}");
            return self.problem(Severity::Minor, "route", detail);
        };
        let here = aim.server == self.facts.boot_server;
        if !here && self.machine.bare().running().contains(&aim.server) {
            let listens = self.make_listen(aim.server);
            self.heed(listens);
        }
        self.aim = Some(aim);
        self.switch_sources(PRIORITY_EVENTS);
    }

    /// Has a thread listen that runs.
    fn make_listen(&mut self, server: u32) -> Result<(), String> {
        if self.machine.ears().iter().any(|ear| ear.server == server) {
            return Ok(());
        }
        let intake = self.controller.intake_of(&mut self.machine, server)?;
        let ear = Ear::new(server);
        let listener = ear.listener(intake, self.facts.boot_server);
        if !self.machine.bare().listen(server, Some(listener)) {
            return Err(format!("thread {server} does not run"));
        }
        self.machine.ears().push(ear.clone());
        self.wait_for(&ear, true)
    }

    /// Waits until an ear has opened or closed.
    fn wait_for(&mut self, ear: &Ear, open: bool) -> Result<(), String> {
        let server = ear.server;
        for _ in 0..LOOKS {
            self.machine.hcall(Hcall::prod(server));
            if ear.is_open() == open {
                return ear.problem().map_or(Ok(()), |problem| Err(format!("thread {server}: {problem}")));
            }
            self.machine.sleep_ms(1);
        }
        Err(format!("thread {server} does not {} its ears", if open { "open" } else { "close" }))
    }

    /// Threads are about to stop: what they listened to comes here from now on, and they close themselves.
    pub(super) fn leave(&mut self, servers: &[u32]) {
        if self.aim.is_some_and(|aim| servers.contains(&aim.server) && !aim.stays) {
            self.aim = None;
            self.switch_sources(PRIORITY_EVENTS);
        }
        let ears = self.machine.ears();
        let leaving: Vec<Ear> = ears.iter().filter(|ear| servers.contains(&ear.server)).cloned().collect();
        for ear in leaving {
            ear.close();
            let closed = self.wait_for(&ear, false);
            self.heed(closed);
            // What it heard last is not lost.
            self.machine.hear();
            self.machine.ears().retain(|one| one.server != ear.server);
            self.machine.bare().listen(ear.server, None);
        }
    }

    /// Ends an interrupt, or has it ended by the thread that took it.
    pub(super) fn end_interrupt(&mut self, claim: Claim) {
        let released = self.controller.release(&mut self.machine, &claim);
        self.heed(released);
        let Some(server) = claim.server else {
            let ended = self.controller.intake().end(&mut self.machine, &claim);
            return self.heed(ended);
        };
        let irq = claim.source.map(|irq| Hex(irq.into()));
        self.say(&Record::Heard { server, irq, taken: claim.taken.at });
        let ear = self.machine.ears().iter().find(|ear| ear.server == server).cloned();
        // A thread that has stopped is closed, and what it took does not keep it from anything.
        if let Some(ear) = ear {
            ear.answer(claim);
            self.machine.hcall(Hcall::prod(server));
            let problem = ear.problem().map_or(Ok(()), Err);
            self.heed(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Aim;

    #[test]
    fn an_aim_is_a_number_and_may_stay() {
        assert_eq!(Aim::parse("1"), Some(Aim { server: 1, stays: false }));
        assert_eq!(Aim::parse("17 stay"), Some(Aim { server: 17, stays: true }));
        for wrong in ["", "x", "1 go", "1  stay", "stay", "-1", "1 stay stay"] {
            assert_eq!(Aim::parse(wrong), None, "{wrong}");
        }
    }
}
