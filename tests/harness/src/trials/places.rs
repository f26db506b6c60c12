//! Where things are: DIMMs with gaps between them, and DIMMs and cores on NUMA nodes, as the host gave them.

use crate::defects::Step;
use crate::device::{self, Kind, LMB_BYTES};
use crate::machine::Machine;
use crate::qemu::command::Setup;
use crate::scenario::{HOLDS, Plugged, Run};
use crate::stop::Stop;
use crate::transcript::Mark;
use crate::trials::case::Case;
use crate::trials::hands::{ARMED, gone, leave, take};
use crate::trials::memory::{BEFORE_CAS, Places, SPARSE, came_as_it_should, places, stands_there};
use crate::trials::seen::{all, judged, option, reach};
use anyhow::{Result, ensure};
use paprika::log::Record;
use paprika::papr::drc::DrcIndex;
use serde_json::json;

const GIB: u64 = 1 << 30;
/// The connector of the core that the guest was started on.
const BOOT_CORE: DrcIndex = DrcIndex(0x1000_0000);
/// The nodes. The last has no memory at the start.
const NODES: u32 = 3;
/// How far each node is from each, there and back alike.
const ALIKE: [[u8; 3]; 3] = [[10, 20, 40], [20, 10, 80], [40, 80, 10]];
/// The same with other ways back: only the second form can say so.
const UNALIKE: [[u8; 3]; 3] = [[10, 21, 41], [22, 10, 81], [42, 82, 10]];

pub(crate) fn cases() -> Vec<Case> {
    let gap = |window: &'static str| {
        let play = move |machine: &mut Machine| gaps(machine, window);
        Case::new(format!("dimms-with-gaps-{window}"), format!("hold={window} {SPARSE}"), play).on(roomy)
    };
    let nodes = |name: &str, form: u8, far: [[u8; 3]; 3]| {
        let sign = if form == 2 { '+' } else { '-' };
        let play = move |machine: &mut Machine| on_nodes(machine, form, far);
        Case::new(name, format!("{HOLDS} {SPARSE} ov5={sign}form2"), play)
            .on(move |setup| three_nodes(setup, far))
    };
    vec![
        gap(BEFORE_CAS),
        gap(ARMED),
        nodes("nodes-form1", 1, ALIKE),
        nodes("nodes-form2", 2, ALIKE),
        nodes("nodes-form2-one-way", 2, UNALIKE),
    ]
}

fn roomy(setup: &mut Setup) {
    setup.memory = "512M,slots=16,maxmem=64G".into();
}

/// The node that the host gives to a core.
const fn node_of_core(core: u32) -> u32 {
    core % NODES
}

/// Two nodes with memory of their own and one without, so far from each other; a core and room for one more on each.
fn three_nodes(setup: &mut Setup, far: [[u8; 3]; 3]) {
    setup.memory = "1G,slots=8,maxmem=8G".into();
    setup.cpus = "1,maxcpus=6".into();
    let mut say = |option: &str, value: String| setup.extra.extend([option.to_owned(), value]);
    for node in 0..NODES {
        if node == 2 {
            say("-numa", format!("node,nodeid={node}"));
        } else {
            say("-object", format!("memory-backend-ram,id=node{node},size=512M"));
            say("-numa", format!("node,nodeid={node},memdev=node{node}"));
        }
    }
    for core in 0..6 {
        say("-numa", format!("cpu,node-id={},core-id={core}", node_of_core(core)));
    }
    for (from, row) in far.iter().enumerate() {
        for (to, distance) in row.iter().enumerate() {
            say("-numa", format!("dist,src={from},dst={to},val={distance}"));
        }
    }
}

