//! The course of a race: what the host does, step by step, and what it notes down for the judge.

use super::Scenario;
use super::action::{Deed, FIRST};
use super::manner::{Fate, Manner};
use super::settle::{PATIENCE, Settled, has_done, settle};
use super::window::Window;
use crate::defects::Step;
use crate::device::{self, Kind};
use crate::machine::{Journey, Machine};
use crate::qmp::QmpError;
use crate::scenario::{is_deletion, is_end};
use crate::stop::Stop;
use crate::transcript::{Kind as LineKind, Mark, Transcript};
use paprika::log::{Record, Request};
use paprika::papr::drc::DrcIndex;
use serde_json::json;
use std::collections::BTreeSet;

/// Where every race comes to: the guest waits, with its handler armed.
const IDLE: &str = "idle";
/// Where a second boot is held.
const BEFORE_CAS: &str = "before-cas";

/// A device of a race.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Its id.
    pub id: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The connectors that it hangs on.
    pub connectors: Vec<DrcIndex>,
    /// Where the transcript was when it was plugged.
    pub since: Mark,
    /// Whether a guest has to learn of it by the tree.
    pub by_tree: bool,
    /// Whether the guest that ran had not negotiated yet.
    pub early: bool,
    /// QEMU's words, where it refused to plug it.
    pub refused: Option<String>,
    /// The requests to unplug it in the window.
    pub asked: Vec<Asked>,
    /// Where QEMU refused to plug it: whether it could be plugged when the guest listened.
    pub later: Option<Again>,
    /// Whether it could be taken away and plugged again when the race was over.
    pub again: Option<Again>,
}

/// A request to unplug.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where the transcript was.
    pub at: Mark,
    /// How many events QEMU had told.
    pub events: usize,
    /// QEMU's words, where it refused at once.
    pub refused: Option<String>,
}

/// What came of taking a device away and plugging it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It went, came back, and the guest took it.
    Taken,
    /// It did not go.
    Stays,
    /// It went, and did not come back.
    Gone,
    /// QEMU refused at once to plug it again.
    Refused,
    /// QEMU refused at once to unplug it: it knows no way.
    Never,
    /// QEMU refused at once to unplug it, as it still waited for an answer to the first request; a reset took it away, and
    /// it came back.
    TakenAfterReset,
}

/// The notes of a race.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// The devices, in the order in which they were plugged.
    pub runners: Vec<Runner>,
    /// What the host did.
    pub steps: Vec<Step>,
    /// How things stood when everything had settled; nothing where the race did not come so far.
    pub settled: Option<Settled>,
    /// How often the host reset the machine, before everything had settled.
    pub resets: u32,
    /// How often it did so afterwards.
    pub late_resets: u32,
    /// How the guest was told to treat what it is asked.
    pub manner: Manner,
    /// Whether QEMU takes a device after a CAS without option vector 6; nothing where nobody had to ask.
    pub without_ov6: Option<bool>,
    /// Where the transcript was when the guest was asked to end.
    pub dusk: Option<Mark>,
    /// Where the transcript was when the host acted before it moved the machine into another QEMU.
    pub acted: Option<Mark>,
    /// Behind the last hold that the guest came to.
    passed: Mark,
}

impl Course {
    /// Runs the race to its end.
    pub fn run(&mut self, machine: &mut Machine, scenario: &Scenario) -> Result<(), Stop> {
        self.steps.push(Step::Boot);
        self.manner = scenario.conduct();
        if scenario.action.needs_first() && !scenario.window.needs_trigger() {
            self.plug(machine, FIRST, scenario.kind(), true)?;
        }
        self.reach_and_act(machine, scenario)?;
        self.settled = Some(settle(machine, self)?);
        if self.manner != Manner::Good {
            machine.order("policy accept")?;
        }
        for at in 0..self.runners.len() {
            self.runners[at].later = self.try_later(machine, at)?;
            self.runners[at].again = self.try_again(machine, at)?;
        }
        self.power_down(machine)
    }

    /// Whether QEMU refused a device before CAS that it took later.
    pub fn was_put_off(&self) -> bool {
        self.runners.iter().any(|runner| runner.early && runner.later == Some(Again::Taken))
    }

    /// Whether QEMU takes a device when a guest idles that has negotiated without option vector 6. The machine is one of
    /// its own, that was told so and holds there.
    pub fn takes_without_ov6(machine: &mut Machine, kind: Kind) -> Result<bool, Stop> {
        let mut course = Self::default();
        machine.start()?;
        course.come_to(machine, IDLE)?;
        course.plug(machine, FIRST, kind, false)?;
        Ok(course.runners.iter().all(|runner| runner.refused.is_none()))
    }

