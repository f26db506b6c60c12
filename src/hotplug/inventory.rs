//! What the guest knows of its connectors: which there are, and which it has.
//!
//! Built from what the device tree lists, and kept up to date by what becomes of each request. A machine with terabytes
//! of room has tens of thousands of memory connectors, so an entry is small: a name that follows from the kind and the
//! index, as all of QEMU's do, is not stored.
//!
//! Ref: LoPAR 13.5.2 (Table 176)

use super::State;
use super::connector::Conclusion;
use crate::log::{Learned, Outcome, Request};
use crate::papr::drc::{DrcIndex, DrcKind};
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use core::fmt;

/// What the guest knows of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// What it connects.
    pub kind: DrcKind,
    /// Its state, as far as the guest can know.
    pub state: State,
    /// How the guest came to have it; none while it does not.
    pub held: Option<Learned>,
    /// Its name, where that does not follow from the kind and the index.
    name: Option<Box<str>>,
}

/// The tree lists a connector twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The index that is there already.
    pub index: DrcIndex,
    /// The name that came with it the second time.
    pub name: Box<str>,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connector {} is listed twice, the second time as {}", self.index, self.name)
    }
}

/// Writes the name that QEMU gives to a connector.
///
/// Ref: QEMU hw/ppc/spapr_drc.c (spapr_drc_name)
fn usual_name(index: DrcIndex, kind: DrcKind) -> Option<alloc::string::String> {
    const ID_MASK: u32 = 0x0fff_ffff;
    let prefix = match kind {
        DrcKind::CPU => "CPU ",
        DrcKind::PHB => "PHB ",
        DrcKind::PCI => "C",
        DrcKind::LMB => "LMB ",
        DrcKind::PMEM => "PMEM ",
        _ => return None,
    };
    Some(alloc::format!("{prefix}{}", index.0 & ID_MASK))
}

impl Connector {
    /// Its name; `index` is its own.
    pub fn name(&self, index: DrcIndex) -> Cow<'_, str> {
        match &self.name {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(usual_name(index, self.kind).unwrap_or_default()),
        }
    }
}

/// The connectors by index.
#[derive(Clone, Debug, Default)]
pub struct Inventory(BTreeMap<DrcIndex, Connector>);

impl Inventory {
    /// Knows nothing.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds what the tree lists, and hands out what was there already.
    pub fn extend<'n>(
        &mut self,
        listed: impl IntoIterator<Item = (DrcIndex, &'n str, DrcKind)>,
    ) -> alloc::vec::Vec<Duplicate> {
        listed.into_iter().filter_map(|(index, name, kind)| self.insert(index, name, kind).err()).collect()
    }

    /// Adds a connector that the guest does not have.
    ///
    /// # Errors
    /// When there is one with this index; it stays as it is.
    pub fn insert(&mut self, index: DrcIndex, name: &str, kind: DrcKind) -> Result<(), Duplicate> {
        let Entry::Vacant(entry) = self.0.entry(index) else {
            return Err(Duplicate { index, name: name.into() });
        };
        let name = (usual_name(index, kind).as_deref() != Some(name)).then(|| name.into());
        entry.insert(Connector { kind, state: State::empty(kind.is_physical()), held: None, name });
        Ok(())
    }

    /// Forgets connectors, as those of a PCI host bridge that went away.
    pub fn forget(&mut self, mut gone: impl FnMut(DrcIndex) -> bool) {
        self.0.retain(|index, _| !gone(*index));
    }

    /// The guest has this connector: the tree said so. `false` if there is no such connector.
    pub fn hold(&mut self, index: DrcIndex, learned: Learned) -> bool {
        self.0.get_mut(&index).is_some_and(|connector| {
            (connector.state, connector.held) = (State::Configured, Some(learned));
            true
        })
    }

    /// What the guest has, it has: takes over the connectors that are held in `before`, also those that are not here. Of memory
    /// blocks it takes all over when none are here: a tree without them says nothing about them.
    pub fn keep_held(&mut self, before: &Self) {
        let is_silent = !self.0.values().any(|connector| connector.kind == DrcKind::LMB);
        for (index, connector) in &before.0 {
            if connector.held.is_some() || is_silent && connector.kind == DrcKind::LMB {
                let kept = self.0.entry(*index).or_insert_with(|| connector.clone());
                (kept.state, kept.held) = (connector.state, connector.held);
            }
        }
    }

    /// Keeps what became of a request.
    pub fn conclude(&mut self, index: DrcIndex, request: Request, learned: Learned, end: &Conclusion) {
        let Some(connector) = self.0.get_mut(&index) else { return };
        connector.state = end.state;
        connector.held = match (end.outcome, request) {
            (Outcome::Taken | Outcome::Kept, _) => connector.held.or(Some(learned)),
            (Outcome::Released | Outcome::Failed, _) | (Outcome::Ignored, Request::Remove) => None,
            // What is stuck on the way in was never used; what is stuck on the way out is not used any more.
            (Outcome::Stuck, _) => None,
            (Outcome::Ignored, Request::Add) => connector.held,
        };
    }

