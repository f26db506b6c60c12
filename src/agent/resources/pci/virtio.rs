//! virtio over PCI, as far as a handshake: the device is found, reset, greeted, and agrees on features.
//!
//! No queue is set up and no data flows: the last step, DRIVER_OK, is never taken.
//!
//! Ref: virtio 1.2 3.1.1 (Driver Requirements: Device Initialization), 4.1.4 (Virtio Structure PCI Capabilities)

use super::config::Found;
use super::{Bus, Function};
use crate::papr::pci::{Bar, Space, Width, register};
use alloc::format;
use alloc::string::{String, ToString};

/// In a virtio capability: what it tells of, a byte; 1 is the common configuration.
const CAPABILITY_TYPE: u16 = 3;
const TYPE_COMMON: u32 = 1;
/// In a virtio capability: the base address register, a byte.
const CAPABILITY_BAR: u16 = 4;
/// In a virtio capability: where in its memory, a word.
const CAPABILITY_OFFSET: u16 = 8;

// The common configuration. Ref: virtio 1.2 4.1.4.3
const DEVICE_FEATURE_SELECT: u64 = 0;
const DEVICE_FEATURE: u64 = 4;
const DRIVER_FEATURE_SELECT: u64 = 8;
const DRIVER_FEATURE: u64 = 12;
const NUM_QUEUES: u64 = 18;
const DEVICE_STATUS: u64 = 20;
const COMMON_SIZE: u64 = 56;

// The device status. Ref: virtio 1.2 2.1
const RESET: u32 = 0;
const ACKNOWLEDGE: u32 = 1;
const DRIVER: u32 = 2;
const FEATURES_OK: u32 = 8;

/// The features that this guest takes where they are offered: VERSION_1 and ACCESS_PLATFORM, both in the upper word.
///
/// Ref: virtio 1.2 6
const WANTED_UPPER: u32 = 3;
/// VERSION_1.
const VERSION_1: u32 = 1;

/// Device numbers from here on carry the type of the device; those below have it in the subsystem.
const MODERN: u32 = 0x1040;

/// How often a device is looked at, a millisecond apart, until its reset is done.
const LOOKS: u32 = 100;

impl<M: Bus> Function<'_, M> {
    /// Greets a virtio device.
    pub(super) fn greet(&mut self, bars: &[Found]) -> Result<(), String> {
        let kind = match self.expected.device.checked_sub(MODERN) {
            Some(kind) => kind,
            None => self.config().read(register::SUBSYSTEM, Width::Word)? >> 16,
        };
        let common = self.common(bars)?;
        self.read_back("device-type", common, kind);
        self.reset(common)?;
        self.status(common, ACKNOWLEDGE)?;
        self.status(common, ACKNOWLEDGE | DRIVER)?;
        let offered = [self.offered(common, 0)?, self.offered(common, 1)?];
        self.read_back("features-low", common + DEVICE_FEATURE, offered[0]);
        self.read_back("features-high", common + DEVICE_FEATURE, offered[1]);
        if offered[1] & VERSION_1 == 0 {
            return Err("the device does not offer VERSION_1".to_string());
        }
        self.accept(common, 0, 0)?;
        self.accept(common, 1, offered[1] & WANTED_UPPER)?;
        self.status(common, ACKNOWLEDGE | DRIVER | FEATURES_OK)?;
        let queues = self.load(common + NUM_QUEUES, Width::Half)?;
        self.read_back("queues", common + NUM_QUEUES, queues);
        Ok(())
    }

    /// Resets a virtio device that is in use.
    pub(super) fn part(&mut self) -> Result<(), String> {
        let (index, offset) = self.common_of_capability()?;
        let at = register::BAR0 + 4 * index;
        let low = self.config().read(at, Width::Word)?;
        let space = Bar::space_of(low).0;
        let high = if space == Space::Memory64 { self.config().read(at + 4, Width::Word)? } else { 0 };
        let base = Bar::address_in(space, low, high).saturating_add(offset);
        let real = self.phb.real_address(space, base, COMMON_SIZE);
        let real = real.ok_or_else(|| "the common configuration is in no window".to_string())?;
        self.reset(real)
    }

    fn reset(&mut self, common: u64) -> Result<(), String> {
        self.store(common + DEVICE_STATUS, Width::Byte, RESET)?;
        for _ in 0..LOOKS {
            let status = self.load(common + DEVICE_STATUS, Width::Byte)?;
            if status == RESET {
                self.read_back("device-status", common + DEVICE_STATUS, status);
                return Ok(());
            }
            self.machine.sleep_ms(1);
        }
        Err("the device does not come out of its reset".to_string())
    }

    /// Sets the device status, which must then be just that: a device that objects takes FEATURES_OK back.
    fn status(&mut self, common: u64, status: u32) -> Result<(), String> {
        let at = common + DEVICE_STATUS;
        self.store(at, Width::Byte, status)?;
        let is = self.load(at, Width::Byte)?;
        self.read_back("device-status", at, is);
        if is == status { Ok(()) } else { Err(format!("the device status is {is:#x} and not {status:#x}")) }
    }

    fn offered(&mut self, common: u64, word: u32) -> Result<u32, String> {
        self.store(common + DEVICE_FEATURE_SELECT, Width::Word, word)?;
        self.load(common + DEVICE_FEATURE, Width::Word)
    }

    fn accept(&mut self, common: u64, word: u32, features: u32) -> Result<(), String> {
        self.store(common + DRIVER_FEATURE_SELECT, Width::Word, word)?;
        self.store(common + DRIVER_FEATURE, Width::Word, features)
    }

    /// The real address of the common configuration.
    fn common(&mut self, bars: &[Found]) -> Result<u64, String> {
        let (index, offset) = self.common_of_capability()?;
        let found = bars.iter().find(|found| u16::from(found.bar.index) == index);
        let found = found.ok_or_else(|| format!("there is no BAR {index} for the common configuration"))?;
        let fits = offset.checked_add(COMMON_SIZE).is_some_and(|end| end <= found.bar.size);
        if !fits {
            return Err(format!("the common configuration at {offset:#x} does not fit into BAR {index}"));
        }
        Ok(self.real_address(found)? + offset)
    }

    /// The base address register and the offset of the common configuration, as the capabilities say.
    fn common_of_capability(&mut self) -> Result<(u16, u64), String> {
        for at in self.config().vendor_capabilities()? {
            if self.config().read(at + CAPABILITY_TYPE, Width::Byte)? != TYPE_COMMON {
                continue;
            }
            let bar = self.config().read(at + CAPABILITY_BAR, Width::Byte)?;
            let offset = self.config().read(at + CAPABILITY_OFFSET, Width::Word)?;
            // Beyond 5 the number means nothing.
            if let Some(bar) = u16::try_from(bar).ok().filter(|bar| *bar <= 5) {
                return Ok((bar, offset.into()));
            }
        }
        Err("the device has no common configuration: it is not of virtio version 1".to_string())
    }
}
