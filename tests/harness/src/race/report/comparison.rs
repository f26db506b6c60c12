//! Several QEMUs side by side: the races by versions, those first that do not come to the same.

use super::{Batch, cell, several, what};
use crate::qemu::command::Firmware;
use crate::race::Scenario;
use crate::render::{Colour, table_of_verdicts};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A race under a firmware: what a line of the table is about.
type Line = (Firmware, Scenario);

/// A table of what differs, then one of what does not.
pub(super) fn text(batches: &[Batch], colour: Colour) -> String {
    let mut text = String::new();
    let names = names(batches);
    let header: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut different = vec![[vec!["differs".to_owned()], header].concat()];
    let mut same: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for line in lines(batches) {
        let cells: Vec<String> = names.iter().map(|name| of(batches, name, line)).collect();
        if cells.iter().all(|cell| *cell == cells[0]) {
            let what = format!("{} {}", named(batches, line, line.1.family), what(line.1));
            let group = (what, cells[0].clone());
            same.entry(group).or_default().push(line.1.window.to_string());
        } else {
            different.push([vec![named(batches, line, line.1)], cells].concat());
        }
    }
    if different.len() == 1 {
        text += "\nEvery race comes to the same on all of them.\n";
    } else {
        let _ = write!(text, "\n{}", table_of_verdicts(&different, colour));
    }
    let mut rows = vec![["the same", "on all", "in"].map(str::to_owned).to_vec()];
    rows.extend(same.into_iter().map(|((race, cell), windows)| vec![race, cell, windows.join(", ")]));
    let _ = write!(text, "\n{}", table_of_verdicts(&rows, colour));
    text
}

/// Behind its firmware, where there are several.
fn named(batches: &[Batch], line: Line, what: impl ToString) -> String {
    let what = what.to_string();
    if several(batches, |batch| batch.firmware) { format!("{}/{what}", line.0.word()) } else { what }
}

/// The columns: what the QEMUs are called, in the order in which they were named.
fn names(batches: &[Batch]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for batch in batches {
        if !names.contains(&batch.name.as_str()) {
            names.push(&batch.name);
        }
    }
    names
}

fn lines(batches: &[Batch]) -> BTreeSet<Line> {
    let of = |batch: &Batch| -> Vec<Line> {
        batch.outcomes.iter().map(|outcome| (batch.firmware, outcome.scenario)).collect()
    };
    batches.iter().flat_map(of).collect()
}

fn of(batches: &[Batch], name: &str, (firmware, scenario): Line) -> String {
    let mut own = batches.iter().filter(|batch| batch.name == name && batch.firmware == firmware);
    let race = |batch: &Batch| batch.outcomes.iter().find(|outcome| outcome.scenario == scenario).map(cell);
    own.find_map(race).unwrap_or_else(|| "not run".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::outcomes;
    use super::{Batch, Colour, Firmware, text};
    use crate::verdict::{Class, Finding, Verdict};

    #[test]
    fn what_differs_comes_first_and_what_is_the_same_is_told_in_short() {
        let first = Batch::of("1.2.3", outcomes());
        let mut second = Batch::of("4.5.6", outcomes());
        let race = &mut second.outcomes[0];
        race.verdict = Verdict::Fail;
        race.findings = vec![Finding::broken("a", "first", Class::Ghost, "twice")];
        let text = text(&[first, second], Colour::Off);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines[0].contains("differs") && lines[0].contains("1.2.3      4.5.6"), "{text}");
        assert!(lines[1].contains("memory/plug/before-cas  PASS tree  FAIL ghost"), "{text}");
        assert!(text.contains("cpu plug     SKIP"), "{text}");
        assert!(text.contains("cpu unplug   XFAIL a-bug      handler"), "{text}");
    }

    #[test]
    fn a_firmware_has_lines_of_its_own() {
        let batches = |firmware| ["a", "b"].map(|name| Batch { firmware, ..Batch::of(name, outcomes()) });
        let mut all = [batches(Firmware::Vof), batches(Firmware::Slof)].concat();
        all[3].outcomes.remove(0);
        let text = text(&all, Colour::Off);
        assert!(text.contains("slof/memory/plug/before-cas  PASS tree  not run"), "{text}");
        assert!(text.contains("vof/memory plug   PASS tree        before-cas"), "{text}");
    }

    #[test]
    fn no_difference_is_told_as_such() {
        let same = [Batch::of("1.2.3", outcomes()), Batch::of("4.5.6", outcomes())];
        assert!(text(&same, Colour::Off).contains("comes to the same on all"));
    }
}
