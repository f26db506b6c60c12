//! The device tree that the guest works with: a flattened tree, and the parts of it that hotplug needs with their types.
//!
//! The `fdt` crate reads the tree. It takes much on trust and panics where it is wrong, so [`Tree::new`] checks every
//! token first. Some of its ways are kept off as well: it finds `/memory@0` when asked for `/memory`, and an alias that
//! names itself sends it round for ever. Paths here are exact and go through no alias.
//!
//! A view never fails as a whole. What is missing or absurd becomes a [`Problem`], and the rest is handed out.
//!
//! Ref: LoPAR B.6 (device tree), Devicetree Specification 0.4 5

mod check;
mod connectors;
mod controller;
mod memory;
#[cfg(test)]
mod tests;

pub use check::Malformed;
pub use connectors::{Connector, listed};
pub use controller::InterruptController;
pub use memory::{DynamicMemory, LmbFlags, LmbRun, MAX_LMBS, MemoryNode};

use super::Problem;
use crate::papr::drc::DrcIndex;
use crate::papr::rtas::Call;
use crate::wire::Reader;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use fdt::Fdt;
use fdt::node::{FdtNode, NodeProperty};

/// A flattened tree that was found well-formed.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'t> {
    fdt: Fdt<'t>,
}

/// A node of the tree, and where it is.
#[derive(Clone, Debug)]
pub struct Node<'b, 't> {
    path: String,
    node: FdtNode<'b, 't>,
}

impl<'b, 't> Node<'b, 't> {
    /// Its full path. Two nodes can have the same one, if the firmware made them so.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its properties, in the order of the tree.
    pub fn properties(&self) -> impl Iterator<Item = NodeProperty<'t>> + 'b {
        self.node.properties()
    }

    /// The value of a property.
    pub fn value(&self, property: &str) -> Option<&'t [u8]> {
        value_of(self.node, property)
    }
}

/// A processor core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// The path of its node.
    pub node: String,
    /// Its connector, `ibm,my-drc-index`. A core that cannot be unplugged has none.
    pub drc: Option<DrcIndex>,
    /// The interrupt server number of each thread, `ibm,ppc-interrupt-server#s`, or else the one in `reg`.
    pub servers: Vec<u32>,
}

/// An interrupt that says that there is an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    /// The name of its node, as `hot-plug-events`.
    pub name: String,
    /// The interrupt.
    pub irq: u32,
    /// Whether it is raised as a level, or else as an edge.
    pub level: bool,
}

impl<'t> Tree<'t> {
    /// Checks the whole of `bytes`; what follows the tree's own size is ignored.
    ///
    /// # Errors
    /// When a token, a length, a name or the nesting is wrong. Nothing that is done with a `Tree` can fail later.
    /// Ref: Devicetree Specification 0.4 5
    pub fn new(bytes: &'t [u8]) -> Result<Self, Malformed> {
        let whole = check::check(bytes)?;
        let fdt =
            Fdt::new(whole).map_err(|_| Malformed { at: 0, what: "the `fdt` crate refuses the header" })?;
        Ok(Self { fdt })
    }

    fn root(&self) -> Option<FdtNode<'_, 't>> {
        self.fdt.all_nodes().next()
    }

