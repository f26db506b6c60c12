//! Storage class memory: the hypervisor calls behind a persistent memory device.
//!
//! Binding gives the device's blocks a real address; its metadata is no memory but is read and written by calls, up to
//! eight bytes at a time. Some of the calls take long and say so: they hand out a token with which they are to be made
//! again, until they are done. Here that is honoured, up to a bound, so that a caller sees the last answer only.
//!
//! Ref: Linux Documentation/arch/powerpc/papr_hcalls.rst, QEMU hw/ppc/spapr_nvdimm.c (h_scm_bind_mem)

use super::drc::DrcIndex;
use super::hcall::{Hcall, Reply};
use super::status::ReturnCode;
use crate::machine::{Clock, Hypervisor};

const H_SCM_READ_METADATA: u64 = 0x3e4;
const H_SCM_WRITE_METADATA: u64 = 0x3e8;
const H_SCM_BIND_MEM: u64 = 0x3ec;
const H_SCM_UNBIND_MEM: u64 = 0x3f0;
const H_SCM_UNBIND_ALL: u64 = 0x3fc;
const H_SCM_HEALTH: u64 = 0x400;
const H_SCM_FLUSH: u64 = 0x44c;

/// The platform chooses the address.
const ANY_ADDRESS: u64 = u64::MAX;
/// [`Scm::unbind_all`] means one device, not all of the partition.
const SCOPE_DEVICE: u64 = 2;
/// Bytes of metadata that one call of ours carries.
const METADATA_WORD: u64 = 8;
/// The longest that a call may be busy, in milliseconds, before that is its answer.
const PATIENCE_MS: u32 = 10_000;

/// None of these makes the hypervisor write to memory that is ours: what they find out comes back in registers, and
/// what they write to is the device.
impl Hcall {
    /// Eight bytes of metadata at `offset`: they come back in r4. Reads the device only.
    const fn scm_read_metadata(drc: DrcIndex, offset: u64) -> Self {
        Self::new(H_SCM_READ_METADATA, [drc.0 as u64, offset, METADATA_WORD])
    }

    /// Puts eight bytes, given in r6, into the metadata at `offset`. The metadata is in nobody's address space.
    const fn scm_write_metadata(drc: DrcIndex, offset: u64, data: u64) -> Self {
        Self::new(H_SCM_WRITE_METADATA, [drc.0 as u64, offset, data, METADATA_WORD])
    }

    /// Gives `blocks` blocks from the first on an address, in r5, and says in r6 how many. The platform chooses an
    /// address where nothing is, so memory that is ours is neither written nor covered.
    const fn scm_bind_mem(drc: DrcIndex, blocks: u64, token: u64) -> Self {
        const FIRST: u64 = 0;
        Self::new(H_SCM_BIND_MEM, [drc.0 as u64, FIRST, blocks, ANY_ADDRESS, token])
    }

    /// Takes their address from blocks of this device; how many is in r5. The platform refuses an address that is not
    /// the device's, so memory that is ours stays where it is.
    const fn scm_unbind_mem(drc: DrcIndex, address: u64, blocks: u64, token: u64) -> Self {
        Self::new(H_SCM_UNBIND_MEM, [drc.0 as u64, address, blocks, token])
    }

    /// The same for all blocks of the device.
    const fn scm_unbind_all(drc: DrcIndex, token: u64) -> Self {
        Self::new(H_SCM_UNBIND_ALL, [SCOPE_DEVICE, drc.0 as u64, token])
    }

    /// The health bits in r4, and in r5 which of them mean something.
    const fn scm_health(drc: DrcIndex) -> Self {
        Self::new(H_SCM_HEALTH, [drc.0 as u64])
    }

    /// Makes what was written to the device last. It reads the device's memory and writes to what is behind it.
    const fn scm_flush(drc: DrcIndex, token: u64) -> Self {
        Self::new(H_SCM_FLUSH, [drc.0 as u64, token])
    }
}

/// A persistent memory device, ready to be called.
#[derive(Debug)]
pub struct Scm<'m, M> {
    /// The machine.
    pub machine: &'m mut M,
    /// The connector of the device.
    pub drc: DrcIndex,
}

impl<M: Hypervisor + Clock> Scm<'_, M> {
    /// Makes a call, and again with the token that it hands out while it says that it is busy.
    fn until_done(&mut self, call: impl Fn(u64) -> Hcall) -> Reply {
        let (mut token, mut waited) = (0, 0_u32);
        loop {
            let reply = self.machine.hcall(call(token));
            match reply.code.retry_after_ms() {
                Some(delay) if waited.saturating_add(delay) <= PATIENCE_MS => {
                    token = reply.values[0];
                    waited += delay;
                    self.machine.sleep_ms(delay);
                }
                _ => return reply,
            }
        }
    }

    /// Binds the first `blocks` blocks: the address, and how many were bound.
    ///
    /// # Errors
    /// The code with which the call failed.
    pub fn bind(&mut self, blocks: u64) -> Result<(u64, u64), ReturnCode> {
        let drc = self.drc;
        let reply = self.until_done(|token| Hcall::scm_bind_mem(drc, blocks, token));
        reply.done().map(|[_, address, bound, _]| (address, bound))
    }

    /// Unbinds `blocks` blocks from `address` on: how many were unbound.
    ///
    /// # Errors
    /// The code with which the call failed.
    pub fn unbind(&mut self, address: u64, blocks: u64) -> Result<u64, ReturnCode> {
        let drc = self.drc;
        let reply = self.until_done(|token| Hcall::scm_unbind_mem(drc, address, blocks, token));
        reply.done().map(|[_, unbound, ..]| unbound)
    }

    /// Unbinds all that is bound of the device: how many blocks.
    ///
    /// # Errors
    /// The code with which the call failed.
    pub fn unbind_all(&mut self) -> Result<u64, ReturnCode> {
        let drc = self.drc;
        let reply = self.until_done(|token| Hcall::scm_unbind_all(drc, token));
        reply.done().map(|[_, unbound, ..]| unbound)
    }

    /// Eight bytes of metadata.
    ///
    /// # Errors
    /// The code with which the call failed.
    pub fn read_metadata(&mut self, offset: u64) -> Result<u64, ReturnCode> {
        let drc = self.drc;
        self.until_done(|_| Hcall::scm_read_metadata(drc, offset)).done().map(|[data, ..]| data)
    }

    /// Replaces eight bytes of metadata.
    ///
    /// # Errors
    /// The code with which the call failed.
    pub fn write_metadata(&mut self, offset: u64, data: u64) -> Result<(), ReturnCode> {
        let drc = self.drc;
        self.until_done(|_| Hcall::scm_write_metadata(drc, offset, data)).done().map(|_| ())
    }

    /// The health bits, and which of them mean something.
    ///
    /// # Errors
    /// The code with which the call failed.
    pub fn health(&mut self) -> Result<(u64, u64), ReturnCode> {
        let drc = self.drc;
        self.until_done(|_| Hcall::scm_health(drc)).done().map(|[bits, mask, ..]| (bits, mask))
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// The code with which the call failed.
    pub fn flush(&mut self) -> Result<(), ReturnCode> {
        let drc = self.drc;
        self.until_done(|token| Hcall::scm_flush(drc, token)).done().map(|_| ())
    }
}

impl Reply {
    /// The values of a call that succeeded.
    fn done(self) -> Result<[u64; 4], ReturnCode> {
        if self.code == ReturnCode::SUCCESS { Ok(self.values) } else { Err(self.code) }
    }
}

#[cfg(test)]
mod tests;
