//! Paprika's guest: the client's half of PAPR hotplug, from the words of the specification to a running payload.
//!
//! Layers, each of which uses only those above it in this list, and those beside it:
//!
//! | layer | module | what it is |
//! |---|---|---|
//! | L0 | [`wire`] | big-endian cells and open enums |
//! | L1 | [`machine`] | the seam to the machine |
//! | L1 | [`papr`] | the vocabulary of the specification |
//! | L1 | [`log`] | what the guest can say, as text and back |
//! | L2 | [`openfirmware`] | the client interface, and the device tree that is read through it |
//! | L3 | [`hotplug`] | decisions about connectors, and a model of the hypervisor's half |
//! | L4 | [`agent`] | the guest's life: what it does when, and what it says about it |
//! | L5 | `arch` | the machine itself: the only unsafe code, and only on ppc64 |
//!
//! Everything but `arch` builds and is tested on any host. `src/main.rs` puts the pieces together.

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod agent;
#[cfg(target_arch = "powerpc64")]
pub mod arch;
pub mod hotplug;
pub mod log;
pub mod machine;
pub mod openfirmware;
pub mod papr;
pub mod wire;