    /// The connectors of all devices.
    pub fn connectors(&self) -> BTreeSet<DrcIndex> {
        self.runners.iter().flat_map(|runner| runner.connectors.iter().copied()).collect()
    }

    /// Comes to the window, acts, and lets the guest go on until it idles with its handler armed.
    fn reach_and_act(&mut self, machine: &mut Machine, scenario: &Scenario) -> Result<(), Stop> {
        let window = scenario.window;
        match window {
            Window::Prelaunch => {
                self.act(machine, scenario)?;
                machine.start()?;
                self.come_to(machine, IDLE)?;
            }
            Window::Firmware => {
                machine.start()?;
                machine.wait("a word of the firmware", |machine| {
                    let lines = machine.transcript().lines();
                    lines.iter().any(|line| line.kind == LineKind::Other).then_some(())
                })?;
                self.act(machine, scenario)?;
                self.come_to(machine, IDLE)?;
            }
            Window::BeforeCas | Window::AfterCas | Window::Masked => {
                machine.start()?;
                self.come_to(machine, window.station().unwrap_or_default())?;
                self.act(machine, scenario)?;
                machine.go()?;
                self.come_to(machine, IDLE)?;
            }
            Window::InsideCas => {
                machine.start()?;
                self.come_to(machine, BEFORE_CAS)?;
                let from = machine.transcript().mark();
                machine.order("cas")?;
                // The last that the guest says of a new tree.
                let read = |record: &Record<'_>| matches!(record, Record::Affinity { .. });
                machine.wait_for_record("what CAS has changed", from, read)?;
                self.act(machine, scenario)?;
                machine.go()?;
                self.come_to(machine, IDLE)?;
            }
            Window::Handler => {
                machine.start()?;
                self.come_to(machine, IDLE)?;
                self.act(machine, scenario)?;
            }
            Window::Draining | Window::Acquiring => {
                machine.start()?;
                self.come_to(machine, IDLE)?;
                self.plug(machine, FIRST, scenario.kind(), false)?;
                machine.go()?;
                self.come_to(machine, window.station().unwrap_or_default())?;
                self.act(machine, scenario)?;
            }
            Window::BeforeReset => {
                machine.start()?;
                self.come_to(machine, IDLE)?;
                self.act(machine, scenario)?;
                self.reset(machine, scenario.kind())?;
                self.come_to(machine, IDLE)?;
            }
            Window::AfterReset => {
                machine.start()?;
                self.come_to(machine, IDLE)?;
                self.reset(machine, scenario.kind())?;
                self.come_to(machine, BEFORE_CAS)?;
                self.act(machine, scenario)?;
                machine.go()?;
                self.come_to(machine, IDLE)?;
            }
            Window::Migrating => {
                machine.start()?;
                self.come_to(machine, IDLE)?;
                machine.go()?;
                // An order is heard before it is obeyed, and the next one is heard behind that.
                machine.order("mask")?;
                machine.go()?;
                self.acted = Some(machine.transcript().mark());
                self.act(machine, scenario)?;
                self.migrate(machine, scenario.kind())?;
                machine.order("arm")?;
            }
        }
        machine.go()
    }

    /// Moves the machine into another QEMU, and has the guest look around there.
    fn migrate(&mut self, machine: &mut Machine, kind: Kind) -> Result<(), Stop> {
        self.steps.push(if self.went(machine, kind) && kind == Kind::Core {
            Step::AfterCore
        } else {
            Step::Migrate
        });
        machine.migrate(&Journey::default())?;
        let is_asked = self.runners.iter().any(|runner| !runner.asked.is_empty());
        if is_asked && matches!(kind, Kind::Dimm(_)) && self.manner == Manner::RemoveRefuse {
            self.steps.push(Step::RefuseMoved);
        }
        machine.tell_of_move().map(drop)
    }

    /// Waits until the guest holds at a station. Where it holds on the way, because it comes by for the second time, it is
    /// let go on.
    fn come_to(&mut self, machine: &mut Machine, station: &str) -> Result<(), Stop> {
        loop {
            let from = self.passed;
            let hold = |machine: &Machine| hold_since(machine, from);
            let (mark, here) = machine.wait(&format!("the hold at `{station}`"), hold)?;
            self.passed = mark;
            if here == station {
                return Ok(());
            }
            machine.go()?;
        }
    }

