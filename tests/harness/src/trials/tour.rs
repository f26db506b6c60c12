//! A tour: boot after boot of one QEMU, each ended by a reset somewhere else.

use crate::defects::{Step, explaining};
use crate::device::{self, Kind};
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::scenario::{is_deletion, is_end};
use crate::stop::Stop;
use crate::transcript::Mark;
use anyhow::{Context, Result, bail, ensure};
use paprika::log::{Learned, Outcome, Record, Request};
use paprika::papr::drc::DrcIndex;
use paprika::papr::indicator::EntitySense;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where the guest holds: wherever a tour may want it to.
const HOLDS: [&str; 14] = [
    "client-interface-up",
    "before-cas",
    "after-cas",
    "tree-read",
    "rtas-up",
    "handler-installed",
    "handler-armed",
    "draining",
    "event-taken",
    "before-step",
    "after-step",
    "drained",
    "before-release",
    "idle",
];

/// The boot arguments of a tour; memory is only a means.
pub(crate) fn arguments() -> String {
    format!("hold={} memtest=256m", HOLDS.join(","))
}

/// Who resets the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The guest, by `system-reboot`.
    Order,
    /// The host, by `system_reset`.
    Qmp,
    /// The platform's watchdog, which the guest has started.
    Watchdog,
    /// The host, after the guest has panicked and QEMU has stopped for that.
    Panic,
    /// Nobody: the guest begins anew without a reset, as by kexec.
    Restart,
}

/// What the host does before the reset.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// It plugs a device.
    Plug(Kind),
    /// It asks back the one that the guest holds.
    Unplug,
}

/// A device that QEMU has.
#[derive(Clone, Debug)]
struct Device {
    kind: Kind,
    connectors: Vec<DrcIndex>,
    /// Where the transcript was when it was plugged, or asked back.
    since: Mark,
    /// How many events QEMU had told when it was asked back.
    asked: Option<usize>,
}

/// How long QEMU may take to say what came of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where a boot has come to rest.
const IDLE: &str = "idle";

/// The tour.
pub(crate) struct Tour<'m> {
    machine: &'m mut Machine,
    /// Behind the last hold that the guest came to.
    passed: Mark,
    /// Where it holds.
    here: Option<String>,
    devices: BTreeMap<String, Device>,
    steps: Vec<Step>,
    /// How many devices there have been.
    count: u32,
    /// A known defect has ended QEMU: nothing more can be seen.
    over: bool,
}

impl<'m> Tour<'m> {
    /// Sets the guest going.
    pub(crate) fn start(machine: &'m mut Machine) -> Result<Self> {
        machine.execute("set-action", json!({ "panic": "pause" }))?;
        machine.start()?;
        let (passed, steps) = (Mark::default(), vec![Step::Boot]);
        Ok(Self { machine, passed, here: None, devices: BTreeMap::new(), steps, count: 0, over: false })
    }

    /// One boot: to the station, the act, the reset, and all that is to be seen of the next boot.
    pub(crate) fn lap(&mut self, station: &str, act: Option<Act>, way: Way) -> Result<()> {
        self.known(format!("{act:?} at {station}, reset by {way:?}"), |tour| {
            if tour.here.is_some() && station != IDLE {
                // That station lies behind.
                tour.reset(Way::Qmp)?;
            }
            tour.come_to(station)?;
            let of_act: Vec<DrcIndex> = match act {
                Some(Act::Plug(kind)) => tour.plug(kind)?,
                Some(Act::Unplug) => tour.ask(|_| true)?,
                None => Vec::new(),
            };
            tour.reset_and_look(station, way)?;
            let Some((gone, new)) = tour.heritage() else { return Ok(()) };
            let (wanted, other) = if matches!(act, Some(Act::Unplug)) { (gone, new) } else { (new, gone) };
            ensure!(other.is_empty(), "the heritage names {other}, too");
            ensure!(wanted.is_empty() == of_act.is_empty(), "the heritage names {wanted:?} of {of_act:?}");
            ensure!(
                of_act.first().is_none_or(|first| wanted.contains(&first.to_string())),
                "the heritage names {wanted}, not {of_act:?}"
            );
            Ok(())
        })
    }

    /// A device comes while the guest idles, and the machine is reset when the guest is half through with it.
    pub(crate) fn coming(&mut self, kind: Kind, station: &str, visit: u32, way: Way) -> Result<()> {
        self.known(format!("{kind} half taken at {station}#{visit}, reset by {way:?}"), |tour| {
            tour.come_to(IDLE)?;
            tour.plug(kind)?;
            tour.come_to_before_idle(station, visit)?;
            tour.reset_and_look(station, way)
        })
    }

