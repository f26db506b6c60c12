//! The table: calls by states, a table for each kind of connector.

use super::{Cell, DrcKind, Measured};
use crate::render::table;
use std::fmt::Write as _;

/// What was measured on each QEMU. Where several were, what differs comes first; the tables are those of the first.
pub fn text(all: &[Measured]) -> String {
    let mut text = String::new();
    let Some(first) = all.first() else { return text };
    for other in all.iter().skip(1) {
        text += &differences(first, other);
    }
    let _ = writeln!(text, "{}", first.qemu);
    for kind in first.kinds() {
        let _ =
            writeln!(text, "\n{kind}: what each call returns in each state, and where it leads if it moves");
        text += &of_kind(first, kind);
    }
    for measured in all {
        text += &count(measured);
    }
    text
}

fn of_kind(measured: &Measured, kind: DrcKind) -> String {
    let states = in_order(measured.of(kind).map(|cell| cell.before.as_str()));
    let calls = in_order(measured.of(kind).map(|cell| cell.call.as_str()));
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(states.iter().map(|state| match *state {
        "unknown" => "no such connector".to_owned(),
        state => state.to_owned(),
    }));
    for call in calls {
        let mut row = vec![call.to_owned()];
        row.extend(states.iter().map(|state| {
            let mut cells = measured.of(kind);
            cells.find(|cell| cell.call == call && cell.before == *state).map(word).unwrap_or_default()
        }));
        rows.push(row);
    }
    table(&rows)
}

/// A cell: the status, then what was read or where it led; `!` marks what a correct hypervisor does not answer.
fn word(cell: &Cell) -> String {
    let mut word = cell.rc.0.to_string();
    if let Some(sense) = &cell.sense {
        let _ = write!(word, " {sense}");
    }
    if cell.before != cell.after {
        let _ = write!(word, " > {}", cell.after);
    }
    if !cell.expected {
        word += " !";
    }
    word
}

/// Each text once, in the order in which they come.
fn in_order<'c>(texts: impl Iterator<Item = &'c str>) -> Vec<&'c str> {
    let mut found: Vec<&str> = Vec::new();
    for text in texts {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// Every row that is not the same in both, also where only one of them has it.
fn differences(first: &Measured, other: &Measured) -> String {
    let mut text = String::new();
    let said = |cell: Option<&Cell>| cell.map_or_else(|| "not measured".to_owned(), word);
    let only_there = other.cells.iter().filter(|cell| same_row(first, cell).is_none());
    for cell in first.cells.iter().chain(only_there) {
        let (here, there) = (same_row(first, cell), same_row(other, cell));
        if here != there {
            let Cell { kind, before, call, .. } = cell;
            let (here, there) = (said(here), said(there));
            let _ = writeln!(text, "{kind} {before}: {call}: {here}; {}: {there}", other.qemu);
        }
    }
    if text.is_empty() {
        let _ = writeln!(text, "No difference to {}.\n", other.qemu);
    }
    text
}

/// The row of the same call from the same state, where it was measured.
fn same_row<'m>(measured: &'m Measured, cell: &Cell) -> Option<&'m Cell> {
    measured.of(cell.kind).find(|one| one.before == cell.before && one.call == cell.call)
}

fn count(measured: &Measured) -> String {
    let mut text = format!("\n{}: {} calls from all states", measured.qemu, measured.cells.len());
    let unexpected = measured.unexpected().count();
    let _ = match unexpected {
        0 => write!(text, ", all as a correct hypervisor answers them"),
        some => write!(text, ", {some} of them otherwise than a correct hypervisor (marked !)"),
    };
    for (kind, missing) in &measured.missing {
        let _ = write!(text, "; {missing} of {kind} were not measured");
    }
    for (family, words) in &measured.lacking {
        let _ = write!(text, "\nSKIP: {family}: {words}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::transitions::testing::measured;

    #[test]
    fn a_table_has_a_line_for_each_call_and_a_column_for_each_state() {
        let text = text(&[measured()]);
        assert!(text.contains("unusable       available"), "{text}");
        assert!(text.contains("allocation-state usable  0 > available  0"), "{text}");
        assert!(text.contains("isolation-state isolate  0              -3"), "{text}");
        assert!(
            text.ends_with("4 calls from all states, all as a correct hypervisor answers them\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_wrong_is_marked_and_what_differs_comes_first() {
        let mut other = measured();
        other.qemu = "QEMU y".into();
        other.cells[1].rc = (-1, "hardware-error".into());
        other.cells[1].expected = false;
        let text = text(&[measured(), other]);
        assert!(text.starts_with("cpu unusable: isolation-state isolate: 0; QEMU y: -1 !\n"), "{text}");
        assert!(text.contains("1 of them otherwise"), "{text}");
    }

    #[test]
    fn a_row_that_only_the_other_has_is_a_difference() {
        let mut first = measured();
        first.cells.pop();
        let mut other = measured();
        other.qemu = "QEMU y".into();
        let text = text(&[first, other]);
        assert!(
            text.starts_with("cpu available: isolation-state isolate: not measured; QEMU y: -3\n"),
            "{text}"
        );
        assert!(!text.contains("No difference"), "{text}");
    }
}
