//! The handover: RTAS is put into memory, and the firmware is told that its work is done.

use super::guest::{Chapter, Guest};
use super::station::Station;
use crate::machine::{LowMemory, Machine};
use crate::openfirmware::client;
use crate::papr::rtas::Call;
use alloc::format;
use alloc::string::{String, ToString};

impl<M: Machine> Guest<M> {
    /// RTAS is ready to be called, if it was not before.
    pub fn bring_up_rtas(&mut self) -> Chapter {
        self.use_rtas()?;
        self.reach(Station::RtasUp);
        Ok(())
    }

    /// The same, without coming to the station: for a guest that ends before its time.
    pub(super) fn use_rtas(&mut self) -> Chapter {
        self.ready_rtas()?;
        self.tell_the_tokens();
        self.rtas_up = true;
        Ok(())
    }

    /// Tells the machine the tokens that it needs where there is nobody to ask.
    pub(super) fn tell_the_tokens(&mut self) {
        if let Some(token) = self.tokens.get(Call::OsTerm) {
            self.machine.bare().set_os_term(token);
        }
        if let Some(token) = self.tokens.get(Call::StopSelf) {
            self.machine.bare().set_stop_self(token);
        }
    }

    /// Instantiates RTAS, in memory that is its own for good.
    pub(super) fn ready_rtas(&mut self) -> Chapter {
        if self.rtas_ready {
            return Ok(());
        }
        self.open_firmware("instantiate-rtas");
        let entry = self.instantiate();
        self.close_firmware("instantiate-rtas");
        let entry = entry.map_err(|problem| self.fatal("instantiate-rtas", problem))?;
        if !self.machine.bare().enter_rtas_at(entry) {
            return Err(
                self.fatal("instantiate-rtas", format!("the entry {entry:#x} is not in the memory given"))
            );
        }
        self.rtas_ready = true;
        Ok(())
    }

    /// Where RTAS is to be entered, or in words why it cannot be.
    fn instantiate(&mut self) -> Result<u32, String> {
        if self.tokens.get(Call::PowerOff).is_none() {
            // The tree could not be read: the guest is on its way to its end.
            self.ask_for_tokens();
        }
        let size = self.facts.rtas_size;
        if size == 0 {
            return Err("/rtas has no rtas-size".to_string());
        }
        let base = self.machine.bare().rtas_memory(size);
        let base = base.ok_or_else(|| format!("no memory for the {size} bytes of RTAS"))?;
        let node = client::open(&mut self.machine, c"/rtas").map_err(|problem| problem.to_string())?;
        let node = node.ok_or_else(|| "/rtas cannot be opened".to_string())?;
        client::instantiate_rtas(&mut self.machine, node, base).map_err(|problem| problem.to_string())
    }

    /// Tells the firmware to be quiet. From here low memory is the guest's for good.
    pub fn let_the_firmware_go(&mut self) {
        self.open_firmware("quiesce");
        let quiet = client::quiesce(&mut self.machine);
        self.close_firmware("quiesce");
        // Whatever it answered, it is not called any more.
        self.machine.retire_firmware();
        if let Err(problem) = quiet {
            self.problem(crate::log::Severity::Major, "quiesce", problem.to_string());
        }
    }
}
