//! Property 8: after a reset every connector reads cold-plugged, and the queue is empty.

use super::{Case, Class, Finding, Learned, Record, Request, Settled};
use paprika::papr::indicator::EntitySense;
use std::collections::BTreeSet;

impl Case<'_> {
    /// What was plugged before the reset is told by the tree, so that there is no event.
    pub(super) fn queue_after_reset(&self, settled: &Settled) -> Option<Finding> {
        const PROPERTY: &str = "the queue is empty after a reset";
        (self.course.resets > 0).then_some(())?;
        let said = self.transcript.entries_between(self.boot(), Some(settled.at));
        let mut early = said.filter_map(|entry| match entry.record {
            Record::Event { number, resource, action, id, .. } => {
                Some(format!("the guest: event {number}: {resource} {action} {id}"))
            }
            _ => None,
        });
        Some(match early.next() {
            None => Finding::pass(PROPERTY, "the queue"),
            Some(detail) => Finding::broken(PROPERTY, "the queue", Class::Ghost, detail),
        })
    }

    /// What the tree tells of is there, and configured: nothing is left to be done on its connector.
    pub(super) fn connectors_after_reset(&self, settled: &Settled) -> Option<Finding> {
        const PROPERTY: &str = "reads cold-plugged after a reset";
        (self.course.resets > 0).then_some(())?;
        let mut open = BTreeSet::new();
        for entry in self.transcript.entries_between(self.boot(), Some(settled.at)) {
            let (drc, odd) = match entry.record {
                Record::Begin { drc, request: Request::Add, learned: Learned::Tree, .. } => {
                    open.insert(drc);
                    continue;
                }
                Record::Done { drc, .. } => {
                    open.remove(&drc);
                    continue;
                }
                Record::Sense { drc, state, .. } if state != EntitySense::PRESENT => {
                    (drc, format!("the sensor reads {state}"))
                }
                Record::Transition { drc, call, value, rc, .. } => {
                    (drc, format!("the guest had to call {call} {value}, which returned {rc}"))
                }
                _ => continue,
            };
            if open.contains(&drc) {
                let detail = format!("the tree tells of it, but {odd}");
                return Some(Finding::broken(PROPERTY, drc.to_string(), Class::WrongState, detail));
            }
        }
        Some(Finding::pass(PROPERTY, "every connector"))
    }
}
