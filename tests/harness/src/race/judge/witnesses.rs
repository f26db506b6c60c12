//! Property 3: the witnesses agree on who has a device, each with what it can see.

use super::{Case, Class, Course, DrcIndex, Finding, Record, Request, Runner, Settled, Verdict};
use crate::race::manner::Manner;
use crate::trace::{Held, Life};
use paprika::log::Outcome;
use paprika::papr::indicator::EntitySense;

/// What one witness says of a device on a connector.
struct Word {
    who: &'static str,
    says: &'static str,
    /// Whether that fits to a device that the guest has.
    taken: bool,
    /// Whether that fits to a device that is gone.
    gone: bool,
    /// Whether that fits to a device that the guest has left half way, as it was told to.
    half: bool,
}

impl Word {
    const fn new(who: &'static str, says: &'static str, taken: bool, gone: bool) -> Self {
        Self { who, says, taken, gone, half: false }
    }

    /// The same, where it fits to a device half way, too.
    const fn or_half(self) -> Self {
        Self { half: true, ..self }
    }
}

/// The guest's log, its sensor, QEMU's object tree and QEMU's trace on one connector and the device that was plugged there
/// last. It is the guest's, or it is gone: what QEMU has and the guest has not is in nobody's hands.
pub(super) fn agree(case: &Case<'_>, runner: &Runner, connector: DrcIndex, settled: &Settled) -> Finding {
    const PROPERTY: &str = "the witnesses agree";
    let words = words(case, runner, connector, settled);
    let all = |is: fn(&Word) -> bool| words.iter().all(is);
    if all(|word| word.taken) || all(|word| word.gone) || all(|word| word.half) {
        return Finding::pass(PROPERTY, runner.id);
    }
    let guest_alone = words.iter().any(|word| word.taken && !word.gone && word.who == GUEST)
        && words.iter().any(|word| word.gone && word.who == QMP);
    let class = if guest_alone { Class::Ghost } else { Class::WrongState };
    let words: Vec<String> = words.iter().map(|word| format!("{} {}", word.who, word.says)).collect();
    let detail = format!("{connector}: {}", words.join(", "));
    Finding::broken(PROPERTY, runner.id, class, detail)
}

const GUEST: &str = "the guest";
const QMP: &str = "QMP";

fn words(case: &Case<'_>, runner: &Runner, connector: DrcIndex, settled: &Settled) -> Vec<Word> {
    let mut words = vec![guest(case, runner, connector, settled)];
    words.extend(object_tree(runner, connector, settled));
    words.extend(sensor(connector, settled));
    words.extend(trace(connector, settled));
    words
}

fn guest(case: &Case<'_>, runner: &Runner, connector: DrcIndex, settled: &Settled) -> Word {
    let said = case.transcript.entries_between(case.from(runner), Some(settled.at));
    let ends = said.filter_map(|entry| match entry.record {
        Record::Done { drc, request, outcome, .. } if drc == connector => Some((request, outcome)),
        _ => None,
    });
    let manner = case.course.manner;
    // A request that was ignored has changed nothing, but where the guest was told to leave a new device alone.
    let counts = |(request, outcome): &(Request, Outcome)| {
        *outcome != Outcome::Ignored || (*request == Request::Add && manner == Manner::AddIgnore)
    };
    match ends.filter(counts).last() {
        Some((_, Outcome::Taken | Outcome::Kept)) => Word::new(GUEST, "has it", true, false),
        Some((_, Outcome::Stuck | Outcome::Ignored)) if manner != Manner::Good => {
            Word::new(GUEST, "has it half way, as it was told", false, true).or_half()
        }
        Some(_) if manner == Manner::AddUnasked => {
            Word::new(GUEST, "has given it back unasked", false, true).or_half()
        }
        _ => Word::new(GUEST, "has it not", false, true),
    }
}

