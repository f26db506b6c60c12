//! `paprika answers`: the questions that Paprika exists to answer, each with what this QEMU was measured to do.
//!
//! | module | what it is |
//! |---|---|
//! | [`questions`] | the table: each question, what it needs, and how an answer follows |
//! | [`mod@bench`], [`scripts`] | short experiments that no race of the lab makes |
//! | [`facts`] | what an experiment found out |
//! | [`tally`] | what many races come to |
//! | [`report`] | the answers, for people and for machines |
//!
//! Every experiment is run once, whoever needs it. An answer is a pure function of what was measured: its words follow from
//! the facts, so that a QEMU that does otherwise is told of otherwise.

pub mod bench;
pub mod facts;
pub mod questions;
pub mod report;
pub mod scripts;
pub mod tally;

use crate::device::Family;
use crate::qemu::command::Setup;
use crate::race::Scenario;
use crate::race::action::Action;
use crate::race::expect::Expect;
use crate::race::lab::{self, Outcome};
use crate::race::manner::Manner;
use crate::race::window::Window;
use crate::verdict::Verdict;
use bench::{Played, Script};
use facts::Facts;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Whether a statement holds on this QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It does for some kinds, windows or vectors.
    Depends,
    /// QEMU crashed on the way.
    Crash,
    /// QEMU crashed on the way, as is known of it.
    KnownCrash,
    /// Nobody knows.
    NotMeasured,
}

impl Holds {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Depends => "depends",
            Self::Crash => "crash",
            Self::KnownCrash => "known crash",
            Self::NotMeasured => "not measured",
        }
    }

    /// The crash among the ends of several experiments, where there is one; known where all are.
    pub fn of_crash(ends: impl IntoIterator<Item = Verdict>) -> Option<Self> {
        let worst =
            ends.into_iter().filter(|end| matches!(end, Verdict::Crash | Verdict::ExpectedFail)).max()?;
        Some(if worst == Verdict::Crash { Self::Crash } else { Self::KnownCrash })
    }

    /// `Yes` where it is so.
    pub const fn of(is_so: bool) -> Self {
        if is_so { Self::Yes } else { Self::No }
    }
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What was tried in more than one way to see whether it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Varied {
    /// `vectors` or `firmware`.
    pub what: &'static str,
    /// Whether the answer depends on it.
    pub matters: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the statement holds.
    pub holds: Holds,
    /// What was measured, in a sentence or two.
    pub text: String,
    /// What was varied.
    pub varied: Vec<Varied>,
}

impl Answer {
    /// An answer with these words.
    pub fn new(holds: Holds, text: impl Into<String>) -> Self {
        Self { holds, text: text.into(), varied: Vec::new() }
    }

    /// The same, with something that was tried in more than one way.
    #[must_use]
    pub fn varied(mut self, what: &'static str, matters: bool) -> Self {
        self.varied.push(Varied { what, matters });
        self
    }
}

/// Some races of the lab: all combinations.
#[derive(Clone, Copy, Debug)]
pub struct Races {
    /// The kinds.
    pub families: &'static [Family],
    /// The actions.
    pub actions: &'static [Action],
    /// The windows.
    pub windows: &'static [Window],
}

impl Races {
    /// Whether a race is one of them.
    pub fn has(&self, scenario: &Scenario) -> bool {
        scenario.manner == Manner::Good
            && self.families.contains(&scenario.family)
            && self.actions.contains(&scenario.action)
            && self.windows.contains(&scenario.window)
    }

    fn scenarios(&self) -> Vec<Scenario> {
        let mut all = Scenario::all();
        all.retain(|scenario| self.has(scenario));
        all
    }
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Its number, as in `Q12`.
    pub number: u8,
    /// The statement, in short.
    pub statement: &'static str,
    /// What must be shown.
    pub shows: &'static str,
    /// The races that it needs.
    pub races: &'static [Races],
    /// The scripts that it needs.
    pub scripts: &'static [&'static Script],
    /// Its answer; nothing where something is missing that it needs.
    pub answer: fn(&Measured, &Question) -> Option<Answer>,
}

