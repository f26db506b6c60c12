//! Event sources: which events come by which class and in which order, how many interrupts tell of them, and where
//! check-exception writes.

mod buffers;

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    buffers::cases()
}
