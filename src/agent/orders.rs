//! Orders: what the host can make a guest do that holds at a station, or idles.

use super::guest::{Chapter, Guest};
use super::hold::{Order, Said};
use crate::hotplug::policy::Rules;
use crate::log::{Record, Severity};
use crate::machine::{Hypervisor, Machine};
use crate::papr::hcall::Hcall;
use crate::papr::indicator::EntitySense;
use crate::papr::interrupt::{PRIORITY_CLOSED, PRIORITY_EVENTS, PRIORITY_MASKED};
use crate::papr::status::{ReturnCode, Status};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// What can be done before RTAS is up.
const ANY_TIME: [Order; 8] = [
    Order::Cas,
    Order::Go,
    Order::Migrated,
    Order::Policy,
    Order::Set,
    Order::Reset,
    Order::Watchdog,
    Order::Panic,
];

impl<M: Machine> Guest<M> {
    /// Does what the host says until it says `go`. What an order fails at is in the log; the guest goes on.
    pub(super) fn obey_until_go(&mut self) {
        loop {
            let said = self.machine.order(Order::ALL);
            if said.0 == Order::Go {
                return;
            }
            self.consider(said);
        }
    }

    /// Does what an order says, where that can be done.
    pub(super) fn consider(&mut self, (order, argument): Said) {
        let early = !self.rtas_up && !ANY_TIME.contains(&order);
        if early {
            self.problem(Severity::Minor, "order", format!("{order}: RTAS is not up yet"));
        } else {
            // A failure has been told.
            let _ = self.obey(order, &argument);
        }
    }

    fn obey(&mut self, order: Order, argument: &str) -> Chapter {
        match order {
            Order::Go => Ok(()),
            Order::Poll => self.poll(),
            Order::EventScan => self.scan(),
            Order::Check => self.check(argument),
            Order::Drop => {
                self.drop_interrupts();
                Ok(())
            }
            Order::Open => {
                let opened = self.controller.open(&mut self.machine);
                self.heed(opened);
                Ok(())
            }
            Order::Close => {
                let closed = self.controller.intake().set_priority(&mut self.machine, PRIORITY_CLOSED);
                self.heed(closed);
                Ok(())
            }
            Order::Arm => {
                self.switch_sources(PRIORITY_EVENTS);
                Ok(())
            }
            Order::Mask => {
                self.switch_sources(PRIORITY_MASKED);
                Ok(())
            }
            Order::Reset => {
                if !self.rtas_up {
                    self.use_rtas()?;
                }
                let answer = self.rtas().system_reboot();
                self.refused("system-reboot", answer);
                Ok(())
            }
            Order::Restart => self.restart(),
            Order::Watchdog => {
                let problem = match watchdog(argument) {
                    Some((ms, number)) => {
                        let code = self.machine.hcall(Hcall::reset_after(ms, number)).code;
                        (code != ReturnCode::SUCCESS).then(|| code.to_string())
                    }
                    None => Some(format!("\"{argument}\" is not <milliseconds>[@<number>]")),
                };
                problem.into_iter().for_each(|text| self.problem(Severity::Minor, "watchdog", text));
                Ok(())
            }
            Order::Panic => panic!("the host said so"),
            Order::Cas => self.negotiate_as_told(argument),
            Order::Dump => self.dump(),
            Order::Migrated => self.look_around(),
            Order::Route => {
                self.redirect(argument);
                Ok(())
            }
            Order::Set => {
                if let Err(bad) = self.arguments.take(argument) {
                    self.problem(Severity::Minor, "set", bad);
                }
                Ok(())
            }
            Order::Policy => {
                match Rules::parse(argument) {
                    Ok(rules) => self.arguments.policy = rules,
                    Err(bad) => self.problem(Severity::Minor, "policy", bad.to_string()),
                }
                Ok(())
            }
        }
    }

    /// Says what every source is set to, every sensor that does not read as in an empty machine, and the heap.
    fn dump(&mut self) -> Chapter {
        for source in self.facts.sources.clone() {
            let said = self.controller.say_route(&mut self.machine, &self.tokens, source.irq);
            self.heed(said);
        }
        let connectors: Vec<_> =
            self.inventory.iter().map(|(index, connector)| (index, connector.held.is_some())).collect();
        for (index, held) in connectors {
            let (rc, state) = self.must(|guest| guest.rtas().entity_sense(index))?;
            let is_empty =
                rc == Status::SUCCESS && [EntitySense::EMPTY, EntitySense::UNUSABLE].contains(&state);
            if held || !is_empty {
                self.say(&Record::Sense { drc: index, rc, state });
            }
        }
        self.say_heap();
        Ok(())
    }
}

/// After how many milliseconds which watchdog is to bite.
fn watchdog(argument: &str) -> Option<(u64, u64)> {
    let (ms, number) = argument.split_once('@').unwrap_or((argument, "1"));
    Some((ms.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::watchdog;

    #[test]
    fn a_watchdog_is_the_first_unless_it_has_a_number() {
        assert_eq!(watchdog("20"), Some((20, 1)));
        assert_eq!(watchdog("2000@4"), Some((2000, 4)));
        for wrong in ["", "@1", "20@", "-1", "20@x", "20 1"] {
            assert_eq!(watchdog(wrong), None, "{wrong}");
        }
    }
}
