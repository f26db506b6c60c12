//! Which QEMU: found, asked for its version, and known to have a pseries machine before anything depends on it.

pub mod backtrace;
pub mod command;
pub mod process;
pub mod several;

use process::Process;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The program that is looked for on the `PATH` when nobody names one.
const DEFAULT_PROGRAM: &str = "qemu-system-ppc64";

/// The variables that may name a QEMU, in the order in which they count; the second is that of QEMU's own tests.
const VARIABLES: [&str; 2] = ["QEMU", "QEMU_TEST_QEMU_BINARY"];

/// How long a program may take that is asked something, as a QEMU for its version or its machines.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// A version of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Counts the years.
    pub major: u32,
    /// Counts the releases of a year.
    pub minor: u32,
    /// Counts the stable releases; from 50 on it is a development tree.
    pub micro: u32,
}

impl Version {
    /// A version by its numbers.
    pub const fn new(major: u32, minor: u32, micro: u32) -> Self {
        Self { major, minor, micro }
    }

    /// Reads what `--version` prints: `QEMU emulator version 7.2.22 (Debian …)`.
    pub fn from_banner(banner: &str) -> Option<Self> {
        let (_, rest) = banner.split_once("version ")?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let mut numbers = rest[..end].split('.').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { major: next()?, minor: next()?, micro: next().unwrap_or(0) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// A QEMU that can be started.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// The program.
    pub program: PathBuf,
    /// Its version.
    pub version: Version,
    /// Its version as it says it, with the packager's words.
    pub banner: String,
}

/// Why there is no QEMU to start.
#[derive(Debug)]
pub enum NoQemu {
    /// No such program.
    Missing {
        /// What was looked for.
        program: PathBuf,
        /// Who named it: an option, a variable, or the default.
        named_by: String,
    },
    /// It could not be started, or ended with an error, or did not end.
    Unusable {
        /// The program.
        program: PathBuf,
        /// What was wrong with it.
        problem: String,
    },
    /// It emulates something, but not our machine.
    NoPseries {
        /// The program.
        program: PathBuf,
        /// What it calls itself.
        banner: String,
    },
}

impl fmt::Display for NoQemu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program, named_by } => write!(
                f,
                "there is no QEMU at `{}` ({named_by}).\n\
                 Install one (on Debian: `apt-get install qemu-system-ppc`), or name one with `--qemu PATH` or `QEMU=PATH`.",
                program.display()
            ),
            Self::Unusable { program, problem } => write!(
                f,
                "`{}` cannot be used: {problem}.\n\
                 Try `{} --version` by hand, or name another with `--qemu PATH` or `QEMU=PATH`.",
                program.display(),
                program.display()
            ),
            Self::NoPseries { program, banner } => write!(
                f,
                "`{}` ({banner}) has no pseries machine.\n\
                 It must be a qemu-system-ppc64: name one with `--qemu PATH` or `QEMU=PATH`.",
                program.display()
            ),
        }
    }
}

impl std::error::Error for NoQemu {}

impl Qemu {
    /// Finds the QEMU that was asked for: by `named`, else by a variable of the environment, else on the `PATH`; and asks
    /// it what it is.
    pub fn find(named: Option<&Path>) -> Result<Self, NoQemu> {
        let from_environment = || {
            VARIABLES.iter().find_map(|name| {
                let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
                Some((PathBuf::from(value), format!("from the environment: {name}")))
            })
        };
        let (program, named_by) = named
            .map(|path| (path.to_owned(), "from the option --qemu".to_owned()))
            .or_else(from_environment)
            .unwrap_or_else(|| (DEFAULT_PROGRAM.into(), "the default, looked for on the PATH".into()));
        match resolve(&program) {
            Some(path) => Self::probe(path),
            None => Err(NoQemu::Missing { program, named_by }),
        }
    }

    /// Asks a program for its version and its machines.
    pub fn probe(program: PathBuf) -> Result<Self, NoQemu> {
        let ask = |arguments: &[&str]| {
            ask(&program, arguments).map_err(|problem| NoQemu::Unusable {
                program: program.clone(),
                problem: problem.to_string(),
            })
        };
        let answer = ask(&["--version"])?;
        let banner = answer.lines().next().unwrap_or_default().trim().to_owned();
        let Some(version) = Version::from_banner(&banner) else {
            let problem = format!("it does not say which version it is, but `{banner}`");
            return Err(NoQemu::Unusable { program, problem });
        };
        let machines = ask(&["-machine", "help"])?;
        if !machines.lines().any(|line| line.split_whitespace().next() == Some("pseries")) {
            return Err(NoQemu::NoPseries { program, banner });
        }
        Ok(Self { program, version, banner })
    }
}

