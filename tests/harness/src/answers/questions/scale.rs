//! Questions about many of something: events, blocks, cores.

use super::{count, each};
use crate::answers::facts::Facts;
use crate::answers::scripts::{FLOOD, FLOOD_EPOW, GAPS, IDENTIFIERS, IDENTIFIERS_EPOW};
use crate::answers::tally::list;
use crate::answers::{Answer, Holds, Measured, Question};

/// The DIMMs whose identifiers are looked at, together.
const BLOCKS: u64 = 1 + 3 + 8;

pub(super) const ALL: &[Question] = &[
    Question {
        number: 31,
        statement: "Many events at once are all told, in order, by EPOW and by the dedicated source",
        shows: "many events at once: order, none lost, by both sources",
        races: &[],
        scripts: &[&FLOOD, &FLOOD_EPOW],
        answer: flood,
    },
    Question {
        number: 32,
        statement: "A DIMM of many LMBs is one event, which names them by count and first index",
        shows: "how many events, which identifiers, and what comes of a DIMM that is taken in part",
        races: &[],
        scripts: &[&IDENTIFIERS, &IDENTIFIERS_EPOW],
        answer: identifiers,
    },
    Question {
        number: 36,
        statement: "Cores with gaps between their ids get a wrong connector index",
        shows: "cores plugged in any order, with gaps",
        races: &[],
        scripts: &[&GAPS],
        answer: gaps,
    },
];

fn flood(measured: &Measured, _: &Question) -> Option<Answer> {
    let (mut parts, mut well) = (Vec::new(), Vec::new());
    for (source, script) in [("the dedicated source", &FLOOD), ("EPOW", &FLOOD_EPOW)] {
        let facts = measured.facts(script)?;
        let (plugged, told) = (facts.list("plugged")?, facts.list("told")?);
        let lost = plugged.iter().filter(|id| !told.contains(id)).count();
        let state = match (plugged == told, lost) {
            (true, _) => "none lost, in order".to_owned(),
            (false, 0) => "none lost, not in order".to_owned(),
            (false, lost) => format!("{lost} lost"),
        };
        let events = count(told.len() as u64, "event");
        parts.push(format!("by {source} {events} of {} plugs, {state}", plugged.len()));
        well.push(!plugged.is_empty() && plugged == told);
    }
    let matters = well.windows(2).any(|pair| pair[0] != pair[1]);
    let text = format!("{}.", parts.join("; "));
    Some(Answer::new(each(well), text).varied("vectors", matters))
}

fn identifiers(measured: &Measured, _: &Question) -> Option<Answer> {
    let (new, old) = (measured.facts(&IDENTIFIERS)?, measured.facts(&IDENTIFIERS_EPOW)?);
    let is_so = |facts: &Facts| {
        let ids = facts.list("identifiers")?;
        Some(ids.len() == 3 && ids.iter().all(|id| id.starts_with("count-indexed:")))
    };
    let part = |facts: &Facts| {
        Some(format!(
            "{}, {} of {BLOCKS} blocks taken",
            list(&facts.list("identifiers")?),
            facts.number("taken")?
        ))
    };
    let text = format!(
        "DIMMs of 1, 3 and 8 blocks with hp-evt: {}; without: {}. Of a DIMM of 4 blocks whose third the guest leaves half \
         way {} were taken; given back it did {}, and {} could not go.",
        part(new)?,
        part(old)?,
        count(new.number("part: taken")?, "block"),
        new.number("part: given back")?,
        new.number("part: kept")?,
    );
    let are = [is_so(new)?, is_so(old)?];
    Some(Answer::new(each(are), text).varied("vectors", are[0] != are[1]))
}

fn gaps(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&GAPS)?;
    let (wanted, found) = (facts.list("wanted")?, facts.list("connectors")?);
    let became: Vec<&str> =
        [6, 2, 4].iter().filter_map(|core| facts.text(&format!("core{core}: became"))).collect();
    let text = format!("Cores 6, 2 and 4 hang on {}, and were {}.", list(&found), list(&became));
    Some(Answer::new(Holds::of(wanted != found), text))
}
