//! Guests with bad manners: what a hypervisor makes of each, for every kind of device that it can take back.
//!
//! One boot a kind: the guest is told how to behave by an order, a device comes and is asked for, and is then taken away in
//! good manners. Where that cannot be, because the hypervisor still waits for the guest, a reset ends the lesson.

use crate::defects::Step;
use crate::device::{self, Family, Kind, LMB_BYTES};
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::race::settle::idles;
use crate::scenario::{Run, is_deletion, is_end, power_down};
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::trials::case::Case;
use crate::trials::seen::{all, judged};
use anyhow::{Result, ensure};
use paprika::log::{Outcome, Record, Request};
use paprika::papr::drc::DrcKind;
use std::time::Duration;

/// A way to behave, and what is to come of it.
#[derive(Clone, Copy)]
struct Lesson {
    /// As the guest is told it.
    policy: &'static str,
    /// What comes of the plug: how the guest's turn ends.
    add: Outcome,
    /// What comes of what the guest then does on its own.
    unasked: Option<Outcome>,
    /// What comes of the request to unplug, if it is one of the guest's turns.
    remove: Option<Outcome>,
    /// What QEMU tells when it has asked.
    told: Told,
    /// What comes of it when the guest behaves again.
    again: Again,
}

/// What QEMU tells of a request to unplug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The device is gone.
    Deleted,
    /// The guest has refused.
    Refused,
    /// Nothing: QEMU waits.
    Nothing,
}

/// How the device goes in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// It is gone already.
    Gone,
    /// It is asked for once more, and goes.
    Goes,
    /// QEMU says that it is still waiting, and only a reset helps.
    AtReset,
}

const fn removal(policy: &'static str, remove: Outcome, told: Told, again: Again) -> Lesson {
    Lesson { policy, add: Outcome::Taken, unasked: None, remove: Some(remove), told, again }
}

const fn addition(
    policy: &'static str,
    add: Outcome,
    remove: Option<Outcome>,
    told: Told,
    again: Again,
) -> Lesson {
    Lesson { policy, add, unasked: None, remove, told, again }
}

/// The lessons for a kind of device.
fn lessons(family: Family) -> Vec<Lesson> {
    use Again::{AtReset, Goes, Gone};
    use Outcome::{Ignored, Kept, Released, Stuck, Taken};
    use Told::{Deleted, Nothing, Refused};
    // A request that is still open is made again only for a core: the others are said to be in progress.
    let pending = if family == Family::Cpu { Goes } else { AtReset };
    let mut lessons = vec![
        removal("remove:ignore", Ignored, Nothing, pending),
        removal("remove:late:30", Released, Deleted, Gone),
        removal("remove:touch", Released, Deleted, Gone),
        addition("add:twice", Taken, Some(Released), Deleted, Gone),
        addition("add:late:30", Taken, Some(Released), Deleted, Gone),
        // A device that no guest has touched goes at once; the event that tells of it comes too late.
        addition("add:ignore", Ignored, None, Deleted, Gone),
        // What stopped on its way in is given back from where it is.
        addition("add:half:1", Stuck, Some(Released), Deleted, Gone),
        match family {
            // Memory can be given back only when it is asked for.
            Family::Memory => Lesson {
                unasked: Some(Kept),
                ..addition("add:unasked", Taken, Some(Released), Deleted, Gone)
            },
            _ => Lesson { unasked: Some(Released), ..addition("add:unasked", Taken, None, Deleted, Gone) },
        },
    ];
    lessons.extend(match family {
        Family::Pci => vec![
            // There is no way to refuse: the request stays open.
            removal("remove:refuse", Kept, Nothing, AtReset),
            // To isolate it is to let it go.
            removal("remove:half:1", Stuck, Deleted, Gone),
        ],
        Family::Memory => vec![
            removal("remove:refuse", Kept, Refused, Goes),
            removal("remove:refuse-by-configuring", Kept, Refused, Goes),
            removal("remove:half:1", Stuck, Nothing, AtReset),
        ],
        _ => vec![
            removal("remove:refuse", Kept, Refused, Goes),
            // Only memory is refused so.
            removal("remove:refuse-by-configuring", Kept, Nothing, pending),
            removal("remove:half:1", Stuck, Nothing, pending),
        ],
    });
    lessons
}

pub(crate) fn cases() -> Vec<Case> {
    let kinds = [Family::Memory, Family::Cpu, Family::Pci, Family::Phb];
    let case = |family: Family| {
        Case::new(format!("manners-{family}"), "hold=idle#1 memtest=1m", move |machine| {
            manners(machine, family)
        })
        .on(|setup| setup.cpus = "1,maxcpus=32".into())
    };
    let torn = Case::new("manners-torn-dimm", "hold=idle#1 memtest=1m", changes_its_mind);
    let pmem = Case::new("manners-pmem", "hold=idle#1 memtest=1m", persistent);
    let in_slof = case(Family::Memory).under_slof();
    [in_slof].into_iter().chain(kinds.into_iter().map(case)).chain([torn, pmem]).collect()
}

