//! One boot: how the machine is set up, and what is done with it.

use anyhow::{Result, anyhow};
use libtest_mimic::{Failed, Trial};
use paprika_harness::machine::Machine;
use paprika_harness::qemu::Qemu;
use paprika_harness::qemu::command::{Firmware, Setup};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a boot may take, with room for a busy machine.
const LIMIT: Duration = Duration::from_secs(100);
/// How many of the console's last lines a failure shows.
const TAIL: usize = 25;

/// What is done with a machine that was set up and has not started.
type Play = Box<dyn FnOnce(&mut Machine) -> Result<()> + Send>;

/// One boot.
pub(crate) struct Case {
    name: String,
    firmware: Firmware,
    arrange: Box<dyn FnOnce(&mut Setup) + Send>,
    play: Play,
    lacking: Option<&'static str>,
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

    /// A trial that can be listed and run.
    pub(crate) fn into_trial(self, version: &str, qemu: &Qemu, payload: &Path) -> Trial {
        let firmware = self.firmware.to_string().to_lowercase();
        let mut setup = Setup::new(qemu.clone(), payload.to_owned());
        setup.firmware = self.firmware;
        let name = format!("{version}/{firmware}/{}", self.name);
        Trial::test(name.clone(), move || {
            (self.arrange)(&mut setup);
            let problem = match run(&setup, self.play) {
                Ok(()) => return Ok(()),
                Err(problem) => format!("{problem:#}"),
            };
            match self.lacking.and_then(|words| problem.lines().find(|line| line.contains(words))) {
                Some(line) => {
                    eprintln!("SKIP: {line} [{name}]");
                    Ok(())
                }
                None => Err(Failed::from(problem)),
            }
        })
    }
}

fn run(setup: &Setup, play: Play) -> Result<()> {
    let mut machine = Machine::launch(setup, Instant::now() + LIMIT, Box::new(|_| {}))?;
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
