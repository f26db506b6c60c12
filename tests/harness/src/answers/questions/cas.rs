//! Questions about CAS: what it depends on, the gap behind it, and what becomes of interrupts.

use super::{count, each};
use crate::answers::facts::Facts;
use crate::answers::scripts::{
    ALL_OV6, CAS_RESET, CAS_RESET_VOF, CAS_TWICE, CLEARED, EARLY, GAP, MASKED, WITHOUT_HP_EVT, ZEROS,
};
use crate::answers::tally::list;
use crate::answers::{Answer, Holds, Measured, Question};

/// What a guest can see of a hypervisor that treats it in another way.
const SEEN: [&str; 5] = ["answers", "early: told", "late: told", "late: became", "late: asked"];

pub(super) const ALL: &[Question] = &[
    Question {
        number: 3,
        statement: "Option vector 6 is the flag that an OS has started",
        shows: "CAS with vector 6 absent, none, AIX, Linux, IBM i, unknown, too short, too long: does anything depend on it",
        races: &[],
        scripts: ALL_OV6,
        answer: vector6,
    },
    Question {
        number: 4,
        statement: "A guest that has done CAS cannot handle events yet",
        shows: "how wide the gap is, in time and in calls, and what is lost in it",
        races: &[],
        scripts: &[&GAP],
        answer: gap,
    },
    Question {
        number: 5,
        statement: "A CAS that needs a reboot leaves the flag set with no OS behind it",
        shows: "a CAS that makes the machine reset, and the state on the second boot",
        races: &[],
        scripts: &[&CAS_RESET, &CAS_RESET_VOF],
        answer: reset,
    },
    Question {
        number: 15,
        statement: "What was queued early needs an extra interrupt when the guest is ready",
        shows: "is the interrupt raised after CAS, when the handler is armed, by event-scan, or never",
        races: &[],
        scripts: &[&GAP, &EARLY],
        answer: pulse,
    },
    Question {
        number: 18,
        statement: "Interrupts that are pending before CAS are dropped by it",
        shows: "the interrupt controller just before and after CAS, and when the handler is armed",
        races: &[],
        scripts: &[&EARLY],
        answer: pending,
    },
    Question {
        number: 23,
        statement: "Several CAS calls without a reboot work",
        shows: "CAS twice, with a plug between",
        races: &[],
        scripts: &[&CAS_TWICE],
        answer: twice,
    },
    Question {
        number: 25,
        statement: "A CPU that comes before the handler is ignored, unless the guest scans for events",
        shows: "a CPU that comes while the sources are off, for a guest that calls event-scan and for one that does not",
        races: &[],
        scripts: &[&MASKED, &GAP],
        answer: ignored,
    },
    Question {
        number: 33,
        statement: "A guest that cleared all of vector 5 is treated as one that has not negotiated",
        shows: "plug and unplug with an absent vector 5, with one of zeros, and without the newer events only",
        races: &[],
        scripts: &[&CLEARED, &ZEROS, &WITHOUT_HP_EVT],
        answer: cleared,
    },
];

fn vector6(measured: &Measured, _: &Question) -> Option<Answer> {
    let first = measured.facts(ALL_OV6.first()?)?;
    let mut differing = Vec::new();
    for script in ALL_OV6 {
        let facts = measured.facts(script)?;
        let other = SEEN.iter().filter(|name| facts.get(name) != first.get(name));
        let other: Vec<&str> = other.copied().collect();
        if !other.is_empty() {
            differing.push(format!("{} ({})", script.name, other.join(", ")));
        }
    }
    let text = if differing.is_empty() {
        format!(
            "Nothing depends on it: with {} forms of it CAS answers the same, what came before is told by {}, what comes \
             later by {}, and device_del ends as `{}`.",
            ALL_OV6.len(),
            first.text("early: told").unwrap_or("nobody"),
            first.text("late: told")?,
            first.text("late: asked")?
        )
    } else {
        format!("This QEMU behaves otherwise than with Linux's for {}.", list(&differing))
    };
    Some(Answer::new(Holds::of(!differing.is_empty()), text).varied("vectors", !differing.is_empty()))
}

fn gap(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&GAP)?;
    let (calls, micros) = (facts.number("calls in the gap")?, facts.number("microseconds in the gap")?);
    let fate =
        |id: &str| Some(format!("the {id} came by {} and was {}", told(facts, id)?, became(facts, id)?));
    let text = format!(
        "Between CAS and the armed handler lie {} and {} ms of this guest. Plugged at the start of that, {}.",
        count(calls, "call"),
        micros / 1000,
        list(&[fate("core")?, fate("dimm")?])
    );
    Some(Answer::new(Holds::of(calls > 0), text))
}

fn told<'f>(facts: &'f Facts, id: &str) -> Option<&'f str> {
    facts.text(&format!("{id}: told"))
}

fn became<'f>(facts: &'f Facts, id: &str) -> Option<&'f str> {
    facts.text(&format!("{id}: became"))
}