fn object_tree(runner: &Runner, connector: DrcIndex, settled: &Settled) -> Option<Word> {
    let held =
        settled.holders.as_ref().map(|holders| holders.get(&connector).is_some_and(|id| id == runner.id));
    let present = settled.present.as_ref().map(|present| present.contains(runner.id));
    // Where one of the two cannot be asked, the other speaks for both.
    Some(match (present.or(held)?, held.or(present)?) {
        (true, true) => Word::new(QMP, "has it on this connector", true, false).or_half(),
        (false, false) => Word::new(QMP, "has it not", false, true),
        (true, false) => Word::new(QMP, "has it, but not on this connector", false, false),
        (false, true) => Word::new(QMP, "has it on this connector and nowhere else", false, false),
    })
}

fn sensor(connector: DrcIndex, settled: &Settled) -> Option<Word> {
    let sense = settled.senses.as_ref()?.get(&connector).copied();
    Some(match sense {
        Some(EntitySense::PRESENT) => Word::new("the sensor", "reads present", true, false).or_half(),
        None | Some(EntitySense::EMPTY | EntitySense::UNUSABLE) => {
            Word::new("the sensor", "reads nothing there", false, true).or_half()
        }
        Some(_) => Word::new("the sensor", "reads a value that nobody knows", false, false),
    })
}

fn trace(connector: DrcIndex, settled: &Settled) -> Option<Word> {
    Some(match Life::of(settled.trace.as_deref()?, connector)?.holds {
        Held::Configured => Word::new("the trace", "has it configured", true, false).or_half(),
        Held::Attached => Word::new("the trace", "has it attached", false, false).or_half(),
        Held::Nothing => Word::new("the trace", "has it gone", false, true),
    })
}

/// QMP's lists name what its object tree has; nothing for a kind of device that has no list, or where one cannot be asked.
pub(super) fn lists_agree(runner: &Runner, settled: &Settled) -> Option<Finding> {
    const PROPERTY: &str = "QMP's lists agree";
    let command = runner.kind.list()?;
    let (present, listed) = (settled.present.as_ref()?, settled.lists.get(command)?);
    let (class, detail) = match (present.contains(runner.id), listed.contains(runner.id)) {
        (true, false) => (Class::WrongState, format!("QMP's object tree has it, {command} does not name it")),
        (false, true) => (Class::Ghost, format!("QMP's object tree has it not, {command} still names it")),
        _ => return Some(Finding::pass(PROPERTY, runner.id)),
    };
    Some(Finding::broken(PROPERTY, runner.id, class, detail))
}

/// A device that QEMU took hangs on a connector.
pub(super) fn hangs(runner: &Runner, settled: &Settled) -> Option<Finding> {
    const PROPERTY: &str = "hangs on a connector";
    if runner.refused.is_some() || !runner.connectors.is_empty() {
        return None;
    }
    Some(if settled.holders.is_none() && settled.trace.is_none() {
        let detail = "neither QMP nor the trace of this QEMU tells which connector it hangs on";
        Finding::other(PROPERTY, runner.id, Verdict::Skip, detail)
    } else {
        Finding::broken(PROPERTY, runner.id, Class::WrongState, "QMP took it, and no connector holds it")
    })
}

/// The witnesses that say nothing. Nothing is concluded from that, but it is to be known.
pub(super) fn silent(course: &Course, settled: &Settled) -> Vec<Finding> {
    let list = course.runners.iter().filter_map(|runner| runner.kind.list()).next();
    let unlisted = list.filter(|list| !settled.lists.contains_key(list));
    let silent = [
        (settled.trace.is_none(), "the trace", "this QEMU writes none, or it is cut off"),
        (settled.senses.is_none(), "the sensor", "the guest did not answer"),
        (settled.present.is_none(), "QMP", "this QEMU does not list its objects"),
        (settled.holders.is_none(), "QMP", "this QEMU does not tell what a connector holds"),
    ];
    let silent = silent.into_iter().filter(|(is_silent, ..)| *is_silent);
    let finding = |who: &str, why: &str| Finding {
        detail: format!("{who} is silent: {why}"),
        ..Finding::pass("bears witness", who)
    };
    silent
        .map(|(_, who, why)| finding(who, why))
        .chain(unlisted.map(|list| finding("QMP", &format!("this QEMU has no {list}"))))
        .collect()
}
