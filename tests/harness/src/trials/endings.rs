//! Every way in which the guest can end, and what the host sees of it.

use crate::machine::Machine;
use crate::trials::case::Case;
use crate::trials::seen::{all, content, ends, find, told, whole};
use anyhow::{Context, Result, ensure};
use paprika::log::{Record, Severity, Verdict as GuestVerdict};
use std::fs;
use std::time::{Duration, Instant};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("crash-panic", "crash=panic", |machine| panics(machine, "crash=panic")),
        Case::new("crash-stack", "crash=stack", |machine| panics(machine, "stack overflow")),
        Case::new("crash-trap", "crash=trap", traps),
        Case::new("crash-load", "crash=load", loads_from_nowhere),
        Case::new("crash-trap", "crash=trap", traps).under_slof(),
        Case::new("crash-trap-late", "crash=trap@handler-armed", traps),
        Case::new("then-panic", "then=panic until=armed", |machine| panics(machine, "then=panic")),
        Case::new("then-poweroff", "then=poweroff until=armed", |machine| {
            machine.start()?;
            content(machine)
        }),
        Case::new("then-idle", "then=idle until=armed", idles),
        Case::new("then-reboot", "then=reboot until=armed", reboots),
        Case::new("small-tree", "tree-max=4k", |machine| gives_up(machine, "device tree")),
        Case::new("small-heap", "heap=64k until=armed", |machine| gives_up(machine, "device tree")),
    ]
}

/// QEMU hears of the panic, and ends.
fn panicked(machine: &mut Machine) -> Result<()> {
    machine.start()?;
    machine.wait_for_end()?;
    whole(machine)?;
    ensure!(
        told(machine, "GUEST_PANICKED") == 1,
        "GUEST_PANICKED came {} times",
        told(machine, "GUEST_PANICKED")
    );
    Ok(())
}

fn panics(machine: &mut Machine, why: &str) -> Result<()> {
    panicked(machine)?;
    let (file, line, message) = find(machine, "that it panicked", |record| match record {
        Record::Panic { file, line, message } => Some((file.to_string(), line, message.to_string())),
        _ => None,
    })?;
    ensure!(message.contains(why), "the panic says: {message}");
    ensure!(file.ends_with(".rs") && line > 0, "the panic is at {file}:{line}");
    Ok(())
}

/// Where no pseries has memory: what `crash=load` loads from.
const NOWHERE: u64 = 0x0fff_ffff_0000_0000;

/// A trap instruction is a program exception.
fn traps(machine: &mut Machine) -> Result<()> {
    let seen = excepted(machine)?;
    ensure!(seen.vector == 0x700 && seen.srr0 != NOWHERE, "{seen:x?}");
    Ok(())
}

/// A load from where nothing is: a machine check; QEMUs before 8 read zeroes, which the guest then executes.
fn loads_from_nowhere(machine: &mut Machine) -> Result<()> {
    let seen = excepted(machine)?;
    let as_it_should_be = if machine.version().major < 8 {
        (seen.vector, seen.srr0) == (0x700, NOWHERE)
    } else {
        (seen.vector, seen.dar) == (0x200, NOWHERE)
    };
    ensure!(as_it_should_be, "{seen:x?}");
    Ok(())
}

/// An exception as the guest tells it.
#[derive(Debug)]
struct Seen {
    vector: u64,
    srr0: u64,
    dar: u64,
}

/// An exception is named, with its registers and where it came from.
fn excepted(machine: &mut Machine) -> Result<Seen> {
    panicked(machine)?;
    let (name, seen) = find(machine, "that there was an exception", |record| match record {
        Record::Exception { name, vector, srr0, dar, .. } => {
            Some((name.to_string(), Seen { vector: vector.0, srr0: srr0.0, dar: dar.0 }))
        }
        _ => None,
    })?;
    ensure!(!name.is_empty() && seen.srr0 != 0, "{name}: {seen:x?}");
    let registers = all(machine, |record| match record {
        Record::Registers { first, .. } => Some(first),
        _ => None,
    });
    ensure!(registers == [0, 4, 8, 12, 16, 20, 24, 28], "registers from {registers:?}");
    let frames = all(machine, |record| matches!(record, Record::Frame { .. }).then_some(()));
    ensure!(frames.len() >= 3, "{} frames", frames.len());
    ensure!(
        all(machine, |record| matches!(record, Record::End { .. }).then_some(())).is_empty(),
        "it went on"
    );
    Ok(seen)
}

/// It says that it is through, and neither ends QEMU nor keeps it busy.
fn idles(machine: &mut Machine) -> Result<()> {
    machine.start()?;
    machine.wait_for_record("the last line", Default::default(), |record| {
        matches!(record, Record::End { .. })
    })?;
    // What is still to be done for that line.
    settle(machine, Duration::from_millis(100))?;
    let (before, window) = (busy(machine.pid())?, Duration::from_millis(500));
    settle(machine, window)?;
    let spent = busy(machine.pid())?.saturating_sub(before);
    ensure!(spent < window / 4, "QEMU was busy for {spent:?} of {window:?}");
    ensure!(machine.exit().is_none() && told(machine, "SHUTDOWN") == 0, "QEMU ended");
    whole(machine)
}

/// Lets time pass, and sees what comes.
fn settle(machine: &mut Machine, time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    Ok(machine.wait("nothing", |_| (Instant::now() >= until).then_some(()))?)
}

/// How much time the processes of a group have used, of which `leader` is the first.
fn busy(leader: u32) -> Result<Duration> {
    let ticks_of = |stat: &str| -> Option<u64> {
        // After the name, which may hold anything: state, parent, group, … utime and stime as the 12th and 13th.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        (number(2)? == u64::from(leader)).then_some(number(11)? + number(12)?)
    };
    let processes = fs::read_dir("/proc").context("/proc")?.flatten();
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    // The kernel counts in hundredths of a second, whatever its own clock does.
    Ok(Duration::from_millis(stats.filter_map(|stat| ticks_of(&stat)).sum::<u64>() * 10))
}

/// The machine starts again, and the second guest says so with a log of its own.
fn reboots(machine: &mut Machine) -> Result<()> {
    machine.start()?;
    machine.wait("a second boot", |machine| (machine.transcript().boots() == 2).then_some(()))?;
    machine.wait_for_event("RESET", 0, |event| event.name == "RESET" && event.data["guest"] == true)?;
    whole(machine)
}

/// Something that it cannot do without is missing: it says what, and ends in order.
fn gives_up(machine: &mut Machine, over: &str) -> Result<()> {
    machine.start()?;
    ends(machine, GuestVerdict::Fail)?;
    let (severity, what) = find(machine, "what is wrong", |record| match record {
        Record::Problem { severity, what, .. } => Some((severity, what.to_string())),
        _ => None,
    })?;
    ensure!(severity == Severity::Fatal && what == over, "{severity} problem: {what}");
    Ok(())
}
