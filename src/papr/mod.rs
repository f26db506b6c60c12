//! The vocabulary of PAPR: names from the specification, each number in one place, no decisions and no I/O.
//!
//! "LoPAR" is the *Linux on Power Architecture Reference*, the public edition of PAPR. Where QEMU's behaviour and not
//! the specification is meant, the reference names QEMU's file.

pub mod connector;
pub mod drc;
pub mod event;
pub mod hcall;
pub mod indicator;
pub mod interrupt;
pub mod option_vectors;
pub mod pci;
pub mod rtas;
pub mod scm;
pub mod status;
pub mod xive;
