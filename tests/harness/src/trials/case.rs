//! One trial: how the machine is set up, and what is done with it.

use crate::machine::{Machine, Watcher};
use crate::qemu::command::{Firmware, Setup};
use anyhow::{Result, anyhow};
use std::fmt;
use std::time::{Duration, Instant};

/// How many of the console's last lines a failure shows.
const TAIL: usize = 25;

/// What is done with a machine that was set up and has not started.
type Play = Box<dyn FnOnce(&mut Machine) -> Result<()> + Send>;

/// One trial.
pub struct Case {
    name: String,
    firmware: Firmware,
    arrange: Box<dyn FnOnce(&mut Setup) + Send>,
    play: Play,
    lacking: Option<&'static str>,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it was as it should be, or was met as a known defect, which has been told.
    Well,
    /// This QEMU lacks what the trial needs; its words.
    Lacking(String),
    /// Something was not as it should be.
    Wrong(String),
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} under {}", self.name, self.firmware)
    }
}

impl Case {
    /// A boot under VOF with these boot arguments.
    pub(crate) fn new(
        name: impl Into<String>,
        append: impl Into<String>,
        play: impl FnOnce(&mut Machine) -> Result<()> + Send + 'static,
    ) -> Self {
        let append = append.into();
        let arrange = Box::new(move |setup: &mut Setup| {
            if !append.is_empty() {
                setup.append.push(append);
            }
        });
        Self { name: name.into(), firmware: Firmware::Vof, arrange, play: Box::new(play), lacking: None }
    }

    /// The same under SLOF.
    pub(crate) fn under_slof(self) -> Self {
        Self { firmware: Firmware::Slof, ..self }
    }

    /// The same, skipped on a QEMU that does not start and gives this as its reason.
    pub(crate) fn unless(self, words: &'static str) -> Self {
        Self { lacking: Some(words), ..self }
    }

    /// The same on a machine that is set up otherwise.
    pub(crate) fn on(self, change: impl FnOnce(&mut Setup) + Send + 'static) -> Self {
        let arrange = self.arrange;
        Self {
            arrange: Box::new(|setup| {
                arrange(setup);
                change(setup);
            }),
            ..self
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The firmware that it is about.
    pub const fn firmware(&self) -> Firmware {
        self.firmware
    }

    /// Plays it on a machine of its own, with this QEMU and this payload; `watcher` sees it happen.
    pub fn run(self, base: &Setup, limit: Duration, watcher: Watcher) -> End {
        let mut setup = Setup { firmware: self.firmware, ..base.clone() };
        (self.arrange)(&mut setup);
        let problem = match run(&setup, limit, watcher, self.play) {
            Ok(()) => return End::Well,
            Err(problem) => format!("{problem:#}"),
        };
        match self.lacking.and_then(|words| problem.lines().find(|line| line.contains(words))) {
            Some(line) => End::Lacking(line.to_owned()),
            None => End::Wrong(problem),
        }
    }
}

fn run(setup: &Setup, limit: Duration, watcher: Watcher, play: Play) -> Result<()> {
    let mut machine = Machine::launch(setup, Instant::now() + limit, watcher)?;
    play(&mut machine).map_err(|problem| {
        let tail: Vec<&str> = machine.transcript().tail(TAIL).iter().map(|line| line.text.as_str()).collect();
        anyhow!(
            "{problem:#}\n--- the end of the console\n{}\n--- QEMU's last words\n{}\n--- the command\n{}",
            tail.join("\n"),
            machine.last_words(),
            machine.command()
        )
    })
}
