//! `paprika race --only NAME` of a trial: a story of one boot that is more than a race.

use super::interrupted_or;
use super::race::RaceOptions;
use crate::out::say;
use crate::render::{Colour, Show};
use crate::trials::{End, named};
use crate::verdict::Verdict;
use anyhow::{Result, ensure};

/// Plays the trials of this name with every QEMU that was named, each under the firmware that it is about; the exit status.
pub(super) fn trial(name: &str, options: &RaceOptions) -> Result<u8> {
    let cases = named(name).len();
    ensure!(cases > 0, "there is no race and no trial `{name}`; `paprika race --list` names them all");
    let mut ends = Vec::new();
    for setup in options.machine.setups()? {
        for case in named(name) {
            let (limit, what) = (options.machine.limit(case.firmware()), format!("{case:?}"));
            let mut show = Show::new(Colour::of_stdout());
            let end = case.run(&setup, limit, Box::new(move |sight| show.print(sight)));
            ends.push(told(&format!("{}: {what}", setup.qemu.version), &end));
        }
    }
    Ok(interrupted_or(ends.into_iter().max().unwrap_or(Verdict::Error).exit_status()))
}

fn told(what: &str, end: &End) -> Verdict {
    let (verdict, words) = match end {
        End::Well => (Verdict::Pass, ""),
        End::Lacking(words) => (Verdict::Skip, words.as_str()),
        End::Wrong(words) => (Verdict::Fail, words.as_str()),
    };
    let words = if words.is_empty() { String::new() } else { format!(": {words}") };
    say!("\n{} {what}{words}", Colour::of_stdout().verdict(verdict));
    verdict
}
