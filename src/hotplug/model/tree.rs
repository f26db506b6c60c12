//! The fragments that configure-connector hands out, and how far it has come with one.
//!
//! The fragments are plausible and short: the nodes are named as QEMU names them and have the properties that a guest
//! needs, but not all of those that QEMU gives.

use crate::papr::connector::{WORK_AREA, WorkArea};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::status::Status;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A piece of a flattened tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A node begins.
    Begin(String),
    /// A property of the node that began last and has not ended.
    Property(String, Vec<u8>),
    /// A node ends.
    End,
}

/// Bits of an index that belong to its kind alone.
const ID_MASK: u32 = 0x0fff_ffff;

fn cell(name: &str, value: u32) -> Item {
    Item::Property(name.into(), value.to_be_bytes().into())
}

fn long(name: &str, values: &[u64]) -> Item {
    Item::Property(name.into(), values.iter().flat_map(|value| value.to_be_bytes()).collect())
}

fn text(name: &str, value: &str) -> Item {
    Item::Property(name.into(), [value.as_bytes(), b"\0"].concat())
}

/// The fragment of a connector; `behind` are the connectors of what hangs on a host bridge.
///
/// Ref: QEMU hw/ppc/spapr.c (spapr_core_dt_populate, spapr_lmb_dt_populate), hw/ppc/spapr_pci.c (spapr_dt_phb,
/// spapr_dt_pci_device), hw/ppc/spapr_nvdimm.c (spapr_pmem_dt_populate)
pub(super) fn fragment(index: DrcIndex, threads: u32, behind: &[DrcIndex]) -> Vec<Item> {
    let (name, properties) = node(index, threads);
    let children = behind.iter().flat_map(|index| fragment(*index, threads, &[])).collect();
    [alloc::vec![Item::Begin(name)], properties, children, alloc::vec![Item::End]].concat()
}

fn node(index: DrcIndex, threads: u32) -> (String, Vec<Item>) {
    let id = index.0 & ID_MASK;
    let mine = cell("ibm,my-drc-index", index.0);
    match index.kind() {
        DrcKind::CPU => {
            let servers = (id..id + threads).flat_map(u32::to_be_bytes).collect();
            let servers = Item::Property("ibm,ppc-interrupt-server#s".into(), servers);
            let kind = text("device_type", "cpu");
            (format!("PowerPC,POWER9@{id:x}"), alloc::vec![servers, mine, cell("reg", id), kind])
        }
        DrcKind::LMB => {
            const LMB_SIZE: u64 = 256 << 20;
            // The whole index is multiplied, its kind included: the address is too high by 0x0800_0000_0000_0000.
            let address = u64::from(index.0) * LMB_SIZE;
            let properties = alloc::vec![long("reg", &[address, LMB_SIZE]), text("device_type", "memory")];
            (format!("memory@{address:x}"), properties)
        }
        DrcKind::PHB => {
            let buid = 0x0800_0000_2000_0000 + u64::from(id);
            (format!("pci@{buid:x}"), alloc::vec![mine, long("reg", &[buid, 0]), text("device_type", "pci")])
        }
        DrcKind::PMEM => {
            let blocks = long("ibm,number-of-blocks", &[1]);
            (format!("ibm,pmemory@{:x}", index.0), alloc::vec![blocks, mine, cell("reg", index.0)])
        }
        _ => (pci_name(id & 0xff), alloc::vec![mine, cell("vendor-id", 0x8086), cell("device-id", 0x100e)]),
    }
}

fn pci_name(devfn: u32) -> String {
    match (devfn >> 3, devfn & 7) {
        (slot, 0) => format!("ethernet@{slot:x}"),
        (slot, function) => format!("ethernet@{slot:x},{function:x}"),
    }
}

/// A fragment on its way out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    items: Vec<Item>,
    at: usize,
    depth: u32,
}

impl Cursor {
    pub(super) fn new(items: Vec<Item>) -> Self {
        Self { items, at: 0, depth: 0 }
    }

    /// Whether no fragment has been made yet.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn rewind(&mut self) {
        (self.at, self.depth) = (0, 0);
    }

    /// The next step, written into the work area. After the end it starts anew.
    ///
    /// Ref: QEMU hw/ppc/spapr_drc.c (rtas_ibm_configure_connector)
    pub(super) fn step(&mut self, area: &mut WorkArea) -> Status {
        const CHILD: Status = Status(2);
        const PROPERTY: Status = Status(3);
        const PARENT: Status = Status(4);
        let Some(item) = self.items.get(self.at) else { return Status::HARDWARE };
        self.at += 1;
        match item {
            Item::Begin(name) => {
                self.depth += 1;
                put_name(area, name);
                CHILD
            }
            Item::Property(name, value) => {
                let value_at = put_name(area, name);
                // The length is the whole one, however much of the value fits.
                put_cell(area, 12, value.len());
                put_cell(area, 16, value_at);
                put(area, value_at, value);
                PROPERTY
            }
            Item::End => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth > 0 {
                    return PARENT;
                }
                self.rewind();
                Status::SUCCESS
            }
        }
    }
}

/// Where names are put.
const NAME_AT: usize = 20;

/// Puts a name with its NUL, and says where the bytes after it are.
fn put_name(area: &mut WorkArea, name: &str) -> usize {
    put_cell(area, 8, NAME_AT);
    put(area, NAME_AT, name.as_bytes());
    put(area, NAME_AT + name.len(), &[0]);
    NAME_AT + name.len() + 1
}

fn put_cell(area: &mut WorkArea, at: usize, value: usize) {
    // Names and values of fragments are short.
    put(area, at, &u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes());
}

/// Puts what fits.
fn put(area: &mut WorkArea, at: usize, bytes: &[u8]) {
    let room = area.0.get_mut(at.min(WORK_AREA)..).unwrap_or_default();
    let len = bytes.len().min(room.len());
    room[..len].copy_from_slice(&bytes[..len]);
}
