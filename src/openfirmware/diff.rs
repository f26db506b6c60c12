//! What CAS did to the tree: which nodes and properties came, went and changed.
//!
//! A handle is not a fact. VOF numbers all its nodes anew at CAS, and SLOF the ones that it replaces, so a node's own
//! handle is left out, and a property that points to other nodes is compared by where it points. What is a number of
//! the firmware's for something that it has opened cannot be looked up in a tree, and is left out as well; so is SLOF's
//! mark of the flattened tree that a node came from last, which changes in all of them.
//!
//! Both trees are sorted by path, and their nodes by name, and then read side by side. Two nodes of one path, which a
//! firmware can have, are compared in the order in which they stand.

#[cfg(test)]
mod tests;

use super::tree::{Node, Tree};
use crate::log::Change;
use crate::wire::{Reader, Short};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;
use fdt::node::NodeProperty;

/// What names a node itself, and SLOF's mark.
const IGNORED: &[&str] = &["phandle", "linux,phandle", "ibm,phandle", "slof,from-fdt"];
/// What the firmware has opened, in `/chosen`.
const INSTANCES: &[&str] = &["stdin", "stdout", "mmu", "memory", "cpu"];
/// Properties all of whose cells name nodes.
const POINTERS: &[&str] = &["interrupt-parent", "linux,stdout-package", "next-level-cache", "l2-cache"];

/// What became of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDiff {
    /// The path of the node.
    pub node: String,
    /// Whether it came, went or changed.
    pub change: Change,
    /// The properties that came: all of them, where the node did.
    pub came: Vec<String>,
    /// The properties that went: all of them, where the node did.
    pub went: Vec<String>,
    /// The properties with another value.
    pub changed: Vec<String>,
}

/// The differences, by path.
pub fn diff(before: &Tree<'_>, after: &Tree<'_>) -> Vec<NodeDiff> {
    let (before, after) = (Side::new(before), Side::new(after));
    let mut all = Vec::new();
    side_by_side(
        &before.nodes,
        &after.nodes,
        |node| node.path(),
        |pair| {
            let (node, change) = match pair {
                (Some(node), None) => (node, Change::Went),
                (None, Some(node)) => (node, Change::Came),
                (Some(node), Some(_)) => (node, Change::Changed),
                (None, None) => return,
            };
            let empty = Vec::new;
            let mut diff = NodeDiff {
                node: node.path().to_string(),
                change,
                came: empty(),
                went: empty(),
                changed: empty(),
            };
            diff.properties(pair, &before, &after);
            let same = diff.came.is_empty() && diff.went.is_empty() && diff.changed.is_empty();
            if change != Change::Changed || !same {
                all.push(diff);
            }
        },
    );
    all
}

impl NodeDiff {
    fn properties(&mut self, pair: Pair<'_, Node<'_, '_>>, before: &Side<'_, '_>, after: &Side<'_, '_>) {
        let sorted = [pair.0, pair.1].map(|node| node.map(sorted_properties).unwrap_or_default());
        side_by_side(
            &sorted[0],
            &sorted[1],
            |property| property.name,
            |properties| match properties {
                (Some(old), Some(new)) => {
                    let same = old.value == new.value
                        || match pair {
                            (Some(was), Some(is)) => {
                                let was = before.places(was, old.name, old.value);
                                was.is_some() && was == after.places(is, new.name, new.value)
                            }
                            _ => false,
                        };
                    if !same {
                        self.changed.push(new.name.to_string());
                    }
                }
                (Some(old), None) => self.went.push(old.name.to_string()),
                (None, Some(new)) => self.came.push(new.name.to_string()),
                (None, None) => {}
            },
        );
    }
}

/// What stands at one place before and after.
type Pair<'s, T> = (Option<&'s T>, Option<&'s T>);

