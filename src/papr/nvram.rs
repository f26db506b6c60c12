//! Non-volatile memory: its partitions, and a place among them for one of our own.
//!
//! NVRAM is one row of partitions, each behind a header of 16 bytes that says whose it is and how long. Nobody may touch
//! another's. What lies behind the first header that is none belongs to nobody: SLOF leaves it as zeroes, VOF leaves all
//! of NVRAM so. An operating system may make free space of it, and a partition of its own in free space; the rest of
//! the space stays accounted for by a header of its own.
//!
//! Ref: LoPAR 8.2 (Structure), LoPAR 8.3 (Signatures)

use crate::open_enum;
use crate::wire::{Reader, Short};
use core::ops::Range;

open_enum! {
    /// Whose a partition is.
    ///
    /// Ref: LoPAR 8.3 (Signatures)
    pub Signature: u8 {
        /// The firmware's own.
        FIRMWARE = 0x51 => "firmware",
        /// Variables of the system: SLOF's "common".
        SYSTEM = 0x70 => "system",
        /// Nobody's.
        FREE = 0x7f => "free",
        /// An operating system's.
        OS = 0xa0 => "os",
    }
}

/// Bytes of a header.
pub const HEADER: usize = 16;
/// Bytes of a block, in which lengths are counted.
pub const BLOCK: usize = 16;
/// Bytes of a name.
const NAME: usize = 12;
/// The name of free space.
const FREE_NAME: [u8; NAME] = [b'w'; NAME];

/// The header of a partition: signature, checksum, length in blocks with the header (two bytes), name.
///
/// Ref: LoPAR 8.2 (Structure)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose it is.
    pub signature: Signature,
    /// Its length in blocks of 16 bytes, with the header.
    pub blocks: u16,
    /// Its name, filled up with zeroes.
    pub name: [u8; NAME],
}

impl Header {
    /// The header of free space.
    const fn free(blocks: u16) -> Self {
        Self { signature: Signature::FREE, blocks, name: FREE_NAME }
    }

    /// As it stands in NVRAM.
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = self.signature.0;
        bytes[2..4].copy_from_slice(&self.blocks.to_be_bytes());
        bytes[4..].copy_from_slice(&self.name);
        bytes[1] = sum(&bytes);
        bytes
    }

    /// Reads a header; nothing where its checksum is wrong or where it has no length.
    ///
    /// # Errors
    /// When the bytes end before it does.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Short> {
        let mut reader = Reader::new(bytes);
        let signature = Signature(reader.u8("signature")?);
        let stated = reader.u8("checksum")?;
        let blocks = reader.u16("length")?;
        let mut name = [0; NAME];
        name.copy_from_slice(reader.take(NAME, "name")?);
        let header = Self { signature, blocks, name };
        Ok((blocks > 0 && header.encode()[1] == stated).then_some(header))
    }

    const fn bytes(&self) -> usize {
        self.blocks as usize * BLOCK
    }
}

/// The checksum of a header: the sum of its bytes, each carry added back; the place of the checksum itself is 0.
///
/// Ref: LoPAR 8.2 (Structure), QEMU hw/nvram/chrp_nvram.c (chrp_nvram_finish_partition)
fn sum(header: &[u8; HEADER]) -> u8 {
    header.iter().enumerate().filter(|(at, _)| *at != 1).fold(0_u8, |sum, (_, byte)| {
        let (sum, carry) = sum.overflowing_add(*byte);
        sum.wrapping_add(u8::from(carry))
    })
}

/// A place for a partition of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is there: where its content lies.
    There(Range<usize>),
    /// It can be made: where its header goes, and how many blocks of free space remain behind it.
    Room {
        /// Where its header goes.
        at: usize,
        /// Blocks that remain behind it.
        rest: usize,
    },
    /// Other partitions fill NVRAM.
    Full,
}

/// Looks for the partition `ours` in the first bytes of an NVRAM that has `size` bytes, and else for a place for it.
pub fn place(bytes: &[u8], size: usize, ours: &Header) -> Place {
    let mut at = 0;
    let mut room = Place::Full;
    while at + HEADER <= size {
        let header = bytes.get(at..).and_then(|rest| Header::decode(rest).ok());
        // What was not read cannot be known to be free.
        let Some(header) = header else { break };
        // Behind the first header that is none there is nothing but free space.
        let (length, is_free) = match header {
            Some(header) if at + header.bytes() <= size => {
                if (header.signature, header.name) == (ours.signature, ours.name) {
                    return Place::There(at + HEADER..at + header.bytes());
                }
                (header.bytes(), header.signature == Signature::FREE)
            }
            _ => (size - at, true),
        };
        if is_free && room == Place::Full && length >= ours.bytes() {
            room = Place::Room { at, rest: (length - ours.bytes()) / BLOCK };
        }
        at += length;
    }
    room
}

