//! What connectors of memory read, and how events name blocks.

use super::DIMM;
use crate::answers::bench::{Bench, Script};
use crate::device::{Kind, LMB_BYTES};
use crate::qemu::command::Setup;
use crate::stop::Stop;
use paprika::log::{Record, Request};

/// A DIMM in every window, one of them from the start.
pub const READINGS: Script = Script {
    name: "readings",
    story: "a DIMM is there from the start, one comes before CAS, one after it, one when the handler is armed; each one's \
            sensor is read before the guest does anything with it",
    append: "hold=before-cas#1,rtas-up#1,idle#1 memtest=256m",
    arrange: |setup: &mut Setup| {
        let cold = ["-object", "memory-backend-ram,id=m0,size=256M", "-device", "pc-dimm,id=cold,memdev=m0"];
        setup.extra.extend(cold.map(str::to_owned));
    },
    play: readings,
};

fn readings(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.hold("before-cas")?;
    let trace = 0;
    let connectors = crate::device::connectors(bench.machine, "cold", DIMM, trace)?;
    let since = crate::transcript::Mark::default();
    let cold = Some(crate::answers::bench::Device { id: "cold".to_owned(), connectors, since });
    let early = bench.plug("early", DIMM)?;
    bench.go()?;
    bench.hold("rtas-up")?;
    let queued = bench.look("poll")?;
    bench.facts.note("events queued behind CAS", queued);
    let between = bench.plug("between", DIMM)?;
    bench.go()?;
    bench.pass("idle")?;
    let late = bench.plug("late", DIMM)?;
    bench.settle(&late)?;
    for device in [&cold, &early, &between, &late] {
        bench.fate(device);
    }
    Ok(())
}

/// DIMMs of several blocks, with the newer events.
pub const IDENTIFIERS: Script = Script {
    name: "identifiers",
    story: "DIMMs of 1, 3 and 8 blocks come; then one of 4 of which the guest stops at the third",
    append: "hold=handler-armed#1,idle#1 memtest=256m",
    arrange: roomy,
    play: identifiers,
};
/// The same without them.
pub const IDENTIFIERS_EPOW: Script = Script {
    name: "identifiers-epow",
    story: "DIMMs of 1, 3 and 8 blocks come to a guest without option hp-evt",
    append: "hold=handler-armed#1,idle#1 memtest=256m ov5=-hp-evt",
    arrange: roomy,
    play: identifiers,
};

fn roomy(setup: &mut Setup) {
    setup.memory = "512M,slots=16,maxmem=16G".into();
}

fn identifiers(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.hold("handler-armed")?;
    let mut last = None;
    for blocks in [1, 3, 8] {
        last = bench.plug(&format!("dimm-{blocks}"), Kind::Dimm(blocks * LMB_BYTES))?;
    }
    bench.go()?;
    bench.pass("idle")?;
    bench.settle(&last)?;
    let ids = bench.all(|record| match record {
        Record::Event { resource, action, id, .. } if resource.0 == "memory" && action.0 == "add" => {
            Some(id.to_string())
        }
        _ => None,
    });
    bench.facts.note("identifiers", ids);
    bench.facts.note("taken", ends(bench, "taken", Request::Add));
    bench.machine.order("policy add:half:2@3")?;
    let before = ends(bench, "taken", Request::Add);
    let part = bench.plug("part", Kind::Dimm(4 * LMB_BYTES))?;
    if part.is_some() {
        let stuck = |record: &Record<'_>| matches!(record, Record::Problem { what, .. } if what.0 == "event");
        let from = part.as_ref().map(|part| part.since).unwrap_or_default();
        bench.machine.wait_for_record("that a part could not be taken", from, stuck)?;
        bench.rest()?;
    }
    bench.facts.note("part: taken", ends(bench, "taken", Request::Add) - before);
    bench.facts.note("part: given back", ends(bench, "released", Request::Remove));
    bench.facts.note("part: kept", ends(bench, "kept", Request::Remove));
    Ok(())
}

/// How many turns ended so.
fn ends(bench: &Bench<'_>, word: &str, asked: Request) -> usize {
    let ends = bench.all(|record| match record {
        Record::Done { drc, request, outcome, .. } => {
            let block = drc.kind() == paprika::papr::drc::DrcKind::LMB;
            (block && request == asked && outcome.word() == word).then_some(())
        }
        _ => None,
    });
    ends.len()
}
