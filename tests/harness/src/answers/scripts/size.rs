//! Cores with gaps between them, and every call from every state.

use super::as_it_is;
use crate::answers::bench::{Bench, Script};
use crate::device::{Family, Kind};
use crate::machine::Machine;
use crate::stop::Stop;
use crate::transitions::{MEASURE, measure};
use serde_json::{Value, json};

/// Cores in an odd order, with gaps.
pub const GAPS: Script = Script {
    name: "gaps",
    story: "cores 6, 2 and 4 come, in this order",
    append: "hold=idle#1 memtest=256m",
    arrange: as_it_is,
    play: |bench| {
        bench.pass("idle")?;
        let (mut wanted, mut found) = (Vec::new(), Vec::new());
        // A core's connector is named by its first thread's number, of which there are `vsmt` to a core of one thread.
        let vsmt = bench.machine.ask("qom-get", json!({ "path": "/machine", "property": "vsmt" }))?;
        let vsmt = vsmt.as_ref().and_then(Value::as_u64).unwrap_or(1);
        for core in [6, 2, 4] {
            let id = format!("core{core}");
            let device = bench.plug_with(&id, Kind::Core, &json!({ "core-id": core }))?;
            bench.settle(&device)?;
            bench.fate(&device);
            wanted.push(format!("{:x}", 0x1000_0000 + core * vsmt));
            found.extend(
                device.iter().flat_map(|device| device.connectors.clone()).map(|index| index.to_string()),
            );
        }
        bench.facts.note("wanted", wanted);
        bench.facts.note("connectors", found);
        Ok(())
    },
};

/// The state machine.
pub const TRANSITIONS: Script = Script {
    name: "transitions",
    story: "every call about a connector is made from every state, as `paprika transitions` does",
    append: MEASURE,
    arrange: as_it_is,
    play: tour,
};

fn tour(bench: &mut Bench<'_>) -> Result<(), Stop> {
    let machine: &mut Machine = bench.machine;
    let measured = measure(machine, Family::ALL, String::new())?;
    let kinds: Vec<String> = measured.kinds().iter().map(ToString::to_string).collect();
    bench.facts.note("kinds", kinds);
    bench.facts.note("calls", measured.cells.len());
    bench.facts.note("moves", measured.cells.iter().filter(|cell| cell.moves()).count());
    bench.facts.note("refused", measured.cells.iter().filter(|cell| cell.rc.0 < 0).count());
    let wrong = measured.unexpected().map(|cell| format!("{} {} {}", cell.kind, cell.before, cell.call));
    bench.facts.note("wrong", wrong.collect::<Vec<_>>());
    bench.facts.note("missing", measured.missing.iter().map(|(_, count)| count).sum::<u32>());
    Ok(())
}
