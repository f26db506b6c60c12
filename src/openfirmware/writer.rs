//! A flattened tree, written from the front to the back into one buffer with a limit.
//!
//! The structure block grows behind the header; the strings are collected beside it and follow at the end. Each
//! property name is kept once. The whole never becomes larger than the limit, whatever it is fed.
//!
//! Ref: Devicetree Specification 0.4 5 (Flattened Devicetree Format)

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// The first cell of a flattened tree.
pub(crate) const MAGIC: u32 = 0xd00d_feed;
/// The version that is written.
pub(crate) const VERSION: u32 = 17;
/// The oldest version that its readers must know.
pub(crate) const LAST_COMPATIBLE: u32 = 16;
/// Bytes of the header.
pub(crate) const HEADER: usize = 40;
/// Bytes of an empty reserve map: its end, two zeros of eight bytes.
const RESERVE_MAP: usize = 16;

/// A node starts; its name follows.
pub(crate) const BEGIN_NODE: u32 = 1;
/// A node ends.
pub(crate) const END_NODE: u32 = 2;
/// A property; its length, the offset of its name and its value follow.
pub(crate) const PROP: u32 = 3;
/// The structure block ends.
pub(crate) const END: u32 = 9;

/// Why something was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The tree would become larger than its limit.
    Limit {
        /// What it would have become, in bytes, with its last end but without what was still to come.
        size: usize,
    },
    /// There is no memory for it.
    Memory,
}

/// The tree so far.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    strings: Vec<u8>,
    offsets: BTreeMap<String, u32>,
    limit: usize,
}

impl Writer {
    /// An empty tree that may become `limit` bytes large.
    pub(crate) fn new(limit: usize) -> Result<Self, Full> {
        let mut writer = Self { bytes: Vec::new(), strings: Vec::new(), offsets: BTreeMap::new(), limit };
        writer.reserve(HEADER + RESERVE_MAP, 0)?;
        writer.bytes.resize(HEADER + RESERVE_MAP, 0);
        Ok(writer)
    }

    /// What the tree would be if it ended here, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + size_of::<u32>() + self.strings.len()
    }

    /// Whether `more` bytes still fit, and the memory for them.
    fn reserve(&mut self, more: usize, more_strings: usize) -> Result<(), Full> {
        let size = self.size().saturating_add(more).saturating_add(more_strings);
        // The format's own numbers are cells.
        if size > self.limit || u32::try_from(size).is_err() {
            return Err(Full::Limit { size });
        }
        self.bytes.try_reserve(more).map_err(|_| Full::Memory)?;
        self.strings.try_reserve(more_strings).map_err(|_| Full::Memory)
    }

    fn cell(&mut self, cell: u32) {
        self.bytes.extend_from_slice(&cell.to_be_bytes());
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Starts a node below the one that is open.
    pub(crate) fn begin_node(&mut self, name: &str) -> Result<(), Full> {
        self.reserve(4 + (name.len() + 1).next_multiple_of(4), 0)?;
        self.cell(BEGIN_NODE);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        Ok(())
    }

    /// Ends the node that is open.
    pub(crate) fn end_node(&mut self) -> Result<(), Full> {
        self.reserve(4, 0)?;
        self.cell(END_NODE);
        Ok(())
    }

    /// Gives the node that is open a property.
    pub(crate) fn property(&mut self, name: &str, value: &[u8]) -> Result<(), Full> {
        let known = self.offsets.get(name).copied();
        let more_strings = if known.is_some() { 0 } else { name.len() + 1 };
        self.reserve(12 + value.len().next_multiple_of(4), more_strings)?;
        let offset = known.unwrap_or_else(|| self.string(name));
        self.cell(PROP);
        self.cell(value.len() as u32);
        self.cell(offset);
        self.bytes.extend_from_slice(value);
        self.pad();
        Ok(())
    }

    fn string(&mut self, name: &str) -> u32 {
        let offset = self.strings.len() as u32;
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        self.offsets.insert(name.into(), offset);
        offset
    }

    /// Ends the tree and writes its header.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Full> {
        self.reserve(0, 0)?;
        self.bytes.try_reserve(size_of::<u32>() + self.strings.len()).map_err(|_| Full::Memory)?;
        self.cell(END);
        let strings_at = self.bytes.len();
        self.bytes.extend_from_slice(&self.strings);
        // All of these fit: the size of the whole was held to what a cell can say.
        let header = [
            MAGIC,
            self.bytes.len() as u32,
            (HEADER + RESERVE_MAP) as u32,
            strings_at as u32,
            HEADER as u32,
            VERSION,
            LAST_COMPATIBLE,
            0,
            self.strings.len() as u32,
            (strings_at - HEADER - RESERVE_MAP) as u32,
        ];
        for (to, cell) in self.bytes.chunks_exact_mut(4).zip(header) {
            to.copy_from_slice(&cell.to_be_bytes());
        }
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, Writer};

    fn small(limit: usize) -> Result<Vec<u8>, Full> {
        let mut writer = Writer::new(limit)?;
        writer.begin_node("")?;
        writer.property("a", b"xyz")?;
        writer.begin_node("node@1")?;
        writer.property("a", b"")?;
        writer.property("bc", &[1, 2, 3, 4])?;
        writer.end_node()?;
        writer.end_node()?;
        writer.finish()
    }

    #[test]
    fn every_cell_of_a_small_tree_is_frozen() {
        #[rustfmt::skip]
        let cells = [
            0xd00d_feed, 137, 56, 132, 40, 17, 16, 0, 5, 76, // header
            0, 0, 0, 0, // reserve map
            1, 0, 3, 3, 0, 0x7879_7a00, // root
            1, 0x6e6f_6465, 0x4031_0000, 3, 0, 0, 3, 4, 2, 0x0102_0304, 2, // node
            2, 9,
        ];
        let mut expected: Vec<u8> = cells.iter().flat_map(|cell: &u32| cell.to_be_bytes()).collect();
        expected.extend(b"a\0bc\0");
        let tree = small(1 << 20).expect("fits");
        assert_eq!(tree, expected);
    }

    #[test]
    fn a_limit_is_kept_to_the_byte() {
        let size = small(1 << 20).expect("fits").len();
        assert_eq!(small(size).map(|tree| tree.len()), Ok(size));
        for limit in 0..size {
            assert!(matches!(small(limit), Err(Full::Limit { size }) if size > limit), "{limit}");
        }
    }
}
