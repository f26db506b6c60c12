//! The account of a race: what became of each device, in words that answer what a person asks.
//!
//! How did the guest learn of it, what became of the interrupt, is the connector coherent, what came of a request, and could it
//! be unplugged and plugged again.

use super::reach::shares;
use super::{Again, Asked, Case, DrcIndex, Learned, Record, Request, Runner, Settled, Verdict};
use super::{is_deletion, is_end, witnesses};

impl Case<'_> {
    /// What became of each device, a sentence each.
    pub(super) fn account(&self) -> Vec<String> {
        self.course.runners.iter().map(|runner| self.of_one(runner)).collect()
    }

    fn of_one(&self, runner: &Runner) -> String {
        if let Some(words) = &runner.refused {
            let later = runner.later.map_or("nobody asked again", |later| match later {
                Again::Taken => "it was taken when the guest listened",
                _ => "and later as well",
            });
            return format!("{}: QEMU refused it ({words}); {later}", runner.id);
        }
        let mut parts = Vec::new();
        if let Some(settled) = &self.course.settled {
            parts.push(self.way(runner, settled));
            parts.push(self.interrupt(runner, settled));
            parts.push(self.coherence(runner, settled));
        }
        parts.extend(self.request(runner));
        parts.extend(runner.again.map(|again| self.afterwards(runner, again).to_owned()));
        parts.retain(|part| !part.is_empty());
        if parts.is_empty() {
            parts.push("the race ended before anything came of it".to_owned());
        }
        format!("{}: {}", runner.id, parts.join("; "))
    }

    /// How the guest learned of it.
    fn way(&self, runner: &Runner, settled: &Settled) -> String {
        let ways = self.share(runner, settled);
        match ways[..] {
            [] if self.is_late(runner) => "told of by an event, too late".to_owned(),
            [] => "never told of".to_owned(),
            [(Learned::Tree, _)] => "told of by the tree".to_owned(),
            [(way, _)] => format!("told of by an {way}"),
            _ => {
                let words: Vec<&str> = ways.iter().map(|(way, _)| way.word()).collect();
                format!("told of {} times: {}", ways.len(), words.join(", "))
            }
        }
    }

    /// How the guest was told of it, and by which events.
    fn share(&self, runner: &Runner, settled: &Settled) -> Vec<(Learned, Option<u32>)> {
        let Some(&connector) = runner.connectors.first() else { return Vec::new() };
        let tenants = self.tenants(connector);
        let own = tenants.iter().position(|tenant| tenant.id == runner.id);
        let (Some(own), Some(first)) = (own, tenants.first()) else { return Vec::new() };
        let told = self.begins(connector, self.from(first), Some(settled.at));
        shares(told, tenants.len()).swap_remove(own)
    }

    /// Whether the guest was told only after everything had settled.
    fn is_late(&self, runner: &Runner) -> bool {
        let Some(settled) = &self.course.settled else { return false };
        let evening = self.transcript.entries_between(settled.at, None);
        let mut begins = evening.filter_map(|entry| match entry.record {
            Record::Begin { drc, request: Request::Add, learned: Learned::Event, .. } => Some(drc),
            _ => None,
        });
        runner.again.is_none() && begins.any(|drc| runner.connectors.contains(&drc))
    }

    /// What became of the interrupt that QEMU raised for it.
    fn interrupt(&self, runner: &Runner, settled: &Settled) -> String {
        let number = self.share(runner, settled).last().and_then(|(_, event)| *event);
        let (mut woken, mut by_interrupt, mut empty) = (false, None, false);
        for entry in self.transcript.entries_between(self.from(runner), Some(settled.at)) {
            match entry.record {
                Record::Drain { .. } => woken = false,
                Record::Interrupt { events: 0, .. } => empty = true,
                Record::Interrupt { .. } => woken = true,
                Record::Event { number: told, .. } if Some(told) == number => by_interrupt = Some(woken),
                _ => {}
            }
        }
        match (by_interrupt, empty) {
            (Some(true), _) => "its interrupt woke the guest",
            (Some(false), true) => {
                "its event was found when the sources were armed, its interrupt came then and found nothing"
            }
            (Some(false), false) => "its event was found without an interrupt",
            (None, _) if self.is_late(runner) => "its interrupt was lost",
            (None, true) => "its interrupt came when the sources were armed, and found nothing",
            (None, false) => "no interrupt came",
        }
        .to_owned()
    }

    /// Whether all witnesses say the same of its connectors.
    fn coherence(&self, runner: &Runner, settled: &Settled) -> String {
        let names: Vec<String> = runner.connectors.iter().map(DrcIndex::to_string).collect();
        let is_last =
            |connector: &&DrcIndex| self.tenants(**connector).last().is_some_and(|last| last.id == runner.id);
        let last: Vec<&DrcIndex> = runner.connectors.iter().filter(is_last).collect();
        let mut odd = last.iter().map(|&&connector| witnesses::agree(self, runner, connector, settled));
        if let Some(finding) = odd.find(|finding| finding.verdict != Verdict::Pass) {
            return format!("not coherent: {}", finding.detail);
        }
        let state = match &settled.present {
            Some(present) if present.contains(runner.id) => "there",
            Some(_) => "gone",
            None => "as far as anybody tells",
        };
        match (names.is_empty(), last.is_empty()) {
            (true, _) => String::new(),
            (_, true) => format!("another followed on {}", names.join(", ")),
            _ => format!("{} coherent, {state}", names.join(", ")),
        }
    }

    /// What came of the requests for it.
    fn request(&self, runner: &Runner) -> Option<String> {
        let first = runner.asked.first()?;
        let often = if runner.asked.len() > 1 { "asked for twice" } else { "asked for" };
        let mut ends = self.events.iter().skip(first.events).filter(|event| is_end(event, runner.id));
        let refused = |asked: &Asked| asked.refused.clone();
        let what = match ends.next().map(|event| is_deletion(event, runner.id)) {
            _ if runner.asked.iter().all(|asked| asked.refused.is_some()) => {
                format!("QEMU refused ({})", first.refused.as_deref().unwrap_or_default())
            }
            _ if self.stays_open(runner) => "the guest kept it, and the request stayed open".to_owned(),
            Some(false) => "the guest kept it, and QEMU told so".to_owned(),
            Some(true) => "it went".to_owned(),
            None if self.stop.is_some() => "the race ended before an answer came".to_owned(),
            None => "no answer came".to_owned(),
        };
        let second = runner.asked.get(1).and_then(refused);
        let second =
            second.map(|words| format!(" (the second time QEMU refused: {words})")).unwrap_or_default();
        Some(format!("{often}: {what}{second}"))
    }

    /// Whether it could be taken away and plugged again.
    fn afterwards(&self, runner: &Runner, again: Again) -> &'static str {
        let settled = self.course.settled.as_ref();
        let present = settled.and_then(|settled| settled.present.as_ref());
        let there = present.is_some_and(|present| present.contains(runner.id));
        match again {
            Again::Taken if there => "unplugged and plugged again",
            Again::Taken => "plugged again",
            Again::TakenAfterReset => "gone by a reset, and plugged again",
            Again::Never => "QEMU knows no way to unplug it",
            Again::Stays => "it does not go",
            Again::Gone => "it went, and the guest did not take it when it was plugged again",
            Again::Refused => "QEMU refused to plug it again",
        }
    }
}
