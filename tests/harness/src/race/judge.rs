//! The judge: pure functions from what the witnesses say to findings, one for each property.
//!
//! The properties are the same for every scenario. A device that the host asked back before the guest could have it may reach
//! the guest or not; everything else has one right answer.

use super::course::{Again, Asked, Course, Runner, Settled};
use crate::checks;
use crate::defects::explaining;
use crate::qemu::Version;
use crate::qemu::process::Exit;
use crate::qmp::Event;
use crate::scenario::{is_deletion, is_end};
use crate::stop::Stop;
use crate::trace::{Held, Life};
use crate::transcript::{Mark, Transcript};
use crate::verdict::{Class, Finding, Verdict};
use paprika::log::{Learned, Outcome, Record, Request};
use paprika::papr::drc::DrcIndex;

/// What the judge sees.
#[derive(Debug)]
pub struct Case<'c> {
    /// What the host did.
    pub course: &'c Course,
    /// What the guest said.
    pub transcript: &'c Transcript,
    /// What QEMU told.
    pub events: &'c [Event],
    /// How QEMU ended, if it has.
    pub exit: Option<Exit>,
    /// Why the race stopped before its end.
    pub stop: Option<&'c Stop>,
    /// QEMU's version.
    pub version: Version,
}

/// All findings.
pub fn judge(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for runner in &case.course.runners {
        findings.extend(case.of_runner(runner));
    }
    findings.extend(case.queue_after_reset());
    findings.extend(checks::of_log(case.transcript, case.stop.is_none()));
    findings.extend(checks::of_version(case.transcript));
    findings.push(case.end());
    findings
}

