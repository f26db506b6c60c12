//! Where base addresses go: windows of a bus, what is taken in them, and the first place that is free.
//!
//! Decisions only: nothing is read or written here.
//!
//! Ref: PCI Local Bus 3.0 6.2.5.1 (a base address is a multiple of its size)

use crate::papr::pci::{Address, Bar, Space};

/// A part of the processor's address space that leads to a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The space that it leads to.
    pub space: Space,
    /// Its first address on the bus.
    pub bus: u64,
    /// Its first real address.
    pub cpu: u64,
    /// Bytes.
    pub size: u64,
}

impl Window {
    /// The real address of `size` bytes at an address of the bus, where all of them lie in this window.
    pub fn real_address(&self, space: Space, bus: u64, size: u64) -> Option<u64> {
        let same_kind = (space == Space::Io) == (self.space == Space::Io);
        let offset = bus.checked_sub(self.bus)?;
        let inside = offset.checked_add(size).is_some_and(|end| end <= self.size);
        (same_kind && inside).then(|| self.cpu.checked_add(offset)).flatten()
    }
}

/// A range of addresses that a function answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Whose it is.
    pub owner: Address,
    /// Where it is.
    pub space: Space,
    /// Its first address on the bus.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

impl Span {
    fn end(&self) -> u64 {
        self.base.saturating_add(self.size)
    }

    /// Whether they have an address in common. Memory is one space, however wide its addresses are.
    pub fn collides(&self, other: &Self) -> bool {
        (self.space == Space::Io) == (other.space == Space::Io)
            && self.base < other.end()
            && other.base < self.end()
    }
}

/// Nothing is put below this address: 0 would mean that a register was not assigned.
const LOWEST: u64 = 0x1000;

/// The spaces that a register can be put into, the best first.
fn spaces(space: Space) -> &'static [Space] {
    match space {
        Space::Io => &[Space::Io],
        Space::Memory32 => &[Space::Memory32],
        Space::Memory64 => &[Space::Memory64, Space::Memory32],
    }
}

/// Whether a register of this space can hold the addresses. Its last one is not used where it has 32 bits.
///
/// Ref: QEMU hw/pci/pci.c (pci_bar_address)
fn reaches(space: Space, base: u64, size: u64) -> bool {
    match (base.checked_add(size - 1), space) {
        (Some(last), Space::Memory64) => last < u64::MAX,
        (Some(last), _) => last < u64::from(u32::MAX),
        (None, _) => false,
    }
}

/// The first place in `windows` for a register that collides with nothing in `taken`; `None` where there is none.
pub fn place(windows: &[Window], taken: &[Span], owner: Address, bar: &Bar) -> Option<u64> {
    if !bar.size.is_power_of_two() {
        return None;
    }
    let candidates = spaces(bar.space).iter();
    let mut windows =
        candidates.flat_map(|space| windows.iter().filter(move |window| window.space == *space));
    windows.find_map(|window| first_fit(window, taken, owner, bar))
}

fn first_fit(window: &Window, taken: &[Span], owner: Address, bar: &Bar) -> Option<u64> {
    let mut from = window.bus.max(LOWEST);
    loop {
        let base = from.checked_next_multiple_of(bar.size)?;
        let span = Span { owner, space: bar.space, base, size: bar.size };
        if !reaches(bar.space, base, bar.size) {
            return None;
        }
        window.real_address(bar.space, base, bar.size)?;
        // Each turn goes past the end of one that is taken, so this ends.
        match taken.iter().filter(|taken| taken.collides(&span)).map(Span::end).max() {
            Some(end) => from = end,
            None => return Some(base),
        }
    }
}

/// Whether a place that somebody else has chosen may be kept.
pub fn may_stay(windows: &[Window], taken: &[Span], span: &Span) -> bool {
    span.base != 0
        && span.base.is_multiple_of(span.size)
        && windows.iter().any(|window| window.real_address(span.space, span.base, span.size).is_some())
        && !taken.iter().any(|taken| taken.collides(span))
}

#[cfg(test)]
mod tests {
    use super::{Address, Bar, Space, Span, Window, may_stay, place};
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    const OWNER: Address = Address::from_reg(0);

    /// What QEMU gives to its first host bridge, made smaller so that it can be filled.
    fn windows(size: u64) -> [Window; 3] {
        [
            Window { space: Space::Io, bus: 0, cpu: 0x2000_0000_0000, size: 0x1_0000 },
            Window { space: Space::Memory32, bus: 0x8000_0000, cpu: 0x2000_8000_0000, size },
            Window { space: Space::Memory64, bus: 0x2100_0000_0000, cpu: 0x2100_0000_0000, size },
        ]
    }