    /// The same with the devices that the guest holds, which go.
    pub(crate) fn going(&mut self, station: &str, visit: u32, way: Way) -> Result<()> {
        self.known(format!("half gone at {station}#{visit}, reset by {way:?}"), |tour| {
            tour.come_to(IDLE)?;
            tour.ask(|_| true)?;
            tour.come_to_before_idle(station, visit)?;
            tour.reset_and_look(station, way)
        })
    }

    /// Has the guest take a device, so that it is there from the next boot on.
    pub(crate) fn hold_one(&mut self, kind: Kind) -> Result<()> {
        self.known(format!("{kind} is taken"), |tour| {
            tour.come_to(IDLE)?;
            tour.plug(kind)?;
            tour.pass_until_done(Request::Add)
        })
    }

    /// A device comes while the guest idles, and the guest begins anew before it has heard of it: the next life does.
    pub(crate) fn restart_and_take(&mut self, kind: Kind) -> Result<()> {
        self.known(format!("{kind} comes, and the guest begins anew"), |tour| {
            tour.come_to(IDLE)?;
            tour.plug(kind)?;
            tour.reset(Way::Restart)?;
            tour.pass_until_done(Request::Add)
        })
    }

    /// Has everything given back that QEMU takes back safely; the rest stays.
    pub(crate) fn clear(&mut self) -> Result<()> {
        let can_go = |device: &Device| !matches!(device.kind, Kind::Core | Kind::Nvdimm(_));
        self.known("everything is given back".to_owned(), |tour| {
            tour.come_to(IDLE)?;
            if tour.ask(can_go)?.is_empty() {
                return Ok(());
            }
            tour.pass_until_done(Request::Remove)?;
            tour.see_them_go()?;
            ensure!(!tour.devices.values().any(can_go), "{:?} are still there", tour.devices.keys());
            Ok(())
        })
    }

    /// The guest is asked to end, and does.
    pub(crate) fn end(mut self) -> Result<()> {
        self.known("the end".to_owned(), |tour| {
            tour.come_to(IDLE)?;
            tour.steps.push(Step::PowerDown);
            tour.machine.tell("system_powerdown");
            tour.machine.execute("system_powerdown", json!({}))?;
            let exit = tour.pass_until("the end of QEMU", Machine::exit)?;
            ensure!(exit.success(), "QEMU {exit}");
            Ok(())
        })
    }

    /// Does a part of the tour. A crash that is known of this QEMU ends the tour, and is no failure.
    fn known(&mut self, what: String, part: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.over {
            return Ok(());
        }
        let Err(problem) = part(self) else { return Ok(()) };
        let crashed = matches!(problem.downcast_ref::<Stop>(), Some(Stop::Ended { .. }));
        match explaining(self.machine.version(), &self.steps).filter(|_| crashed) {
            Some(defect) => {
                eprintln!("note: {what}: known as {}: {}", defect.id, defect.reason);
                self.over = true;
                Ok(())
            }
            None => Err(problem).context(what),
        }
    }

    /// Waits for the next hold, after the guest was let go from the last.
    fn next_hold(&mut self) -> Result<String> {
        if self.here.take().is_some() {
            self.machine.go()?;
        }
        let from = self.passed;
        let (mark, here) = self.machine.wait("the next hold", |machine| hold_since(machine, from))?;
        self.passed = mark;
        self.here = Some(here.clone());
        Ok(here)
    }

    /// Lets the guest go on until it holds at a station.
    fn come_to(&mut self, station: &str) -> Result<()> {
        while self.here.as_deref() != Some(station) {
            self.next_hold()?;
        }
        Ok(())
    }

    /// Lets the guest go on that idles, until it holds at a station for the nth time from now.
    fn come_to_before_idle(&mut self, station: &str, visit: u32) -> Result<()> {
        let mut left = visit;
        while left > 0 {
            let here = self.next_hold()?;
            ensure!(here != IDLE, "the guest idles again before it came to {station}");
            left -= u32::from(here == station);
        }
        Ok(())
    }

