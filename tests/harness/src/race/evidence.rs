//! Evidence: what is left of a race that is kept.
//!
//! | file | what it is |
//! |---|---|
//! | `command` | QEMU's exact command |
//! | `console.log`, `qmp.jsonl`, `stderr`, `trace.log` | what was said, each as it came |
//! | `timeline.jsonl` | all of it in the order of time |
//! | `verdict.json` | what it came to: the object of `--format json` |
//! | `backtrace` | where QEMU crashed: its back trace, or why there is none |
//! | `again` | a command that runs the same race again |

use super::Scenario;
use super::expect::Expect;
use super::lab::Outcome;
use super::report;
use crate::machine::Machine;
use crate::qemu::command::{DEFAULT_MEMORY, Setup, for_shell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is written beside what the machine wrote itself.
pub(super) fn write(
    directory: &Path,
    machine: Option<&Machine>,
    outcome: &Outcome,
    again: &str,
) -> io::Result<()> {
    if let Some(machine) = machine {
        machine.write_timeline()?;
    }
    if let Some(backtrace) = &outcome.backtrace {
        fs::write(directory.join("backtrace"), format!("{backtrace}\n"))?;
    }
    fs::write(directory.join("verdict.json"), format!("{:#}\n", report::race(outcome)))?;
    fs::write(directory.join("again"), format!("{again}\n"))
}

/// The command that runs this race again, for a shell.
pub fn again(scenario: Scenario, base: &Setup, limit: Duration, expect: Expect) -> String {
    let mut words = vec!["race".to_owned(), "--only".to_owned(), scenario.name(), "--keep".to_owned()];
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
    option("--qemu", &absolute(&base.qemu.program));
    option("--payload", &absolute(&base.payload));
    option("--firmware", base.firmware.word());
    option("--expect", expect.word());
    option("--timeout", &limit.as_secs().max(1).to_string());
    if base.memory != DEFAULT_MEMORY {
        option("--mem", &base.memory);
    }
    for (name, value) in [("--machine", &base.machine), ("--cpu", &base.cpu)] {
        value.iter().for_each(|value| option(name, value));
    }
    base.append.iter().for_each(|text| option("--append", text));
    base.trace.iter().for_each(|pattern| option("--trace", pattern));
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("paprika"));
    for_shell(&own, &words)
}

/// A path that leads to the same file from everywhere.
fn absolute(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Expect, Scenario, Setup, again};
    use crate::cli::{Cli, Command};
    use crate::qemu::{Qemu, Version};
    use clap::Parser;
    use std::path::PathBuf;
    use std::time::Duration;

    #[test]
    fn the_command_that_runs_a_race_again_is_understood_and_means_the_same() {
        let qemu = Qemu { program: "/q/qemu".into(), version: Version::new(7, 2, 22), banner: String::new() };
        let mut base = Setup::new(qemu, PathBuf::from("/payload.elf"));
        base.append = vec!["ov5=-hp-evt".into()];
        base.machine = Some("ic-mode=xics".into());
        base.memory = "1G".into();
        let race = Scenario::named("cpu/unplug/draining").expect("a race");
        let line = again(race, &base, Duration::from_secs(9), Expect::CasReboot);
        let words = line.split(' ').map(|word| word.trim_matches('\''));
        let Ok(Cli { command: Command::Race(options) }) = Cli::try_parse_from(words) else {
            panic!("{line}")
        };
        assert_eq!(options.only.as_deref(), Some("cpu/unplug/draining"));
        assert_eq!((options.expect, options.machine.timeout), (Expect::CasReboot, Some(9)));
        let machine = &options.machine;
        assert!(machine.keep && machine.append == base.append && machine.machine == base.machine, "{line}");
        assert_eq!((machine.mem.as_str(), machine.qemu.clone()), ("1G", vec![PathBuf::from("/q/qemu")]));
    }
}
