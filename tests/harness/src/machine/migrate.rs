//! Migration: the machine moves into a second QEMU, and with it all that is read and said.
//!
//! The second QEMU gets the same command line and the devices that were plugged since. It speaks through sockets of its own,
//! in a directory within the private one. When the machine has come over, the first QEMU is heard to its last word and ended;
//! from then on the console, the monitor and the trace are those of the second. What it traced while it was built is left
//! out: to the guest nothing of that has happened.
//!
//! Where the machine does not come over, the first QEMU goes on, and the second is ended.

mod additions;
mod leaving;

pub use additions::Addition;
pub use leaving::Failure;

use super::launch::{self, Engine};
use super::{Machine, TRACE_LOG};
use crate::defects::loses_the_decrementer;
use crate::qemu::Qemu;
use crate::qemu::command::Setup;
use crate::qmp::QmpError;
use crate::readiness::readable;
use crate::stop::Stop;
use crate::transcript::Mark;
use leaving::is_over;
use paprika::log::Record;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a machine may be on its way.
const MOVE_LIMIT: Duration = Duration::from_secs(60);
/// How often QEMU is asked how far it is.
const POLL: Duration = Duration::from_millis(5);
/// How long a QEMU may take to end that has closed its monitor.
const END_LIMIT: Duration = Duration::from_secs(5);
/// The order that tells a guest that it has been moved.
const MIGRATED: &str = "migrated";

/// How the state of a machine gets from one QEMU to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Through a socket, while the guest runs.
    #[default]
    Socket,
    /// Into a file through a command, and out of it through another, which every QEMU can.
    Command,
    /// Into a file and out of it: QEMU since 8.2.
    File,
}

/// Changes what is added to the command line of the second QEMU.
type Arrange = fn(&mut [Addition]);

/// Has the guest of a machine that is to move stay awake: one that sleeps would sleep on, where QEMU loses the decrementer.
pub fn keep_awake(setup: &mut Setup) {
    if loses_the_decrementer(setup.qemu.version) {
        setup.append.push("wait=spin".to_owned());
    }
}

/// A move into another QEMU.
#[derive(Clone, Debug)]
pub struct Journey {
    /// How.
    pub way: Way,
    /// Into which QEMU; nothing for one like that in which the machine is.
    pub to: Option<Qemu>,
    /// What is changed in the additions to its command line.
    pub arrange: Arrange,
}

impl Default for Journey {
    fn default() -> Self {
        Self { way: Way::Socket, to: None, arrange: |_| {} }
    }
}

/// A second QEMU that waits for the machine.
struct Destination {
    engine: Engine,
    setup: Setup,
    place: PathBuf,
}

impl Machine {
    /// Moves the machine into another QEMU. A guest that ran goes on there.
    ///
    /// # Errors
    /// [`Stop::NotMoved`] where it does not come over; then it goes on in the QEMU in which it was.
    pub fn migrate(&mut self, journey: &Journey) -> Result<(), Stop> {
        self.tell("migrate");
        let runs = self.runs()?;
        let mut destination = self.prepare(journey)?;
        if let Err(stop) = self.send_over(journey.way, &mut destination) {
            if runs && self.exit.is_none() {
                self.ask("cont", json!({}))?;
            }
            return Err(stop);
        }
        self.move_in(destination)?;
        if runs { self.execute("cont", json!({})).map(drop) } else { Ok(()) }
    }

    /// Tells the guest that it has been moved, and waits until it has looked around; how many things are not as they were.
    /// It has to hold, or to idle.
    pub fn tell_of_move(&mut self) -> Result<u32, Stop> {
        let from: Mark = self.transcript.mark();
        self.say(MIGRATED)?;
        self.wait("what the guest finds after its move", |machine| {
            machine.transcript.entries_since(from).find_map(|entry| match entry.record {
                Record::Moved { odd, .. } => Some(odd),
                _ => None,
            })
        })
    }

    /// How often the machine has moved.
    pub fn moves(&self) -> u32 {
        self.past.moves
    }

    /// Whether the guest runs.
    fn runs(&mut self) -> Result<bool, Stop> {
        let status = self.execute("query-status", json!({}))?;
        Ok(status.get("running").and_then(Value::as_bool).unwrap_or(false))
    }