    /// The connector with this index.
    pub fn get(&self, index: DrcIndex) -> Option<&Connector> {
        self.0.get(&index)
    }

    /// The connector with this name.
    pub fn by_name(&self, name: &str) -> Option<DrcIndex> {
        self.0.iter().find(|(index, connector)| connector.name(**index) == name).map(|(index, _)| *index)
    }

    /// All connectors in the order of their indexes.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (DrcIndex, &Connector)> {
        self.0.iter().map(|(index, connector)| (*index, connector))
    }

    /// The connectors of a kind that the guest has, or has not.
    pub fn of_kind(&self, kind: DrcKind, held: bool) -> impl DoubleEndedIterator<Item = DrcIndex> {
        let wanted = move |connector: &Connector| connector.kind == kind && connector.held.is_some() == held;
        self.iter().filter(move |(_, connector)| wanted(connector)).map(|(index, _)| index)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Conclusion, DrcIndex, DrcKind, Inventory, Learned, Outcome, Request, State};
    use std::string::String;

    const LMB: DrcIndex = DrcIndex(0x8000_0004);

    fn lmbs(count: u32) -> Inventory {
        let mut inventory = Inventory::new();
        for id in 4..4 + count {
            let name = std::format!("LMB {id}");
            inventory.insert(DrcIndex(0x8000_0000 | id), &name, DrcKind::LMB).expect("new");
        }
        inventory
    }

    #[test]
    fn thousands_of_blocks_are_cheap() {
        let inventory = lmbs(32768);
        assert!(inventory.iter().all(|(_, connector)| connector.name.is_none()));
        assert!(size_of::<super::Connector>() <= 24);
        assert_eq!(inventory.by_name("LMB 32771"), Some(DrcIndex(0x8000_8003)));
        assert_eq!(inventory.of_kind(DrcKind::LMB, false).next_back(), Some(DrcIndex(0x8000_8003)));
    }

    #[test]
    fn a_name_that_does_not_follow_from_the_index_is_kept() {
        let mut inventory = lmbs(1);
        let listed = [(DrcIndex(0x4000_0008), "U7.1-C8", DrcKind::PCI), (LMB, "again", DrcKind::LMB)];
        let duplicates = inventory.extend(listed);
        assert_eq!(duplicates.len(), 1);
        assert_eq!(
            std::format!("{}", duplicates[0]),
            "the connector 80000004 is listed twice, the second time as again"
        );
        assert_eq!(inventory.by_name("U7.1-C8"), Some(DrcIndex(0x4000_0008)));
        assert_eq!(inventory.by_name("LMB 4"), Some(LMB));
        assert_eq!(inventory.by_name("C8"), None);
        let states: Vec<_> = inventory.iter().map(|(_, connector)| connector.state).collect();
        assert_eq!(states, [State::PowerOn, State::Unusable]);
    }

    #[test]
    fn what_is_held_outlives_another_tree() {
        let (other, slot) = (DrcIndex(0x8000_0005), DrcIndex(0x4000_0008));
        let mut before = lmbs(2);
        before.insert(slot, "C8", DrcKind::PCI).expect("new");
        assert!(before.hold(LMB, Learned::Event));
        // A tree that has blocks, but not the other one, and one that has none.
        let (mut telling, mut silent) = (lmbs(1), Inventory::new());
        telling.keep_held(&before);
        silent.keep_held(&before);
        for after in [&telling, &silent] {
            assert_eq!(after.get(LMB), before.get(LMB));
            assert_eq!(after.get(slot), None, "it is not held");
        }
        assert_eq!((telling.get(other), silent.get(other)), (None, before.get(other)));
    }

    #[test]
    fn what_became_of_a_request_says_who_has_it() {
        use {Outcome as O, Request as R};
        for (before, request, outcome, after) in [
            (false, R::Add, O::Taken, true),
            (false, R::Add, O::Kept, true),
            (false, R::Add, O::Failed, false),
            (false, R::Add, O::Stuck, false),
            (false, R::Add, O::Ignored, false),
            (true, R::Add, O::Ignored, true),
            (true, R::Remove, O::Released, false),
            (true, R::Remove, O::Kept, true),
            (true, R::Remove, O::Stuck, false),
            (false, R::Remove, O::Ignored, false),
        ] {
            let mut inventory = lmbs(1);
            if before {
                assert!(inventory.hold(LMB, Learned::Tree));
            }
            let end = Conclusion { outcome, state: State::Unknown, reason: String::new() };
            inventory.conclude(LMB, request, Learned::Event, &end);
            let connector = inventory.get(LMB).expect("listed");
            let learned = if before { Learned::Tree } else { Learned::Event };
            assert_eq!(connector.held, after.then_some(learned), "{before} {request} {outcome}");
            assert_eq!(connector.state, State::Unknown);
        }
    }

    #[test]
    fn connectors_can_be_forgotten() {
        let mut inventory = lmbs(3);
        inventory.forget(|index| index == LMB);
        assert_eq!((inventory.len(), inventory.get(LMB)), (2, None));
        assert!(!inventory.hold(LMB, Learned::Tree));
    }
}
