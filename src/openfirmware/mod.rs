//! Open Firmware: its client interface, and the device tree that is read through it.
//!
//! The firmware owns the device tree and hands it out by one property a call. [`client`] makes these calls;
//! [`flatten`] makes one walk over the whole tree and keeps it as a flattened tree, so that everything after it reads
//! memory and calls nobody. [`tree`] gives the parts that hotplug needs their types, and [`diff`] says what CAS did to
//! the rest.
//!
//! Nothing here trusts the tree: what cannot be read becomes a [`Problem`], and what can be read is handed out.

#[cfg(test)]
pub(crate) mod captured;
pub mod client;
pub mod diff;
#[cfg(test)]
pub(crate) mod fake;
pub mod flatten;
pub mod tree;
pub(crate) mod writer;

use alloc::string::String;
use core::fmt;

/// Something in the device tree that is missing or absurd. Whoever finds it goes on with the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path of the node.
    pub node: String,
    /// The property, or nothing where the node itself is the problem.
    pub property: String,
    /// What is wrong, in plain words.
    pub what: String,
}

impl Problem {
    pub(crate) fn new(node: impl Into<String>, property: &str, what: impl Into<String>) -> Self {
        Self { node: node.into(), property: property.into(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.property.is_empty() { "" } else { ":" };
        write!(f, "{}{colon}{}: {}", self.node, self.property, self.what)
    }
}
