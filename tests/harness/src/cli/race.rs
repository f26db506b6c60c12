//! `paprika race`: which races, how many at a time, and in what form their outcome is told.

use super::{Jobs, Options, interrupted_or};
use crate::answers::Question;
use crate::out::say;
use crate::qemu::command::{Firmware, Setup};
use crate::qemu::{Qemu, several};
use crate::race::action::Action;
use crate::race::expect::Expect;
use crate::race::lab::{self, Outcome};
use crate::race::manner::Manner;
use crate::race::report::Batch;
use crate::race::window::Window;
use crate::race::{Family, Scenario, report};
use crate::render::{Colour, Show};
use crate::trials;
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Which races, and how.
#[derive(Args, Clone, Debug)]
pub struct RaceOptions {
    /// The kinds of devices; all where none is given
    #[arg(value_name = "KIND")]
    pub families: Vec<Family>,
    /// Only in these windows
    #[arg(long, value_name = "WINDOW", value_delimiter = ',')]
    pub window: Vec<Window>,
    /// Only these actions
    #[arg(long, value_name = "ACTION", value_delimiter = ',')]
    pub action: Vec<Action>,
    /// Only with these manners of the guest
    #[arg(long, value_name = "MANNER", value_delimiter = ',')]
    pub manner: Vec<Manner>,
    /// Only the race or the trial of this name, with all that is said in it
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// How QEMU is to treat what is plugged before the guest has negotiated
    #[arg(long, value_enum, value_name = "PROFILE", default_value_t)]
    pub expect: Expect,
    /// Also under SLOF, those races in which it has a part
    #[arg(long)]
    pub with_slof: bool,
    /// Names every race and every trial that there is, or the races those that are chosen by kind, window and action
    #[arg(long)]
    pub list: bool,
    /// Tells the story of one: what happens, what a correct hypervisor does, which bugs it goes back to
    #[arg(long, value_name = "NAME")]
    pub explain: Option<String>,
    /// How many at a time.
    #[command(flatten)]
    pub jobs: Jobs,
    /// The form of the outcome
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Writes the outcome as JUnit's XML, too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// How to set up the machine.
    #[command(flatten)]
    pub machine: Options,
}

/// A form of the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, for people.
    #[default]
    Text,
    /// The Test Anything Protocol.
    Tap,
    /// One JSON object.
    Json,
}

/// Help that does not fit beside an option.
pub(super) const AFTER_HELP: &str = "\
Each race boots a guest of its own, holds it in the window, acts, and lets everything settle; then what is still there is
unplugged and plugged again. A cell of the table says how the guest learned of the device and what became of it; up to twelve
races are told of in words. Each that is neither PASS nor a known defect is explained below the table; `--only NAME --keep` runs
it again and keeps the evidence. Several `--qemu` are compared: a line for each race, a column for each, what differs first.

  paprika race memory --window before-cas         every action with a DIMM just before CAS
  paprika race --action plug                      one row for each kind
  paprika race cpu --manner remove-half           a guest that stops half way when it is asked for a core
  paprika race --only cpu/unplug/draining         one race, with everything that is said in it
  paprika race --only check-lengths               a trial: a story of one boot that is more than a race
  paprika race --format tap --qemu ./build/qemu-system-ppc64
  paprika race --qemu qemu-system-ppc64 --qemu ./build/qemu-system-ppc64    two builds: what differs comes first";

/// Does it; the exit status.
pub(super) fn race(options: &RaceOptions) -> anyhow::Result<u8> {
    if options.list {
        let chosen = options.chosen();
        chosen.iter().for_each(|scenario| say!("{scenario}"));
        if chosen.len() == Scenario::all().len() {
            let trials: BTreeSet<String> = trials::all().iter().map(|case| case.name().to_owned()).collect();
            trials.iter().for_each(|name| say!("{name}"));
        }
        return Ok(0);
    }
    if let Some(name) = options.only.as_ref().filter(|name| Scenario::named(name).is_none()) {
        return super::trial::trial(name, options);
    }
    if let Some(name) = &options.explain {
        say!("{}", explained(named(name)?).trim_end());
        return Ok(0);
    }
    let scenarios = match &options.only {
        Some(name) => vec![named(name)?],
        None => options.chosen(),
    };
    let qemus = options.machine.setups()?;
    let names = several::named(qemus.iter().map(|setup| setup.qemu.clone()));
    let mut batches = Vec::new();
    for (name, qemu) in names {
        for (setup, scenarios) in options.under(&qemus[0], &qemu, &scenarios) {
            let outcomes = options.run(&setup, &scenarios);
            batches.push(Batch {
                name: name.clone(),
                qemu: qemu.clone(),
                firmware: setup.firmware,
                outcomes,
            });
        }
    }
    // Who is asked to end leaves QEMUs without a race.
    batches.retain(|batch| !batch.outcomes.is_empty());
    options.report(&batches)?;
    let outcomes = batches.iter().flat_map(|batch| &batch.outcomes);
    Ok(interrupted_or(report::verdict(outcomes).exit_status()))
}