    fn bar(space: Space, size: u64) -> Bar {
        Bar { index: 0, space, prefetchable: false, size }
    }

    #[test]
    fn each_space_has_its_window_and_memory_of_64_bits_has_two() {
        let windows = windows(0x1000);
        let put = |taken: &[Span], space, size| place(&windows, taken, OWNER, &bar(space, size));
        assert_eq!(put(&[], Space::Io, 0x20), Some(0x1000));
        assert_eq!(put(&[], Space::Memory32, 0x1000), Some(0x8000_0000));
        assert_eq!(put(&[], Space::Memory64, 0x1000), Some(0x2100_0000_0000));
        let full = Span { owner: OWNER, space: Space::Memory64, base: 0x2100_0000_0000, size: 1 };
        assert_eq!(put(&[full], Space::Memory64, 0x1000), Some(0x8000_0000));
        assert_eq!(put(&[full], Space::Memory64, 0x2000), None, "it is larger than every window");
        assert_eq!(put(&[full], Space::Memory64, 0), None);
    }

    #[test]
    fn the_last_address_of_32_bits_is_not_used() {
        let window = Window { space: Space::Memory32, bus: 0xffff_0000, cpu: 1 << 40, size: 0x1_0000 };
        assert_eq!(place(&[window], &[], OWNER, &bar(Space::Memory32, 0x1_0000)), None);
        assert_eq!(place(&[window], &[], OWNER, &bar(Space::Memory32, 0x8000)), Some(0xffff_0000));
    }

    #[test]
    fn what_the_firmware_chose_stays_unless_it_is_absurd() {
        let windows = windows(0x10_0000);
        let span = |space, base| Span { owner: OWNER, space, base, size: 0x1000 };
        let stays = |taken: &[Span], span| may_stay(&windows, taken, &span);
        assert!(stays(&[], span(Space::Memory32, 0x8000_1000)));
        assert!(stays(&[], span(Space::Memory64, 0x8000_1000)));
        assert!(!stays(&[], span(Space::Memory32, 0x8000_0800)), "it is not aligned");
        assert!(!stays(&[], span(Space::Memory32, 0x7000_0000)), "it lies in no window");
        assert!(!stays(&[], span(Space::Io, 0x8000_1000)), "it lies in no window for I/O");
        assert!(!stays(&[], span(Space::Io, 0)), "it is not assigned");
        assert!(!stays(&[span(Space::Memory64, 0x8000_1000)], span(Space::Memory32, 0x8000_1000)));
    }

    fn any_bar() -> impl Strategy<Value = Bar> {
        let space = prop_oneof![Just(Space::Io), Just(Space::Memory32), Just(Space::Memory64)];
        (space, 4_u32..20).prop_map(|(space, log)| bar(space, 1 << log))
    }

    proptest! {
        #[test]
        fn nothing_collides_and_everything_is_aligned_and_inside(
            bars in prop::collection::vec(any_bar(), 1..60),
            size in 0x1000_u64..0x40_0000,
        ) {
            let windows = windows(size);
            let mut taken: Vec<Span> = Vec::new();
            for bar in &bars {
                let Some(base) = place(&windows, &taken, OWNER, bar) else { continue };
                let span = Span { owner: OWNER, space: bar.space, base, size: bar.size };
                prop_assert!(may_stay(&windows, &taken, &span), "{:?} {:x?}", bar, span);
                taken.push(span);
            }
        }

        #[test]
        fn a_window_is_used_up_to_its_last_byte(log in 4_u32..16, count in 1_usize..64) {
            let bar = bar(Space::Memory32, 1 << log);
            let window = windows(bar.size * count as u64)[1];
            let mut taken = Vec::new();
            while let Some(base) = place(&[window], &taken, OWNER, &bar) {
                taken.push(Span { owner: OWNER, space: bar.space, base, size: bar.size });
            }
            prop_assert_eq!(taken.len(), count);
        }

        #[test]
        fn absurd_windows_are_survived(
            bus in any::<u64>(), cpu in any::<u64>(), size in any::<u64>(), log in 0_u32..64,
            base in any::<u64>(), length in any::<u64>(),
        ) {
            let window = Window { space: Space::Memory64, bus, cpu, size };
            let taken = Span { owner: OWNER, space: Space::Memory64, base, size: length };
            let _ = place(&[window], &[taken], OWNER, &bar(Space::Memory64, 1 << log));
        }
    }
}
