//! Where a resource is near: associativity, read from the tree and from fragments, and told.
//!
//! An associativity is a list of domains that hold the resource, from the largest to the smallest. Reference points say
//! which places of the list matter; the first of them is the one that systems call the node. With the second form the
//! list is shorter, and a table of its own says how far nodes are from each other. This guest places nothing; it tells.
//!
//! Ref: LoPAR 15.2 (associativity), Linux Documentation/arch/powerpc/associativity.rst

use crate::hotplug::fragment::Fragment;
use crate::log::{Record, Text};
use crate::openfirmware::Problem;
use crate::openfirmware::tree::{DynamicMemory, LmbFlags, LmbRun, Tree};
use crate::papr::drc::DrcIndex;
use crate::papr::option_vectors::{BitVector, VectorOption};
use crate::wire::{Reader, Short};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;

/// The property with the domains that hold a resource.
const DOMAINS: &str = "ibm,associativity";

/// What the tree says of nearness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// 1 or 2; 0 where none was granted.
    pub form: u8,
    /// Which places of an associativity matter, counted from 1.
    pub points: Vec<u32>,
    /// The lists that memory blocks refer to.
    pub arrays: Vec<Vec<u32>>,
    /// The nodes that the distances are about; second form only.
    pub nodes: Vec<u32>,
    /// The distance of each of them from each of them, row by row.
    pub distances: Vec<u8>,
    /// The blocks that the tree gives to the guest.
    given: Vec<LmbRun>,
    /// The domains of what has a node of its own, as a core, by its connector.
    named: Vec<(DrcIndex, Vec<u32>)>,
}

/// The associativity of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `fragment` or `tree`.
    pub told_by: &'static str,
    /// The domains, the largest first.
    pub domains: Vec<u32>,
}

impl Affinity {
    /// Reads what the tree says.
    pub fn read(tree: &Tree<'_>, memory: Option<&DynamicMemory>, problems: &mut Vec<Problem>) -> Self {
        let mut affinity = Self { form: form(tree.architecture_vec_5()), ..Self::default() };
        let given = memory.into_iter().flat_map(|memory| &memory.runs);
        affinity.given = given.filter(|run| run.flags.contains(LmbFlags::ASSIGNED)).copied().collect();
        for node in tree.nodes() {
            let path = node.path();
            let value = |name| node.properties().find(|one| one.name == name).map(|one| one.value);
            let drc =
                value("ibm,my-drc-index").and_then(|value| value.try_into().ok()).map(u32::from_be_bytes);
            if let Some((drc, value)) = drc.zip(value(DOMAINS))
                && affinity.take_named(DrcIndex(drc), value).is_err()
            {
                problems.push(cut_short(path, DOMAINS));
            }
            if path != "/rtas" && path != "/ibm,dynamic-reconfiguration-memory" {
                continue;
            }
            for property in node.properties() {
                if affinity.take(property.name, property.value).is_err() {
                    problems.push(cut_short(path, property.name));
                }
            }
        }
        affinity
    }

    /// Takes the associativity of a node that has a connector.
    fn take_named(&mut self, drc: DrcIndex, value: &[u8]) -> Result<(), Short> {
        self.named.push((drc, counted(value)?));
        Ok(())
    }

