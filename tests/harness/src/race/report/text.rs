//! The report for people: a matrix for one QEMU, a comparison for several, and few races in words.

use super::{Batch, Outcome, cell, comparison, count, several, what, why_skipped};
use crate::race::action::Action;
use crate::race::expect;
use crate::race::manner::Manner;
use crate::race::window::Window;
use crate::race::{Family, Scenario};
use crate::render::{Colour, painted, table_of_verdicts};
use crate::verdict::{Finding, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Up to so many races are told of in words.
const FEW: usize = 12;

/// The table, every finding that is no pass, and a line for each QEMU with the count.
pub fn text(batches: &[Batch], colour: Colour) -> String {
    let mut text = String::new();
    if several(batches, |batch| &batch.name) {
        text += &comparison::text(batches, colour);
    } else {
        for batch in batches {
            let heading = several(batches, |batch| batch.firmware);
            let heading = if heading { format!("  with {}\n", batch.firmware) } else { String::new() };
            let _ = write!(text, "\n{heading}{}", table_of_verdicts(&matrix(&batch.outcomes), colour));
        }
    }
    text.push('\n');
    if batches.iter().all(|batch| batch.outcomes.len() <= FEW) {
        text += &in_words(batches, colour);
    }
    text += &problems(batches, colour);
    for (what, count) in tallied(batches) {
        let _ = writeln!(text, "{}: {}: {}", what.word, races(count), what.detail);
    }
    text + &ends(batches)
}

/// Kinds and actions by windows.
fn matrix(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let has = |window: &Window| outcomes.iter().any(|outcome| outcome.scenario.window == *window);
    let windows: Vec<Window> = Window::ALL.iter().copied().filter(has).collect();
    let mut header = vec![String::new(), String::new()];
    header.extend(windows.iter().map(ToString::to_string));
    let mut rows = vec![header];
    let mut done: Vec<(Family, Action, Manner)> = Vec::new();
    for Outcome { scenario, .. } in outcomes {
        let Scenario { family, action, manner, .. } = scenario;
        if done.contains(&(*family, *action, *manner)) {
            continue;
        }
        done.push((*family, *action, *manner));
        let mut row = vec![family.to_string(), what(*scenario)];
        row.extend(windows.iter().map(|window| {
            let scenario = Scenario { family: *family, action: *action, window: *window, manner: *manner };
            outcomes.iter().find(|outcome| outcome.scenario == scenario).map_or_else(String::new, cell)
        }));
        rows.push(row);
    }
    rows
}

/// What became of the devices of each race; QEMUs on which the same became of them share it.
fn in_words(batches: &[Batch], colour: Colour) -> String {
    let mut told: Vec<(Scenario, Verdict, &[String], Vec<String>)> = Vec::new();
    for (batch, outcome) in all(batches) {
        let Outcome { scenario, verdict, account, .. } = outcome;
        let named = batch.short_name(outcome, batches);
        match told.iter_mut().find(|one| (one.0, one.1, one.2) == (*scenario, *verdict, account)) {
            Some((.., names)) => names.push(named),
            None => told.push((*scenario, *verdict, account, vec![named])),
        }
    }
    told.sort_by_key(|(scenario, ..)| *scenario);
    let mut text = String::new();
    for (_, verdict, account, names) in told.iter().filter(|(.., account, _)| !account.is_empty()) {
        let _ = writeln!(text, "{} {}", colour.verdict(*verdict), names.join(", "));
        account.iter().for_each(|sentence| {
            let _ = writeln!(text, "  {sentence}");
        });
    }
    text
}

/// Every finding that is neither a pass nor expected.
fn problems(batches: &[Batch], colour: Colour) -> String {
    let mut text = String::new();
    for (batch, outcome) in all(batches).filter(|(_, outcome)| outcome.verdict != Verdict::Skip) {
        for finding in outcome.notable().into_iter().filter(|finding| finding.defect.is_none()) {
            let subject = format!("{}: {}", batch.short_name(outcome, batches), finding.subject);
            let _ = writeln!(text, "{}", painted(&Finding { subject, ..finding.clone() }, colour));
        }
    }
    text
}

/// What is told of many races at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tallied {
    word: String,
    detail: String,
}

