//! Connectors: a decision at a time is carried out, and told.
//!
//! What to do next is decided in [`crate::hotplug`], which does no I/O; here the calls are made. Each of them stands in
//! the log with its return code before the next is made.

use super::arguments::Print;
use super::guest::{Chapter, Guest};
use super::station::Station;
use crate::hotplug::State;
use crate::hotplug::connector::{Action, Conclusion, Reply};
use crate::hotplug::fragment::{Collector, Fragment, FragmentError, Progress};
use crate::hotplug::policy::{Conduct, Manner, Move};
use crate::log::{Bytes, Learned, Outcome, Record, Request, Severity};
use crate::machine::{Clock, Machine};
use crate::papr::connector::WorkArea;
use crate::papr::drc::{DrcIndex, DrcKind};
use crate::papr::status::Status;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// One request about one connector, on its way.
#[derive(Debug)]
pub(super) struct Errand {
    /// The connector.
    pub(super) index: DrcIndex,
    /// What it connects.
    pub(super) kind: DrcKind,
    /// What configure-connector handed out; nothing where the tree gave the resource.
    pub(super) fragment: Option<Fragment>,
}

impl<M: Machine> Guest<M> {
    /// Takes what the tree gives, what is there without any event: memory blocks, persistent memory, cores, PCI host
    /// bridges and functions.
    pub fn take_what_the_tree_gives(&mut self) -> Chapter {
        for index in core::mem::take(&mut self.facts.assigned) {
            self.adopt(index)?;
        }
        let pmem: Vec<_> = self.facts.pmem.iter().map(|device| device.drc).collect();
        for index in pmem {
            self.adopt(index)?;
        }
        let here = self.facts.boot_server;
        let cores = self.facts.cores.iter();
        let cores: Vec<_> =
            cores.filter_map(|core| Some((core.drc?, core.servers.contains(&here)))).collect();
        for (index, runs_already) in cores {
            if runs_already && !self.has(index) {
                self.inventory.hold(index, Learned::Tree);
                self.say_where(&Errand { index, kind: DrcKind::CPU, fragment: None });
                self.start_siblings(index);
            } else {
                self.adopt(index)?;
            }
        }
        // A bridge is there before what is behind it.
        let phbs: Vec<_> = self.facts.phbs.iter().filter_map(|phb| phb.drc).collect();
        let functions: Vec<_> = self.facts.functions.iter().map(|function| function.drc).collect();
        for index in phbs.into_iter().chain(functions) {
            self.adopt(index)?;
        }
        for index in core::mem::take(&mut self.inherited) {
            self.take_over(index)?;
        }
        self.remember();
        Ok(())
    }

    /// Uses what an earlier life had from an event: the platform tells once more what it is.
    fn take_over(&mut self, index: DrcIndex) -> Chapter {
        let kind = self.kind_of(index);
        self.begin(index, kind, Request::Add, Learned::Life, None);
        self.sense(index)?;
        let mut errand = Errand { index, kind, fragment: None };
        let used = match self.configure(&mut errand, true)? {
            Reply::Configured(_, Err(problem)) => Err(problem),
            _ => {
                self.inventory.hold(index, Learned::Life);
                self.make_use(&errand)
            }
        };
        self.adopted(index, kind, used);
        Ok(())
    }

    /// Whether the guest has what is at this connector.
    fn has(&self, index: DrcIndex) -> bool {
        self.inventory.get(index).is_some_and(|connector| connector.held.is_some())
    }

    /// Uses what the tree gives: the connector has been walked by the platform, and only its sense is read. What the
    /// guest has already it does not take again.
    fn adopt(&mut self, index: DrcIndex) -> Chapter {
        if self.has(index) {
            return Ok(());
        }
        let kind = self.kind_of(index);
        self.begin(index, kind, Request::Add, Learned::Tree, None);
        self.inventory.hold(index, Learned::Tree);
        self.sense(index)?;
        let used = self.make_use(&Errand { index, kind, fragment: None });
        self.adopted(index, kind, used);
        Ok(())
    }

    fn adopted(&mut self, index: DrcIndex, kind: DrcKind, used: Result<(), alloc::string::String>) {
        let outcome = if used.is_ok() { Outcome::Taken } else { Outcome::Failed };
        let reason = used.err().unwrap_or_default();
        self.done(index, kind, Request::Add, &Conclusion { outcome, state: State::Configured, reason });
    }

    /// Carries out one request about one connector, in the way that the guest was told for its `place` in what the host
    /// asks; what became of it.
    pub(super) fn treat(
        &mut self,
        request: Request,
        index: DrcIndex,
        event: u32,
        place: u32,
    ) -> Chapter<Outcome> {
        let kind = self.kind_of(index);
        let manner = self.arguments.policy.manner(request, kind, place);
        if manner != Manner::Accept {
            let manner = manner.to_string().into();
            self.say(&Record::Policy { drc: index, kind, request, manner });
        }
        let outcome = self.conduct(manner, request, index, Learned::Event, Some(event))?;
        if let Some(more) = manner.then(request, outcome) {
            self.carry_out(more, index, Learned::Event, Some(event))?;
        }
        Ok(outcome)
    }

    /// Carries out one request about one connector; what became of it.
    pub(super) fn carry_out(
        &mut self,
        request: Request,
        index: DrcIndex,
        learned: Learned,
        event: Option<u32>,
    ) -> Chapter<Outcome> {
        self.conduct(Manner::Accept, request, index, learned, event)
    }