    /// Takes one property; most have nothing to do with it.
    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), Short> {
        match name {
            "ibm,associativity-reference-points" => self.points = cells(value),
            "ibm,associativity-lookup-arrays" => self.arrays = arrays(value)?,
            "ibm,numa-lookup-index-table" => self.nodes = counted(value)?,
            "ibm,numa-distance-table" => {
                let mut reader = Reader::new(value);
                let count = reader.u32("count of distances")?;
                self.distances = reader.take(count as usize, "distances")?.to_vec();
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the resource behind a connector is, as its fragment says or, for one that the tree gave, the tree: by a node of its
    /// own, or in the list of blocks.
    pub fn place(&self, drc: DrcIndex, fragment: Option<&Fragment>) -> Option<Place> {
        match fragment {
            Some(fragment) => {
                let property = fragment.property(DOMAINS)?;
                Some(Place { told_by: "fragment", domains: counted(&property.value).ok()? })
            }
            None => {
                if let Some((_, domains)) = self.named.iter().find(|(named, _)| *named == drc) {
                    return Some(Place { told_by: "tree", domains: domains.clone() });
                }
                let holds = |run: &&LmbRun| drc.0.checked_sub(run.first.0).is_some_and(|at| at < run.count);
                let run = self.given.iter().find(holds)?;
                let domains = self.arrays.get(usize::try_from(run.associativity).ok()?)?;
                Some(Place { told_by: "tree", domains: domains.clone() })
            }
        }
    }

    /// The node: the domain at the first reference point.
    pub fn node(&self, place: &Place) -> Option<u32> {
        let at = self.points.first()?.checked_sub(1)?;
        place.domains.get(usize::try_from(at).ok()?).copied()
    }

    /// How far the nodes are from `node`, in the order in which they are listed; empty where nothing says.
    pub fn distances_from(&self, node: u32) -> &[u8] {
        let many = self.nodes.len();
        let row = self.nodes.iter().position(|&one| one == node);
        row.and_then(|row| self.distances.get(row * many..(row + 1) * many)).unwrap_or_default()
    }

    /// What stands in the log of all this.
    pub fn record(&self) -> Record<'static> {
        Record::Affinity {
            form: self.form,
            points: list(&self.points),
            arrays: self.arrays.len() as u32,
            nodes: list(&self.nodes),
            distances: list(&self.distances),
        }
    }

    /// What stands in the log of one resource.
    pub fn record_of(&self, drc: DrcIndex, place: &Place) -> Record<'static> {
        let node = self.node(place);
        Record::Numa {
            drc,
            told_by: place.told_by.into(),
            domains: list(&place.domains),
            node,
            distances: list(node.map_or(&[][..], |node| self.distances_from(node))),
        }
    }
}

/// The form that was granted in vector 5, which begins with a byte for its length.
fn form(vector: Option<&[u8]>) -> u8 {
    let granted = vector.and_then(|bytes| BitVector::new(bytes.get(1..)?.to_vec()).ok()).unwrap_or_default();
    let is_granted = |option| granted.get(option) != 0;
    if is_granted(VectorOption::FORM2) { 2 } else { u8::from(is_granted(VectorOption::FORM1)) }
}

fn cut_short(node: &str, property: &str) -> Problem {
    Problem::new(node, property, "it is cut short")
}

fn cells(value: &[u8]) -> Vec<u32> {
    let mut reader = Reader::new(value);
    core::iter::from_fn(|| reader.u32("cell").ok()).collect()
}

/// Cells with their count before them.
fn counted(value: &[u8]) -> Result<Vec<u32>, Short> {
    let mut reader = Reader::new(value);
    let count = reader.u32("count of cells")?;
    (0..count).map(|_| reader.u32("cell")).collect()
}

/// How many lists, how many cells each of them has, and their cells.
fn arrays(value: &[u8]) -> Result<Vec<Vec<u32>>, Short> {
    let mut reader = Reader::new(value);
    let (count, len) = (reader.u32("count of lists")?, reader.u32("length of a list")?);
    // Without cells no list costs anything, and a count that lies would go on for ever.
    let count = if len == 0 { 0 } else { count };
    (0..count).map(|_| (0..len).map(|_| reader.u32("domain")).collect()).collect()
}

