//! Questions about resets, and about what connectors read against what the tree says.

use super::{count, each};
use crate::answers::facts::Facts;
use crate::answers::scripts::{CORE_RESET, QUEUE_RESET, READINGS};
use crate::answers::tally::{Tally, list};
use crate::answers::{Answer, Holds, Measured, Question, Races};
use crate::device::Family::{self, Cpu, Memory};
use crate::race::action::Action::{Plug, PlugUnplug, Unplug};
use crate::race::window::Window::{AfterCas, BeforeCas, BeforeReset};

/// The DIMMs of the readings, and what they are called.
const DIMMS: [(&str, &str); 4] = [
    ("cold", "there from the start"),
    ("early", "plugged before CAS"),
    ("between", "plugged after CAS"),
    ("late", "plugged with the handler armed"),
];

pub(super) const ALL: &[Question] = &[
    Question {
        number: 6,
        statement: "After a reset the guest finds in its tree the CPU that was plugged before it, and can start it",
        shows: "a CPU is plugged, then the machine is reset",
        races: &[],
        scripts: &[&CORE_RESET],
        answer: core,
    },
    Question {
        number: 8,
        statement: "The guest uses memory whose event is still in the queue",
        shows: "LMBs that the tree marks assigned while their connector is unusable or an event for them is queued",
        races: &[],
        scripts: &[&READINGS],
        answer: used_early,
    },
    Question {
        number: 9,
        statement: "Cold-plugged LMBs are usable and unisolated; hot-plugged ones start unusable and isolated",
        shows: "what the connector reads for an LMB of every window, against what the tree says",
        races: &[],
        scripts: &[&READINGS],
        answer: readings,
    },
    Question {
        number: 10,
        statement: "Plugged before a reset: the reset drops the event and leaves the connector unusable and isolated",
        shows: "as said, for every kind",
        races: &[],
        scripts: &[&QUEUE_RESET],
        answer: left_unusable,
    },
    Question {
        number: 11,
        statement: "Whatever was in flight, after a reset every connector reads cold-plugged",
        shows: "every connector reads cold-plugged after a reset, and the queue is empty",
        races: &[Races { families: &[Memory, Cpu], actions: &[Plug, Unplug], windows: &[BeforeReset] }],
        scripts: &[&QUEUE_RESET],
        answer: cold,
    },
    Question {
        number: 12,
        statement: "Plugged before CAS: the tree marks the LMB assigned, and the connector is not",
        shows: "as said; and what the late event then does",
        races: &[],
        scripts: &[&READINGS],
        answer: half_assigned,
    },
    Question {
        number: 16,
        statement: "Plan (b): CAS hands it out as cold-plugged, moves the connector, and drops the queued event",
        shows: "as said, with a later unplug in the queue",
        races: &[
            Races { families: &[Memory], actions: &[Unplug], windows: &[AfterCas] },
            Races { families: &[Memory], actions: &[PlugUnplug], windows: &[BeforeCas] },
        ],
        scripts: &[&READINGS],
        answer: plan_b,
    },
    Question {
        number: 24,
        statement: "Events that survive a reset are replayed to the next boot",
        shows: "a queue that is not empty at a reset",
        races: &[],
        scripts: &[&QUEUE_RESET],
        answer: replayed,
    },
];

fn of<'f>(facts: &'f Facts, id: &str, what: &str) -> Option<&'f str> {
    facts.text(&format!("{id}: {what}"))
}

/// Whether the sensor read that the connector is the guest's.
fn is_present(facts: &Facts, id: &str) -> Option<bool> {
    Some(of(facts, id, "sense")?.starts_with("present"))
}

fn core(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&CORE_RESET)?;
    let (told, became) = (of(facts, "core", "told")?, of(facts, "core", "became")?);
    let ran = facts.get("threads that ran after the reset")?.as_array()?.len();
    let text = format!(
        "After the reset the core was told by {told} and {became}; {} of it ran.",
        count(ran as u64, "thread")
    );
    Some(Answer::new(Holds::of(told == "tree" && ran > 0), text))
}

fn used_early(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&READINGS)?;
    let queued = facts.number("events queued behind CAS")?;
    let sense = of(facts, "early", "sense")?;
    let (told, present) = (of(facts, "early", "told")?, is_present(facts, "early")?);
    let text = format!(
        "A DIMM plugged before CAS is told by {told}; its connector reads {sense} at first touch, and {} for it {} queued \
         behind CAS.",
        count(queued, "event"),
        if queued == 1 { "is" } else { "are" }
    );
    Some(Answer::new(Holds::of(told.contains("tree") && (!present || queued > 0)), text))
}

