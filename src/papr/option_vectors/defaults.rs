//! The vectors that this guest asks with when nobody tells it otherwise.
//!
//! They follow Linux in form and claim less: only what the guest handles, and what decides how hotplug works. Two
//! rules keep QEMU alive. The "either" values of the interrupt mode and of the translation make it exit, so the guest
//! chooses. A guest that lists 2.07 on a POWER10 machine that is limited to it makes QEMU 10 and later abort, so 2.07
//! is only listed on POWER8, which knows nothing newer.
//!
//! Ref: QEMU hw/ppc/spapr_hcall.c (do_client_architecture_support)

use super::{BitVector, OptionVector, OptionVectors, PvrEntry, VectorOption};
use alloc::vec::Vec;

/// What the default vectors depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults<'a> {
    /// The processor version register of the real processor.
    pub pvr: u32,
    /// `ibm,arch-vec-5-platform-support` of `/chosen`: pairs of a byte of vector 5 and what the platform can do there.
    /// Empty where there is no such property: the platform is then older than radix.
    pub platform_support: &'a [u8],
}

/// The chips that know nothing newer than 2.07.
const POWER8: [PvrEntry; 3] = [PvrEntry::POWER8, PvrEntry::POWER8E, PvrEntry::POWER8NVL];
/// The other chips, oldest first.
const LATER: [PvrEntry; 3] = [PvrEntry::POWER9, PvrEntry::POWER10, PvrEntry::POWER11];
/// The architecture levels that are listed for every processor, best first.
const LEVELS: [PvrEntry; 2] = [PvrEntry::ISA_3_1, PvrEntry::ISA_3_00];

/// Vector 1: all levels from 2.00 to 3.1.
const OV1: [u8; 3] = [0x00, 0xff, 0xc0];

/// Vector 2: Open Firmware in real mode, where and how large it likes.
#[rustfmt::skip]
const OV2: [u8; 33] = [
    0x20, 0, 0,             // real-mode, reserved
    0xff, 0xff, 0xff, 0xff, // real-base: the platform's choice
    0xff, 0xff, 0xff, 0xff, // real-size: the same
    0xff, 0xff, 0xff, 0xff, // virt-base: the same
    0xff, 0xff, 0xff, 0xff, // virt-size: the same
    0xff, 0xff, 0xff, 0xff, // load-base: the same
    0, 0, 0, 128,           // min-rma-size in MiB: the least that QEMU starts with
    0xff, 0xff, 0xff, 0xff, // min-load: all of the client
    0,                      // min-rma-percent
    48,                     // max-pft-size: 2^48 bytes, as Linux says
];

/// Vector 3: floating point, vectors, decimal floating point.
const OV3: [u8; 2] = [0x00, 0xe0];

/// Vector 4: content with one percent of a processor.
const OV4: [u8; 2] = [0x00, 0x01];

/// The last byte of vector 5 that has a meaning to QEMU.
const OV5_LENGTH: usize = 26;
/// Where the number of processors stands in vector 5: bytes 9 to 12.
const OV5_MAX_CPUS: core::ops::Range<usize> = 8..12;
/// How many `cpu` nodes the guest can read. The field is there once the vector reaches so far, so it must not be 0.
const MAX_CPUS: u32 = 2048;
/// What is asked for on every machine.
const OV5: [VectorOption; 10] = [
    VectorOption::LPAR,
    VectorOption::SPLPAR,
    VectorOption::DRCONF_MEMORY,
    VectorOption::LARGE_PAGES,
    VectorOption::DONATE_DEDICATED,
    VectorOption::MSI,
    VectorOption::FORM1,
    VectorOption::HP_EVT,
    VectorOption::HPT_RESIZE,
    VectorOption::DRMEM_V2,
];

/// What a platform says of its interrupt controllers that has XIVE and nothing else; 0 is XICS alone, 2 either.
const XIVE_ALONE: u8 = 1;

/// Vector 6: Linux, as the guest acts as Linux does.
const OV6: [u8; 3] = [0, 0, 2];

