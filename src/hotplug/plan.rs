//! From an event to the connectors that it means, and what to do when one of them fails.
//!
//! An index means one connector. A count with an index means that many memory blocks in a row, all or none of them. A
//! mere count means any blocks: where one fails the next is tried, and only when there are not enough left is everything
//! undone. Linux does the same, and QEMU counts on it: after a mere count it refuses the blocks that it did not mean.
//!
//! Ref: LoPAR 10.3.2.2.13 (Table 164), Linux arch/powerpc/platforms/pseries/hotplug-memory.c (dlpar_memory)

use super::inventory::Inventory;
use crate::log::{Outcome, Request};
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::event::{Action, Hotplug, Identifier, IdentifierKind, Resource};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Why an event cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// There is no connector with this index.
    NoIndex(DrcIndex),
    /// There is no connector with this name.
    NoName(String),
    /// The connector connects something else than the event says.
    OtherKind {
        /// The connector.
        index: DrcIndex,
        /// What it connects.
        kind: DrcKind,
        /// What the event says.
        resource: Resource,
    },
    /// More than there are.
    TooMany {
        /// How many are asked for.
        wanted: u32,
        /// How many there are.
        there: usize,
    },
    /// None at all.
    Zero,
    /// Only memory can be counted.
    Uncountable(Resource),
    /// A kind of resource that this guest does not know.
    Resource(Resource),
    /// An action that this guest does not know.
    Action(Action),
    /// An identifier that this guest does not know.
    Identifier(IdentifierKind),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIndex(index) => write!(f, "there is no connector {index}"),
            Self::NoName(name) => write!(f, "there is no connector named {name}"),
            Self::OtherKind { index, kind, resource } => {
                write!(f, "the connector {index} is a {kind} and not a {resource}")
            }
            Self::TooMany { wanted, there } => write!(f, "{wanted} are asked for, there are {there}"),
            Self::Zero => f.write_str("none are asked for"),
            Self::Uncountable(resource) => write!(f, "{resource} cannot be counted"),
            Self::Resource(resource) => write!(f, "unknown resource {resource}"),
            Self::Action(action) => write!(f, "unknown action {action}"),
            Self::Identifier(kind) => write!(f, "unknown identifier {kind}"),
        }
    }
}

/// What connects a resource; memory is connected by blocks.
fn kind_of(resource: Resource) -> Option<DrcKind> {
    Some(match resource {
        Resource::CPU => DrcKind::CPU,
        Resource::MEMORY => DrcKind::LMB,
        Resource::SLOT => DrcKind::VIO,
        Resource::PHB => DrcKind::PHB,
        Resource::PCI => DrcKind::PCI,
        Resource::PMEM => DrcKind::PMEM,
        _ => return None,
    })
}

/// Which way an action goes.
///
/// # Errors
/// For an action that this guest does not know.
pub fn request_of(action: Action) -> Result<Request, PlanError> {
    match action {
        Action::ADD => Ok(Request::Add),
        Action::REMOVE => Ok(Request::Remove),
        other => Err(PlanError::Action(other)),
    }
}

const fn opposite(request: Request) -> Request {
    match request {
        Request::Add => Request::Remove,
        Request::Remove => Request::Add,
    }
}

/// What is to be done for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which way.
    pub request: Request,
    /// How many connectors it takes.
    pub wanted: usize,
    /// The connectors in the order in which they are to be tried. More than are wanted when any will do.
    pub candidates: Vec<DrcIndex>,
}

/// Finds the connectors that an event means.
///
/// # Errors
/// When it means none, or not enough of them, or nothing that this guest understands.
pub fn plan(event: &Hotplug<'_>, inventory: &Inventory) -> Result<Plan, PlanError> {
    let request = request_of(event.action)?;
    let kind = kind_of(event.resource).ok_or(PlanError::Resource(event.resource))?;
    let countable =
        || if kind == DrcKind::LMB { Ok(()) } else { Err(PlanError::Uncountable(event.resource)) };
    let known = |index| known(inventory, index, kind, event.resource);
    let (wanted, candidates) = match event.id {
        Identifier::Index(index) => (1, alloc::vec![known(index)?]),
        Identifier::Name(name) => {
            let name = String::from_utf8_lossy(name);
            let index = inventory.by_name(&name).ok_or_else(|| PlanError::NoName(name.into_owned()))?;
            (1, alloc::vec![known(index)?])
        }
        Identifier::CountIndexed { count, first } => {
            countable()?;
            let run = run(count, first)?.map(known).collect::<Result<Vec<_>, _>>()?;
            (run.len(), run)
        }
        Identifier::Count(count) => {
            countable()?;
            let candidates = any(request, kind, inventory);
            (enough(count, candidates.len())?, candidates)
        }
        Identifier::Unknown { kind, .. } => return Err(PlanError::Identifier(kind)),
    };
    Ok(Plan { request, wanted, candidates })
}