    /// The node at exactly this path.
    fn find(&self, path: &str) -> Option<FdtNode<'_, 't>> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        parts.try_fold(self.root()?, |node, part| node.children().find(|child| child.name == part))
    }

    /// A property of the node at exactly this path.
    fn value(&self, path: &str, property: &str) -> Option<&'t [u8]> {
        value_of(self.find(path)?, property)
    }

    /// All nodes, each before its children, in the order of the tree.
    pub fn nodes(&self) -> Vec<Node<'_, 't>> {
        let mut nodes = Vec::new();
        if let Some(root) = self.root() {
            nodes.push(Node { path: "/".to_string(), node: root });
            below(root, &mut String::new(), &mut nodes);
        }
        nodes
    }

    /// What the guest was told on its command line: the text in `/chosen` before the first NUL.
    ///
    /// Ref: IEEE 1275 3.5 (/chosen bootargs)
    pub fn bootargs(&self) -> Option<&'t str> {
        text(self.value("/chosen", "bootargs")?)
    }

    /// The token of an RTAS call.
    ///
    /// Ref: LoPAR B.6 (RTAS node)
    pub fn rtas_token(&self, call: Call) -> Option<u32> {
        cell(self.value("/rtas", call.name())?)
    }

    /// The bytes of real memory that RTAS needs.
    ///
    /// # Errors
    /// When the tree does not say, or says 0.
    /// Ref: LoPAR B.6 (RTAS node, rtas-size)
    pub fn rtas_size(&self) -> Result<u32, Problem> {
        let problem = |what| Problem::new("/rtas", "rtas-size", what);
        let value = self.value("/rtas", "rtas-size").ok_or_else(|| problem("there is no such property"))?;
        match cell(value) {
            Some(0) => Err(problem("RTAS cannot need no memory")),
            Some(size) => Ok(size),
            None => Err(problem("it is not one cell")),
        }
    }

    /// The processor cores under `/cpus`.
    ///
    /// Ref: LoPAR B.6 (CPU nodes), QEMU hw/ppc/spapr.c (spapr_dt_cpu)
    pub fn cores(&self, problems: &mut Vec<Problem>) -> Vec<Core> {
        let Some(cpus) = self.find("/cpus") else {
            problems.push(Problem::new("/cpus", "", "there is no such node"));
            return Vec::new();
        };
        let cores: Vec<Core> =
            cpus.children().filter(|node| is_a(*node, "cpu")).map(|node| core_of(node, problems)).collect();
        if cores.is_empty() {
            problems.push(Problem::new("/cpus", "", "there is no core"));
        }
        cores
    }

    /// The interrupts under `/event-sources`, one per pair in `interrupts`.
    ///
    /// Ref: LoPAR B.6 (event-sources), QEMU hw/ppc/spapr_events.c (spapr_dt_events)
    pub fn event_sources(&self, problems: &mut Vec<Problem>) -> Vec<EventSource> {
        const PARENT: &str = "/event-sources";
        let mut sources = Vec::new();
        let Some(parent) = self.find(PARENT) else {
            problems.push(Problem::new(PARENT, "", "there is no such node"));
            return sources;
        };
        for node in parent.children() {
            let mut problem = |what: &str| {
                problems.push(Problem::new(format!("{PARENT}/{}", node.name), "interrupts", what))
            };
            let Some(value) = value_of(node, "interrupts") else {
                problem("there is no such property");
                continue;
            };
            let mut reader = Reader::new(value);
            while let (Ok(irq), Ok(sense)) = (reader.u32("interrupt"), reader.u32("sense")) {
                if sense > 1 {
                    problem("the sense of an interrupt is neither an edge nor a level");
                }
                sources.push(EventSource { name: node.name.to_string(), irq, level: sense & 1 != 0 });
            }
            if value.is_empty() || value.len() % 8 != 0 {
                problem("it is not pairs of cells");
            }
        }
        sources
    }

    /// What CAS has granted: `ibm,architecture-vec-5`, a byte with the length less one and the vector.
    ///
    /// Ref: LoPAR B.6 (/chosen)
    pub fn architecture_vec_5(&self) -> Option<&'t [u8]> {
        self.value("/chosen", "ibm,architecture-vec-5")
    }

    /// What the platform offers: `ibm,arch-vec-5-platform-support`, pairs of a byte's place in vector 5 and its value.
    ///
    /// Ref: QEMU hw/ppc/spapr.c (spapr_dt_ov5_platform_support)
    pub fn platform_support(&self) -> Option<&'t [u8]> {
        self.value("/chosen", "ibm,arch-vec-5-platform-support")
    }
}

/// Collects what is below a node; `path` is its own, and empty for the root.
fn below<'b, 't>(node: FdtNode<'b, 't>, path: &mut String, nodes: &mut Vec<Node<'b, 't>>) {
    let len = path.len();
    for child in node.children() {
        path.push('/');
        path.push_str(child.name);
        nodes.push(Node { path: path.clone(), node: child });
        below(child, path, nodes);
        path.truncate(len);
    }
}

fn core_of(node: FdtNode<'_, '_>, problems: &mut Vec<Problem>) -> Core {
    let path = format!("/cpus/{}", node.name);
    let mut problem = |property, what| problems.push(Problem::new(&*path, property, what));
    let drc = value_of(node, "ibm,my-drc-index");
    if drc.is_some_and(|value| cell(value).is_none()) {
        problem("ibm,my-drc-index", "it is not one cell");
    }
    const SERVERS: &str = "ibm,ppc-interrupt-server#s";
    let (property, value) = match value_of(node, SERVERS) {
        Some(value) => (SERVERS, Some(value)),
        None => ("reg", value_of(node, "reg")),
    };
    match value {
        None => problem(SERVERS, "there is neither this property nor reg"),
        Some([]) => problem(property, "the core has no thread"),
        Some(value) if value.len() % 4 != 0 => problem(property, "it is not cells"),
        Some(_) => {}
    }
    let servers = cells(value.unwrap_or_default()).collect();
    Core { drc: drc.and_then(cell).map(DrcIndex), servers, node: path }
}

/// A property of a node.
fn value_of<'t>(node: FdtNode<'_, 't>, property: &str) -> Option<&'t [u8]> {
    node.property(property).map(|property| property.value)
}

/// Whether this is the node's `device_type`.
fn is_a(node: FdtNode<'_, '_>, kind: &str) -> bool {
    value_of(node, "device_type").and_then(text) == Some(kind)
}

/// The text before the first NUL.
fn text(value: &[u8]) -> Option<&str> {
    core::str::from_utf8(value.split(|&byte| byte == 0).next()?).ok()
}

/// The value of a property that is one cell and no more.
pub(super) fn cell(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// The whole cells of a value.
fn cells(value: &[u8]) -> impl Iterator<Item = u32> {
    value.chunks_exact(4).filter_map(cell)
}
