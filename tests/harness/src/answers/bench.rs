//! The bench: where a short script is played against a machine of its own, and what it finds out is noted.

use super::facts::Facts;
use crate::defects::{Step, explaining};
use crate::device::{self, Kind};
use crate::machine::Machine;
use crate::qemu::Version;
use crate::qemu::command::Setup;
use crate::qmp::QmpError;
use crate::race::settle::idles;
use crate::scenario::{is_deletion, is_end};
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::verdict::Verdict;
use paprika::log::{Record, Request};
use paprika::papr::drc::DrcIndex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long what should come may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long QEMU may take to tell what came of a request that the guest is through with.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// A script: an experiment of one boot.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Its name.
    pub name: &'static str,
    /// What is done, in a sentence.
    pub story: &'static str,
    /// The boot arguments.
    pub append: &'static str,
    /// What is set up otherwise.
    pub arrange: fn(&mut Setup),
    /// What is done.
    pub play: fn(&mut Bench<'_>) -> Result<(), Stop>,
}

/// What came of a script.
#[derive(Clone, Debug)]
pub struct Played {
    /// What it found out.
    pub facts: Facts,
    /// Where it ended early: what that is worth, and why. A crash that is known of this QEMU is an expected one.
    pub ended: Option<(Verdict, String)>,
    /// How long it took.
    pub took: Duration,
}

/// A device on the bench.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its id, under which its facts are noted.
    pub id: String,
    /// Its connectors.
    pub connectors: Vec<DrcIndex>,
    /// Where the transcript was when it was plugged.
    pub since: Mark,
}

/// A machine, and the facts so far.
#[derive(Debug)]
pub struct Bench<'m> {
    /// The machine.
    pub machine: &'m mut Machine,
    /// The facts.
    pub facts: Facts,
    since: Mark,
    /// What was plugged, by its id.
    kinds: BTreeMap<String, Kind>,
    /// What was done, in the words of the list of known defects.
    steps: Vec<Step>,
}

impl Script {
    /// Plays it.
    pub fn run(&self, base: &Setup, limit: Duration) -> Played {
        let begin = Instant::now();
        let mut setup = base.clone();
        setup.append.push(self.append.to_owned());
        setup.keep = false;
        (self.arrange)(&mut setup);
        let (facts, ended) = match Machine::launch(&setup, begin + limit, Box::new(|_| {})) {
            Err(stop) => (Facts::default(), Some((stop.verdict(), in_a_line(&stop)))),
            Ok(mut machine) => {
                let version = machine.version();
                let mut bench = Bench::new(&mut machine);
                let end = bench.machine.start().and_then(|()| (self.play)(&mut bench));
                let ended = end.err().map(|stop| bench.worth(&stop, version));
                (bench.facts, ended)
            }
        };
        Played { facts, ended, took: begin.elapsed() }
    }
}

