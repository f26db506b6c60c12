//! PCI as a guest of PAPR sees it: addresses, configuration registers, base address registers, capabilities.
//!
//! Configuration space is read and written through RTAS, which hands out numbers and not bytes, so nothing here is
//! turned around. What lies behind a base address register is little-endian.
//!
//! Ref: PCI Local Bus 3.0 6.1 (configuration space), 6.2.5 (base addresses), 6.7 (capabilities); LoPAR 7.3.5

use core::fmt;

/// How many bytes an access has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte,
    /// Two bytes.
    Half,
    /// Four bytes.
    Word,
}

impl Width {
    /// Bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }

    /// The number whose bits are all set: what nobody answers.
    pub const fn ones(self) -> u32 {
        u32::MAX >> (32 - 8 * self.bytes())
    }

    /// A number of this width as it lies in little-endian memory, or back.
    pub const fn swap(self, value: u32) -> u32 {
        value.swap_bytes() >> (32 - 8 * self.bytes())
    }
}

/// Where a function is on the buses of its host bridge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(u16);

/// Devices of a bus.
pub const DEVICES: u8 = 32;
/// Functions of a device.
pub const FUNCTIONS: u8 = 8;

impl Address {
    /// The function of this bus, device (below [`DEVICES`]) and number (below [`FUNCTIONS`]).
    pub const fn new(bus: u8, device: u8, function: u8) -> Option<Self> {
        if device < DEVICES && function < FUNCTIONS {
            Some(Self((bus as u16) << 8 | (device as u16) << 3 | function as u16))
        } else {
            None
        }
    }

    /// The function that the first cell of a `reg` property means.
    ///
    /// Ref: IEEE 1275 PCI binding 2.1 2.2.1.1 (phys.hi)
    pub const fn from_reg(cell: u32) -> Self {
        Self((cell >> 8) as u16)
    }

    /// The bus.
    pub const fn bus(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The device on its bus.
    pub const fn device(self) -> u8 {
        (self.0 >> 3) as u8 & (DEVICES - 1)
    }

    /// The function of its device.
    pub const fn function(self) -> u8 {
        self.0 as u8 & (FUNCTIONS - 1)
    }

    /// The address of a register, as RTAS wants it: bits 8 to 11 of the register are at the top.
    ///
    /// Ref: LoPAR 7.3.5 (config_addr)
    pub const fn cell(self, register: u16) -> u32 {
        let register = register as u32;
        (register & 0xf00) << 20 | (self.0 as u32) << 8 | register & 0xff
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{:x}", self.bus(), self.device(), self.function())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Registers of configuration space, by their offset.
///
/// Ref: PCI Local Bus 3.0 6.1 (Figure 6-1), PCI-to-PCI Bridge 1.2 3.2
pub mod register {
    /// Vendor, two bytes; the device follows in the upper half of the word.
    pub const ID: u16 = 0x00;
    /// The command register, two bytes.
    pub const COMMAND: u16 = 0x04;
    /// The status register, two bytes.
    pub const STATUS: u16 = 0x06;
    /// Revision in the lowest byte, class code in the other three.
    pub const CLASS: u16 = 0x08;
    /// Header type, a byte; its top bit says that there are more functions.
    pub const HEADER_TYPE: u16 = 0x0e;
    /// The first base address register.
    pub const BAR0: u16 = 0x10;
    /// The subsystem's vendor, and its number in the upper half of the word.
    pub const SUBSYSTEM: u16 = 0x2c;
    /// Where the first capability is, a byte.
    pub const CAPABILITIES: u16 = 0x34;
    /// Of a bridge: the bus that it is on, a byte.
    pub const PRIMARY: u16 = 0x18;
    /// Of a bridge: the bus behind it, a byte.
    pub const SECONDARY: u16 = 0x19;
    /// Of a bridge: the last bus behind it, a byte.
    pub const SUBORDINATE: u16 = 0x1a;
    /// Of a bridge: the memory that it forwards, bits 20 and up of base and limit in the two halves of a word.
    pub const MEMORY_WINDOW: u16 = 0x20;
    /// Of a bridge: the prefetchable memory that it forwards, in the same form.
    pub const PREFETCHABLE_WINDOW: u16 = 0x24;
    /// Of a bridge: the upper word of the base of the prefetchable window.
    pub const PREFETCHABLE_BASE_UPPER: u16 = 0x28;
    /// Of a bridge: the upper word of the limit of the prefetchable window.
    pub const PREFETCHABLE_LIMIT_UPPER: u16 = 0x2c;
}

/// Bits of the command register.
///
/// Ref: PCI Local Bus 3.0 6.2.2
pub mod command {
    /// Answers in I/O space.
    pub const IO: u16 = 1;
    /// Answers in memory space.
    pub const MEMORY: u16 = 2;
    /// May access memory by itself.
    pub const MASTER: u16 = 4;
}

/// The bit of the status register that says that there are capabilities.
pub const STATUS_CAPABILITIES: u32 = 0x10;
/// The bits of the header type without the one for more functions.
pub const HEADER_LAYOUT: u32 = 0x7f;
/// The bit of the header type that says that there are more functions than function 0.
pub const HEADER_MULTIFUNCTION: u32 = 0x80;
/// The header of a bridge to another PCI bus.
pub const HEADER_BRIDGE: u32 = 1;

/// How many base address registers a header of this layout has.
pub const fn bars_of(layout: u32) -> u8 {
    match layout {
        0 => 6,
        HEADER_BRIDGE => 2,
        _ => 0,
    }
}

/// The space that something is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// I/O space.
    Io,
    /// Memory with addresses of 32 bits.
    Memory32,
    /// Memory with addresses of 64 bits.
    Memory64,
}

impl Space {
    /// As it stands in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Memory32 => "memory32",
            Self::Memory64 => "memory64",
        }
    }

