//! Paprika's host: starts QEMU, plays the host's half of PAPR hotplug, and gives a verdict.
//!
//! | module | what it is |
//! |---|---|
//! | [`qemu`] | finding a QEMU, its command line, the process that was started |
//! | [`qmp`] | the first witness: QEMU's monitor protocol |
//! | [`console`], [`transcript`] | the second witness: what the guest says |
//! | [`trace`] | the third witness: QEMU's own trace |
//! | [`timeline`] | all of them on one line of time |
//! | [`machine`] | one running QEMU with its witnesses, and waiting for what they say |
//! | [`qtest`] | a third hand: memory and RTAS behind the guest's back |
//! | [`device`] | what can be plugged, and how |
//! | [`scenario`] | what `paprika run` does, step by step |
//! | [`checks`], [`verdict`], [`defects`] | what must hold afterwards, and what it means when it does not |
//! | [`render`] | all of it, for people |
//! | [`race`] | `paprika race`: many short runs, each with a device at an exact place |
//! | [`trials`] | stories of one boot that are more than a race |
//! | [`answers`] | `paprika answers`: each question that there is, with what was measured |
//! | [`transitions`] | `paprika transitions`: the connectors' state machine, measured and drawn |
//! | [`boot`] | what `paprika boot` does |
//! | [`out`] | standard output, which can fail |
//! | [`cli`] | the command line |
//!
//! Everything happens in one thread: the console and the monitor are watched together, so that a guest that talks never
//! blocks a QEMU that is asked something, and so that the order in which things were seen is the order in which they are
//! kept.

#![forbid(unsafe_code)]

pub mod answers;
pub mod boot;
pub mod checks;
pub mod cli;
pub mod console;
pub mod defects;
pub mod device;
pub mod directory;
pub mod machine;
pub mod out;
pub mod qemu;
pub mod qmp;
pub mod qtest;
pub mod race;
mod readiness;
pub mod render;
pub mod scenario;
pub mod signals;
pub mod stop;
pub mod timeline;
pub mod trace;
pub mod transcript;
pub mod transitions;
pub mod trials;
pub mod verdict;
