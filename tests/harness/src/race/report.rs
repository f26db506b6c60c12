//! What many races come to: tables for people, TAP, JUnit and JSON for machines.

mod comparison;
mod formats;
mod text;

pub use formats::{json, junit, race, tap};
pub use text::text;

use super::Scenario;
use super::lab::Outcome;
use super::manner::Manner;
use crate::qemu::Qemu;
use crate::qemu::command::Firmware;
use crate::verdict::{Finding, Verdict};
use std::collections::BTreeMap;

/// The races of one QEMU under one firmware.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What this QEMU is called: its version, with a number where two are of one version.
    pub name: String,
    /// The QEMU.
    pub qemu: Qemu,
    /// The firmware.
    pub firmware: Firmware,
    /// What the races came to.
    pub outcomes: Vec<Outcome>,
}

impl Batch {
    /// The whole name of a race: QEMU, firmware, kind, action, window.
    pub fn full_name(&self, outcome: &Outcome) -> String {
        format!("{}/{}/{}", self.name, self.firmware.word(), outcome.scenario)
    }

    /// The same, without what all races of a report have in common.
    fn short_name(&self, outcome: &Outcome, batches: &[Self]) -> String {
        match (several(batches, |batch| &batch.name), several(batches, |batch| batch.firmware)) {
            (true, _) => self.full_name(outcome),
            (false, true) => format!("{}/{}", self.firmware.word(), outcome.scenario),
            (false, false) => outcome.scenario.name(),
        }
    }
}

/// Whether not all batches are alike in this.
fn several<'b, T: PartialEq>(batches: &'b [Batch], what: impl Fn(&'b Batch) -> T) -> bool {
    let mut all = batches.iter().map(what);
    let first = all.next();
    all.any(|one| Some(one) != first)
}

/// What happens in a race: the action, and the guest's manners where they are bad.
fn what(scenario: Scenario) -> String {
    let Scenario { action, manner, .. } = scenario;
    if manner == Manner::Good { action.to_string() } else { format!("{action}, {manner}") }
}

/// A race in two or three words: its verdict, and what became of the device, which defect it met, or what was broken.
fn cell(outcome: &Outcome) -> String {
    let notable = outcome.notable();
    let mut findings = notable.iter();
    let word = match outcome.verdict {
        Verdict::Pass => Some(outcome.summary.clone()),
        Verdict::Skip => None,
        Verdict::ExpectedFail | Verdict::UnexpectedPass => {
            findings.find_map(|finding| finding.defect).map(str::to_owned)
        }
        _ => findings.find_map(|finding| finding.class).map(|class| class.to_string()),
    };
    [Some(outcome.verdict.to_string()), word].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// How many races came to which verdict.
fn count(outcomes: &[Outcome]) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.verdict).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    format!("{} races: {}", outcomes.len(), words.join(", "))
}

/// The verdict of all of them. A race that this QEMU or firmware cannot run does not count, unless there is no other.
pub fn verdict<'o>(outcomes: impl IntoIterator<Item = &'o Outcome>) -> Verdict {
    let verdicts: Vec<Verdict> = outcomes.into_iter().map(|outcome| outcome.verdict).collect();
    let run = verdicts.iter().copied().filter(|verdict| *verdict != Verdict::Skip);
    run.max().unwrap_or(if verdicts.is_empty() { Verdict::Error } else { Verdict::Skip })
}

/// Whether a verdict makes nobody unhappy.
pub fn is_good(verdict: Verdict) -> bool {
    verdict.exit_status() == 0 || verdict == Verdict::Skip
}

/// Why a race was skipped.
pub fn why_skipped(outcome: &Outcome) -> Option<&str> {
    let skip = |finding: &&Finding| finding.verdict == Verdict::Skip;
    (outcome.verdict == Verdict::Skip).then_some(())?;
    outcome.findings.iter().find(skip).map(|finding| finding.detail.as_str())
}

#[cfg(test)]
mod testing {
    use super::{Batch, Firmware, Outcome, Qemu, Verdict};
    use crate::qemu::Version;
    use crate::race::Scenario;
    use crate::verdict::{Class, Finding, worst};
    use std::time::Duration;

    impl Batch {
        /// The races of some QEMU.
        pub(super) fn of(name: &str, outcomes: Vec<Outcome>) -> Self {
            let (program, version) = ("/q/qemu".into(), Version::new(1, 2, 3));
            let qemu = Qemu { program, version, banner: "QEMU \"1\"".to_owned() };
            Self { name: name.to_owned(), qemu, firmware: Firmware::Vof, outcomes }
        }
    }

    /// A race that came to these findings.
    pub(super) fn outcome(name: &str, findings: Vec<Finding>) -> Outcome {
        Outcome {
            scenario: Scenario::named(name).expect("a scenario"),
            verdict: worst(&findings),
            findings,
            summary: "tree".into(),
            account: vec!["second: told by the tree".into()],
            seen: None,
            took: Duration::from_millis(120),
            backtrace: None,
            evidence: None,
        }
    }

    /// Four races, each with another verdict.
    pub(super) fn outcomes() -> Vec<Outcome> {
        let known = Finding::defect("a-bug", "QEMU", Verdict::ExpectedFail, "it is known");
        vec![
            outcome("memory/plug/before-cas", vec![Finding::pass("a", "first")]),
            outcome("memory/plug/handler", vec![Finding::broken("a", "first", Class::LostEvent, "<none>")]),
            outcome("cpu/plug/firmware", vec![Finding::other("a", "x", Verdict::Skip, "no SLOF")]),
            outcome("cpu/unplug/handler", vec![known]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::testing::outcomes;
    use super::{Batch, Firmware, Verdict, cell, count, verdict, why_skipped};

    #[test]
    fn the_worst_wins_and_skips_do_not_count() {
        assert_eq!(verdict(&outcomes()), Verdict::Fail);
        assert_eq!(verdict(&outcomes()[..1]), Verdict::Pass);
        assert_eq!(verdict(&outcomes()[2..3]), Verdict::Skip);
        assert_eq!(verdict(&outcomes()[2..]), Verdict::ExpectedFail);
        assert_eq!(verdict(&[]), Verdict::Error);
        assert_eq!(count(&outcomes()), "4 races: 1 PASS, 1 XFAIL, 1 SKIP, 1 FAIL");
    }

    #[test]
    fn a_cell_says_what_matters_for_its_verdict() {
        let cells: Vec<String> = outcomes().iter().map(cell).collect();
        assert_eq!(cells, ["PASS tree", "FAIL lost event", "SKIP", "XFAIL a-bug"]);
        let reasons: Vec<Option<&str>> = vec![None, None, Some("no SLOF"), None];
        assert_eq!(outcomes().iter().map(why_skipped).collect::<Vec<_>>(), reasons);
    }

    #[test]
    fn a_name_says_as_much_as_is_needed() {
        let one = Batch::of("1.2.3", outcomes());
        let (race, other) = (&one.outcomes[0], Batch::of("4.5.6", outcomes()));
        let slof = Batch { firmware: Firmware::Slof, ..one.clone() };
        for (batches, name) in [
            (vec![one.clone()], "memory/plug/before-cas"),
            (vec![one.clone(), slof], "vof/memory/plug/before-cas"),
            (vec![one.clone(), other], "1.2.3/vof/memory/plug/before-cas"),
        ] {
            assert_eq!(one.short_name(race, &batches), name);
        }
    }
}
