//! What XIVE's answers mean for what is done next: no calls, no loads, no stores.

use crate::papr::xive::{Entry, Load, State};

/// What has to be done, after a source was told to keep back what comes (P alone set) and was in this state before, so that
/// nothing is lost.
pub const fn after_keeping_back(before: State) -> Option<Load> {
    match before {
        // Something had come, and its mark was just wiped out.
        State::QUEUED => Some(Load::Set11),
        _ => None,
    }
}

/// Whether a source that was on and in this state has let something through that is not ended.
pub const fn is_let_through(state: State) -> bool {
    matches!(state, State::PENDING | State::QUEUED)
}

/// Whether a source owes an interrupt that was made ready (P and Q cleared) and was in this state before: the trigger that
/// came meanwhile is to be made again.
pub const fn owes(before: State) -> bool {
    matches!(before, State::QUEUED)
}

/// Where a queue is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    place: u32,
    entries: u32,
    generation: bool,
}

impl Cursor {
    /// The start of an empty queue with 2^`shift` bytes.
    pub const fn new(shift: u32) -> Self {
        Self { place: 0, entries: 1 << (shift - 2), generation: true }
    }

    /// Where to look.
    pub const fn place(&self) -> u32 {
        self.place
    }

    /// What the entry there says: a source's number, and on to the next; or `None` as nothing new has been written.
    pub const fn take(&mut self, entry: Entry) -> Option<u32> {
        if entry.generation() != self.generation {
            return None;
        }
        self.place += 1;
        if self.place == self.entries {
            self.place = 0;
            self.generation = !self.generation;
        }
        Some(entry.number())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Entry, Load, State, after_keeping_back, is_let_through, owes};

    #[test]
    fn what_came_is_neither_lost_nor_made_up() {
        for state in [State::READY, State::OFF, State::PENDING] {
            assert_eq!(after_keeping_back(state), None);
            assert!(!owes(state));
        }
        assert_eq!(after_keeping_back(State::QUEUED), Some(Load::Set11));
        assert!(owes(State::QUEUED));
        let states = [State::READY, State::OFF, State::PENDING, State::QUEUED];
        assert_eq!(states.map(is_let_through), [false, false, true, true]);
    }

    #[test]
    fn a_queue_is_read_round_and_round() {
        const SHIFT: u32 = 4;
        let mut queue = [0_u32; 1 << (SHIFT - 2)];
        let mut cursor = Cursor::new(SHIFT);
        for round in 0..7_u32 {
            let generation = u32::from(round % 2 == 0) << 31;
            for (place, number) in (0..queue.len()).zip(100 * round..) {
                assert_eq!(cursor.take(Entry(queue[cursor.place() as usize])), None, "not written yet");
                queue[place] = generation | number;
                assert_eq!(cursor.take(Entry(queue[cursor.place() as usize])), Some(number));
            }
        }
    }
}
