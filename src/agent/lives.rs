//! Lives: which boot this is, what the last one had, and where it ended.
//!
//! A guest that was reset tells the story of its earlier lives, so that the logs of all boots are one. Two places keep it.
//! NVRAM holds a note, written when something has changed, by one call each time: the number of the boot and the
//! connectors. A few doublewords behind the heap hold the last station, written at each, which costs no call; whether
//! memory survives a reset is the platform's business, and the log says whether it did.

use super::guest::Guest;
use super::station::Station;
use crate::hotplug::note::{Found, Holdings, Note};
use crate::log::{Record, Severity};
use crate::machine::{KEEPSAKE, Machine};
use crate::papr::nvram::{self, Header, Place, Signature};
use crate::papr::rtas::Call;
use crate::papr::status::Status;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// The partition of NVRAM that is ours: 2 KiB, room for the runs of 251 gaps.
const PARTITION: Header = Header { signature: Signature::OS, blocks: 128, name: *b"paprika,life" };
/// The most of NVRAM that is looked at: all that QEMU has, where nobody says otherwise.
const WINDOW: u32 = 64 << 10;

/// Which boot this is, and where that is kept.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// Counted from 1; 0 before anything is known.
    number: u32,
    /// The last boot by what survived in memory; 0 where nothing did.
    survived: u32,
    /// Where the note goes: the content of our partition, and its bytes.
    spot: Option<(u32, usize)>,
    /// What was noted last.
    noted: Option<Holdings>,
    /// Where the guest is.
    pub(super) station: Option<Station>,
}

/// What is left in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Relic {
    boot: u32,
    station: Station,
    calls: u64,
}

/// "Paprika" and what it is: a relic.
const MAGIC: u64 = u64::from_be_bytes(*b"PaprikaR");

impl Relic {
    /// Magic number, boot and station, calls, checksum.
    fn words(self) -> [u64; KEEPSAKE] {
        let place = u64::from(self.boot) << 32 | self.station as u64;
        [MAGIC, place, self.calls, sum(place, self.calls)]
    }

    /// Reads what was found; nothing where it is none of ours.
    fn find([magic, place, calls, stated]: [u64; KEEPSAKE]) -> Option<Self> {
        let station = Station::ALL.get(usize::try_from(place & u64::from(u32::MAX)).ok()?)?;
        let is_ours = magic == MAGIC && stated == sum(place, calls);
        is_ours.then_some(Self { boot: (place >> 32) as u32, station: *station, calls })
    }
}

fn sum(place: u64, calls: u64) -> u64 {
    (MAGIC ^ place).rotate_left(13).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ calls.rotate_left(32)
}

impl<M: Machine> Guest<M> {
    /// Says what an earlier boot left in memory, and counts this one.
    pub(super) fn find_what_survived(&mut self) {
        let words = self.machine.bare().keepsake().unwrap_or_default();
        let relic = Relic::find(words);
        let found = match relic {
            Some(_) => "ours",
            None if words == [0; KEEPSAKE] => "blank",
            None => "foreign",
        };
        self.life.survived = relic.map_or(0, |relic| relic.boot);
        self.life.number = self.life.survived.saturating_add(1);
        self.say(&Record::Relic {
            found: found.into(),
            boot: self.life.survived,
            station: relic.map_or("-", |relic| relic.station.word()).into(),
            calls: relic.map_or(0, |relic| relic.calls),
        });
    }

    /// Leaves in memory where the guest is.
    pub(super) fn leave_a_trace(&mut self, station: Station) {
        self.life.station = Some(station);
        let relic = Relic { boot: self.life.number, station, calls: self.machine.calls() };
        self.machine.bare().keep(relic.words());
    }

    /// Reads the note of the last boot, says which boot this is and what became of what the last one had, and notes
    /// that there is one more. A platform without NVRAM is no failure.
    pub fn recall(&mut self) {
        let (word, last) = self.read_the_note();
        let noted = last.as_ref().map_or(0, |note| note.boot);
        self.life.number = self.life.number.max(noted.saturating_add(1));
        self.say(&Record::Life {
            number: self.life.number,
            nvram: word.into(),
            noted,
            survived: self.life.survived,
        });
        let last = last.map(|note| {
            let given = self.given();
            let gone = note.had.without(&given);
            self.say(&Record::Heritage {
                connectors: note.connectors,
                kept: note.had.len() - gone.len(),
                gone: gone.to_string().into(),
                new: given.without(&note.had).to_string().into(),
            });
            note.had
        });
        // Until this boot has taken anything, what the last one had is the news.
        self.write_the_note(last.unwrap_or_default());
    }

    /// Notes what the guest has, where that is not what was noted last.
    pub(super) fn remember(&mut self) {
        if self.life.spot.is_none() {
            return;
        }
        let held = self.held();
        if self.life.noted.as_ref() != Some(&held) {
            self.write_the_note(held);
        }
    }

