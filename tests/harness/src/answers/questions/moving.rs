//! Questions about a machine that moves into another QEMU.

use super::{count, each};
use crate::answers::scripts::{HALF_MOVED, OTHER_ORDER, SAME_ORDER};
use crate::answers::tally::{Tally, crashes, list};
use crate::answers::{Answer, Holds, Measured, Question, Races};
use crate::device::Family::{Cpu, Memory, Pci, Phb, Pmem};
use crate::race::action::Action::{Plug, PlugTwice, Unplug, UnplugRefused};
use crate::race::window::Window::Migrating;

/// What must hold of what was queued when the machine moved.
const COMES_OVER: &[&str] = &[
    "reaches the guest exactly once",
    "a request to unplug ends",
    "the witnesses agree",
    "a refusal is told",
];

/// Those of this file.
pub(super) const ALL: &[Question] = &[
    Question {
        number: 19,
        statement: "Events that are queued move with the machine",
        shows: "migrate with events queued, with an acquire half done, and finish on the other side",
        races: &[
            Races {
                families: &[Memory, Cpu, Pci, Phb, Pmem],
                actions: &[Plug, PlugTwice],
                windows: &[Migrating],
            },
            Races { families: &[Memory, Pci], actions: &[Unplug, UnplugRefused], windows: &[Migrating] },
        ],
        scripts: &[&HALF_MOVED],
        answer: queued,
    },
    Question {
        number: 20,
        statement: "DIMMs given on the destination's command line are mapped twice",
        shows: "migrate with hot-plugged DIMMs given on the destination's command line, in either order",
        races: &[],
        scripts: &[&SAME_ORDER, &OTHER_ORDER],
        answer: mapped,
    },
];

fn queued(measured: &Measured, question: &Question) -> Option<Answer> {
    let races = measured.races_of(question);
    let tally = Tally::of(&races, COMES_OVER);
    let crashed = crashes(&races);
    let half = measured.facts(&HALF_MOVED)?;
    let (became, asked) = (half.text("dimm: became")?, half.text("dimm: asked")?);
    if tally.count() == 0 {
        return None;
    }
    let mut text =
        format!("In {} races what was queued was told once, and ended, on the other side", tally.ratio());
    if !tally.broken.is_empty() {
        text += &format!("; not in {}", tally.exceptions());
    }
    if !crashed.is_empty() {
        text += &format!("; QEMU crashed in {}", list(&crashed));
    }
    text += &format!(". A DIMM whose acquire was half done was {became}; asked for, it ended as `{asked}`.");
    let well = tally.broken.is_empty() && crashed.is_empty() && became == "taken" && asked == "deleted";
    let holds = match (tally.held.is_empty(), well) {
        (true, _) => Holds::No,
        (false, true) => Holds::Yes,
        (false, false) => Holds::Depends,
    };
    Some(Answer::new(holds, text))
}

fn mapped(measured: &Measured, _: &Question) -> Option<Answer> {
    let (mut parts, mut twice) = (Vec::new(), Vec::new());
    for (order, script) in [("the same", &SAME_ORDER), ("the other", &OTHER_ORDER)] {
        let facts = measured.facts(script)?;
        let odd = facts.number("odd")?;
        let mut ends = Vec::new();
        for id in ["small", "large", "last"] {
            ends.push(format!("`{}`", facts.text(&format!("{id}: asked"))?));
        }
        let gone = ends.iter().all(|end| end == "`deleted`");
        twice.push(odd > 0 || !gone);
        parts.push(format!(
            "in {order} order the guest finds {} otherwise than before, and device_del of the three ends as {}",
            count(odd, "thing"),
            list(&ends)
        ));
    }
    Some(Answer::new(
        each(twice),
        format!("Three DIMMs on the destination's command line: {}.", parts.join("; ")),
    ))
}
