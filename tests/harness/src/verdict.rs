//! What a run is worth. Worst wins, and silence is never success.

use std::fmt;

/// The rungs, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Every property held.
    Pass,
    /// A known defect of this QEMU showed itself.
    ExpectedFail,
    /// This QEMU lacks what the run needs.
    Skip,
    /// A known defect of this QEMU did not show itself: the list of defects is out of date.
    UnexpectedPass,
    /// The hypervisor broke a property.
    Fail,
    /// The test or its surroundings are broken.
    Error,
    /// No verdict came in time.
    TimedOut,
    /// No verdict came: QEMU ended.
    Crash,
}

impl Verdict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::ExpectedFail => "XFAIL",
            Self::Skip => "SKIP",
            Self::UnexpectedPass => "XPASS",
            Self::Fail => "FAIL",
            Self::Error => "ERROR",
            Self::TimedOut => "TIMEOUT",
            Self::Crash => "CRASH",
        }
    }

    /// The verdict of this word.
    pub fn named(word: &str) -> Option<Self> {
        let all = [
            Self::Pass,
            Self::ExpectedFail,
            Self::Skip,
            Self::UnexpectedPass,
            Self::Fail,
            Self::Error,
            Self::TimedOut,
            Self::Crash,
        ];
        all.into_iter().find(|verdict| verdict.word() == word)
    }

    /// With what status a program that comes to this verdict ends.
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Pass | Self::ExpectedFail | Self::UnexpectedPass => 0,
            Self::Fail | Self::Crash => 1,
            Self::Error => 2,
            Self::Skip => 77,
            Self::TimedOut => 124,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The property, in a word or two.
    pub property: &'static str,
    /// Whose: a device, or the whole run.
    pub subject: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen; empty where there is nothing to add.
    pub detail: String,
    /// What kind of failure it is, where it is one of those that people talk of.
    pub class: Option<Class>,
    /// The known defect that it is, by its id.
    pub defect: Option<&'static str>,
}

/// The ways in which a hypervisor fails a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An event lies in the queue, and nobody was woken for it.
    LostInterrupt,
    /// The guest was never told.
    LostEvent,
    /// Two witnesses disagree about a connector.
    WrongState,
    /// A device that the guest was told of twice, or that it has and the host has not.
    Ghost,
    /// A request to unplug that never ends.
    StuckUnplug,
    /// A call that answers what it must not.
    WrongAnswer,
    /// QEMU died or hung.
    HypervisorCrash,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::LostInterrupt => "lost interrupt",
            Self::LostEvent => "lost event",
            Self::WrongState => "wrong state",
            Self::Ghost => "ghost",
            Self::StuckUnplug => "stuck unplug",
            Self::WrongAnswer => "wrong answer",
            Self::HypervisorCrash => "hypervisor crash",
        })
    }
}

impl Finding {
    /// The property held.
    pub fn pass(property: &'static str, subject: impl Into<String>) -> Self {
        Self::other(property, subject, Verdict::Pass, "")
    }

    /// It came out otherwise, for a reason.
    pub fn other(
        property: &'static str,
        subject: impl Into<String>,
        verdict: Verdict,
        detail: impl Into<String>,
    ) -> Self {
        let (subject, detail) = (subject.into(), detail.into());
        Self { property, subject, verdict, detail, class: None, defect: None }
    }

    /// The hypervisor broke the property, in this way.
    pub fn broken(
        property: &'static str,
        subject: impl Into<String>,
        class: Class,
        detail: impl Into<String>,
    ) -> Self {
        Self { class: Some(class), ..Self::other(property, subject, Verdict::Fail, detail) }
    }

    /// A known defect, which showed itself or did not.
    pub fn defect(
        id: &'static str,
        subject: impl Into<String>,
        verdict: Verdict,
        detail: impl Into<String>,
    ) -> Self {
        Self { defect: Some(id), ..Self::other("known defect", subject, verdict, detail) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.verdict, self.subject, self.property)?;
        if let Some(class) = self.class {
            write!(f, " ({class})")?;
        }
        if let Some(defect) = self.defect {
            write!(f, " ({defect})")?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// The verdict of all of them; nothing looked at is an error.
pub fn worst<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Verdict {
    findings.into_iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Error)
}

/// The verdict of a run: the worst of what could be tried. What a QEMU lacks is told of, and counts only where nothing
/// else was looked at.
pub fn overall(findings: &[Finding]) -> Verdict {
    let tried = findings.iter().filter(|finding| finding.verdict != Verdict::Skip);
    tried.map(|finding| finding.verdict).max().unwrap_or_else(|| worst(findings))
}

#[cfg(test)]
mod tests {
    use super::{Finding, Verdict, overall, worst};

    #[test]
    fn the_worst_wins() {
        let pass = Finding::pass("a", "x");
        let known = Finding::other("b", "x", Verdict::ExpectedFail, "known");
        let crash = Finding::other("c", "x", Verdict::Crash, "gone");
        assert_eq!(worst([&pass]), Verdict::Pass);
        assert_eq!(worst([&known, &pass]), Verdict::ExpectedFail);
        assert_eq!(worst([&crash, &known, &pass]), Verdict::Crash);
    }

    #[test]
    fn what_is_lacking_does_not_hide_what_was_tried() {
        let (pass, skip) =
            (Finding::pass("a", "x"), Finding::other("b", "x", Verdict::Skip, "no such device"));
        let known = Finding::other("b", "x", Verdict::ExpectedFail, "known");
        assert_eq!(overall(&[pass.clone(), skip.clone()]), Verdict::Pass);
        assert_eq!(overall(&[pass, skip.clone(), known]), Verdict::ExpectedFail);
        assert_eq!(overall(&[skip]), Verdict::Skip);
        assert_eq!(overall(&[]), Verdict::Error);
    }

    #[test]
    fn nothing_looked_at_is_no_success() {
        assert_eq!(worst([]), Verdict::Error);
    }

    #[test]
    fn the_exit_statuses_are_frozen() {
        let statuses = [
            (Verdict::Pass, 0),
            (Verdict::ExpectedFail, 0),
            (Verdict::Skip, 77),
            (Verdict::UnexpectedPass, 0),
            (Verdict::Fail, 1),
            (Verdict::Error, 2),
            (Verdict::TimedOut, 124),
            (Verdict::Crash, 1),
        ];
        for (verdict, status) in statuses {
            assert_eq!(verdict.exit_status(), status, "{verdict}");
            assert_eq!(Verdict::named(verdict.word()), Some(verdict));
        }
    }
}
