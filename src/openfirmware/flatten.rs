//! One walk over the firmware's tree, kept as a flattened tree.
//!
//! Each call costs: SLOF interprets Forth for it, and under emulation that is most of the guest's boot. So a node takes
//! three calls (its first child, its next sibling, its path), a property two (its name, its value), and a value is read
//! a second time only when it is longer than all before it. The path is asked for because nothing else has the whole
//! name: the `name` property lacks the unit address, and only the parent node knows how to print one.
//!
//! The `name` property is left out. SLOF has it, VOF gained it on the way, and the node's name says the same; two trees
//! would differ in every node. A node without `phandle` is given the handle that the firmware knows it by.
//!
//! The firmware's tree is not trusted to end: depth, nodes and properties are bounded, and the size has a limit.

#[cfg(test)]
mod tests;

use super::Problem;
use super::client::{self, ClientError, NAME_MAX, PATH_MAX, Phandle};
use super::tree::{Malformed, Tree};
use super::writer::{Full, Writer};
use crate::machine::ClientInterface;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;

/// The deepest node that is taken; the root is at depth 1.
pub const MAX_DEPTH: usize = 32;
/// The most nodes that are taken.
pub const MAX_NODES: u32 = 1 << 16;
/// The most properties of one node that are taken.
pub const MAX_PROPERTIES: u32 = 1 << 10;
/// The room that a value has before a longer one was seen, in bytes. Few of QEMU's are longer.
const VALUE_ROOM: usize = 4096;

/// A flattened tree, and what was noticed on the way.
#[derive(Clone, Debug)]
pub struct FlatTree {
    bytes: Vec<u8>,
    /// How many nodes it has.
    pub nodes: u32,
    /// How many properties they have together.
    pub properties: u32,
    /// What could not be taken as it was.
    pub problems: Vec<Problem>,
}

impl FlatTree {
    /// The flattened tree, for a keeper.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A flattened tree that somebody else has made; what follows it is left out.
    ///
    /// # Errors
    /// When it is not well-formed.
    pub fn given(bytes: &[u8]) -> Result<Self, Malformed> {
        let tree = Tree::new(bytes)?;
        let nodes = tree.nodes();
        let properties = nodes.iter().map(|node| node.properties().count()).sum::<usize>();
        let [nodes, properties] =
            [nodes.len(), properties].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        // The second word of the header is the size; the tree was found well-formed, so that it fits.
        let size = bytes.get(4..8).and_then(|size| size.try_into().ok()).map_or(0, u32::from_be_bytes);
        let len = usize::try_from(size).unwrap_or(usize::MAX).min(bytes.len());
        Ok(Self {
            bytes: bytes.get(..len).unwrap_or(bytes).to_vec(),
            nodes,
            properties,
            problems: Vec::new(),
        })
    }

    /// The flattened tree.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A reader of it.
    ///
    /// # Errors
    /// None that a tree made by [`flatten`] has.
    pub fn tree(&self) -> Result<Tree<'_>, Malformed> {
        Tree::new(&self.bytes)
    }
}

/// Why there is no flattened tree, where the walk was, and how far it had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlattenError {
    /// Why.
    pub cause: Cause,
    /// The path of the node.
    pub path: String,
    /// The property, where it was about one.
    pub property: Option<String>,
    /// Bytes so far.
    pub size: usize,
    /// Nodes so far.
    pub nodes: u32,
}

/// Why there is no flattened tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A service failed.
    Client(ClientError),
    /// The firmware has no root.
    NoRoot,
    /// The tree would be larger than the limit.
    TooLarge {
        /// What it would have become at this place.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// There is no memory for it.
    NoMemory,
    /// Deeper than [`MAX_DEPTH`].
    TooDeep,
    /// More than [`MAX_NODES`].
    TooManyNodes,
    /// More than [`MAX_PROPERTIES`] in one node.
    TooManyProperties,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::NoRoot => f.write_str("the firmware has no device tree"),
            Self::TooLarge { size, limit } => {
                write!(f, "the tree would have {size} bytes here, the limit is {limit}")
            }
            Self::NoMemory => f.write_str("no memory for the tree"),
            Self::TooDeep => write!(f, "deeper than {MAX_DEPTH} nodes"),
            Self::TooManyNodes => write!(f, "more than {MAX_NODES} nodes"),
            Self::TooManyProperties => write!(f, "more than {MAX_PROPERTIES} properties in one node"),
        }
    }
}

