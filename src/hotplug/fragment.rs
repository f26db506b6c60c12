//! What configure-connector hands out: a small tree, collected from the stream.
//!
//! The stream is the platform's, so nothing about it is believed: it may pop above its root, repeat itself, end too
//! early or never. A [`Collector`] therefore has bounds for everything. A stream with a defect is still read to its end,
//! since a connector whose stream was broken off cannot be isolated any more; it is only not kept.
//!
//! Ref: LoPAR 13.5.3.5 (ibm,configure-connector)

use crate::papr::connector::{self, Step, WorkArea};
use crate::papr::status::Status;
use crate::wire::{Reader, Short};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// How large a fragment may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes in one another.
    pub depth: usize,
    /// Nodes.
    pub nodes: usize,
    /// Properties of all nodes together.
    pub properties: usize,
    /// Bytes of all names and values together.
    pub bytes: usize,
    /// Calls, with those that are busy.
    pub calls: u32,
    /// Milliseconds of being busy.
    pub wait_ms: u32,
}

impl Limits {
    /// Room for a full PCI host bridge, several times over.
    pub const DEFAULT: Self =
        Self { depth: 16, nodes: 1024, properties: 4096, bytes: 1 << 20, calls: 32768, wait_ms: 10_000 };
}

/// What is wrong with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FragmentError {
    /// The work area cannot be read.
    WorkArea(Short),
    /// A property came before any node.
    NoNode(String),
    /// It went to the parent of its first node.
    AboveRoot,
    /// A node or a property of this name came twice in the same node.
    Repeated(String),
    /// It ended that many levels below its first node.
    OpenLevels(usize),
    /// It ended without a node.
    Empty,
    /// It is larger than this bound.
    TooLarge(&'static str),
    /// It did not end within its bounds of calls and time.
    Endless,
    /// The call failed.
    Failed(Status),
}

impl fmt::Display for FragmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkArea(short) => write!(f, "the work area is wrong: {short}"),
            Self::NoNode(name) => write!(f, "the property {name} belongs to no node"),
            Self::AboveRoot => f.write_str("the fragment goes above its root"),
            Self::Repeated(name) => write!(f, "{name} comes twice in its node"),
            Self::OpenLevels(levels) => write!(f, "the fragment ends {levels} levels below its root"),
            Self::Empty => f.write_str("the fragment has no node"),
            Self::TooLarge(what) => write!(f, "the fragment has too many {what}"),
            Self::Endless => f.write_str("the fragment does not end"),
            Self::Failed(status) => write!(f, "the fragment broke off: {status}"),
        }
    }
}

/// A property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value, as far as it came.
    pub value: Vec<u8>,
    /// Bytes of the value that did not fit into the work area.
    pub cut: usize,
}

impl Property {
    /// The value as cells; bytes that fill no cell are left out.
    pub fn cells(&self) -> impl Iterator<Item = u32> + '_ {
        let mut reader = Reader::new(&self.value);
        core::iter::from_fn(move || reader.u32("cell").ok())
    }

    /// The value as one cell, where it is just that.
    pub fn cell(&self) -> Option<u32> {
        (self.value.len() == 4 && self.cut == 0).then(|| self.cells().next()).flatten()
    }

    /// The value as text up to its NUL.
    pub fn text(&self) -> Option<&str> {
        let text = Reader::new(&self.value).c_str("text").ok()?;
        core::str::from_utf8(text).ok()
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, with its unit address.
    pub name: String,
    /// The node that holds it, by its place in [`Fragment::nodes`].
    pub parent: Option<usize>,
    /// Its properties in the order in which they came.
    pub properties: Vec<Property>,
}

impl Node {
    /// The property of that name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }
}

/// A whole fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    nodes: Vec<Node>,
    calls: u32,
}

impl Fragment {
    /// Its nodes, each before those below it.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The first node; a fragment has at least one.
    pub fn root(&self) -> Option<&Node> {
        self.nodes.first()
    }

    /// The property of that name of the first node.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.root()?.property(name)
    }

    /// How many properties its nodes have together.
    pub fn properties(&self) -> usize {
        self.nodes.iter().map(|node| node.properties.len()).sum()
    }

    /// How many calls it took.
    pub const fn calls(&self) -> u32 {
        self.calls
    }

    /// The path of a node from the fragment's root, for people.
    pub fn path(&self, node: usize) -> String {
        let mut names = Vec::new();
        let mut at = Some(node);
        // A parent stands before its child, so this ends.
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            names.push(node.name.as_str());
            at = node.parent;
        }
        names.iter().rev().fold(String::new(), |path, name| path + "/" + name)
    }

    /// Every property with the path of its node.
    pub fn iter(&self) -> impl Iterator<Item = (String, &Property)> {
        self.nodes.iter().enumerate().flat_map(|(at, node)| {
            let path = self.path(at);
            node.properties.iter().map(move |property| (path.clone(), property))
        })
    }
}

/// How the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Call again.
    More,
    /// Call again after that many milliseconds.
    Wait(u32),
    /// It is over, or hopeless.
    Ended,
}

