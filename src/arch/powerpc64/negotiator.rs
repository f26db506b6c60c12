//! Negotiating behind the firmware's back, and with a block that lies at an odd place.

use super::{Powerpc64, entry, firmware, hcall, heap, stack};
use crate::machine::{Arg, Negotiator};
use crate::papr::hcall::H_CAS;
use crate::papr::status::ReturnCode;

impl Negotiator for Powerpc64 {
    fn h_cas(&mut self, mut vectors: Arg<'_>, tree: &mut [u8]) -> ReturnCode {
        stack::check();
        let (block, size) = (firmware::cell(&mut vectors).into(), tree.len() as u64);
        // SAFETY: what the hypervisor writes is `tree`, and no more than its size, which is exclusively borrowed; the
        // block that it reads lives as long as `vectors`.
        unsafe { hcall::raw(H_CAS, [block, tree.as_mut_ptr() as u64, size, 0, 0]) }.code
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> bool {
        let (at, size) = (u64::from(at), bytes.len() as u64);
        let ours = |part: &core::ops::Range<u64>| at < part.end && part.start < at + size;
        if at == 0 || [entry::image(), heap::range()].iter().any(ours) {
            return false;
        }
        for (place, &byte) in (at..).zip(bytes) {
            // SAFETY: neither the payload nor its heap is there, and the caller has claimed it from the firmware, so it is
            // nobody else's. Real-mode addresses are pointers here.
            unsafe { (place as *mut u8).write_volatile(byte) };
        }
        true
    }
}