impl Defaults<'_> {
    /// The vectors for this machine.
    pub fn vectors(&self) -> OptionVectors {
        let vectors = [OV1.into(), OV2.into(), OV3.into(), OV4.into(), self.ov5(), OV6.into()];
        OptionVectors { pvrs: self.pvrs(), vectors: vectors.map(Some) }
    }

    fn pvrs(&self) -> Vec<PvrEntry> {
        let is_power8 = POWER8.iter().any(|chip| chip.matches(self.pvr));
        let oldest = is_power8.then_some(PvrEntry::ISA_2_07);
        POWER8.into_iter().chain(LATER).chain(LEVELS).chain(oldest).collect()
    }

    fn ov5(&self) -> BitVector {
        let mut bytes = [0; OV5_LENGTH];
        bytes[OV5_MAX_CPUS].copy_from_slice(&MAX_CPUS.to_be_bytes());
        let mut vector = BitVector::from(bytes);
        for option in OV5 {
            vector.set(option, 1);
        }
        // Both controllers would do; XICS is there on every machine but one that has XIVE alone.
        if self.supported(VectorOption::XIVE) == XIVE_ALONE {
            vector.set(VectorOption::XIVE, 1);
        }
        // Not 0 is "radix", "either", or "either, and later the other".
        if self.supported(VectorOption::RADIX) != 0 {
            vector.set(VectorOption::RADIX, 1);
            vector.set(VectorOption::RADIX_GTSE, self.supported(VectorOption::RADIX_GTSE));
        }
        vector
    }

    /// What the platform can do for an option of vector 5; 0 where it does not say.
    fn supported(&self, option: VectorOption) -> u8 {
        debug_assert_eq!(option.vector, OptionVector::Ov5);
        let pair = self.platform_support.chunks_exact(2).find(|pair| pair.first() == Some(&option.byte));
        pair.and_then(|pair| pair.get(1)).map_or(0, |value| (value & option.mask()) >> option.shift())
    }
}

#[cfg(test)]
mod tests {
    use super::{Defaults, OptionVector, PvrEntry, VectorOption};
    use proptest::prelude::{any, prop_assert, proptest};

    fn asks(platform_support: &[u8]) -> [u8; 3] {
        let vectors = Defaults { pvr: 0x004e_1202, platform_support }.vectors();
        let ov5 = vectors.vector(OptionVector::Ov5).expect("is there");
        [VectorOption::XIVE, VectorOption::RADIX, VectorOption::RADIX_GTSE].map(|option| ov5.get(option))
    }

    #[test]
    fn what_is_asked_for_is_what_the_platform_can_do() {
        assert_eq!(
            asks(&[0x17, 0x80, 0x18, 0xc0, 0x19, 0x00, 0x1a, 0x40]),
            [0, 1, 1],
            "TCG, with both controllers"
        );
        assert_eq!(asks(&[0x18, 0x80, 0x1a, 0x40]), [0, 1, 1], "KVM with both");
        assert_eq!(asks(&[0x18, 0x40, 0x1a, 0x40]), [0, 1, 1], "radix only");
        assert_eq!(asks(&[0x18, 0x40, 0x1a, 0x00]), [0, 1, 0], "radix without GTSE");
        assert_eq!(asks(&[0x17, 0x00, 0x18, 0x00, 0x19, 0x00, 0x1a, 0x40]), [0, 0, 0], "hash only");
        assert_eq!(asks(&[0x17, 0x40, 0x18, 0xc0, 0x1a, 0x40]), [1, 1, 1], "XIVE only");
        assert_eq!(asks(&[]), [0, 0, 0], "no such property");
        assert_eq!(asks(&[0x18]), [0, 0, 0], "half a pair");
    }

    #[test]
    fn the_2_07_level_is_listed_on_power8_only() {
        let lists =
            |pvr| Defaults { pvr, platform_support: &[] }.vectors().pvrs().contains(&PvrEntry::ISA_2_07);
        for power8 in [0x004b_0201, 0x004c_0100, 0x004d_0200] {
            assert!(lists(power8), "{power8:#x}");
        }
        for other in [0x003f_0201, 0x004e_1202, 0x0080_0200, 0x0082_0200, 0, u32::MAX] {
            assert!(!lists(other), "{other:#x}");
        }
    }

    proptest! {
        #[test]
        fn no_machine_makes_the_guest_ask_for_either(pvr in any::<u32>(), platform_support in any::<Vec<u8>>()) {
            let vectors = Defaults { pvr, platform_support: &platform_support }.vectors();
            let ov5 = vectors.vector(OptionVector::Ov5).expect("is there");
            prop_assert!(ov5.get(VectorOption::XIVE) <= 1);
            prop_assert!(ov5.get(VectorOption::RADIX) <= 1);
            prop_assert!(vectors.pvrs().iter().all(|entry| !entry.ends_list()));
        }
    }
}