/// Persistent memory comes, and no QEMU takes it back: what a guest left half way, or did not look at, is its own after a
/// reset.
fn persistent(machine: &mut Machine) -> Result<()> {
    let lessons = [
        ("add:twice", Outcome::Taken),
        ("add:late:30", Outcome::Taken),
        ("add:ignore", Outcome::Ignored),
        ("add:half:1", Outcome::Stuck),
        ("add:half:2", Outcome::Stuck),
    ];
    let (mut came, mut reset) = (Vec::new(), Mark::default());
    judged(machine, |run, machine| {
        machine.start()?;
        awake(machine, Mark::default())?;
        run.turn_to(Step::Plug);
        for (at, (policy, _)) in lessons.iter().enumerate() {
            machine.order(&format!("policy {policy}"))?;
            let from = machine.transcript().mark();
            device::plug(machine, &format!("pupil{at}"), Kind::Nvdimm(LMB_BYTES))?;
            came.push(outcome(machine, from, Request::Add)?);
        }
        idles(machine)?;
        reset = machine.transcript().mark();
        machine.reset()?;
        awake(machine, reset)?;
        idles(machine)?;
        run.turn_to(Step::PowerDown);
        power_down(machine)
    })?;
    let wanted: Vec<_> = lessons.iter().map(|(_, outcome)| Some(*outcome)).collect();
    ensure!(came == wanted, "the plugs came to {came:?}");
    let taken = machine.transcript().entries_since(reset).filter(|entry| {
        matches!(entry.record, Record::Done { kind: DrcKind::PMEM, outcome: Outcome::Taken, .. })
    });
    ensure!(taken.count() == lessons.len(), "after the reset not all are the guest's");
    Ok(())
}

fn manners(machine: &mut Machine, family: Family) -> Result<()> {
    let mut problem = None;
    judged(machine, |run, machine| {
        machine.start()?;
        awake(machine, Mark::default())?;
        for lesson in lessons(family) {
            if let Err(what) = teach(run, machine, family.kind(), lesson)? {
                problem = Some(format!("{}: {what}", lesson.policy));
                break;
            }
        }
        run.turn_to(Step::PowerDown);
        power_down(machine)
    })?;
    ensure!(problem.is_none(), "{}", problem.unwrap_or_default());
    Ok(())
}

/// Lets the guest of this boot go on that holds at its first idle moment.
fn awake(machine: &mut Machine, from: Mark) -> Result<(), Stop> {
    machine.wait_for_hold("idle", from)?;
    machine.go()
}

/// One lesson. What came out otherwise is told in words.
fn teach(
    run: &mut Run,
    machine: &mut Machine,
    kind: Kind,
    lesson: Lesson,
) -> Result<Result<(), String>, Stop> {
    const ID: &str = "pupil";
    let Lesson { policy, add, unasked, remove, told, again } = lesson;
    machine.order(&format!("policy {policy}"))?;
    run.turn_to(if kind == Kind::Phb { Step::AfterPhb } else { Step::Plug });
    let from = machine.transcript().mark();
    device::plug(machine, ID, kind)?;
    let added = outcome(machine, from, Request::Add)?;
    if added != Some(add) {
        return Ok(Err(format!("the plug came to {added:?}, not {add:?}")));
    }
    // What the guest does on its own is done when it idles, and before the host asks for anything.
    idles(machine)?;
    let alone = ends(machine, from, Request::Remove).first().map(|end| end.0);
    if alone != unasked {
        return Ok(Err(format!("on its own the guest came to {alone:?}, not {unasked:?}")));
    }
    let mut said = ways(machine, from);

    run.turn_to(Step::unplug(kind));
    let (from, events) = (machine.transcript().mark(), machine.events().len());
    device::unplug(machine, ID)?;
    if let Some(remove) = remove {
        let removed = outcome(machine, from, Request::Remove)?;
        if removed != Some(remove) {
            return Ok(Err(format!("the request came to {removed:?}, not {remove:?}")));
        }
    }
    said.extend(ways(machine, from));
    if said != [policy] {
        return Ok(Err(format!("the guest says that it was told {said:?}")));
    }
    if policy == "remove:touch" && !ends(machine, from, Request::Remove).iter().all(|end| end.1) {
        return Ok(Err("what was given back could still be used, or was not tried".to_owned()));
    }
    let seen = word(machine, ID, events, told != Told::Nothing)?;
    if seen != told {
        return Ok(Err(format!("QEMU told {seen:?}, not {told:?}")));
    }

    machine.order("policy accept")?;
    if again != Again::Gone {
        let events = machine.events().len();
        let refused = match device::unplug(machine, ID) {
            Err(Stop::Qmp(QmpError::Refused { .. })) => true,
            other => other.map(|()| false)?,
        };
        if refused != (again == Again::AtReset) {
            return Ok(Err(format!("asked again, QEMU refuses: {refused}, but {again:?} was due")));
        }
        if refused {
            let from = machine.transcript().mark();
            machine.reset()?;
            awake(machine, from)?;
        }
        if word(machine, ID, events, true)? != Told::Deleted {
            return Ok(Err("it does not go in the end".to_owned()));
        }
    }
    idles(machine)?;
    device::clean_up(machine, ID, kind)?;
    Ok(Ok(()))
}