impl Case<'_> {
    fn of_runner(&self, runner: &Runner) -> Vec<Finding> {
        if let Some(words) = &runner.refused {
            return vec![Finding::other(
                "is plugged",
                runner.id,
                Verdict::Skip,
                format!("QEMU refuses it: {words}"),
            )];
        }
        let Some(settled) = &self.course.settled else { return Vec::new() };
        let mut findings = Vec::new();
        for &connector in &runner.connectors {
            findings.push(self.exactly_once(runner, connector, settled));
            findings.extend(self.woken(runner, connector));
            findings.push(self.witnesses_agree(runner, connector, settled));
        }
        if !runner.asked.is_empty() {
            findings.push(self.request_ends(runner));
        }
        findings.extend(plugged_again(runner));
        findings
    }

    /// From where on a device could reach the guest that runs last.
    fn from(&self, runner: &Runner) -> Mark {
        self.course.reset.map_or(runner.since, |reset| reset.max(runner.since))
    }

    /// How the guest learned of a device, and at which places of the transcript, up to `until`.
    fn learned(&self, runner: &Runner, connector: DrcIndex, until: Option<Mark>) -> Vec<Learned> {
        let entries = self.transcript.entries_between(self.from(runner), until);
        let begins = entries.filter_map(|entry| match entry.record {
            Record::Begin { drc, request: Request::Add, learned, .. } if drc == connector => Some(learned),
            _ => None,
        });
        begins.collect()
    }

    /// Property 1: by the tree or by an event, not by both, not by neither.
    fn exactly_once(&self, runner: &Runner, connector: DrcIndex, settled: &Settled) -> Finding {
        const PROPERTY: &str = "reaches the guest exactly once";
        let ways = self.learned(runner, connector, Some(settled.at));
        let right = if runner.by_tree { Learned::Tree } else { Learned::Event };
        match ways[..] {
            [way] if way == right => Finding::pass(PROPERTY, runner.id),
            [] if self.was_asked_too_early(runner, connector) => Finding::pass(PROPERTY, runner.id),
            [way] if self.was_asked_too_early(runner, connector) && way == Learned::Event => {
                Finding::pass(PROPERTY, runner.id)
            }
            [] => {
                let late = !self.learned(runner, connector, None).is_empty();
                let (class, detail) = if late {
                    (Class::LostInterrupt, "was told of only when another interrupt came")
                } else {
                    (Class::LostEvent, "never reached the guest")
                };
                Finding::broken(PROPERTY, runner.id, class, format!("{connector} {detail}"))
            }
            [way] => {
                let detail = format!("{connector} reached the guest by {way}, where {right} was due");
                Finding::broken(PROPERTY, runner.id, Class::Ghost, detail)
            }
            _ => {
                let ways: Vec<&str> = ways.iter().map(|way| way.word()).collect();
                let detail =
                    format!("{connector} reached the guest {} times: {}", ways.len(), ways.join(", "));
                Finding::broken(PROPERTY, runner.id, Class::Ghost, detail)
            }
        }
    }

    /// Whether the host asked for the device before the guest could learn of it.
    fn was_asked_too_early(&self, runner: &Runner, connector: DrcIndex) -> bool {
        let Some(first) = runner.asked.first() else { return false };
        let known = self.transcript.entries_between(self.from(runner), Some(first.at)).any(|entry| {
            matches!(entry.record, Record::Done { drc, request: Request::Add, .. } if drc == connector)
        });
        !known
    }

    /// Property 2: with the handler armed and the queue not empty, an interrupt comes. An event that told of this
    /// connector may not have waited for the interrupt of the guest's last hour.
    fn woken(&self, runner: &Runner, connector: DrcIndex) -> Option<Finding> {
        const PROPERTY: &str = "is woken for";
        let dusk = self.course.dusk?;
        let late = self.transcript.entries_since(dusk).any(|entry| match entry.record {
            Record::Begin { drc, learned: Learned::Event, .. } => drc == connector,
            _ => false,
        });
        Some(if late {
            let detail = format!("{connector}: its event lay in the queue until the guest was asked to end");
            Finding::broken(PROPERTY, runner.id, Class::LostInterrupt, detail)
        } else {
            Finding::pass(PROPERTY, runner.id)
        })
    }

    /// Property 3: guest, QMP and trace agree on who has the device.
    fn witnesses_agree(&self, runner: &Runner, connector: DrcIndex, settled: &Settled) -> Finding {
        const PROPERTY: &str = "the witnesses agree";
        let last = self.transcript.entries_between(self.from(runner), Some(settled.at)).filter_map(|entry| {
            match entry.record {
                Record::Done { drc, outcome, .. } if drc == connector => Some(outcome),
                _ => None,
            }
        });
        let guest = matches!(last.last(), Some(Outcome::Taken | Outcome::Kept));
        let listed = settled.listed.contains(runner.id);
        let life = Life::of(&settled.trace, connector);
        let trace = life.map(|life| life.holds);
        let agree = match trace {
            None => guest == listed,
            Some(held) => {
                guest == listed && (held == Held::Configured) == guest && (held != Held::Nothing) == listed
            }
        };
        if agree {
            return Finding::pass(PROPERTY, runner.id);
        }
        let says = |has: bool| if has { "has it" } else { "has it not" };
        let trace = trace.map_or("is silent", |held| match held {
            Held::Nothing => "has it gone",
            Held::Attached => "has it attached",
            Held::Configured => "has it configured",
        });
        let listed_words = if listed { "lists it" } else { "does not list it" };
        let detail = format!("{connector}: the guest {}, QMP {listed_words}, the trace {trace}", says(guest));
        let class = if guest && !listed { Class::Ghost } else { Class::WrongState };
        Finding::broken(PROPERTY, runner.id, class, detail)
    }

    /// Property 4: each request to unplug ends, with DEVICE_DELETED, with an event that tells of a refusal, or with a
    /// refusal at once.
    fn request_ends(&self, runner: &Runner) -> Finding {
        const PROPERTY: &str = "a request to unplug ends";
        let ended = |asked: &Asked| {
            asked.refused.is_some()
                || self.events.iter().skip(asked.events).any(|event| is_end(event, runner.id))
        };
        if runner.asked.iter().all(ended) {
            Finding::pass(PROPERTY, runner.id)
        } else {
            let detail = "neither DEVICE_DELETED nor a refusal came";
            Finding::broken(PROPERTY, runner.id, Class::StuckUnplug, detail)
        }
    }

    /// Property 8: after a reset the queue is empty. What was plugged after it is told by the tree.
    fn queue_after_reset(&self) -> Option<Finding> {
        const PROPERTY: &str = "the queue is empty after a reset";
        let (reset, settled) = (self.course.reset?, self.course.settled.as_ref()?);
        let early =
            self.transcript.entries_between(reset, Some(settled.at)).find_map(|entry| match entry.record {
                Record::Event { number, resource, action, id, .. } => {
                    Some(format!("event {number}: {resource} {action} {id}"))
                }
                _ => None,
            });
        Some(match early {
            None => Finding::pass(PROPERTY, "the queue"),
            Some(detail) => Finding::broken(PROPERTY, "the queue", Class::Ghost, detail),
        })
    }

    /// Property 6: QEMU neither dies nor hangs.
    fn end(&self) -> Finding {
        let subject = format!("QEMU {}", self.version);
        let steps = &self.course.steps;
        match self.stop {
            None => match explaining(self.version, steps).filter(|defect| defect.certain) {
                None => Finding::pass("lives to the end", subject),
                Some(defect) => {
                    let detail =
                        format!("known to crash while {}, but it did not: {}", defect.step, defect.reason);
                    Finding::other("known defect", subject, Verdict::UnexpectedPass, detail)
                }
            },
            Some(stop) => {
                let crash = stop.verdict() == Verdict::Crash && !matches!(stop, Stop::GuestGaveUp { .. });
                if let Some(defect) = explaining(self.version, steps).filter(|_| crash) {
                    return Finding::other("known defect", subject, Verdict::ExpectedFail, defect.reason);
                }
                let last = steps.last().map(ToString::to_string).unwrap_or_default();
                Finding {
                    class: crash.then_some(Class::HypervisorCrash),
                    ..Finding::other(
                        "lives to the end",
                        subject,
                        stop.verdict(),
                        format!("while {last}: {stop}"),
                    )
                }
            }
        }
    }
}

