//! The end: a last line, and what was asked for after it.

use super::arguments::Then;
use super::guest::{Chapter, Guest};
use super::station::Station;
use crate::log::{Record, Severity, Verdict};
use crate::machine::{Clock, Machine};
use crate::papr::rtas::Missing;
use crate::papr::status::Status;
use alloc::format;

impl<M: Machine> Guest<M> {
    /// Ends the guest's life: says how it went, and does what was asked for.
    pub fn end(mut self, life: Chapter) -> ! {
        if !self.rtas_up {
            // A partition ends through RTAS. Should that fail too, the log has it, and the end is a panic.
            let _ = self.bring_up_rtas();
        }
        self.reach(Station::End);
        self.say_heap();
        let well =
            life.is_ok() && self.tally.failed == 0 && self.tally.problems == 0 && self.tally.unknown == 0;
        let then = self.arguments.then;
        self.say(&Record::End {
            verdict: if well { Verdict::Pass } else { Verdict::Fail },
            then: then.word().into(),
            done: self.tally.done,
            failed: self.tally.failed,
            problems: self.tally.problems,
            unknown: self.tally.unknown,
        });
        match then {
            Then::Poweroff => {
                let answer = self.rtas().power_off();
                self.refused("power-off", answer);
            }
            Then::Reboot => {
                self.reach(Station::BeforeReset);
                let answer = self.rtas().system_reboot();
                self.refused("system-reboot", answer);
            }
            Then::Panic => panic!("then=panic was asked for"),
            Then::Idle => {}
        }
        loop {
            self.machine.pause(u64::MAX);
        }
    }

    /// What is said when a call that should not return has returned. A reboot may return before it happens, and then
    /// says so with success.
    pub(super) fn refused(&mut self, what: &'static str, answer: Result<Status, Missing>) {
        match answer {
            Ok(Status::SUCCESS) => {}
            Ok(rc) => self.problem(Severity::Fatal, what, format!("{rc}")),
            // Without RTAS there is no order in which a partition could end.
            Err(missing) => panic!("{missing}"),
        }
    }

    /// Says how full the heap is.
    pub(super) fn say_heap(&mut self) {
        let heap = self.machine.bare().heap();
        self.say(&Record::Heap {
            size: heap.size as u64,
            used: heap.used as u64,
            high_water: heap.high_water as u64,
        });
    }
}