    /// Lets the guest go on from hold to hold until `done` has a value.
    fn pass_until<T>(&mut self, what: &str, done: impl Fn(&Machine) -> Option<T>) -> Result<T> {
        loop {
            if self.here.take().is_some() {
                self.machine.go()?;
            }
            let from = self.passed;
            let next = self
                .machine
                .wait(what, |machine| done(machine).map(Ok).or_else(|| hold_since(machine, from).map(Err)))?;
            match next {
                Ok(value) => return Ok(value),
                Err((mark, here)) => (self.passed, self.here) = (mark, Some(here)),
            }
        }
    }

    /// Lets the guest go on until it is through with every device that is new, or asked back.
    fn pass_until_done(&mut self, asked: Request) -> Result<()> {
        let devices: Vec<Device> = self.devices.values().cloned().collect();
        let of_request = |device: &&Device| device.asked.is_some() == (asked == Request::Remove);
        let last = devices.iter().filter(of_request).map(|device| device.since).max().unwrap_or_default();
        let due = devices
            .iter()
            .filter(of_request)
            .filter(|device| asked == Request::Remove || device.since == last);
        let due: BTreeSet<DrcIndex> = due.flat_map(|device| device.connectors.iter().copied()).collect();
        let first = devices.iter().filter(of_request).map(|device| device.since).min().unwrap_or_default();
        let from = if asked == Request::Remove { first } else { last };
        self.pass_until("the guest's word on every connector", |machine| {
            let done = machine.transcript().entries_since(from).filter_map(|entry| match entry.record {
                Record::Done { drc, request, .. } if request == asked => Some(drc),
                _ => None,
            });
            due.is_subset(&done.collect()).then_some(())
        })?;
        self.come_to(IDLE)
    }

    fn plug(&mut self, kind: Kind) -> Result<Vec<DrcIndex>> {
        self.steps.push(Step::Plug);
        self.count += 1;
        let id = format!("device-{}", self.count);
        let since = self.machine.transcript().mark();
        let connectors = device::plug(self.machine, &id, kind)?;
        self.devices.insert(id, Device { kind, connectors: connectors.clone(), since, asked: None });
        Ok(connectors)
    }

    /// Asks for devices back; the connectors of those that QEMU did not refuse at once.
    fn ask(&mut self, which: impl Fn(&Device) -> bool) -> Result<Vec<DrcIndex>> {
        let mut asked = Vec::new();
        for (id, device) in self.devices.iter_mut().filter(|(_, device)| which(device)) {
            self.steps.push(Step::unplug(device.kind));
            let (since, events) = (self.machine.transcript().mark(), self.machine.events().len());
            match device::unplug(self.machine, id) {
                Err(Stop::Qmp(QmpError::Refused { .. })) => continue,
                other => other?,
            }
            (device.since, device.asked) = (since, Some(events));
            asked.extend(device.connectors.iter().copied());
        }
        Ok(asked)
    }

    /// Sees what became of the devices that were asked back: each request has its end.
    fn see_them_go(&mut self) -> Result<()> {
        let asked: Vec<(String, usize, Kind)> = self
            .devices
            .iter()
            .filter_map(|(id, device)| Some((id.clone(), device.asked?, device.kind)))
            .collect();
        for (id, events, kind) in asked {
            let end = |machine: &Machine| {
                machine.events()[events..]
                    .iter()
                    .find(|event| is_end(event, &id))
                    .map(|event| is_deletion(event, &id))
            };
            match self.machine.wait_within(PATIENCE, "QEMU's word on a device", end)? {
                None => bail!("the request to unplug {id} has no end"),
                Some(true) => {
                    device::clean_up(self.machine, &id, kind)?;
                    self.devices.remove(&id);
                }
                Some(false) => self.devices.values_mut().for_each(|device| device.asked = None),
            }
        }
        Ok(())
    }

    /// Resets the machine, and waits for the next boot's first word.
    fn reset(&mut self, way: Way) -> Result<()> {
        let core_goes = |device: &Device| device.kind == Kind::Core && device.asked.is_some();
        if self.devices.values().any(core_goes) {
            self.steps.push(Step::AfterCore);
        }
        let (boots, events) = (self.machine.transcript().boots(), self.machine.events().len());
        match way {
            Way::Order => self.machine.order("reset")?,
            Way::Watchdog => self.machine.order("watchdog 20")?,
            Way::Restart => self.machine.order("restart")?,
            Way::Qmp => self.machine.reset()?,
            Way::Panic => {
                self.machine.order("panic")?;
                self.machine
                    .wait_for_event("GUEST_PANICKED", events, |event| event.name == "GUEST_PANICKED")?;
                self.machine.reset()?;
                self.machine.execute("cont", json!({}))?;
            }
        }
        self.machine.wait("the next boot", |machine| (machine.transcript().boots() > boots).then_some(()))?;
        (self.passed, self.here) = (self.machine.transcript().last_boot(), None);
        Ok(())
    }

