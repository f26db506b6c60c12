//! Restart: a life that begins without a reset, where another has ended itself.
//!
//! It is what kexec does. The old life stops its threads, puts its devices to rest, gives its interrupts up and enters the
//! payload once more. The new one has no firmware: it takes the tree that the old one kept, uses the RTAS that is there,
//! and cannot negotiate again. What the tree does not tell, because it came by an event, the old life's note does.

use super::connectors::Errand;
use super::guest::{Chapter, Guest};
use super::resources::cpu::Threads;
use super::station::Station;
use crate::hotplug::note::{Found, Holdings, Note};
use crate::log::{Record, Severity};
use crate::machine::{Clock, Legacy, LowMemory, Machine};
use crate::openfirmware::flatten::FlatTree;
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::interrupt::PRIORITY_MASKED;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl<M: Machine> Guest<M> {
    /// Ends this life and begins another without a reset. Returns where that cannot be; the guest goes on then, as far as
    /// it has not given up already.
    pub(super) fn restart(&mut self) -> Chapter {
        let (at_rest, tree) = (self.life.station == Some(Station::Idle), self.before.take());
        let Some(tree) = tree.filter(|_| at_rest) else {
            self.problem(
                Severity::Minor,
                "restart",
                "it is for a guest that idles and has no firmware any more",
            );
            return Ok(());
        };
        let held = self.held();
        let functions: Vec<DrcIndex> = held.iter().filter(|index| index.kind() == DrcKind::PCI).collect();
        for index in functions {
            self.give_up(|guest| guest.stop_use(&Errand { index, kind: DrcKind::PCI, fragment: None }));
        }
        let running = self.machine.bare().running();
        self.give_up(|guest| {
            Threads { machine: &mut guest.machine, tokens: &guest.tokens, drc: None }.stop(&running)
        });
        self.switch_sources(PRIORITY_MASKED);
        while let Some(claim) = self.machine.claim() {
            self.end_interrupt(claim);
        }
        let left = self.controller.leave(&mut self.machine);
        self.heed(left);
        let note = Note::new(self.boot_number(), held).encode(usize::MAX);
        self.machine.bare().restart(Legacy { tree: tree.into_bytes(), note });
        Err(self.fatal("restart", "there is no memory for another life"))
    }

    /// Gives something up; what does not go well is told, and the rest is given up all the same.
    fn give_up(&mut self, what: impl FnOnce(&mut Self) -> Result<(), String>) {
        if let Err(problem) = what(self) {
            self.problem(Severity::Major, "restart", problem);
        }
    }

    /// Begins with what an earlier life has handed over: its tree, its RTAS, and what it had. `false` where the firmware
    /// has started this life.
    pub fn begin_anew(&mut self) -> Chapter<bool> {
        let Some(legacy) = self.machine.bare().inherit() else { return Ok(false) };
        self.machine.retire_firmware();
        let tick_rate = u32::try_from(self.machine.tick_rate()).unwrap_or(0);
        self.say_boot("none", tick_rate);
        self.find_what_survived();
        let kept = FlatTree::given(&legacy.tree)
            .map_err(|problem| self.fatal("device tree", problem.to_string()))?;
        let tree = kept.tree().map_err(|problem| self.fatal("device tree", problem.to_string()))?;
        self.take_arguments(tree.bootargs().unwrap_or_default());
        self.say(&Record::Tree {
            when: "restart".into(),
            nodes: kept.nodes,
            properties: kept.properties,
            bytes: kept.bytes().len() as u32,
        });
        self.know_the_platform(&tree)?;
        self.machine.bare().set_server(self.facts.boot_server);
        self.reach(Station::TreeRead);
        self.before = Some(kept);
        self.share_out(&legacy.note);
        (self.rtas_ready, self.rtas_up) = (true, true);
        self.tell_the_tokens();
        self.reach(Station::RtasUp);
        Ok(true)
    }

    /// Of what the tree gives, keeps what the earlier life had to its end; the rest of that is to be asked for.
    fn share_out(&mut self, note: &[u8]) {
        let had: Holdings = match Note::find(note) {
            Found::Ours(note) => note.had,
            other => {
                self.problem(Severity::Major, "restart", alloc::format!("the note is {}", other.word()));
                return;
            }
        };
        let facts = &mut self.facts;
        facts.assigned.retain(|index| had.contains(*index));
        facts.pmem.retain(|device| had.contains(device.drc));
        facts.functions.retain(|function| had.contains(function.drc));
        facts.phbs.retain(|phb| phb.drc.is_none_or(|index| had.contains(index)));
        facts.cores.retain(|core| core.drc.is_none_or(|index| had.contains(index)));
        self.inherited = had.without(&self.given()).iter().collect();
    }
}
