//! Questions that the races answer: what reaches the guest, and what becomes of requests to unplug.

use super::count;
use crate::answers::scripts::{EARLY, GAP, READINGS};
use crate::answers::tally::{Tally, came_by, crashes, list, with_class};
use crate::answers::{Answer, Holds, Measured, Question, Races};
use crate::device::Family::{Cpu, Memory, Pci, Phb, Pmem};
use crate::race::action::Action::{Plug, PlugUnplug, Unplug, UnplugTwice};
use crate::race::lab::Outcome;
use crate::race::window::Window::{
    AfterCas, AfterReset, BeforeCas, BeforeReset, Draining, Handler, Masked, Prelaunch,
};
use crate::verdict::Class;

const ONCE: &str = "reaches the guest exactly once";
const ENDS: &str = "a request to unplug ends";
const AGAIN: &str = "can be plugged again";
/// What says that all is in order behind a request to unplug.
const COHERENT: &[&str] = &[ENDS, AGAIN, "the witnesses agree", "QMP's lists agree"];

/// Plugs of every kind, at the places that matter.
const PLUGS: &[Races] = &[
    Races {
        families: &[Memory, Cpu, Pci, Phb, Pmem],
        actions: &[Plug],
        windows: &[BeforeCas, AfterCas, BeforeReset],
    },
    Races {
        families: &[Memory],
        actions: &[Plug],
        windows: &[Prelaunch, Masked, Handler, Draining, AfterReset],
    },
];
const EARLY_PLUGS: &[Races] =
    &[Races { families: &[Memory, Cpu, Pci, Phb, Pmem], actions: &[Plug], windows: &[BeforeCas] }];
const THERE_AND_BACK: &[Races] = &[
    Races {
        families: &[Memory],
        actions: &[PlugUnplug],
        windows: &[Prelaunch, BeforeCas, AfterCas, Masked, Handler],
    },
    Races { families: &[Cpu], actions: &[PlugUnplug], windows: &[BeforeCas, AfterCas] },
];
const MEMORY_BACK: &[Races] = &[
    Races {
        families: &[Memory],
        actions: &[PlugUnplug],
        windows: &[Prelaunch, BeforeCas, AfterCas, Masked, Handler],
    },
    Races {
        families: &[Memory],
        actions: &[UnplugTwice],
        windows: &[BeforeCas, AfterCas, Handler, BeforeReset],
    },
];
const EARLY_UNPLUGS: &[Races] =
    &[Races { families: &[Memory, Cpu, Pci, Phb], actions: &[Unplug], windows: &[BeforeCas, AfterCas] }];
const TWICE: &[Races] = &[
    Races {
        families: &[Memory],
        actions: &[UnplugTwice],
        windows: &[BeforeCas, AfterCas, Handler, BeforeReset],
    },
    Races { families: &[Cpu, Pci, Phb], actions: &[UnplugTwice], windows: &[AfterCas, Handler] },
];

pub(super) const ALL: &[Question] = &[
    Question {
        number: 1,
        statement: "What is plugged before the OS runs is told by an event that is lost and cannot be recovered",
        shows: "for each kind and window: is the event in the queue, did its interrupt come, did the guest learn of the device",
        races: PLUGS,
        scripts: &[&READINGS],
        answer: lost,
    },
    Question {
        number: 2,
        statement: "An unplug cannot bring QEMU back into a coherent state",
        shows: "plug and unplug in a window: it ends, and QMP's lists and the connectors agree with it",
        races: THERE_AND_BACK,
        scripts: &[],
        answer: incoherent,
    },
    Question {
        number: 7,
        statement: "Memory that is plugged and unplugged stays listed, cannot be plugged again, and crashes QEMU when asked for twice",
        shows: "plug, unplug, plug again, unplug twice, in windows: QEMU lives and the lists agree",
        races: MEMORY_BACK,
        scripts: &[],
        answer: incoherent,
    },
    Question {
        number: 14,
        statement: "Plan (a): what is plugged before CAS is kept out of its tree, and the queued event delivers it",
        shows: "which plan this QEMU follows, per kind",
        races: EARLY_PLUGS,
        scripts: &[],
        answer: plan,
    },
    Question {
        number: 17,
        statement: "Events are dropped, and it is not only that other state is wrong when the guest gets to them",
        shows: "a verdict that tells lost interrupt, lost event and wrong state apart",
        races: PLUGS,
        scripts: &[&EARLY, &GAP],
        answer: dropped,
    },
    Question {
        number: 22,
        statement: "Each device appears exactly once: in the tree or in an event, never in both or in neither",
        shows: "the exactly-once property, for every kind and window",
        races: PLUGS,
        scripts: &[],
        answer: once,
    },
    Question {
        number: 26,
        statement: "An unplug before the handler is armed is always accepted, or ignored until an unrelated pulse",
        shows: "unplug in the windows before the handler",
        races: EARLY_UNPLUGS,
        scripts: &[],
        answer: early_unplug,
    },
    Question {
        number: 28,
        statement: "A second device_del during an unplug asserts or hangs",
        shows: "as said, in windows",
        races: TWICE,
        scripts: &[],
        answer: twice,
    },
];

