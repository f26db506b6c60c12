//! What the guest takes from the device tree, in its own words.
//!
//! The tree is read twice, before CAS and after it, and the second reading is what counts.

use super::numa::Affinity;
use super::resources::memory::{Blocks, Run};
use super::resources::phb::{self, Phb, Standing};
use super::resources::pmem::Unit;
use crate::machine::MemoryRange;
use crate::openfirmware::Problem;
use crate::openfirmware::tree::{DynamicMemory, InterruptController, LmbFlags, LmbRun, Tree};
use crate::papr::drc::DrcIndex;
use crate::papr::event::EventMask;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec::Vec;

/// A core that stands in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// Its connector, where it has one.
    pub drc: Option<DrcIndex>,
    /// The interrupt server numbers of its threads.
    pub servers: Vec<u32>,
}

/// An event source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The name of its node.
    pub name: String,
    /// Its interrupt.
    pub irq: u32,
    /// Whether the interrupt is level-triggered.
    pub level: bool,
    /// The classes that it signals.
    pub mask: EventMask,
}

/// A persistent memory device that the guest has, or is about to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentMemory {
    /// Its connector.
    pub drc: DrcIndex,
    /// What it says of itself.
    pub unit: Unit,
    /// Where it is bound.
    pub bound: Option<MemoryRange>,
}

/// What the tree says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The processor that the guest was started on: the lowest interrupt server number of the tree.
    pub boot_server: u32,
    /// The cores, by their place in the tree.
    pub cores: Vec<Core>,
    /// The event sources that this guest listens to.
    pub sources: Vec<Source>,
    /// The interrupt controller.
    pub controller: InterruptController,
    /// Where the memory blocks are.
    pub blocks: Blocks,
    /// The memory blocks that the tree gives to the guest and that have a connector.
    pub assigned: Vec<DrcIndex>,
    /// The PCI host bridges.
    pub phbs: Vec<Phb>,
    /// The PCI functions that have a connector.
    pub functions: Vec<Standing>,
    /// What the tree says of nearness.
    pub affinity: Affinity,
    /// The persistent memory devices: those of the tree, and those that came by an event.
    pub pmem: Vec<PersistentMemory>,
    /// Where the memory ends that stands in the tree by nodes of its own.
    pub memory_end: u64,
    /// Bytes that RTAS needs; 0 where the tree does not say.
    pub rtas_size: u32,
    /// Bytes of non-volatile memory; 0 without one.
    pub nvram_size: u32,
    /// `ibm,arch-vec-5-platform-support`.
    pub platform_support: Vec<u8>,
}

/// The most memory blocks that the tree may give to the guest: 32 TiB of the smallest that PAPR has.
const ASSIGNED_MOST: usize = 1 << 17;

impl Facts {
    /// The connectors of all that the tree gives.
    pub(super) fn given(&self) -> impl Iterator<Item = DrcIndex> {
        let cores = self.cores.iter().filter_map(|core| core.drc);
        let phbs = self.phbs.iter().filter_map(|phb| phb.drc);
        let functions = self.functions.iter().map(|function| function.drc);
        let pmem = self.pmem.iter().map(|device| device.drc);
        self.assigned.iter().copied().chain(cores).chain(phbs).chain(functions).chain(pmem)
    }

    /// Reads what this guest lives by. What is missing or absurd becomes one of the `problems`.
    pub fn read(tree: &Tree<'_>, problems: &mut Vec<Problem>) -> Self {
        let cores = tree.cores(problems);
        let cores: Vec<Core> =
            cores.into_iter().map(|core| Core { drc: core.drc, servers: core.servers }).collect();
        let memory = tree.memory(problems);
        let ends = memory.iter().map(|node| node.range.base.saturating_add(node.range.size));
        let dynamic = tree.dynamic_memory(problems);
        let (phbs, functions) = phb::read(tree, problems);
        Self {
            boot_server: cores.iter().flat_map(|core| core.servers.iter().copied()).min().unwrap_or(0),
            cores,
            phbs,
            functions,
            sources: sources(tree, problems),
            controller: tree.controller(problems),
            memory_end: ends.max().unwrap_or(0),
            assigned: assigned(dynamic.as_ref(), problems),
            affinity: Affinity::read(tree, dynamic.as_ref(), problems),
            pmem: persistent_memory(tree, problems),
            blocks: dynamic.as_ref().map(blocks).unwrap_or_default(),
            rtas_size: tree.rtas_size().unwrap_or_else(|problem| {
                problems.push(problem);
                0
            }),
            nvram_size: tree.nvram_size().unwrap_or(0),
            platform_support: tree.platform_support().unwrap_or_default().to_vec(),
        }
    }

    /// The threads of the core with this connector.
    pub fn servers_of(&self, drc: DrcIndex) -> Option<&[u32]> {
        self.cores.iter().find(|core| core.drc == Some(drc)).map(|core| core.servers.as_slice())
    }

