//! The processors that the client knows: pairs of a mask and a processor version.
//!
//! A *raw* version is that of a chip, with the revision masked out; a *logical* one stands for an architecture level.
//! QEMU takes the best logical version of the list that the processor can do, and runs raw only when there is none.
//! The list ends at the first pair whose value has bits outside its mask.
//!
//! Ref: LoPAR B.6.2.3 (PVR-list)
//! Ref: QEMU hw/ppc/spapr_hcall.c (cas_check_pvr)

use super::overrides::Misfit;
use alloc::vec::Vec;
use core::fmt;

/// One pair of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PvrEntry {
    /// The bits of the processor version register that count.
    pub mask: u32,
    /// What they are to be.
    pub value: u32,
}

impl PvrEntry {
    /// A chip, in whichever revision.
    const fn raw(version: u16) -> Self {
        Self { mask: 0xffff_0000, value: (version as u32) << 16 }
    }

    /// An architecture level.
    const fn logical(value: u32) -> Self {
        Self { mask: 0xffff_ffff, value }
    }

    /// POWER8.
    pub const POWER8: Self = Self::raw(0x4d);
    /// POWER8E.
    pub const POWER8E: Self = Self::raw(0x4b);
    /// POWER8NVL.
    pub const POWER8NVL: Self = Self::raw(0x4c);
    /// POWER9.
    pub const POWER9: Self = Self::raw(0x4e);
    /// POWER10.
    pub const POWER10: Self = Self::raw(0x80);
    /// POWER11.
    pub const POWER11: Self = Self::raw(0x82);
    /// Architecture 2.05.
    pub const ISA_2_05: Self = Self::logical(0x0f00_0002);
    /// Architecture 2.06.
    pub const ISA_2_06: Self = Self::logical(0x0f00_0003);
    /// Architecture 2.06 as on POWER7+.
    pub const ISA_2_06_PLUS: Self = Self::logical(0x0f10_0003);
    /// Architecture 2.07.
    pub const ISA_2_07: Self = Self::logical(0x0f00_0004);
    /// Architecture 3.00.
    pub const ISA_3_00: Self = Self::logical(0x0f00_0005);
    /// Architecture 3.1.
    pub const ISA_3_1: Self = Self::logical(0x0f00_0006);
    /// Architecture 3.1 as on POWER11.
    pub const ISA_3_1_POWER11: Self = Self::logical(0x0f00_0007);
    /// The end of a list. The specification lets it match every processor; QEMU lets it match none.
    pub const END: Self = Self { mask: 0, value: 0xffff_ffff };

    /// What the entries are called in boot arguments.
    pub const NAMED: &'static [(&'static str, Self)] = &[
        ("power8", Self::POWER8),
        ("power8e", Self::POWER8E),
        ("power8nvl", Self::POWER8NVL),
        ("power9", Self::POWER9),
        ("power10", Self::POWER10),
        ("power11", Self::POWER11),
        ("2.05", Self::ISA_2_05),
        ("2.06", Self::ISA_2_06),
        ("2.06+", Self::ISA_2_06_PLUS),
        ("2.07", Self::ISA_2_07),
        ("3.00", Self::ISA_3_00),
        ("3.1", Self::ISA_3_1),
        ("3.1-power11", Self::ISA_3_1_POWER11),
        ("end", Self::END),
    ];

    /// Whether a processor with this version register is meant.
    pub const fn matches(self, pvr: u32) -> bool {
        (pvr & self.mask) == (self.value & self.mask)
    }

    /// Whether the list ends with this pair.
    pub const fn ends_list(self) -> bool {
        !self.mask & self.value != 0
    }

    /// Bytes of one pair.
    pub const BYTES: usize = 8;

    /// Two cells, the mask first.
    pub fn encode(self) -> [u8; Self::BYTES] {
        ((u64::from(self.mask) << 32) | u64::from(self.value)).to_be_bytes()
    }

    /// A name of [`PvrEntry::NAMED`], `mask/value`, or a value alone, which is matched in all its bits; hexadecimal,
    /// with or without `0x`.
    fn parse(word: &str) -> Option<Self> {
        if let Some((_, entry)) = Self::NAMED.iter().find(|(name, _)| *name == word) {
            return Some(*entry);
        }
        match word.split_once('/') {
            Some((mask, value)) => Some(Self { mask: parse_cell(mask)?, value: parse_cell(value)? }),
            None => parse_cell(word).map(Self::logical),
        }
    }
}

