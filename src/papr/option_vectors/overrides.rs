//! What a boot argument changes about the vectors.
//!
//! Every vector takes the same forms: its bytes after the length byte in hexadecimal (`ov5=0020000080`), edits of the
//! default by name (`ov5=+hp-evt,-drmem-v2`), or `absent`. Vector 6 also takes the name of an operating system.
//! `+name` sets the option to 1 and `-name` to 0; other values of wider options need the hexadecimal form.

use super::bits::{BadLength, BitVector};
use super::options::{OptionVector, VectorOption};
use super::pvr::PvrEntry;
use crate::log::parse_hex;
use alloc::vec::Vec;
use core::fmt;

/// The values of [`VectorOption::OS_NAME`] that have a name. IBM i is in no public edition.
const OS_NAMES: &[(&str, u8)] = &[("none", 0), ("aix", 1), ("linux", 2), ("ibmi", 3)];

/// The word for a vector that is not there.
const ABSENT: &str = "absent";

/// What is to become of one vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Override {
    /// These bytes take its place.
    Bytes(BitVector),
    /// These options of it get these values; the others stay.
    Edits(Vec<(VectorOption, u8)>),
    /// It is left out, as far as [`super::OptionVectors::encode_vectors`] can.
    Absent,
}

/// What is to become of the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pvrs: Option<Vec<PvrEntry>>,
    vectors: [Option<Override>; OptionVector::ALL.len()],
}

/// Why an override means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit<'a> {
    /// Neither hexadecimal bytes, nor edits, nor a word that this vector knows.
    Form(OptionVector, &'a str),
    /// Bytes that are no option vector.
    Length(BadLength),
    /// An edit without `+` or `-`.
    Sign(&'a str),
    /// An edit of an option that the vector does not have.
    Name(OptionVector, &'a str),
    /// No entry of a list of processor versions.
    Pvr(&'a str),
    /// An entry after the end of the list of processor versions.
    AfterEnd(&'a str),
}

/// Puts names between commas.
fn put_names(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'static str>) -> fmt::Result {
    for (place, name) in names.enumerate() {
        let comma = if place == 0 { "" } else { ", " };
        write!(f, "{comma}{name}")?;
    }
    Ok(())
}

impl fmt::Display for Misfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(which, word) => {
                write!(
                    f,
                    "\"{word}\" is none of: two hexadecimal digits for each byte; +option,-option; {ABSENT}"
                )?;
                if *which == OptionVector::Ov6 {
                    f.write_str("; ")?;
                    put_names(f, OS_NAMES.iter().map(|(name, _)| *name))?;
                }
                Ok(())
            }
            Self::Length(length) => length.fmt(f),
            Self::Sign(word) => write!(f, "\"{word}\" needs + or - before it"),
            Self::Name(which, word) => {
                write!(f, "{which} has no option \"{word}\", but these: ")?;
                put_names(f, VectorOption::of(*which).map(|option| option.name))
            }
            Self::Pvr(word) => {
                write!(f, "\"{word}\" is neither mask/value in hexadecimal nor one of: ")?;
                put_names(f, PvrEntry::NAMED.iter().map(|(name, _)| *name))
            }
            Self::AfterEnd(word) => write!(f, "\"{word}\" comes after an entry that ends the list"),
        }
    }
}

impl Override {
    /// Reads the value of a boot argument for vector `which`.
    ///
    /// # Errors
    /// When the text has none of the forms, or has no or more than 256 bytes.
    pub fn parse(which: OptionVector, text: &str) -> Result<Self, Misfit<'_>> {
        if text == ABSENT {
            return Ok(Self::Absent);
        }
        if let Some((_, os)) = OS_NAMES.iter().find(|(name, _)| which == OptionVector::Ov6 && *name == text) {
            return Ok(Self::Edits(alloc::vec![(VectorOption::OS_NAME, *os)]));
        }
        if text.starts_with(['+', '-']) {
            return text
                .split(',')
                .map(|word| parse_edit(which, word))
                .collect::<Result<_, _>>()
                .map(Self::Edits);
        }
        let bytes = parse_hex(text).ok_or(Misfit::Form(which, text))?;
        BitVector::new(bytes).map(Self::Bytes).map_err(Misfit::Length)
    }

    /// The vector that comes of `before`. Edits of an absent vector start from one zero byte.
    pub fn apply(&self, before: Option<BitVector>) -> Option<BitVector> {
        match self {
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::Absent => None,
            Self::Edits(edits) => {
                let mut vector = before.unwrap_or_default();
                for &(option, value) in edits {
                    vector.set(option, value);
                }
                Some(vector)
            }
        }
    }
}

fn parse_edit(which: OptionVector, word: &str) -> Result<(VectorOption, u8), Misfit<'_>> {
    let (value, name) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
        (Some(name), _) => (1, name),
        (_, Some(name)) => (0, name),
        _ => return Err(Misfit::Sign(word)),
    };
    VectorOption::find(which, name).map(|option| (option, value)).ok_or(Misfit::Name(which, name))
}

