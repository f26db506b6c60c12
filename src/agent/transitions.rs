//! Transitions: the connectors of what was plugged are not taken, but measured.
//!
//! With `task=transitions` every call is made from every state, legal or not, and what comes of it is printed as a table,
//! a row a record. What to call next is decided in [`crate::hotplug::transitions`].

use super::guest::{Chapter, Guest};
use crate::hotplug::transitions::{Ask, Call, Found, Tour};
use crate::log::Record;
use crate::machine::Machine;
use crate::papr::connector::WorkArea;
use crate::papr::drc::{DrcIndex, DrcKind};
use alloc::string::ToString;
use alloc::vec::Vec;

/// What a tour came to.
#[derive(Default)]
struct Count {
    rows: u32,
    unexpected: u32,
}

impl<M: Machine> Guest<M> {
    /// Measures the connectors that events have told of, kind by kind.
    pub(super) fn measure(&mut self) -> Chapter {
        let specimens = core::mem::take(&mut self.specimens);
        let mut kinds: Vec<DrcKind> = specimens.iter().map(|index| index.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let connectors = specimens.iter().copied().filter(|index| index.kind() == kind);
            let nobody = self.nobody(kind);
            self.tour(kind, Tour::new(kind, connectors, nobody))?;
        }
        Ok(())
    }

    /// An index of this kind that belongs to no connector: the last one that could be.
    fn nobody(&self, kind: DrcKind) -> Option<DrcIndex> {
        let index = DrcIndex(u32::from(kind.0) << 28 | 0x0fff_ffff);
        self.inventory.get(index).is_none().then_some(index)
    }

    fn tour(&mut self, kind: DrcKind, mut tour: Tour) -> Chapter {
        let mut count = Count::default();
        let mut found = Found::Told;
        let missing = loop {
            found = match tour.next(found) {
                Ask::Call(index, call) => self.call(index, call)?,
                Ask::Step(index) => {
                    let mut area = WorkArea::new(index);
                    Found::Status(self.must(|guest| guest.rtas().configure_connector(&mut area))?)
                }
                Ask::Row(row) => {
                    let expected = row.is_expected();
                    count.rows += 1;
                    count.unexpected += u32::from(!expected);
                    self.say(&Record::Row {
                        drc: row.index,
                        kind,
                        before: row.before.name().into(),
                        call: row.call.to_string().into(),
                        rc: row.answer.rc,
                        sense: row.answer.sense,
                        after: row.answer.after.name().into(),
                        expected,
                    });
                    Found::Told
                }
                Ask::GiveUp(_) => Found::Told,
                Ask::Finished(missing) => break missing as u32,
            };
        };
        let Count { rows, unexpected } = count;
        self.say(&Record::Tour { kind, rows, unexpected, missing });
        Ok(())
    }

    fn call(&mut self, index: DrcIndex, call: Call) -> Chapter<Found> {
        Ok(match call {
            Call::Set(indicator, value) => {
                Found::Status(self.must(|guest| guest.rtas().set_indicator(indicator, index, value))?)
            }
            Call::Sense(sensor) => {
                let (rc, sense) = self.must(|guest| guest.rtas().sensor(sensor, index))?;
                Found::Sense(rc, sense)
            }
            Call::Configure => Found::Status(self.run_configure(index)?.0),
        })
    }
}