/// Known defects, reasons to skip a race, and witnesses that say nothing; each with the number of its races.
fn tallied(batches: &[Batch]) -> BTreeMap<Tallied, usize> {
    let mut tallied = BTreeMap::new();
    let mut add = |word: String, detail: &str| {
        *tallied.entry(Tallied { word, detail: detail.to_owned() }).or_default() += 1;
    };
    for (batch, outcome) in all(batches) {
        let on =
            if several(batches, |batch| &batch.name) { format!(" on {}", batch.name) } else { String::new() };
        if let Some(reason) = why_skipped(outcome) {
            add("SKIP".to_owned(), reason);
        }
        let mut met = BTreeSet::new();
        for finding in &outcome.findings {
            match finding.defect {
                Some(id) if met.insert(id) => add(format!("{} {id}{on}", finding.verdict), &finding.detail),
                None if finding.verdict == Verdict::Pass && !finding.detail.is_empty() => {
                    add(format!("note{on}"), &finding.detail);
                }
                _ => {}
            }
        }
    }
    tallied
}

/// The count for each QEMU and firmware, and what it does with what comes early.
fn ends(batches: &[Batch]) -> String {
    let mut lines = Vec::new();
    for batch in batches {
        let alone = batches.len() == 1;
        let of = if alone { String::new() } else { format!("{} with {}: ", batch.name, batch.firmware) };
        lines.push(format!("{of}{}", count(&batch.outcomes)));
        let seen = expect::told(batch.outcomes.iter().filter_map(|outcome| outcome.seen));
        lines.extend(seen.map(|seen| if alone { seen } else { format!("{of}{seen}") }));
    }
    lines.join("\n")
}

fn all(batches: &[Batch]) -> impl Iterator<Item = (&Batch, &Outcome)> {
    batches.iter().flat_map(|batch| batch.outcomes.iter().map(move |outcome| (batch, outcome)))
}

fn races(count: usize) -> String {
    if count == 1 { "1 race".to_owned() } else { format!("{count} races") }
}

#[cfg(test)]
mod tests {
    use super::super::testing::outcomes;
    use super::{Batch, Colour, text};

    #[test]
    fn one_qemu_is_a_matrix_with_every_problem_and_every_reason() {
        let text = text(&[Batch::of("1.2.3", outcomes())], Colour::Off);
        for words in [
            "memory  plug              PASS tree   FAIL lost event",
            "PASS memory/plug/before-cas\n  second: told by the tree\n",
            "FAIL: memory/plug/handler: first: a (lost event): <none>",
            "SKIP: 1 race: no SLOF",
            "XFAIL a-bug: 1 race: it is known",
            "4 races: 1 PASS, 1 XFAIL, 1 SKIP, 1 FAIL",
        ] {
            assert!(text.contains(words), "no `{words}` in:\n{text}");
        }
    }

    #[test]
    fn what_became_of_a_device_is_told_once_for_all_qemus_on_which_it_is_the_same() {
        let mut other = Batch::of("4.5.6", outcomes());
        other.outcomes[1].account = vec!["second: never told".into()];
        let text = text(&[Batch::of("1.2.3", outcomes()), other], Colour::Off);
        let both = "PASS 1.2.3/vof/memory/plug/before-cas, 4.5.6/vof/memory/plug/before-cas\n";
        assert!(text.contains(both), "{text}");
        assert!(text.contains("FAIL 4.5.6/vof/memory/plug/handler\n  second: never told\n"), "{text}");
        assert!(text.contains("4.5.6 with VOF: 4 races: 1 PASS"), "{text}");
    }

    #[test]
    fn many_races_are_not_told_in_words() {
        let many: Vec<_> = (0..4).flat_map(|_| outcomes()).collect();
        assert!(!text(&[Batch::of("1.2.3", many)], Colour::Off).contains("second:"));
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(!text(&[Batch::of("1.2.3", outcomes())], Colour::Off).contains('\x1b'));
        let text = text(&[Batch::of("1.2.3", outcomes())], Colour::On);
        assert!(text.contains("\x1b[32mPASS\x1b[0m tree"), "{text:?}");
    }
}
