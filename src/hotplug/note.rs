//! The note that a guest leaves for the next boot: which boot it was, and which connectors it had.
//!
//! It goes into NVRAM, which is small, slow on real machines, and may hold anything. So the connectors are kept as runs of
//! indexes, the layout has a version, and a checksum tells a note from what is left of one.

use crate::papr::drc::DrcIndex;
use crate::wire::{Reader, Short};
use alloc::vec::Vec;
use core::fmt;

/// Connectors, as runs of indexes in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings(Vec<(u32, u32)>);

impl Holdings {
    /// All indexes, each once.
    pub fn iter(&self) -> impl Iterator<Item = DrcIndex> {
        self.0.iter().flat_map(|&(first, count)| (0..count).map(move |at| DrcIndex(first + at)))
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them.
    pub fn contains(&self, index: DrcIndex) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= index.0);
        let run = behind.checked_sub(1).and_then(|at| self.0.get(at));
        run.is_some_and(|&(first, count)| index.0 - first < count)
    }

    /// Those that are not among `others`.
    pub fn without(&self, others: &Self) -> Self {
        self.iter().filter(|index| !others.contains(*index)).collect()
    }

    /// Whether runs are in order, with something in each and something between them.
    fn is_orderly(&self) -> bool {
        let mut free_from = 0_u64;
        self.0.iter().all(|&(first, count)| {
            let (first, end) = (u64::from(first), u64::from(first) + u64::from(count));
            let fits = count > 0 && first >= free_from && end <= 1 << 32;
            free_from = end + 1;
            fits
        })
    }
}

impl FromIterator<DrcIndex> for Holdings {
    fn from_iter<I: IntoIterator<Item = DrcIndex>>(indexes: I) -> Self {
        let mut indexes: Vec<u32> = indexes.into_iter().map(|index| index.0).collect();
        indexes.sort_unstable();
        indexes.dedup();
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for index in indexes {
            match runs.last_mut() {
                Some((first, count)) if index - *first == *count => *count += 1,
                _ => runs.push((index, 1)),
            }
        }
        Self(runs)
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, &(first, count)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", DrcIndex(first))?;
            if count > 1 {
                write!(f, "-{}", DrcIndex(first + (count - 1)))?;
            }
        }
        Ok(())
    }
}

/// "Paprika" and what it is: a note.
const MAGIC: [u8; 8] = *b"PaprikaN";
/// The layout that is written.
const VERSION: u16 = 1;
/// Bytes before the runs: magic, version (2), runs (2), boot (4), connectors (4).
const FIXED: usize = 20;
/// Bytes of a run: its first index and how many.
const RUN: usize = 8;
/// The most connectors that a note can be about: more than any machine has.
const MOST: u32 = 1 << 20;
/// Bytes of the checksum, at the end.
const SUM: usize = 8;

/// What a guest leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Which boot it was, counted from 1.
    pub boot: u32,
    /// How many connectors it had. There may be more than are listed.
    pub connectors: u32,
    /// Those for which there was room.
    pub had: Holdings,
}

/// What stands where a note would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: zeroes.
    Blank,
    /// Something that is no note, or one of a version that this guest does not know.
    Foreign,
    /// A note, but not a whole one.
    Damaged,
    /// A note.
    Ours(Note),
}

impl Found {
    /// Its word in the log.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Foreign => "foreign",
            Self::Damaged => "damaged",
            Self::Ours(_) => "ours",
        }
    }
}

/// FNV-1a, 64 bits: cheap, and enough against what is cut short or half written.
fn sum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl Note {
    /// A note about all of these connectors.
    pub fn new(boot: u32, had: Holdings) -> Self {
        Self { boot, connectors: had.len(), had }
    }

    /// As it is kept, in at most `room` bytes: runs for which there is no room are left out. All is big-endian.
    pub fn encode(&self, room: usize) -> Vec<u8> {
        let most = room.saturating_sub(FIXED + SUM) / RUN;
        let runs = self.had.0.get(..most.min(usize::from(u16::MAX))).unwrap_or(&self.had.0);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend((runs.len() as u16).to_be_bytes());
        bytes.extend(self.boot.to_be_bytes());
        bytes.extend(self.connectors.to_be_bytes());
        bytes.extend(
            runs.iter().flat_map(|(first, count)| [first.to_be_bytes(), count.to_be_bytes()]).flatten(),
        );
        bytes.extend(sum(&bytes).to_be_bytes());
        bytes
    }

    /// Reads what was found; what follows a note is not looked at.
    pub fn find(bytes: &[u8]) -> Found {
        match bytes.get(..MAGIC.len()) {
            Some(magic) if magic == MAGIC => {}
            _ if bytes.iter().take(FIXED + SUM).all(|byte| *byte == 0) => return Found::Blank,
            _ => return Found::Foreign,
        }
        let mut reader = Reader::new(&bytes[MAGIC.len()..]);
        match reader.u16("version") {
            Ok(VERSION) => {}
            Ok(_) => return Found::Foreign,
            Err(_) => return Found::Damaged,
        }
        match Self::read(bytes, &mut reader) {
            Ok(Some(note)) if note.had.is_orderly() && note.had.len() <= MOST => Found::Ours(note),
            _ => Found::Damaged,
        }
    }

    /// Reads what follows the version; nothing where the checksum is another.
    fn read(bytes: &[u8], reader: &mut Reader<'_>) -> Result<Option<Self>, Short> {
        let runs = reader.u16("runs")?;
        let boot = reader.u32("boot")?;
        let connectors = reader.u32("connectors")?;
        let run = |_| Ok((reader.u32("first")?, reader.u32("count")?));
        let had = Holdings((0..runs).map(run).collect::<Result<_, Short>>()?);
        let summed = bytes.get(..FIXED + usize::from(runs) * RUN).map(sum);
        let stated = reader.u64("checksum")?;
        Ok((summed == Some(stated)).then_some(Self { boot, connectors, had }))
    }
}

