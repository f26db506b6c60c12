//! The lab: races are run, several at once, and each comes to a verdict.

use super::Scenario;
use super::course::Course;
use super::evidence;
use super::expect::Expect;
use super::judge::{Case, account, judge, seen, summary};
use crate::directory::Directory;
use crate::machine::{Machine, Watcher};
use crate::qemu::backtrace::Tools;
use crate::qemu::command::Setup;
use crate::stop::Stop;
use crate::verdict::{Class, Finding, Verdict, worst};
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
    /// What became of each device, a sentence each.
    pub account: Vec<String>,
    /// Which profile QEMU fits to, where the race shows it.
    pub seen: Option<Expect>,
    /// How long it took, from the start of QEMU to the verdict.
    pub took: Duration,
    /// Where QEMU crashed: its back trace, or why there is none.
    pub backtrace: Option<String>,
    /// Where the evidence is, if it was kept.
    pub evidence: Option<PathBuf>,
}

impl Outcome {
    /// A race that came to nothing but this.
    fn only(scenario: Scenario, finding: Finding) -> Self {
        Self {
            scenario,
            verdict: finding.verdict,
            findings: vec![finding],
            summary: "-".to_owned(),
            account: Vec::new(),
            seen: None,
            took: Duration::ZERO,
            backtrace: None,
            evidence: None,
        }
    }

    /// A race whose machine did not start.
    fn not_started(scenario: Scenario, stop: &Stop) -> Self {
        let class = (stop.verdict() == Verdict::Crash).then_some(Class::HypervisorCrash);
        let finding = Finding::other("starts", scenario.name(), stop.verdict(), stop.to_string());
        Self::only(scenario, Finding { class, ..finding })
    }

    fn add(&mut self, finding: Finding) {
        self.verdict = self.verdict.max(finding.verdict);
        self.findings.push(finding);
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
        let finding = Finding::other("is possible", scenario.name(), Verdict::Skip, reason);
        return Outcome::only(scenario, finding);
    }
    let begin = Instant::now();
    let directory = match Directory::new(base.keep) {
        Ok(directory) => directory,
        Err(error) => return Outcome::not_started(scenario, &error.into()),
    };
    let path = directory.path().to_owned();
    let launched = Machine::launch_in(directory, &scenario.setup(base), begin + limit, watcher);
    let (mut outcome, machine) = match launched {
        Err(stop) => (Outcome::not_started(scenario, &stop), None),
        Ok(mut machine) => (race(&mut machine, scenario, base, begin + limit, expect), Some(machine)),
    };
    outcome.took = begin.elapsed();
    if base.keep {
        outcome.evidence = Some(path.clone());
        let again = evidence::again(scenario, base, limit, expect);
        if let Err(error) = evidence::write(&path, machine.as_ref(), &outcome, &again) {
            outcome.add(unkept(&error.to_string()));
        }
    }
    outcome
}

/// Runs a race on a machine that has not started, and judges it.
fn race(machine: &mut Machine, scenario: Scenario, base: &Setup, until: Instant, expect: Expect) -> Outcome {
    let mut course = Course::default();
    let mut stop = course.run(machine, &scenario).err();
    if stop.is_none() && course.was_put_off() {
        match without_ov6(scenario, base, until) {
            Ok(taken) => course.without_ov6 = Some(taken),
            Err(reason) => stop = Some(reason),
        }
    }
    let backtrace = match &stop {
        Some(Stop::Ended { exit, .. }) => {
            Tools::installed().backtrace(*exit, machine.pid(), &base.qemu.program)
        }
        _ => None,
    };
    let case = Case {
        course: &course,
        transcript: machine.transcript(),
        events: machine.events(),
        stop: stop.as_ref(),
        backtrace: backtrace.as_deref(),
        version: machine.version(),
        expect,
    };
    let (summary, account, seen, mut findings) = (summary(&case), account(&case), seen(&case), judge(&case));
    findings.extend(machine.unwritten().map(unkept));
    let verdict = worst(&findings);
    let took = Duration::ZERO;
    Outcome { scenario, verdict, findings, summary, account, seen, took, backtrace, evidence: None }
}

/// What was said could not be written down: no disk, no witnesses.
fn unkept(problem: &str) -> Finding {
    Finding::other("is written down", "the evidence", Verdict::Error, problem)
}

/// Whether QEMU takes a device after a CAS without option vector 6.
fn without_ov6(scenario: Scenario, base: &Setup, until: Instant) -> Result<bool, Stop> {
    let mut machine = Machine::launch(&Scenario::setup_without_ov6(base), until, Box::new(|_| {}))?;
    Course::takes_without_ov6(&mut machine, scenario.kind())
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