impl fmt::Display for PvrEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}/{:08x}", self.mask, self.value)
    }
}

/// Up to eight hexadecimal digits.
fn parse_cell(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // `from_str_radix` takes a sign, too.
    let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Reads a list as `pvr=` takes it: names and `mask/value` pairs between commas. An entry that ends the list may only
/// stand last, as the firmware would take what follows for option vectors.
///
/// # Errors
/// When an entry is neither, or comes after the end of the list.
pub fn parse_list(text: &str) -> Result<Vec<PvrEntry>, Misfit<'_>> {
    let mut list: Vec<PvrEntry> = Vec::new();
    for word in text.split(',') {
        if list.last().is_some_and(|last| last.ends_list()) {
            return Err(Misfit::AfterEnd(word));
        }
        list.push(PvrEntry::parse(word).ok_or(Misfit::Pvr(word))?);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::{Misfit, PvrEntry, parse_list};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn the_known_versions_are_frozen() {
        let values = PvrEntry::NAMED.iter().map(|(name, entry)| format!("{name} {entry}"));
        let frozen = [
            "power8 ffff0000/004d0000",
            "power8e ffff0000/004b0000",
            "power8nvl ffff0000/004c0000",
            "power9 ffff0000/004e0000",
            "power10 ffff0000/00800000",
            "power11 ffff0000/00820000",
            "2.05 ffffffff/0f000002",
            "2.06 ffffffff/0f000003",
            "2.06+ ffffffff/0f100003",
            "2.07 ffffffff/0f000004",
            "3.00 ffffffff/0f000005",
            "3.1 ffffffff/0f000006",
            "3.1-power11 ffffffff/0f000007",
            "end 00000000/ffffffff",
        ];
        assert_eq!(values.collect::<Vec<_>>(), frozen);
    }

    #[test]
    fn only_an_entry_with_bits_outside_its_mask_ends_a_list() {
        let ends: Vec<_> = PvrEntry::NAMED.iter().filter(|(_, entry)| entry.ends_list()).collect();
        assert_eq!(ends, [&("end", PvrEntry::END)]);
        assert!(PvrEntry { mask: 0xff00_0000, value: 0x0fff_ffff }.ends_list());
        assert!(!PvrEntry { mask: 0, value: 0 }.ends_list());
    }

    #[test]
    fn a_list_takes_names_pairs_and_values() {
        let list = parse_list("power9,0xffff0000/0x800000,f000005").expect("well formed");
        assert_eq!(list, [PvrEntry::POWER9, PvrEntry::POWER10, PvrEntry::ISA_3_00]);
        assert_eq!(parse_list("end"), Ok(vec![PvrEntry::END]));
        assert_eq!(parse_list("0xff000000/0xfffffff").map(|list| list.len()), Ok(1));
    }

    #[test]
    fn a_malformed_list_names_the_entry() {
        for (text, word) in [
            ("", ""),
            ("power9,", ""),
            ("power9,power12", "power12"),
            ("0x", "0x"),
            ("+1", "+1"),
            ("ffffffff/+1", "ffffffff/+1"),
            ("1/2/3", "1/2/3"),
            ("123456789", "123456789"),
            ("/", "/"),
        ] {
            assert_eq!(parse_list(text), Err(Misfit::Pvr(word)), "{text:?}");
        }
        assert_eq!(parse_list("end,power9"), Err(Misfit::AfterEnd("power9")));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(mask in any::<u32>(), value in any::<u32>()) {
            let entry = PvrEntry { mask, value };
            let text = entry.to_string();
            prop_assert_eq!(parse_list(&text), Ok(vec![entry]));
            prop_assert_eq!(&entry.encode()[..4], mask.to_be_bytes());
            prop_assert_eq!(&entry.encode()[4..], value.to_be_bytes());
        }

        #[test]
        fn an_entry_matches_the_bits_of_its_mask(mask in any::<u32>(), pvr in any::<u32>(), bit in 0_u32..32) {
            let entry = PvrEntry { mask, value: pvr };
            prop_assert!(entry.matches(pvr));
            prop_assert_eq!(entry.matches(pvr ^ (1 << bit)), mask & (1 << bit) == 0);
        }
    }
}
