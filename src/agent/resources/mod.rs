//! What a connector brings, really used: each kind of resource in a file of its own.

pub mod cpu;
pub mod memory;
pub mod pci;
pub mod phb;
pub mod pmem;
