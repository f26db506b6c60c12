//! Several QEMUs side by side: the races by versions, those first that do not come to the same.

use super::Scenario;
use super::lab::Outcome;
use super::report::{Batch, cell, count};
use crate::render::table;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A table of what differs, a table of what does not, and the count for each QEMU.
pub fn text(batches: &[Batch]) -> String {
    let mut text = String::new();
    let names = columns(batches);
    let mut different = vec![[vec!["differs".to_owned()], names.clone()].concat()];
    let mut same: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for scenario in scenarios(batches) {
        let cells: Vec<String> = batches.iter().map(|batch| of(batch, scenario)).collect();
        if cells.iter().all(|cell| *cell == cells[0]) {
            let group = (format!("{} {}", scenario.family, scenario.action), cells[0].clone());
            same.entry(group).or_default().push(scenario.window.to_string());
        } else {
            different.push([vec![scenario.name()], cells].concat());
        }
    }
    if different.len() == 1 {
        text += "\nEvery race comes to the same on all of them.\n";
    } else {
        let _ = write!(text, "\n{}", table(&different));
    }
    let mut rows = vec![vec!["the same".to_owned(), "on all".to_owned(), "in".to_owned()]];
    rows.extend(same.into_iter().map(|((race, cell), windows)| vec![race, cell, windows.join(", ")]));
    let _ = write!(text, "\n{}", table(&rows));
    for (name, batch) in names.iter().zip(batches) {
        let _ = write!(text, "\n{name}: {}", count(&batch.outcomes));
    }
    text
}

/// What the columns are called: the versions, with a number where two are the same.
fn columns(batches: &[Batch]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for batch in batches {
        let version = batch.version.to_string();
        let before = names.iter().filter(|name| name.split(' ').next() == Some(&version)).count();
        names.push(if before == 0 { version } else { format!("{version} ({})", before + 1) });
    }
    names
}

/// Every race of any of them, in the order in which they were run.
fn scenarios(batches: &[Batch]) -> Vec<Scenario> {
    let mut all: Vec<Scenario> =
        batches.iter().flat_map(|batch| &batch.outcomes).map(|outcome| outcome.scenario).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn of(batch: &Batch, scenario: Scenario) -> String {
    let found: Option<&Outcome> = batch.outcomes.iter().find(|outcome| outcome.scenario == scenario);
    found.map_or_else(|| "not run".to_owned(), cell)
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::race::report::Batch;
    use crate::race::report::testing::outcomes;
    use crate::verdict::{Class, Finding, Verdict};

    #[test]
    fn what_differs_comes_first_and_what_is_the_same_is_told_in_short() {
        let first = Batch::of(outcomes());
        let mut second = Batch::of(outcomes());
        let race = &mut second.outcomes[0];
        race.verdict = Verdict::Fail;
        race.findings = vec![Finding::broken("a", "first", Class::Ghost, "twice")];
        let text = text(&[first, second]);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines[0].contains("differs") && lines[0].contains("1.2.3 (2)"), "{text}");
        assert!(lines[1].contains("memory/plug/before-cas  PASS tree  FAIL ghost"), "{text}");
        assert!(text.contains("cpu plug     SKIP"), "{text}");
        assert!(text.ends_with("1.2.3 (2): 4 races: 1 XFAIL, 1 SKIP, 2 FAIL"), "{text}");
    }

    #[test]
    fn no_difference_is_told_as_such() {
        assert!(text(&[Batch::of(outcomes()), Batch::of(outcomes())]).contains("comes to the same on all"));
    }
}
