//! The ways to lay the block out in memory: as the specification has it, and wrongly, each in a way of its own.
//!
//! The specification does not say what a platform does with a block that lies about itself. So the wrong forms have no
//! right answer; what they have is a bound: the platform refuses, or takes what it can read, and stands. Wherever a
//! reader who believes the block would run past its end, it is followed by zeroes, so that what is read does not depend
//! on what the memory held before.
//!
//! Ref: LoPAR B.6.2.3 (ibm,architecture.vec option vectors)

use super::{OptionVector, OptionVectors, PvrEntry};
use crate::word_enum;
use alloc::vec::Vec;

word_enum! {
    /// A way to lay the block out.
    pub enum Form {
        /// As the specification has it.
        Sound = "sound",
        /// No entry ends the list of processors; the vectors follow at once.
        NoEnd = "no-end",
        /// The list has as many entries as QEMU reads, and none that ends it; the vectors follow.
        FullList = "full-list",
        /// The list has more entries than QEMU reads before the one that ends it.
        LongList = "long-list",
        /// More vectors are counted than there are: 256.
        CountHigh = "count-high",
        /// Fewer vectors are counted than there are: 1.
        CountLow = "count-low",
        /// Vector 1 says that it has one byte, and has more: all vectors after it are read from the wrong place.
        LengthLow = "length-low",
        /// Vector 5 says that it has 256 bytes, and has fewer.
        LengthHigh = "length-high",
        /// Every vector says that it has 256 bytes.
        LengthsHigh = "lengths-high",
        /// Well formed, at an odd address.
        Odd = "odd",
        /// Well formed; its last byte is the last one of memory.
        AtEnd = "at-end",
        /// Memory ends in the middle of vector 5.
        AcrossEnd = "across-end",
        /// Memory ends in the middle of the list of processors.
        ListAcrossEnd = "list-across-end",
        /// It starts where memory ends.
        BeyondEnd = "beyond-end",
    }
}

/// Where a block is to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Wherever there is room.
    Anywhere,
    /// At an odd address.
    Odd,
    /// This many of its bytes in memory, up to its end, and the others beyond.
    End(usize),
}

/// A block, and where it is to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// Where it is to lie.
    pub place: Place,
}

/// How many entries of a list QEMU reads.
///
/// Ref: QEMU hw/ppc/spapr_hcall.c (cas_check_pvr)
const QEMU_READS: usize = 512;
/// An entry that no processor fits and that ends no list.
const NOBODY: PvrEntry = PvrEntry { mask: u32::MAX, value: 0 };
/// Zeroes behind a block that lies about its size: six vectors of 256 bytes end before them.
const TAIL: usize = 2048;
/// How many bytes of vector 5 are in memory where it is cut: up to the one with the newer events.
const CUT: usize = 6;

impl Form {
    /// The block in this form.
    pub fn lay(self, vectors: &OptionVectors) -> Block {
        let mut bytes = self.list(vectors);
        let count = bytes.len();
        bytes.extend(vectors.encode_counted());
        let place = self.place(vectors, count, bytes.len());
        self.lie(&mut bytes, count, vectors);
        if place == Place::Anywhere && self != Self::Sound {
            bytes.resize(bytes.len() + TAIL, 0);
        }
        Block { bytes, place }
    }

    /// The list of processors.
    fn list(self, vectors: &OptionVectors) -> Vec<u8> {
        let listed = vectors.encode_list();
        let room = match self {
            Self::NoEnd => return vectors.pvrs().iter().flat_map(|entry| entry.encode()).collect(),
            Self::FullList => QEMU_READS,
            Self::LongList => QEMU_READS + 8,
            _ => return listed,
        };
        let known = vectors.pvrs().iter().filter(|entry| !entry.ends_list());
        let filled = known.copied().chain(core::iter::repeat(NOBODY)).take(room);
        let end = (self == Self::LongList).then_some(PvrEntry::END);
        filled.chain(end).flat_map(PvrEntry::encode).collect()
    }