    /// What the guest has.
    pub(super) fn held(&self) -> Holdings {
        let held = self.inventory.iter().filter(|(_, connector)| connector.held.is_some());
        held.map(|(index, _)| index).collect()
    }

    /// The connectors of what the tree gives, or an earlier life.
    pub(super) fn given(&self) -> Holdings {
        let known = self.facts.given().filter(|index| self.inventory.get(*index).is_some());
        known.chain(self.inherited.iter().copied()).collect()
    }

    /// What NVRAM holds of ours, in a word, and the note itself; a partition for it is made where there is none.
    fn read_the_note(&mut self) -> (&'static str, Option<Note>) {
        const NONE: (&str, Option<Note>) = ("none", None);
        let size = self.facts.nvram_size;
        let is_there =
            [Call::NvramFetch, Call::NvramStore].iter().all(|call| self.tokens.get(*call).is_some());
        if size == 0 || !is_there {
            return NONE;
        }
        let Some(bytes) = self.fetch(size.min(WINDOW)) else { return NONE };
        match nvram::place(&bytes, size as usize, &PARTITION) {
            Place::Full => ("full", None),
            Place::There(range) => {
                self.life.spot = Some((range.start as u32, range.len()));
                let found = Note::find(bytes.get(range).unwrap_or_default());
                (found.word(), if let Found::Ours(note) = found { Some(note) } else { None })
            }
            Place::Room { at, rest } => {
                self.life.spot = self.make_partition(at as u32, rest);
                ("blank", None)
            }
        }
    }

    /// Writes the header of our partition, and that of the free space behind it; where its content goes.
    fn make_partition(&mut self, at: u32, rest: usize) -> Option<(u32, usize)> {
        let len = usize::from(PARTITION.blocks) * nvram::BLOCK;
        let behind = at + len as u32;
        // First what is behind: until our header stands there, nobody looks for it.
        let rest = nvram::remainder(rest);
        let is_well =
            rest.is_none_or(|header| self.store(behind, &header)) && self.store(at, &blank_partition(len));
        is_well.then_some((at + nvram::HEADER as u32, len - nvram::HEADER))
    }

    /// Which boot this is.
    pub(super) fn boot_number(&self) -> u32 {
        self.life.number
    }

    fn write_the_note(&mut self, had: Holdings) {
        let Some((at, room)) = self.life.spot else { return };
        let note = Note::new(self.life.number, had);
        if self.store(at, &note.encode(room)) {
            self.life.noted = Some(note.had);
        } else {
            self.life.spot = None;
        }
    }

    fn fetch(&mut self, len: u32) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len as usize).ok()?;
        bytes.resize(len as usize, 0);
        let (status, count) = self.rtas().nvram_fetch(0, &mut bytes).ok()?;
        if status != Status::SUCCESS {
            self.nvram_problem(Call::NvramFetch, status, count, len);
            return None;
        }
        bytes.truncate(count as usize);
        Some(bytes)
    }

    /// Whether all of it could be stored.
    fn store(&mut self, at: u32, bytes: &[u8]) -> bool {
        let len = bytes.len() as u32;
        let Ok((status, count)) = self.rtas().nvram_store(at, bytes) else { return false };
        let is_well = status == Status::SUCCESS && count == len;
        if !is_well {
            self.nvram_problem(Call::NvramStore, status, count, len);
        }
        is_well
    }

    fn nvram_problem(&mut self, call: Call, status: Status, count: u32, len: u32) {
        self.problem(Severity::Minor, call.name(), format!("{status}, {count} of {len} bytes"));
    }
}

/// A partition of ours without a note: its header, and zeroes.
fn blank_partition(len: usize) -> Vec<u8> {
    let mut bytes = PARTITION.encode().to_vec();
    bytes.resize(len, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{PARTITION, Relic, Station, blank_partition};
    use crate::hotplug::note::{Found, Note};
    use crate::papr::nvram::{Place, place};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn a_new_partition_is_found_again_and_blank() {
        let bytes = blank_partition(2048);
        let Place::There(range) = place(&bytes, bytes.len(), &PARTITION) else { panic!("{bytes:?}") };
        assert_eq!(Note::find(&bytes[range]), Found::Blank);
    }

    #[test]
    fn a_relic_that_was_changed_is_none() {
        let relic = Relic { boot: 3, station: Station::BeforeCas, calls: 131 };
        let words = relic.words();
        assert_eq!(Relic::find(words), Some(relic));
        for at in 0..words.len() * 64 {
            let mut wrong = words;
            wrong[at / 64] ^= 1 << (at % 64);
            assert_eq!(Relic::find(wrong), None, "bit {at}");
        }
        assert_eq!(Relic::find([0; 4]), None);
    }

    proptest! {
        #[test]
        fn a_relic_is_read_back(boot: u32, place in 0..Station::ALL.len(), calls: u64, any in any::<[u64; 4]>()) {
            let relic = Relic { boot, station: Station::ALL[place], calls };
            prop_assert_eq!(Relic::find(relic.words()), Some(relic));
            prop_assert_eq!(Relic::find(any), None);
        }
    }
}
