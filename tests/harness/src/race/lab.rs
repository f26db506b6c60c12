//! The lab: races are run, several at once, and each comes to a verdict.

use super::Scenario;
use super::course::Course;
use super::expect::Expect;
use super::judge::{Case, judge, seen, summary};
use crate::machine::{Machine, Watcher};
use crate::qemu::command::Setup;
use crate::stop::Stop;
use crate::verdict::{Finding, Verdict, worst};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a race came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The race.
    pub scenario: Scenario,
    /// Its verdict.
    pub verdict: Verdict,
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
    /// What became of the device, in two or three words.
    pub summary: String,
    /// Which profile QEMU fits to, where the race shows it.
    pub seen: Option<Expect>,
    /// How long it took, from the start of QEMU to the verdict.
    pub took: Duration,
    /// Where the evidence is, if it was kept.
    pub evidence: Option<PathBuf>,
}

impl Outcome {
    fn skipped(scenario: Scenario, reason: &str) -> Self {
        let finding = Finding::other("is possible", scenario.name(), Verdict::Skip, reason);
        Self {
            scenario,
            verdict: Verdict::Skip,
            findings: vec![finding],
            summary: "-".to_owned(),
            seen: None,
            took: Duration::ZERO,
            evidence: None,
        }
    }

    /// The findings that are no pass, worst first.
    pub fn notable(&self) -> Vec<&Finding> {
        let mut notable: Vec<&Finding> =
            self.findings.iter().filter(|finding| finding.verdict != Verdict::Pass).collect();
        notable.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        notable
    }
}

/// Runs one race. `watcher` sees it happen.
pub fn run(scenario: Scenario, base: &Setup, limit: Duration, expect: Expect, watcher: Watcher) -> Outcome {
    if let Some(reason) = scenario.skipped(base.firmware) {
        return Outcome::skipped(scenario, reason);
    }
    let begin = Instant::now();
    let setup = scenario.setup(base);
    let mut machine = match Machine::launch(&setup, begin + limit, watcher) {
        Ok(machine) => machine,
        Err(stop) => return broken(scenario, &stop, begin),
    };
    let mut course = Course::default();
    let mut stop = course.run(&mut machine, &scenario).err();
    if stop.is_none() && course.was_put_off() {
        match without_ov6(scenario, base, begin + limit) {
            Ok(taken) => course.without_ov6 = Some(taken),
            Err(reason) => stop = Some(reason),
        }
    }
    let case = Case {
        course: &course,
        transcript: machine.transcript(),
        events: machine.events(),
        stop: stop.as_ref(),
        version: machine.version(),
        expect,
    };
    let findings = judge(&case);
    Outcome {
        scenario,
        verdict: worst(&findings),
        summary: summary(&case),
        seen: seen(&case),
        findings,
        took: begin.elapsed(),
        evidence: setup.keep.then(|| machine.directory().to_owned()),
    }
}

/// Whether QEMU takes a device after a CAS without option vector 6.
fn without_ov6(scenario: Scenario, base: &Setup, until: Instant) -> Result<bool, Stop> {
    let mut machine = Machine::launch(&Scenario::setup_without_ov6(base), until, Box::new(|_| {}))?;
    Course::takes_without_ov6(&mut machine, scenario.kind())
}

fn broken(scenario: Scenario, stop: &Stop, begin: Instant) -> Outcome {
    let finding = Finding::other("starts", scenario.name(), stop.verdict(), stop.to_string());
    Outcome {
        scenario,
        verdict: stop.verdict(),
        findings: vec![finding],
        summary: "-".to_owned(),
        seen: None,
        took: begin.elapsed(),
        evidence: None,
    }
}

/// Runs many races, `jobs` at a time, and hands each outcome to `done` as it comes. The outcomes, in the order asked for.
pub fn run_all(
    scenarios: &[Scenario],
    base: &Setup,
    limit: Duration,
    expect: Expect,
    jobs: usize,
    done: &(dyn Fn(&Outcome) + Sync),
) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<(usize, Outcome)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, scenarios.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&scenario) = scenarios.get(at) else { return };
                    if crate::signals::asked_to_end() {
                        return;
                    }
                    let outcome = run(scenario, base, limit, expect, Box::new(|_| {}));
                    done(&outcome);
                    // A thread that panicked has taken its own outcome with it, and nobody else's.
                    outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    outcomes.sort_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}
