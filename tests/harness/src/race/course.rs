//! The course of a race: what the host does, step by step, and what it notes down for the judge.

use super::Scenario;
use super::action::{Deed, FIRST};
use super::window::Window;
use crate::defects::Step;
use crate::device::{self, Kind};
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::scenario::{is_deletion, is_end};
use crate::stop::Stop;
use crate::transcript::{Kind as LineKind, Mark};
use paprika::log::{Record, Request};
use paprika::papr::drc::DrcIndex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long the host waits for what should come at once, before it notes down that it did not.
const PATIENCE: Duration = Duration::from_secs(4);

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
    /// QEMU's words, where it refused to plug it.
    pub refused: Option<String>,
    /// The requests to unplug it in the window.
    pub asked: Vec<Asked>,
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
    /// QEMU did not want to try.
    Refused,
}

/// How things stood when everything had settled.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Where the transcript was.
    pub at: Mark,
    /// The devices that QMP lists.
    pub listed: BTreeSet<String>,
    /// QEMU's trace so far.
    pub trace: String,
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
    /// Where the transcript was when the machine was reset.
    pub reset: Option<Mark>,
    /// Where the transcript was when the guest was asked to end.
    pub dusk: Option<Mark>,
}

impl Course {
    /// Runs the race to its end.
    pub fn run(&mut self, machine: &mut Machine, scenario: &Scenario) -> Result<(), Stop> {
        self.steps.push(Step::Boot);
        if scenario.action.needs_first() && !scenario.window.needs_trigger() {
            self.plug(machine, FIRST, scenario.kind(), true)?;
        }
        self.reach_and_act(machine, scenario)?;
        self.settle(machine)?;
        for at in 0..self.runners.len() {
            self.try_again(machine, at)?;
        }
        self.power_down(machine)
    }

    /// Comes to the window, acts, and lets the guest go on until it idles with its handler armed.
    fn reach_and_act(&mut self, machine: &mut Machine, scenario: &Scenario) -> Result<(), Stop> {
        let start = Mark::default();
        match scenario.window {
            Window::Prelaunch => {
                self.act(machine, scenario)?;
                machine.start()?;
            }
            Window::Firmware => {
                machine.start()?;
                machine.wait("a word of the firmware", |machine| {
                    let lines = machine.transcript().lines();
                    lines.iter().any(|line| line.kind == LineKind::Other).then_some(())
                })?;
                self.act(machine, scenario)?;
            }
            Window::BeforeCas | Window::AfterCas | Window::Masked => {
                machine.start()?;
                machine.wait_for_hold(scenario.window.station().unwrap_or_default(), start)?;
                self.act(machine, scenario)?;
                machine.go()?;
            }
            Window::Handler => machine.start()?,
            Window::Draining | Window::Acquiring => {
                machine.start()?;
                machine.wait_for_hold("idle", start)?;
                self.plug(machine, FIRST, scenario.kind(), false)?;
                machine.go()?;
                machine.wait_for_hold(scenario.window.station().unwrap_or_default(), start)?;
                self.act(machine, scenario)?;
                return machine.go();
            }
            Window::BeforeReset => {
                machine.start()?;
                machine.wait_for_hold("idle", start)?;
                self.act(machine, scenario)?;
                self.reset(machine, scenario.kind())?;
            }
            Window::AfterReset => {
                machine.start()?;
                machine.wait_for_hold("before-cas", start)?;
                machine.go()?;
                machine.wait_for_hold("idle", start)?;
                let reset = self.reset(machine, scenario.kind())?;
                machine.wait_for_hold("before-cas", reset)?;
                self.act(machine, scenario)?;
                machine.go()?;
            }
        }
        machine.wait_for_hold("idle", self.reset.unwrap_or(start))?;
        if scenario.window == Window::Handler {
            self.act(machine, scenario)?;
        }
        machine.go()
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
        self.steps.push(Step::Plug);
        let since = machine.transcript().mark();
        let (connectors, refused) = match device::plug(machine, id, kind) {
            Ok(connectors) => (connectors, None),
            Err(Stop::Qmp(QmpError::Refused { description, .. })) => (Vec::new(), Some(description)),
            Err(stop) => return Err(stop),
        };
        let asked = Vec::new();
        self.runners.push(Runner { id, kind, connectors, since, by_tree, refused, asked, again: None });
        Ok(())
    }

    fn ask(&mut self, machine: &mut Machine, id: &'static str) -> Result<(), Stop> {
        let Some(at) = self.runners.iter().position(|runner| runner.id == id) else {
            return Err(Stop::Broken(format!("`{id}` was never plugged")));
        };
        let kind = self.runners[at].kind;
        self.steps.push(if kind == Kind::Core { Step::UnplugCore } else { Step::UnplugDimm });
        let asked = ask(machine, id)?;
        self.runners[at].asked.push(asked);
        Ok(())
    }

    fn reset(&mut self, machine: &mut Machine, kind: Kind) -> Result<Mark, Stop> {
        let pending = self.runners.iter().any(|runner| !runner.asked.is_empty());
        if kind == Kind::Core && pending {
            self.steps.push(Step::ResetPendingCore);
        }
        let mark = machine.transcript().mark();
        machine.tell("system_reset");
        machine.execute("system_reset", json!({}))?;
        self.reset = Some(mark);
        Ok(mark)
    }

