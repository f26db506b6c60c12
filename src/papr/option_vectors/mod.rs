//! What the client tells the platform it can do: the argument of `ibm,client-architecture-support`.
//!
//! The block is a list of processor versions, then six *option vectors*: strings of bits that the specification numbers
//! by vector, byte and bit. Bytes count from 1 after the length byte; bit 0 is the most significant one. [`VectorOption`]
//! writes these numbers down once, with a name for each, and all else here speaks in names: the default vectors, the
//! edits that a boot argument asks for, and the comparison of what was asked with what was granted.
//!
//! The default vectors are honest where it matters: they claim what this guest handles, and never what makes a known
//! QEMU give up. Overrides are not checked for sense, only for form: to ask for nonsense is what a test tool is for.
//!
//! Ref: LoPAR B.6.2.3 (ibm,architecture.vec option vectors)

mod bits;
mod defaults;
mod forms;
mod options;
mod overrides;
mod pvr;

pub use bits::{BadLength, BadProperty, BitVector, LENGTHS};
pub use defaults::Defaults;
pub use forms::{Block, Form, Place};
pub use options::{Negotiated, OptionVector, VectorOption, compare};
pub use overrides::{Misfit, Override, Overrides};
pub use pvr::{PvrEntry, parse_list};

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// The whole argument: processor versions and option vectors 1 to 6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionVectors {
    pvrs: Vec<PvrEntry>,
    vectors: [Option<BitVector>; OptionVector::ALL.len()],
}

impl OptionVectors {
    /// One vector, or none where it is absent.
    pub fn vector(&self, which: OptionVector) -> Option<&BitVector> {
        self.vectors[which as usize].as_ref()
    }

    /// Replaces one vector; `None` makes it absent as far as [`OptionVectors::encode`] can.
    pub fn set_vector(&mut self, which: OptionVector, vector: Option<BitVector>) {
        self.vectors[which as usize] = vector;
    }

    /// The processor versions, without the end of the list.
    pub fn pvrs(&self) -> &[PvrEntry] {
        &self.pvrs
    }

    /// Changes what a boot argument asked to change.
    #[must_use]
    pub fn with(mut self, overrides: &Overrides) -> Self {
        if let Some(pvrs) = overrides.pvrs() {
            self.pvrs = pvrs.to_vec();
        }
        for &which in OptionVector::ALL {
            if let Some(wish) = overrides.vector(which) {
                let vector = wish.apply(self.vectors[which as usize].take());
                self.set_vector(which, vector);
            }
        }
        self
    }

