//! The device tree: read before CAS and again after it, and what CAS did to it.
//!
//! Each reading is one walk in one firmware window, kept as a flattened tree. What the guest lives by is the second
//! reading; the first tells the platform's options and where the memory ends that was there at boot.

use super::arguments::{Print, Sources};
use super::facts::Facts;
use super::guest::{Chapter, Guest};
use super::interrupts::Controller;
use super::station::Station;
use crate::log::{Bytes, Record, Severity, Text};
use crate::machine::Machine;
use crate::openfirmware::diff::diff;
use crate::openfirmware::flatten::{FlatTree, flatten};
use crate::openfirmware::tree::Tree;
use crate::openfirmware::{Problem, client};
use crate::papr::rtas::Tokens;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// Which reading it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The tree that the firmware booted the guest with.
    BeforeCas,
    /// The tree that CAS left behind.
    AfterCas,
}

impl When {
    const fn word(self) -> &'static str {
        match self {
            Self::BeforeCas => "before-cas",
            Self::AfterCas => "after-cas",
        }
    }
}

impl<M: Machine> Guest<M> {
    /// Reads the whole tree, and says how large it is and what is wrong with it; after CAS also what CAS changed.
    pub fn read_the_tree(&mut self, when: When) -> Chapter {
        let flat = self.flatten(when)?;
        for problem in &flat.problems {
            self.tree_problem(problem);
        }
        let tree = flat.tree().map_err(|problem| self.fatal("device tree", problem.to_string()))?;
        if self.arguments.prints(Print::Tree) {
            self.print_tree(&tree);
        }
        let mut problems = Vec::new();
        let facts = Facts::read(&tree, &mut problems);
        match when {
            When::BeforeCas => {
                self.machine.bare().set_initial_memory_end(facts.memory_end);
                self.machine.bare().set_server(facts.boot_server);
                self.facts = facts;
                self.before = Some(flat);
            }
            When::AfterCas => {
                self.say_difference(&tree);
                self.live_by(&tree, facts, problems)?;
                // CAS can be repeated.
                self.before = Some(flat);
                self.reach(Station::TreeRead);
            }
        }
        Ok(())
    }

    /// The same of a tree that was kept.
    pub(super) fn know_the_platform(&mut self, tree: &Tree<'_>) -> Chapter {
        let mut problems = Vec::new();
        let facts = Facts::read(tree, &mut problems);
        self.live_by(tree, facts, problems)
    }

    fn live_by(&mut self, tree: &Tree<'_>, facts: Facts, mut problems: Vec<Problem>) -> Chapter {
        self.tokens = Tokens::read(|call| tree.rtas_token(call));
        let settled = self.has_settled();
        self.know_connectors(tree, &mut problems);
        let mut known = core::mem::replace(&mut self.facts, facts);
        if self.facts.platform_support.is_empty() {
            // The tree that the hypervisor hands out may lack it, as it lacks what the firmware adds.
            self.facts.platform_support = core::mem::take(&mut known.platform_support);
        }
        let same_controller = settled && self.facts.controller == known.controller;
        if !same_controller {
            let by_call = self.arguments.xive == Sources::Calls;
            self.controller = Controller::new(&self.facts.controller, self.facts.boot_server, by_call);
        }
        self.say(&self.facts.affinity.record());
        // What is wrong before CAS is wrong after it, and said once.
        self.tell_problems(&problems);
        if settled { self.reconcile(known, same_controller) } else { Ok(()) }
    }

    fn flatten(&mut self, when: When) -> Chapter<FlatTree> {
        // Where nobody says, the heap is the limit.
        let limit =
            self.arguments.tree_max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
        let flat = match self.given.take() {
            Some(given) => given,
            None => {
                self.open_firmware("device tree");
                let flat = flatten(&mut self.machine, limit);
                self.close_firmware("device tree");
                flat.map_err(|problem| self.fatal("device tree", problem.to_string()))?
            }
        };
        self.say(&Record::Tree {
            when: when.word().into(),
            nodes: flat.nodes,
            properties: flat.properties,
            bytes: u32::try_from(flat.bytes().len()).unwrap_or(u32::MAX),
        });
        Ok(flat)
    }

    /// Says what is wrong with a tree, or with a piece of one.
    pub(super) fn tell_problems(&mut self, problems: &[Problem]) {
        problems.iter().for_each(|problem| self.tree_problem(problem));
    }

    fn tree_problem(&mut self, problem: &Problem) {
        let Problem { node, property, what } = problem;
        let place = if property.is_empty() { node.clone() } else { format!("{node}:{property}") };
        self.problem(Severity::Major, &place, what.clone());
    }

    /// Says what CAS did to each node.
    fn say_difference(&mut self, after: &Tree<'_>) {
        let Some(flat) = self.before.take() else { return };
        let Ok(before) = flat.tree() else { return };
        for node in diff(&before, after) {
            self.say(&Record::TreeDiff {
                node: node.node.as_str().into(),
                change: node.change,
                came: list(&node.came),
                went: list(&node.went),
                changed: list(&node.changed),
            });
        }
    }

    fn know_connectors(&mut self, tree: &Tree<'_>, problems: &mut Vec<Problem>) {
        let settled = self.has_settled();
        let known = core::mem::take(&mut self.inventory);
        let listed = tree.connectors(problems);
        let entries = listed.iter().map(|listed| (listed.index, listed.name.as_str(), listed.kind));
        for double in self.inventory.extend(entries) {
            self.problem(Severity::Major, "ibm,drc-indexes", format!("{} is there twice", double.index));
        }
        if settled {
            self.inventory.keep_held(&known);
        }
    }

    fn print_tree(&mut self, tree: &Tree<'_>) {
        for node in tree.nodes() {
            for property in node.properties() {
                let value = Bytes::from(property.value);
                self.say(&Record::Property { node: node.path().into(), name: property.name.into(), value });
            }
        }
    }

    /// A guest whose tree could not be read asks the firmware for the tokens one by one, to end in order.
    pub(super) fn ask_for_tokens(&mut self) {
        let Ok(Some(node)) = client::finddevice(&mut self.machine, c"/rtas") else { return };
        let machine = &mut self.machine;
        self.tokens =
            Tokens::read(|call| client::getprop_cell(machine, node, call.property()).ok().flatten());
        if let Ok(Some(size)) = client::getprop_cell(&mut self.machine, node, c"rtas-size") {
            self.facts.rtas_size = size;
        }
    }
}

/// Names, with semicolons between them: they have commas of their own.
fn list(names: &[alloc::string::String]) -> Text<'static> {
    names.join(";").into()
}
