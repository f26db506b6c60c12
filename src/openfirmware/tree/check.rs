//! Whether a flattened tree is one: every token, length, name and level.
//!
//! The `fdt` crate is only shown what passes here, so this is stricter than the format where the crate is: a NOP, which
//! the format allows anywhere, makes it panic or stop, and neither the firmware nor our own writer writes any. The
//! root has no name, properties come before children, and nothing follows the end.
//!
//! Ref: Devicetree Specification 0.4 5.4.2 (tree structure)

use crate::openfirmware::client::NAME_MAX;
use crate::openfirmware::flatten::MAX_DEPTH;
use crate::openfirmware::writer::{BEGIN_NODE, END, END_NODE, MAGIC, PROP, VERSION};
use crate::wire::{Reader, Short};
use core::fmt;

/// Bytes that are no flattened tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where, in bytes from the start.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {} of the tree: {}", self.at, self.what)
    }
}

/// A block of the tree and where it starts.
struct Block<'t> {
    at: usize,
    bytes: &'t [u8],
}

impl<'t> Block<'t> {
    fn new(tree: &'t [u8], at: u32, size: u32, what: &'static str) -> Result<Self, Malformed> {
        // A usize holds a u32 on every machine that this runs on.
        let (at, size) = (at as usize, size as usize);
        let bytes = at.checked_add(size).and_then(|end| tree.get(at..end));
        bytes.map(|bytes| Self { at, bytes }).ok_or(Malformed { at, what })
    }
}

/// The bytes of the tree alone, once they were found well-formed.
pub(super) fn check(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(bytes);
    let mut header = [0; 10];
    for cell in &mut header {
        let at = reader.position();
        *cell = reader.u32("header").map_err(|_| Malformed { at, what: "the header is cut short" })?;
    }
    let [magic, total, structure, strings, _, version, compatible, _, strings_size, structure_size] = header;
    if magic != MAGIC {
        return Err(Malformed { at: 0, what: "it does not start as a flattened tree" });
    }
    // The version counts up, and says which versions before it can read the tree. The size of the structure block,
    // which the `fdt` crate goes by, came with 17.
    if version < VERSION || compatible > VERSION {
        return Err(Malformed { at: 20, what: "a version that is not read here" });
    }
    let tree = Block::new(bytes, 0, total, "it is cut short")?.bytes;
    let strings = Block::new(tree, strings, strings_size, "the strings are not in the tree")?;
    let structure = Block::new(tree, structure, structure_size, "the structure is not in the tree")?;
    Walk { reader: Reader::new(structure.bytes), strings, at: structure.at }.run()?;
    Ok(tree)
}

struct Walk<'t> {
    reader: Reader<'t>,
    strings: Block<'t>,
    /// Where the structure starts.
    at: usize,
}

impl<'t> Walk<'t> {
    fn run(mut self) -> Result<(), Malformed> {
        let (mut depth, mut ended, mut in_properties) = (0, false, false);
        loop {
            let token = self.read(|reader| reader.u32("token"))?;
            match token {
                BEGIN_NODE if ended => return Err(self.wrong("there is a second root")),
                BEGIN_NODE if depth == MAX_DEPTH => return Err(self.wrong("it is too deep")),
                BEGIN_NODE => {
                    self.node_name(depth == 0)?;
                    depth += 1;
                    in_properties = true;
                }
                PROP if in_properties => self.property()?,
                PROP => return Err(self.wrong("a property is not before the children of a node")),
                END_NODE if depth == 0 => return Err(self.wrong("a node ends that did not start")),
                END_NODE => {
                    depth -= 1;
                    ended = depth == 0;
                    in_properties = false;
                }
                END if !ended => return Err(self.wrong("it ends within a node")),
                END if self.reader.left() != 0 => return Err(self.wrong("it goes on after its end")),
                END => return Ok(()),
                _ => return Err(self.wrong("an unknown token")),
            }
        }
    }

    fn wrong(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at + self.reader.position(), what }
    }

    fn read<T>(&mut self, item: impl FnOnce(&mut Reader<'t>) -> Result<T, Short>) -> Result<T, Malformed> {
        let cut = self.wrong("the structure is cut short");
        item(&mut self.reader).map_err(|_| cut)
    }

    /// Skips to the next cell.
    fn pad(&mut self) -> Result<(), Malformed> {
        let len = self.reader.position().next_multiple_of(4) - self.reader.position();
        self.read(|reader| reader.take(len, "padding")).map(|_| ())
    }

    fn node_name(&mut self, root: bool) -> Result<(), Malformed> {
        let name = self.read(|reader| reader.c_str("name of a node"))?;
        if name.is_empty() != root {
            return Err(self.wrong("the root alone has no name"));
        }
        if core::str::from_utf8(name).is_err() {
            return Err(self.wrong("the name of a node is not text"));
        }
        self.pad()
    }

    fn property(&mut self) -> Result<(), Malformed> {
        let len = self.read(|reader| reader.u32("length"))?;
        let name = self.read(|reader| reader.u32("name"))?;
        self.property_name(name as usize)?;
        self.read(|reader| reader.take(len as usize, "value"))?;
        self.pad()
    }

    /// The name at this place among the strings. Its length is bounded: many properties may share a long one.
    fn property_name(&self, offset: usize) -> Result<(), Malformed> {
        let rest = self.strings.bytes.get(offset..).unwrap_or_default();
        let name = Reader::new(rest.get(..NAME_MAX).unwrap_or(rest)).c_str("name of a property");
        match name.map(core::str::from_utf8) {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Malformed {
                at: self.strings.at.saturating_add(offset),
                what: "the name of a property is not there, too long or not text",
            }),
        }
    }
}