    fn act(&mut self, machine: &mut Machine, scenario: &Scenario) -> Result<(), Stop> {
        for deed in scenario.action.deeds() {
            match *deed {
                Deed::Plug(id) => {
                    self.plug(machine, id, scenario.kind(), scenario.window.is_told_by_tree())?
                }
                Deed::Unplug(id) => self.ask(machine, id)?,
            }
        }
        Ok(())
    }

    fn plug(
        &mut self,
        machine: &mut Machine,
        id: &'static str,
        kind: Kind,
        by_tree: bool,
    ) -> Result<(), Stop> {
        // A host bridge that was asked for may be on its way out; QEMU may not have told of its end yet.
        let leaving = self.runners.iter().any(|runner| runner.kind == kind && !runner.asked.is_empty());
        self.steps.push(if kind == Kind::Phb && leaving { Step::AfterPhb } else { Step::Plug });
        let since = machine.transcript().mark();
        let early = !has_negotiated(machine.transcript());
        let (connectors, refused) = add(machine, id, kind)?;
        let (asked, later, again) = (Vec::new(), None, None);
        let runner = Runner { id, kind, connectors, since, by_tree, early, refused, asked, later, again };
        self.runners.push(runner);
        Ok(())
    }

    fn ask(&mut self, machine: &mut Machine, id: &'static str) -> Result<(), Stop> {
        let Some(at) = self.runners.iter().position(|runner| runner.id == id) else {
            return Err(Stop::Broken(format!("`{id}` was never plugged")));
        };
        self.steps.push(Step::unplug(self.runners[at].kind));
        let asked = ask(machine, id)?;
        self.runners[at].asked.push(asked);
        Ok(())
    }

    /// Whether a device of this kind has gone already.
    fn went(&self, machine: &Machine, kind: Kind) -> bool {
        let gone = |runner: &Runner| machine.events().iter().any(|event| is_deletion(event, runner.id));
        self.runners.iter().any(|runner| runner.kind == kind && gone(runner))
    }

    fn reset(&mut self, machine: &mut Machine, kind: Kind) -> Result<(), Stop> {
        // The reset ends a request that is open; then the core goes with it.
        let asked = self.runners.iter().any(|runner| runner.kind == kind && !runner.asked.is_empty());
        if kind == Kind::Core && (asked || self.went(machine, kind)) {
            self.steps.push(Step::AfterCore);
        }
        let boots = machine.transcript().boots();
        machine.reset()?;
        *(if self.settled.is_none() { &mut self.resets } else { &mut self.late_resets }) += 1;
        machine.wait("the next boot", |machine| (machine.transcript().boots() > boots).then_some(()))
    }

    /// Plugs a device once more that QEMU refused in the window, now that the guest listens.
    fn try_later(&mut self, machine: &mut Machine, at: usize) -> Result<Option<Again>, Stop> {
        let Runner { id, kind, ref refused, .. } = self.runners[at];
        if refused.is_none() {
            return Ok(None);
        }
        clean_up(machine, id, kind)?;
        self.plug_again(machine, id, kind).map(Some)
    }

    /// Takes a device away that is still there, and plugs it again.
    fn try_again(&mut self, machine: &mut Machine, at: usize) -> Result<Option<Again>, Stop> {
        let Runner { id, kind, ref refused, ref connectors, .. } = self.runners[at];
        if refused.is_some() {
            return Ok(None);
        }
        let connectors = connectors.clone();
        let present = self.settled.as_ref().and_then(|settled| settled.present.as_ref());
        let deleted = |machine: &Machine| machine.events().iter().any(|event| is_deletion(event, id));
        if present.map_or(!deleted(machine), |present| present.contains(id)) {
            self.steps.push(Step::unplug(kind));
            let asked = ask(machine, id)?;
            if asked.refused.is_some() {
                let is_open = self.manner.fate(kind) == Fate::Open
                    && self.runners[at].asked.iter().any(|asked| asked.refused.is_none());
                return if is_open {
                    self.after_reset(machine, at).map(Some)
                } else {
                    Ok(Some(Again::Never))
                };
            }
            if !is_gone(machine, id, &asked)? {
                return Ok(Some(Again::Stays));
            }
            // The guest's own word follows; it is not needed, only nice to have in the log.
            let done =
                |machine: &Machine| has_done(machine, &connectors, asked.at, Request::Remove).then_some(());
            machine.wait_within(PATIENCE, "the guest's word on a device", done)?;
        }
        clean_up(machine, id, kind)?;
        self.plug_again(machine, id, kind).map(Some)
    }