/// DIMMs low, in the middle and high up. The one in the middle goes; a larger one takes its place, and the smallest the lowest
/// that is free.
fn gaps(machine: &mut Machine, window: &'static str) -> Result<()> {
    const MIDDLE: Kind = Kind::Dimm(2 * LMB_BYTES);
    let at = |address: u64| json!({ "addr": address });
    let mut found = Places::new();
    let outcome = judged(machine, |run, machine| {
        reach(machine, window)?;
        run.turn_to(Step::Plug);
        run.plug_with(machine, "low", Kind::Dimm(LMB_BYTES), window, &at(GIB))?;
        run.plug_with(machine, "high", Kind::Dimm(4 * LMB_BYTES), window, &at(8 * GIB))?;
        if window == ARMED {
            run.plug_with(machine, "middle", MIDDLE, window, &at(3 * GIB))?;
            take(run, machine)?;
            run.turn_to(Step::UnplugDimm);
            run.unplug(machine, "middle")?;
        } else {
            // No guest knows of it yet, so that it goes at once.
            device::plug_with(machine, "middle", MIDDLE, &at(3 * GIB))?;
            run.turn_to(Step::UnplugDimm);
            let events = machine.events().len();
            device::unplug(machine, "middle")?;
            gone(machine, "middle", MIDDLE, events)?;
        }
        let window = if window == ARMED { "idle" } else { window };
        run.plug_with(machine, "larger", Kind::Dimm(16 * LMB_BYTES), window, &at(3 * GIB))?;
        run.plug(machine, "smallest", Kind::Dimm(LMB_BYTES), window)?;
        if window == BEFORE_CAS {
            machine.go()?;
        }
        run.wait_until_taken(machine)?;
        found = places(machine)?;
        for id in ["low", "larger", "high", "smallest"] {
            run.unplug(machine, id)?;
        }
        leave(run, machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    let there: Vec<&Plugged> = report.devices.iter().filter(|dimm| dimm.id != "middle").collect();
    let firsts: Vec<DrcIndex> = there.iter().map(|dimm| dimm.connectors[0]).collect();
    // An index says where the block is, in blocks.
    let wanted = [4, 32, 12, 5].map(|block| DrcIndex(0x8000_0000 + block));
    ensure!(firsts == wanted, "{firsts:?}");
    for dimm in there {
        stands_there(machine, dimm, &found)?;
        came_as_it_should(machine, dimm)?;
    }
    Ok(())
}

/// A DIMM and a core on each node.
fn plug_on_each(run: &mut Run, machine: &mut Machine, window: &'static str) -> Result<(), Stop> {
    for node in 0..NODES {
        let id = |what: &str| format!("{what}-{node}-{window}");
        let dimm = Kind::Dimm(2 * LMB_BYTES);
        run.plug_with(machine, &id("dimm"), dimm, window, &json!({ "node": node }))?;
    }
    let cores = if window == ARMED { [3, 5] } else { [4, 2] };
    for core in cores {
        let node = node_of_core(core);
        let place = json!({ "core-id": core, "node-id": node });
        run.plug_with(machine, &format!("core-{node}-{core}"), Kind::Core, window, &place)?;
    }
    Ok(())
}

/// The guest finds each DIMM and each core on the node that the host gave it, and the nodes as far from each other.
fn on_nodes(machine: &mut Machine, form: u8, far: [[u8; 3]; 3]) -> Result<()> {
    let outcome = judged(machine, |run, machine| {
        reach(machine, BEFORE_CAS)?;
        run.turn_to(Step::Plug);
        plug_on_each(run, machine, BEFORE_CAS)?;
        machine.go()?;
        machine.wait_for_hold(ARMED, Mark::default())?;
        plug_on_each(run, machine, ARMED)?;
        take(run, machine)?;
        let dimms: Vec<String> =
            run.devices.iter().map(|device| device.id.clone()).filter(|id| id.starts_with("dimm")).collect();
        run.turn_to(Step::UnplugDimm);
        for dimm in dimms {
            run.unplug(machine, &dimm)?;
        }
        leave(run, machine)
    })?;
    let Some(report) = outcome else { return Ok(()) };
    for device in &report.devices {
        is_near(machine, device, form, &far)?;
    }
    let boot_core = all(machine, |record| match record {
        Record::Numa { drc: BOOT_CORE, node, .. } => Some(node),
        _ => None,
    });
    ensure!(boot_core == [Some(node_of_core(0))], "the core that the guest runs on: {boot_core:?}");
    let granted = u8::from(form == 2);
    ensure!(option(machine, "form2") == (granted, granted), "form2: {:?}", option(machine, "form2"));
    let forms = all(machine, |record| match record {
        Record::Affinity { form, nodes, .. } => Some((form, nodes.to_string())),
        _ => None,
    });
    let nodes = if form == 2 { "0,1,2" } else { "" };
    ensure!(forms.last() == Some(&(form, nodes.to_owned())), "{forms:?}");
    Ok(())
}

/// Whether the guest says of each connector of a device that it is on the node of its id, and how far that is from the others.
fn is_near(machine: &Machine, device: &Plugged, form: u8, far: &[[u8; 3]; 3]) -> Result<()> {
    let node = device.id.split('-').nth(1).and_then(|node| node.parse::<u32>().ok());
    let row = node.and_then(|node| far.get(node as usize)).filter(|_| form == 2);
    let distances = row.map(|row| row.map(|distance| distance.to_string()).join(",")).unwrap_or_default();
    let by = if device.window == BEFORE_CAS { "tree" } else { "fragment" };
    for connector in &device.connectors {
        let told: Vec<(String, Option<u32>, String)> = device
            .entries(machine.transcript())
            .filter_map(|entry| match entry.record {
                Record::Numa { drc, told_by, node, distances, .. } if drc == *connector => {
                    Some((told_by.to_string(), node, distances.to_string()))
                }
                _ => None,
            })
            .collect();
        let wanted = (by.to_owned(), node, distances.clone());
        ensure!(told.first() == Some(&wanted), "{} {connector}: {told:?}, not {wanted:?}", device.id);
    }
    Ok(())
}
