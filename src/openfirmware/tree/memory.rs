//! Memory as the tree tells of it: the nodes that are there from the start, and the blocks that can come and go.
//!
//! Before CAS, and for a guest that did not ask for more, each piece of memory is a node of its own. A guest that takes
//! blocks gets them all in one property instead, in one of two forms: an entry per block, or an entry per run of alike
//! blocks. Both are handed out as runs.
//!
//! Ref: LoPAR 13.5.4 (ibm,dynamic-memory), QEMU hw/ppc/spapr.c (spapr_dt_dynamic_memory)

use super::{Tree, cell, is_a, value_of};
use crate::machine::MemoryRange;
use crate::openfirmware::Problem;
use crate::papr::drc::DrcIndex;
use crate::wire::{Reader, Short};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bitflags::bitflags;
use fdt::node::FdtNode;

const DYNAMIC: &str = "/ibm,dynamic-reconfiguration-memory";
const LMB_SIZE: &str = "ibm,lmb-size";
const V1: &str = "ibm,dynamic-memory";
const V2: &str = "ibm,dynamic-memory-v2";
/// The most blocks that a run may have. It is more than any platform has, and few enough to count through.
pub const MAX_LMBS: u32 = 1 << 20;

/// A range of memory that has a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryNode {
    /// The path of the node.
    pub node: String,
    /// One of the ranges in its `reg`.
    pub range: MemoryRange,
}

/// The blocks of memory that can come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DynamicMemory {
    /// Bytes of a block; 0 only in the default, which has no blocks.
    pub lmb_size: u64,
    /// The blocks.
    pub runs: Vec<LmbRun>,
}

/// Blocks in a row that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LmbRun {
    /// How many; from 1 to [`MAX_LMBS`].
    pub count: u32,
    /// The real address of the first. The last ends below 2^64.
    pub base: u64,
    /// The connector of the first; those of the others follow. Means nothing with [`LmbFlags::DRC_INVALID`].
    pub first: DrcIndex,
    /// Which of the associativity lookup arrays is theirs; all ones for none.
    pub associativity: u32,
    /// What the platform says of them. Unknown bits are kept.
    pub flags: LmbFlags,
}

bitflags! {
    /// What the platform says of a block.
    ///
    /// Ref: LoPAR 13.5.4 (ibm,dynamic-memory), QEMU include/hw/ppc/spapr.h (SPAPR_LMB_FLAGS_ASSIGNED)
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LmbFlags: u32 {
        /// It belongs to the guest.
        const ASSIGNED = 0x8;
        /// It has no connector.
        const DRC_INVALID = 0x20;
        /// It has no associativity.
        const AI_INVALID = 0x40;
        /// It is not to be used.
        const RESERVED = 0x80;
        /// It can be taken away again. QEMU says so in the second form only.
        const HOTREMOVABLE = 0x100;
    }
}

impl Tree<'_> {
    /// The ranges of the memory nodes under the root.
    ///
    /// Ref: LoPAR B.6 (memory nodes)
    pub fn memory(&self, problems: &mut Vec<Problem>) -> Vec<MemoryNode> {
        let mut memory = Vec::new();
        let Some(root) = self.root() else { return memory };
        let cells = ["#address-cells", "#size-cells"].map(|property| value_of(root, property).and_then(cell));
        let [Some(address @ 1..=2), Some(size @ 1..=2)] = cells else {
            problems.push(Problem::new("/", "", "#address-cells and #size-cells are not 1 or 2 each"));
            return memory;
        };
        for node in root.children().filter(|node| is_a(*node, "memory")) {
            ranges(node, [address, size], &mut memory, problems);
        }
        if memory.is_empty() {
            problems.push(Problem::new("/", "", "there is no memory"));
        }
        memory
    }

    /// The blocks that can come and go. `None` where the tree has none, or does not say how large they are.
    ///
    /// Ref: LoPAR 13.5.4 (ibm,dynamic-memory)
    pub fn dynamic_memory(&self, problems: &mut Vec<Problem>) -> Option<DynamicMemory> {
        let node = self.find(DYNAMIC)?;
        let lmb_size =
            value_of(node, LMB_SIZE).and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
        let Some(lmb_size) = lmb_size.filter(|&size| size != 0) else {
            problems.push(Problem::new(DYNAMIC, LMB_SIZE, "it is not the size of a block"));
            return None;
        };
        let runs = match (value_of(node, V2), value_of(node, V1)) {
            (Some(value), _) => runs(value, V2, run_of_v2, lmb_size, problems),
            (None, Some(value)) => runs(value, V1, run_of_v1, lmb_size, problems),
            (None, None) => {
                problems.push(Problem::new(DYNAMIC, V2, "there is neither this property nor the older one"));
                Vec::new()
            }
        };
        Some(DynamicMemory { lmb_size, runs })
    }
}

