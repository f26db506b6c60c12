//! The named options of the six vectors: each number of the specification in one place.
//!
//! An option is one bit, or a few bits of one byte that are one value. Fields of several bytes (the addresses of
//! vector 2, the number of processors) have no name here: no boot argument edits them, and QEMU reads none.
//!
//! Bytes 23 to 26 of vector 5 are newer than the public edition, which has them as reserved.
//!
//! Ref: LoPAR B.6.2.3 (ibm,architecture.vec option vectors)
//! Ref: QEMU include/hw/ppc/spapr_ovec.h (vector 5, bytes 5 and 23 to 26)

use super::bits::BitVector;
use crate::word_enum;

word_enum! {
    /// One of the six option vectors.
    pub enum OptionVector {
        /// Processor architecture levels.
        Ov1 = "ov1",
        /// Open Firmware.
        Ov2 = "ov2",
        /// Processor facilities.
        Ov3 = "ov3",
        /// Platform implementation.
        Ov4 = "ov4",
        /// Platform options: the one that is answered, in `ibm,architecture-vec-5`.
        Ov5 = "ov5",
        /// Hints: who the client is.
        Ov6 = "ov6",
    }
}

/// Some bits of an option vector that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorOption {
    /// The vector that it is of.
    pub vector: OptionVector,
    /// The byte, from 1 after the length byte.
    pub byte: u8,
    /// The first bit, from 0 for the most significant one.
    pub bit: u8,
    /// How many bits there are, from 1 to 8 - `bit`.
    pub width: u8,
    /// What it is called in boot arguments and in the log.
    pub name: &'static str,
}

impl VectorOption {
    const fn bit(vector: OptionVector, byte: u8, bit: u8, name: &'static str) -> Self {
        Self::bits(vector, byte, bit, 1, name)
    }

    const fn bits(vector: OptionVector, byte: u8, bit: u8, width: u8, name: &'static str) -> Self {
        assert!(byte >= 1 && width >= 1 && bit + width <= 8, "the specification has no such bits");
        Self { vector, byte, bit, width, name }
    }

    /// How many bytes come before its own.
    pub(super) const fn place(self) -> usize {
        self.byte as usize - 1
    }

    /// How far its value stands from the right of the byte.
    pub(super) const fn shift(self) -> u8 {
        8 - self.bit - self.width
    }

    /// Its bits within the byte.
    pub(super) const fn mask(self) -> u8 {
        (0xff >> self.bit) & (0xff << self.shift())
    }

    /// All options of one vector, in the order of the specification.
    pub fn of(vector: OptionVector) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |option| option.vector == vector)
    }

    /// The option of `vector` that is called `name`.
    pub fn find(vector: OptionVector, name: &str) -> Option<Self> {
        Self::of(vector).find(|option| option.name == name)
    }
}