impl fmt::Display for FlattenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if let Some(property) = &self.property {
            write!(f, ":{property}")?;
        }
        write!(f, ": {} (after {} nodes and {} bytes)", self.cause, self.nodes, self.size)
    }
}

impl From<ClientError> for Cause {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Walks the tree of `machine` and keeps it in at most `limit` bytes.
///
/// # Errors
/// When the firmware fails, when the tree does not end within the bounds, or when it is larger than `limit`.
pub fn flatten<M>(machine: &mut M, limit: usize) -> Result<FlatTree, FlattenError>
where
    M: ClientInterface + ?Sized,
{
    let nowhere = |full| FlattenError {
        cause: cause_of(full, limit),
        path: "/".to_string(),
        property: None,
        size: 0,
        nodes: 0,
    };
    let writer = Writer::new(limit).map_err(nowhere)?;
    let mut walk = Walk {
        machine,
        limit,
        writer,
        value: Vec::new(),
        path: Vec::new(),
        property: None,
        nodes: 0,
        properties: 0,
        problems: Vec::new(),
    };
    match walk.run() {
        Ok(()) => walk.finish().map_err(nowhere),
        Err(cause) => Err(walk.error(cause)),
    }
}

fn cause_of(full: Full, limit: usize) -> Cause {
    match full {
        Full::Limit { size } => Cause::TooLarge { size, limit },
        Full::Memory => Cause::NoMemory,
    }
}

struct Walk<'m, M: ?Sized> {
    machine: &'m mut M,
    limit: usize,
    writer: Writer,
    /// Where values are read to; as long as the longest so far.
    value: Vec<u8>,
    /// The names from the root to the node that is open; the root's is empty.
    path: Vec<String>,
    /// The property that is being read.
    property: Option<String>,
    nodes: u32,
    properties: u32,
    problems: Vec<Problem>,
}

