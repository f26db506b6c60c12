//! Boot arguments: all are explained, and no nonsense stops the guest.

use crate::machine::Machine;
use crate::trials::case::Case;
use crate::trials::seen::{all, content, find};
use anyhow::{Result, ensure};
use paprika::agent::arguments::Arguments;
use paprika::log::Record;

/// Words that mean nothing, of every kind.
const NONSENSE: [&str; 14] = [
    "nonsense",
    "=",
    "help=1",
    "hold=nowhere",
    "hold=#0",
    "then=",
    "until",
    "crash=fire",
    "pvr=zz",
    "ov5=+no-such-option",
    "ov6=dos",
    "tree-max=-1",
    "heap=99999999999999999999k",
    "print=money",
];

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("nonsense", format!("{} until=armed", NONSENSE.join(" ")), nonsense),
        Case::new("help", "help until=armed", help),
        Case::new("help", "help until=armed", help).under_slof(),
        Case::new("print", "print=tree until=armed", print),
    ]
}

/// Each word is named with what is wrong with it; the guest goes on.
fn nonsense(machine: &mut Machine) -> Result<()> {
    machine.start()?;
    content(machine)?;
    let named = all(machine, |record| match record {
        Record::Argument { word, problem } if !problem.0.is_empty() => Some(word.to_string()),
        _ => None,
    });
    ensure!(named == NONSENSE, "named: {named:?}");
    Ok(())
}

fn help(machine: &mut Machine) -> Result<()> {
    machine.start()?;
    content(machine)?;
    let shown = all(machine, |record| match record {
        Record::Help { word, meaning } => Some((word.to_string(), meaning.to_string())),
        _ => None,
    });
    let known: Vec<_> =
        Arguments::help().map(|(word, meaning)| (word.to_owned(), meaning.to_owned())).collect();
    ensure!(shown == known && !known.is_empty(), "shown: {shown:?}");
    Ok(())
}

/// The tree is printed twice, with as many properties as it is said to have.
fn print(machine: &mut Machine) -> Result<()> {
    machine.start()?;
    content(machine)?;
    let said: u32 = all(machine, |record| match record {
        Record::Tree { properties, .. } => Some(properties),
        _ => None,
    })
    .iter()
    .sum();
    let printed = all(machine, |record| matches!(record, Record::Property { .. }).then_some(())).len();
    ensure!(printed == said as usize && printed > 0, "{said} properties, {printed} printed");
    find(machine, "the root's `model`", |record| match record {
        Record::Property { node, name, .. } if node.0 == "/" && name.0 == "model" => Some(()),
        _ => None,
    })
}