    /// Takes a device away for which a request is open, by a reset, and plugs it again.
    fn after_reset(&mut self, machine: &mut Machine, at: usize) -> Result<Again, Stop> {
        let Runner { id, kind, .. } = self.runners[at];
        self.reset(machine, kind)?;
        self.come_to(machine, IDLE)?;
        machine.go()?;
        let gone =
            |machine: &Machine| machine.events().iter().any(|event| is_deletion(event, id)).then_some(());
        if machine.wait_within(PATIENCE, "QEMU's word on a device", gone)?.is_none() {
            return Ok(Again::Stays);
        }
        clean_up(machine, id, kind)?;
        let again = self.plug_again(machine, id, kind)?;
        Ok(if again == Again::Taken { Again::TakenAfterReset } else { again })
    }

    fn plug_again(&mut self, machine: &mut Machine, id: &str, kind: Kind) -> Result<Again, Stop> {
        self.steps.push(if kind == Kind::Phb { Step::AfterPhb } else { Step::Plug });
        let from = machine.transcript().mark();
        let (connectors, refused) = add(machine, id, kind)?;
        if refused.is_some() {
            return Ok(Again::Refused);
        }
        loop {
            let passed = self.passed;
            let word = |machine: &Machine| {
                let done = has_done(machine, &connectors, from, Request::Add);
                if done { Some(None) } else { hold_since(machine, passed).map(Some) }
            };
            match machine.wait_within(PATIENCE, "the guest's word on a device", word)? {
                None => return Ok(Again::Gone),
                Some(None) => return Ok(Again::Taken),
                // A second boot comes by the places of the first.
                Some(Some((mark, _))) => {
                    self.passed = mark;
                    machine.go()?;
                }
            }
        }
    }

    fn power_down(&mut self, machine: &mut Machine) -> Result<(), Stop> {
        self.steps.push(Step::PowerDown);
        self.dusk = Some(machine.transcript().mark());
        crate::scenario::power_down(machine)
    }
}

/// The next hold of the guest: the place behind it, and the station.
fn hold_since(machine: &Machine, from: Mark) -> Option<(Mark, String)> {
    machine.transcript().places_since(from).find_map(|(mark, entry)| match entry.record {
        Record::Hold { station, .. } => Some((mark, station.to_string())),
        _ => None,
    })
}

/// Whether the guest that runs last has negotiated.
fn has_negotiated(transcript: &Transcript) -> bool {
    transcript.says(transcript.last_boot(), |record| matches!(record, Record::CasAnswer { .. }))
}

/// Plugs a device: the connectors that it hangs on, as far as anybody tells, or QEMU's words, where it refused.
fn add(machine: &mut Machine, id: &str, kind: Kind) -> Result<(Vec<DrcIndex>, Option<String>), Stop> {
    let before = machine.trace().len();
    match device::add(machine, id, kind, &json!({})) {
        Ok(()) => Ok((device::connectors(machine, id, kind, before)?, None)),
        Err(Stop::Qmp(QmpError::Refused { description, .. })) => Ok((Vec::new(), Some(description))),
        Err(stop) => Err(stop),
    }
}

/// Removes what a device leaves behind. Where QEMU still needs that, the device is not gone, and cannot be plugged again.
fn clean_up(machine: &mut Machine, id: &str, kind: Kind) -> Result<(), Stop> {
    match device::clean_up(machine, id, kind) {
        Err(Stop::Qmp(QmpError::Refused { .. })) => Ok(()),
        other => other,
    }
}

/// Asks for a device; that QEMU refuses at once is an answer, too.
fn ask(machine: &mut Machine, id: &str) -> Result<Asked, Stop> {
    let (at, events) = (machine.transcript().mark(), machine.events().len());
    match device::unplug(machine, id) {
        Ok(()) => Ok(Asked { at, events, refused: None }),
        Err(Stop::Qmp(QmpError::Refused { description, .. })) => {
            Ok(Asked { at, events, refused: Some(description) })
        }
        Err(stop) => Err(stop),
    }
}

/// Waits until QEMU says what came of a request to unplug; whether the device is gone.
fn is_gone(machine: &mut Machine, id: &str, asked: &Asked) -> Result<bool, Stop> {
    let end = |machine: &Machine| {
        let mut events = machine.events().iter().skip(asked.events);
        events.find(|event| is_end(event, id)).map(|event| is_deletion(event, id))
    };
    Ok(machine.wait_within(PATIENCE, "QEMU's word on a device", end)? == Some(true))
}