fn known(
    inventory: &Inventory,
    index: DrcIndex,
    kind: DrcKind,
    resource: Resource,
) -> Result<DrcIndex, PlanError> {
    match inventory.get(index) {
        None => Err(PlanError::NoIndex(index)),
        Some(connector) if connector.kind != kind => {
            Err(PlanError::OtherKind { index, kind: connector.kind, resource })
        }
        Some(_) => Ok(index),
    }
}

/// `wanted` as a number that is not 0 and not more than `there`.
fn enough(wanted: u32, there: usize) -> Result<usize, PlanError> {
    match usize::try_from(wanted) {
        Ok(0) => Err(PlanError::Zero),
        Ok(count) if count <= there => Ok(count),
        _ => Err(PlanError::TooMany { wanted, there }),
    }
}

/// `count` indexes from `first` on. Where they would go beyond the last number there is no such connector.
fn run(count: u32, first: DrcIndex) -> Result<impl Iterator<Item = DrcIndex>, PlanError> {
    let more = count.checked_sub(1).ok_or(PlanError::Zero)?;
    let last = first.0.checked_add(more).ok_or(PlanError::NoIndex(DrcIndex(u32::MAX)))?;
    Ok((first.0..=last).map(DrcIndex))
}

/// The blocks that a mere count can mean: the first that the guest has not, or the last that it has.
fn any(request: Request, kind: DrcKind, inventory: &Inventory) -> Vec<DrcIndex> {
    match request {
        Request::Add => inventory.of_kind(kind, false).collect(),
        Request::Remove => inventory.of_kind(kind, true).rev().collect(),
    }
}

/// One thing to do for a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Part of what the event asks for.
    Do(Request, DrcIndex),
    /// Takes back what was done, since the whole cannot be.
    Undo(Request, DrcIndex),
}

/// A plan on its way.
#[derive(Clone, Debug)]
pub struct Campaign {
    plan: Plan,
    /// How many candidates have been tried.
    tried: usize,
    /// How many were there already as they should be.
    settled: usize,
    /// What was changed, in order.
    changed: Vec<DrcIndex>,
    undoing: bool,
}

impl Campaign {
    /// Starts a plan.
    pub const fn new(plan: Plan) -> Self {
        Self { plan, tried: 0, settled: 0, changed: Vec::new(), undoing: false }
    }

    /// Takes what became of the last task, and says what to do next; `None` when nothing is left. What comes of
    /// [`Task::Undo`] is not asked for: there is nothing more that could be done.
    pub fn next(&mut self, last: Option<Outcome>) -> Option<Task> {
        if !self.undoing {
            if let Some(outcome) = last {
                self.note(outcome);
            }
            let missing = self.plan.wanted.saturating_sub(self.settled + self.changed.len());
            let left = self.plan.candidates.len() - self.tried;
            if missing == 0 {
                return None;
            }
            if missing <= left {
                let index = *self.plan.candidates.get(self.tried)?;
                self.tried += 1;
                return Some(Task::Do(self.plan.request, index));
            }
            self.undoing = true;
        }
        self.changed.pop().map(|index| Task::Undo(opposite(self.plan.request), index))
    }

    /// Whether everything that the event asks for has been done.
    pub fn is_complete(&self) -> bool {
        !self.undoing && self.settled + self.changed.len() >= self.plan.wanted
    }

    fn note(&mut self, outcome: Outcome) {
        let Some(index) = self.tried.checked_sub(1).and_then(|at| self.plan.candidates.get(at)) else {
            return;
        };
        match (outcome, self.plan.request) {
            (Outcome::Taken, Request::Add) | (Outcome::Released, Request::Remove) => {
                self.changed.push(*index);
            }
            (Outcome::Kept, Request::Add) | (Outcome::Ignored, Request::Remove) => self.settled += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
