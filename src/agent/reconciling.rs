//! CAS in the middle of a life: what the guest has is held against the tree that came back.
//!
//! A platform that negotiates drops the hotplug events that wait, hands out what they were about in the tree, and ends
//! what it was asked to take back. So no event tells of any of this: the guest takes what the tree gives and it does not
//! have, and lets go of what it has and the tree does not give. What is in use already stays as it is, and memory blocks
//! do where the tree has none at all, as without DRCONF_MEMORY.
//!
//! Ref: QEMU hw/ppc/spapr_hcall.c (do_client_architecture_support: spapr_drc_reset_all, spapr_clear_pending_hotplug_events)

use super::facts::Facts;
use super::guest::{Chapter, Guest};
use crate::hotplug::State;
use crate::hotplug::connector::Conclusion;
use crate::log::{Learned, Outcome, Request};
use crate::machine::Machine;
use crate::papr::drc::{DrcIndex, DrcKind};
use alloc::vec::Vec;

impl Facts {
    /// Host bridges and functions that were known before and are still there keep what the guest has set up for them.
    fn keep_set_up(&mut self, before: &mut Self) {
        for phb in &mut self.phbs {
            if let Some(known) = before.phbs.iter_mut().find(|known| known.buid == phb.buid) {
                known.slots.clone_from(&phb.slots);
                core::mem::swap(known, phb);
            }
        }
        for function in &mut self.functions {
            if let Some(known) = before.functions.iter_mut().find(|known| known.drc == function.drc) {
                core::mem::swap(known, function);
            }
        }
    }
}

impl<M: Machine> Guest<M> {
    /// Whether the guest has taken what the first tree gave.
    pub(super) fn has_settled(&self) -> bool {
        self.inventory.iter().any(|(_, connector)| connector.held.is_some())
    }

    /// Makes what the guest has and what the tree gives the same; `before` is what the guest lived by until now. Another
    /// interrupt controller is set up and opened at once.
    pub(super) fn reconcile(&mut self, mut before: Facts, same_controller: bool) -> Chapter {
        self.facts.keep_set_up(&mut before);
        // A tree without memory blocks says nothing about them.
        let is_silent = self.facts.blocks.size == 0;
        if is_silent {
            self.facts.blocks = core::mem::take(&mut before.blocks);
        }
        let given: Vec<DrcIndex> = self.facts.given().collect();
        let told = |kind| !is_silent || kind != DrcKind::LMB;
        let held =
            self.inventory.iter().filter(|(_, connector)| connector.held.is_some() && told(connector.kind));
        let gone: Vec<DrcIndex> =
            held.map(|(index, _)| index).filter(|index| !given.contains(index)).collect();
        for index in gone {
            self.let_go(index, &before);
        }
        self.take_what_the_tree_gives()?;
        if same_controller {
            return Ok(());
        }
        self.aim = None;
        self.install_the_handler()?;
        self.arm_the_handler()
    }

    /// The platform has taken something back without a word.
    fn let_go(&mut self, index: DrcIndex, before: &Facts) {
        let kind = self.kind_of(index);
        self.begin(index, kind, Request::Remove, Learned::Tree, None);
        let threads =
            before.cores.iter().filter(|core| core.drc == Some(index)).flat_map(|core| &core.servers);
        threads.for_each(|&server| self.machine.bare().forget(server));
        let reason = "the tree does not give it any more".into();
        let end = Conclusion { outcome: Outcome::Released, state: State::empty(kind.is_physical()), reason };
        self.inventory.conclude(index, Request::Remove, Learned::Tree, &end);
        self.done(index, kind, Request::Remove, &end);
    }
}