fn readings(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&READINGS)?;
    let part = |(id, name): (&str, &str)| {
        let calls = facts.list(&format!("{id}: calls"))?.len();
        let calls = count(calls as u64, "call");
        Some(format!(
            "{name}: {}, told by {}, {calls} to take it",
            of(facts, id, "sense")?,
            of(facts, id, "told")?
        ))
    };
    let parts: Option<Vec<String>> = DIMMS.into_iter().map(part).collect();
    let is_so = is_present(facts, "cold")? && !is_present(facts, "late")? && !is_present(facts, "between")?;
    Some(Answer::new(Holds::of(is_so), format!("What a block's sensor reads first: {}.", parts?.join("; "))))
}

/// The kinds that were plugged when the machine was reset.
fn plugged(facts: &Facts) -> impl Iterator<Item = &'static str> {
    Family::ALL.iter().map(|family| family.word()).filter(|id| of(facts, id, "told").is_some())
}

fn left_unusable(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&QUEUE_RESET)?;
    let after = facts.number("events after the reset")?;
    let (mut parts, mut unusable) = (Vec::new(), Vec::new());
    for id in plugged(facts) {
        unusable.push(!is_present(facts, id)?);
        parts.push(format!(
            "{id} reads {} and is told by {}",
            of(facts, id, "sense")?,
            of(facts, id, "told")?
        ));
    }
    let text = format!("{} were heard after the reset; {}.", count(after, "event"), list(&parts));
    let holds = each(unusable);
    Some(Answer::new(if after > 0 { Holds::No } else { holds }, text))
}

fn cold(measured: &Measured, question: &Question) -> Option<Answer> {
    let facts = measured.facts(&QUEUE_RESET)?;
    let after = facts.number("events after the reset")?;
    let races = measured.races_of(question);
    let properties = ["the queue is empty after a reset", "reads cold-plugged after a reset"];
    let tally = Tally::of(&races, &properties);
    let others: Vec<&str> = plugged(facts)
        .filter(|id| is_present(facts, id) != Some(true) || of(facts, id, "told") != Some("tree"))
        .collect();
    let asked = of(facts, "asked", "asked")?;
    let mut text = format!(
        "With an event of each kind queued, {} followed the reset, and {}; a request that the guest had ignored ended as \
         `{asked}`. It held in {} races with a reset.",
        count(after, "event"),
        match others.is_empty() {
            true => "everything read present and was told by the tree".to_owned(),
            false => format!("{} did not read as cold-plugged", list(&others)),
        },
        tally.ratio()
    );
    if !tally.broken.is_empty() {
        text += &format!(" Not in {}.", tally.exceptions());
    }
    if !tally.silence().is_empty() {
        text += &format!(" Not told by {}.", tally.silence());
    }
    Some(Answer::new(Holds::of(after == 0 && others.is_empty() && tally.broken.is_empty()), text))
}

fn half_assigned(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&READINGS)?;
    let queued = facts.number("events queued behind CAS")?;
    let (told, sense) = (of(facts, "early", "told")?, of(facts, "early", "sense")?);
    let assigned = told.contains("tree");
    let late = match queued {
        0 => "There is no late event".to_owned(),
        some => {
            format!("{} late, after which it was {}", count(some, "event"), of(facts, "early", "became")?)
        }
    };
    let text = format!(
        "The tree marks it {}, and the connector reads {sense}. {late}.",
        if assigned { "assigned" } else { "not assigned" }
    );
    Some(Answer::new(Holds::of(assigned && !is_present(facts, "early")?), text))
}

fn plan_b(measured: &Measured, question: &Question) -> Option<Answer> {
    let facts = measured.facts(&READINGS)?;
    let queued = facts.number("events queued behind CAS")?;
    let calls = facts.list("early: calls")?;
    let told = of(facts, "early", "told")?;
    let races = measured.races_of(question);
    let tally = Tally::of(&races, &["a request to unplug ends", "the witnesses agree"]);
    let text = format!(
        "Told by {told}, it needs {} to be the guest's own, and {} behind CAS; a request to unplug that follows ends in {} \
         races.",
        count(calls.len() as u64, "call"),
        match queued {
            0 => "its event is dropped".to_owned(),
            some => format!("{} remain", count(some, "event")),
        },
        tally.ratio()
    );
    let is_so = told == "tree" && is_present(facts, "early")? && queued == 0 && calls.is_empty();
    Some(Answer::new(Holds::of(is_so), text))
}

fn replayed(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&QUEUE_RESET)?;
    let after = facts.number("events after the reset")?;
    let queued = facts.number("plugged")?;
    let heard = facts.number("heard before the reset")?;
    let text = format!(
        "{} came while the sources were masked, {} heard before the reset, and {} after it.",
        count(queued, "device"),
        count(heard, "event"),
        count(after, "event")
    );
    Some(Answer::new(Holds::of(after > 0), text))
}
