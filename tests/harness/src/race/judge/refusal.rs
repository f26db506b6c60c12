//! Property 4, of a guest that refuses: it keeps the device, and somebody is told.

use super::{Case, Class, Finding, Runner, is_deletion, is_end};
use crate::race::settle::is_kept;

impl Case<'_> {
    /// Whether the guest was asked for a device and has kept it, as it was told to.
    pub(super) fn is_kept(&self, runner: &Runner) -> bool {
        self.course.refusing && is_kept(self.transcript, &runner.connectors, self.from(runner))
    }

    /// Whether a request stays open because there is no way to refuse it.
    pub(super) fn stays_open(&self, runner: &Runner) -> bool {
        !runner.kind.can_be_refused() && self.is_kept(runner)
    }

    /// A guest that refuses keeps the device, and an event tells of it where the guest could say so.
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
                return Some(Finding::pass("a request that cannot be refused stays open", runner.id));
            }
            _ => (Class::StuckUnplug, "the guest refused, and QEMU told nobody"),
        };
        Some(Finding::broken(PROPERTY, runner.id, class, detail))
    }
}