    /// The space that the first cell of an address in the tree means; `None` for configuration space.
    ///
    /// Ref: IEEE 1275 PCI binding 2.1 2.2.1.1 (phys.hi)
    pub const fn from_reg(cell: u32) -> Option<Self> {
        match cell >> 24 & 3 {
            1 => Some(Self::Io),
            2 => Some(Self::Memory32),
            3 => Some(Self::Memory64),
            _ => None,
        }
    }

    /// The bits of a base address register that are no address.
    const fn flags(self) -> u64 {
        match self {
            Self::Io => 0x3,
            Self::Memory32 | Self::Memory64 => 0xf,
        }
    }
}

/// What a base address register is for: what it says when it is read back after all ones were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Which register, counted from 0.
    pub index: u8,
    /// Where it wants to be.
    pub space: Space,
    /// Whether reading has no side effects.
    pub prefetchable: bool,
    /// Bytes, a power of two.
    pub size: u64,
}

impl Bar {
    /// The space that the content of a register asks for; the second says whether reading has no side effects.
    pub const fn space_of(content: u32) -> (Space, bool) {
        match (content & 1, content >> 1 & 3) {
            (1, _) => (Space::Io, false),
            (_, 2) => (Space::Memory64, content & 8 != 0),
            _ => (Space::Memory32, content & 8 != 0),
        }
    }

    /// What the register at `index` is for: `low` is what it says after all ones were written, and `high` what the
    /// next one says, which belongs to it when it has 64 bits. `None` where there is no register.
    pub fn from_mask(index: u8, low: u32, high: u32) -> Option<Self> {
        let (space, prefetchable) = Self::space_of(low);
        let upper = match space {
            Space::Memory64 => high,
            _ => u32::MAX,
        };
        let mask = (u64::from(upper) << 32 | u64::from(low)) & !space.flags();
        // Only the lowest bit counts: an I/O register need not have the upper half of its bits.
        let size = mask & mask.wrapping_neg();
        let none = low & !(space.flags() as u32) == 0 && (space != Space::Memory64 || high == 0);
        (!none).then_some(Self { index, space, prefetchable, size })
    }

