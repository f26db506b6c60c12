//! The judge: pure functions from what the witnesses say to findings, one for each property.
//!
//! The properties are the same for every scenario. A device that the host asked back before the guest could have it may reach
//! the guest or not; everything else has one right answer.
//!
//! Devices may follow each other on one connector. What the guest says is about connectors, so who is meant follows from
//! the order: the guest is told of devices in the order in which they were plugged.

mod account;
mod calls;
mod manners;
mod moved;
mod profile;
mod reach;
mod reset;
mod witnesses;

use super::course::{Again, Asked, Course, Runner};
use super::expect::Expect;
use super::settle::Settled;
use crate::checks;
use crate::defects::explaining;
use crate::qemu::Version;
use crate::qmp::Event;
use crate::scenario::{is_deletion, is_end};
use crate::stop::Stop;
use crate::transcript::{Mark, Transcript};
use crate::verdict::{Class, Finding, Verdict};
use paprika::log::{Learned, Record, Request};
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
    /// Why the race stopped before its end.
    pub stop: Option<&'c Stop>,
    /// Where QEMU crashed, or why nobody knows.
    pub backtrace: Option<&'c str>,
    /// QEMU's version.
    pub version: Version,
    /// How this QEMU is to behave before the guest listens.
    pub expect: Expect,
}

/// All findings.
pub fn judge(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let course = case.course;
    for runner in &course.runners {
        findings.push(case.is_plugged(runner));
        findings.extend(runner.again.map(|again| case.plugged_again(runner, again)));
        if !runner.asked.is_empty() && course.settled.is_some() {
            findings.push(case.request_ends(runner));
            findings.extend(case.refusal(runner));
        }
    }
    if let Some(settled) = &course.settled {
        for connector in course.connectors() {
            let tenants = case.tenants(connector);
            findings.extend(case.reaches(connector, &tenants, settled));
            findings.extend(case.woken(connector, &tenants));
            findings.extend(tenants.last().map(|last| witnesses::agree(case, last, connector, settled)));
        }
        findings.extend(course.runners.iter().filter_map(|runner| witnesses::hangs(runner, settled)));
        findings.extend(course.runners.iter().filter_map(|runner| witnesses::lists_agree(runner, settled)));
        findings.extend(witnesses::silent(course, settled));
        findings.extend(case.queue_after_reset(settled));
        findings.extend(case.connectors_after_reset(settled));
        findings.extend(case.boots());
        findings.extend(case.all_is_as_it_was(settled));
        findings.extend(case.queue_moves());
        findings.extend(case.misbehaves());
    }
    findings.extend([case.calls(), case.refused_calls()]);
    findings.extend(checks::of_log(case.transcript, case.stop.is_none()));
    findings.extend(checks::of_version(case.transcript));
    findings.push(case.end());
    findings
}