    /// The place in [`Facts::phbs`] of the host bridge that this connector leads behind.
    pub fn phb_of(&self, slot: DrcIndex) -> Option<usize> {
        self.phbs.iter().position(|phb| phb.slots.contains(&slot))
    }

    /// The PCI function with this connector.
    pub fn function(&self, drc: DrcIndex) -> Option<&Standing> {
        self.functions.iter().find(|function| function.drc == drc)
    }

    /// Remembers a PCI function that came by an event.
    pub fn know_function(&mut self, function: Standing) {
        self.functions.retain(|known| known.drc != function.drc);
        self.functions.push(function);
    }

    /// The persistent memory device with this connector.
    pub fn pmem_mut(&mut self, drc: DrcIndex) -> Option<&mut PersistentMemory> {
        self.pmem.iter_mut().find(|device| device.drc == drc)
    }

    /// Remembers a persistent memory device that came by an event.
    pub fn know_pmem(&mut self, drc: DrcIndex, unit: Unit) {
        self.pmem.retain(|device| device.drc != drc);
        self.pmem.push(PersistentMemory { drc, unit, bound: None });
    }

    /// Remembers the threads of a core that came by an event.
    pub fn know_core(&mut self, drc: DrcIndex, servers: Vec<u32>) {
        self.cores.retain(|core| core.drc != Some(drc));
        self.cores.push(Core { drc: Some(drc), servers });
    }
}

/// The devices below `/ibm,persistent-memory`.
///
/// Ref: QEMU hw/ppc/spapr_nvdimm.c (spapr_dt_persistent_memory)
fn persistent_memory(tree: &Tree<'_>, problems: &mut Vec<Problem>) -> Vec<PersistentMemory> {
    let mut found = Vec::new();
    for node in tree.nodes() {
        if !node.path().starts_with("/ibm,persistent-memory/") {
            continue;
        }
        let value =
            |name: &str| node.properties().find(|property| property.name == name).map(|one| one.value);
        let drc = value("ibm,my-drc-index").and_then(|value| value.try_into().ok()).map(u32::from_be_bytes);
        let unit = Unit::read(value);
        let read = drc.ok_or_else(|| "it has no connector".to_string()).and_then(|drc| Ok((drc, unit?)));
        match read {
            Ok((drc, unit)) => found.push(PersistentMemory { drc: DrcIndex(drc), unit, bound: None }),
            Err(what) => {
                problems.push(Problem { node: node.path().to_string(), property: String::new(), what });
            }
        }
    }
    found
}

/// The event sources that this guest listens to.
///
/// Ref: LoPAR B.6.12.1 (epow-events), 13.5.5 (hot-plug-events)
fn sources(tree: &Tree<'_>, problems: &mut Vec<Problem>) -> Vec<Source> {
    let known = |name: &str| match name {
        "epow-events" => Some(EventMask::EPOW),
        "hot-plug-events" => Some(EventMask::HOT_PLUG),
        _ => None,
    };
    let listed = tree.event_sources(problems).into_iter();
    let source = |mask, name, irq, level| Source { name, irq, level, mask };
    listed.filter_map(|one| known(&one.name).map(|mask| source(mask, one.name, one.irq, one.level))).collect()
}

/// Runs of blocks that have a connector.
fn connected(memory: &DynamicMemory) -> impl Iterator<Item = &LmbRun> {
    memory.runs.iter().filter(|run| !run.flags.contains(LmbFlags::DRC_INVALID))
}

fn blocks(memory: &DynamicMemory) -> Blocks {
    Blocks::new(
        memory.lmb_size,
        connected(memory).map(|run| Run { count: run.count, base: run.base, first: run.first }),
    )
}