    /// Waits until the guest and QEMU are through with everything, and notes how things stand.
    fn settle(&mut self, machine: &mut Machine) -> Result<(), Stop> {
        for runner in &self.runners {
            if runner.asked.is_empty() {
                let from = self.reset.map_or(runner.since, |reset| reset.max(runner.since));
                until_answered(machine, &runner.connectors, from, Request::Add)?;
            } else {
                until_ended(machine, runner)?;
            }
        }
        let listed = listed(machine)?;
        self.settled = Some(Settled { at: machine.transcript().mark(), listed, trace: machine.trace() });
        Ok(())
    }

    /// Takes a device away that is still there, and plugs it again.
    fn try_again(&mut self, machine: &mut Machine, at: usize) -> Result<(), Stop> {
        let runner = &self.runners[at];
        if runner.refused.is_some() {
            return Ok(());
        }
        let (id, kind) = (runner.id, runner.kind);
        let is_there = self.settled.as_ref().is_some_and(|settled| settled.listed.contains(id));
        let again = if is_there {
            self.steps.push(if kind == Kind::Core { Step::UnplugCore } else { Step::UnplugDimm });
            let mut probe = Runner { asked: Vec::new(), ..self.runners[at].clone() };
            let asked = ask(machine, id)?;
            let refused = asked.refused.is_some();
            probe.asked.push(asked);
            if refused {
                Some(Again::Refused)
            } else if until_ended(machine, &probe)? {
                None
            } else {
                Some(Again::Stays)
            }
        } else {
            None
        };
        let again = match again {
            Some(end) => end,
            None => {
                device::clean_up(machine, id, kind)?;
                self.plug_again(machine, id, kind)?
            }
        };
        self.runners[at].again = Some(again);
        Ok(())
    }

    fn plug_again(&mut self, machine: &mut Machine, id: &str, kind: Kind) -> Result<Again, Stop> {
        self.steps.push(Step::Plug);
        let from = machine.transcript().mark();
        match device::plug(machine, id, kind) {
            Err(Stop::Qmp(QmpError::Refused { .. })) => Ok(Again::Refused),
            Err(stop) => Err(stop),
            Ok(connectors) => {
                let came = until_answered(machine, &connectors, from, Request::Add)?;
                Ok(if came { Again::Taken } else { Again::Gone })
            }
        }
    }

    fn power_down(&mut self, machine: &mut Machine) -> Result<(), Stop> {
        self.steps.push(Step::PowerDown);
        self.dusk = Some(machine.transcript().mark());
        crate::scenario::power_down(machine)
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

/// Waits until the guest is through with these connectors; whether it was in time.
fn until_answered(
    machine: &mut Machine,
    connectors: &[DrcIndex],
    from: Mark,
    asked: Request,
) -> Result<bool, Stop> {
    let done = |machine: &Machine| {
        let all = connectors.iter().all(|&connector| {
            machine.transcript().says(from, |record| {
                matches!(record, Record::Done { drc, request, .. } if *drc == connector && *request == asked)
            })
        });
        all.then_some(())
    };
    Ok(machine.wait_within(PATIENCE, "the guest's word on a device", done)?.is_some())
}

/// Waits until QEMU says what came of a request to unplug; whether the device is gone.
fn until_ended(machine: &mut Machine, runner: &Runner) -> Result<bool, Stop> {
    let Some(first) = runner.asked.iter().find(|asked| asked.refused.is_none()) else { return Ok(false) };
    let end = |machine: &Machine| {
        let events = machine.events().iter().skip(first.events);
        events.filter(|event| is_end(event, runner.id)).map(|event| is_deletion(event, runner.id)).next()
    };
    let gone = machine.wait_within(PATIENCE, "QEMU's word on a device", end)?;
    // The guest's own word follows; it is not needed, only nice to have in the log.
    if gone == Some(true) {
        until_answered(machine, &runner.connectors, first.at, Request::Remove).map(drop)?;
    }
    Ok(gone == Some(true))
}

/// The ids of the devices that QMP lists.
fn listed(machine: &mut Machine) -> Result<BTreeSet<String>, Stop> {
    let memory = machine.execute("query-memory-devices", json!({}))?;
    let cores = machine.execute("query-hotpluggable-cpus", json!({}))?;
    Ok(ids_of_memory(&memory).chain(ids_of_cores(&cores)).collect())
}

fn ids_of_memory(answer: &Value) -> impl Iterator<Item = String> {
    let ids =
        answer.as_array().into_iter().flatten().filter_map(|device| device.get("data")?.get("id")?.as_str());
    ids.map(str::to_owned)
}

fn ids_of_cores(answer: &Value) -> impl Iterator<Item = String> {
    let paths = answer.as_array().into_iter().flatten().filter_map(|slot| slot.get("qom-path")?.as_str());
    paths
        .filter_map(|path| path.strip_prefix("/machine/peripheral/"))
        .map(|rest| rest.split('/').next().unwrap_or(rest).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{ids_of_cores, ids_of_memory};
    use serde_json::json;

    #[test]
    fn what_qmp_lists_is_found_by_id() {
        let memory =
            json!([{"type": "dimm", "data": {"id": "first", "size": 1}}, {"type": "dimm", "data": {}}]);
        assert_eq!(ids_of_memory(&memory).collect::<Vec<_>>(), ["first"]);
        let cores = json!([
            {"qom-path": "/machine/peripheral/second", "type": "t"},
            {"qom-path": "/machine/unattached/device[0]", "type": "t"},
            {"type": "t"},
        ]);
        assert_eq!(ids_of_cores(&cores).collect::<Vec<_>>(), ["second"]);
    }
}
