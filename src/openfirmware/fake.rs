//! A model of the firmware's half: a device tree behind the client interface, in either firmware's way of speaking.
//!
//! It serves what was read from a flattened tree, and can be spoilt: every link between nodes is a handle that a test
//! may point elsewhere, so that a tree can end nowhere or bite its tail.
//!
//! Ref: QEMU hw/ppc/vof.c (vof_client_handle), QEMU hw/ppc/spapr_vof.c (spapr_vof_client_dt_finalize)

mod services;

use super::tree::Tree;
use crate::machine::ServiceError;
use std::collections::BTreeMap;

/// The handle that QEMU itself gives to the interrupt controller.
const CONTROLLER: u32 = 0x1111;

/// Which firmware is spoken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SLOF.
    Slof,
    /// VOF of a QEMU before 11, which does not list `name`.
    OldVof,
    /// VOF of QEMU 11, which lists `name` first.
    Vof,
}

impl Dialect {
    pub(crate) const ALL: [Self; 3] = [Self::Slof, Self::OldVof, Self::Vof];

    pub(super) fn is_vof(self) -> bool {
        self != Self::Slof
    }

    /// The first handle that it gives to a node, and how far apart they are.
    fn handles(self) -> (u32, u32) {
        if self.is_vof() { (0x1112, 1) } else { (0x0de0_0000, 0x60) }
    }
}

/// A node as the firmware keeps it.
#[derive(Clone, Debug)]
pub(crate) struct FakeNode {
    /// The name with the unit address.
    pub(crate) name: Vec<u8>,
    /// Its properties in order, `name` not among them.
    pub(crate) properties: Vec<(Vec<u8>, Vec<u8>)>,
    /// The handle of its parent; 0 for the root.
    pub(crate) parent: u32,
    /// The handle of its first child; 0 for none.
    pub(crate) child: u32,
    /// The handle of its next sibling; 0 for none.
    pub(crate) peer: u32,
    /// Whether `nextprop` always finds one more.
    pub(crate) endless: bool,
}

/// The firmware.
#[derive(Clone, Debug)]
pub(crate) struct Firmware {
    pub(super) dialect: Dialect,
    /// The handle of the root; 0 where there is no tree.
    pub(crate) root: u32,
    pub(crate) nodes: BTreeMap<u32, FakeNode>,
    /// What was opened: the handle of the node, by instance.
    pub(super) instances: BTreeMap<u32, u32>,
    /// The tree that CAS puts in place of this one.
    pub(crate) after_cas: Option<Vec<u8>>,
    /// What CAS answers.
    pub(crate) cas_status: i32,
    /// The option vectors that CAS was handed.
    pub(crate) asked: Vec<u8>,
    /// Memory that is free to be claimed.
    pub(super) free: core::ops::Range<u32>,
    /// How many calls were made.
    pub(crate) calls: u32,
    /// A call that is not served, by its number from 0.
    pub(crate) failure: Option<(u32, ServiceError)>,
    pub(super) quiesced: bool,
}

impl Firmware {
    /// A firmware with the tree in `bytes`.
    pub(crate) fn new(dialect: Dialect, bytes: &[u8]) -> Self {
        let mut firmware = Self {
            dialect,
            root: 0,
            nodes: BTreeMap::new(),
            instances: BTreeMap::new(),
            after_cas: None,
            cas_status: 0,
            asked: Vec::new(),
            free: 0x0800_0000..0x1000_0000,
            calls: 0,
            failure: None,
            quiesced: false,
        };
        firmware.load(bytes, &BTreeMap::new());
        firmware
    }