fn assigned(memory: Option<&DynamicMemory>, problems: &mut Vec<Problem>) -> Vec<DrcIndex> {
    let given = memory.into_iter().flat_map(connected).filter(|run| run.flags.contains(LmbFlags::ASSIGNED));
    let mut indexes = given.flat_map(|run| (0..run.count).map(|i| DrcIndex(run.first.0.wrapping_add(i))));
    let assigned = indexes.by_ref().take(ASSIGNED_MOST).collect();
    if indexes.next().is_some() {
        problems.push(Problem {
            node: "/ibm,dynamic-reconfiguration-memory".to_string(),
            property: String::new(),
            what: alloc::format!("more than {ASSIGNED_MOST} blocks are said to be assigned"),
        });
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::{DrcIndex, Facts, Problem, Tree};
    use crate::openfirmware::writer::Writer;
    use std::vec::Vec;
    fn cells(cells: &[u32]) -> Vec<u8> {
        cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
    }

    /// Properties of a node.
    type Properties<'p> = &'p [(&'p str, Vec<u8>)];

    /// A tree with two nodes of memory, a block on the second, and these persistent memory devices.
    fn tree(devices: &[(&str, Option<u32>, u64)]) -> Vec<u8> {
        let lmb = cells(&[1, 1, 0, 0x4000_0000, 0x8000_0004, 1, 0x8]);
        let nodes: [(&str, Properties<'_>); 6] = [
            (
                "rtas",
                &[
                    ("ibm,associativity-reference-points", cells(&[1])),
                    ("ibm,numa-lookup-index-table", cells(&[2, 0, 1])),
                    ("ibm,numa-distance-table", [0, 0, 0, 4, 10, 40, 40, 10].to_vec()),
                ],
            ),
            (
                "ibm,dynamic-reconfiguration-memory",
                &[
                    ("ibm,lmb-size", cells(&[0, 0x1000_0000])),
                    ("ibm,associativity-lookup-arrays", cells(&[2, 1, 0, 1])),
                    ("ibm,dynamic-memory-v2", lmb),
                ],
            ),
            (
                "core@8",
                &[("ibm,my-drc-index", cells(&[0x1000_0008])), ("ibm,associativity", cells(&[2, 1, 8]))],
            ),
            // Cut short, and then without a connector.
            ("core@9", &[("ibm,my-drc-index", cells(&[0x1000_0009])), ("ibm,associativity", cells(&[2, 1]))]),
            ("core@a", &[("ibm,associativity", cells(&[2, 1, 10]))]),
            ("chosen", &[("ibm,architecture-vec-5", [5, 0, 0, 0, 0, 0x20].to_vec())]),
        ];
        let mut writer = Writer::new(1 << 20).expect("room");
        writer.begin_node("").expect("room");
        for (name, properties) in nodes {
            writer.begin_node(name).expect("room");
            properties.iter().for_each(|(name, value)| writer.property(name, value).expect("room"));
            writer.end_node().expect("room");
        }
        writer.begin_node("ibm,persistent-memory").expect("room");
        for (name, drc, blocks) in devices {
            writer.begin_node(name).expect("room");
            writer.property("ibm,block-size", &cells(&[0, 0x1000_0000])).expect("room");
            writer.property("ibm,number-of-blocks", &blocks.to_be_bytes()).expect("room");
            writer.property("ibm,metadata-size", &cells(&[0x2_0000])).expect("room");
            drc.iter().for_each(|drc| writer.property("ibm,my-drc-index", &cells(&[*drc])).expect("room"));
            writer.end_node().expect("room");
        }
        writer.end_node().expect("room");
        writer.end_node().expect("room");
        writer.finish().expect("room")
    }

    fn facts(bytes: &[u8]) -> (Facts, Vec<Problem>) {
        let mut problems = Vec::new();
        let facts = Facts::read(&Tree::new(bytes).expect("well-formed"), &mut problems);
        (facts, problems)
    }

    #[test]
    fn persistent_memory_of_the_tree_is_found() {
        let bytes = tree(&[
            ("ibm,pmemory@90000001", Some(0x9000_0001), 2),
            ("ibm,pmemory@90000002", None, 2),
            ("ibm,pmemory@90000003", Some(0x9000_0003), 0),
        ]);
        let (mut facts, problems) = facts(&bytes);
        let found: Vec<_> = facts.pmem.iter().map(|device| (device.drc, device.unit.blocks)).collect();
        assert_eq!(found, [(DrcIndex(0x9000_0001), 2)]);
        let about = problems.iter().filter(|problem| problem.node.starts_with("/ibm,persistent-memory/"));
        let about: Vec<_> = about.map(|problem| problem.what.as_str()).collect();
        assert_eq!(about, ["it has no connector", "0 blocks of 0x10000000 bytes make no sense"]);
        let unit = facts.pmem[0].unit.clone();
        facts.know_pmem(DrcIndex(0x9000_0001), unit.clone());
        facts.know_pmem(DrcIndex(0x9000_0004), unit);
        assert_eq!(facts.pmem.len(), 2, "a device that comes again is the same");
        assert!(facts.pmem_mut(DrcIndex(0x9000_0004)).is_some());
        assert!(facts.pmem_mut(DrcIndex(0x9000_0002)).is_none());
    }

    #[test]
    fn nearness_is_read_where_it_stands() {
        let (facts, problems) = facts(&tree(&[]));
        let affinity = &facts.affinity;
        assert_eq!((affinity.form, affinity.points.as_slice()), (2, &[1][..]));
        let place = affinity.place(DrcIndex(0x8000_0004), None).expect("the tree gives it");
        assert_eq!(affinity.node(&place), Some(1));
        assert_eq!(affinity.distances_from(1), [40, 10]);
        let node = |core| affinity.place(DrcIndex(core), None).and_then(|place| affinity.node(&place));
        assert_eq!([0x1000_0008, 0x1000_0009, 0].map(node), [Some(1), None, None]);
        let about: Vec<_> =
            problems.iter().filter(|problem| problem.property == "ibm,associativity").collect();
        assert_eq!(about.len(), 1);
        assert_eq!((about[0].node.as_str(), about[0].what.as_str()), ("/core@9", "it is cut short"));
    }
}
