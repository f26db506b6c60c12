//! The guest's life: what it does when, and what it says about it.
//!
//! [`guest`] is the guest itself. Each chapter of its life is a file with methods of it, in the order in which
//! `src/main.rs` calls them: [`waking`], [`trees`], [`negotiation`] with [`reconciling`], [`handover`], `lives`, `restart`,
//! [`connectors`] with [`using`], [`listening`] with [`events`], [`moving`], [`ending`]. The rest is what the chapters stand
//! on.

pub mod aiming;
pub mod arguments;
mod checking;
pub mod connectors;
pub mod ending;
pub mod events;
pub mod facts;
pub mod guest;
pub mod handover;
pub mod hold;
pub mod interrupts;
pub mod journal;
pub mod listening;
mod lives;
pub mod moving;
pub mod negotiation;
pub mod numa;
pub mod numbered;
pub mod orders;
pub mod reconciling;
pub mod resources;
mod restart;
pub mod station;
mod transitions;
pub mod trees;
pub mod using;
pub mod waking;
