//! To come.

pub mod arguments;
pub mod station;
