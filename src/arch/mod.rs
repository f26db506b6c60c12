//! The machine itself: the only unsafe code of the crate, and only for ppc64.

pub mod powerpc64;
