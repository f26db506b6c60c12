//! Where the hypervisor wrote, of the calls of check-exception that the host had the guest make.
//!
//! What was not put to the test is not judged: a long buffer says nothing of short ones.

use crate::defects::{SLIP_BEYOND, SLIP_NOWHERE};
use crate::transcript::Transcript;
use crate::verdict::{Class, Finding};
use paprika::log::Record;
use paprika::papr::status::Status;

/// Whose properties these are.
const SUBJECT: &str = "check-exception";

/// One call.
struct Call {
    length: u32,
    elsewhere: bool,
    rc: Status,
    before: u32,
    written: u32,
    whole: bool,
}

impl Call {
    fn of(record: &Record<'_>) -> Option<Self> {
        let &Record::Check { length, at, rc, before, written, event, .. } = record else { return None };
        Some(Self { length, elsewhere: at.is_some(), rc, before, written, whole: event.is_some() })
    }

    /// Bytes were written where nobody allowed it.
    const fn strays(&self) -> bool {
        self.before > 0 || self.written > self.length
    }

    /// An event came out of the queue, and not even what its buffer had room for was stored.
    fn loses(&self) -> bool {
        self.rc == Status::SUCCESS && !self.whole && self.written < self.length
    }

    /// The log did not fit, and was cut as it should be.
    fn is_cut(&self) -> bool {
        self.rc == Status::SUCCESS && !self.whole && self.written == self.length
    }

    /// There was not enough memory at the place, and that was said.
    fn is_refused(&self) -> bool {
        self.elsewhere && self.rc != Status::SUCCESS && self.rc != Status::NONE_FOUND
    }
}

/// Property 6, where a guest hands out its memory: QEMU writes where it was told to and nowhere else; and what it takes from
/// the queue it stores.
pub fn of_buffers(transcript: &Transcript) -> Vec<Finding> {
    let calls: Vec<Call> = transcript.entries().filter_map(|entry| Call::of(&entry.record)).collect();
    let strays = calls.iter().filter(|call| call.strays()).map(|call| {
        let Call { length, before, written, .. } = call;
        format!("{written} bytes in a buffer of {length} (and {before} before it)")
    });
    let loses = calls
        .iter()
        .filter(|call| call.loses())
        .map(|call| format!("{}, and {} of {} bytes have been written", call.rc, call.written, call.length));
    let judged = [
        (SLIP_BEYOND, Class::WrongAnswer, strays.collect::<Vec<_>>(), calls.iter().any(Call::is_cut)),
        (SLIP_NOWHERE, Class::LostEvent, loses.collect(), calls.iter().any(Call::is_refused)),
    ];
    let finding = |(property, class, problems, held): (_, _, Vec<String>, bool)| match problems.is_empty() {
        false => Some(Finding::broken(property, SUBJECT, class, problems.join("; "))),
        true => held.then(|| Finding::pass(property, SUBJECT)),
    };
    judged.into_iter().filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::{Class, SLIP_BEYOND, SLIP_NOWHERE, Status, of_buffers};
    use crate::transcript::testing::saying;
    use crate::verdict::Verdict;
    use paprika::log::{Hex, Record};

    /// What is found of a call, with the class of what is wrong.
    fn found(
        length: u32,
        at: Option<u64>,
        rc: Status,
        before: u32,
        written: u32,
        whole: bool,
    ) -> Vec<(&'static str, Option<Class>)> {
        let (mask, event) = (Hex(0x5000_0000), whole.then_some(1));
        let call = Record::Check { mask, length, at: at.map(Hex), rc, before, written, event };
        let findings = of_buffers(&saying([call]));
        for finding in &findings {
            assert_eq!(finding.verdict == Verdict::Pass, finding.class.is_none(), "{finding:?}");
        }
        findings.into_iter().map(|finding| (finding.property, finding.class)).collect()
    }

    #[test]
    fn a_buffer_with_room_says_nothing_of_short_ones() {
        assert_eq!(found(2048, None, Status::SUCCESS, 0, 116, true), []);
        assert_eq!(found(116, None, Status::SUCCESS, 0, 116, true), []);
        assert_eq!(found(0, None, Status::NONE_FOUND, 0, 0, false), []);
        assert_eq!(found(2048, Some(0x4fff_ff8c), Status::SUCCESS, 0, 116, true), []);
    }

    #[test]
    fn bytes_outside_of_the_buffer_are_wrong() {
        let wrong = [(SLIP_BEYOND, Some(Class::WrongAnswer))];
        assert_eq!(found(115, None, Status::SUCCESS, 0, 116, true), wrong);
        assert_eq!(found(0, None, Status::SUCCESS, 0, 116, true), wrong);
        assert_eq!(found(2048, None, Status::SUCCESS, 1, 116, true), wrong);
        assert_eq!(found(0, None, Status::NONE_FOUND, 0, 8, false), wrong);
    }

    #[test]
    fn a_log_that_is_cut_where_its_buffer_ends_is_right() {
        assert_eq!(found(15, None, Status::SUCCESS, 0, 15, false), [(SLIP_BEYOND, None)]);
        assert_eq!(found(0, None, Status::SUCCESS, 0, 0, false), [(SLIP_BEYOND, None)]);
    }

    #[test]
    fn an_event_that_is_taken_and_not_stored_is_lost() {
        let lost = [(SLIP_NOWHERE, Some(Class::LostEvent))];
        assert_eq!(found(2048, Some(0x5000_0000), Status::SUCCESS, 0, 0, false), lost);
        assert_eq!(found(2048, Some(0x4fff_ffc3), Status::SUCCESS, 0, 61, false), lost);
        assert_eq!(found(2048, Some(0x5000_0000), Status::PARAMETER, 0, 0, false), [(SLIP_NOWHERE, None)]);
    }
}