    /// The block as the firmware reads it: `{mask, value}` pairs of cells up to one that ends the list, the number of
    /// vectors less one, then each vector as [`OptionVectors::encode_vectors`] has it.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = self.encode_list();
        block.extend(self.encode_counted());
        block
    }

    /// The list of processors with its end.
    fn encode_list(&self) -> Vec<u8> {
        let ended = self.pvrs.last().is_some_and(|last| last.ends_list());
        let end = (!ended).then_some(PvrEntry::END);
        self.pvrs.iter().chain(&end).flat_map(|entry| entry.encode()).collect()
    }

    /// The vectors behind their number.
    fn encode_counted(&self) -> Vec<u8> {
        // Six vectors at most, so that the count fits.
        let mut bytes = alloc::vec![self.listed().len().saturating_sub(1) as u8];
        bytes.extend(self.encode_vectors());
        bytes
    }

    /// How many bytes the vectors before this one have together, with their lengths.
    fn bytes_before(&self, which: OptionVector) -> usize {
        let before = self.listed().iter().take(which as usize);
        before.map(|vector| 1 + vector.as_ref().map_or(1, |vector| vector.bytes().len())).sum()
    }

    /// The vectors alone, from vector 1: of each its length less one in a byte, then its bytes.
    ///
    /// Vectors are numbered by their place, so one that is absent can only be left out when all after it are absent too;
    /// elsewhere a vector of one zero byte stands for it. The block cannot say "no vectors at all": vector 1 is always
    /// there.
    pub fn encode_vectors(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for vector in self.listed() {
            match vector {
                Some(vector) => vector.encode(&mut bytes),
                None => BitVector::default().encode(&mut bytes),
            }
        }
        bytes
    }

    /// The vectors that get a place in the block.
    fn listed(&self) -> &[Option<BitVector>] {
        let last = self.vectors.iter().rposition(Option::is_some).unwrap_or(0);
        self.vectors.get(..=last).unwrap_or_default()
    }

    /// The processor versions as `mask/value,mask/value`, in hexadecimal: the form that `pvr=` takes.
    pub fn pvr_text(&self) -> String {
        let mut text = String::new();
        // A `String` takes everything, so there is no error to pass on.
        let _ = self.put_pvrs(&mut text);
        text
    }

    fn put_pvrs(&self, out: &mut dyn Write) -> fmt::Result {
        for (place, entry) in self.pvrs.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(out, "{comma}{entry}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BitVector, Defaults, OptionVector, OptionVectors, Override, Overrides, PvrEntry, VectorOption,
    };
    use crate::log::parse_hex;
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

    /// What POWER9 and later tell under TCG, with both interrupt modes.
    const SUPPORT_P9: &[u8] = &[0x17, 0x80, 0x18, 0xc0, 0x19, 0x00, 0x1a, 0x40];
    /// What a processor without radix tells.
    const SUPPORT_P8: &[u8] = &[0x17, 0x00, 0x18, 0x00, 0x19, 0x00, 0x1a, 0x40];

    fn default_for(pvr: u32, platform_support: &[u8]) -> OptionVectors {
        Defaults { pvr, platform_support }.vectors()
    }

    /// The firmware's half: walks the block as the specification says, from a table of its own.
    fn walk(block: &[u8]) -> (Vec<(u32, u32)>, Vec<Vec<u8>>) {
        let cell = |at: usize| u32::from_be_bytes(block[at..at + 4].try_into().expect("four bytes"));
        let mut at = 0;
        let mut pvrs = Vec::new();
        loop {
            let (mask, value) = (cell(at), cell(at + 4));
            at += 8;
            if !mask & value != 0 {
                break;
            }
            pvrs.push((mask, value));
        }
        let count = usize::from(block[at]) + 1;
        at += 1;
        let mut vectors = Vec::new();
        for _ in 0..count {
            let len = usize::from(block[at]) + 1;
            vectors.push(block[at + 1..at + 1 + len].to_vec());
            at += 1 + len;
        }
        assert_eq!(at, block.len(), "bytes are left over");
        (pvrs, vectors)
    }

    /// The raw versions, 3.1 and 3.00.
    const PVRS: &str = "ffff0000 004d0000  ffff0000 004b0000  ffff0000 004c0000  ffff0000 004e0000 \
                        ffff0000 00800000  ffff0000 00820000  ffffffff 0f000006  ffffffff 0f000005";
    /// The end of the list, six vectors, and four of them.
    const OV1_TO_4: &str = "00000000 ffffffff  05  02 00ffc0 \
                            20 200000 ffffffff ffffffff ffffffff ffffffff ffffffff 00000080 ffffffff 00 30 \
                            01 00e0  01 0001";
    /// Vector 5 up to byte 22.
    const OV5: &str = "19  00f30000 80050000 00000800 00000000 00000000 00 80";
    const OV6: &str = "02 000002";

    fn hex(parts: &[&str]) -> Vec<u8> {
        parse_hex(&parts.concat().replace(' ', "")).expect("hexadecimal digits")
    }

    #[test]
    fn the_default_block_of_power8_is_frozen() {
        let frozen = hex(&[PVRS, "ffffffff 0f000004", OV1_TO_4, OV5, "00 00 00 00", OV6]);
        assert_eq!(default_for(0x004d_0200, SUPPORT_P8).encode(), frozen);
        assert_eq!(default_for(0x004b_0201, &[]).encode(), frozen, "without the property it is hash, too");
    }

    #[test]
    fn the_default_block_of_power9_and_power10_is_frozen() {
        let frozen = hex(&[PVRS, OV1_TO_4, OV5, "00 40 00 40", OV6]);
        assert_eq!(default_for(0x004e_1202, SUPPORT_P9).encode(), frozen);
        assert_eq!(default_for(0x0080_0200, SUPPORT_P9).encode(), frozen);
    }

    #[test]
    fn the_log_shows_the_list_in_the_form_that_the_argument_takes() {
        let vectors = default_for(0x004e_1202, &[]);
        let text = vectors.pvr_text();
        assert!(text.starts_with("ffff0000/004d0000,ffff0000/004b0000,"), "{text}");
        assert_eq!(super::parse_list(&text).as_deref(), Ok(vectors.pvrs()));
    }

    #[test]
    fn absent_vectors_are_left_out_at_the_end_and_zero_in_the_middle() {
        let mut vectors = default_for(0x004e_1202, &[]);
        vectors.set_vector(OptionVector::Ov6, None);
        assert_eq!(walk(&vectors.encode()).1.len(), 5);
        vectors.set_vector(OptionVector::Ov2, None);
        let (_, seen) = walk(&vectors.encode());
        assert_eq!(seen[1], [0]);
        assert_eq!(seen.len(), 5);
        for &which in OptionVector::ALL {
            vectors.set_vector(which, None);
        }
        assert_eq!(walk(&vectors.encode()).1, [[0]]);
    }

    #[test]
    fn a_list_that_ends_itself_gets_no_second_end() {
        let mut overrides = Overrides::default();
        overrides.set_pvrs(super::parse_list("3.00,ff000000/0fffffff").expect("well formed"));
        let vectors = default_for(0x004e_1202, &[]).with(&overrides);
        let block = vectors.encode();
        assert_eq!(block[8..16], [0xff, 0, 0, 0, 0x0f, 0xff, 0xff, 0xff]);
        assert_eq!(walk(&block).0, [(0xffff_ffff, 0x0f00_0005)]);
    }

    #[test]
    fn overrides_change_what_they_name_and_nothing_else() {
        let mut overrides = Overrides::default();
        let mut set = |which, text| {
            overrides.set_vector(which, Override::parse(which, text).expect("well formed"));
        };
        set(OptionVector::Ov5, "+form2,-drmem-v2,+xive");
        set(OptionVector::Ov6, "aix");
        set(OptionVector::Ov4, "absent");
        let before = default_for(0x004e_1202, SUPPORT_P9);
        let after = before.clone().with(&overrides);
        let (_, seen) = walk(&after.encode());
        let mut ov5 = before.vector(OptionVector::Ov5).expect("is there").clone();
        ov5.set(VectorOption::FORM2, 1);
        ov5.set(VectorOption::DRMEM_V2, 0);
        ov5.set(VectorOption::XIVE, 1);
        assert_eq!(seen[4], ov5.bytes());
        assert_eq!(seen[4][22], 0x40);
        assert_eq!(seen[5], [0, 0, 1]);
        assert_eq!(seen[3], [0]);
        assert_eq!(seen[..3], walk(&before.encode()).1[..3]);
        assert_eq!(after.pvrs(), before.pvrs());
    }

    fn any_vector() -> impl Strategy<Value = Option<BitVector>> {
        let bytes = prop::collection::vec(any::<u8>(), 1..=256);
        prop_oneof![Just(None), bytes.prop_map(|bytes| BitVector::new(bytes).ok())]
    }

    proptest! {
        #[test]
        fn the_firmware_reads_back_what_was_encoded(
            pvrs in prop::collection::vec((any::<u32>(), any::<u32>()), 0..20),
            vectors in prop::array::uniform6(any_vector()),
        ) {
            let pvrs: Vec<_> = pvrs.into_iter().map(|(mask, value)| (mask, value & mask)).collect();
            let entries = pvrs.iter().map(|&(mask, value)| PvrEntry { mask, value }).collect();
            let block = OptionVectors { pvrs: entries, vectors: vectors.clone() }.encode();
            let (seen_pvrs, seen) = walk(&block);
            prop_assert_eq!(seen_pvrs, pvrs);
            for (place, vector) in vectors.iter().enumerate() {
                let asked = vector.as_ref().map_or(&[0][..], BitVector::bytes);
                prop_assert_eq!(seen.get(place).map_or(&[0][..], Vec::as_slice), asked);
            }
            let last = vectors.iter().rposition(Option::is_some).unwrap_or(0);
            prop_assert_eq!(seen.len(), last + 1);
        }
    }
}
