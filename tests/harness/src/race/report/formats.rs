//! The report for machines: TAP, JSON, and JUnit's XML. A race bears its QEMU and its firmware in each.

use super::{Batch, Outcome, is_good, verdict};
use crate::race::expect::Expect;
use crate::verdict::{Finding, Verdict};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The Test Anything Protocol, version 13.
pub fn tap(batches: &[Batch]) -> String {
    let races = || batches.iter().flat_map(|batch| batch.outcomes.iter().map(move |race| (batch, race)));
    let mut text = format!("TAP version 13\n1..{}\n", races().count());
    for batch in batches {
        let _ = writeln!(text, "# {}: {} with {}", batch.name, batch.qemu.banner, batch.firmware);
    }
    for (number, (batch, outcome)) in (1..).zip(races()) {
        // A `todo` that is not ok is what a reader of this protocol takes for an expected failure.
        let is_ok = is_good(outcome.verdict) && outcome.verdict != Verdict::ExpectedFail;
        let state = if is_ok { "ok" } else { "not ok" };
        let directive = match outcome.verdict {
            Verdict::Skip => " # skip",
            Verdict::ExpectedFail => " # todo known defect",
            _ => "",
        };
        let _ = writeln!(text, "{state} {number} - {}{directive}", batch.full_name(outcome));
        for finding in outcome.notable() {
            for line in finding.to_string().lines() {
                let _ = writeln!(text, "  # {line}");
            }
        }
    }
    text
}

/// One object, with a run for each QEMU and firmware, and the races of each.
pub fn json(batches: &[Batch]) -> Value {
    let run = |batch: &Batch| {
        json!({
            "name": batch.name,
            "qemu": batch.qemu.banner,
            "version": batch.qemu.version.to_string(),
            "program": batch.qemu.program,
            "firmware": batch.firmware.to_string(),
            "verdict": verdict(&batch.outcomes).word(),
            "races": batch.outcomes.iter().map(race).collect::<Vec<_>>(),
        })
    };
    let all = batches.iter().flat_map(|batch| &batch.outcomes);
    json!({ "verdict": verdict(all).word(), "runs": batches.iter().map(run).collect::<Vec<_>>() })
}

/// One race, as an object.
pub fn race(outcome: &Outcome) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "property": finding.property,
            "subject": finding.subject,
            "verdict": finding.verdict.word(),
            "class": finding.class.map(|class| class.to_string()),
            "defect": finding.defect,
            "detail": finding.detail,
        })
    };
    json!({
        "name": outcome.scenario.name(),
        "verdict": outcome.verdict.word(),
        "summary": outcome.summary,
        "account": outcome.account,
        "questions": outcome.scenario.questions(),
        "seen": outcome.seen.map(Expect::word),
        "milliseconds": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        "findings": outcome.findings.iter().map(finding).collect::<Vec<_>>(),
        "backtrace": outcome.backtrace,
        "evidence": outcome.evidence,
    })
}

/// The XML that CI servers read: a suite for each QEMU and firmware. As it knows no expected failure, that is a skipped test.
pub fn junit(batches: &[Batch]) -> String {
    let suites: String = batches.iter().map(suite).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"paprika\">\n{suites}</testsuites>\n"
    )
}

fn suite(batch: &Batch) -> String {
    let outcomes = &batch.outcomes;
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.took.as_secs_f64()).sum();
    let bad = outcomes.iter().filter(|outcome| !is_good(outcome.verdict)).count();
    let skipped = outcomes.iter().filter(|outcome| is_skipped(outcome)).count();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "<testsuite name=\"{}/{}\" tests=\"{}\" failures=\"{bad}\" skipped=\"{skipped}\" time=\"{seconds:.3}\">",
        escaped(&batch.name),
        batch.firmware.word(),
        outcomes.len()
    );
    let _ = writeln!(
        text,
        "  <properties><property name=\"qemu\" value=\"{}\"/></properties>",
        escaped(&batch.qemu.banner)
    );
    outcomes.iter().for_each(|outcome| text += &case(batch, outcome));
    text.push_str("</testsuite>\n");
    text
}

fn case(batch: &Batch, outcome: &Outcome) -> String {
    let full = batch.full_name(outcome);
    let (class, name) = full.rsplit_once('/').unwrap_or(("", &full));
    let words: Vec<String> = outcome.notable().iter().map(ToString::to_string).collect();
    let words = escaped(&words.join("\n"));
    let body = match outcome.verdict {
        _ if is_skipped(outcome) => format!("<skipped message=\"{words}\"/>"),
        verdict if !is_good(verdict) => format!("<failure message=\"{verdict}\">{words}</failure>"),
        _ => String::new(),
    };
    let (class, seconds) = (escaped(class), outcome.took.as_secs_f64());
    format!("  <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\">{body}</testcase>\n")
}

fn is_skipped(outcome: &Outcome) -> bool {
    matches!(outcome.verdict, Verdict::Skip | Verdict::ExpectedFail)
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
mod tests {
    use super::super::testing::outcomes;
    use super::{Batch, escaped, json, junit, tap};

    #[test]
    fn every_form_tells_of_every_race_and_of_its_qemu() {
        let batches = [Batch::of("1.2.3", outcomes()), Batch::of("4.5.6", outcomes())];
        let tap = tap(&batches);
        for words in [
            "TAP version 13\n1..8\n# 1.2.3: QEMU \"1\" with VOF\n",
            "\nok 1 - 1.2.3/vof/memory/plug/before-cas\nnot ok 2 -",
            "\nok 3 - 1.2.3/vof/cpu/plug/firmware # skip",
            "\nnot ok 8 - 4.5.6/vof/cpu/unplug/handler # todo",
            "  # XFAIL: QEMU: known defect (a-bug): it is known",
        ] {
            assert!(tap.contains(words), "no `{words}` in:\n{tap}");
        }
        let junit = junit(&batches);
        assert_eq!(junit.matches("<testsuite ").count(), 2);
        for words in [
            "name=\"4.5.6/vof\" tests=\"4\" failures=\"1\" skipped=\"2\"",
            "&lt;none&gt;",
            "value=\"QEMU &quot;1&quot;\"",
            "classname=\"1.2.3/vof/cpu/unplug\" name=\"handler\" time=\"0.120\"><skipped",
        ] {
            assert!(junit.contains(words), "no `{words}` in:\n{junit}");
        }
        let json = json(&batches);
        assert_eq!((&json["verdict"], &json["runs"][1]["name"]), (&"FAIL".into(), &"4.5.6".into()));
        let races = &json["runs"][0]["races"];
        assert_eq!(races.as_array().map(Vec::len), Some(4));
        assert_eq!(races[1]["findings"][0]["class"], "lost event");
        assert_eq!(races[3]["findings"][0]["defect"], "a-bug");
        assert_eq!(races[0]["account"][0], "second: told by the tree");
    }

    #[test]
    fn nothing_gets_into_xml_that_does_not_belong_there() {
        assert_eq!(escaped("a<b>&\"\u{1}\n"), "a&lt;b&gt;&amp;&quot;\u{fffd}\n");
    }
}
