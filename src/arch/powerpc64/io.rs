//! Accesses to devices. The hypervisor makes them for us: in real mode a processor may take every load and store for one
//! to memory that is cached, and only a hypervisor that emulates the processor does not care.

use super::{Powerpc64, hcall, memory, stack};
use crate::machine::{Io, IoError};
use crate::papr::hcall::{H_LOGICAL_CI_LOAD, H_LOGICAL_CI_STORE, Reply};
use crate::papr::pci::Width;
use crate::papr::status::ReturnCode;

/// Bytes of a doubleword.
const DOUBLE: u32 = 8;

/// One access; `value` is what is stored, and means nothing for a load.
fn access(opcode: u64, address: u64, bytes: u32, value: u64) -> Result<Reply, IoError> {
    IoError::check(address, bytes, memory::initial_end())?;
    stack::check();
    // SAFETY: all that is ours lies below the end of the memory that was there at boot, and the address does not;
    // it is aligned, so the access does not wrap around either.
    let reply = unsafe { hcall::raw(opcode, [u64::from(bytes), address, value, 0, 0]) };
    if reply.code == ReturnCode::SUCCESS { Ok(reply) } else { Err(IoError::Refused(reply.code)) }
}

impl Io for Powerpc64 {
    fn io_load(&mut self, address: u64, width: Width) -> Result<u32, IoError> {
        // The upper half of the register is none of the value's.
        access(H_LOGICAL_CI_LOAD, address, width.bytes(), 0)
            .map(|reply| reply.values[0] as u32 & width.ones())
    }

    fn io_store(&mut self, address: u64, width: Width, value: u32) -> Result<(), IoError> {
        access(H_LOGICAL_CI_STORE, address, width.bytes(), u64::from(value & width.ones())).map(|_| ())
    }

    fn io_load_double(&mut self, address: u64) -> Result<u64, IoError> {
        access(H_LOGICAL_CI_LOAD, address, DOUBLE, 0).map(|reply| reply.values[0])
    }

    fn io_store_double(&mut self, address: u64, value: u64) -> Result<(), IoError> {
        access(H_LOGICAL_CI_STORE, address, DOUBLE, value).map(|_| ())
    }
}
