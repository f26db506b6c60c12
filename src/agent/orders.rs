//! Orders: what the host can make a guest do that holds at a station, or idles.

use super::guest::{Chapter, Guest};
use super::hold::{Order, Said};
use crate::hotplug::policy::Rules;
use crate::log::{Record, Severity};
use crate::machine::Machine;
use crate::papr::indicator::EntitySense;
use crate::papr::interrupt::{PRIORITY_EVENTS, PRIORITY_MASKED};
use crate::papr::status::Status;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

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
        let early = !self.rtas_up && ![Order::Cas, Order::Go, Order::Policy, Order::Set].contains(&order);
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
            Order::Arm => {
                self.switch_sources(PRIORITY_EVENTS);
                Ok(())
            }
            Order::Mask => {
                self.switch_sources(PRIORITY_MASKED);
                Ok(())
            }
            Order::Reset => {
                let answer = self.rtas().system_reboot();
                self.refused("system-reboot", answer);
                Ok(())
            }
            Order::Cas => self.negotiate_as_told(argument),
            Order::Dump => self.dump(),
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
