//! A core in use: every thread is started, says so from its own stack, and is seen to stand still before it goes.

use crate::agent::numbered::Numbered;
use crate::log::{Hex, Record};
use crate::machine::{Clock, Hypervisor, Machine};
use crate::papr::drc::DrcIndex;
use crate::papr::hcall::Hcall;
use crate::papr::rtas::{CPU_STOPPED, Calls, Missing, Tokens};
use crate::papr::status::Status;
use alloc::format;
use alloc::string::{String, ToString};

/// How often a thread is looked at, a millisecond apart, before it is given up.
const LOOKS: u32 = 2000;

/// What is needed to start and stop threads, and to say what came of it.
#[derive(Debug)]
pub struct Threads<'g, M> {
    /// The machine.
    pub machine: &'g mut Numbered<M>,
    /// The tokens of its RTAS.
    pub tokens: &'g Tokens,
    /// The connector of the core; none for a core that was there from the start.
    pub drc: Option<DrcIndex>,
}

impl<M: Machine> Threads<'_, M> {
    fn say(&mut self, server: u32, step: &'static str, rc: Status, value: u64) {
        let record = Record::Thread { drc: self.drc, server, step: step.into(), rc, value: Hex(value) };
        crate::agent::journal::say(self.machine, &record);
    }

    /// Starts every thread of a core. When one does not run, those before it are stopped again.
    ///
    /// # Errors
    /// In words: what did not work, and for which thread.
    pub fn start(&mut self, servers: &[u32]) -> Result<(), String> {
        if servers.is_empty() {
            return Err("the core has no thread".to_string());
        }
        for (at, &server) in servers.iter().enumerate() {
            if let Err(problem) = self.start_one(server) {
                let undone = self.stop(&servers[..at]);
                return Err(undone.err().map_or(problem.clone(), |more| format!("{problem}; then {more}")));
            }
        }
        Ok(())
    }

    fn start_one(&mut self, server: u32) -> Result<(), String> {
        let prepared = self.machine.bare().prepare(server);
        let (entry, argument) = prepared.ok_or_else(|| format!("thread {server} runs already"))?;
        let rc = Calls::new(self.machine, self.tokens).start_cpu(server, entry, argument).map_err(words)?;
        self.say(server, "start", rc, entry.into());
        if rc != Status::SUCCESS {
            self.machine.bare().forget(server);
            return Err(format!("start-cpu {server}: {rc}"));
        }
        for _ in 0..LOOKS {
            if let Some(report) = self.machine.bare().report(server) {
                self.say(server, "run", Status::SUCCESS, report.stack);
                return Ok(());
            }
            self.machine.sleep_ms(1);
        }
        // It was started and may still come to life: what it was given stays its own.
        Err(format!("thread {server} was started and does not run"))
    }

    /// Stops every thread of a core.
    ///
    /// # Errors
    /// In words, for the first thread that does not stop; the others are stopped all the same.
    pub fn stop(&mut self, servers: &[u32]) -> Result<(), String> {
        servers.iter().map(|&server| self.stop_one(server)).fold(Ok(()), Result::and)
    }

    fn stop_one(&mut self, server: u32) -> Result<(), String> {
        self.machine.bare().ask_to_stop(server);
        // It waits by ceding, and would look by itself before long.
        self.machine.hcall(Hcall::prod(server));
        let mut rc = Status::SUCCESS;
        for look in 1..=LOOKS {
            // Some QEMUs call a thread stopped that merely cedes, so it must have said that it stops, too.
            if self.machine.bare().is_stopping(server) {
                let (status, state) =
                    Calls::new(self.machine, self.tokens).query_cpu_stopped_state(server).map_err(words)?;
                rc = status;
                if status == Status::SUCCESS && state == CPU_STOPPED {
                    self.say(server, "stop", rc, look.into());
                    self.machine.bare().forget(server);
                    return Ok(());
                }
            }
            self.machine.sleep_ms(1);
        }
        self.say(server, "stop", rc, LOOKS.into());
        Err(format!("thread {server} does not stop"))
    }
}

fn words(missing: Missing) -> String {
    missing.to_string()
}