    /// Makes the number of vectors, which is at `count`, and their lengths say what is not so.
    fn lie(self, bytes: &mut [u8], count: usize, vectors: &OptionVectors) {
        let mut put = |at: usize, value: u8| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        };
        let length = |which| count + 1 + vectors.bytes_before(which);
        match self {
            Self::CountHigh => put(count, u8::MAX),
            Self::CountLow => put(count, 0),
            Self::LengthLow => put(length(OptionVector::Ov1), 0),
            Self::LengthHigh => put(length(OptionVector::Ov5), u8::MAX),
            Self::LengthsHigh => OptionVector::ALL.iter().for_each(|&which| put(length(which), u8::MAX)),
            _ => {}
        }
    }

    /// Where the block is to lie whose vectors are counted at `count`, and which has `len` bytes.
    fn place(self, vectors: &OptionVectors, count: usize, len: usize) -> Place {
        match self {
            Self::Odd => Place::Odd,
            Self::AtEnd => Place::End(len),
            // Behind the number of vectors, the length of the fifth, and some of its bytes.
            Self::AcrossEnd => {
                Place::End((count + 2 + vectors.bytes_before(OptionVector::Ov5) + CUT).min(len))
            }
            Self::ListAcrossEnd => Place::End(PvrEntry::BYTES + PvrEntry::BYTES / 2),
            Self::BeyondEnd => Place::End(0),
            _ => Place::Anywhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, CUT, Form, OptionVector, OptionVectors, Place, PvrEntry, QEMU_READS};
    use crate::papr::option_vectors::Defaults;

    fn vectors() -> OptionVectors {
        Defaults { pvr: 0x004e_1202, platform_support: &[0x18, 0xc0, 0x1a, 0x40] }.vectors()
    }

    /// The platform's half: what QEMU reads from a block, with zeroes where there is no memory. Whether a processor of the
    /// list is this one, and vectors 1 and 5.
    ///
    /// Ref: QEMU hw/ppc/spapr_hcall.c (cas_check_pvr), hw/ppc/spapr_ovec.c (vector_addr, spapr_ovec_parse_vector)
    fn read(block: &Block) -> (bool, [Option<Vec<u8>>; 2]) {
        let memory = match block.place {
            Place::End(inside) => &block.bytes[..inside],
            _ => &block.bytes,
        };
        let byte = |at: usize| memory.get(at).copied().unwrap_or(0);
        let cell = |at: usize| u32::from_be_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]);
        let (mut at, mut fits) = (0, false);
        for _ in 0..QEMU_READS {
            let entry = PvrEntry { mask: cell(at), value: cell(at + 4) };
            at += 8;
            if entry.ends_list() {
                break;
            }
            fits |= entry.matches(0x004e_1202);
        }
        let vector = |number: usize| {
            (number <= usize::from(byte(at)) + 1).then(|| {
                let mut at = at + 1;
                for _ in 1..number {
                    at += usize::from(byte(at)) + 2;
                }
                (0..=usize::from(byte(at))).map(|place| byte(at + 1 + place)).collect::<Vec<u8>>()
            })
        };
        (fits, [vector(1), vector(5)])
    }

    #[test]
    fn forms_that_do_not_lie_are_read_like_the_sound_one() {
        let sound = Form::Sound.lay(&vectors());
        assert_eq!(sound, Block { bytes: vectors().encode(), place: Place::Anywhere });
        let seen = read(&sound);
        assert!(seen.0 && seen.1[1].as_ref().is_some_and(|ov5| ov5.len() == 26));
        for form in [Form::FullList, Form::CountHigh, Form::Odd, Form::AtEnd] {
            assert_eq!(read(&form.lay(&vectors())), seen, "{form}");
        }
    }

    #[test]
    fn each_lie_is_read_in_its_own_way() {
        let ov = |which| vectors().vector(which).expect("is there").bytes().to_vec();
        let (one, five) = (ov(OptionVector::Ov1), ov(OptionVector::Ov5));
        let seen = |form: Form| read(&form.lay(&vectors()));
        let ov5 = |form| seen(form).1[1].clone().expect("vector 5 is there");
        assert_eq!(seen(Form::CountLow), (true, [Some(one), None]));
        assert_eq!(seen(Form::NoEnd).1[1], None);
        assert_eq!((seen(Form::LongList).0, ov5(Form::LongList)), (true, vec![0]));
        assert_eq!((ov5(Form::LengthHigh).len(), &ov5(Form::LengthHigh)[..26]), (256, &five[..]));
        assert_eq!(ov5(Form::LengthsHigh), [0], "the fifth lies in the zeroes behind");
        assert_ne!(ov5(Form::LengthLow), five);
        let cut = ov5(Form::AcrossEnd);
        assert_eq!((&cut[..CUT], cut[CUT..].iter().all(|&byte| byte == 0)), (&five[..CUT], true));
        assert_eq!(seen(Form::ListAcrossEnd), (true, [Some(vec![0]), None]), "a pair of zeroes fits all");
        assert_eq!(seen(Form::BeyondEnd), (true, [Some(vec![0]), None]));
    }

    #[test]
    fn what_lies_at_the_end_of_memory_has_no_more_bytes_there_than_it_has() {
        let mut overrides = vectors();
        for &which in OptionVector::ALL {
            overrides.set_vector(which, None);
        }
        for vectors in [vectors(), overrides] {
            for &form in Form::ALL {
                let block = form.lay(&vectors);
                assert!(!matches!(block.place, Place::End(inside) if inside > block.bytes.len()), "{form}");
            }
        }
    }
}