    /// The address that a register of this space holds.
    pub fn address_in(space: Space, low: u32, high: u32) -> u64 {
        let upper = if space == Space::Memory64 { high } else { 0 };
        (u64::from(upper) << 32 | u64::from(low)) & !space.flags()
    }

    /// The register's offset in configuration space.
    pub const fn register(self) -> u16 {
        register::BAR0 + 4 * self.index as u16
    }
}

/// The capability of a vendor's own: virtio's among others.
pub const CAPABILITY_VENDOR: u32 = 9;

#[cfg(test)]
mod tests {
    use super::{Address, Bar, Space, Width};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn the_cells_of_addresses_are_frozen() {
        let address = Address::new(0x12, 0x1f, 7).expect("in range");
        assert_eq!(address.cell(0x3c), 0x0012_ff3c);
        assert_eq!(address.cell(0xfa4), 0xf012_ffa4);
        assert_eq!(Address::from_reg(0x0000_0800), Address::new(0, 1, 0).expect("in range"));
        assert_eq!(Address::from_reg(0xb312_ff10), address);
        assert_eq!(address.to_string(), "12:1f.7");
        assert_eq!((Address::new(0, 32, 0), Address::new(0, 0, 8)), (None, None));
    }

    #[test]
    fn widths_swap_their_own_bytes() {
        assert_eq!(Width::Byte.swap(0x12), 0x12);
        assert_eq!(Width::Half.swap(0x1234), 0x3412);
        assert_eq!(Width::Word.swap(0x1234_5678), 0x7856_3412);
        assert_eq!([Width::Byte, Width::Half, Width::Word].map(Width::ones), [0xff, 0xffff, u32::MAX]);
    }

    #[test]
    fn registers_say_what_they_are_for() {
        let bar = |low, high| Bar::from_mask(4, low, high).map(|bar| (bar.space, bar.prefetchable, bar.size));
        // virtio's: 16 KiB of prefetchable memory with 64 bits.
        assert_eq!(bar(0xffff_c00c, 0xffff_ffff), Some((Space::Memory64, true, 0x4000)));
        // e1000's: 128 KiB of memory with 32 bits, and 64 bytes of I/O.
        assert_eq!(bar(0xfffe_0000, 7), Some((Space::Memory32, false, 0x2_0000)));
        assert_eq!(bar(0xffff_ffc1, 0), Some((Space::Io, false, 64)));
        assert_eq!(bar(0x0000_ffc1, 0), Some((Space::Io, false, 64)));
        // 8 TiB: the lower half has no address bits at all.
        assert_eq!(bar(0xc, 0xffff_f800), Some((Space::Memory64, true, 8 << 40)));
        assert_eq!((bar(0, 0xffff_ffff), bar(4, 0), bar(1, 0)), (None, None, None));
        assert_eq!(Bar::address_in(Space::Memory64, 0xc000_000c, 0x2100), 0x2100_c000_0000);
        assert_eq!(Bar::address_in(Space::Io, 0x1041, 0x2100), 0x1040);
    }

    #[test]
    fn spaces_of_the_tree() {
        let space = |cell| Space::from_reg(cell);
        assert_eq!(space(0x0100_0000), Some(Space::Io));
        assert_eq!(space(0x8200_0810), Some(Space::Memory32));
        assert_eq!(space(0x4300_0000), Some(Space::Memory64));
        assert_eq!(space(0x0000_0800), None);
    }

    proptest! {
        #[test]
        fn every_size_is_a_power_of_two(low in any::<u32>(), high in any::<u32>()) {
            if let Some(bar) = Bar::from_mask(0, low, high) {
                prop_assert!(bar.size.is_power_of_two());
            }
        }

        #[test]
        fn an_address_survives_its_cell(cell in 0_u32..0x0100_0000) {
            prop_assert_eq!(Address::from_reg(cell).cell((cell & 0xff) as u16), cell);
        }
    }
}
