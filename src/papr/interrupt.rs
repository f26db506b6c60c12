//! The interrupt presentation controller's registers, as the hypervisor calls and RTAS show them.
//!
//! Ref: LoPAR 6 (Interrupt Controller), QEMU hw/intc/xics_spapr.c

/// The external interrupt request register: the priority that was current, and the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xirr(pub u32);

/// The source number that says "nothing was there".
pub const SPURIOUS: u32 = 0;
/// The source number of an inter-processor interrupt.
pub const IPI: u32 = 2;
/// The priority that lets every interrupt through.
pub const PRIORITY_OPEN: u8 = 0xff;
/// The priority that lets nothing through, and masks a source.
pub const PRIORITY_CLOSED: u8 = 0;
/// The priority that this guest gives to its event sources. Any but the two ends will do; Linux uses the same.
pub const PRIORITY_EVENTS: u8 = 5;
/// The priority of a source that is off.
pub const PRIORITY_MASKED: u8 = 0xff;

impl Xirr {
    /// The source number.
    pub const fn source(self) -> u32 {
        self.0 & 0x00ff_ffff
    }

    /// The priority before the interrupt was accepted.
    pub const fn priority(self) -> u8 {
        (self.0 >> 24) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::Xirr;

    #[test]
    fn priority_and_source_share_a_word() {
        let xirr = Xirr(0xff00_1001);
        assert_eq!((xirr.priority(), xirr.source()), (0xff, 0x1001));
    }
}
