//! The documents say what is so: every command in them is understood, and every finding is held against the known defects.

use clap::Parser;
use paprika_harness::cli::{Cli, Command};
use paprika_harness::defects::{DEFECTS, SLIPS, STICKY};
use paprika_harness::qemu::Version;
use paprika_harness::race::Scenario;
use paprika_harness::trials;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const README: &str = include_str!("../../../../README.md");
const FINDINGS: &str = include_str!("../../../../FINDINGS.md");
/// Targets of `make` that start `paprika` with the options in ARGS.
const WITH_ARGS: [&str; 5] = ["run", "boot", "race", "matrix", "transitions"];

/// The lines of code blocks, each with what follows after two spaces cut off: it explains.
fn code(document: &str) -> impl Iterator<Item = &str> {
    let blocks = document.split("```").skip(1).step_by(2);
    blocks.flat_map(str::lines).map(|line| line.trim_start().split("  ").next().unwrap_or("").trim_end())
}

/// Words as a shell has them: what stands in double quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => all.push(String::new()),
            c => all.last_mut().expect("never empty").push(c),
        }
    }
    all.retain(|word| !word.is_empty());
    all
}

/// The commands of `paprika` in a document, also those that `make` starts, as words behind `paprika`.
fn commands(document: &str) -> Vec<Vec<String>> {
    let command = |line: &str| {
        let line = line.split(" | ").next().unwrap_or(line);
        if let Some(rest) = line.strip_prefix("paprika ").or(line.strip_prefix("target/debug/paprika ")) {
            return Some(words(rest));
        }
        let mut rest = words(line.strip_prefix("make ")?).into_iter();
        let target = rest.next().filter(|target| WITH_ARGS.contains(&target.as_str()))?;
        let arguments = rest.find_map(|word| Some(words(word.strip_prefix("ARGS=")?)));
        let target = if target == "matrix" { "race".to_owned() } else { target };
        Some([vec![target], arguments.unwrap_or_default()].concat())
    };
    code(document).filter_map(command).collect()
}

#[test]
fn every_command_is_understood_and_names_what_there_is() {
    let all = [commands(README), commands(FINDINGS)].concat();
    assert!(all.len() > 25, "they are read wrongly: {all:?}");
    for words in all {
        let line = words.join(" ");
        let cli = Cli::try_parse_from(["paprika".to_owned()].into_iter().chain(words));
        let command = cli.unwrap_or_else(|error| panic!("{line}: {error}")).command;
        if let Command::Race(options) = command {
            for name in options.only.iter().chain(&options.explain) {
                let exists = Scenario::named(name).is_some() || !trials::named(name).is_empty();
                assert!(exists, "{line}: there is no such race, and no such trial");
            }
        }
    }
}

/// All sources of the trials that boot QEMU.
fn trials() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/trials");
    let files: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.iter().map(|file| fs::read_to_string(file).expect("a text")).collect()
}

#[test]
fn every_trial_that_is_named_exists() {
    let trials = trials();
    let names: BTreeSet<&str> = [README, FINDINGS]
        .into_iter()
        .flat_map(code)
        .filter_map(|line| line.split_once("CHECK=").map(|(_, name)| name))
        .collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        // Some names are made of a word and a kind.
        let stem = name.rsplit_once('-').map_or(name, |(stem, _)| stem);
        let exists = trials.contains(&format!("\"{name}")) || trials.contains(&format!("\"{stem}-{{"));
        assert!(exists, "no trial is called `{name}`");
    }
}

/// A finding: its heading, and what stands below it.
struct Section {
    title: &'static str,
    text: &'static str,
}

fn findings() -> Vec<Section> {
    let sections = FINDINGS.split("\n### ").skip(1).filter_map(|section| section.split_once('\n'));
    sections.map(|(title, text)| Section { title, text }).collect()
}

impl Section {
    /// What stands behind these words, in the first paragraph.
    fn behind(&self, words: &str) -> Option<&'static str> {
        let paragraph = self.text.trim_start().split("\n\n").next()?;
        paragraph.split_once(words).map(|(_, rest)| rest)
    }

    /// The versions in which it was seen: those of that sentence.
    fn seen(&self) -> BTreeSet<Version> {
        let rest = self.behind("Seen ").unwrap_or_default();
        let sentence = rest.split(". ").next().unwrap_or(rest);
        let words = sentence.split(|c: char| !c.is_ascii_digit() && c != '.');
        words
            .filter_map(|word| Version::from_banner(&format!("version {}", word.trim_matches('.'))))
            .collect()
    }

    fn known_as(&self) -> Option<&'static str> {
        self.behind("Known as `")?.split('`').next()
    }
}

#[test]
fn every_finding_says_where_it_was_seen_how_it_is_shown_and_whether_it_is_expected() {
    let all = findings();
    assert!(all.len() > 10, "they are read wrongly");
    for section in &all {
        let Section { title, text } = section;
        assert!(!section.seen().is_empty(), "{title}: in which versions?");
        let shown = code(text).any(|line| line.starts_with("make ") || line.starts_with("paprika "));
        assert!(shown, "{title}: which command shows it?");
        let expected = section.known_as().is_some() != section.behind("Not expected ").is_some();
        assert!(expected, "{title}: known as what, or why not?");
    }
}

#[test]
fn the_known_defects_and_the_findings_are_the_same() {
    let crashes = DEFECTS.iter().map(|defect| (defect.id, defect.first, defect.last));
    let sticky = STICKY.iter().map(|one| (one.id, one.first, one.last));
    let slips = SLIPS.iter().map(|one| (one.id, one.first, one.last));
    let known: Vec<_> = crashes.chain(sticky).chain(slips).collect();
    let all = findings();
    for (id, first, last) in &known {
        let mut own = all.iter().filter(|section| section.known_as() == Some(id));
        let (Some(section), None) = (own.next(), own.next()) else { panic!("{id}: one finding, please") };
        let seen = section.seen();
        assert_eq!((seen.first(), seen.last()), (Some(first), Some(last)), "{id}: {}", section.title);
    }
    for id in all.iter().filter_map(Section::known_as) {
        assert!(known.iter().any(|(known, ..)| *known == id), "`{id}` is no known defect");
    }
}
