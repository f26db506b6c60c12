//! Measurements that were made up.

use super::bench::{Played, Script};
use super::facts::Facts;
use super::{Answer, Measured, Question};
use crate::race::Scenario;
use crate::race::lab::Outcome;
use crate::verdict::{Finding, Verdict, worst};
use std::time::Duration;

impl Measured {
    /// The same, with a script that found out these facts.
    pub(crate) fn and(mut self, script: &Script, facts: Facts) -> Self {
        self.played.insert(script.name, Played { facts, ended: None, took: Duration::ZERO });
        self
    }

    /// The same, with a script that ended early.
    pub(crate) fn and_ended(mut self, script: &Script, verdict: Verdict, words: &str) -> Self {
        let ended = Some((verdict, words.to_owned()));
        self.played.insert(script.name, Played { facts: Facts::default(), ended, took: Duration::ZERO });
        self
    }

    /// The same, with a race that came to this.
    pub(crate) fn and_race(mut self, name: &str, summary: &str, findings: Vec<Finding>) -> Self {
        self.races.push(Outcome {
            scenario: Scenario::named(name).expect("a race"),
            verdict: worst(&findings),
            findings,
            summary: summary.to_owned(),
            account: Vec::new(),
            seen: None,
            took: Duration::ZERO,
            backtrace: None,
            evidence: None,
        });
        self
    }

    /// What the question of this name comes to.
    pub(crate) fn answer(&self, name: &str) -> Answer {
        Question::named(name).expect("a question").answered(self)
    }
}
