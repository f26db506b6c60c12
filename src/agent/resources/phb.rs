//! A PCI host bridge: its windows into the address space of the processor, and the functions that stand behind it.
//!
//! The same node comes in two ways, in the device tree or from configure-connector, so what is read here is a list of
//! nodes, each with its path and its properties, the bridge first.
//!
//! Ref: IEEE 1275 PCI binding 2.1 (ranges, bus-range), LoPAR B.6.7 (PCI host bridge nodes)

use super::pci::bridge::Bridge;
use super::pci::windows::{Span, Window};
use crate::hotplug::fragment::Fragment;
use crate::openfirmware::Problem;
use crate::openfirmware::tree::{Connector, Tree, listed};
use crate::papr::drc::DrcIndex;
use crate::papr::pci::{Address, Space};
use crate::wire::{Reader, Short};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A host bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phb {
    /// Its connector, where it has one.
    pub drc: Option<DrcIndex>,
    /// The number by which RTAS knows it.
    pub buid: u64,
    /// The first and the last bus behind it.
    pub buses: (u8, u8),
    /// What of the processor's address space leads to its buses.
    pub windows: Vec<Window>,
    /// The connectors that it and the bridges behind it have.
    pub slots: Vec<DrcIndex>,
    /// The functions on its own bus have been looked at.
    pub surveyed: bool,
    /// What is taken in its windows.
    pub taken: Vec<Span>,
    /// The bridges behind it that are in use.
    pub bridges: Vec<Bridge>,
}

/// What a node says about a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Where it is.
    pub address: Address,
    /// `vendor-id`.
    pub vendor: u32,
    /// `device-id`.
    pub device: u32,
    /// `class-code`.
    pub class: u32,
}

/// A function that the guest knows of, by the tree or by what configure-connector handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its connector.
    pub drc: DrcIndex,
    /// The host bridge that it is behind.
    pub buid: u64,
    /// What its node says.
    pub expected: Expected,
    /// The connectors that it has itself: those of a bridge to another bus.
    pub slots: Vec<DrcIndex>,
}

/// A node, wherever it came from.
trait Properties {
    fn value(&self, property: &str) -> Option<&[u8]>;

    fn cell(&self, property: &str) -> Option<u32> {
        self.value(property)?.try_into().ok().map(u32::from_be_bytes)
    }
}

impl Properties for crate::openfirmware::tree::Node<'_, '_> {
    fn value(&self, property: &str) -> Option<&[u8]> {
        self.value(property)
    }
}

impl Properties for crate::hotplug::fragment::Node {
    fn value(&self, property: &str) -> Option<&[u8]> {
        self.property(property).map(|property| property.value.as_slice())
    }
}

/// One entry of `ranges`: three cells of PCI address, two of processor address, two of size. Entries for configuration
/// space are no windows.
fn window(reader: &mut Reader<'_>) -> Result<Option<Window>, Short> {
    let space = Space::from_reg(reader.u32("space")?);
    let (bus, cpu, size) = (reader.u64("bus address")?, reader.u64("address")?, reader.u64("size")?);
    Ok(space.map(|space| Window { space, bus, cpu, size }))
}

fn windows(value: &[u8]) -> Result<Vec<Window>, Short> {
    let mut reader = Reader::new(value);
    let mut windows = Vec::new();
    while reader.left() > 0 {
        windows.extend(window(&mut reader)?);
    }
    Ok(windows)
}

/// The first and the last bus; all of them where nothing is said.
fn buses(value: Option<&[u8]>) -> Result<(u8, u8), String> {
    let Some(value) = value else { return Ok((0, u8::MAX)) };
    let mut reader = Reader::new(value);
    let mut bus = || -> Result<u8, String> {
        let cell = reader.u32("bus-range").map_err(|short| short.to_string())?;
        u8::try_from(cell).map_err(|_| format!("bus-range: {cell} is no bus"))
    };
    let range = (bus()?, bus()?);
    if range.0 <= range.1 { Ok(range) } else { Err("bus-range: it ends before it begins".to_string()) }
}

fn bridge(node: &impl Properties) -> Result<Phb, String> {
    let need = |property| node.value(property).ok_or_else(|| format!("there is no {property}"));
    let words = |short: Short| short.to_string();
    Ok(Phb {
        drc: node.cell("ibm,my-drc-index").map(DrcIndex),
        buid: Reader::new(need("reg")?).u64("reg").map_err(words)?,
        buses: buses(node.value("bus-range"))?,
        windows: windows(need("ranges")?).map_err(words)?,
        slots: Vec::new(),
        surveyed: false,
        taken: Vec::new(),
        bridges: Vec::new(),
    })
}