impl Overrides {
    /// The processor versions that take the place of the default list; nothing where it stays.
    pub fn pvrs(&self) -> Option<&[PvrEntry]> {
        self.pvrs.as_deref()
    }

    /// Says which processor versions take the place of the default list.
    pub fn set_pvrs(&mut self, pvrs: Vec<PvrEntry>) {
        self.pvrs = Some(pvrs);
    }

    /// What is to become of one vector; nothing where it stays.
    pub fn vector(&self, which: OptionVector) -> Option<&Override> {
        self.vectors[which as usize].as_ref()
    }

    /// Says what is to become of one vector; whatever was said before does not count any more.
    pub fn set_vector(&mut self, which: OptionVector, wish: Override) {
        self.vectors[which as usize] = Some(wish);
    }
}

#[cfg(test)]
mod tests {
    use super::{BitVector, Misfit, OS_NAMES, OptionVector, Override, VectorOption};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn parse(which: OptionVector, text: &str) -> Result<Override, String> {
        Override::parse(which, text).map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn bytes_take_the_place_of_the_vector_whatever_they_say() {
        let text = "00".repeat(23) + "80";
        let wish = parse(OptionVector::Ov5, &text).expect("odd, but well formed");
        let vector = wish.apply(Some(BitVector::from([1, 2, 3]))).expect("is there");
        assert_eq!(vector.get(VectorOption::RADIX), 2);
        assert_eq!(vector.bytes().len(), 24);
    }

    #[test]
    fn every_option_can_be_edited_by_its_name() {
        for &option in VectorOption::ALL {
            let on = parse(option.vector, &format!("+{}", option.name)).expect("a known name");
            let vector = on.apply(None).expect("is there");
            assert_eq!(vector.get(option), 1);
            let off = parse(option.vector, &format!("-{}", option.name)).expect("a known name");
            assert_eq!(off.apply(Some(vector)).expect("is there").get(option), 0);
        }
    }

    #[test]
    fn a_later_edit_of_the_same_option_wins() {
        let wish = parse(OptionVector::Ov5, "+hp-evt,-hp-evt").expect("well formed");
        assert_eq!(wish.apply(None), Some(BitVector::from([0, 0, 0, 0, 0, 0])));
    }

    #[test]
    fn vector_6_takes_the_names_of_operating_systems() {
        for &(name, value) in OS_NAMES {
            let wish = parse(OptionVector::Ov6, name).expect("a known name");
            assert_eq!(wish.apply(Some(BitVector::from([0, 0, 2]))), Some(BitVector::from([0, 0, value])));
            assert!(parse(OptionVector::Ov5, name).is_err(), "{name}");
        }
        assert_eq!(parse(OptionVector::Ov6, "absent"), Ok(Override::Absent));
    }

    #[test]
    fn a_malformed_override_names_the_word() {
        let long = "00".repeat(257);
        for (which, text, says) in [
            (OptionVector::Ov5, "hp-evt", "\"hp-evt\""),
            (OptionVector::Ov5, "+hp-evt,drmem-v2", "\"drmem-v2\" needs + or -"),
            (OptionVector::Ov5, "+hp-evt,+hotplug", "no option \"hotplug\", but these: ignore, halt,"),
            (OptionVector::Ov5, "+", "no option \"\""),
            (OptionVector::Ov5, "+hp-evt,", "\"\" needs + or -"),
            (OptionVector::Ov3, "+hp-evt", "ov3 has no option \"hp-evt\", but these: ignore, halt, fp, vmx"),
            (OptionVector::Ov6, "windows", "\"windows\" is none of: two hexadecimal"),
            (OptionVector::Ov6, "windows", "absent; none, aix, linux, ibmi"),
            (OptionVector::Ov1, "0xff", "\"0xff\""),
            (OptionVector::Ov1, "123", "\"123\""),
            (OptionVector::Ov1, "", "1 to 256 bytes, not 0"),
            (OptionVector::Ov1, &long, "1 to 256 bytes, not 257"),
        ] {
            let problem = parse(which, text).expect_err(text);
            assert!(problem.contains(says), "{text:?}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), edits in "[-+][-+,a-z0-9.]{0,20}") {
            for &which in OptionVector::ALL {
                let _ = (Override::parse(which, &text), Override::parse(which, &edits));
            }
        }

        #[test]
        fn bytes_are_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            match Override::parse(OptionVector::Ov2, &text) {
                Ok(wish) => prop_assert_eq!(wish, Override::Bytes(BitVector::new(bytes).expect("a right length"))),
                Err(misfit) => {
                    prop_assert!(!(1..=256).contains(&bytes.len()));
                    prop_assert!(matches!(misfit, Misfit::Length(_)));
                }
            }
        }
    }
}
