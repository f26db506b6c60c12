//! stub
use super::tree::Tree;
use crate::log::Change;
use alloc::{string::String, vec::Vec};
pub struct NodeDiff {
    pub node: String,
    pub change: Change,
    pub came: Vec<String>,
    pub went: Vec<String>,
    pub changed: Vec<String>,
}
pub fn diff(_: &Tree<'_>, _: &Tree<'_>) -> Vec<NodeDiff> {
    Vec::new()
}
