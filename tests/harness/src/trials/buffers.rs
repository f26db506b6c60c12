//! check-exception with every mask, with short buffers, and with buffers at the end of memory and beyond.
//!
//! The guest holds with its handler armed and has not looked into its queue: what is there is the host's to arrange. Each
//! event that a call brings is acted on when the guest goes on.

use crate::device::{self, Kind, LMB_BYTES};
use crate::machine::Machine;
use crate::qemu::command::Setup;
use crate::scenario::Run;
use crate::stop::Stop;
use crate::trials::case::Case;
use crate::trials::hands::{HOLD_ARMED, arm, leave};
use crate::trials::seen::{identifiers, judged};
use anyhow::{Result, ensure};
use paprika::log::Record;
use paprika::papr::status::Status;
use serde_json::json;

/// The classes that there are.
const EPOW: u32 = 0x4000_0000;
const HOT_PLUG: u32 = 0x1000_0000;
/// Bytes of every log that QEMU has.
const LOG: u32 = 116;
/// One block.
const BLOCK: Kind = Kind::Dimm(LMB_BYTES);
/// Where the first DIMM begins, and ends.
const DIMM: u64 = 1 << 30;
const DIMM_END: u64 = DIMM + LMB_BYTES;

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, holds: &str, more: &str, play: fn(&mut Machine) -> Result<()>| {
        Case::new(name, format!("{HOLD_ARMED}{holds} {more}"), play).on(many_slots)
    };
    vec![
        case("check-masks", "", "memtest=none", |machine| masks(machine, true)),
        case("check-masks-without-hp-evt", "", "memtest=none ov5=-hp-evt", |machine| masks(machine, false)),
        case("check-lengths", "", "memtest=none", lengths),
        case("check-ends", ",idle#1", "memtest=1m", ends),
    ]
}

fn many_slots(setup: &mut Setup) {
    setup.memory = "512M,slots=32,maxmem=32G".into();
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    rc: Status,
    before: u32,
    written: u32,
    event: Option<u32>,
}

/// The queue had nothing for the call, and nothing was written.
const NOTHING: Answer = Answer { rc: Status::NONE_FOUND, before: 0, written: 0, event: None };

/// A whole log came, as that event.
const fn whole(event: u32) -> Answer {
    Answer { rc: Status::SUCCESS, before: 0, written: LOG, event: Some(event) }
}

/// Has the guest make a call.
fn check(machine: &mut Machine, wish: &str) -> Result<Answer, Stop> {
    let from = machine.transcript().mark();
    machine.order(&format!("check {wish}"))?;
    machine.wait(&format!("the answer to `check {wish}`"), |machine| {
        machine.transcript().entries_since(from).find_map(|entry| match entry.record {
            Record::Check { rc, before, written, event, .. } => Some(Answer { rc, before, written, event }),
            _ => None,
        })
    })
}

/// Makes the calls one after the other.
fn checks(machine: &mut Machine, wishes: impl IntoIterator<Item = String>) -> Result<Vec<Answer>, Stop> {
    wishes.into_iter().map(|wish| check(machine, &wish)).collect()
}

/// Plugs a block; its event comes into the queue.
fn plug(machine: &mut Machine, id: &str) -> Result<(), Stop> {
    device::plug(machine, id, BLOCK).map(drop)
}

/// Has the host ask for the guest's end; its event is in the queue when this returns.
pub(crate) fn warn(machine: &mut Machine) -> Result<(), Stop> {
    let from = machine.events().len();
    machine.execute("system_powerdown", json!({}))?;
    machine.wait_for_event("POWERDOWN", from, |event| event.name == "POWERDOWN")?;
    // That event is told before the guest's is queued, and this is answered after it.
    machine.execute("query-status", json!({})).map(drop)
}

/// The events' classes and actions, in the order in which they came.
pub(crate) fn classes(machine: &Machine) -> Vec<String> {
    crate::trials::seen::all(machine, |record| match record {
        Record::Event { class, .. } => Some(class.to_string()),
        _ => None,
    })
}