/// The sentence that tells of races that do not tell.
fn unheard(tally: &Tally<'_>) -> String {
    match tally.silence().as_str() {
        "" => String::new(),
        races => format!(" Not told by {races}."),
    }
}

fn lost(measured: &Measured, question: &Question) -> Option<Answer> {
    let races = measured.races_of(question);
    let tally = Tally::of(&races, &[ONCE]);
    let queued = measured.facts(&READINGS)?.number("events queued behind CAS")?;
    let (tree, event) = (came_by(&races, "tree"), came_by(&races, "event"));
    (tally.count() > 0).then(|| {
        let fate = if tally.broken.is_empty() {
            format!("No device was lost in {} races", tally.count())
        } else {
            format!("Devices did not reach the guest as they should in {}", tally.exceptions())
        };
        let behind = match queued {
            0 => "the event of what came before CAS is gone behind it, and the tree stands in for it"
                .to_owned(),
            some => format!("{} of what came before CAS wait behind it", count(some, "event")),
        };
        let text = format!(
            "{fate}: {tree} were told of by the tree, {event} by an event; {behind}.{}",
            unheard(&tally)
        );
        Answer::new(Holds::of(with_class(&races, Class::LostEvent) > 0), text)
    })
}

fn incoherent(measured: &Measured, question: &Question) -> Option<Answer> {
    let races = measured.races_of(question);
    let tally = Tally::of(&races, COHERENT);
    let crashed = crashes(&races);
    if tally.count() == 0 && crashed.is_empty() {
        return None;
    }
    let mut text = format!(
        "In {} races every request ended, the witnesses and QMP's lists agree, and what went could be plugged again",
        tally.ratio()
    );
    if !tally.broken.is_empty() {
        text += &format!("; not in {}", tally.exceptions());
    }
    text += &match crashed.is_empty() {
        true => ". QEMU lived through all of them.".to_owned(),
        false => format!(". QEMU crashed in {}.", list(&crashed)),
    };
    let holds = match (tally.held.is_empty(), tally.broken.is_empty() && crashed.is_empty()) {
        (_, true) => Holds::No,
        (true, false) => Holds::Yes,
        (false, false) => Holds::Depends,
    };
    Some(Answer::new(holds, text + &unheard(&tally)))
}

/// The kinds of races that came this way.
fn kinds(races: &[&Outcome], way: &str) -> Vec<&'static str> {
    let came = races.iter().filter(|race| came_by(&[**race], way) == 1);
    came.map(|race| race.scenario.family.word()).collect()
}

fn plan(measured: &Measured, question: &Question) -> Option<Answer> {
    let races = measured.races_of(question);
    let (by_tree, by_event) = (kinds(&races, "tree"), kinds(&races, "event"));
    let others: Vec<String> = races
        .iter()
        .filter(|race| came_by(&[**race], "tree") + came_by(&[**race], "event") == 0)
        .map(|race| format!("{} is {}", race.scenario.family, race.summary))
        .collect();
    let holds = match (by_tree.is_empty(), by_event.is_empty()) {
        (true, true) if others.is_empty() => return None,
        (_, true) => Holds::No,
        (true, false) => Holds::Yes,
        (false, false) => Holds::Depends,
    };
    let mut parts = Vec::new();
    if !by_tree.is_empty() {
        parts.push(format!("plan (b) for {}: the tree that CAS leaves tells of it", list(&by_tree)));
    }
    if !by_event.is_empty() {
        parts.push(format!("plan (a) for {}: an event tells of it", list(&by_event)));
    }
    parts.extend(others);
    Some(Answer::new(holds, format!("This QEMU follows {}.", parts.join("; "))))
}

