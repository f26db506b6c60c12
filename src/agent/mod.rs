//! The guest's life: what it does when, and what it says about it.

pub mod journal;
