//! The connectors that the tree lists.
//!
//! A node that has connectors lists them in four properties side by side: index, name, type and power domain. Each
//! begins with a count. Nothing forces the four to be of one length, so the list of indexes says how many there are, as
//! far as it goes, and what the others lack is filled in. A list tells of one problem, not of one per entry: there may
//! be tens of thousands.
//!
//! Ref: LoPAR 13.5.2 (Table 176)

use super::{Tree, cells};
use crate::openfirmware::Problem;
use crate::papr::drc::{DrcIndex, DrcKind};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const INDEXES: &str = "ibm,drc-indexes";
const NAMES: &str = "ibm,drc-names";
const TYPES: &str = "ibm,drc-types";
const DOMAINS: &str = "ibm,drc-power-domains";
/// The power domain of what has none.
const NO_DOMAIN: i32 = -1;

/// A connector as the tree lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// The path of the node that lists it.
    pub owner: String,
    /// Its index.
    pub index: DrcIndex,
    /// Its name; empty where the list of names is too short.
    pub name: String,
    /// What it connects, by its type or else by its index.
    pub kind: DrcKind,
    /// Its power domain, -1 where it has none.
    pub power_domain: i32,
}

impl Tree<'_> {
    /// The connectors that all nodes list, in the order of the tree.
    ///
    /// Ref: LoPAR 13.5.2 (Table 176)
    pub fn connectors(&self, problems: &mut Vec<Problem>) -> Vec<Connector> {
        let mut all = Vec::new();
        for node in self.nodes() {
            listed(node.path(), |list| node.value(list), &mut all, problems);
        }
        all
    }
}

/// One of the four lists: the count that it begins with, and the entries that are there.
struct List<T> {
    count: Option<u32>,
    entries: Vec<T>,
}

impl<T> List<T> {
    fn new<'t>(value: Option<&'t [u8]>, entries: impl FnOnce(&'t [u8]) -> Vec<T>) -> Self {
        let (count, body) = value.and_then(|value| value.split_first_chunk()).unzip();
        Self { count: count.copied().map(u32::from_be_bytes), entries: entries(body.unwrap_or_default()) }
    }

    /// As many entries as the count and the value both have.
    fn len(&self) -> usize {
        self.entries.len().min(self.count.map_or(0, |count| count as usize))
    }

    fn get(&self, at: usize) -> Option<&T> {
        self.entries.get(at).filter(|_| at < self.len())
    }

    /// What is wrong with it where `wanted` entries are needed.
    fn problem(&self, wanted: usize) -> Option<String> {
        let found = self.entries.len();
        match self.count {
            None => Some("there is no such list".to_string()),
            Some(count) if count as usize != found => {
                Some(format!("it has {found} entries and says {count}"))
            }
            Some(_) if found != wanted => Some(format!("it has {found} entries for {wanted} connectors")),
            Some(_) => None,
        }
    }
}

/// Adds the connectors that the node at `path` lists to `all`; `value` hands out its properties, wherever it came from.
pub fn listed<'t>(
    path: &str,
    value: impl Fn(&str) -> Option<&'t [u8]>,
    all: &mut Vec<Connector>,
    problems: &mut Vec<Problem>,
) {
    if [INDEXES, NAMES, TYPES, DOMAINS].iter().all(|list| value(list).is_none()) {
        return;
    }
    let indexes = List::new(value(INDEXES), |body| cells(body).collect());
    let names = List::new(value(NAMES), |body| strings(body).collect());
    let types = List::new(value(TYPES), |body| strings(body).collect());
    let domains = List::new(value(DOMAINS), |body| cells(body).collect());
    let len = indexes.len();
    let found = [
        (INDEXES, indexes.problem(len)),
        (NAMES, names.problem(len)),
        (TYPES, types.problem(len)),
        (DOMAINS, domains.problem(len)),
    ];
    for (property, what) in found {
        problems.extend(what.map(|what| Problem::new(path, property, what)));
    }
    all.reserve(len);
    let mut unknown = None;
    for (at, &index) in indexes.entries.iter().take(len).enumerate() {
        let index = DrcIndex(index);
        let drc_type = types.get(at).copied();
        let kind = drc_type.and_then(|text| DrcKind::from_type(core::str::from_utf8(text).ok()?));
        if kind.is_none() && unknown.is_none() {
            unknown = drc_type;
        }
        let name = names.get(at).copied().unwrap_or_default();
        all.push(Connector {
            owner: path.to_string(),
            index,
            name: String::from_utf8_lossy(name).into_owned(),
            kind: kind.unwrap_or(index.kind()),
            power_domain: domains.get(at).map_or(NO_DOMAIN, |domain| domain.cast_signed()),
        });
    }
    if let Some(text) = unknown {
        let what = format!("an unknown type: {}", String::from_utf8_lossy(text));
        problems.push(Problem::new(path, TYPES, what));
    }
}

/// The strings in a value, each of which ends with its NUL.
fn strings(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split_inclusive(|&byte| byte == 0).filter_map(|text| text.strip_suffix(&[0]))
}
