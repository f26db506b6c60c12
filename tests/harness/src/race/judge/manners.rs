//! Property 4, of a guest that does not give what it is asked for: it keeps the device, and somebody is told where it can say so.

use super::{Case, Class, Finding, Mark, Record, Runner, Verdict, is_deletion, is_end};
use crate::race::manner::{Fate, Manner};
use crate::race::settle::is_kept;

impl Case<'_> {
    /// The guest says itself that it treated a request as it was told: else a race in bad manners has shown nothing.
    pub(super) fn misbehaves(&self) -> Option<Finding> {
        const PROPERTY: &str = "treats requests as told";
        let policy = self.course.manner.policy()?;
        let told = |record: &Record<'_>| matches!(record, Record::Policy { request, manner, .. } if format!("{request}:{}", manner.0) == policy);
        let met = self.transcript.says(Mark::default(), told);
        let is_moot = self.course.runners.iter().any(|runner| self.cannot_unplug(runner).is_some())
            || self.course.manner == Manner::RemoveRefuse;
        let detail = || format!("no request was treated with {policy}");
        (!is_moot).then(|| match met {
            true => Finding::pass(PROPERTY, "the guest"),
            false => Finding::other(PROPERTY, "the guest", Verdict::Error, detail()),
        })
    }

    /// Whether the guest was asked for a device and has kept it, as it was told to.
    pub(super) fn is_kept(&self, runner: &Runner) -> bool {
        let manner = self.course.manner;
        manner.fate(runner.kind) != Fate::Given && is_kept(self.transcript, runner, manner, self.from(runner))
    }

    /// Whether a request stays open because the guest has not answered it, or could not.
    pub(super) fn stays_open(&self, runner: &Runner) -> bool {
        self.course.manner.fate(runner.kind) == Fate::Open && self.is_kept(runner)
    }

    /// A guest that does not give a device keeps it, and an event tells of it where the guest could say so.
    pub(super) fn refusal(&self, runner: &Runner) -> Option<Finding> {
        const PROPERTY: &str = "a refusal is told";
        let (asked, settled) = (runner.asked.first()?, self.course.settled.as_ref()?);
        self.is_kept(runner).then_some(())?;
        let ends = self.events.iter().skip(asked.events).filter(|event| is_end(event, runner.id));
        let (class, detail) = match ends.map(|event| is_deletion(event, runner.id)).next() {
            _ if settled.present.as_ref().is_some_and(|present| !present.contains(runner.id)) => {
                (Class::Ghost, "the guest kept it, and QEMU took it away")
            }
            Some(false) => return Some(Finding::pass(PROPERTY, runner.id)),
            _ if self.stays_open(runner) => {
                return Some(Finding::pass("a request without an answer stays open", runner.id));
            }
            _ => (Class::StuckUnplug, "the guest refused, and QEMU told nobody"),
        };
        Some(Finding::broken(PROPERTY, runner.id, class, detail))
    }
}
