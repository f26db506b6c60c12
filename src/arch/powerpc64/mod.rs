//! ppc64 in real mode, under a hypervisor.
//!
//! | file | what it is | with |
//! |---|---|---|
//! | `entry` | from the firmware's jump to the first safe Rust | `boot/head.S`, `boot/memory.S` |
//! | `msr` | the machine state register | |
//! | `block` | what one processor's assembly and Rust share | |
//! | `low_memory` | the exception vectors, and lending low memory to the firmware | `boot/vectors.S` |
//! | `exception` | what is done about an exception that nobody expected | |
//! | `hcall` | the `sc 1` instruction | |
//! | `io` | accesses to devices, which the hypervisor makes |  |
//! | `firmware` | the client interface and RTAS | `boot/firmware.S` |
//! | `console` | text to and from the terminal | |
//! | `clock` | the time base, and waiting | |
//! | `heap` | the allocator | |
//! | `stack` | bounds of stacks | |
//! | `memory` | trying memory that was plugged | |
//! | `negotiator` | negotiating without the firmware, and from odd places | |
//! | `processors` | starting and stopping other threads | `boot/secondary.S` |
//! | `restart` | the payload's entry once more, without a reset | |
//! | `queues` | memory that the interrupt controller writes to | |
//! | `panic` | the end | |
//! | `platform` | what is known and set in one place each, and ways to crash | |
//!
//! Addresses and pointers are the same here: translation is off, and every address of the payload, its heap and its
//! stacks is below 4 GiB, since the client interface and RTAS take 32-bit addresses.

#![allow(unsafe_code, reason = "this is where the machine is")]

mod block;
mod clock;
mod console;
mod entry;
mod exception;
mod firmware;
mod hcall;
mod heap;
mod io;
mod low_memory;
mod memory;
mod msr;
mod negotiator;
mod panic;
mod platform;
mod processors;
mod queues;
mod restart;
mod stack;

pub use entry::Powerpc64;