    /// Replaces the tree. A node keeps the handle that `known` has for its path, or, where nothing is known, the one in
    /// its `phandle`; what has none is given one.
    fn load(&mut self, bytes: &[u8], known: &BTreeMap<String, u32>) {
        let tree = Tree::new(bytes).expect("the fake serves well-formed trees");
        self.nodes.clear();
        self.root = 0;
        let (first, step) = self.dialect.handles();
        let mut next = known.values().copied().fold(first, u32::max) + step;
        // The handles of the open nodes, each with its last child.
        let mut open: Vec<(u32, u32)> = Vec::new();
        for node in tree.nodes() {
            let name = node.path().rsplit('/').next().unwrap_or_default().as_bytes().to_vec();
            let depth = if name.is_empty() { 0 } else { node.path().matches('/').count() };
            let own = node.value("phandle").and_then(|value| value.try_into().ok()).map(u32::from_be_bytes);
            let own = own.filter(|_| known.is_empty());
            let handle = known.get(node.path()).copied().or(own).unwrap_or(next);
            next = next.max(handle).saturating_add(step);
            open.truncate(depth);
            let parent = open.last().map_or(0, |(parent, _)| *parent);
            if let Some((parent, last)) = open.last_mut() {
                let link =
                    if *last == 0 { self.nodes.get_mut(parent).map(|node| &mut node.child) } else { None };
                let link = match link {
                    Some(link) => link,
                    None => &mut self.nodes.get_mut(last).expect("a sibling").peer,
                };
                *link = handle;
                *last = handle;
            } else {
                self.root = handle;
            }
            let properties =
                node.properties().map(|property| (property.name.into(), property.value.to_vec())).collect();
            let node = FakeNode { name, properties, parent, child: 0, peer: 0, endless: false };
            assert!(self.nodes.insert(handle, node).is_none(), "two nodes have the handle {handle:#x}");
            open.push((handle, 0));
        }
    }

    /// The tree of after CAS. VOF gives new handles to all nodes; SLOF leaves those that were there alone.
    pub(super) fn renew(&mut self) {
        let Some(bytes) = self.after_cas.take() else { return };
        let mut known = BTreeMap::new();
        if !self.dialect.is_vof() {
            known = self.nodes.keys().map(|handle| (self.path(*handle), *handle)).collect();
        }
        self.load(&bytes, &known);
        if self.dialect.is_vof() {
            self.renumber();
        }
    }

    /// Gives new handles to all nodes but the interrupt controller, and says so in the properties that hold one.
    fn renumber(&mut self) {
        const SHIFT: u32 = 0x1_0000;
        let moved = |handle: u32| if matches!(handle, 0 | CONTROLLER) { handle } else { handle + SHIFT };
        let nodes = core::mem::take(&mut self.nodes);
        self.root = moved(self.root);
        for (handle, mut node) in nodes {
            for link in [&mut node.parent, &mut node.child, &mut node.peer] {
                *link = moved(*link);
            }
            for (name, value) in &mut node.properties {
                if matches!(&name[..], b"phandle" | b"interrupt-parent") {
                    let old: [u8; 4] = (&value[..]).try_into().expect("a handle");
                    *value = moved(u32::from_be_bytes(old)).to_be_bytes().to_vec();
                }
            }
            self.nodes.insert(moved(handle), node);
        }
    }

    /// The node at a path.
    pub(crate) fn find(&self, path: &str) -> u32 {
        self.nodes.keys().copied().find(|handle| self.path(*handle) == path).expect("a node at this path")
    }

    /// The node at a path, to be spoilt.
    pub(crate) fn node(&mut self, path: &str) -> &mut FakeNode {
        let handle = self.find(path);
        self.nodes.get_mut(&handle).expect("a node")
    }

    /// The path of a node. Links that lead nowhere end it.
    pub(super) fn path(&self, handle: u32) -> String {
        String::from_utf8_lossy(&self.path_bytes(handle)).into_owned()
    }

    pub(super) fn path_bytes(&self, handle: u32) -> Vec<u8> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut at = handle;
        while let Some(node) = self.nodes.get(&at).filter(|node| node.parent != 0) {
            names.push(&node.name);
            at = node.parent;
        }
        names.iter().rev().flat_map(|name| [b"/", *name]).flatten().copied().collect::<Vec<u8>>()
    }
}