/// The header of the free space that remains behind a partition; none where nothing does.
pub fn remainder(rest: usize) -> Option<[u8; HEADER]> {
    let blocks = u16::try_from(rest).unwrap_or(u16::MAX);
    (blocks > 0).then(|| Header::free(blocks).encode())
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, HEADER, Header, Place, Signature, place, remainder};
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    const OURS: Header = Header { signature: Signature::OS, blocks: 4, name: *b"paprika,life" };
    const SIZE: usize = 0x4000;

    /// Lays out partitions, one behind the other.
    fn nvram(partitions: &[Header]) -> Vec<u8> {
        let mut bytes = vec![0; SIZE];
        let mut at = 0;
        for header in partitions {
            bytes[at..at + HEADER].copy_from_slice(&header.encode());
            at += header.bytes();
        }
        bytes
    }

    fn slof() -> [Header; 3] {
        let header = |signature, blocks, name: &[u8]| {
            let mut whole = [0; 12];
            whole[..name.len()].copy_from_slice(name);
            Header { signature, blocks, name: whole }
        };
        [
            header(Signature::FIRMWARE, 0x200, b"ibm,CPU0log"),
            header(Signature::FIRMWARE, 0x80, b"ibm,CPU1log"),
            header(Signature::SYSTEM, 0x100, b"common"),
        ]
    }

    #[test]
    fn headers_are_those_that_slof_writes() {
        let [first, second, common] = slof().map(|header| header.encode());
        assert_eq!(first, *b"\x51\x15\x02\x00ibm,CPU0log\0");
        assert_eq!(second, *b"\x51\x94\x00\x80ibm,CPU1log\0");
        assert_eq!(common, *b"\x70\xfc\x01\x00common\0\0\0\0\0\0");
    }

    #[test]
    fn an_empty_nvram_has_room_at_its_start() {
        let rest = (SIZE - 64) / BLOCK;
        assert_eq!(place(&nvram(&[]), SIZE, &OURS), Place::Room { at: 0, rest });
    }

    #[test]
    fn the_partitions_of_others_are_left_alone() {
        let at = 0x3800;
        let rest = (SIZE - at - 64) / BLOCK;
        assert_eq!(place(&nvram(&slof()), SIZE, &OURS), Place::Room { at, rest });
        let [a, b, c] = slof();
        let mut bytes = nvram(&[a, b, c, OURS]);
        assert_eq!(place(&bytes, SIZE, &OURS), Place::There(at + 16..at + 64));
        // The rest is accounted for, and found as free.
        let header = remainder(rest).expect("there is some");
        bytes[at + 64..at + 64 + HEADER].copy_from_slice(&header);
        let other = Header { name: *b"paprika,more", ..OURS };
        assert_eq!(place(&bytes, SIZE, &other), Place::Room { at: at + 64, rest: rest - 4 });
    }

    #[test]
    fn what_is_free_is_taken_only_where_it_suffices() {
        let taken = Header { blocks: 1022, ..slof()[0] };
        let bytes = nvram(&[taken, Header::free(2)]);
        assert_eq!(place(&bytes, SIZE, &OURS), Place::Full);
        let bytes = nvram(&[Header::free(4), Header { blocks: 1020, ..taken }]);
        assert_eq!(place(&bytes, SIZE, &OURS), Place::Room { at: 0, rest: 0 });
        assert_eq!(remainder(0), None);
    }

    #[test]
    fn a_header_that_is_cut_or_wrong_is_none() {
        let bytes = OURS.encode();
        assert_eq!(Header::decode(&bytes), Ok(Some(OURS)));
        for len in 0..HEADER {
            assert!(Header::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        for at in 0..HEADER {
            let mut wrong = bytes;
            wrong[at] ^= 0x10;
            assert_eq!(Header::decode(&wrong), Ok(None), "byte {at}");
        }
        // A length that reaches beyond the end is no length.
        let long = Header { blocks: u16::MAX, ..slof()[0] };
        assert_eq!(place(&nvram(&[long]), SIZE, &OURS), Place::Room { at: 0, rest: 1020 });
        // What could not be read is not taken for free.
        assert_eq!(place(&nvram(&slof())[..0x3800], SIZE, &OURS), Place::Full);
    }

    proptest! {
        #[test]
        fn any_content_leaves_a_place_within_it_or_none(bytes in vec(any::<u8>(), 0..512), size in 0_usize..1024) {
            match place(&bytes, size, &OURS) {
                Place::There(range) => prop_assert!(range.end <= size && range.start < range.end),
                Place::Room { at, rest } => prop_assert!(at + OURS.bytes() + rest * BLOCK <= size),
                Place::Full => {}
            }
        }

        #[test]
        fn a_header_is_read_back(signature: u8, blocks in 1_u16.., name: [u8; 12]) {
            let header = Header { signature: Signature(signature), blocks, name };
            prop_assert_eq!(Header::decode(&header.encode()), Ok(Some(header)));
        }
    }
}
