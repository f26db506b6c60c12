//! Moving: after a migration the guest looks whether it still has what it had.
//!
//! A migration is nothing that a guest is told of: to it, time has passed between two instructions. So the host tells, and the
//! longest time between two looks at the terminal bears witness. What the guest has must read and work as before: sensors,
//! the content of its memory, the threads that it started. Nothing is set and nothing is written, so that what is
//! queued or half done stays as it came.

use super::guest::{Chapter, Guest};
use crate::hotplug::State;
use crate::log::{Hex, Record, Severity};
use crate::machine::Machine;
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::indicator::EntitySense;
use crate::papr::status::Status;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

impl<M: Machine> Guest<M> {
    /// Looks at all that the guest has, and says what is not as it was. Before RTAS is up there is nothing to look at.
    pub(super) fn look_around(&mut self) -> Chapter {
        let mut held: Vec<(DrcIndex, DrcKind)> = Vec::new();
        if self.rtas_up {
            let configured = self
                .inventory
                .iter()
                .filter(|(_, connector)| connector.held.is_some() && connector.state == State::Configured);
            held.extend(configured.map(|(index, connector)| (index, connector.kind)));
        }
        let mut odd = 0;
        for &(index, kind) in &held {
            let (rc, state) = self.must(|guest| guest.rtas().entity_sense(index))?;
            self.say(&Record::Sense { drc: index, rc, state });
            let problem = match (rc, state) {
                (Status::SUCCESS, EntitySense::PRESENT) if kind == DrcKind::LMB => {
                    self.look_at_memory(index).err()
                }
                (Status::SUCCESS, EntitySense::PRESENT) => None,
                _ => Some(format!("its sensor reads {state} ({rc})")),
            };
            if let Some(problem) = problem {
                odd += 1;
                self.problem(Severity::Major, "migrated", format!("{index}: {problem}"));
            }
        }
        let work = self.rtas_up && !self.machine.bare().running().is_empty();
        if let Some(Err(problem)) = work.then(|| self.have_all_threads_work()) {
            odd += 1;
            self.problem(Severity::Major, "migrated", problem);
        }
        let away = self.machine.longest_silence();
        self.say(&Record::Moved { held: u32::try_from(held.len()).unwrap_or(u32::MAX), odd, away });
        Ok(())
    }

    /// Looks whether the pages of a block that were tried still hold what was written.
    fn look_at_memory(&mut self, drc: DrcIndex) -> Result<(), String> {
        let (Some(page), Some(range)) = (self.arguments.memtest.stride(), self.facts.blocks.range(drc))
        else {
            return Ok(());
        };
        let Some(report) = self.machine.bare().check_pages(range, page) else { return Ok(()) };
        self.say(&Record::Memory {
            drc,
            base: Hex(range.base),
            size: Hex(range.size),
            pages: report.pages,
            bad: report.bad,
        });
        match report.bad {
            0 => Ok(()),
            bad => Err(format!("{bad} of {} pages do not hold any more what was written", report.pages)),
        }
    }
}
