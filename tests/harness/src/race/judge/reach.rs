//! How devices reach the guest: by the tree or by an event, once, and with an interrupt.

use super::{Case, Class, DrcIndex, Finding, Learned, Mark, Record, Request, Runner, Settled};

impl Case<'_> {
    /// How the guest was told of something on this connector.
    pub(super) fn told(&self, connector: DrcIndex, from: Mark, until: Option<Mark>) -> Vec<Learned> {
        self.begins(connector, from, until).into_iter().map(|(way, _)| way).collect()
    }

    /// The same, with the number of the event that told.
    pub(super) fn begins(
        &self,
        connector: DrcIndex,
        from: Mark,
        until: Option<Mark>,
    ) -> Vec<(Learned, Option<u32>)> {
        let said = self.transcript.entries_between(from, until);
        let begins = said.filter_map(|entry| match entry.record {
            Record::Begin { drc, request: Request::Add, learned, event, .. } if drc == connector => {
                Some((learned, event))
            }
            _ => None,
        });
        begins.collect()
    }

    /// Property 1: by the tree or by an event, not by both, not by neither.
    pub(super) fn reaches(
        &self,
        connector: DrcIndex,
        tenants: &[&Runner],
        settled: &Settled,
    ) -> Vec<Finding> {
        let Some(first) = tenants.first() else { return Vec::new() };
        let told = self.told(connector, self.from(first), Some(settled.at));
        let shares = shares(told, tenants.len());
        tenants.iter().zip(shares).map(|(runner, ways)| self.once(runner, connector, &ways)).collect()
    }

    fn once(&self, runner: &Runner, connector: DrcIndex, ways: &[Learned]) -> Finding {
        const PROPERTY: &str = "reaches the guest exactly once";
        let right = if runner.by_tree { Learned::Tree } else { Learned::Event };
        match *ways {
            [way] if way == right => Finding::pass(PROPERTY, runner.id),
            [] if self.was_asked_too_early(runner, connector) => Finding::pass(PROPERTY, runner.id),
            [way] if self.was_asked_too_early(runner, connector) && way == Learned::Event => {
                Finding::pass(PROPERTY, runner.id)
            }
            [] => {
                let late = !self.told(connector, self.from(runner), None).is_empty();
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
                let words: Vec<&str> = ways.iter().map(|way| way.word()).collect();
                let detail =
                    format!("{connector} reached the guest {} times: {}", ways.len(), words.join(", "));
                Finding::broken(PROPERTY, runner.id, Class::Ghost, detail)
            }
        }
    }

    /// Whether the host asked for the device before the guest was through with taking it.
    fn was_asked_too_early(&self, runner: &Runner, connector: DrcIndex) -> bool {
        let Some(first) = runner.asked.first() else { return false };
        let mut known = self.transcript.entries_between(self.from(runner), Some(first.at));
        !known.any(|entry| {
            matches!(entry.record, Record::Done { drc, request: Request::Add, .. } if drc == connector)
        })
    }

    /// Property 2: with the handler armed and the queue not empty, an interrupt comes. An event that told of this
    /// connector may not have waited for the interrupt of the guest's last hour.
    pub(super) fn woken(&self, connector: DrcIndex, tenants: &[&Runner]) -> Option<Finding> {
        const PROPERTY: &str = "is woken for";
        let (dusk, runner) = (self.course.dusk?, tenants.last()?);
        let mut evening = self.transcript.entries_since(dusk);
        let late = evening.any(|entry| match entry.record {
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
}

/// What was told of each of several devices that were on one connector, one after the other. The last that were told of belong
/// to the last that were plugged; those before are owed an explanation.
pub(super) fn shares<T>(mut told: Vec<T>, tenants: usize) -> Vec<Vec<T>> {
    let mut shares: Vec<Vec<T>> = (1..tenants).map(|_| told.pop().into_iter().collect()).collect();
    shares.push(told);
    shares.reverse();
    shares
}
