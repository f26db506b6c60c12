//! The log: what the guest says, in lines that a person can read and the host can trust.
//!
//! [`Record`] is everything that the guest can say. The guest writes records with [`write()`], the host reads them with
//! [`parse`]; both come from this one place, and a test proves that every record survives the way there and back.

mod field;
mod line;
mod record;
mod words;

pub use field::{Bytes, Field, Hex, Text, parse_hex};
pub use line::{Damage, Entry, START, parse, parse_again, write};
pub use record::Record;
pub use words::{Change, Learned, Outcome, Request, Severity, Verdict};