/// What a node says about the function that it is.
///
/// # Errors
/// In words, when it does not say enough.
fn function(node: &impl Properties) -> Result<Expected, String> {
    let id = |property| node.cell(property).ok_or_else(|| format!("{property} is missing or no cell"));
    let reg = node.value("reg").ok_or("there is no reg")?;
    Ok(Expected {
        address: Address::from_reg(Reader::new(reg).u32("reg").map_err(|short| short.to_string())?),
        vendor: id("vendor-id")?,
        device: id("device-id")?,
        class: id("class-code")?,
    })
}

impl Expected {
    /// What the first node of a fragment says about a function.
    ///
    /// # Errors
    /// In words, when it does not say enough.
    pub fn from_fragment(fragment: &Fragment) -> Result<Self, String> {
        function(fragment.root().ok_or("the fragment has no node")?)
    }
}

impl Phb {
    /// A host bridge that came from configure-connector, and the connectors that came with it.
    ///
    /// # Errors
    /// In words, when it does not say what is needed.
    pub fn from_fragment(
        fragment: &Fragment,
        problems: &mut Vec<Problem>,
    ) -> Result<(Self, Vec<Connector>), String> {
        let mut phb = bridge(fragment.root().ok_or("the fragment has no node")?)?;
        let connectors = connectors_of(fragment, problems);
        phb.slots = connectors.iter().map(|connector| connector.index).collect();
        Ok((phb, connectors))
    }

    /// The real address of something at an address of its buses.
    pub fn real_address(&self, space: Space, bus: u64, size: u64) -> Option<u64> {
        self.windows.iter().find_map(|window| window.real_address(space, bus, size))
    }
}

/// The connectors that the nodes of a fragment list.
pub fn connectors_of(fragment: &Fragment, problems: &mut Vec<Problem>) -> Vec<Connector> {
    let mut connectors = Vec::new();
    for (at, node) in fragment.nodes().iter().enumerate() {
        listed(&fragment.path(at), |property| Properties::value(node, property), &mut connectors, problems);
    }
    connectors
}

/// The host bridges that stand in the tree, and the functions behind them that have a connector, each bridge to another
/// bus before what is behind it.
pub fn read(tree: &Tree<'_>, problems: &mut Vec<Problem>) -> (Vec<Phb>, Vec<Standing>) {
    let (mut phbs, mut standing) = (Vec::<Phb>::new(), Vec::new());
    // The path of the host bridge that was met last, if it could be read.
    let mut within: Option<String> = None;
    for node in tree.nodes() {
        let below = within.as_ref().is_some_and(|path| {
            node.path().strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))
        });
        let mut slots = Vec::new();
        if below && let Some(phb) = phbs.last_mut() {
            listed(node.path(), |property| node.value(property), &mut slots, &mut Vec::new());
            phb.slots.extend(slots.iter().map(|connector| connector.index));
            let Some(drc) = Properties::cell(&node, "ibm,my-drc-index") else { continue };
            let slots = slots.iter().map(|connector| connector.index).collect();
            match function(&node) {
                Ok(expected) => {
                    standing.push(Standing { drc: DrcIndex(drc), buid: phb.buid, expected, slots })
                }
                Err(what) => problems.push(Problem::new(node.path(), "", &*what)),
            }
        } else if is_host_bridge(&node) {
            within = None;
            match bridge(&node) {
                Ok(mut phb) => {
                    listed(node.path(), |property| node.value(property), &mut slots, &mut Vec::new());
                    phb.slots = slots.iter().map(|connector| connector.index).collect();
                    phbs.push(phb);
                    within = Some(node.path().to_string());
                }
                Err(what) => problems.push(Problem::new(node.path(), "", &*what)),
            }
        }
    }
    (phbs, standing)
}

/// A child of the root whose type is `pci`.
fn is_host_bridge(node: &crate::openfirmware::tree::Node<'_, '_>) -> bool {
    let child_of_root = node.path().rfind('/') == Some(0);
    child_of_root && node.value("device_type") == Some(b"pci\0")
}

#[cfg(test)]
pub(super) mod tests;
