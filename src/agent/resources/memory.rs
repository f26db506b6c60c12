//! A logical memory block in use: every page gets a pattern, and must hold it.

use crate::log::{Hex, Record};
use crate::machine::{Memory, MemoryRange};
use crate::papr::drc::DrcIndex;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Blocks whose addresses and indexes both go up one by one.
///
/// Ref: LoPAR 13.5.4 (ibm,dynamic-memory, ibm,dynamic-memory-v2)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many blocks.
    pub count: u32,
    /// The real address of the first.
    pub base: u64,
    /// The connector of the first.
    pub first: DrcIndex,
}

/// Where the blocks are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// Bytes of a block; 0 where the tree does not say.
    pub size: u64,
    /// By index, ascending.
    runs: Vec<Run>,
}

impl Blocks {
    /// Blocks of `size` bytes, as the tree lists them. Runs that follow on each other become one, so that a tree that
    /// lists every block by itself costs no more than one that does not.
    pub fn new(size: u64, listed: impl IntoIterator<Item = Run>) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for run in listed {
            match runs.last_mut() {
                Some(last) if follows(last, &run, size) => last.count += run.count,
                _ => runs.push(run),
            }
        }
        runs.sort_by_key(|run| run.first);
        Self { size, runs }
    }

    /// The memory behind a connector; `None` where the tree does not list it.
    pub fn range(&self, index: DrcIndex) -> Option<MemoryRange> {
        let after = self.runs.partition_point(|run| run.first <= index);
        let run = self.runs[..after].last()?;
        let offset = index.0 - run.first.0;
        let base = run.base.checked_add(u64::from(offset).checked_mul(self.size)?)?;
        (offset < run.count && self.size != 0).then_some(MemoryRange { base, size: self.size })
    }
}

/// Whether `next` goes on where `last` ends, in address and in index.
fn follows(last: &Run, next: &Run, size: u64) -> bool {
    last.first.0.checked_add(last.count) == Some(next.first.0)
        && u64::from(last.count).checked_mul(size).and_then(|bytes| last.base.checked_add(bytes))
            == Some(next.base)
        && last.count.checked_add(next.count).is_some()
}

/// Tries the pages of a block and says what it found.
///
/// # Errors
/// In words, when the memory is not ours to try, or does not hold what is written.
pub fn try_block<M: Memory>(
    machine: &mut M,
    drc: DrcIndex,
    range: MemoryRange,
    page: u64,
) -> (Record<'static>, Result<(), String>) {
    let report = machine.try_pages(range, page);
    let found = report.unwrap_or_default();
    let record = Record::Memory {
        drc,
        base: Hex(range.base),
        size: Hex(range.size),
        pages: found.pages,
        bad: found.bad,
    };
    let result = match report {
        None => Err(format!("{:#x} bytes at {:#x} are not for a trial", range.size, range.base)),
        Some(report) if report.bad > 0 => {
            Err(format!("{} of {} pages do not hold", report.bad, report.pages))
        }
        Some(_) => Ok(()),
    };
    (record, result)
}

#[cfg(test)]
mod tests {
    use super::{Blocks, DrcIndex, MemoryRange, Run};

    const SIZE: u64 = 0x1000_0000;

    fn run(count: u32, base: u64, first: u32) -> Run {
        Run { count, base, first: DrcIndex(first) }
    }

    #[test]
    fn a_block_is_found_in_its_run() {
        let blocks = Blocks::new(SIZE, [run(2, 0x5000_0000, 0x8000_0005), run(1, 0x4000_0000, 0x8000_0004)]);
        let base = |index| blocks.range(DrcIndex(index)).map(|range| range.base);
        assert_eq!(base(0x8000_0004), Some(0x4000_0000));
        assert_eq!(base(0x8000_0006), Some(0x6000_0000));
        assert_eq!(base(0x8000_0007), None);
        assert_eq!(base(0x8000_0003), None);
    }

    #[test]
    fn blocks_listed_one_by_one_are_one_run() {
        let listed = (0..32_768).map(|i| run(1, u64::from(i) * SIZE, 0x8000_0000 + i));
        let blocks = Blocks::new(SIZE, listed);
        assert_eq!(blocks, Blocks::new(SIZE, [run(32_768, 0, 0x8000_0000)]));
        let last = MemoryRange { base: 32_767 * SIZE, size: SIZE };
        assert_eq!(blocks.range(DrcIndex(0x8000_7fff)), Some(last));
    }

    #[test]
    fn absurd_runs_find_nothing() {
        let blocks =
            Blocks::new(u64::MAX, [run(u32::MAX, u64::MAX, 0x8000_0000), run(u32::MAX, 7, u32::MAX)]);
        assert_eq!(blocks.range(DrcIndex(0x8000_0001)), None);
        assert_eq!(Blocks::new(0, [run(9, 0, 0)]).range(DrcIndex(1)), None);
    }
}
