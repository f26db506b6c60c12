//! One running QEMU, with its witnesses, and waiting for what they say.
//!
//! While something is awaited, the console and the monitor are both read: a QEMU whose console nobody reads blocks, and
//! then answers nothing either. Every wait has a deadline, ends when QEMU ends, and ends when somebody presses Ctrl-C.

mod launch;
mod migrate;

pub use migrate::{Addition, Failure, Journey, Way, keep_awake};

use crate::console::Console;
use crate::directory::Directory;
use crate::qemu::Version;
use crate::qemu::command::{Setup, TRACE_LOG};
use crate::qemu::process::{Exit, Process};
use crate::qmp::{Event, Qmp, QmpError};
use crate::readiness::readable;
use crate::signals;
use crate::stop::Stop;
use crate::timeline::{Deed, Testimony};
use crate::transcript::{Line, Mark, Transcript};
use paprika::log::Record;
use serde_json::{Value, json};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The order that lets a guest go on that holds.
const GO: &str = "go";
/// How long a guest may take to its first word, on a busy machine and under the slower firmware.
const FIRST_WORD_LIMIT: Duration = Duration::from_secs(90);
/// How long a QEMU that has closed its sockets may take to end.
const END_LIMIT: Duration = Duration::from_secs(10);
/// The timeline in the private directory.
const TIMELINE: &str = "timeline.jsonl";
/// How much of QEMU's standard error is quoted: its end.
const LAST_WORDS: usize = 4096;

