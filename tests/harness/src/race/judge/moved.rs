//! Property 9: what was queued before a migration is delivered after it, and what the guest had it has.

use super::{Case, Class, Finding, Record, Settled};

impl Case<'_> {
    /// The guest looks around after each move: sensors, memory and threads are as they were.
    pub(super) fn all_is_as_it_was(&self, settled: &Settled) -> Option<Finding> {
        const PROPERTY: &str = "all is as it was after a migration";
        let said = self.transcript.entries_between(self.boot(), Some(settled.at));
        let odd = said.filter_map(|entry| match entry.record {
            Record::Moved { odd, .. } => Some(odd),
            _ => None,
        });
        Some(match odd.reduce(|all, odd| all.saturating_add(odd))? {
            0 => Finding::pass(PROPERTY, "the guest"),
            odd => {
                let detail = format!("{odd} things are not; the guest tells of each");
                Finding::broken(PROPERTY, "the guest", Class::WrongState, detail)
            }
        })
    }

    /// The guest that moves does not hear of what waits in the queue, but on the other side.
    pub(super) fn queue_moves(&self) -> Option<Finding> {
        const PROPERTY: &str = "what is queued waits until the migration is over";
        let acted = self.course.acted?;
        let mut said = self.transcript.entries_since(acted);
        let first = said.find_map(|entry| match entry.record {
            Record::Moved { .. } => Some(None),
            Record::Event { number, .. } => Some(Some(number)),
            _ => None,
        })?;
        Some(match first {
            None => Finding::pass(PROPERTY, "the queue"),
            Some(number) => {
                let detail = format!("the guest was told of event {number} while its sources were off");
                Finding::broken(PROPERTY, "the queue", Class::WrongAnswer, detail)
            }
        })
    }
}
