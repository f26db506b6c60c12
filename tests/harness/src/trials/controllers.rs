//! Both interrupt controllers: which one CAS leaves in charge, and what becomes of an interrupt at each place of a life.

use crate::defects::{Step, swaps_esb_loads};
use crate::device::{Kind, LMB_BYTES};
use crate::machine::Machine;
use crate::race::settle::idles;
use crate::scenario::{Run, power_down};
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::trials::case::Case;
use crate::trials::seen::{all, ends, find, judged, option, reach};
use anyhow::{Result, ensure};
use paprika::log::{Hex, Learned, Record, Request, Severity, Verdict};
use paprika::papr::drc::DrcKind;

/// A way to come to a controller.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    /// What the trial is called.
    pub(crate) name: &'static str,
    /// The machine's option.
    pub(crate) machine: &'static str,
    /// What the guest is told.
    pub(crate) append: &'static str,
    /// The controller that it comes to.
    pub(crate) controller: &'static str,
}

pub(crate) const MODES: [Mode; 4] = [
    Mode { name: "xics", machine: "ic-mode=xics", append: "", controller: XICS },
    Mode { name: "xive", machine: "ic-mode=xive", append: "", controller: XIVE },
    Mode { name: "dual", machine: "ic-mode=dual", append: "", controller: XICS },
    Mode { name: "dual-xive", machine: "ic-mode=dual", append: " ov5=+xive", controller: XIVE },
];

pub(crate) const XICS: &str = "xics";
pub(crate) const XIVE: &str = "xive";
const DIMM: Kind = Kind::Dimm(LMB_BYTES);

