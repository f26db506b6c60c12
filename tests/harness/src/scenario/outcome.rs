//! What the way in which a run ended is worth, and what is known of this QEMU.

use super::{Plugged, Stage};
use crate::defects::{Step, explaining, sticky};
use crate::qemu::Version;
use crate::stop::Stop;
use crate::verdict::{Finding, Verdict};

/// What a device that this QEMU is known not to let go is found out about is expected, and that it went is news.
pub(super) fn expect_sticky(findings: &mut Vec<Finding>, device: &Plugged, version: Version) {
    let Some(sticky) = sticky(version, device.kind).filter(|_| device.stage == Stage::GivenBack) else {
        return;
    };
    let mut shown = false;
    for finding in findings.iter_mut().filter(|finding| finding.subject == device.id) {
        let about_its_end = ["DEVICE_DELETED", "agrees with QMP's lists"].contains(&finding.property);
        if about_its_end && finding.verdict == Verdict::Fail {
            finding.verdict = Verdict::ExpectedFail;
            shown = true;
        }
    }
    let verdict = if shown { Verdict::ExpectedFail } else { Verdict::UnexpectedPass };
    findings.push(Finding::defect(sticky.id, &device.id, verdict, sticky.reason));
}

/// What the way in which a run ended is worth: a crash that is known of this QEMU is expected, and that it did not come
/// where it was due is news.
pub(super) fn outcome(stop: Option<&Stop>, version: Version, steps: &[Step]) -> Option<Finding> {
    let subject = format!("QEMU {version}");
    let Some(stop) = stop else {
        let defect = explaining(version, steps).filter(|defect| defect.certain)?;
        let detail = format!("known to crash while {}, but it did not: {}", defect.step, defect.reason);
        return Some(Finding::defect(defect.id, subject, Verdict::UnexpectedPass, detail));
    };
    let step = steps.last().copied().unwrap_or(Step::Boot);
    let crashed = stop.verdict() == Verdict::Crash && !matches!(stop, Stop::GuestGaveUp { .. });
    if let Some(defect) = explaining(version, steps).filter(|_| crashed) {
        return Some(Finding::defect(defect.id, subject, Verdict::ExpectedFail, defect.reason));
    }
    Some(Finding::other("comes to its end", format!("while {step}"), stop.verdict(), stop.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{Finding, Plugged, Stage, Step, Stop, Verdict, expect_sticky, outcome};
    use crate::defects::XHCI;
    use crate::device::Kind;
    use crate::qemu::Version;
    use crate::transcript::Mark;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn abort() -> Stop {
        Stop::Ended {
            waiting_for: "the end".into(),
            exit: ExitStatus::from_raw(6).into(),
            last_words: "double free".into(),
        }
    }

    fn verdict(stop: Option<&Stop>, version: Version, step: Step) -> Option<Verdict> {
        outcome(stop, version, &[Step::Boot, step]).map(|finding| finding.verdict)
    }

    #[test]
    fn a_known_crash_is_expected_and_any_other_is_a_crash() {
        let known = Version::new(10, 0, 13);
        assert_eq!(verdict(Some(&abort()), known, Step::UnplugCore), Some(Verdict::ExpectedFail));
        assert_eq!(verdict(Some(&abort()), known, Step::Plug), Some(Verdict::Crash));
        assert_eq!(verdict(Some(&abort()), Version::new(11, 1, 3), Step::UnplugCore), Some(Verdict::Crash));
        // It does not crash every time, so that it did not is no news.
        assert_eq!(verdict(None, known, Step::UnplugCore), None);
        assert_eq!(verdict(None, known, Step::PowerDown), None);
        assert_eq!(verdict(None, Version::new(7, 2, 22), Step::PowerDown), None);
    }

    #[test]
    fn a_guest_that_panics_is_not_excused_by_a_defect_of_qemu() {
        let stop = Stop::GuestGaveUp { waiting_for: "x".into(), words: "panic".into() };
        assert_eq!(verdict(Some(&stop), Version::new(10, 0, 13), Step::UnplugCore), Some(Verdict::Crash));
    }

    #[test]
    fn a_hang_is_not_excused_either() {
        let stop = Stop::TimedOut { waiting_for: "x".into() };
        assert_eq!(verdict(Some(&stop), Version::new(10, 0, 13), Step::UnplugCore), Some(Verdict::TimedOut));
    }

    /// What becomes of findings about a device of this kind.
    fn excused(version: Version, kind: Kind, mut findings: Vec<Finding>) -> Vec<Verdict> {
        let device = Plugged {
            id: "x1".into(),
            kind,
            window: "idle",
            connectors: Vec::new(),
            since: Mark::default(),
            until: None,
            stage: Stage::GivenBack,
            refusal: None,
            listed: Vec::new(),
        };
        expect_sticky(&mut findings, &device, version);
        findings.iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn a_device_that_is_known_not_to_go_is_expected_to_stay() {
        let (old, new, xhci) = (Version::new(7, 2, 22), Version::new(10, 0, 13), Kind::Pci(XHCI));
        let stuck = || vec![Finding::other("DEVICE_DELETED", "x1", Verdict::Fail, "it did not come")];
        assert_eq!(excused(old, xhci, stuck()), [Verdict::ExpectedFail; 2]);
        assert_eq!(excused(new, xhci, stuck()), [Verdict::Fail]);
        assert_eq!(excused(old, Kind::Phb, stuck()), [Verdict::Fail]);
        let gone = vec![Finding::pass("DEVICE_DELETED", "x1")];
        assert_eq!(excused(old, xhci, gone), [Verdict::Pass, Verdict::UnexpectedPass]);
        // Nothing else is excused with it.
        let bad = vec![Finding::other("works", "x1", Verdict::Fail, "nothing was read from it")];
        assert_eq!(excused(old, xhci, bad)[0], Verdict::Fail);
    }
}
