//! Why a run stopped before its end.

use crate::qemu::process::Exit;
use crate::qmp::QmpError;
use crate::verdict::Verdict;
use std::fmt;

/// The reason, and what was being waited for.
#[derive(Debug)]
pub enum Stop {
    /// The deadline passed.
    TimedOut {
        /// What did not come.
        waiting_for: String,
    },
    /// The guest has not said a word.
    Silent {
        /// For how long.
        seconds: u64,
        /// The last line of the console, which is the firmware's, or nobody's.
        last_line: String,
    },
    /// QEMU did not come so far that it could be asked anything.
    NotStarted {
        /// How that showed itself.
        why: String,
        /// How it ended, if it did.
        exit: Option<Exit>,
        /// What it wrote to its standard error.
        last_words: String,
        /// The command, for a shell.
        command: String,
    },
    /// A machine that was to move into another QEMU is not there.
    NotMoved {
        /// How that showed itself.
        why: String,
        /// How the second QEMU ended, if it did.
        exit: Option<Exit>,
        /// What the second QEMU wrote to its standard error.
        last_words: String,
        /// The command that started it, for a shell.
        command: String,
    },
    /// QEMU ended.
    Ended {
        /// What did not come.
        waiting_for: String,
        /// How it ended.
        exit: Exit,
        /// What it wrote to its standard error.
        last_words: String,
    },
    /// The guest gave up: a panic, or an exception that nobody expected.
    GuestGaveUp {
        /// What did not come.
        waiting_for: String,
        /// Its own words.
        words: String,
    },
    /// QEMU refused a command, or spoke no QMP.
    Qmp(QmpError),
    /// Somebody asked us to end.
    Interrupted,
    /// The host's side is broken.
    Broken(String),
}

impl Stop {
    /// What a run that stopped so is worth.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::TimedOut { .. } | Self::Silent { .. } | Self::Qmp(QmpError::TimedOut(_)) => {
                Verdict::TimedOut
            }
            Self::Ended { .. } | Self::GuestGaveUp { .. } | Self::Qmp(QmpError::Closed) => Verdict::Crash,
            // A status of its own is most often a wrong option; a signal is not.
            Self::NotStarted { exit: Some(exit), .. } | Self::NotMoved { exit: Some(exit), .. }
                if exit.signal().is_some() =>
            {
                Verdict::Crash
            }
            Self::NotMoved { .. } => Verdict::Fail,
            Self::NotStarted { .. } | Self::Qmp(_) | Self::Interrupted | Self::Broken(_) => Verdict::Error,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { waiting_for } => write!(f, "the time is over, and {waiting_for} has not come"),
            Self::Silent { seconds, last_line } => {
                write!(f, "the guest has not said a word in {seconds} s; ")?;
                match last_line.as_str() {
                    "" => f.write_str("the console is empty.\n")?,
                    line => writeln!(f, "the console ends with: {line}")?,
                }
                f.write_str(
                    "Is that Paprika's payload? Build it with `make payload`, or name it with `--payload PATH`.\n\
                     A slow machine may need more: `--timeout SECONDS`; `paprika boot` shows the bare console.",
                )
            }
            Self::Ended { waiting_for, exit, last_words } => {
                write!(f, "QEMU {exit} while {waiting_for} was due; {}", Words(last_words))
            }
            Self::NotStarted { why, last_words, command, .. } => write!(
                f,
                "{why}; {}\nThe command, to be tried by hand:\n  {command}\n\
                 If an option of yours is at fault, see `--machine`, `--cpu`, `--mem`.",
                Words(last_words)
            ),
            Self::NotMoved { why, exit, last_words, command } => {
                write!(f, "the machine did not come over into the second QEMU: {why}")?;
                exit.iter().try_for_each(|exit| write!(f, ", and the second QEMU {exit}"))?;
                write!(
                    f,
                    "; {}\nBoth need the same machine, CPU and devices. The command of the second:\n  {command}",
                    Words(last_words)
                )
            }
            Self::GuestGaveUp { waiting_for, words } => {
                write!(f, "the guest gave up while {waiting_for} was due: {words}")
            }
            Self::Qmp(error) => error.fmt(f),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Broken(what) => f.write_str(what),
        }
    }
}

/// The end of QEMU's standard error, where there is any.
struct Words<'w>(&'w str);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.trim() {
            "" => f.write_str("it said nothing"),
            words => write!(f, "its last words:\n{words}"),
        }
    }
}

impl std::error::Error for Stop {}

impl From<QmpError> for Stop {
    fn from(error: QmpError) -> Self {
        Self::Qmp(error)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}