/// Property 5: what was unplugged can be plugged again.
fn plugged_again(runner: &Runner) -> Option<Finding> {
    const PROPERTY: &str = "can be plugged again";
    let (class, detail) = match runner.again? {
        Again::Taken => return Some(Finding::pass(PROPERTY, runner.id)),
        Again::Stays => (Class::StuckUnplug, "it does not go"),
        Again::Gone => (Class::LostEvent, "it went, and when it was plugged again the guest did not take it"),
        Again::Refused => (Class::StuckUnplug, "QEMU refuses to try"),
    };
    Some(Finding::broken(PROPERTY, runner.id, class, detail))
}

/// What became of the device that the race is about, in two or three words for a cell of a table.
pub fn summary(case: &Case<'_>) -> String {
    let Some(runner) = case.course.runners.last() else { return "-".to_owned() };
    if runner.refused.is_some() {
        return "refused".to_owned();
    }
    let until = case.course.settled.as_ref().map(|settled| settled.at);
    let connector = runner.connectors.first().copied();
    let ways = connector.map(|connector| case.learned(runner, connector, until)).unwrap_or_default();
    let way = ways.first().map_or("untold", |way| way.word());
    let deleted = case.events.iter().any(|event| {
        is_deletion(event, runner.id)
            && runner
                .asked
                .first()
                .is_some_and(|asked| case.events.iter().skip(asked.events).any(|e| e == event))
    });
    match (runner.asked.is_empty(), deleted) {
        (true, _) => way.to_owned(),
        (false, true) => format!("{way}, gone"),
        (false, false) => format!("{way}, stays"),
    }
}
