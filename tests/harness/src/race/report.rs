//! What many races come to: a table for people, TAP, JUnit and JSON for machines.

use super::Scenario;
use super::action::Action;
use super::expect;
use super::lab::Outcome;
use super::window::Window;
use crate::qemu::Version;
use crate::render::{Colour, table};
use crate::verdict::{Finding, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The races of one QEMU.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What QEMU says of itself.
    pub qemu: String,
    /// Its version.
    pub version: Version,
    /// The firmware.
    pub firmware: String,
    /// What the races came to.
    pub outcomes: Vec<Outcome>,
}

/// Up to so many races are told of in words.
const FEW: usize = 12;

/// The matrix: kinds and actions by windows, then every finding that is no pass, then one line with the count.
pub fn text(outcomes: &[Outcome], colour: Colour) -> String {
    let mut text = String::from("\n");
    text += &matrix(outcomes);
    if outcomes.len() <= FEW {
        outcomes.iter().for_each(|outcome| text += &in_words(outcome));
    }
    for outcome in outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Skip) {
        for finding in outcome.notable() {
            let _ = writeln!(text, "{}", crate::render::painted(&named(outcome, finding), colour));
        }
    }
    for (note, count) in notes(outcomes) {
        let _ = writeln!(text, "note: {count} races: {note}");
    }
    for (reason, count) in skips(outcomes) {
        let _ = writeln!(text, "SKIP: {count} races: {reason}");
    }
    let _ = write!(text, "{}", count(outcomes));
    if let Some(line) = expect::told(outcomes.iter().filter_map(|outcome| outcome.seen)) {
        let _ = write!(text, "\n{line}");
    }
    text
}

/// What held in a race, by what it is about.
fn in_words(outcome: &Outcome) -> String {
    let Outcome { scenario, verdict, summary, took, .. } = outcome;
    let mut text = format!("{scenario}: {verdict} in {:.2} s: {summary}\n", took.as_secs_f64());
    let mut held: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for finding in outcome.findings.iter().filter(|finding| finding.verdict == Verdict::Pass) {
        let properties = held.entry(&finding.subject).or_default();
        if !properties.contains(&finding.property) {
            properties.push(finding.property);
        }
    }
    for (subject, properties) in held {
        let _ = writeln!(text, "  {subject}: {}", properties.join("; "));
    }
    text
}

fn named(outcome: &Outcome, finding: &Finding) -> Finding {
    Finding { subject: format!("{}: {}", outcome.scenario, finding.subject), ..finding.clone() }
}

/// What is worth knowing although nothing is wrong: witnesses that say nothing.
fn notes(outcomes: &[Outcome]) -> BTreeMap<&str, usize> {
    let mut notes = BTreeMap::new();
    for finding in outcomes.iter().flat_map(|outcome| &outcome.findings) {
        if finding.verdict == Verdict::Pass && !finding.detail.is_empty() {
            *notes.entry(finding.detail.as_str()).or_default() += 1;
        }
    }
    notes
}

fn skips(outcomes: &[Outcome]) -> BTreeMap<&str, usize> {
    let mut skips = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Skip) {
        let skip = outcome.findings.iter().find(|finding| finding.verdict == Verdict::Skip);
        let reason = skip.map_or("", |finding| finding.detail.as_str());
        *skips.entry(reason).or_default() += 1;
    }
    skips
}

fn matrix(outcomes: &[Outcome]) -> String {
    let windows: Vec<Window> = Window::ALL
        .iter()
        .copied()
        .filter(|window| outcomes.iter().any(|outcome| outcome.scenario.window == *window))
        .collect();
    let mut header = vec!["".to_owned(), "".to_owned()];
    header.extend(windows.iter().map(ToString::to_string));
    let mut rows = vec![header];
    let mut done: Vec<(super::Family, Action)> = Vec::new();
    for Outcome { scenario: Scenario { family, action, .. }, .. } in outcomes {
        if done.contains(&(*family, *action)) {
            continue;
        }
        done.push((*family, *action));
        let mut row = vec![family.to_string(), action.to_string()];
        row.extend(windows.iter().map(|window| {
            let scenario = Scenario { family: *family, action: *action, window: *window };
            outcomes.iter().find(|outcome| outcome.scenario == scenario).map_or_else(String::new, cell)
        }));
        rows.push(row);
    }
    table(&rows)
}