/// How the guest's turn ended that began after `from`.
fn outcome(machine: &mut Machine, from: Mark, asked: Request) -> Result<Option<Outcome>, Stop> {
    const LIMIT: Duration = Duration::from_secs(10);
    let done = |machine: &Machine| ends(machine, from, asked).first().map(|end| end.0);
    machine.wait_within(LIMIT, "the guest's word", done)
}

/// How each of the guest's turns ended since then, and whether it tried in vain to use what it had given back.
fn ends(machine: &Machine, from: Mark, asked: Request) -> Vec<(Outcome, bool)> {
    let in_vain = |reason: &str| {
        reason.contains("touched after its release; ") && !reason.ends_with("it can still be used")
    };
    let end = |record: Record<'_>| match record {
        Record::Done { request, outcome, reason, .. } if request == asked => {
            Some((outcome, in_vain(&reason.0)))
        }
        _ => None,
    };
    machine.transcript().entries_since(from).filter_map(|entry| end(entry.record)).collect()
}

/// In which ways the guest says since then that it was told to treat a request, as in an order.
fn ways(machine: &Machine, from: Mark) -> Vec<String> {
    let way = |record: Record<'_>| match record {
        Record::Policy { request, manner, .. } => Some(format!("{request}:{}", manner.0)),
        _ => None,
    };
    machine.transcript().entries_since(from).filter_map(|entry| way(entry.record)).collect()
}

/// What QEMU says of the request; `due` says whether it is to say anything.
fn word(machine: &mut Machine, id: &str, events: usize, due: bool) -> Result<Told, Stop> {
    const LIMIT: Duration = Duration::from_secs(10);
    let end = |machine: &Machine| {
        let mut events = machine.events().iter().skip(events);
        let end = events.find(|event| is_end(event, id))?;
        Some(if is_deletion(end, id) { Told::Deleted } else { Told::Refused })
    };
    // A guest that idles has done what there was to do, and QEMU has answered it.
    idles(machine)?;
    let limit = if due { LIMIT } else { Duration::ZERO };
    Ok(machine.wait_within(limit, "QEMU's word", end)?.unwrap_or(Told::Nothing))
}

/// A guest that changes its mind in the middle: of four blocks it gives two back, keeps the third, and cannot get back what
/// it gave. Then the host asks again.
fn changes_its_mind(machine: &mut Machine) -> Result<()> {
    let mut words = Vec::new();
    judged(machine, |run, machine| {
        machine.start()?;
        awake(machine, Mark::default())?;
        let from = machine.transcript().mark();
        device::plug(machine, "dimm", Kind::Dimm(4 * LMB_BYTES))?;
        outcome(machine, from, Request::Add)?;
        idles(machine)?;
        run.turn_to(Step::UnplugDimm);
        for policy in ["policy remove:refuse@3", "policy accept"] {
            machine.order(policy)?;
            let events = machine.events().len();
            device::unplug(machine, "dimm")?;
            words.push(word(machine, "dimm", events, true)?);
            run.turn_to(Step::UnplugTorn);
        }
        run.turn_to(Step::PowerDown);
        power_down(machine)
    })?;
    let ends = all(machine, |record| match record {
        Record::Done { drc, request, outcome, .. } if drc.kind() == DrcKind::LMB => {
            Some((drc.0 & 0xf, request, outcome))
        }
        _ => None,
    });
    let asked: Vec<_> = ends.iter().filter(|(_, request, _)| *request == Request::Remove).take(3).collect();
    let remove = Request::Remove;
    let wanted =
        [&(4, remove, Outcome::Released), &(5, remove, Outcome::Released), &(6, remove, Outcome::Kept)];
    ensure!(asked == wanted, "{asked:?}");
    // Where QEMU lives to answer it, the second request takes the whole DIMM away.
    ensure!([Told::Refused, Told::Deleted].starts_with(&words) && !words.is_empty(), "QEMU told {words:?}");
    Ok(())
}
