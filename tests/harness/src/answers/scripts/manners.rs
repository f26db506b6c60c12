//! Guests with bad manners, and functions that come and go in an order.

use super::{DIMM, as_it_is};
use crate::answers::bench::{Bench, Script};
use crate::device::{Family, Kind, VIRTIO};
use crate::stop::Stop;
use paprika::log::Record;
use serde_json::json;

macro_rules! refusal {
    ($name:literal, $family:expr) => {
        Script {
            name: $name,
            story: "a device comes and is asked for; the guest refuses, then, asked again, agrees",
            append: "hold=idle#1 memtest=256m",
            arrange: as_it_is,
            play: |bench| refusal(bench, $family),
        }
    };
}

/// A DIMM that the guest wants to keep.
pub const REFUSE_MEMORY: Script = refusal!("refuse-memory", Family::Memory);
/// A core.
pub const REFUSE_CPU: Script = refusal!("refuse-cpu", Family::Cpu);
/// A function.
pub const REFUSE_PCI: Script = refusal!("refuse-pci", Family::Pci);
/// A host bridge.
pub const REFUSE_PHB: Script = refusal!("refuse-phb", Family::Phb);

fn refusal(bench: &mut Bench<'_>, family: Family) -> Result<(), Stop> {
    bench.pass("idle")?;
    for policy in ["refuse", "refuse-by-configuring"] {
        if policy == "refuse-by-configuring" && family != Family::Memory {
            continue;
        }
        bench.machine.order("policy accept")?;
        let id = policy;
        let device = bench.plug(id, family.kind())?;
        if device.is_none() {
            return Ok(());
        }
        bench.settle(&device)?;
        bench.machine.order(&format!("policy remove:{policy}"))?;
        bench.ask(id)?;
        for fact in ["asked", "event", "gave"] {
            let value = bench.facts.text(&format!("{id}: {fact}")).unwrap_or_default().to_owned();
            bench.facts.note(format!("{policy}: first {fact}"), value);
        }
        bench.machine.order("policy accept")?;
        bench.facts.note(format!("{id}: asked"), "nothing");
        bench.ask(id)?;
    }
    Ok(())
}

/// A guest that bails out because it owns the memory already.
pub const OWNER: Script = Script {
    name: "owner",
    story: "a DIMM comes before CAS, another when the handler is armed; the guest takes neither up, and each is asked for, the first twice, as the guest refuses at first",
    append: "hold=before-cas#1,idle#1 memtest=256m policy=add:ignore",
    arrange: as_it_is,
    play: |bench| {
        bench.hold("before-cas")?;
        let early = bench.plug("early", DIMM)?;
        bench.go()?;
        bench.pass("idle")?;
        let late = bench.plug("late", DIMM)?;
        bench.settle(&late)?;
        for device in [&early, &late] {
            bench.fate(device);
        }
        bench.machine.order("policy remove:refuse")?;
        bench.ask("early")?;
        let first = bench.facts.text("early: asked").unwrap_or_default().to_owned();
        bench.facts.note("early: first asked", first);
        bench.machine.order("policy accept")?;
        if bench.facts.text("early: asked") != Some("deleted") {
            bench.ask("early")?;
        }
        if late.is_some() { bench.ask("late") } else { Ok(()) }
    },
};

/// A guest that configures what it has configured.
pub const TWICE: Script = Script {
    name: "twice",
    story: "a DIMM, a core and a function come; the guest calls configure-connector again when it is through",
    append: "hold=idle#1 memtest=256m policy=add:twice",
    arrange: as_it_is,
    play: |bench| {
        bench.pass("idle")?;
        for family in [Family::Memory, Family::Cpu, Family::Pci] {
            let device = bench.plug(family.word(), family.kind())?;
            bench.settle(&device)?;
            bench.fate(&device);
            let calls = bench.facts.list(&format!("{family}: calls")).unwrap_or_default();
            let mut configured: Vec<String> = Vec::new();
            for call in calls.into_iter().filter(|call| call.starts_with("configure-connector")) {
                configured.push(call.rsplit(": ").next().unwrap_or_default().to_owned());
            }
            bench.facts.note(format!("{family}: configured"), configured);
        }
        Ok(())
    },
};

/// Functions of one slot.
pub const MULTIFUNCTION: Script = Script {
    name: "multifunction",
    story: "functions 2, 1 and 0 of a slot come in this order; then function 1 is asked for, then function 0",
    append: "hold=handler-armed#1,idle#1",
    arrange: as_it_is,
    play: multifunction,
};

fn multifunction(bench: &mut Bench<'_>) -> Result<(), Stop> {
    bench.hold("handler-armed")?;
    let mut functions = Vec::new();
    for number in [2, 1, 0] {
        if number == 0 {
            let found = bench.look("poll")?;
            bench.facts.note("events before function 0", found);
        }
        let place = json!({ "addr": format!("5.{number}"), "multifunction": true });
        let function = bench.plug_with(&format!("f{number}"), Kind::Pci(VIRTIO), &place)?;
        functions.extend(function);
    }
    let last = functions.last().cloned();
    bench.go()?;
    bench.pass("idle")?;
    bench.settle(&last)?;
    let told = bench.machine.events().len();
    bench.ask("f1")?;
    let events = removed(bench);
    bench.facts.note("events after function 1 was asked for", events.len());
    bench.ask("f0")?;
    for id in ["f2", "f1", "f0"] {
        bench.told(id, told)?;
    }
    let name = |id: &String| {
        let owner = functions
            .iter()
            .find(|function| function.connectors.iter().any(|index| *id == format!("index:{index}")));
        owner.map_or_else(|| id.clone(), |function| function.id.clone())
    };
    let added: Vec<String> = told_of(bench, "add").iter().map(name).collect();
    let removed: Vec<String> = removed(bench).iter().map(name).collect();
    bench.facts.note("added", added);
    bench.facts.note("removed", removed);
    Ok(())
}

fn removed(bench: &Bench<'_>) -> Vec<String> {
    told_of(bench, "remove")
}

fn told_of(bench: &Bench<'_>, wanted: &str) -> Vec<String> {
    bench.all(|record| match record {
        Record::Event { action, id, .. } if action.0 == wanted => Some(id.to_string()),
        _ => None,
    })
}