/// Something worth showing to whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Sight<'s> {
    /// The guest said a line, or the firmware did.
    Line(&'s Line),
    /// QEMU told of something.
    Event(&'s Event),
    /// The host does something.
    Action {
        /// When, since the machine was started.
        at: Duration,
        /// What.
        text: &'s str,
    },
}

/// Somebody who watches a machine.
pub type Watcher = Box<dyn FnMut(Sight<'_>) + Send>;

/// A running QEMU. Dropping it ends it.
pub struct Machine {
    process: Process,
    console: Console,
    qmp: Qmp,
    transcript: Transcript,
    /// How many of QEMU's events the watcher has seen.
    shown: usize,
    exit: Option<Exit>,
    started: Instant,
    /// The same by the wall clock, since 1970.
    started_at: Duration,
    deeds: Vec<Deed>,
    until: Instant,
    /// When the guest was set going.
    running_since: Option<Instant>,
    watcher: Watcher,
    /// How it was started.
    setup: Setup,
    /// What was added to it since.
    additions: Vec<Addition>,
    /// Where the QEMU that runs now keeps what it says.
    place: PathBuf,
    past: Past,
    command: String,
    /// Last, so that it is removed after everything that writes into it has ended.
    directory: Directory,
}

/// What is left of the QEMUs in which the machine was before.
#[derive(Debug, Default)]
struct Past {
    /// How many there were.
    moves: u32,
    /// Their traces.
    trace: String,
    /// How much of the trace of this QEMU tells of how it was built, and not of the machine that moved into it.
    built: usize,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("command", &self.command)
            .field("exit", &self.exit)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// Lets the guest run.
    pub fn start(&mut self) -> Result<(), Stop> {
        self.tell("cont");
        self.running_since = Some(Instant::now());
        self.execute("cont", json!({})).map(drop)
    }

    /// Has QEMU do something and waits for its answer.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Stop> {
        let due = format!("the answer to `{command}`");
        let added = Addition::of(command, &arguments);
        let ticket = match self.qmp.send(command, arguments) {
            Err(QmpError::Closed) => return Err(self.ended(&due)),
            other => other?,
        };
        // Not through `wait`: the answer may be the last thing that QEMU says.
        loop {
            match self.qmp.answer(ticket) {
                Some(Err(QmpError::Closed)) => return Err(self.ended(&due)),
                Some(answer) => {
                    let answer = answer?;
                    self.additions.extend(added);
                    return Ok(answer);
                }
                None => {}
            }
            if let Err(stop) = self.go_on(&due) {
                self.qmp.forget(ticket);
                return Err(stop);
            }
        }
    }

    /// The same for a command that this QEMU may lack, or refuse: nothing where it does.
    pub fn ask(&mut self, command: &str, arguments: Value) -> Result<Option<Value>, Stop> {
        match self.execute(command, arguments) {
            Ok(answer) => Ok(Some(answer)),
            Err(Stop::Qmp(QmpError::Refused { .. })) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// Why nothing comes any more from a QEMU that has closed its monitor: how it ended, with its last words.
    fn ended(&mut self, waiting_for: &str) -> Stop {
        loop {
            if let Err(stop) = self.go_on(waiting_for) {
                return stop;
            }
        }
    }

    /// Waits until `done` has a value.
    pub fn wait<T>(&mut self, what: &str, mut done: impl FnMut(&Self) -> Option<T>) -> Result<T, Stop> {
        loop {
            if let Some(value) = done(self) {
                return Ok(value);
            }
            self.go_on(what)?;
        }
    }

    /// Waits until `done` has a value, but no longer than `limit`; `None` when it is over.
    pub fn wait_within<T>(
        &mut self,
        limit: Duration,
        what: &str,
        done: impl FnMut(&Self) -> Option<T>,
    ) -> Result<Option<T>, Stop> {
        let whole = self.until;
        self.until = whole.min(Instant::now() + limit);
        let result = self.wait(what, done);
        self.until = whole;
        match result {
            Err(Stop::TimedOut { .. }) if Instant::now() < whole => Ok(None),
            other => other.map(Some),
        }
    }

    /// Waits for a record that `wanted` accepts, said after `from`.
    pub fn wait_for_record(
        &mut self,
        what: &str,
        from: Mark,
        wanted: impl Fn(&Record<'_>) -> bool,
    ) -> Result<(), Stop> {
        let mut from = from;
        self.wait(what, |machine| {
            let found = machine.transcript.says(from, &wanted);
            from = machine.transcript.mark();
            found.then_some(())
        })
    }

    /// Waits for an event of QEMU's that `wanted` accepts, from the `from`-th on.
    pub fn wait_for_event(
        &mut self,
        what: &str,
        from: usize,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Event, Stop> {
        self.wait(what, |machine| machine.events().iter().skip(from).find(|event| wanted(event)).cloned())
    }

    /// Waits until QEMU has ended.
    pub fn wait_for_end(&mut self) -> Result<Exit, Stop> {
        self.wait("the end of QEMU", |machine| machine.exit)
    }

    /// Waits until the guest holds at a station, from `from` on.
    pub fn wait_for_hold(&mut self, station: &str, from: Mark) -> Result<(), Stop> {
        self.wait_for_record(
            &format!("the hold at `{station}`"),
            from,
            |record| matches!(record, Record::Hold { station: here, .. } if here.0 == station),
        )
    }

    /// Lets a guest go on that holds, and waits until it has heard it.
    pub fn go(&mut self) -> Result<(), Stop> {
        self.order(GO)
    }

    /// Gives an order to a guest that holds or idles, and waits until it has heard it.
    pub fn order(&mut self, line: &str) -> Result<(), Stop> {
        let from = self.transcript.mark();
        self.say(line)?;
        let heard = |record: &Record<'_>| matches!(record, Record::Order { line: heard } if heard.0 == line);
        self.wait_for_record(&format!("the answer to `{line}`"), from, heard)
    }

    /// Resets the machine.
    pub fn reset(&mut self) -> Result<(), Stop> {
        self.tell("system_reset");
        self.execute("system_reset", json!({})).map(drop)
    }

    /// Says a line to the guest.
    pub fn say(&mut self, line: &str) -> Result<(), Stop> {
        self.tell(&format!("says `{line}` to the guest"));
        match self.console.say(line) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Err(self.ended(&format!("`{line}`")))
            }
            other => Ok(other?),
        }
    }

    /// Shows the watcher what the host does.
    pub fn tell(&mut self, text: &str) {
        let at = self.started.elapsed();
        (self.watcher)(Sight::Action { at, text });
        self.deeds.push(Deed { at, text: text.to_owned() });
    }

    /// All that was said and done, in the order of time.
    pub fn timeline(&self) -> Vec<Value> {
        Testimony {
            transcript: &self.transcript,
            events: self.events(),
            trace: &self.trace(),
            deeds: &self.deeds,
            started: self.started_at,
        }
        .timeline()
    }

    /// Writes the timeline into the private directory.
    pub fn write_timeline(&self) -> io::Result<()> {
        let lines = self.timeline().into_iter().map(|moment| format!("{moment}\n"));
        fs::write(self.directory.file(TIMELINE), lines.collect::<String>())
    }

    /// What the guest said.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// What QEMU told, in order.
    pub fn events(&self) -> &[Event] {
        self.qmp.events()
    }

    /// How QEMU ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.exit
    }

    /// QEMU's version.
    pub fn version(&self) -> Version {
        self.setup.qemu.version
    }

    /// QEMU's process number.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The command that started it, for a shell.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The private directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The end of QEMU's standard error.
    pub fn last_words(&self) -> String {
        launch::last_words(&self.place)
    }

    /// Why something that was said is not on disk, as it should be.
    pub fn unwritten(&self) -> Option<&str> {
        self.console.unwritten().or(self.qmp.unwritten())
    }

    /// The trace so far; empty where this QEMU writes none.
    pub fn trace(&self) -> String {
        let trace = fs::read(self.place.join(TRACE_LOG)).unwrap_or_default();
        let own = trace.get(self.past.built..).unwrap_or_default();
        format!("{}{}", self.past.trace, String::from_utf8_lossy(own))
    }

    /// Reads what comes next, or says why nothing can come any more.
    fn go_on(&mut self, waiting_for: &str) -> Result<(), Stop> {
        let waiting_for = waiting_for.to_owned();
        if signals::asked_to_end() {
            return Err(Stop::Interrupted);
        }
        if let Some(exit) = self.exit {
            return Err(match self.surrender() {
                Some(words) => Stop::GuestGaveUp { waiting_for, words },
                None => Stop::Ended { waiting_for, exit, last_words: self.last_words() },
            });
        }
        if let Some(problem) = self.transcript.foreign() {
            return Err(Stop::Broken(problem.to_owned()));
        }
        if self.console.floods() {
            return Err(Stop::Broken(format!("the console floods while {waiting_for} is due")));
        }
        let late = Instant::now() >= self.until;
        if let Some(seconds) = self.silent_for().filter(|&silent| late || silent >= FIRST_WORD_LIMIT) {
            let last_line = self.transcript.tail(1).first().map(|line| line.text.clone()).unwrap_or_default();
            return Err(Stop::Silent { seconds: seconds.as_secs(), last_line });
        }
        if late {
            return Err(Stop::TimedOut { waiting_for });
        }
        self.pump()
    }

    /// Waits a little for either witness and takes what it says; when both are gone, sees how QEMU ended.
    fn pump(&mut self) -> Result<(), Stop> {
        let console = (!self.console.is_closed()).then_some(self.console.stream() as _);
        let qmp = (!self.qmp.is_closed()).then_some(self.qmp.stream() as _);
        let [console_ready, qmp_ready] = readable([console, qmp], self.until)?;
        if console_ready {
            self.hear_console()?;
        }
        if qmp_ready {
            self.qmp.receive()?;
            for event in self.qmp.events().iter().skip(self.shown) {
                (self.watcher)(Sight::Event(event));
            }
            self.shown = self.qmp.events().len();
        }
        if self.console.is_closed() && self.qmp.is_closed() {
            self.exit = self.process.wait(Instant::now() + END_LIMIT);
            if self.exit.is_none() {
                self.process.kill();
                return Err(Stop::Broken("QEMU has closed its sockets, but does not end".into()));
            }
        }
        Ok(())
    }

    /// Takes what the console says; to be called when it says something, else it blocks.
    fn hear_console(&mut self) -> Result<(), Stop> {
        for text in self.console.receive()? {
            let line = self.transcript.push(self.started.elapsed(), text);
            (self.watcher)(Sight::Line(line));
        }
        Ok(())
    }

    /// For how long the guest runs that has not said a word yet.
    fn silent_for(&self) -> Option<Duration> {
        if self.transcript.boots() > 0 { None } else { self.running_since.map(|since| since.elapsed()) }
    }

    /// The guest's own words, where it gave up.
    fn surrender(&self) -> Option<String> {
        self.transcript.entries().find_map(|entry| match entry.record {
            Record::Panic { file, line, message } => Some(format!("panic at {file}:{line}: {message}")),
            Record::Exception { name, srr0, .. } => Some(format!("exception `{name}` at {srr0:?}")),
            _ => None,
        })
    }
}