impl<M: ClientInterface + ?Sized> Walk<'_, M> {
    fn run(&mut self) -> Result<(), Cause> {
        self.grow(VALUE_ROOM)?;
        let root = client::root(self.machine)?.ok_or(Cause::NoRoot)?;
        // The way from the root to the node that is open. No recursion: the stack is small, and the tree not ours.
        let mut open = Vec::new();
        let mut next = Some(root);
        loop {
            if let Some(node) = next {
                self.enter(node)?;
                open.push(node);
                next = client::child(self.machine, node)?;
            } else {
                let Some(node) = open.pop() else { return Ok(()) };
                self.write(Writer::end_node)?;
                // The root has no siblings; asking for them could start another walk.
                next = if open.is_empty() { None } else { client::peer(self.machine, node)? };
                self.path.pop();
            }
        }
    }

    fn finish(self) -> Result<FlatTree, Full> {
        let bytes = self.writer.finish()?;
        Ok(FlatTree { bytes, nodes: self.nodes, properties: self.properties, problems: self.problems })
    }

    fn write(&mut self, item: impl FnOnce(&mut Writer) -> Result<(), Full>) -> Result<(), Cause> {
        item(&mut self.writer).map_err(|full| cause_of(full, self.limit))
    }

    fn enter(&mut self, node: Phandle) -> Result<(), Cause> {
        if self.path.len() == MAX_DEPTH {
            return Err(Cause::TooDeep);
        }
        if self.nodes == MAX_NODES {
            return Err(Cause::TooManyNodes);
        }
        self.nodes += 1;
        let name = self.name(node)?;
        self.path.push(name.clone());
        self.write(|writer| writer.begin_node(&name))?;
        self.take_properties(node)
    }

    /// The last part of the node's path, which is empty for the root.
    fn name(&mut self, node: Phandle) -> Result<String, Cause> {
        let mut path = [0; PATH_MAX];
        let path = client::package_to_path(self.machine, node, &mut path)?;
        let last = path.and_then(|path| path.rsplit(|&byte| byte == b'/').next()).unwrap_or_default();
        let whole = core::str::from_utf8(last).is_ok();
        let mut name = String::from_utf8_lossy(last).into_owned();
        let what = match (path.is_some(), name.is_empty() != self.path.is_empty()) {
            (false, _) => "the firmware does not know the path of this node",
            (_, true) => "the last part of the path is not the name of this node",
            _ if !whole => "the name is not text",
            _ => return Ok(name),
        };
        if self.path.is_empty() {
            name.clear();
        } else if name.is_empty() {
            name = alloc::format!("unnamed-{:x}", node.0);
        }
        let node = alloc::format!("{}/{name}", self.path.join("/"));
        self.problems.push(Problem { node, property: String::new(), what: what.to_string() });
        Ok(name)
    }

    fn take_properties(&mut self, node: Phandle) -> Result<(), Cause> {
        let mut buffers = [[0; NAME_MAX]; 2];
        let [previous, current] = &mut buffers;
        let mut names = (previous, current);
        let mut has_phandle = false;
        for _ in 0..MAX_PROPERTIES {
            let previous = CStr::from_bytes_until_nul(names.0).unwrap_or_default();
            let Some(name) = client::nextprop(self.machine, node, previous, names.1)? else {
                return if has_phandle { Ok(()) } else { self.keep("phandle", &node.0.to_be_bytes()) };
            };
            has_phandle |= name == c"phandle";
            if name != c"name" {
                self.take_property(node, name)?;
            }
            names = (names.1, names.0);
        }
        Err(Cause::TooManyProperties)
    }

    fn take_property(&mut self, node: Phandle, name: &CStr) -> Result<(), Cause> {
        let text = name.to_string_lossy();
        self.property = Some(text.clone().into_owned());
        let Some(len) = self.read(node, name)? else {
            self.problem("the firmware lists this property and does not have it");
            return Ok(());
        };
        if name.to_str().is_err() {
            self.problem("the name is not text");
        }
        let value = core::mem::take(&mut self.value);
        let kept = self.keep(&text, value.get(..len).unwrap_or(&value));
        self.value = value;
        self.property = None;
        kept
    }

    /// Reads a value into the buffer, which grows where it must; its length.
    fn read(&mut self, node: Phandle, name: &CStr) -> Result<Option<usize>, Cause> {
        let mut len = client::getprop(self.machine, node, name, &mut self.value)?;
        if let Some(longer) = len.filter(|&len| len > self.value.len()) {
            self.grow(longer)?;
            len = client::getprop(self.machine, node, name, &mut self.value)?;
        }
        Ok(len.map(|len| len.min(self.value.len())))
    }

    /// Makes the buffer `room` bytes long, if a value of that length can be part of the tree.
    fn grow(&mut self, room: usize) -> Result<(), Cause> {
        let size = self.writer.size().saturating_add(room);
        if room > VALUE_ROOM && size > self.limit {
            return Err(Cause::TooLarge { size, limit: self.limit });
        }
        let more = room.saturating_sub(self.value.len());
        self.value.try_reserve_exact(more).map_err(|_| Cause::NoMemory)?;
        self.value.resize(room, 0);
        Ok(())
    }

    fn keep(&mut self, name: &str, value: &[u8]) -> Result<(), Cause> {
        self.write(|writer| writer.property(name, value))?;
        self.properties += 1;
        Ok(())
    }

    fn place(&self) -> String {
        if self.path.len() <= 1 { "/".to_string() } else { self.path.join("/") }
    }

    fn problem(&mut self, what: &str) {
        let property = self.property.take().unwrap_or_default();
        self.problems.push(Problem { node: self.place(), property, what: what.to_string() });
    }

    fn error(&self, cause: Cause) -> FlattenError {
        let size = self.writer.size();
        FlattenError { cause, path: self.place(), property: self.property.clone(), size, nodes: self.nodes }
    }
}