    fn reset_and_look(&mut self, ended_at: &str, way: Way) -> Result<()> {
        self.reset(way)?;
        self.come_to(IDLE)?;
        self.look_at_its_memory(ended_at)?;
        self.see_them_go()?;
        let taken = self.look_at_its_connectors()?;
        let listed = device::listed(self.machine)?;
        let there: BTreeSet<String> = self.devices.keys().cloned().collect();
        ensure!(listed == there, "QEMU lists {listed:?}, and there should be {there:?}");
        for (id, device) in &self.devices {
            let all = device.connectors.iter().all(|drc| taken.contains(drc));
            ensure!(all, "{id}: of {:?} the guest has {taken:?} by the tree", device.connectors);
        }
        let known = self.devices.values().map(|device| device.connectors.len()).sum::<usize>();
        // The boot core's connector has no story; the host bridge that is always there has.
        ensure!(
            taken.len() == known + 1,
            "the guest has {taken:?}, and {known} connectors belong to devices"
        );
        Ok(())
    }

    /// The guest knows which boot this is, and where the last one ended.
    fn look_at_its_memory(&self, ended_at: &str) -> Result<()> {
        let boot = self.machine.transcript().boots();
        let relic = self.find(|record| match record {
            Record::Relic { found, boot, station, .. } => {
                Some((found.to_string(), boot, station.to_string()))
            }
            _ => None,
        });
        let relic = relic.context("the guest never says what survived")?;
        ensure!(relic == ("ours".to_owned(), boot - 1, ended_at.to_owned()), "{relic:?} survived");
        let life = self.find(|record| match record {
            Record::Life { number, nvram, noted, .. } => Some((number, nvram.to_string(), noted)),
            _ => None,
        });
        let (number, nvram, noted) = life.context("the guest never says which boot it is")?;
        ensure!(number == boot, "it takes boot {boot} for {number}");
        ensure!(
            ["ours", "blank"].contains(&nvram.as_str()) && noted < boot,
            "NVRAM holds {nvram}, of boot {noted}"
        );
        Ok(())
    }

    /// What went and what is new, by the guest's own note. The first boot that comes so far finds none.
    fn heritage(&self) -> Option<(String, String)> {
        self.find(|record| match record {
            Record::Heritage { gone, new, .. } => Some((gone.to_string(), new.to_string())),
            _ => None,
        })
    }

    /// The queue is empty, and what the tree gives is the guest's without a further call; the connectors that it took.
    fn look_at_its_connectors(&self) -> Result<BTreeSet<DrcIndex>> {
        let (mut open, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for entry in self.machine.transcript().entries_since(self.machine.transcript().last_boot()) {
            match entry.record {
                Record::Event { number, resource, action, id, .. } => {
                    bail!("event {number} after a reset: {resource} {action} {id}")
                }
                Record::Begin {
                    drc, request: Request::Add, learned: Learned::Tree | Learned::Life, ..
                } => {
                    open.insert(drc);
                }
                Record::Sense { drc, rc, state } if open.contains(&drc) => {
                    ensure!(state == EntitySense::PRESENT, "{drc} reads {state}, {rc}");
                }
                Record::Transition { drc, call, value, rc, .. } => {
                    bail!("{drc}: the guest had to call {call} {value}, which returned {rc}")
                }
                Record::Done { drc, outcome, reason, .. } => {
                    open.remove(&drc);
                    ensure!(outcome == Outcome::Taken, "{drc} is {outcome}: {reason}");
                    taken.insert(drc);
                }
                _ => {}
            }
        }
        Ok(taken)
    }

    /// What `pick` picks from the first record of this boot from which it picks anything.
    fn find<T>(&self, mut pick: impl FnMut(Record<'_>) -> Option<T>) -> Option<T> {
        let transcript = self.machine.transcript();
        transcript.entries_since(transcript.last_boot()).find_map(|entry| pick(entry.record))
    }
}

/// The next hold of the guest: the place behind it, and the station.
fn hold_since(machine: &Machine, from: Mark) -> Option<(Mark, String)> {
    machine.transcript().places_since(from).find_map(|(mark, entry)| match entry.record {
        Record::Hold { station, .. } => Some((mark, station.to_string())),
        _ => None,
    })
}