impl Case<'_> {
    /// The devices that were on a connector, one after the other.
    fn tenants(&self, connector: DrcIndex) -> Vec<&Runner> {
        self.course.runners.iter().filter(|runner| runner.connectors.contains(&connector)).collect()
    }

    /// From where on a device could reach the guest that runs last.
    fn from(&self, runner: &Runner) -> Mark {
        self.boot().max(runner.since)
    }

    /// Where the boot begins in which everything settled.
    fn boot(&self) -> Mark {
        let settled = self.course.settled.as_ref();
        settled.map_or_else(|| self.transcript.last_boot(), |settled| self.transcript.boot_before(settled.at))
    }

    /// Property 4: each request to unplug ends, with DEVICE_DELETED, with an event that tells of a refusal, or with a
    /// refusal at once.
    fn request_ends(&self, runner: &Runner) -> Finding {
        const PROPERTY: &str = "a request to unplug ends";
        let ended = |asked: &Asked| {
            asked.refused.is_some()
                || self.events.iter().skip(asked.events).any(|event| is_end(event, runner.id))
        };
        if let Some(words) = self.cannot_unplug(runner) {
            let detail = format!("QEMU does not unplug {}: {words}", runner.kind.connector());
            return Finding::other(PROPERTY, runner.id, Verdict::Skip, detail);
        }
        if runner.asked.iter().all(ended) || self.stays_open(runner) {
            Finding::pass(PROPERTY, runner.id)
        } else {
            let detail = "neither DEVICE_DELETED nor a refusal came";
            Finding::broken(PROPERTY, runner.id, Class::StuckUnplug, detail)
        }
    }

    /// QEMU's words, where it refused every request for a device, and the last one too when nothing else was on its way.
    fn cannot_unplug<'r>(&self, runner: &'r Runner) -> Option<&'r str> {
        let words = runner.asked.first()?.refused.as_deref()?;
        (runner.again == Some(Again::Never)).then_some(words)
    }

    /// Property 5: what was unplugged can be plugged again.
    fn plugged_again(&self, runner: &Runner, again: Again) -> Finding {
        const PROPERTY: &str = "can be plugged again";
        let (class, detail) = match again {
            Again::Taken => return Finding::pass(PROPERTY, runner.id),
            Again::TakenAfterReset if self.stays_open(runner) => {
                return Finding::pass("can be plugged again after a reset", runner.id);
            }
            // There is nothing to ask for where nothing can be unplugged; a request in the window says so aloud.
            Again::Never => return Finding::pass("stays, as QEMU cannot unplug it", runner.id),
            Again::Stays => (Class::StuckUnplug, "it does not go"),
            Again::TakenAfterReset => (Class::StuckUnplug, "it does not go but by a reset"),
            Again::Gone => {
                (Class::LostEvent, "it went, and when it was plugged again the guest did not take it")
            }
            Again::Refused => (Class::StuckUnplug, "QEMU refuses to plug it again"),
        };
        Finding::broken(PROPERTY, runner.id, class, detail)
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
                    Finding::defect(defect.id, subject, Verdict::UnexpectedPass, detail)
                }
            },
            Some(stop) => {
                let crash = stop.verdict() == Verdict::Crash && !matches!(stop, Stop::GuestGaveUp { .. });
                // Who is killed from outside has not crashed of itself.
                let killed = matches!(stop, Stop::Ended { exit, .. } if exit.signal() == Some(9));
                if let Some(defect) = explaining(self.version, steps).filter(|_| crash && !killed) {
                    return Finding::defect(defect.id, subject, Verdict::ExpectedFail, defect.reason);
                }
                let last = steps.last().map(ToString::to_string).unwrap_or_default();
                let backtrace = self.backtrace.map(|trace| format!("\n{trace}")).unwrap_or_default();
                let detail = format!("while {last}: {stop}{backtrace}");
                Finding {
                    class: crash.then_some(Class::HypervisorCrash),
                    ..Finding::other("lives to the end", subject, stop.verdict(), detail)
                }
            }
        }
    }
}

/// Which profile this QEMU fits to, as far as this race shows it.
pub fn seen(case: &Case<'_>) -> Option<Expect> {
    case.seen()
}

/// What became of each device, in words.
pub fn account(case: &Case<'_>) -> Vec<String> {
    case.account()
}

/// What became of the device that the race is about, in two or three words for a cell of a table.
pub fn summary(case: &Case<'_>) -> String {
    let Some(runner) = case.course.runners.last() else { return "-".to_owned() };
    if runner.refused.is_some() {
        return "refused".to_owned();
    }
    let until = case.course.settled.as_ref().map(|settled| settled.at);
    let connector = runner.connectors.first().copied();
    let told = connector.map(|connector| case.told(connector, case.from(runner), until)).unwrap_or_default();
    let way = told.last().map_or("untold", |way| way.word());
    let deleted =
        |asked: &Asked| case.events.iter().skip(asked.events).any(|event| is_deletion(event, runner.id));
    match runner.asked.first() {
        None => way.to_owned(),
        Some(_) if case.is_kept(runner) => format!("{way}, kept"),
        Some(asked) if deleted(asked) => format!("{way}, gone"),
        Some(_) => format!("{way}, stays"),
    }
}

#[cfg(test)]
mod tests;