/// The ranges in the `reg` of a node, whose addresses and sizes have so many cells.
fn ranges(node: FdtNode<'_, '_>, cells: [u32; 2], memory: &mut Vec<MemoryNode>, problems: &mut Vec<Problem>) {
    let path = format!("/{}", node.name);
    let mut problem = |what| problems.push(Problem::new(&*path, "reg", what));
    let Some(value) = value_of(node, "reg") else { return problem("there is no such property") };
    let number = |reader: &mut Reader<'_>, cells| match cells {
        1 => reader.u32("number").map(u64::from),
        _ => reader.u64("number"),
    };
    let mut reader = Reader::new(value);
    while reader.left() != 0 {
        let (Ok(base), Ok(size)) = (number(&mut reader, cells[0]), number(&mut reader, cells[1])) else {
            return problem("it is not ranges");
        };
        if size == 0 || base.checked_add(size).is_none() {
            problem("a range is empty or wraps around");
        } else {
            memory.push(MemoryNode { node: path.clone(), range: MemoryRange { base, size } });
        }
    }
}

/// An entry of the second form: 24 bytes.
fn run_of_v2(reader: &mut Reader<'_>) -> Result<LmbRun, Short> {
    Ok(LmbRun {
        count: reader.u32("count of blocks")?,
        base: reader.u64("address")?,
        first: DrcIndex(reader.u32("connector")?),
        associativity: reader.u32("associativity")?,
        flags: LmbFlags::from_bits_retain(reader.u32("flags")?),
    })
}

/// An entry of the first form: 24 bytes, a cell of which is reserved.
fn run_of_v1(reader: &mut Reader<'_>) -> Result<LmbRun, Short> {
    let base = reader.u64("address")?;
    let first = DrcIndex(reader.u32("connector")?);
    reader.u32("reserved")?;
    let associativity = reader.u32("associativity")?;
    let flags = LmbFlags::from_bits_retain(reader.u32("flags")?);
    Ok(LmbRun { count: 1, base, first, associativity, flags })
}

/// The runs of a value: a count and as many entries.
fn runs(
    value: &[u8],
    property: &str,
    entry: fn(&mut Reader<'_>) -> Result<LmbRun, Short>,
    lmb_size: u64,
    problems: &mut Vec<Problem>,
) -> Vec<LmbRun> {
    let mut runs: Vec<LmbRun> = Vec::new();
    let (mut absurd, mut found) = (0_u32, 0_u32);
    let mut reader = Reader::new(value);
    let count = reader.u32("count").unwrap_or_default();
    while found < count {
        let Ok(run) = entry(&mut reader) else { break };
        found += 1;
        if run.end(lmb_size).is_none() {
            absurd += 1;
        } else if runs.last_mut().is_none_or(|last| !last.join(&run, lmb_size)) {
            runs.push(run);
        }
    }
    let mut problem = |what| problems.push(Problem::new(DYNAMIC, property, what));
    if found != count || reader.left() != 0 {
        problem(format!("it says {count} entries, has {found}, and {} bytes are left", reader.left()));
    }
    if absurd != 0 {
        problem(format!(
            "{absurd} entries have no blocks, too many, or addresses or connectors that wrap around"
        ));
    }
    runs
}

impl LmbRun {
    /// The address after the last block, where the run can be.
    fn end(&self, lmb_size: u64) -> Option<u64> {
        let last = self.count.checked_sub(1).filter(|_| self.count <= MAX_LMBS)?;
        if !self.flags.contains(LmbFlags::DRC_INVALID) {
            self.first.0.checked_add(last)?;
        }
        lmb_size.checked_mul(u64::from(self.count))?.checked_add(self.base)
    }

    /// Takes in a run that goes on where this one ends, and is like it. `false` if it does not.
    fn join(&mut self, next: &Self, lmb_size: u64) -> bool {
        let connector = if self.flags.contains(LmbFlags::DRC_INVALID) {
            Some(self.first.0)
        } else {
            self.first.0.checked_add(self.count)
        };
        let joined = Self { count: self.count.saturating_add(next.count), ..*self };
        let goes_on = self.end(lmb_size) == Some(next.base) && connector == Some(next.first.0);
        let alike = (self.associativity, self.flags) == (next.associativity, next.flags);
        if !(goes_on && alike && joined.end(lmb_size).is_some()) {
            return false;
        }
        *self = joined;
        true
    }
}