impl RaceOptions {
    /// The races that were asked for.
    fn chosen(&self) -> Vec<Scenario> {
        let mut all = Scenario::all();
        all.retain(|scenario| {
            (self.families.is_empty() || self.families.contains(&scenario.family))
                && (self.window.is_empty() || self.window.contains(&scenario.window))
                && (self.action.is_empty() || self.action.contains(&scenario.action))
                && (self.manner.is_empty() || self.manner.contains(&scenario.manner))
        });
        all
    }

    /// The races with a QEMU, and its machine: under the firmware that was asked for, and under SLOF those in which it has a
    /// part, where that was asked for.
    fn under(&self, base: &Setup, qemu: &Qemu, scenarios: &[Scenario]) -> Vec<(Setup, Vec<Scenario>)> {
        let first = Setup { qemu: qemu.clone(), ..base.clone() };
        let mut all = vec![(first.clone(), scenarios.to_vec())];
        if self.with_slof && first.firmware != Firmware::Slof {
            let about_slof = scenarios.iter().copied().filter(Scenario::is_about_slof).collect();
            all.push((Setup { firmware: Firmware::Slof, ..first }, about_slof));
        }
        all.retain(|(_, scenarios)| !scenarios.is_empty());
        all
    }

    /// Runs them with one QEMU under one firmware.
    fn run(&self, setup: &Setup, scenarios: &[Scenario]) -> Vec<Outcome> {
        let limit = self.machine.limit(setup.firmware);
        match scenarios {
            [only] if self.only.is_some() => vec![watched(*only, setup, limit, self)],
            _ => many(scenarios, setup, limit, self),
        }
    }

    /// Tells what they came to, in every form that was asked for.
    fn report(&self, batches: &[Batch]) -> anyhow::Result<()> {
        match self.format {
            Format::Text => say!("{}", report::text(batches, Colour::of_stdout())),
            Format::Tap => say!("{}", report::tap(batches).trim_end()),
            Format::Json => say!("{:#}", report::json(batches)),
        }
        let outcomes = batches.iter().flat_map(|batch| &batch.outcomes);
        for path in outcomes.filter_map(|outcome| outcome.evidence.as_ref()) {
            eprintln!("kept: {}", path.display());
        }
        let Some(file) = &self.junit else { return Ok(()) };
        std::fs::write(file, report::junit(batches))
            .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
    }
}

fn named(name: &str) -> anyhow::Result<Scenario> {
    Scenario::named(name)
        .ok_or_else(|| anyhow::anyhow!("there is no race `{name}`; `paprika race --list` names them all"))
}

/// The story of a race, and the questions that it answers.
fn explained(scenario: Scenario) -> String {
    let mut text = scenario.story();
    for number in scenario.questions() {
        let statement = Question::named(&format!("Q{number}")).map_or("", |question| question.statement);
        text += &format!("{:<15}{statement}\n", format!("Answers Q{number}:"));
    }
    text
}

/// One race, with everything that is said in it.
fn watched(scenario: Scenario, setup: &Setup, limit: Duration, options: &RaceOptions) -> Outcome {
    let mut show = Show::new(Colour::of_stdout());
    let watcher: crate::machine::Watcher = match options.format {
        Format::Text => Box::new(move |sight| show.print(sight)),
        _ => Box::new(|_| {}),
    };
    lab::run(scenario, setup, limit, options.expect, watcher)
}

fn many(scenarios: &[Scenario], setup: &Setup, limit: Duration, options: &RaceOptions) -> Vec<Outcome> {
    if options.format == Format::Text {
        say!("{} with {}: {} races", setup.qemu.banner, setup.firmware, scenarios.len());
    }
    let done = AtomicUsize::new(0);
    let progress = std::io::stderr().is_terminal();
    let outcomes = lab::run_all(scenarios, setup, limit, options.expect, options.jobs.count(), &|outcome| {
        let count = done.fetch_add(1, Ordering::Relaxed) + 1;
        if progress {
            // A line that is written over; there is nobody to tell of an error.
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[K{count}/{} {} {}",
                scenarios.len(),
                outcome.scenario,
                outcome.verdict
            );
        }
    });
    if progress {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::{Scenario, explained};
    use crate::answers::Question;

    #[test]
    fn every_race_answers_questions_that_there_are() {
        for scenario in Scenario::all() {
            assert!(!scenario.questions().is_empty(), "{scenario}");
            for number in scenario.questions() {
                let question = Question::named(&format!("Q{number}")).expect("a question");
                assert!(explained(scenario).contains(question.statement), "{scenario}: {}", question.name());
            }
        }
    }
}