/// Hands out what two sorted lists have, the same keys together.
fn side_by_side<'s, T, K: Ord + ?Sized>(
    before: &'s [T],
    after: &'s [T],
    key: impl Fn(&T) -> &K,
    mut each: impl FnMut(Pair<'s, T>),
) {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (Some(old), Some(new)) => key(old).cmp(key(new)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        each(match order {
            Ordering::Less => (before.next(), None),
            Ordering::Equal => (before.next(), after.next()),
            Ordering::Greater => (None, after.next()),
        });
    }
}

fn sorted_properties<'t>(node: &Node<'_, 't>) -> Vec<NodeProperty<'t>> {
    let ignored = if node.path() == "/chosen" { INSTANCES } else { &[] };
    let mut properties: Vec<_> = node.properties().collect();
    properties.retain(|property| !IGNORED.contains(&property.name) && !ignored.contains(&property.name));
    properties.sort_by(|one, other| one.name.cmp(other.name));
    properties
}

/// One of the two trees.
struct Side<'b, 't> {
    nodes: Vec<Node<'b, 't>>,
    /// The place in `nodes` of each handle.
    handles: BTreeMap<u32, usize>,
}

/// A part of a value: a plain number, or the path of the node that it names.
#[derive(PartialEq, Eq)]
enum Part<'s> {
    Cell(u32),
    Path(&'s str),
}

impl<'b, 't> Side<'b, 't> {
    fn new(tree: &'b Tree<'t>) -> Self {
        let mut nodes = tree.nodes();
        nodes.sort_by(|one, other| one.path().cmp(other.path()));
        let handle = |(at, node): (usize, &Node<'_, '_>)| Some((cell(node, "phandle")?, at));
        let handles = nodes.iter().enumerate().filter_map(handle).collect();
        Self { nodes, handles }
    }

    fn node(&self, handle: u32) -> Option<&Node<'b, 't>> {
        self.nodes.get(*self.handles.get(&handle)?)
    }

    fn path(&self, handle: u32) -> Option<Part<'_>> {
        self.node(handle).map(|node| Part::Path(node.path()))
    }

    /// A value with each handle in it replaced by where it points. `None` where that cannot be done.
    fn places(&self, node: &Node<'_, '_>, property: &str, value: &[u8]) -> Option<Vec<Part<'_>>> {
        let mut reader = Reader::new(value);
        let mut parts = Vec::new();
        while reader.left() != 0 {
            match property {
                "interrupt-map" => self.interrupt_map_entry(node, &mut reader, &mut parts)?,
                _ if POINTERS.contains(&property) => parts.push(self.path(reader.u32("handle").ok()?)?),
                _ => return None,
            }
        }
        Some(parts)
    }

    /// The unit address and the interrupt on this side, the controller, and both on its side.
    ///
    /// Ref: Devicetree Specification 0.4 2.4.3.1 (interrupt-map)
    fn interrupt_map_entry<'s>(
        &'s self,
        node: &Node<'_, '_>,
        reader: &mut Reader<'_>,
        parts: &mut Vec<Part<'s>>,
    ) -> Option<()> {
        let plain = |reader: &mut Reader<'_>, cells: u32, parts: &mut Vec<Part<'s>>| -> Result<(), Short> {
            (0..cells).try_for_each(|_| {
                parts.push(Part::Cell(reader.u32("interrupt-map")?));
                Ok(())
            })
        };
        let here = cell(node, "#address-cells")?.checked_add(cell(node, "#interrupt-cells")?)?;
        plain(reader, here, parts).ok()?;
        let handle = reader.u32("controller").ok()?;
        let controller = self.node(handle)?;
        parts.push(self.path(handle)?);
        let there = cell(controller, "#address-cells").unwrap_or(0);
        plain(reader, there.checked_add(cell(controller, "#interrupt-cells")?)?, parts).ok()
    }
}

fn cell(node: &Node<'_, '_>, property: &str) -> Option<u32> {
    node.value(property)?.try_into().ok().map(u32::from_be_bytes)
}
