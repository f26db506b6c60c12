//! A core in use: every thread is started, says so from its own stack, and is seen to stand still before it goes.

use crate::agent::numbered::Numbered;
use crate::log::{Hex, Record};
use crate::machine::{Clock, Hypervisor, Machine, Slice};
use crate::papr::drc::DrcIndex;
use crate::papr::hcall::Hcall;
use crate::papr::rtas::{CPU_STOPPED, Calls, Missing, Tokens};
use crate::papr::status::Status;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// How often a thread is looked at, a millisecond apart, before it is given up.
const LOOKS: u32 = 2000;

/// How many numbers the threads add up together: from 0 on.
const NUMBERS: u64 = 1 << 16;

/// The sum of all numbers below `count`.
const fn sum_below(count: u64) -> u64 {
    // One of the two is even.
    match count {
        0 => 0,
        count if count.is_multiple_of(2) => (count / 2).wrapping_mul(count - 1),
        count => count.wrapping_mul((count - 1) / 2),
    }
}

/// What a thread with this slice is to come to.
const fn sum_of_slice(slice: Slice) -> u64 {
    sum_below(slice.first.wrapping_add(slice.count)).wrapping_sub(sum_below(slice.first))
}

/// The numbers below `numbers` in `parts` parts of about the same size; none is left out.
fn slices(numbers: u64, parts: u64) -> impl Iterator<Item = Slice> {
    let edge = move |part: u64| numbers / parts * part + (numbers % parts * part) / parts;
    (0..parts).map(move |part| Slice { first: edge(part), count: edge(part + 1) - edge(part) })
}

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

    /// Spreads work over all threads that run, those of this core and those of others, and adds up what they come to.
    ///
    /// # Errors
    /// In words, when one of them takes no work or does not get done, or when the sum is wrong.
    pub fn work(&mut self) -> Result<(), String> {
        let mut servers = self.machine.bare().running();
        servers.sort_unstable();
        let begin = self.machine.ticks();
        for (&server, slice) in servers.iter().zip(slices(NUMBERS, servers.len() as u64)) {
            if !self.machine.bare().give(server, slice) {
                return Err(format!("thread {server} takes no work"));
            }
            self.machine.hcall(Hcall::prod(server));
        }
        let sums = servers.iter().map(|&server| self.sum_of(server)).collect::<Result<Vec<_>, _>>()?;
        let record = Record::Work {
            threads: servers.len() as u32,
            numbers: NUMBERS,
            sum: sums.iter().fold(0, |sum, part| part.wrapping_add(sum)),
            expected: sum_below(NUMBERS),
            ticks: self.machine.ticks().wrapping_sub(begin),
        };
        crate::agent::journal::say(self.machine, &record);
        let wrong = servers.iter().zip(&sums).zip(slices(NUMBERS, servers.len() as u64));
        match wrong.into_iter().find(|((_, sum), slice)| **sum != sum_of_slice(*slice)) {
            Some(((server, sum), slice)) => {
                Err(format!("thread {server} came to {sum} and not to {}", sum_of_slice(slice)))
            }
            None => Ok(()),
        }
    }

    fn sum_of(&mut self, server: u32) -> Result<u64, String> {
        for _ in 0..LOOKS {
            if let Some(sum) = self.machine.bare().sum(server) {
                return Ok(sum);
            }
            self.machine.sleep_ms(1);
        }
        Err(format!("thread {server} does not get its work done"))
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

#[cfg(test)]
mod tests {
    use super::{NUMBERS, Slice, slices, sum_below, sum_of_slice};

    #[test]
    fn every_number_is_in_one_slice() {
        for numbers in [0, 1, 5, 1000, NUMBERS] {
            for parts in [1, 2, 3, 7, 64, 1001] {
                let mut next = 0;
                for slice in slices(numbers, parts) {
                    assert_eq!(slice.first, next, "{numbers} in {parts}");
                    assert!(slice.count.abs_diff(numbers / parts) <= 1, "{numbers} in {parts}");
                    next += slice.count;
                }
                assert_eq!(next, numbers);
            }
        }
        assert_eq!(slices(NUMBERS, 0).count(), 0);
    }

    #[test]
    fn the_slices_have_the_sum_of_the_whole() {
        for count in 0..200 {
            assert_eq!(sum_below(count), (0..count).sum());
        }
        assert_eq!(sum_of_slice(Slice { first: 3, count: 3 }), 3 + 4 + 5);
        let parts = slices(NUMBERS, 7).map(sum_of_slice);
        assert_eq!(parts.sum::<u64>(), sum_below(NUMBERS));
    }
}
