//! Tallies: what many races come to, property by property.

use crate::race::lab::Outcome;
use crate::verdict::{Class, Finding, Verdict};

/// What races say of a property.
#[derive(Debug, Default)]
pub struct Tally<'m> {
    /// Those in which it held.
    pub held: Vec<&'m Outcome>,
    /// Those in which it was broken, and how.
    pub broken: Vec<(&'m Outcome, &'m Finding)>,
    /// Those that do not tell, as QEMU lacks what they need or ended early.
    pub silent: Vec<&'m Outcome>,
}

impl<'m> Tally<'m> {
    /// Counts one or several properties: a race holds where none of them was broken and one at least was looked at.
    pub fn of(races: &[&'m Outcome], properties: &[&str]) -> Self {
        let mut tally = Self::default();
        for &race in races {
            let mut about = race.findings.iter().filter(|finding| properties.contains(&finding.property));
            let broken = about.clone().find(|finding| finding.verdict >= Verdict::Fail);
            match (broken, about.any(|finding| finding.verdict == Verdict::Pass)) {
                (Some(finding), _) => tally.broken.push((race, finding)),
                (None, true) => tally.held.push(race),
                (None, false) => tally.silent.push(race),
            }
        }
        tally
    }

    /// How many races tell.
    pub fn count(&self) -> usize {
        self.held.len() + self.broken.len()
    }

    /// `12 of 14`.
    pub fn ratio(&self) -> String {
        format!("{} of {}", self.held.len(), self.count())
    }

    /// The races in which it was broken, as the end of a sentence; empty where there are none.
    pub fn exceptions(&self) -> String {
        let told = self.broken.iter().map(|(race, finding)| {
            let class = finding.class.map(|class| format!("{class}: ")).unwrap_or_default();
            format!("{} ({class}{})", race.scenario, finding.detail)
        });
        among(told.collect())
    }

    /// The races that do not tell, as the end of a sentence; empty where there are none.
    pub fn silence(&self) -> String {
        // Of a crash something else tells.
        let others = self.silent.iter().filter(|race| crash(race).is_none());
        among(others.map(|race| format!("{} ({})", race.scenario, why(race))).collect())
    }
}

/// The first few of many.
fn among(mut words: Vec<String>) -> String {
    const MOST: usize = 3;
    let more = words.len().saturating_sub(MOST);
    words.truncate(MOST);
    let mut text = words.join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

/// Why a race does not tell.
fn why(race: &Outcome) -> String {
    let worst = race.notable().first().map(|finding| {
        let line = finding.detail.lines().next().unwrap_or_default();
        format!("{}: {line}", finding.verdict)
    });
    worst.unwrap_or_else(|| race.verdict.to_string())
}

/// What says that QEMU died or hung in a race, known or not.
fn crash(race: &Outcome) -> Option<&Finding> {
    race.findings.iter().find(|finding| {
        finding.class == Some(Class::HypervisorCrash)
            || finding.verdict == Verdict::Crash
            || (finding.property == "known defect" && finding.verdict == Verdict::ExpectedFail)
    })
}

/// The races in which QEMU died or hung, with how.
pub fn crashes(races: &[&Outcome]) -> Vec<String> {
    let told = races.iter().filter_map(|race| {
        let detail = &crash(race)?.detail;
        Some(format!("{} ({})", race.scenario, detail.lines().next().unwrap_or_default()))
    });
    told.collect()
}

/// How many races have a finding of this class.
pub fn with_class(races: &[&Outcome], class: Class) -> usize {
    let has = |race: &&&Outcome| race.findings.iter().any(|finding| finding.class == Some(class));
    races.iter().filter(has).count()
}

/// How many races say that the device came this way.
pub fn came_by(races: &[&Outcome], way: &str) -> usize {
    races.iter().filter(|race| race.summary.split(", ").next() == Some(way)).count()
}

/// Words with commas between, and an `and` before the last.
pub fn list<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<&str> = words.iter().map(|word| word.as_ref()).collect();
    match words.as_slice() {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
