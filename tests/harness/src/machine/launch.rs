//! Starting QEMU: sockets that listen already, so that it finds them, and so that nothing it says can be lost.

use super::{LAST_WORDS, Machine, Past, Watcher};
use crate::console::Console;
use crate::directory::Directory;
use crate::qemu::command::{CONSOLE_SOCKET, Ends, QMP_SOCKET, Setup, for_shell};
use crate::qemu::process::Process;
use crate::qmp::{Qmp, QmpError};
use crate::readiness::readable;
use crate::signals;
use crate::stop::Stop;
use crate::transcript::Transcript;
use std::fs::{self, File};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a QEMU may take from its start to its greeting, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The names of what is kept in the private directory, beside the sockets and the trace.
const COMMAND: &str = "command";
const CONSOLE_LOG: &str = "console.log";
const QMP_JOURNAL: &str = "qmp.jsonl";
const STDERR: &str = "stderr";

impl Machine {
    /// Starts QEMU, stopped before the guest's first instruction. All that is waited for later must come before `until`.
    pub fn launch(setup: &Setup, until: Instant, watcher: Watcher) -> Result<Self, Stop> {
        Self::launch_in(Directory::new(setup.keep)?, setup, until, watcher)
    }

    /// The same in a private directory that is there already.
    pub fn launch_in(
        directory: Directory,
        setup: &Setup,
        until: Instant,
        watcher: Watcher,
    ) -> Result<Self, Stop> {
        let started = Instant::now();
        let started_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let place = directory.path().to_owned();
        let Engine { process, console, qmp, command } = Engine::start(setup, &place, started, until)?;
        Ok(Self {
            process,
            console,
            qmp,
            place,
            past: Past::default(),
            additions: Vec::new(),
            setup: setup.clone(),
            transcript: Transcript::default(),
            shown: 0,
            exit: None,
            started,
            started_at,
            deeds: Vec::new(),
            until,
            running_since: None,
            watcher,
            command,
            directory,
        })
    }
}

/// A QEMU that was started, stopped before the guest's first instruction, with the two ends through which it speaks.
pub(super) struct Engine {
    pub(super) process: Process,
    pub(super) console: Console,
    pub(super) qmp: Qmp,
    /// The command that started it, for a shell.
    pub(super) command: String,
}

impl Engine {
    /// Starts it; what it says is kept in the directory `place`, and times count from `started`.
    pub(super) fn start(setup: &Setup, place: &Path, started: Instant, until: Instant) -> Result<Self, Stop> {
        setup.check().map_err(|unfit| Stop::Broken(unfit.to_string()))?;
        let arguments = setup.arguments(Ends::Sockets(place));
        let command = for_shell(&setup.qemu.program, &arguments);
        fs::write(place.join(COMMAND), format!("{command}\n"))?;

        let console = UnixListener::bind(place.join(CONSOLE_SOCKET))?;
        let qmp = UnixListener::bind(place.join(QMP_SOCKET))?;
        let stderr = File::create(place.join(STDERR))?;
        let program = &setup.qemu.program;
        let stdout = Stdio::from(stderr.try_clone()?);
        let mut process = Process::start(program, &arguments, Stdio::null(), stdout, stderr.into())?;

        let limit = until.min(Instant::now() + START_LIMIT);
        let mut connect = || -> Result<(Console, Qmp), Stop> {
            let console = Console::new(
                accept(&console, &mut process, limit)?,
                Some(File::create(place.join(CONSOLE_LOG))?),
            )?;
            let journal = File::create(place.join(QMP_JOURNAL))?;
            let mut qmp = Qmp::new(accept(&qmp, &mut process, limit)?, started, Some(journal))?;
            match qmp.greet(limit) {
                Err(QmpError::Closed) => Err(not_started(&mut process, limit)),
                other => other.map_err(Stop::from).map(|_| (console, qmp)),
            }
        };
        let (console, qmp) = connect().map_err(|stop| match stop {
            Stop::NotStarted { why, exit, .. } => {
                Stop::NotStarted { why, exit, last_words: last_words(place), command: command.clone() }
            }
            other => other,
        })?;
        Ok(Self { process, console, qmp, command })
    }
}

/// Waits for QEMU to connect.
fn accept(listener: &UnixListener, process: &mut Process, limit: Instant) -> Result<UnixStream, Stop> {
    loop {
        if let [true] = readable([Some(listener)], limit)? {
            let (stream, _) = listener.accept()?;
            stream.set_nonblocking(false)?;
            return Ok(stream);
        }
        if process.exit().is_some() {
            return Err(not_started(process, limit));
        }
        if Instant::now() >= limit {
            return Err(Stop::TimedOut { waiting_for: "QEMU's first word".to_owned() });
        }
        if signals::asked_to_end() {
            return Err(Stop::Interrupted);
        }
    }
}

/// Why it did not start; command and last words are filled in by the caller.
fn not_started(process: &mut Process, limit: Instant) -> Stop {
    let exit = process.wait(limit);
    let why = match exit {
        Some(exit) => format!("QEMU {exit} before it was ready"),
        None => "QEMU did not get ready in time".to_owned(),
    };
    Stop::NotStarted { why, exit, last_words: String::new(), command: String::new() }
}

/// The end of what QEMU wrote to its standard error.
pub(super) fn last_words(place: &Path) -> String {
    let bytes = fs::read(place.join(STDERR)).unwrap_or_default();
    let from = bytes.len().saturating_sub(LAST_WORDS);
    String::from_utf8_lossy(&bytes[from..]).trim().to_owned()
}
