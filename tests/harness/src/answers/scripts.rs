//! The scripts: short experiments that no race makes, each with what it finds out.

mod gap;
mod life;
mod manners;
mod memory;
mod moving;
mod queue;
mod reset;
mod size;
mod threads;

pub use gap::{EARLY, GAP, MASKED};
pub use life::{ALL_OV6, CAS_TWICE, CLEARED, WITHOUT_HP_EVT, ZEROS};
pub use manners::{MULTIFUNCTION, OWNER, REFUSE_CPU, REFUSE_MEMORY, REFUSE_PCI, REFUSE_PHB, TWICE};
pub use memory::{IDENTIFIERS, IDENTIFIERS_EPOW, READINGS};
pub use moving::{HALF_MOVED, OTHER_ORDER, SAME_ORDER};
pub use queue::{FLOOD, FLOOD_EPOW};
pub use reset::{CAS_RESET, CAS_RESET_VOF, CORE_RESET, QUEUE_RESET};
pub use size::{GAPS, TRANSITIONS};
pub use threads::{BESIDE, LAST};

use crate::device::{Kind, LMB_BYTES};
use crate::qemu::command::Setup;

/// The DIMM that is plugged where any will do.
const DIMM: Kind = Kind::Dimm(LMB_BYTES);

/// The machine as it is.
const fn as_it_is(_: &mut Setup) {}