#[cfg(test)]
mod tests {
    use super::{DrcIndex, FIXED, Found, Holdings, Note, RUN, SUM};
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::collections::BTreeSet;

    fn holdings(indexes: &[u32]) -> Holdings {
        indexes.iter().copied().map(DrcIndex).collect()
    }

    fn note() -> Note {
        Note::new(7, holdings(&[0x8000_0005, 0x1000_0000, 0x8000_0004, 0x8000_0006, 0x8000_0004]))
    }

    #[test]
    fn the_layout_is_frozen() {
        let mut wanted = b"PaprikaN\0\x01\0\x02\0\0\0\x07\0\0\0\x04".to_vec();
        wanted.extend([0x10, 0, 0, 0, 0, 0, 0, 1, 0x80, 0, 0, 4, 0, 0, 0, 3]);
        wanted.extend(0x8d94_bd29_1ac2_452d_u64.to_be_bytes());
        assert_eq!(note().encode(4096), wanted);
    }

    #[test]
    fn indexes_become_runs() {
        let held = note().had;
        assert_eq!((held.to_string().as_str(), held.len()), ("10000000,80000004-80000006", 4));
        assert!(held.contains(DrcIndex(0x8000_0006)) && !held.contains(DrcIndex(0x8000_0007)));
        assert!(!held.contains(DrcIndex(0)) && !held.contains(DrcIndex(0x1000_0001)));
        let others = holdings(&[0x8000_0005, 0x9000_0001]);
        assert_eq!(held.without(&others).to_string(), "10000000,80000004,80000006");
        assert_eq!(others.without(&held).to_string(), "90000001");
        assert_eq!(Holdings::default().to_string(), "");
        assert_eq!(holdings(&[u32::MAX, u32::MAX - 1]).to_string(), "fffffffe-ffffffff");
    }

    #[test]
    fn a_note_that_is_cut_is_damaged() {
        let bytes = note().encode(4096);
        assert_eq!(Note::find(&bytes), Found::Ours(note()));
        for len in 0..bytes.len() {
            let wanted = if len == 0 {
                Found::Blank
            } else if len < 8 {
                Found::Foreign
            } else {
                Found::Damaged
            };
            assert_eq!(Note::find(&bytes[..len]), wanted, "{len} bytes");
        }
    }

    #[test]
    fn a_note_that_is_changed_is_none() {
        let bytes = note().encode(4096);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            let wanted = if at < 10 { Found::Foreign } else { Found::Damaged };
            assert_eq!(Note::find(&wrong), wanted, "byte {at}");
        }
    }

    #[test]
    fn what_has_no_room_is_left_out_and_counted() {
        let room = FIXED + RUN + SUM;
        let bytes = note().encode(room + RUN - 1);
        assert_eq!(bytes.len(), room);
        let Found::Ours(read) = Note::find(&bytes) else { panic!("{bytes:?}") };
        assert_eq!((read.connectors, read.had), (4, holdings(&[0x1000_0000])));
    }

    #[test]
    fn zeroes_are_blank_and_anything_else_is_foreign() {
        assert_eq!(Note::find(&[0; 64]), Found::Blank);
        assert_eq!(Note::find(&[]), Found::Blank);
        assert_eq!(Note::find(b"lnx,oops"), Found::Foreign);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..256), with_magic: bool) {
            let bytes = if with_magic { [b"PaprikaN\0\x01".to_vec(), bytes].concat() } else { bytes };
            if let Found::Ours(note) = Note::find(&bytes) {
                prop_assert_eq!(note.had.iter().count(), note.had.len() as usize);
            }
        }

        #[test]
        fn a_note_is_read_back(boot: u32, indexes in vec(0x8000_0000_u32..0x8000_0040, 0..40)) {
            let set: BTreeSet<u32> = indexes.iter().copied().collect();
            let note = Note::new(boot, holdings(&indexes));
            prop_assert_eq!(note.had.iter().map(|index| index.0).collect::<Vec<_>>(), set.into_iter().collect::<Vec<_>>());
            let mut bytes = note.encode(4096);
            bytes.extend([0xff; 9]);
            prop_assert_eq!(Note::find(&bytes), Found::Ours(note));
        }
    }
}