/// Each bit alone, all and none: a mask takes the first event of its classes and leaves the others where they are. Bits that
/// stand for nothing take nothing. Without the newer events all are of the one class.
fn masks(machine: &mut Machine, apart: bool) -> Result<()> {
    let strange: Vec<u32> =
        (0..32).map(|bit| 1 << bit).filter(|bit| *bit != EPOW && *bit != HOT_PLUG).collect();
    let (mut idle, mut taken) = (Vec::new(), Vec::new());
    judged(machine, |run, machine| {
        arm(run, machine)?;
        for round in 0..2 {
            plug(machine, &format!("dimm-{round}"))?;
            warn(machine)?;
        }
        let empty = [0, !(EPOW | HOT_PLUG)];
        let bits = strange.iter().copied().chain(empty).chain((!apart).then_some(HOT_PLUG));
        idle = checks(machine, bits.map(|bits| format!("mask={bits:x}")))?;
        let takers = if apart { [EPOW, HOT_PLUG, EPOW, u32::MAX, u32::MAX] } else { [EPOW; 5] };
        taken = checks(machine, takers.map(|bits| format!("mask={bits:x}")))?;
        machine.go()?;
        end(machine)
    })?;
    ensure!(idle.iter().all(|answer| *answer == NOTHING), "{idle:?}");
    ensure!(taken == [whole(1), whole(2), whole(3), whole(4), NOTHING], "{taken:?}");
    let (epow, plug) = ("epow", "hotplug");
    let wanted = if apart { [epow, plug, epow, plug] } else { [plug, epow, plug, epow] };
    ensure!(classes(machine) == wanted, "{:?}", classes(machine));
    let blocks = identifiers(machine, "memory", "add");
    let named = if apart { ["count-indexed:1@80000004", "count-indexed:1@80000005"] } else { ["count:1"; 2] };
    ensure!(blocks == named, "{blocks:?}");
    Ok(())
}

/// Waits for the end of a guest that has been asked to end.
pub(crate) fn end(machine: &mut Machine) -> Result<(), Stop> {
    let exit = machine.wait_for_end()?;
    if exit.success() {
        return Ok(());
    }
    Err(Stop::Ended { waiting_for: "an orderly end".to_owned(), exit, last_words: machine.last_words() })
}

/// Buffers that are too short by a little and by all, and one that is just right.
fn lengths(machine: &mut Machine) -> Result<()> {
    const LENGTHS: [u32; 8] = [0, 1, 7, 8, 15, 16, LOG - 1, LOG];
    let mut answers = Vec::new();
    judged(machine, |run, machine| {
        arm(run, machine)?;
        for length in LENGTHS {
            plug(machine, &format!("dimm-{length}"))?;
        }
        answers = checks(machine, LENGTHS.map(|length| format!("length={length}")))?;
        machine.go()?;
        leave(run, machine)
    })?;
    // How far it wrote is judged, and known to be too far; whatever QEMU does, it takes one event for each call.
    ensure!(answers.iter().all(|answer| (answer.rc, answer.before) == (Status::SUCCESS, 0)), "{answers:?}");
    ensure!(answers.last() == Some(&whole(answers.iter().filter_map(|one| one.event).count() as u32)));
    Ok(())
}

/// A buffer that ends where memory ends, buffers that go beyond it, and buffers where there is none.
fn ends(machine: &mut Machine) -> Result<()> {
    let fits = [DIMM_END - u64::from(LOG), DIMM_END - u64::from(LOG) - 3];
    let part = [DIMM_END - u64::from(LOG) + 1, DIMM_END - 61, DIMM_END - 8, DIMM_END - 1];
    let none = [DIMM_END, DIMM_END + 4096, 0xffff_fff0, 0xffff_ffff];
    let (mut good, mut poor, mut own) = (Vec::new(), Vec::new(), None);
    judged(machine, |run: &mut Run, machine| {
        arm(run, machine)?;
        run.plug(machine, "memory", BLOCK, "handler-armed")?;
        machine.go()?;
        machine.wait_for_hold("idle", Default::default())?;
        run.wait_until_taken(machine)?;
        // No more memory: it would stand where this ends.
        for at in fits.iter().chain(&part).chain(&none) {
            device::plug(machine, &format!("phb-{at:x}"), Kind::Phb)?;
        }
        let each = |places: &[u64]| places.iter().map(|at| format!("at={at:x}")).collect::<Vec<_>>();
        good = checks(machine, each(&fits))?;
        poor = checks(machine, each(&part).into_iter().chain(each(&none)))?;
        // What QEMU left in the queue is taken in the ordinary way.
        own = Some(crate::trials::hands::poll(machine)?);
        machine.go()?;
        leave(run, machine)
    })?;
    ensure!(good == [whole(2), whole(3)], "{good:?}");
    // Each answers one way or the other: the event is lost, which is judged, or it is still there.
    let gone = poor.iter().filter(|answer| answer.rc == Status::SUCCESS).count();
    let kept = poor.iter().filter(|answer| answer.rc == Status::PARAMETER).count();
    ensure!(gone + kept == part.len() + none.len(), "{poor:?}");
    ensure!(own == u32::try_from(kept).ok(), "{kept} calls were refused, {own:?} events were left");
    // Nothing was ever written before a buffer, and no more than there is memory for.
    let room = part.map(|at| u32::try_from(DIMM_END - at).unwrap_or(u32::MAX)).into_iter().chain([0; 4]);
    let strays = poor.iter().zip(room).filter(|(answer, room)| answer.before > 0 || answer.written > *room);
    ensure!(strays.count() == 0, "{poor:?}");
    Ok(())
}