fn list<T: Display>(items: &[T]) -> Text<'static> {
    let mut text = String::new();
    for item in items {
        let comma = if text.is_empty() { "" } else { "," };
        text += &format!("{comma}{item}");
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::{Affinity, DrcIndex, LmbFlags, LmbRun, Place, arrays, counted, form};
    use proptest::prelude::*;
    use std::vec::Vec;

    fn value(cells: &[u32]) -> Vec<u8> {
        cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
    }

    fn of_two_nodes(form: u8) -> Affinity {
        let mut affinity = Affinity { form, ..Affinity::default() };
        let run = LmbRun {
            count: 2,
            base: 0x4000_0000,
            first: DrcIndex(0x8000_0004),
            associativity: 1,
            flags: LmbFlags::ASSIGNED,
        };
        affinity.given.push(run);
        let properties: [(&str, Vec<u8>); 2] = match form {
            1 => [
                ("ibm,associativity-reference-points", value(&[4, 3, 2, 1])),
                ("ibm,associativity-lookup-arrays", value(&[2, 4, 0, 0, 0, 0, 0, 0, 0, 1])),
            ],
            _ => [
                ("ibm,associativity-reference-points", value(&[1])),
                ("ibm,associativity-lookup-arrays", value(&[2, 1, 0, 1])),
            ],
        };
        for (name, value) in properties {
            affinity.take(name, &value).expect("well-formed");
        }
        affinity
    }

    #[test]
    fn a_block_of_the_tree_is_near_its_node() {
        for form in [1, 2] {
            let affinity = of_two_nodes(form);
            let place = affinity.place(DrcIndex(0x8000_0005), None).expect("given");
            assert_eq!((place.told_by, affinity.node(&place)), ("tree", Some(1)), "form {form}");
            assert_eq!(affinity.place(DrcIndex(0x8000_0006), None), None);
            assert_eq!(affinity.place(DrcIndex(0x8000_0003), None), None);
        }
    }

    #[test]
    fn what_has_a_node_of_its_own_is_where_that_says() {
        const CORE: DrcIndex = DrcIndex(0x1000_0008);
        let mut affinity = of_two_nodes(1);
        affinity.take_named(CORE, &value(&[5, 0, 0, 0, 1, 8])).expect("well-formed");
        let place = affinity.place(CORE, None).expect("it was told");
        assert_eq!((place.told_by, affinity.node(&place)), ("tree", Some(1)));
        assert_eq!(affinity.place(DrcIndex(0x1000_0000), None), None);
        assert!(affinity.take_named(CORE, &value(&[2, 0])).is_err());
    }

    #[test]
    fn distances_are_rows_of_a_square() {
        let mut affinity = of_two_nodes(2);
        affinity.take("ibm,numa-lookup-index-table", &value(&[2, 0, 1])).expect("well-formed");
        affinity.take("ibm,numa-distance-table", &[0, 0, 0, 4, 10, 40, 30, 10]).expect("well-formed");
        assert_eq!(affinity.distances_from(0), [10, 40]);
        assert_eq!(affinity.distances_from(1), [30, 10]);
        assert_eq!(affinity.distances_from(2), []);
        affinity.distances.truncate(3);
        assert_eq!(affinity.distances_from(1), [], "a row that is not all there is none");
    }

    #[test]
    fn a_point_that_is_not_in_the_list_gives_no_node() {
        let mut affinity = of_two_nodes(1);
        let place = Place { told_by: "tree", domains: [0, 1].to_vec() };
        assert_eq!(affinity.node(&place), None);
        affinity.points = [0].to_vec();
        assert_eq!(affinity.node(&place), None);
        affinity.points.clear();
        assert_eq!(affinity.node(&place), None);
    }

    #[test]
    fn the_second_form_wins() {
        let vector = |byte| form(Some(&[5, 0, 0, 0, 0, byte]));
        assert_eq!((vector(0x80), vector(0xa0), vector(0x20), vector(0x5f & !0x20)), (1, 2, 2, 0));
        assert_eq!((form(None), form(Some(&[0, 0]))), (0, 0));
    }

    #[test]
    fn lists_are_cut_at_every_place() {
        let whole = value(&[2, 2, 0, 1, 2, 3]);
        assert_eq!(arrays(&whole), Ok([[0, 1].to_vec(), [2, 3].to_vec()].to_vec()));
        for len in 0..whole.len() {
            assert!(arrays(&whole[..len]).is_err(), "{len}");
        }
        let whole = value(&[2, 7, 8]);
        assert_eq!(counted(&whole), Ok([7, 8].to_vec()));
        for len in 0..whole.len() {
            assert!(counted(&whole[..len]).is_err(), "{len}");
        }
        assert_eq!(arrays(&value(&[u32::MAX, 0])), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(bytes: Vec<u8>, name in 0..4_usize) {
            let names = [
                "ibm,associativity-reference-points",
                "ibm,associativity-lookup-arrays",
                "ibm,numa-lookup-index-table",
                "ibm,numa-distance-table",
            ];
            let mut affinity = of_two_nodes(2);
            let _ = affinity.take(names[name], &bytes);
            if let Some(place) = affinity.place(DrcIndex(0x8000_0004), None) {
                let _ = affinity.node(&place).map(|node| affinity.distances_from(node).len());
            }
        }
    }
}