    fn conduct(
        &mut self,
        manner: Manner,
        request: Request,
        index: DrcIndex,
        learned: Learned,
        event: Option<u32>,
    ) -> Chapter<Outcome> {
        let kind = self.kind_of(index);
        if manner.lets_go() {
            self.clear_behind(request, index, learned, event)?;
        }
        self.begin(index, kind, request, learned, event);
        let state = self.inventory.get(index).map_or(State::Unknown, |connector| connector.state);
        let mut conduct = Conduct::new(manner, request, index, kind, state);
        if request == Request::Remove {
            self.reach(Station::BeforeRelease);
        }
        let mut errand = Errand { index, kind, fragment: None };
        let mut reply = Reply::Start;
        let end = loop {
            let next = conduct.next(reply);
            if let Some(transition) = conduct.transition() {
                self.say(&transition.record());
            }
            if let Move::Do(Action::Finished(end)) = next {
                break end;
            }
            self.reach(Station::BeforeStep);
            reply = match next {
                Move::Do(action) => self.perform(&mut errand, action)?,
                Move::Touch => Reply::Used(self.touch(&errand)),
                Move::Wait(ms) => {
                    self.machine.sleep_ms(ms);
                    Reply::Start
                }
            };
            self.reach(Station::AfterStep);
        };
        self.inventory.conclude(index, request, learned, &end);
        self.forget_behind(index, kind, end.outcome);
        if manner.is_half() {
            // It is left there because the host wants to see that.
            self.tally.done += 1;
            self.say_done(index, kind, request, &end);
        } else {
            self.done(index, kind, request, &end);
        }
        Ok(end.outcome)
    }

    fn perform(&mut self, errand: &mut Errand, action: Action) -> Chapter<Reply> {
        Ok(match action {
            Action::ReadSense => self.sense(errand.index)?,
            Action::SetIndicator { indicator, value } => {
                Reply::Status(self.must(|guest| guest.rtas().set_indicator(indicator, errand.index, value))?)
            }
            Action::Configure => self.configure(errand, true)?,
            Action::Drain => self.configure(errand, false)?,
            Action::Use => Reply::Used(self.make_use(errand)),
            Action::StopUse => Reply::Used(self.stop_use(errand)),
            Action::Finished(_) => Reply::Start,
        })
    }

    fn sense(&mut self, index: DrcIndex) -> Chapter<Reply> {
        let (rc, state) = self.must(|guest| guest.rtas().entity_sense(index))?;
        self.say(&Record::Sense { drc: index, rc, state });
        Ok(Reply::Sense(rc, state))
    }

    /// Runs configure-connector to its end: the last status, and what it handed out.
    pub(super) fn run_configure(
        &mut self,
        index: DrcIndex,
    ) -> Chapter<(Status, Result<Fragment, FragmentError>)> {
        let mut area = WorkArea::new(index);
        let mut collector = Collector::default();
        loop {
            let rc = self.must(|guest| guest.rtas().configure_connector(&mut area))?;
            match collector.feed(rc, &area) {
                Progress::More => {}
                Progress::Wait(ms) => self.machine.sleep_ms(ms),
                Progress::Ended => return Ok(collector.finish()),
            }
        }
    }

    fn configure(&mut self, errand: &mut Errand, keep: bool) -> Chapter<Reply> {
        let (rc, fragment) = self.run_configure(errand.index)?;
        let result = fragment.map_err(|problem| problem.to_string()).map(|fragment| {
            self.say_fragment(errand.index, &fragment);
            if keep {
                errand.fragment = Some(fragment);
            }
        });
        Ok(Reply::Configured(rc, result))
    }

    fn say_fragment(&mut self, drc: DrcIndex, fragment: &Fragment) {
        self.say(&Record::Fragment {
            drc,
            node: fragment.root().map_or("", |root| root.name.as_str()).into(),
            nodes: fragment.nodes().len() as u32,
            properties: fragment.properties() as u32,
            calls: fragment.calls(),
        });
        if self.arguments.prints(Print::Fragments) {
            for (path, property) in fragment.iter() {
                self.say(&Record::Property {
                    node: path.into(),
                    name: property.name.as_str().into(),
                    value: Bytes::from(property.value.as_slice()),
                });
            }
        }
    }

    pub(super) fn kind_of(&self, index: DrcIndex) -> DrcKind {
        self.inventory.get(index).map_or(index.kind(), |connector| connector.kind)
    }

    pub(super) fn begin(
        &mut self,
        drc: DrcIndex,
        kind: DrcKind,
        request: Request,
        learned: Learned,
        event: Option<u32>,
    ) {
        self.say(&Record::Begin { drc, kind, request, learned, event });
    }

    fn say_done(&mut self, drc: DrcIndex, kind: DrcKind, request: Request, end: &Conclusion) {
        let reason = end.reason.as_str().into();
        self.say(&Record::Done { drc, kind, request, outcome: end.outcome, reason });
    }

    pub(super) fn done(&mut self, drc: DrcIndex, kind: DrcKind, request: Request, end: &Conclusion) {
        match end.outcome {
            Outcome::Failed | Outcome::Stuck => self.tally.failed += 1,
            _ => self.tally.done += 1,
        }
        self.say_done(drc, kind, request, end);
        if end.outcome == Outcome::Stuck {
            let detail = format!("{drc} is left {}", end.state);
            self.problem(Severity::Major, "connector", detail);
        }
    }
}
