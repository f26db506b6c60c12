//! The model against the rules that it states.

mod arbitrary;
mod host;
mod queue;
mod table;

use super::{Config, How, Platform, What};
use crate::papr::connector::WorkArea;
use crate::papr::drc::DrcIndex;
use crate::papr::indicator::{Indicator, UNISOLATE, USABLE};
use crate::papr::status::Status;

const CORE: DrcIndex = DrcIndex(0x1000_0001);
const LMB: DrcIndex = DrcIndex(0x8000_0004);
const PCI: DrcIndex = DrcIndex(0x4000_0008);
const PHB: DrcIndex = DrcIndex(0x2000_0005);
const PMEM: DrcIndex = DrcIndex(0x9000_0000);

/// One device of each kind at the places above.
const EACH: [(DrcIndex, What); 5] = [
    (CORE, What::Core(1)),
    (LMB, What::Dimm { first: 4, blocks: 1 }),
    (PCI, What::Pci { phb: 0, devfn: 8 }),
    (PHB, What::Phb(5)),
    (PMEM, What::Nvdimm(0)),
];

/// A machine after CAS, with `what` plugged since.
fn plugged(what: What) -> Platform {
    let mut platform = Platform::new(Config::default());
    platform.cas(true);
    platform.plug("device", what, How::Hot).expect("the place is free");
    platform
}

fn isolation(platform: &mut Platform, index: DrcIndex, value: u32) -> Status {
    platform.set_indicator(Indicator::ISOLATION_STATE, index, value)
}

fn allocation(platform: &mut Platform, index: DrcIndex, value: u32) -> Status {
    platform.set_indicator(Indicator::ALLOCATION_STATE, index, value)
}

/// Runs configure-connector to its end.
fn configure(platform: &mut Platform, index: DrcIndex) -> Status {
    let mut area = WorkArea::new(index);
    loop {
        match platform.configure_connector(&mut area) {
            Status(1..) => {}
            end => return end,
        }
    }
}

/// The whole sequence of an acquisition.
fn acquire(platform: &mut Platform, index: DrcIndex) {
    if !index.kind().is_physical() {
        assert_eq!(allocation(platform, index, USABLE), Status::SUCCESS);
    }
    assert_eq!(isolation(platform, index, UNISOLATE), Status::SUCCESS);
    assert_eq!(configure(platform, index), Status::SUCCESS);
}
