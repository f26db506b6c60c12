//! The guest's life: what it does when, and what it says about it.

pub mod arguments;
pub mod hold;
pub mod interrupts;
pub mod journal;
pub mod numbered;
pub mod resources;
pub mod station;
