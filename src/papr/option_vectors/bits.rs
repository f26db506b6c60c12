//! The bits of one option vector.
//!
//! A vector has 1 to 256 bytes; its length byte holds one less, so that no vector is empty. What lies beyond its end
//! reads as zero, and setting a bit there makes it longer: firmware treats a short vector just so.
//!
//! Ref: LoPAR B.6.2.3 (bit-vector)

use super::options::VectorOption;
use crate::wire::{Reader, Short};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

/// How many bytes an option vector can have, without its length byte.
pub const LENGTHS: RangeInclusive<usize> = 1..=256;

/// The bytes after the length byte; 1 to 256 of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitVector(Vec<u8>);

/// A vector cannot have this many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLength(pub usize);

impl fmt::Display for BadLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = LENGTHS.into_inner();
        write!(f, "an option vector has {least} to {most} bytes, not {}", self.0)
    }
}

/// `ibm,architecture-vec-5` is not one option vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadProperty {
    /// It ends before its length says so.
    Short(Short),
    /// This many bytes come after its end.
    Trailing(usize),
}

impl From<Short> for BadProperty {
    fn from(short: Short) -> Self {
        Self::Short(short)
    }
}

impl fmt::Display for BadProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(short) => short.fmt(f),
            Self::Trailing(left) => write!(f, "{left} bytes come after the end of the option vector"),
        }
    }
}

/// One zero byte: the vector that asks for nothing.
impl Default for BitVector {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl<const N: usize> From<[u8; N]> for BitVector {
    fn from(bytes: [u8; N]) -> Self {
        const { assert!(N >= 1 && N <= 256, "an option vector has 1 to 256 bytes") };
        Self(bytes.to_vec())
    }
}

impl BitVector {
    /// Takes the bytes after the length byte.
    ///
    /// # Errors
    /// When there are none or more than 256.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BadLength> {
        if LENGTHS.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(BadLength(bytes.len())) }
    }

    /// Reads a property that holds one vector with its length byte: `ibm,architecture-vec-5` of `/chosen`.
    ///
    /// # Errors
    /// When the property ends early, or goes on after the vector.
    ///
    /// Ref: LoPAR B.6.2.3 (note 5)
    pub fn from_property(property: &[u8]) -> Result<Self, BadProperty> {
        let mut reader = Reader::new(property);
        let len = usize::from(reader.u8("the length of an option vector")?) + 1;
        let bytes = reader.take(len, "an option vector")?;
        match reader.left() {
            0 => Ok(Self(bytes.to_vec())),
            left => Err(BadProperty::Trailing(left)),
        }
    }

    /// The bytes after the length byte.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends the length byte and the bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // At most 256 bytes, so that one less fits.
        out.push((self.0.len() - 1) as u8);
        out.extend_from_slice(&self.0);
    }

    /// The value of an option, whichever vector it is of; 0 beyond the end.
    pub fn get(&self, option: VectorOption) -> u8 {
        let byte = self.0.get(option.place()).copied().unwrap_or(0);
        (byte & option.mask()) >> option.shift()
    }

    /// Sets an option, and makes the vector longer where that is needed. Bits of `value` that do not fit are dropped.
    pub fn set(&mut self, option: VectorOption, value: u8) {
        let bits = (value << option.shift()) & option.mask();
        if bits != 0 && self.0.len() <= option.place() {
            self.0.resize(option.place() + 1, 0);
        }
        if let Some(byte) = self.0.get_mut(option.place()) {
            *byte = (*byte & !option.mask()) | bits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BadLength, BadProperty, BitVector, Short, VectorOption};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn a_vector_has_one_to_256_bytes() {
        assert_eq!(BitVector::new(vec![]), Err(BadLength(0)));
        assert_eq!(BitVector::new(vec![0; 257]), Err(BadLength(257)));
        let mut longest = Vec::new();
        BitVector::new(vec![7; 256]).expect("just fits").encode(&mut longest);
        assert_eq!((longest.len(), longest[0]), (257, 255));
    }

    #[test]
    fn bit_0_is_the_most_significant_and_byte_1_is_the_first() {
        let mut vector = BitVector::default();
        vector.set(VectorOption::HP_EVT, 1);
        assert_eq!(vector.bytes(), [0, 0, 0, 0, 0, 0x04]);
        vector.set(VectorOption::FORM1, 1);
        assert_eq!(vector.bytes(), [0, 0, 0, 0, 0x80, 0x04]);
        vector.set(VectorOption::RADIX_GTSE, 0);
        assert_eq!(vector.bytes().len(), 6, "a zero beyond the end is there already");
        vector.set(VectorOption::XIVE, 2);
        assert_eq!((vector.bytes()[22], vector.get(VectorOption::XIVE)), (0x80, 2));
    }

    #[test]
    fn the_answer_of_a_power9_is_read() {
        let mut property = vec![25, 0, 0x20, 0, 0, 0x80, 0x05];
        property.resize(22, 0);
        property.extend([0x80, 0, 0x40, 0, 0x40]);
        let granted = BitVector::from_property(&property).expect("a real answer");
        let options =
            [VectorOption::HP_EVT, VectorOption::DRMEM_V2, VectorOption::RADIX, VectorOption::FORM2];
        assert_eq!(options.map(|option| granted.get(option)), [1, 1, 1, 0]);
    }

    #[test]
    fn the_answer_before_cas_grants_nothing() {
        let granted = BitVector::from_property(&[0, 0]).expect("well formed");
        assert!(VectorOption::ALL.iter().all(|&option| granted.get(option) == 0));
    }

    proptest! {
        #[test]
        fn a_property_is_read_back_and_a_cut_or_longer_one_is_refused(bytes in proptest::collection::vec(any::<u8>(), 1..=256)) {
            let vector = BitVector::new(bytes).expect("a right length");
            let mut property = Vec::new();
            vector.encode(&mut property);
            prop_assert_eq!(BitVector::from_property(&property), Ok(vector));
            for cut in 0..property.len() {
                let short = BitVector::from_property(&property[..cut]);
                let is_short = matches!(short, Err(BadProperty::Short(Short { .. })));
                prop_assert!(is_short, "{} bytes", cut);
            }
            property.push(0);
            prop_assert_eq!(BitVector::from_property(&property), Err(BadProperty::Trailing(1)));
        }

        #[test]
        fn any_property_is_read_or_refused(property: Vec<u8>) {
            let _ = BitVector::from_property(&property);
        }

        #[test]
        fn setting_an_option_touches_no_other(bytes in proptest::collection::vec(any::<u8>(), 1..40), value: u8) {
            for &option in VectorOption::ALL {
                let mut vector = BitVector::new(bytes.clone()).expect("a right length");
                vector.set(option, value);
                prop_assert_eq!(vector.get(option), value & (option.mask() >> option.shift()));
                for (place, &byte) in vector.bytes().iter().enumerate() {
                    let kept = if place == option.place() { !option.mask() } else { 0xff };
                    prop_assert_eq!(byte & kept, bytes.get(place).copied().unwrap_or(0) & kept);
                }
            }
        }
    }
}