fn dropped(measured: &Measured, question: &Question) -> Option<Answer> {
    let races = measured.races_of(question);
    let (early, gap) = (measured.facts(&EARLY)?, measured.facts(&GAP)?);
    let found = |facts: &crate::answers::facts::Facts| {
        Some(facts.number("events by check-exception")? + facts.number("events by event-scan")?)
    };
    let (early, gap) = (found(early)?, found(gap)?);
    let [interrupts, events, state] =
        [Class::LostInterrupt, Class::LostEvent, Class::WrongState].map(|class| with_class(&races, class));
    let text = format!(
        "Of two devices plugged before CAS the guest found {}, of two plugged after it {}. In {} races there were: lost \
         interrupt {interrupts}, lost event {events}, wrong state {state}.",
        count(early, "event"),
        count(gap, "event"),
        races.len(),
    );
    Some(Answer::new(Holds::of(early == 0), text))
}

fn once(measured: &Measured, question: &Question) -> Option<Answer> {
    let tally = Tally::of(&measured.races_of(question), &[ONCE]);
    if tally.count() == 0 {
        return None;
    }
    let holds = match (tally.held.is_empty(), tally.broken.is_empty()) {
        (_, true) => Holds::Yes,
        (true, false) => Holds::No,
        (false, false) => Holds::Depends,
    };
    let mut text = format!("In {} races each device reached the guest exactly once", tally.ratio());
    if !tally.broken.is_empty() {
        text += &format!("; not in {}", tally.exceptions());
    }
    Some(Answer::new(holds, format!("{text}.{}", unheard(&tally))))
}

fn early_unplug(measured: &Measured, question: &Question) -> Option<Answer> {
    let races = measured.races_of(question);
    let ends = Tally::of(&races, &[ENDS]);
    let woken = Tally::of(&races, &["is woken for"]);
    let crashed = crashes(&races);
    if ends.count() == 0 && crashed.is_empty() {
        return None;
    }
    let gone = races.iter().filter(|race| race.summary.ends_with("gone")).count();
    let mut text = format!("{} requests ended, {gone} of them with the device gone", ends.ratio());
    if !ends.broken.is_empty() {
        text += &format!("; not {}", ends.exceptions());
    }
    text += &match woken.broken.is_empty() {
        true => ". None waited for an unrelated interrupt.".to_owned(),
        false => format!(". An unrelated interrupt had to come in {}.", woken.exceptions()),
    };
    if !crashed.is_empty() {
        text += &format!(" QEMU crashed in {}.", list(&crashed));
    }
    let is_so = ends.broken.is_empty() && crashed.is_empty();
    Some(Answer::new(if is_so { Holds::Yes } else { Holds::Depends }, text + &unheard(&ends)))
}

fn twice(measured: &Measured, question: &Question) -> Option<Answer> {
    let races = measured.races_of(question);
    let crashed = crashes(&races);
    let ends = Tally::of(&races, &[ENDS]);
    if ends.count() == 0 && crashed.is_empty() {
        return None;
    }
    let mut text = match crashed.is_empty() {
        true => format!("QEMU lived through all {} races", races.len()),
        false => format!("QEMU crashed in {} of {} races: {}", crashed.len(), races.len(), list(&crashed)),
    };
    text += &format!("; both requests ended in {} of them", ends.ratio());
    if !ends.broken.is_empty() {
        text += &format!(", not in {}", ends.exceptions());
    }
    let holds = match (crashed.len() + ends.broken.len(), ends.held.is_empty()) {
        (0, _) => Holds::No,
        (_, true) => Holds::Yes,
        (_, false) => Holds::Depends,
    };
    Some(Answer::new(holds, format!("{text}.{}", unheard(&ends))))
}
