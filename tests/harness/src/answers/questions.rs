//! The questions: one place for each, with what it needs and how its answer follows from that.

mod cas;
mod guest;
mod moving;
mod races;
mod reset;
mod scale;
mod threads;

use super::{Holds, Question};

/// All questions, in no order.
pub const ALL: &[&[Question]] =
    &[races::ALL, cas::ALL, reset::ALL, guest::ALL, scale::ALL, threads::ALL, moving::ALL];

/// `yes` to all of several statements, to none, or to some.
fn each(are: impl IntoIterator<Item = bool>) -> Holds {
    let (mut yes, mut no) = (false, false);
    for is in are {
        if is { yes = true } else { no = true }
    }
    match (yes, no) {
        (true, true) => Holds::Depends,
        (true, false) => Holds::Yes,
        (false, true) => Holds::No,
        (false, false) => Holds::NotMeasured,
    }
}

/// `1 event`, `2 events`.
fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