/// A race in two or three words: its verdict, and what became of the device, or what was broken.
pub(super) fn cell(outcome: &Outcome) -> String {
    match outcome.verdict {
        Verdict::Pass => format!("PASS {}", outcome.summary),
        Verdict::Skip => "SKIP".to_owned(),
        other => match outcome.notable().iter().find_map(|finding| finding.class) {
            Some(class) => format!("{other} {class}"),
            None => other.to_string(),
        },
    }
}

/// How many races came to which verdict.
pub fn count(outcomes: &[Outcome]) -> String {
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

/// The Test Anything Protocol, version 13. Where there are several QEMUs a name begins with the version.
pub fn tap(batches: &[Batch]) -> String {
    let races =
        || batches.iter().flat_map(|batch| batch.outcomes.iter().map(move |outcome| (batch, outcome)));
    let mut text = format!("TAP version 13\n1..{}\n", races().count());
    for (number, (batch, outcome)) in (1..).zip(races()) {
        let version = if batches.len() > 1 { format!("{}/", batch.version) } else { String::new() };
        // A `todo` that is not ok is what a reader of this protocol takes for an expected failure.
        let is_ok = is_good(outcome.verdict) && outcome.verdict != Verdict::ExpectedFail;
        let state = if is_ok { "ok" } else { "not ok" };
        let directive = match outcome.verdict {
            Verdict::Skip => " # skip",
            Verdict::ExpectedFail => " # todo known defect",
            _ => "",
        };
        let _ = writeln!(text, "{state} {number} - {version}{}{directive}", outcome.scenario);
        for finding in outcome.notable() {
            for line in finding.to_string().lines() {
                let _ = writeln!(text, "  # {line}");
            }
        }
    }
    text
}

/// Whether a verdict makes nobody unhappy.
pub fn is_good(verdict: Verdict) -> bool {
    verdict.exit_status() == 0 || verdict == Verdict::Skip
}

/// One object, with an array of races.
pub fn json(batch: &Batch) -> Value {
    let Batch { qemu, version, firmware, outcomes } = batch;
    let races: Vec<Value> = outcomes.iter().map(race).collect();
    json!({
        "qemu": qemu,
        "version": version.to_string(),
        "firmware": firmware,
        "verdict": verdict(outcomes).word(),
        "races": races,
    })
}

/// One race, as an object.
pub fn race(outcome: &Outcome) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "property": finding.property,
            "subject": finding.subject,
            "verdict": finding.verdict.word(),
            "class": finding.class.map(|class| class.to_string()),
            "detail": finding.detail,
        })
    };
    json!({
        "name": outcome.scenario.name(),
        "verdict": outcome.verdict.word(),
        "summary": outcome.summary,
        "seen": outcome.seen.map(expect::Expect::word),
        "milliseconds": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        "findings": outcome.findings.iter().map(finding).collect::<Vec<_>>(),
        "backtrace": outcome.backtrace,
        "evidence": outcome.evidence,
    })
}

/// The XML that CI servers read: a suite for each QEMU.
pub fn junit(batches: &[Batch]) -> String {
    let suites: String = batches.iter().map(suite).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n{suites}</testsuites>\n")
}