macro_rules! options {
    ($( $(#[$meta:meta])* $item:ident = $make:ident($vector:ident, $($number:literal),+ ; $name:literal), )*) => {
        impl VectorOption {
            $( $(#[$meta])* pub const $item: Self = Self::$make(OptionVector::$vector, $($number),+, $name); )*

            /// All of them, in the order of the specification.
            pub const ALL: &'static [Self] = &[$( Self::$item, )*];
        }
    };
}

options! {
    /// The platform may ignore this vector and give its best.
    OV1_IGNORE = bit(Ov1, 1, 0; "ignore"),
    /// Halt rather than run with something unknown.
    OV1_HALT = bit(Ov1, 1, 1; "halt"),
    /// Architecture 2.00.
    ISA_2_00 = bit(Ov1, 2, 0; "2.00"),
    /// Architecture 2.01.
    ISA_2_01 = bit(Ov1, 2, 1; "2.01"),
    /// Architecture 2.02.
    ISA_2_02 = bit(Ov1, 2, 2; "2.02"),
    /// Architecture 2.03.
    ISA_2_03 = bit(Ov1, 2, 3; "2.03"),
    /// Architecture 2.04.
    ISA_2_04 = bit(Ov1, 2, 4; "2.04"),
    /// Architecture 2.05.
    ISA_2_05 = bit(Ov1, 2, 5; "2.05"),
    /// Architecture 2.06.
    ISA_2_06 = bit(Ov1, 2, 6; "2.06"),
    /// Architecture 2.07.
    ISA_2_07 = bit(Ov1, 2, 7; "2.07"),
    /// Architecture 3.00, which the public edition still calls 2.08. QEMU takes radix out of `ibm,pa-features`
    /// without it.
    ISA_3_00 = bit(Ov1, 3, 0; "3.00"),
    /// Architecture 3.1.
    ISA_3_1 = bit(Ov1, 3, 1; "3.1"),

    /// The platform may ignore this vector.
    OV2_IGNORE = bit(Ov2, 1, 0; "ignore"),
    /// The client wants Open Firmware in real mode.
    REAL_MODE = bit(Ov2, 1, 2; "real-mode"),
    /// The least size of the real mode area, in percent of the memory.
    MIN_RMA_PERCENT = bits(Ov2, 32, 0, 8; "min-rma-percent"),
    /// The most that the hash page table may have, as the power of two of its bytes.
    MAX_PFT_SIZE = bits(Ov2, 33, 0, 8; "max-pft-size"),

    /// The platform may ignore this vector and give its best.
    OV3_IGNORE = bit(Ov3, 1, 0; "ignore"),
    /// Halt rather than run with something unknown.
    OV3_HALT = bit(Ov3, 1, 1; "halt"),
    /// Floating point.
    FP = bit(Ov3, 2, 0; "fp"),
    /// Vectors (AltiVec).
    VMX = bit(Ov3, 2, 1; "vmx"),
    /// Decimal floating point.
    DFP = bit(Ov3, 2, 2; "dfp"),
    /// The decimal floating point facility with its level in `ibm,dfp`.
    DFP_FACILITY = bit(Ov3, 2, 3; "dfp-facility"),

    /// Halt rather than run with something unknown.
    OV4_HALT = bit(Ov4, 1, 1; "halt"),
    /// `ibm,change-msi` may say that it is busy.
    CHANGE_MSI_BUSY = bit(Ov4, 1, 2; "change-msi-busy"),
    /// The least entitled capacity of a virtual processor, in percent.
    MIN_VP_CAPACITY = bits(Ov4, 2, 0, 8; "min-vp-capacity"),

    /// The platform may ignore this vector and give its best.
    OV5_IGNORE = bit(Ov5, 1, 0; "ignore"),
    /// Halt rather than run with something unknown.
    OV5_HALT = bit(Ov5, 1, 1; "halt"),
    /// `ibm,query-pe-dma-window` may count in 64 bits.
    PE_TCE_64 = bit(Ov5, 1, 2; "pe-tce-64"),
    /// Logical partitioning and its hypervisor calls.
    LPAR = bit(Ov5, 2, 0; "lpar"),
    /// Shared processors.
    SPLPAR = bit(Ov5, 2, 1; "splpar"),
    /// `/ibm,dynamic-reconfiguration-memory` instead of a node for each piece of memory.
    DRCONF_MEMORY = bit(Ov5, 2, 2; "drconf-memory"),
    /// Pages larger than 4 KiB.
    LARGE_PAGES = bit(Ov5, 2, 3; "large-pages"),
    /// The first partition of a machine without a management console.
    ALPHA = bit(Ov5, 2, 4; "alpha"),
    /// `H_MIGRATE_DMA` may take long.
    SLOW_MIGRATE_DMA = bit(Ov5, 2, 5; "slow-migrate-dma"),
    /// The client gives away cycles of dedicated processors.
    DONATE_DEDICATED = bit(Ov5, 2, 6; "donate-dedicated"),
    /// PCI Express with message signalled interrupts.
    MSI = bit(Ov5, 2, 7; "msi"),
    /// I/O pages larger than 4 KiB.
    IO_SUPER_PAGE = bit(Ov5, 3, 0; "io-super-page"),
    /// Cooperative memory over-commitment.
    CMO = bit(Ov5, 4, 0; "cmo"),
    /// Its extension: page coalescing.
    XCMO = bit(Ov5, 4, 1; "xcmo"),
    /// `ibm,associativity` in form 1.
    FORM1 = bit(Ov5, 5, 0; "form1"),
    /// Platform resource reassignment notification.
    PRRN = bit(Ov5, 5, 1; "prrn"),
    /// `ibm,associativity` in form 2, with distances in tables of `/rtas`. Wins over form 1.
    FORM2 = bit(Ov5, 5, 2; "form2"),
    /// The multi-TCE-table option.
    MTT = bit(Ov5, 6, 0; "mtt"),
    /// Active memory compression.
    MEMORY_COMPRESSION = bit(Ov5, 6, 2; "memory-compression"),
    /// The time base is to be synchronised with that of another partition.
    TIMEBASE_SYNC = bit(Ov5, 6, 3; "timebase-sync"),
    /// Hotplug events have a source and a class of their own.
    HP_EVT = bit(Ov5, 6, 5; "hp-evt"),
    /// Several hotplug slots below one PCI host bridge.
    PHB_SLOTS = bit(Ov5, 6, 6; "phb-slots"),
    /// The hash page table can change its size.
    HPT_RESIZE = bit(Ov5, 6, 7; "hpt-resize"),
    /// Virtual functions have dynamic DMA windows.
    VF_DDW = bit(Ov5, 8, 0; "vf-ddw"),
    /// Platform facilities: random numbers.
    PFO_RNG = bit(Ov5, 17, 0; "pfo-rng"),
    /// Platform facilities: compression.
    PFO_842 = bit(Ov5, 17, 1; "pfo-842"),
    /// Platform facilities: encryption.
    PFO_ENCRYPTION = bit(Ov5, 17, 2; "pfo-encryption"),
    /// Sub-processors: 0 none, 1 one, two or four.
    SUB_PROCESSORS = bits(Ov5, 21, 0, 8; "sub-processors"),
    /// `ibm,dynamic-memory-v2` instead of `ibm,dynamic-memory`.
    DRMEM_V2 = bit(Ov5, 22, 0; "drmem-v2"),
    /// `ibm,drc-info` instead of four lists of connectors.
    DRC_INFO = bit(Ov5, 22, 1; "drc-info"),
    /// The interrupt controller: 0 XICS, 1 XIVE; 2 is the platform's "either", and no client may ask for it.
    XIVE = bits(Ov5, 23, 0, 2; "xive"),
    /// Translation: 0 hash, 1 radix; 2 and 3 are the platform's "either", and no client may ask for them.
    RADIX = bits(Ov5, 24, 0, 2; "radix"),
    /// The nest has a memory management unit.
    NEST_MMU = bit(Ov5, 24, 2; "nest-mmu"),
    /// Hash: segment tables in memory.
    HASH_SEGMENT_TABLES = bit(Ov5, 25, 0; "hash-segment-tables"),
    /// Hash: the guest invalidates translations itself.
    HASH_GTSE = bit(Ov5, 25, 1; "hash-gtse"),
    /// Radix: the guest invalidates translations itself.
    RADIX_GTSE = bit(Ov5, 26, 1; "radix-gtse"),

    /// The client does not use secondary groups of page table entries.
    NO_SECONDARY_PTEG = bit(Ov6, 2, 0; "no-secondary-pteg"),
    /// The name of the client: [`super::Override::parse`] knows some.
    OS_NAME = bits(Ov6, 3, 0, 8; "os-name"),
}

/// One option, as it was asked for and as it was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The option.
    pub option: VectorOption,
    /// What the client asked for; 0 where it left the vector out.
    pub asked: u8,
    /// What it got; 0 where the platform did not answer.
    pub granted: u8,
}

/// All options of vector 5 with what was asked and what was granted; most are 0 on both sides.
pub fn compare(asked: Option<&BitVector>, granted: Option<&BitVector>) -> impl Iterator<Item = Negotiated> {
    let read = |vector: Option<&BitVector>, option| vector.map_or(0, |vector| vector.get(option));
    VectorOption::of(OptionVector::Ov5).map(move |option| Negotiated {
        option,
        asked: read(asked, option),
        granted: read(granted, option),
    })
}

#[cfg(test)]
mod tests {
    use super::{BitVector, OptionVector, VectorOption, compare};

    #[test]
    fn the_places_of_the_options_that_qemu_reads_are_frozen() {
        let places = [
            ("drconf-memory", 2, 0x20),
            ("form1", 5, 0x80),
            ("form2", 5, 0x20),
            ("hp-evt", 6, 0x04),
            ("hpt-resize", 6, 0x01),
            ("drmem-v2", 22, 0x80),
            ("drc-info", 22, 0x40),
            ("xive", 23, 0xc0),
            ("radix", 24, 0xc0),
            ("radix-gtse", 26, 0x40),
        ];
        for (name, byte, mask) in places {
            let option = VectorOption::find(OptionVector::Ov5, name).expect(name);
            assert_eq!((option.byte, option.mask()), (byte, mask), "{name}");
        }
        assert_eq!((VectorOption::ISA_3_00.byte, VectorOption::ISA_3_00.mask()), (3, 0x80));
        assert_eq!((VectorOption::OS_NAME.byte, VectorOption::OS_NAME.mask()), (3, 0xff));
    }

    #[test]
    fn no_two_options_of_a_vector_share_a_name_or_a_bit() {
        for &vector in OptionVector::ALL {
            let options: Vec<_> = VectorOption::of(vector).collect();
            assert!(!options.is_empty());
            for (place, one) in options.iter().enumerate() {
                for other in &options[..place] {
                    assert_ne!(one.name, other.name);
                    assert!(one.byte != other.byte || one.mask() & other.mask() == 0, "{one:?} {other:?}");
                    assert!((other.byte, other.bit) < (one.byte, one.bit), "{one:?} is out of order");
                }
            }
        }
    }

    #[test]
    fn what_was_not_granted_shows() {
        let mut asked = BitVector::default();
        asked.set(VectorOption::HP_EVT, 1);
        asked.set(VectorOption::RADIX, 1);
        let mut granted = BitVector::default();
        granted.set(VectorOption::RADIX, 1);
        granted.set(VectorOption::XIVE, 1);
        let odd: Vec<_> = compare(Some(&asked), Some(&granted))
            .filter(|one| one.asked != one.granted)
            .map(|one| (one.option.name, one.asked, one.granted))
            .collect();
        assert_eq!(odd, [("hp-evt", 1, 0), ("xive", 0, 1)]);
        assert_eq!(compare(Some(&asked), None).filter(|one| one.granted != 0).count(), 0);
        assert_eq!(compare(None, None).count(), VectorOption::of(OptionVector::Ov5).count());
    }
}