fn reset(measured: &Measured, _: &Question) -> Option<Answer> {
    let (slof, vof) = (measured.facts(&CAS_RESET)?, measured.facts(&CAS_RESET_VOF)?);
    let (resets, under_vof) = (slof.number("resets by CAS")?, vof.number("resets by CAS")?);
    let matters = (resets > 0) != (under_vof > 0);
    if resets == 0 {
        let text = format!(
            "CAS did not reset the machine under SLOF for a function behind a host bridge that came before it, and under \
             VOF {under_vof} times."
        );
        return Some(Answer::new(Holds::No, text).varied("firmware", matters));
    }
    let way = told(slof, "dimm");
    let text = format!(
        "A function behind a host bridge made CAS reset the machine {} under SLOF, {} under VOF; in the last boot it was \
         told by {}. A DIMM that came before the second CAS was {}.",
        count(resets, "time"),
        count(under_vof, "time"),
        told(slof, "behind").unwrap_or("nobody"),
        match (way, slof.text("dimm: refused")) {
            (Some(way), _) => format!("told by {way}, as if there had been no first"),
            (None, Some(words)) => format!("refused: {words}"),
            (None, None) => "not tried".to_owned(),
        }
    );
    Some(Answer::new(Holds::of(way != Some("tree")), text).varied("firmware", matters))
}

/// A list as words; `nothing` for an empty one.
fn words(facts: &Facts, name: &str) -> Option<String> {
    let words = facts.list(name)?;
    Some(if words.is_empty() { "nothing".to_owned() } else { list(&words) })
}

/// How many events the guest found in its queue.
fn found(facts: &Facts) -> Option<u64> {
    Some(facts.number("events by check-exception")? + facts.number("events by event-scan")?)
}

fn pulse(measured: &Measured, _: &Question) -> Option<Answer> {
    let (late, early) = (measured.facts(&GAP)?, measured.facts(&EARLY)?);
    let part = |facts: &Facts| {
        Some(format!(
            "pending at the interrupt controller behind CAS: {}; interrupts that came when the handler was armed: {}; raised \
             again by event-scan: {}; events that the guest found: {}",
            words(facts, "pending after CAS")?,
            words(facts, "interrupts at arming")?,
            words(facts, "pending scanned when armed")?,
            found(facts)?
        ))
    };
    let text =
        format!("After plugs just behind CAS: {}. After plugs before CAS: {}.", part(late)?, part(early)?);
    // One is needed where events wait and nobody tells.
    let is_deaf = |facts: &Facts| Some(found(facts)? > 0 && facts.list("interrupts at arming")?.is_empty());
    Some(Answer::new(Holds::of(is_deaf(late)? || is_deaf(early)?), text))
}

fn pending(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&EARLY)?;
    let (before, after) = (facts.list("pending plugged")?, facts.list("pending after CAS")?);
    let text = format!(
        "Pending at the interrupt controller after a plug before CAS: {}; behind CAS: {}. Interrupts when the handler \
         is armed: {}.",
        words(facts, "pending plugged")?,
        words(facts, "pending after CAS")?,
        words(facts, "interrupts at arming")?
    );
    (!before.is_empty())
        .then(|| Answer::new(Holds::of(before.iter().any(|source| !after.contains(source))), text))
}

fn twice(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&CAS_TWICE)?;
    let answers = facts.list("answers")?;
    let same = answers.windows(2).all(|pair| pair[0] == pair[1]);
    let well = answers.iter().all(|answer| answer.starts_with("H_SUCCESS H_SUCCESS granted "));
    let text = format!(
        "CAS was answered {}, {}; what came before the first was told by {}, what came between them by {}.",
        if answers.len() == 2 { "twice".to_owned() } else { format!("{} times", answers.len()) },
        if well && same {
            "well and each time alike"
        } else if well {
            "well, and not alike"
        } else {
            "not well"
        },
        told(facts, "early").unwrap_or("nobody"),
        told(facts, "between").unwrap_or("nobody"),
    );
    let once = told(facts, "between").is_some_and(|way| way == "tree" || way == "event");
    Some(Answer::new(Holds::of(answers.len() > 1 && well && once), text))
}

fn ignored(measured: &Measured, _: &Question) -> Option<Answer> {
    let (masked, gap) = (measured.facts(&MASKED)?, measured.facts(&GAP)?);
    let scanned = masked.number("found by event-scan while masked")?;
    let (after_scan, alone) = (became(masked, "core")?, became(gap, "core")?);
    let text = format!(
        "A core that came while the sources were off: event-scan handed out {}, and it was {after_scan} in the end. One that \
         came just behind CAS was {alone}; interrupts that came when the handler was armed: {}; raised again by event-scan: \
         {}.",
        count(scanned, "event"),
        words(gap, "interrupts at arming")?,
        words(gap, "pending scanned when armed")?
    );
    // This guest always scans in the end: one that does not has only what comes by itself.
    let unheard = gap.list("interrupts at arming")?.is_empty();
    Some(Answer::new(Holds::of(unheard || alone != "taken"), text))
}

fn cleared(measured: &Measured, _: &Question) -> Option<Answer> {
    let part = |what: &str, facts: &Facts| {
        let asked = facts.text("late: asked")?;
        let words = facts.text("late: refused").map(|words| format!(" ({words})")).unwrap_or_default();
        Some(format!(
            "with {what} a DIMM is told by {}, and device_del ends as `{asked}`{words}",
            told(facts, "late")?
        ))
    };
    let (absent, zeros) = (measured.facts(&CLEARED)?, measured.facts(&ZEROS)?);
    let without = measured.facts(&WITHOUT_HP_EVT)?;
    let parts = [
        part("vector 5 absent", absent)?,
        part("vector 5 of zeros", zeros)?,
        part("only hp-evt not asked for", without)?,
    ];
    // One that has negotiated, and has not asked for the newer events, is the measure.
    let way = |facts: &Facts| facts.text("late: asked").map(str::to_owned);
    let differs = [way(absent)? != way(without)?, way(zeros)? != way(without)?];
    let text = format!("This guest was treated so: {}.", parts.join("; "));
    Some(Answer::new(each(differs), text).varied("vectors", differs.contains(&true)))
}
