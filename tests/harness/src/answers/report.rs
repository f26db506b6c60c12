//! The answers: for people, for a page, and for machines.

use super::{Answer, Measured, Question};
use crate::device::Family;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Questions with their answers.
pub type Answered<'a> = [(&'a Question, Answer)];

/// On what an answer depends, of what was tried in more than one way.
fn dependence(answer: &Answer) -> String {
    let words = answer.varied.iter().map(|varied| match varied.matters {
        true => format!("depends on the {}", varied.what),
        false => format!("does not depend on the {}", varied.what),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The races and scripts behind an answer.
fn evidence(question: &Question, measured: &Measured) -> Vec<String> {
    let races = measured.races_of(question);
    let mut names: Vec<String> = question.scripts.iter().map(|script| script.name.to_owned()).collect();
    names.extend(races.iter().map(|race| race.scenario.name()));
    names
}

/// The same in a line.
fn in_short(question: &Question, measured: &Measured) -> String {
    let scripts: Vec<&str> = question.scripts.iter().map(|script| script.name).collect();
    let races = measured.races_of(question);
    let mut parts = Vec::new();
    if !scripts.is_empty() {
        parts.push(format!("experiments {}", scripts.join(", ")));
    }
    match races.as_slice() {
        [] => {}
        [one] => parts.push(format!("race {}", one.scenario)),
        [first, ..] => parts.push(format!("{} races, as {}", races.len(), first.scenario)),
    }
    parts.join("; ")
}

/// For people.
pub fn text(answers: &Answered<'_>, measured: &Measured) -> String {
    let mut text = String::new();
    for (question, answer) in answers {
        let _ = writeln!(text, "{:4} {}", question.name(), question.statement);
        let _ = writeln!(text, "     {}: {}", answer.holds.word().to_uppercase(), answer.text);
        let notes = [dependence(answer), in_short(question, measured)];
        let notes: Vec<String> = notes.into_iter().filter(|note| !note.is_empty()).collect();
        if !notes.is_empty() {
            let _ = writeln!(text, "     [{}]", notes.join("; "));
        }
        text.push('\n');
    }
    text
}

/// For a page: a table.
pub fn markdown(answers: &Answered<'_>, measured: &Measured) -> String {
    let mut text = String::from("| # | statement | holds | measured | evidence |\n|---|---|---|---|---|\n");
    for (question, answer) in answers {
        let depends = Some(dependence(answer)).filter(|words| !words.is_empty());
        let said = [Some(answer.text.clone()), depends.map(|words| format!("({words})"))];
        let said: Vec<String> = said.into_iter().flatten().collect();
        let cells = [
            question.name(),
            question.statement.to_owned(),
            answer.holds.to_string(),
            said.join(" "),
            in_short(question, measured),
        ];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// For machines: the answers, and all that was measured for them.
pub fn json(answers: &Answered<'_>, measured: &Measured, qemu: &str, firmware: &str) -> Value {
    let answer = |(question, answer): &(&Question, Answer)| {
        let varied = answer.varied.iter().map(|varied| (varied.what.to_owned(), json!(varied.matters)));
        json!({
            "question": question.name(), "statement": question.statement, "holds": answer.holds.word(),
            "text": answer.text, "depends_on": varied.collect::<serde_json::Map<_, _>>(),
            "evidence": evidence(question, measured),
        })
    };
    let race = |race: &crate::race::lab::Outcome| {
        json!({
            "name": race.scenario.name(), "verdict": race.verdict.word(), "summary": race.summary,
            "notable": race.notable().iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    let script = |(name, played): (&&str, &super::bench::Played)| {
        let ended = played
            .ended
            .as_ref()
            .map(|(verdict, words)| json!({ "verdict": verdict.word(), "words": words }));
        let seconds = played.took.as_secs_f64();
        ((*name).to_owned(), json!({ "facts": played.facts.json(), "ended": ended, "seconds": seconds }))
    };
    json!({
        "qemu": qemu, "firmware": firmware,
        "answers": answers.iter().map(answer).collect::<Vec<_>>(),
        "races": measured.races.iter().map(race).collect::<Vec<_>>(),
        "experiments": measured.played.iter().map(script).collect::<serde_json::Map<_, _>>(),
    })
}

/// What a question is about, and what is done for it.
pub fn explain(question: &Question) -> String {
    let mut text =
        format!("{}: {}\n\nTo be shown: {}.\n", question.name(), question.statement, question.shows);
    for script in question.scripts {
        let _ = write!(text, "\n{}: {}\n  boot arguments: {}\n", script.name, script.story, script.append);
    }
    for races in question.races {
        let kinds: Vec<&str> = races.families.iter().map(|family: &Family| family.word()).collect();
        let actions: Vec<&str> = races.actions.iter().map(|action| action.word()).collect();
        let windows: Vec<&str> = races.windows.iter().map(|window| window.word()).collect();
        let _ = write!(
            text,
            "\n  paprika race {} --action {} --window {}\n",
            kinds.join(" "),
            actions.join(","),
            windows.join(",")
        );
    }
    text
}