fn suite(Batch { qemu, outcomes, .. }: &Batch) -> String {
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.took.as_secs_f64()).sum();
    let bad = outcomes.iter().filter(|outcome| !is_good(outcome.verdict)).count();
    let skipped = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Skip).count();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{bad}\" skipped=\"{skipped}\" time=\"{seconds:.3}\">",
        escaped(qemu),
        outcomes.len()
    );
    for outcome in outcomes {
        let Scenario { family, action, window } = outcome.scenario;
        let _ = write!(
            text,
            "  <testcase classname=\"{family}.{action}\" name=\"{window}\" time=\"{:.3}\">",
            outcome.took.as_secs_f64()
        );
        let words: Vec<String> = outcome.notable().iter().map(ToString::to_string).collect();
        let words = escaped(&words.join("\n"));
        match outcome.verdict {
            Verdict::Skip => {
                let _ = write!(text, "<skipped message=\"{words}\"/>");
            }
            verdict if !is_good(verdict) => {
                let _ = write!(text, "<failure message=\"{verdict}\">{words}</failure>");
            }
            _ => {}
        }
        text.push_str("</testcase>\n");
    }
    text.push_str("</testsuite>\n");
    text
}

/// Text that can stand in XML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            // XML 1.0 has no place for the others.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod testing {
    use super::{Batch, Outcome, Scenario, Verdict, Version};
    use crate::verdict::{Class, Finding};
    use std::time::Duration;

    impl Batch {
        /// The races of some QEMU.
        pub(crate) fn of(outcomes: Vec<Outcome>) -> Self {
            let (qemu, firmware) = ("QEMU \"1\"".into(), "VOF".into());
            Self { qemu, version: Version::new(1, 2, 3), firmware, outcomes }
        }
    }

    fn outcome(name: &str, findings: Vec<Finding>) -> Outcome {
        Outcome {
            scenario: Scenario::named(name).expect("a scenario"),
            verdict: crate::verdict::worst(&findings),
            findings,
            summary: "tree".into(),
            seen: None,
            took: Duration::from_millis(120),
            backtrace: None,
            evidence: None,
        }
    }

    /// Four races, each with another verdict.
    pub(crate) fn outcomes() -> Vec<Outcome> {
        vec![
            outcome("memory/plug/before-cas", vec![Finding::pass("a", "first")]),
            outcome("memory/plug/handler", vec![Finding::broken("a", "first", Class::LostEvent, "<none>")]),
            outcome("cpu/plug/firmware", vec![Finding::other("a", "x", Verdict::Skip, "no SLOF")]),
            outcome("cpu/unplug/handler", vec![Finding::other("a", "x", Verdict::ExpectedFail, "known")]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::testing::outcomes;
    use super::{Batch, Verdict, count, escaped, json, junit, tap, text, verdict};
    use crate::render::Colour;

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
    fn every_form_tells_of_every_race() {
        let batch = Batch::of(outcomes());
        let tap = tap(std::slice::from_ref(&batch));
        assert!(tap.starts_with("TAP version 13\n1..4\nok 1 - memory/plug/before-cas\nnot ok 2 -"), "{tap}");
        assert!(
            tap.contains("\nok 3 - cpu/plug/firmware # skip")
                && tap.contains("\nnot ok 4 - cpu/unplug/handler # todo"),
            "{tap}"
        );
        let junit = junit(&[batch.clone(), batch.clone()]);
        assert_eq!(junit.matches("<testsuite ").count(), 2);
        assert!(junit.contains("tests=\"4\" failures=\"1\" skipped=\"1\""), "{junit}");
        assert!(junit.contains("&lt;none&gt;") && junit.contains("QEMU &quot;1&quot;"), "{junit}");
        let json = json(&batch);
        assert_eq!(json["races"].as_array().map(Vec::len), Some(4));
        assert_eq!(json["races"][1]["findings"][0]["class"], "lost event");
        let text = text(&outcomes(), Colour::Off);
        assert!(text.contains("FAIL lost event") && text.contains("PASS tree"), "{text}");
        assert!(text.contains("SKIP: 1 races: no SLOF"), "{text}");
    }

    #[test]
    fn nothing_gets_into_xml_that_does_not_belong_there() {
        assert_eq!(escaped("a<b>&\"\u{1}\n"), "a&lt;b&gt;&amp;&quot;\u{fffd}\n");
    }
}
