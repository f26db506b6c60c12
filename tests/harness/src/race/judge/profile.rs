//! The profiles: what QEMU does with a device that is plugged before the guest has negotiated.

use super::{Again, Case, Class, Expect, Finding, Runner, Verdict};
use crate::checks::is_lacking;
use paprika::log::Learned;

impl Case<'_> {
    /// Whether QEMU takes a device when it should, and refuses it when it should.
    pub(super) fn is_plugged(&self, runner: &Runner) -> Finding {
        const PROPERTY: &str = "is plugged";
        let early = self.expect.refuses_early().filter(|_| runner.early);
        let wrong = |detail| Finding::broken(PROPERTY, runner.id, Class::WrongAnswer, detail);
        let Some(words) = &runner.refused else {
            return match early {
                Some(true) => wrong(format!("QEMU took it before CAS, which {} does not", self.expect)),
                _ => Finding::pass(PROPERTY, runner.id),
            };
        };
        match (runner.later, early) {
            (Some(Again::Taken), Some(true) | None) if runner.early => self.is_put_off(runner),
            (Some(Again::Taken), Some(false)) => {
                wrong(format!("QEMU takes it only after CAS, which {} does not: {words}", self.expect))
            }
            _ if is_lacking(words) => {
                let detail = format!("QEMU refuses it, before and after: {words}");
                Finding::other(PROPERTY, runner.id, Verdict::Skip, detail)
            }
            (Some(Again::Taken), None) => wrong(format!("QEMU refuses it, and takes it later: {words}")),
            (Some(_), _) => wrong(format!("QEMU refuses it, and later as well: {words}")),
            (None, _) => wrong(format!("QEMU refuses it: {words}")),
        }
    }

    /// A device was refused before CAS and taken later; whether option vector 6 matters is as it should be.
    fn is_put_off(&self, runner: &Runner) -> Finding {
        let (property, detail) = match (self.course.without_ov6, self.expect) {
            (Some(true), Expect::RejectBeforeOv6) => {
                ("is refused before option vector 6", "QEMU took it after a CAS without option vector 6")
            }
            (Some(false), Expect::RejectBeforeCas) => {
                ("is taken after CAS", "QEMU refuses it after a CAS without option vector 6")
            }
            (Some(false), _) => return Finding::pass("is refused before option vector 6", runner.id),
            _ => return Finding::pass("is refused before CAS, and taken after it", runner.id),
        };
        Finding::broken(property, runner.id, Class::WrongAnswer, detail)
    }

    /// Whether the machine is reset by CAS.
    pub(super) fn boots(&self) -> Option<Finding> {
        const PROPERTY: &str = "boots as often as the host wants";
        let early = self.course.runners.iter().any(|runner| runner.early && runner.refused.is_none());
        match (self.is_reset_by_cas(), self.expect) {
            (true, Expect::Auto | Expect::CasReboot) if early => {
                Some(Finding::pass("is reset by CAS and boots again", "the guest"))
            }
            (true, _) => {
                let (boots, wanted) = (self.transcript.boots(), self.wanted_boots());
                let detail = format!("it booted {boots} times, not {wanted}");
                Some(Finding::broken(PROPERTY, "the guest", Class::WrongAnswer, detail))
            }
            (false, Expect::CasReboot) if early => {
                let detail = "CAS did not reset the machine, although something was plugged before it";
                Some(Finding::broken(PROPERTY, "the guest", Class::WrongAnswer, detail))
            }
            (false, _) => Some(Finding::pass(PROPERTY, "the guest")),
        }
    }

    fn is_reset_by_cas(&self) -> bool {
        self.transcript.boots() > self.wanted_boots()
    }

    fn wanted_boots(&self) -> u32 {
        1 + self.course.resets + self.course.late_resets
    }

    /// Which profile this QEMU fits to, as far as this race shows it.
    pub(super) fn seen(&self) -> Option<Expect> {
        let course = self.course;
        let settled = course.settled.as_ref()?;
        if course.was_put_off() {
            return match course.without_ov6? {
                true => Some(Expect::RejectBeforeCas),
                false => Some(Expect::RejectBeforeOv6),
            };
        }
        let mut early = course.runners.iter().filter(|runner| runner.early && runner.refused.is_none());
        let first = early.next()?;
        if self.is_reset_by_cas() {
            return Some(Expect::CasReboot);
        }
        let by_event = |runner: &Runner| {
            let told = |&connector| self.told(connector, self.from(runner), Some(settled.at));
            runner.connectors.iter().flat_map(told).any(|way| way == Learned::Event)
        };
        // An event for what was plugged early is none of the profiles.
        (!by_event(first) && !early.any(by_event)).then_some(Expect::Upstream)
    }
}