impl Question {
    /// Its name.
    pub fn name(&self) -> String {
        format!("Q{}", self.number)
    }

    /// The question of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        questions::ALL.iter().copied().flatten().find(|question| question.name().eq_ignore_ascii_case(name))
    }

    /// All of them, in order.
    pub fn all() -> Vec<&'static Self> {
        let mut all: Vec<&Self> = questions::ALL.iter().copied().flatten().collect();
        all.sort_by_key(|question| question.number);
        all
    }

    /// Its answer, whatever was measured.
    pub fn answered(&self, measured: &Measured) -> Answer {
        (self.answer)(measured, self).unwrap_or_else(|| {
            let ended = measured.ended_early(self);
            let holds = Holds::of_crash(ended.iter().map(|(verdict, _)| *verdict));
            let words: Vec<String> = ended.into_iter().map(|(_, words)| words).collect();
            match words.is_empty() {
                true => Answer::new(Holds::NotMeasured, "not measured: the experiments do not tell"),
                false => Answer::new(holds.unwrap_or(Holds::NotMeasured), words.join("; ")),
            }
        })
    }
}

/// What was measured on one QEMU.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// The races.
    pub races: Vec<Outcome>,
    /// The scripts, by their names.
    pub played: BTreeMap<&'static str, Played>,
}

impl Measured {
    /// The races of a question.
    pub fn races_of(&self, question: &Question) -> Vec<&Outcome> {
        let wanted = |outcome: &&Outcome| question.races.iter().any(|races| races.has(&outcome.scenario));
        self.races.iter().filter(wanted).collect()
    }

    /// The facts of a script that came to its end.
    pub fn facts(&self, script: &Script) -> Option<&Facts> {
        self.played.get(script.name).filter(|played| played.ended.is_none()).map(|played| &played.facts)
    }

    /// The scripts of a question that ended early, with what that is worth and why.
    fn ended_early(&self, question: &Question) -> Vec<(Verdict, String)> {
        let ended = question.scripts.iter().filter_map(|script| {
            let (verdict, words) = self.played.get(script.name)?.ended.as_ref()?;
            Some((*verdict, format!("the experiment `{}` ended early: {words}", script.name)))
        });
        ended.collect()
    }
}

/// Makes every experiment that these questions need, each once, `jobs` at a time.
pub fn measure(questions: &[&Question], base: &Setup, limit: Duration, jobs: usize) -> Measured {
    let wanted: BTreeSet<Scenario> =
        questions.iter().flat_map(|question| question.races).flat_map(Races::scenarios).collect();
    let wanted: Vec<Scenario> = wanted.into_iter().collect();
    let mut scripts: Vec<&Script> = questions.iter().flat_map(|question| question.scripts).copied().collect();
    // The one under SLOF first: it takes longest.
    scripts.sort_by_key(|script| (script.name != scripts::CAS_RESET.name, script.name));
    scripts.dedup_by_key(|script| script.name);
    let base = Setup { keep: false, ..base.clone() };
    let played = play_all(&scripts, &base, limit, jobs);
    let races = lab::run_all(&wanted, &base, limit, Expect::Auto, jobs, &|_| {});
    Measured { races, played }
}

fn play_all(
    scripts: &[&'static Script],
    base: &Setup,
    limit: Duration,
    jobs: usize,
) -> BTreeMap<&'static str, Played> {
    let next = AtomicUsize::new(0);
    let played = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, scripts.len().max(1)) {
            scope.spawn(|| {
                while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if crate::signals::asked_to_end() {
                        return;
                    }
                    let one = script.run(base, limit);
                    played.lock().unwrap_or_else(PoisonError::into_inner).insert(script.name, one);
                }
            });
        }
    });
    played.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
