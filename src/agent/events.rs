//! Events: told in full, and acted on.
//!
//! Nothing is lost: each event that was taken from the queue is in the log, as far as it could be understood, and
//! byte by byte where it could not.

use super::arguments::{self, Print, Until};
use super::guest::{Chapter, Guest};
use super::listening::RawLog;
use super::station::Station;
use crate::hotplug::plan::{Campaign, Task, plan};
use crate::hotplug::policy::Rules;
use crate::log::{Bytes, Learned, Outcome, Record, Request, Severity};
use crate::machine::Machine;
use crate::papr::event::{Epow, EpowAction, EventLog, Hotplug, Section};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

impl<M: Machine> Guest<M> {
    /// Tells what came out of the queue, and keeps it until it is its turn. Nothing is acted on before all of it is
    /// told: should acting be the guest's end, none is lost.
    pub(super) fn keep(&mut self, logs: Vec<RawLog>) {
        for log in logs {
            self.tally.events += 1;
            self.tell(self.tally.events, &log);
            self.waiting.push_back((self.tally.events, log));
        }
    }

    /// Acts on what was kept, in its order.
    pub(super) fn act(&mut self) -> Chapter {
        while let Some((number, log)) = self.waiting.pop_front() {
            self.reach(Station::EventTaken);
            self.follow(number, &log)?;
            self.remember();
        }
        self.measure()
    }

    fn tell(&mut self, number: u32, bytes: &[u8]) {
        let log = match EventLog::parse(bytes) {
            Ok(log) => log,
            Err(problem) => return self.tell_unknown(number, bytes, problem.to_string()),
        };
        self.say_event(number, &log);
        if self.arguments.prints(Print::Sections) {
            for section in log.sections().flatten() {
                self.say_section(number, &section);
            }
        }
        if let Some(problem) = log.problem() {
            self.tell_bytes(number, bytes, problem.to_string());
        } else if log.hotplug().is_none() && log.epow().is_none() {
            self.tell_bytes(number, bytes, "it has neither a hotplug nor an EPOW section".to_string());
        }
    }

    fn say_event(&mut self, number: u32, log: &EventLog<'_>) {
        let length = u32::try_from(log.len()).unwrap_or(u32::MAX);
        let (class, resource, action, id) = match (log.hotplug(), log.epow()) {
            (Some(hotplug), _) => {
                ("hotplug", hotplug.resource.to_string(), hotplug.action.to_string(), hotplug.id.to_string())
            }
            (None, Some(epow)) => {
                ("epow", "system".to_string(), epow.action().to_string(), epow.modifier.to_string())
            }
            (None, None) => ("unknown", "-".to_string(), "-".to_string(), "-".to_string()),
        };
        self.say(&Record::Event {
            number,
            class: class.into(),
            resource: resource.into(),
            action: action.into(),
            id: id.into(),
            length,
        });
    }

    fn say_section(&mut self, event: u32, section: &Section<'_>) {
        self.say(&Record::Section {
            event,
            id: section.id.to_string().into(),
            length: section.length,
            version: section.version,
            bytes: Bytes::from(section.bytes),
        });
    }

    fn tell_unknown(&mut self, number: u32, bytes: &[u8], problem: alloc::string::String) {
        let none = || "-".into();
        self.say(&Record::Event {
            number,
            class: "unknown".into(),
            resource: none(),
            action: none(),
            id: none(),
            length: bytes.len() as u32,
        });
        self.tell_bytes(number, bytes, problem);
    }

    fn tell_bytes(&mut self, event: u32, bytes: &[u8], problem: alloc::string::String) {
        self.tally.unknown += 1;
        self.say(&Record::EventBytes { event, problem: problem.into(), bytes: Bytes::from(bytes) });
    }

    /// Does what an event asks for.
    fn follow(&mut self, number: u32, bytes: &[u8]) -> Chapter {
        let Ok(log) = EventLog::parse(bytes) else { return Ok(()) };
        if let Some(hotplug) = log.hotplug() {
            return self.follow_hotplug(number, &hotplug);
        }
        if let Some(epow) = log.epow() {
            self.follow_epow(&epow);
        }
        Ok(())
    }

    fn follow_hotplug(&mut self, number: u32, hotplug: &Hotplug<'_>) -> Chapter {
        let plan = match plan(hotplug, &self.inventory) {
            Ok(plan) => plan,
            Err(problem) => {
                self.tally.failed += 1;
                self.problem(Severity::Major, "event", format!("event {number}: {problem}"));
                return Ok(());
            }
        };
        if self.arguments.task == arguments::Task::Transitions {
            if plan.request == Request::Add {
                self.specimens.extend(plan.candidates.into_iter().take(plan.wanted));
            }
            return Ok(());
        }
        let failed = self.tally.failed;
        let mut campaign = Campaign::new(plan);
        let mut last: Option<Outcome> = None;
        let mut place = 0;
        while let Some(task) = campaign.next(last) {
            last = Some(match task {
                Task::Do(request, index) => {
                    place += 1;
                    self.treat(request, index, number, place)?
                }
                Task::Undo(request, index) => self.carry_out(request, index, Learned::Event, Some(number))?,
            });
        }
        if campaign.is_complete() {
            // What was passed over on the way to a count that was reached is no failure.
            self.tally.failed = failed;
        } else {
            // Who was told to refuse has done what it was told.
            let told = self.arguments.policy != Rules::default();
            let severity = if told { Severity::Minor } else { Severity::Major };
            self.problem(severity, "event", format!("event {number} could not be followed in full"));
        }
        Ok(())
    }

    /// A warning that the machine is about to go down ends the guest in order; others are only told.
    fn follow_epow(&mut self, epow: &Epow) {
        if ends_the_partition(epow.action()) {
            self.over = true;
        }
    }

    /// Whether the guest's life has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.over || self.arguments.until == Until::Armed
    }
}

/// Whether a warning leaves no choice but to end.
///
/// Ref: LoPAR 10.3.2.2.8 (Table 159)
fn ends_the_partition(action: EpowAction) -> bool {
    matches!(
        action,
        EpowAction::SYSTEM_SHUTDOWN
            | EpowAction::SYSTEM_HALT
            | EpowAction::MAIN_ENCLOSURE
            | EpowAction::POWER_OFF
    )
}
