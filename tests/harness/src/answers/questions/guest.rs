//! Questions about guests that behave in other ways, and about every call from every state.

use super::{count, each};
use crate::answers::facts::Facts;
use crate::answers::scripts::{
    MULTIFUNCTION, OWNER, REFUSE_CPU, REFUSE_MEMORY, REFUSE_PCI, REFUSE_PHB, TRANSITIONS, TWICE,
};
use crate::answers::tally::list;
use crate::answers::{Answer, Holds, Measured, Question};

pub(super) const ALL: &[Question] = &[
    Question {
        number: 13,
        statement: "A guest that bails out, as it has the LMB already, makes a later unplug impossible",
        shows: "a guest that refuses what it already owns: is the later unplug still possible",
        races: &[],
        scripts: &[&OWNER],
        answer: owner,
    },
    Question {
        number: 21,
        statement: "The possible state transitions are those of the PAPR hotplug model",
        shows: "every legal and illegal call from every state",
        races: &[],
        scripts: &[&TRANSITIONS],
        answer: transitions,
    },
    Question {
        number: 27,
        statement: "A guest can refuse an unplug: by un-isolating again (CPU, PCI), by configuring again (LMB)",
        shows: "refusal per kind, the QMP event that tells, and a retry that works",
        races: &[],
        scripts: &[&REFUSE_MEMORY, &REFUSE_CPU, &REFUSE_PCI, &REFUSE_PHB],
        answer: refusals,
    },
    Question {
        number: 29,
        statement: "configure-connector may be asked for again",
        shows: "an LMB, a core and a function that are configured once more",
        races: &[],
        scripts: &[&TWICE],
        answer: twice,
    },
    Question {
        number: 30,
        statement: "Multifunction PCI: function 0 first when they come, last when they go",
        shows: "functions of one slot come and go",
        races: &[],
        scripts: &[&MULTIFUNCTION],
        answer: multifunction,
    },
];

fn of<'f>(facts: &'f Facts, id: &str, what: &str) -> Option<&'f str> {
    facts.text(&format!("{id}: {what}"))
}

fn owner(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&OWNER)?;
    let (early, first) = (of(facts, "early", "asked")?, of(facts, "early", "first asked")?);
    let late = of(facts, "late", "asked")?;
    let text = format!(
        "A DIMM that the tree told of was {} by the guest, which refused to give it back at first: device_del ended as \
         `{first}`, asked again as `{early}`. One that an event told of was {}: device_del ended as `{late}`.",
        of(facts, "early", "became")?,
        of(facts, "late", "became")?,
    );
    Some(Answer::new(each([early != "deleted", late != "deleted"]), text))
}

fn transitions(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&TRANSITIONS)?;
    let (calls, wrong) = (facts.number("calls")?, facts.list("wrong")?);
    if calls == 0 {
        return None;
    }
    let mut text = format!(
        "{calls} calls from every state of {}: {} move the connector, {} are refused, and {}",
        list(&facts.list("kinds")?),
        facts.number("moves")?,
        facts.number("refused")?,
        match wrong.as_slice() {
            [] => "all answers are as they should be".to_owned(),
            [first, ..] =>
                format!("{} not as they should be, as {first}", count(wrong.len() as u64, "answer")),
        }
    );
    if let Some(missing) = facts.number("missing").filter(|missing| *missing > 0) {
        text += &format!("; {missing} could not be measured");
    }
    Some(Answer::new(Holds::of(wrong.is_empty()), text + ". `paprika transitions` draws them."))
}

fn refusals(measured: &Measured, _: &Question) -> Option<Answer> {
    let kinds =
        [("memory", &REFUSE_MEMORY), ("cpu", &REFUSE_CPU), ("pci", &REFUSE_PCI), ("phb", &REFUSE_PHB)];
    let (mut parts, mut can, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, script) in kinds {
        let played = measured.played.get(script.name)?;
        let facts = &played.facts;
        if let Some((verdict, words)) = &played.ended {
            parts.push(format!("{kind} ended early: {words}"));
            ends.push(*verdict);
        }
        for (policy, way) in [("refuse", "by un-isolating"), ("refuse-by-configuring", "by configuring")] {
            let Some(first) = of(facts, policy, "first asked") else { continue };
            let event =
                of(facts, policy, "first event").filter(|event| !event.is_empty()).unwrap_or("no event");
            let retry = of(facts, policy, "asked").unwrap_or("nothing");
            can.push(first == "refused" && retry == "deleted");
            let words = of(facts, policy, "refused").map(|words| format!(" ({words})")).unwrap_or_default();
            parts.push(format!("{kind} {way}: {event}, asked again: {retry}{words}"));
        }
    }
    let holds = Holds::of_crash(ends).unwrap_or_else(|| each(can));
    Some(Answer::new(holds, format!("{}.", parts.join("; "))))
}

fn twice(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&TWICE)?;
    let (mut parts, mut may) = (Vec::new(), Vec::new());
    for kind in ["memory", "cpu", "pci"] {
        let answers = facts.list(&format!("{kind}: configured"))?;
        may.push(answers.len() > 1 && answers.iter().all(|answer| answer.starts_with("success")));
        parts.push(format!("{kind} answers {}, and was {}", list(&answers), of(facts, kind, "became")?));
    }
    Some(Answer::new(each(may), format!("Asked twice, {}.", parts.join("; "))))
}

fn multifunction(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&MULTIFUNCTION)?;
    let before = facts.number("events before function 0")?;
    let waiting = facts.number("events after function 1 was asked for")?;
    let (added, removed) = (facts.list("added")?, facts.list("removed")?);
    let gone = ["f0", "f1", "f2"].map(|id| of(facts, id, "asked").unwrap_or("nothing"));
    let text = format!(
        "Of functions 2 and 1 alone the guest hears {}; with function 0 of {}. When function 1 is asked for it hears {}, \
         when function 0 is, of {}; device_del ended as {}.",
        count(before, "event"),
        list(&added),
        count(waiting, "event"),
        list(&removed),
        list(&gone.map(|word| format!("`{word}`")))
    );
    let is_so = before == 0 && waiting == 0 && added.first() == Some(&"f0") && removed.last() == Some(&"f0");
    Some(Answer::new(Holds::of(is_so), text))
}