    /// Starts the second QEMU: the same machine, with what was plugged since.
    fn prepare(&mut self, journey: &Journey) -> Result<Destination, Stop> {
        let mut setup = self.setup.clone();
        if let Some(qemu) = &journey.to {
            setup.qemu = qemu.clone();
            may_move(&self.setup, &setup)?;
        }
        let mut additions = self.present_additions()?;
        (journey.arrange)(&mut additions);
        let further = additions.iter().flat_map(Addition::words).chain(["-incoming".into(), "defer".into()]);
        let started_with =
            Setup { extra: setup.extra.iter().cloned().chain(further).collect(), ..setup.clone() };
        let place = self.directory.file(&format!("moved-{}", self.past.moves + 1));
        // What is left of a move that failed is of no use any more.
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place)?;
        let engine = Engine::start(&started_with, &place, self.started, self.until)?;
        Ok(Destination { engine, setup, place })
    }

    fn send_over(&mut self, way: Way, destination: &mut Destination) -> Result<(), Stop> {
        // As fast as it goes; a QEMU that cannot be told does as it is used to.
        self.ask("migrate-set-parameters", json!({ "max-bandwidth": 8_u64 << 30 }))?;
        let state = destination.place.join("state");
        let path = state.display();
        match way {
            Way::Socket => {
                let uri = format!("unix:{path}");
                destination.receive(&uri, self.until)?;
                self.send(&uri, destination)?;
            }
            // The file has its name only when all of it is written.
            Way::Command => {
                self.send(&format!("exec:cat > '{path}.part' && mv '{path}.part' '{path}'"), destination)?;
                let there = |_: &Self| state.exists().then_some(());
                self.wait_within(MOVE_LIMIT, "the file with the machine's state", there)?;
                destination.receive(&format!("exec:cat '{path}'"), self.until)?;
            }
            Way::File => {
                self.send(&format!("file:{path}"), destination)?;
                destination.receive(&format!("file:{path}"), self.until)?;
            }
        }
        destination.wait_until_it_is_there(self.until)
    }

    /// Has the QEMU in which the machine is send it, and waits until it has.
    fn send(&mut self, uri: &str, destination: &mut Destination) -> Result<(), Stop> {
        self.execute("migrate", json!({ "uri": uri }))?;
        let end = self.wait_for_migration("the end of the migration", is_over)?;
        if end.status == "completed" {
            return Ok(());
        }
        Err(destination.not_moved(format!("the migration {}", end)))
    }

    /// Hears the first QEMU to its last word, ends it, and goes on with the second.
    fn move_in(&mut self, destination: Destination) -> Result<(), Stop> {
        let Destination { engine, setup, place } = destination;
        while let [true] = readable([Some(self.console.stream())], Instant::now())? {
            self.hear_console()?;
            if self.console.is_closed() {
                return Err(Stop::Broken("QEMU has closed its console before it was told to end".into()));
            }
        }
        self.past.trace = self.trace();
        self.past.moves += 1;
        self.past.built = fs::read(place.join(TRACE_LOG)).map_or(0, |trace| trace.len());
        self.process.kill();
        self.console.follow(engine.console);
        self.qmp.follow(engine.qmp);
        self.process = engine.process;
        self.command = format!("{}\n{}", self.command, engine.command);
        (self.setup, self.place) = (setup, place);
        self.tell("goes on in the second QEMU");
        Ok(())
    }
}

impl Destination {
    /// Has it wait for the machine.
    fn receive(&mut self, uri: &str, until: Instant) -> Result<(), Stop> {
        match self.engine.qmp.execute("migrate-incoming", json!({ "uri": uri }), until) {
            Err(QmpError::Closed) => Err(self.not_moved("it has closed its monitor".to_owned())),
            other => Ok(other.map(drop)?),
        }
    }

    /// Waits until all of the machine is there.
    fn wait_until_it_is_there(&mut self, until: Instant) -> Result<(), Stop> {
        let until = until.min(Instant::now() + MOVE_LIMIT);
        loop {
            let status = match self.engine.qmp.execute("query-status", json!({}), until) {
                Err(QmpError::Closed) => return Err(self.not_moved("it did not take the machine".to_owned())),
                other => other?,
            };
            if status.get("status").and_then(Value::as_str) != Some("inmigrate") {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Stop::TimedOut { waiting_for: "the machine in the second QEMU".to_owned() });
            }
            sleep(POLL);
        }
    }

    /// Why the machine is not there, with how the second QEMU ended, if it has.
    fn not_moved(&mut self, why: String) -> Stop {
        let exit = self.engine.process.wait(Instant::now() + END_LIMIT);
        let last_words = launch::last_words(&self.place);
        Stop::NotMoved { why, exit, last_words, command: self.engine.command.clone() }
    }
}

/// Says what can be known of a move between two QEMUs before it is tried.
fn may_move(from: &Setup, to: &Setup) -> Result<(), Stop> {
    let names_its_type = from.machine.as_deref().is_some_and(|machine| machine.starts_with("pseries-"));
    if from.qemu.version == to.qemu.version || (names_its_type && from.cpu.is_some()) {
        return Ok(());
    }
    Err(Stop::Broken(format!(
        "QEMU {} and {} do not mean the same by `pseries`.\n\
         Name a machine type and a CPU that both know, as `--machine pseries-7.2 --cpu power9_v2.0`.",
        from.qemu.version, to.qemu.version
    )))
}

#[cfg(test)]
mod tests {
    use super::may_move;
    use crate::qemu::command::Setup;
    use crate::qemu::{Qemu, Version};

    #[test]
    fn machines_of_different_versions_need_a_type_that_both_know() {
        let setup = |major| {
            let version = Version::new(major, 0, 0);
            Setup::new(Qemu { program: "q".into(), version, banner: String::new() }, "p".into())
        };
        let (mut from, to) = (setup(7), setup(10));
        assert!(may_move(&from, &from).is_ok());
        let words = may_move(&from, &to).expect_err("they differ").to_string();
        assert!(words.contains("--machine pseries-7.2"), "{words}");
        from.machine = Some("pseries-7.2,ic-mode=xics".into());
        assert!(may_move(&from, &to).is_err(), "the CPU differs, too");
        from.cpu = Some("power9_v2.0".into());
        assert!(may_move(&from, &to).is_ok());
    }
}