/// Why a script stopped, in a line. Of a QEMU that ended only the last of its words is quoted.
fn in_a_line(stop: &Stop) -> String {
    match stop {
        Stop::Ended { waiting_for, exit, last_words } => {
            let last = last_words.lines().last().unwrap_or_default();
            format!("QEMU {exit} while {waiting_for} was due; its last words: {last}")
        }
        other => other.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

impl<'m> Bench<'m> {
    fn new(machine: &'m mut Machine) -> Self {
        let (kinds, steps) = (BTreeMap::new(), vec![Step::Boot]);
        Self { machine, facts: Facts::default(), since: Mark::default(), kinds, steps }
    }

    /// What it is worth that the script stopped, and why it did.
    fn worth(&self, stop: &Stop, version: Version) -> (Verdict, String) {
        let crash = matches!(stop, Stop::Ended { .. }) && stop.verdict() == Verdict::Crash;
        match explaining(version, &self.steps).filter(|_| crash) {
            Some(known) => (
                Verdict::ExpectedFail,
                format!("{}; known as {}: {}", in_a_line(stop), known.id, known.reason),
            ),
            None => (stop.verdict(), in_a_line(stop)),
        }
    }

    /// Waits until the guest holds at a station.
    pub fn hold(&mut self, station: &str) -> Result<(), Stop> {
        self.machine.wait_for_hold(station, self.since)
    }

    /// Lets it go on.
    pub fn go(&mut self) -> Result<(), Stop> {
        self.since = self.machine.transcript().mark();
        self.machine.go()
    }

    /// Waits for a station, and for the next word of the guest there.
    pub fn pass(&mut self, station: &str) -> Result<(), Stop> {
        self.hold(station)?;
        self.go()
    }

    /// Waits until the guest idles and has nothing left to do.
    pub fn rest(&mut self) -> Result<(), Stop> {
        if idles(self.machine)? {
            Ok(())
        } else {
            Err(Stop::Broken("the guest does not come to rest".into()))
        }
    }

    /// Resets the machine, and waits until the guest holds in its next life.
    pub fn reset(&mut self, station: &str) -> Result<(), Stop> {
        self.since = self.machine.transcript().mark();
        if self.steps.contains(&Step::UnplugCore) {
            self.steps.push(Step::AfterCore);
        }
        self.machine.reset()?;
        self.hold(station)
    }

    /// Plugs a device; nothing where QEMU refuses, which is noted.
    pub fn plug(&mut self, id: &str, kind: Kind) -> Result<Option<Device>, Stop> {
        self.plug_with(id, kind, &json!({}))
    }

    /// The same with further properties.
    pub fn plug_with(&mut self, id: &str, kind: Kind, further: &Value) -> Result<Option<Device>, Stop> {
        let since = self.machine.transcript().mark();
        let before = self.machine.trace().len();
        let leaving = self.steps.contains(&Step::UnplugPhb) && kind == Kind::Phb;
        self.steps.push(if leaving { Step::AfterPhb } else { Step::Plug });
        self.kinds.insert(id.to_owned(), kind);
        match device::add(self.machine, id, kind, further) {
            Ok(()) => {
                let connectors = device::connectors(self.machine, id, kind, before)?;
                Ok(Some(Device { id: id.to_owned(), connectors, since }))
            }
            Err(Stop::Qmp(QmpError::Refused { description, .. })) => {
                self.facts.note(format!("{id}: refused"), description);
                Ok(None)
            }
            Err(stop) => Err(stop),
        }
    }

    /// Waits until the guest is through with a device and has nothing else to do. That it does not turn to it is no error.
    pub fn settle(&mut self, device: &Option<Device>) -> Result<(), Stop> {
        if let Some(Device { connectors, since, .. }) = device {
            let (connectors, since) = (connectors.clone(), *since);
            let done = move |machine: &Machine| {
                let is_done = |connector: DrcIndex| {
                    machine.transcript().says(since, |record| {
                        matches!(record, Record::Done { drc, request: Request::Add, .. } if *drc == connector)
                    })
                };
                connectors.iter().all(|connector| is_done(*connector)).then_some(())
            };
            self.machine.wait_within(PATIENCE, "the guest's word on a device", done)?;
        }
        self.rest()
    }

    /// Asks for a device, waits until all is over, and notes what QEMU told (`asked`), and what the guest says became of
    /// it (`gave`).
    pub fn ask(&mut self, id: &str) -> Result<(), Stop> {
        let (from, events) = (self.machine.transcript().mark(), self.machine.events().len());
        self.steps.extend(self.kinds.get(id).map(|kind| Step::unplug(*kind)));
        match device::unplug(self.machine, id) {
            Ok(()) => {}
            Err(Stop::Qmp(QmpError::Refused { description, .. })) => {
                self.facts.note(format!("{id}: asked"), "refused at once");
                self.facts.note(format!("{id}: refused"), description);
                return Ok(());
            }
            Err(stop) => return Err(stop),
        }
        self.rest()?;
        self.told(id, events)?;
        let gave = self.machine.transcript().entries_since(from).find_map(|entry| match entry.record {
            Record::Done { request: Request::Remove, outcome, .. } => Some(outcome.word()),
            _ => None,
        });
        self.facts.note(format!("{id}: gave"), gave.unwrap_or("nothing"));
        Ok(())
    }

    /// Notes what QEMU told of a request to unplug, from the `events`-th of its events on.
    pub fn told(&mut self, id: &str, events: usize) -> Result<(), Stop> {
        let end = |machine: &Machine| {
            let end = machine.events().iter().skip(events).find(|event| is_end(event, id))?;
            Some((is_deletion(end, id), end.name.clone()))
        };
        let (word, event) = match self.machine.wait_within(AFTERWARDS, "QEMU's word", end)? {
            Some((true, event)) => ("deleted", event),
            Some((false, event)) => ("refused", event),
            None => ("nothing", String::new()),
        };
        self.facts.note(format!("{id}: asked"), word);
        self.facts.note(format!("{id}: event"), event);
        Ok(())
    }

    /// Has the guest look into its queue, by `poll` or by `event-scan`; how many events there were.
    pub fn look(&mut self, order: &str) -> Result<u32, Stop> {
        let from = self.machine.transcript().mark();
        self.machine.say(order)?;
        self.machine.wait(&format!("the answer to `{order}`"), |machine| {
            machine.transcript().entries_since(from).find_map(|entry| match entry.record {
                Record::Drain { events, .. } => Some(events),
                _ => None,
            })
        })
    }

    /// Notes how a device reached the guest that runs last (`told`), what its sensor read first (`sense`), the calls that
    /// the guest made (`calls`), and what became of it (`became`).
    pub fn fate(&mut self, device: &Option<Device>) {
        let Some(Device { id, connectors, since }) = device else { return };
        let Some(&connector) = connectors.first() else { return };
        let transcript = self.machine.transcript();
        let (mut told, mut calls) = (Vec::new(), Vec::new());
        let (mut sense, mut became) = (None, "nothing".to_owned());
        for entry in transcript.entries_since(transcript.last_boot().max(*since)) {
            match entry.record {
                Record::Begin { drc, request: Request::Add, learned, .. } if drc == connector => {
                    told.push(learned.word());
                }
                Record::Sense { drc, state, .. } if drc == connector => {
                    sense.get_or_insert_with(|| state.to_string());
                }
                Record::Transition { drc, call, value, rc, .. } if drc == connector => {
                    calls.push(format!("{call} {value}: {rc}"));
                }
                Record::Done { drc, request: Request::Add, outcome, .. } if drc == connector => {
                    became = outcome.word().to_owned();
                }
                _ => {}
            }
        }
        let told = if told.is_empty() { "nothing".to_owned() } else { told.join(" and ") };
        self.facts.note(format!("{id}: told"), told);
        self.facts.note(format!("{id}: sense"), sense.unwrap_or_else(|| "nothing".to_owned()));
        self.facts.note(format!("{id}: calls"), calls);
        self.facts.note(format!("{id}: became"), became);
    }

    /// All that `pick` picks from the records of the last boot.
    pub fn all<T>(&self, mut pick: impl FnMut(Record<'_>) -> Option<T>) -> Vec<T> {
        let transcript = self.machine.transcript();
        transcript.entries_since(transcript.last_boot()).filter_map(|entry| pick(entry.record)).collect()
    }
}