impl Qemu {
    /// The names that `-cpu` takes, among them the short ones.
    pub fn cpus(&self) -> Result<Vec<String>, NoQemu> {
        let answer = ask(&self.program, &["-cpu", "help"]).map_err(|problem| NoQemu::Unusable {
            program: self.program.clone(),
            problem: problem.to_string(),
        })?;
        // A line reads `PowerPC power9_v2.0 PVR 004e1200`, from QEMU 9 on without its first word.
        let names = answer.lines().filter_map(|line| {
            let line = line.trim();
            line.strip_prefix("PowerPC ").unwrap_or(line).split_whitespace().next()
        });
        Ok(names.map(str::to_owned).collect())
    }
}

/// Where a program is: as it stands if it names a directory, else on the `PATH`.
fn resolve(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsStr::new("/usr/bin:/bin").to_owned());
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Runs a program to its end and returns what it prints.
fn ask(program: &Path, arguments: &[&str]) -> io::Result<String> {
    let mut out = tempfile::tempfile()?;
    let mut err = tempfile::tempfile()?;
    let (stdout, stderr) = (Stdio::from(out.try_clone()?), Stdio::from(err.try_clone()?));
    let mut process = Process::start(program, arguments, Stdio::null(), stdout, stderr)?;
    let Some(exit) = process.wait(Instant::now() + ASK_LIMIT) else {
        return Err(io::Error::other(format!("`{}` does not end", arguments.join(" "))));
    };
    let mut text = String::new();
    let source = if exit.success() { &mut out } else { &mut err };
    // On a full disk some of it is missing; then there is no room for this, either.
    source.write_all(b"\n")?;
    source.rewind()?;
    source.read_to_string(&mut text)?;
    if exit.success() {
        Ok(text)
    } else {
        Err(io::Error::other(format!("`{}` {exit}: {}", arguments.join(" "), text.trim())))
    }
}

#[cfg(test)]
mod tests {
    use super::{NoQemu, Qemu, Version};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    #[test]
    fn a_version_is_read_from_every_kind_of_banner() {
        for (banner, version) in [
            ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)", Version::new(7, 2, 22)),
            ("QEMU emulator version 2.6.0, Copyright (c) 2003-2008", Version::new(2, 6, 0)),
            ("QEMU emulator version 11.1.50 (v11.1.0-5-gdeadbeef)", Version::new(11, 1, 50)),
            ("QEMU emulator version 10.0", Version::new(10, 0, 0)),
        ] {
            assert_eq!(Version::from_banner(banner), Some(version), "{banner}");
        }
        assert_eq!(Version::from_banner("bash, version x"), None);
        assert_eq!(Version::from_banner(""), None);
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_letter() {
        assert!(Version::new(10, 0, 2) > Version::new(9, 2, 4));
        assert!(Version::new(10, 0, 13) > Version::new(10, 0, 2));
    }

    /// A program that answers `--version` and `-machine help` as told. A shell of its own writes it: were it open for
    /// writing here while another test starts a process, it could not be executed.
    fn script(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("qemu");
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
        let status = Command::new("sh").args(["-c", write]).arg(&path).arg(text).status().expect("a shell");
        assert!(status.success());
        path
    }

    #[test]
    fn a_missing_qemu_says_what_to_install() {
        let error = Qemu::find(Some(Path::new("/nowhere/qemu"))).expect_err("there is none");
        assert!(matches!(error, NoQemu::Missing { .. }));
        let text = error.to_string();
        assert!(
            text.contains("qemu-system-ppc") && text.contains("--qemu") && text.contains("/nowhere/qemu"),
            "{text}"
        );
    }

    #[test]
    fn a_qemu_without_pseries_is_refused() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = script(
            folder.path(),
            "[ $1 = --version ] && echo QEMU emulator version 7.2.1 || echo 'none empty machine'",
        );
        let error = Qemu::find(Some(&path)).expect_err("no pseries");
        assert!(matches!(error, NoQemu::NoPseries { .. }), "{error}");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = script(folder.path(), "echo missing libfdt >&2; exit 3");
        let text = Qemu::find(Some(&path)).expect_err("it fails").to_string();
        assert!(text.contains("missing libfdt") && text.contains('3'), "{text}");
    }
}