/// Collects a fragment.
#[derive(Clone, Debug)]
pub struct Collector {
    limits: Limits,
    nodes: Vec<Node>,
    /// The open nodes, the root first.
    open: Vec<usize>,
    properties: usize,
    bytes: usize,
    calls: u32,
    waited_ms: u32,
    /// The first thing that was wrong.
    defect: Option<FragmentError>,
    last: Status,
}

impl Default for Collector {
    fn default() -> Self {
        Self::new(Limits::DEFAULT)
    }
}

impl Collector {
    /// Starts a collection.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            nodes: Vec::new(),
            open: Vec::new(),
            properties: 0,
            bytes: 0,
            calls: 0,
            waited_ms: 0,
            defect: None,
            last: Status::SUCCESS,
        }
    }

    /// Takes one answer: what the call returned, and the work area after it.
    pub fn feed(&mut self, status: Status, area: &WorkArea) -> Progress {
        self.calls += 1;
        self.last = status;
        let progress = match connector::step(status, area) {
            Ok(step) => self.step(&step),
            Err(short) => {
                self.defect.get_or_insert(FragmentError::WorkArea(short));
                Progress::More
            }
        };
        if progress != Progress::Ended
            && (self.calls >= self.limits.calls || self.waited_ms > self.limits.wait_ms)
        {
            self.defect = Some(FragmentError::Endless);
            return Progress::Ended;
        }
        progress
    }

    fn step(&mut self, step: &Step<'_>) -> Progress {
        match step {
            Step::Complete => {
                self.check(Self::complete);
                return Progress::Ended;
            }
            Step::Failed(status) => {
                self.defect = Some(FragmentError::Failed(*status));
                return Progress::Ended;
            }
            Step::Again(delay) => {
                self.waited_ms = self.waited_ms.saturating_add(*delay);
                return Progress::Wait(*delay);
            }
            Step::Child(name) => self.check(|this| this.node(name)),
            Step::Sibling(name) => self.check(|this| {
                this.open.pop();
                this.node(name)
            }),
            Step::Property { name, value, cut } => self.check(|this| this.property(name, value, *cut)),
            Step::Parent => self.check(Self::parent),
        }
        Progress::More
    }

    /// Does something with the tree, unless it is spoilt already.
    fn check(&mut self, act: impl FnOnce(&mut Self) -> Result<(), FragmentError>) {
        if self.defect.is_none() {
            self.defect = act(self).err();
        }
    }

    fn room(&mut self, bytes: usize) -> Result<(), FragmentError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes { Err(FragmentError::TooLarge("bytes")) } else { Ok(()) }
    }

    fn node(&mut self, name: &[u8]) -> Result<(), FragmentError> {
        if self.nodes.len() >= self.limits.nodes {
            return Err(FragmentError::TooLarge("nodes"));
        }
        if self.open.len() >= self.limits.depth {
            return Err(FragmentError::TooLarge("levels"));
        }
        self.room(name.len())?;
        let name = String::from_utf8_lossy(name).into_owned();
        let parent = self.open.last().copied();
        if self.nodes.iter().any(|node| node.parent == parent && node.name == name) {
            return Err(FragmentError::Repeated(name));
        }
        self.open.push(self.nodes.len());
        self.nodes.push(Node { name, parent, properties: Vec::new() });
        Ok(())
    }

    fn property(&mut self, name: &[u8], value: &[u8], cut: usize) -> Result<(), FragmentError> {
        if self.properties >= self.limits.properties {
            return Err(FragmentError::TooLarge("properties"));
        }
        self.room(name.len() + value.len())?;
        let name = String::from_utf8_lossy(name).into_owned();
        let Some(node) = self.open.last().and_then(|at| self.nodes.get_mut(*at)) else {
            return Err(FragmentError::NoNode(name));
        };
        if node.property(&name).is_some() {
            return Err(FragmentError::Repeated(name));
        }
        node.properties.push(Property { name, value: value.to_vec(), cut });
        self.properties += 1;
        Ok(())
    }

    fn parent(&mut self) -> Result<(), FragmentError> {
        if self.open.len() <= 1 {
            return Err(FragmentError::AboveRoot);
        }
        self.open.pop();
        Ok(())
    }

    /// The end closes the first level by itself; QEMU sends it in the place of that level's end.
    fn complete(&mut self) -> Result<(), FragmentError> {
        match self.open.len() {
            0 => Err(FragmentError::Empty),
            1 => Ok(()),
            open => Err(FragmentError::OpenLevels(open - 1)),
        }
    }

    /// The last status, and the fragment or what is wrong with it.
    ///
    /// # Errors
    /// When the stream had a defect, or was not fed to its end.
    pub fn finish(self) -> (Status, Result<Fragment, FragmentError>) {
        let fragment = match self.defect {
            Some(defect) => Err(defect),
            None if self.last != Status::SUCCESS || self.calls == 0 => Err(FragmentError::Endless),
            None => Ok(Fragment { nodes: self.nodes, calls: self.calls }),
        };
        (self.last, fragment)
    }
}

#[cfg(test)]
mod tests;
