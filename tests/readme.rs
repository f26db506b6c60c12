//! The README says what is so: its tables and its examples are held against the code.

use paprika::agent::arguments::Arguments;
use paprika::agent::hold::Order;
use paprika::agent::station::Station;
use paprika::log::{self, Record};

const README: &str = include_str!("../README.md");

/// A cell of a Markdown table as it was before it was put there.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn every_record_is_explained() {
    for kind in Record::KINDS {
        let row = README.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{kind}`")));
        assert!(row.is_some(), "no row of the README's table explains `{kind}`");
    }
}

#[test]
fn every_boot_argument_stands_there_as_the_guest_explains_it() {
    for (form, meaning) in Arguments::help() {
        let row = format!("| `{}` | {} |", cell(form), cell(meaning));
        assert!(README.contains(&row), "the README lacks this row:\n{row}");
    }
}

#[test]
fn the_stations_are_listed_in_their_order() {
    let all: Vec<String> = Station::ALL.iter().map(|station| format!("`{station}`")).collect();
    assert!(
        README.contains(&all.join(", ")),
        "the README's list of stations is another:\n{}",
        all.join(", ")
    );
}

#[test]
fn every_order_is_explained() {
    for order in Order::ALL {
        assert!(README.contains(&format!("`{order}`")), "the README does not explain `{order}`");
    }
}

#[test]
fn every_line_of_the_guest_in_the_examples_is_one_that_it_can_write() {
    let lines: Vec<&str> = README.lines().filter(|line| line.starts_with(log::START)).collect();
    assert!(lines.len() > 20, "the README shows a log");
    for line in lines {
        let parsed = log::parse(line);
        assert!(matches!(parsed, Some(Ok(_))), "{line}\n{parsed:?}");
    }
}