impl Mode {
    pub(crate) fn case(
        self,
        what: &str,
        append: &str,
        play: impl FnOnce(&mut Machine, Self) -> Result<()> + Send + 'static,
    ) -> Case {
        let append = format!("memtest=1m {append}{}", self.append);
        let case = Case::new(format!("{what}-{}", self.name), append, move |machine| play(machine, self));
        case.on(move |setup| setup.machine = Some(self.machine.into()))
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(MODES.map(|mode| mode.case("controller", "", plug_and_unplug)));
    let [xics, xive, dual, dual_xive] = MODES;
    for mode in [xics, dual_xive] {
        cases.push(mode.case("masked", "hold=idle#1", masked));
        cases.push(mode.case("before-armed", "hold=handler-installed", before_armed));
        cases.push(mode.case("before-handler", "hold=tree-read", before_handler));
        cases.push(mode.case("together", "hold=idle#1", together));
    }
    cases.push(dual_xive.case("controller", "", plug_and_unplug).under_slof());
    let there = |machine: &mut Machine, _| switched(machine, &["+"], XIVE);
    let back = |machine: &mut Machine, _| switched(machine, &["+", "-"], XICS);
    let and_there = |machine: &mut Machine, _| switched(machine, &["-", "+"], XIVE);
    cases.push(dual.case("switched", "hold=tree-read#1", there));
    cases.push(dual.case("switched-back", "hold=tree-read#1", back));
    cases.push(dual.case("switched-back", "hold=tree-read#1", back).under_slof());
    cases.push(dual_xive.case("switched-back", "hold=tree-read#1", and_there));
    cases.push(xics.case("absent-controller", "ov5=+xive", |machine, _| absent(machine, "XIVE")));
    cases.push(xive.case("absent-controller", "ov5=-xive", |machine, _| absent(machine, "XICS")));
    cases.push(dual_xive.case("sources-by-calls", "until=armed xive=calls", by_calls));
    cases
}

/// The interrupt of the source with this name.
pub(crate) fn source(machine: &Machine, wanted: &str) -> Result<Hex> {
    find(machine, "its event sources", |record| match record {
        Record::Source { name, irq, .. } if name.0 == wanted => Some(irq),
        _ => None,
    })
}

/// The interrupts of the source of hotplug events, each as the number of events that it brought.
pub(crate) fn interrupts(machine: &Machine) -> Result<Vec<u32>> {
    let hot_plug = source(machine, "hot-plug-events")?;
    Ok(all(machine, |record| match record {
        Record::Interrupt { irq, events, .. } if irq == Some(hot_plug) => Some(events),
        _ => None,
    }))
}

/// The guest works with this controller, and CAS has granted that.
pub(crate) fn works_with(machine: &Machine, wanted: &str) -> Result<()> {
    let name = find(machine, "its controller", |record| match record {
        Record::Controller { name, .. } => Some(name.to_string()),
        _ => None,
    })?;
    ensure!(name == wanted, "the guest works with {name}");
    let granted = option(machine, "xive").1 == 1;
    ensure!(granted || wanted != XIVE, "xive: {:?}", option(machine, "xive"));
    Ok(())
}

/// A DIMM comes, is used and goes, each by an interrupt.
fn plug_and_unplug(machine: &mut Machine, mode: Mode) -> Result<()> {
    judged(machine, |run, machine| {
        machine.start()?;
        let idle =
            |record: &Record<'_>| matches!(record, Record::Drain { call, .. } if call.0 == "check-exception");
        machine.wait_for_record("the first drain", Mark::default(), idle)?;
        run.turn_to(Step::Plug);
        run.plug(machine, "dimm", DIMM, "idle")?;
        run.wait_until_taken(machine)?;
        run.turn_to(Step::UnplugDimm);
        run.unplug(machine, "dimm")?;
        run.turn_to(Step::PowerDown);
        power_down(machine)
    })?;
    works_with(machine, mode.controller)?;
    ensure!(interrupts(machine)? == [1, 1], "interrupts with {:?} events", interrupts(machine)?);
    let epow = source(machine, "epow-events")?;
    let last = all(machine, |record| match record {
        Record::Interrupt { irq, .. } => Some(irq),
        _ => None,
    });
    ensure!(last.last() == Some(&Some(epow)), "interrupts from {last:?}");
    Ok(())
}

/// Has the guest obey, and waits until it has.
pub(crate) fn obey(
    machine: &mut Machine,
    order: &str,
    done: impl Fn(&Record<'_>) -> bool,
) -> Result<(), Stop> {
    let from = machine.transcript().mark();
    machine.say(order)?;
    machine.wait_for_record(&format!("the answer to `{order}`"), from, done)
}

/// Both sources were switched: the guest speaks of the last.
pub(crate) fn is_switched(record: &Record<'_>) -> bool {
    match record {
        Record::Irq { irq, .. } => irq.0 == 0x1000,
        Record::Xive { call, irq, .. } => {
            *irq == Some(Hex(0x1000)) && ["keep-back", "let-through"].contains(&&*call.0)
        }
        _ => false,
    }
}

/// Plugs a DIMM where the guest holds, lets it take it, and ends.
fn plugged_here(run: &mut Run, machine: &mut Machine, station: &'static str) -> Result<(), Stop> {
    run.turn_to(Step::Plug);
    run.plug(machine, "dimm", DIMM, station)?;
    machine.go()?;
    run.wait_until_taken(machine)?;
    idles(machine)?;
    run.turn_to(Step::PowerDown);
    power_down(machine)
}

/// The sources are off, a DIMM is plugged, nothing is heard; when they are on again, the interrupt comes, and brings it.
fn masked(machine: &mut Machine, mode: Mode) -> Result<()> {
    let mut heard_early = true;
    judged(machine, |run, machine| {
        reach(machine, "idle")?;
        obey(machine, "mask", is_switched)?;
        run.turn_to(Step::Plug);
        run.plug(machine, "dimm", DIMM, "idle")?;
        obey(machine, "dump", |record| matches!(record, Record::Heap { .. }))?;
        heard_early =
            machine.transcript().says(Mark::default(), |record| matches!(record, Record::Interrupt { .. }));
        obey(machine, "arm", is_switched)?;
        machine.go()?;
        run.wait_until_taken(machine)?;
        run.turn_to(Step::PowerDown);
        power_down(machine)
    })?;
    works_with(machine, mode.controller)?;
    ensure!(!heard_early, "an interrupt came from a source that is off");
    ensure!(interrupts(machine)? == [1], "interrupts with {:?} events", interrupts(machine)?);
    Ok(())
}

/// What comes while the sources are known and off is drained when they are on. Its interrupt comes all the same, and with it
/// another: event-scan, with which the guest begins, triggers the source of what it leaves in the queue.
fn before_armed(machine: &mut Machine, mode: Mode) -> Result<()> {
    judged(machine, |run, machine| {
        reach(machine, "handler-installed")?;
        plugged_here(run, machine, "handler-installed")
    })?;
    works_with(machine, mode.controller)?;
    ensure!(interrupts(machine)? == [0, 0], "interrupts with {:?} events", interrupts(machine)?);
    Ok(())
}

/// What comes before the guest has touched a source: the queue keeps the event. XICS keeps the interrupt, too; with XIVE a source
/// is off until somebody switches it on, and what comes is lost. The one that comes is that of event-scan.
fn before_handler(machine: &mut Machine, mode: Mode) -> Result<()> {
    judged(machine, |run, machine| {
        reach(machine, "tree-read")?;
        plugged_here(run, machine, "tree-read")
    })?;
    works_with(machine, mode.controller)?;
    let wanted: &[u32] = if mode.controller == XICS { &[0, 0] } else { &[0] };
    ensure!(interrupts(machine)? == wanted, "interrupts with {:?} events", interrupts(machine)?);
    Ok(())
}

/// Several events while the guest does not listen are one interrupt, or two: one that was accepted, and one for all the others.
fn together(machine: &mut Machine, mode: Mode) -> Result<()> {
    const DIMMS: [&str; 3] = ["one", "two", "three"];
    judged(machine, |run, machine| {
        reach(machine, "idle")?;
        run.turn_to(Step::Plug);
        for id in DIMMS {
            run.plug(machine, id, DIMM, "idle")?;
        }
        machine.go()?;
        run.wait_until_taken(machine)?;
        idles(machine)?;
        run.turn_to(Step::PowerDown);
        power_down(machine)
    })?;
    works_with(machine, mode.controller)?;
    let interrupts = interrupts(machine)?;
    ensure!([&[3][..], &[3, 0]].contains(&&*interrupts), "interrupts with {interrupts:?} events");
    Ok(())
}

/// Whether each CAS has granted XIVE.
fn granted(machine: &Machine) -> Vec<bool> {
    let mut granted = Vec::new();
    for entry in machine.transcript().entries() {
        match entry.record {
            Record::CasAnswer { .. } => granted.push(false),
            Record::CasOption { name, granted: 1, .. } if name.0 == "xive" => {
                granted.pop();
                granted.push(true);
            }
            _ => {}
        }
    }
    granted
}

/// CAS again, with the other controller each time; the last one counts. What is plugged before each is in the tree that it hands
/// out, and what is plugged after them all is heard.
fn switched(machine: &mut Machine, signs: &[&str], wanted: &str) -> Result<()> {
    judged(machine, |run, machine| {
        reach(machine, "tree-read")?;
        run.turn_to(Step::Plug);
        for (at, sign) in signs.iter().enumerate() {
            run.plug(machine, &format!("between-{at}"), DIMM, "tree-read")?;
            machine.order(&format!("set ov5={sign}xive"))?;
            obey(machine, "cas", |record| matches!(record, Record::Affinity { .. }))?;
        }
        machine.go()?;
        run.wait_until_taken(machine)?;
        idles(machine)?;
        run.plug(machine, "dimm", DIMM, "idle")?;
        run.wait_until_taken(machine)?;
        run.turn_to(Step::UnplugDimm);
        for device in run.devices.iter().map(|device| device.id.clone()).collect::<Vec<_>>() {
            run.unplug(machine, &device)?;
        }
        run.turn_to(Step::PowerDown);
        power_down(machine)
    })?;
    works_with(machine, wanted)?;
    let asked: Vec<bool> = signs.iter().map(|sign| *sign == "+").collect();
    ensure!(granted(machine).ends_with(&asked), "granted: {:?}", granted(machine));
    let learned = all(machine, |record| match record {
        Record::Begin { request: Request::Add, kind: DrcKind::LMB, learned, .. } => Some(learned),
        _ => None,
    });
    let mut by_tree = vec![Learned::Tree; signs.len()];
    by_tree.push(Learned::Event);
    ensure!(learned == by_tree, "learned by {learned:?}");
    // One for what was plugged last, and one for each DIMM that goes.
    let events: u32 = interrupts(machine)?.iter().sum();
    ensure!(events as usize == signs.len() + 2, "interrupts with {:?} events", interrupts(machine)?);
    Ok(())
}

/// A guest that asks CAS for a controller which the machine does not have: QEMU ends, with an error and its reason.
fn absent(machine: &mut Machine, wanted: &str) -> Result<()> {
    machine.start()?;
    let exit = machine.wait_for_end()?;
    let words = machine.last_words();
    let reason = format!("Guest requested unavailable interrupt mode ({wanted})");
    ensure!(exit.code() == 1 && words.contains(&reason), "QEMU {exit}: {words}");
    let answered = all(machine, |record| matches!(record, Record::CasAnswer { .. }).then_some(()));
    ensure!(answered.is_empty(), "CAS came back");
    Ok(())
}

/// Sources are moved by `H_INT_ESB`. It is to hand out P and Q as a load from the page does; where it turns their bytes around,
/// the guest says so.
fn by_calls(machine: &mut Machine, _: Mode) -> Result<()> {
    machine.start()?;
    if !swaps_esb_loads(machine.version()) {
        return crate::trials::seen::content(machine);
    }
    ends(machine, Verdict::Fail)?;
    let problems = all(machine, |record| match record {
        Record::Problem { severity: Severity::Major, detail, .. } => Some(detail.to_string()),
        _ => None,
    });
    let expected = |problem: &String| problem.ends_with("is no P and Q");
    ensure!(!problems.is_empty() && problems.iter().all(expected), "{problems:?}");
    eprintln!("note: XFAIL: {}: {}", machine.version(), problems[0]);
    Ok(())
}
