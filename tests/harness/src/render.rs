//! All of it for people: the console as it goes, the table at the end.
//!
//! The log itself stays as the guest wrote it (see `--keep`); what is shown is only easier on the eye.

mod record;

use crate::machine::Sight;
use crate::out::say;
use crate::qmp::Event;
use crate::scenario::{self, Report};
use crate::transcript::{Kind, Line, Transcript};
use crate::verdict::{Finding, Verdict, worst};
use paprika::log::{Entry, Record};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Duration;

/// Whether output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Off,
    /// Colours, by escape sequences.
    On,
}

/// What a text is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Faint,
    Host,
    Good,
    Notable,
    Bad,
}

impl Colour {
    /// Colours on a terminal, unless `NO_COLOR` says otherwise.
    pub fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && std::io::stdout().is_terminal() { Self::On } else { Self::Off }
    }

    /// A verdict in its colour.
    pub(crate) fn verdict(self, verdict: Verdict) -> String {
        self.paint(verdict_tone(verdict), verdict.word())
    }

    /// A text of which the verdict that it begins with is in its colour.
    fn beginning(self, text: &str) -> String {
        let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
        Verdict::named(word).map_or_else(|| text.to_owned(), |verdict| self.verdict(verdict) + rest)
    }

    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Faint => "2",
            Tone::Host => "36",
            Tone::Good => "32",
            Tone::Notable => "33",
            Tone::Bad => "31;1",
        };
        if self == Self::On { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Shows a run while it goes: the guest's time since its boot, where it is, what it says; the host's deeds between.
#[derive(Debug)]
pub struct Show {
    colour: Colour,
    clock: Option<Clock>,
}

/// The boot that is going on, by the guest's clock and by ours.
#[derive(Clone, Copy, Debug)]
struct Clock {
    ticks: u64,
    per_second: u32,
    at: Duration,
}

/// The time base of every QEMU, for a guest that was not told it yet.
const USUAL_TICK_RATE: u32 = 512_000_000;

impl Show {
    /// A show that has not begun.
    pub fn new(colour: Colour) -> Self {
        Self { colour, clock: None }
    }

    /// Prints what is seen. A reader that went away is no reason to stop.
    pub fn print(&mut self, sight: Sight<'_>) {
        if let Some(text) = self.text(sight) {
            say!("{text}");
        }
    }

    /// One line of the show; `None` for what is not worth one.
    pub fn text(&mut self, sight: Sight<'_>) -> Option<String> {
        match sight {
            Sight::Line(line) => Some(self.line(line)),
            Sight::Event(event) => {
                worth_showing(event).then(|| self.host(event.at, "qemu", &told(event), Tone::Notable))
            }
            Sight::Action { at, text } => Some(self.host(at, "host", text, Tone::Host)),
        }
    }

    fn line(&mut self, line: &Line) -> String {
        let Some(entry) = line.entry() else {
            let tone = if matches!(line.kind, Kind::Damaged(_)) { Tone::Bad } else { Tone::Faint };
            return self.row("", "", &self.colour.paint(tone, &line.text));
        };
        if let Record::Boot { tick_rate, .. } = entry.record {
            let per_second = if tick_rate == 0 { USUAL_TICK_RATE } else { tick_rate };
            self.clock = Some(Clock { ticks: entry.ticks, per_second, at: line.at });
        }
        let text = self.colour.paint(tone(&entry.record), &record::words(&entry.record, self.per_second()));
        let time = self.guest_time(&entry, line.at);
        self.row(&time, entry.station, &text)
    }

    fn per_second(&self) -> u32 {
        self.clock.map_or(USUAL_TICK_RATE, |clock| clock.per_second)
    }

    fn host(&self, at: Duration, who: &str, text: &str, tone: Tone) -> String {
        let since = self.clock.and_then(|clock| at.checked_sub(clock.at));
        let time = since.map(milliseconds).unwrap_or_default();
        self.row(&time, &format!("--- {who}"), &self.colour.paint(tone, text))
    }

    fn row(&self, time: &str, place: &str, text: &str) -> String {
        let head = self.colour.paint(Tone::Faint, &format!("{time:>10}  {place:<19}"));
        format!("{head} {text}").trim_end().to_owned()
    }

    /// The guest's time since its boot. A line arrives later than it was said, the quickest tells best how the two clocks
    /// stand to each other.
    fn guest_time(&mut self, entry: &Entry<'_>, arrived: Duration) -> String {
        let Some(clock) = &mut self.clock else { return String::new() };
        let since = time(entry.ticks.saturating_sub(clock.ticks), clock.per_second);
        clock.at = clock.at.min(arrived.saturating_sub(since));
        milliseconds(since)
    }
}

/// So many ticks of the time base, as time.
fn time(ticks: u64, per_second: u32) -> Duration {
    Duration::from_secs_f64(ticks as f64 / f64::from(per_second.max(1)))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn tone(record: &Record<'_>) -> Tone {
    match record {
        Record::Panic { .. } | Record::Exception { .. } | Record::Problem { .. } => Tone::Bad,
        Record::Argument { .. } | Record::Hold { .. } => Tone::Notable,
        Record::Done { outcome, .. } => match outcome.word() {
            "taken" | "released" | "kept" => Tone::Good,
            _ => Tone::Bad,
        },
        _ => Tone::Plain,
    }
}

/// The parts of a device, and what only repeats what the host just did, are left out.
fn worth_showing(event: &Event) -> bool {
    match event.name.as_str() {
        "DEVICE_DELETED" => event.text("device").is_some(),
        "RESUME" | "STOP" | "NIC_RX_FILTER_CHANGED" | "RTC_CHANGE" => false,
        _ => true,
    }
}

fn told(event: &Event) -> String {
    let mut text = event.name.clone();
    for (key, value) in event.data.as_object().into_iter().flatten().filter(|(key, _)| *key != "path") {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(text, " {key}={shown}");
    }
    text
}

/// A table with columns as wide as they need to be.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    table_of_verdicts(rows, Colour::Off)
}

/// The same; a cell that begins with a verdict has it in its colour.
pub(crate) fn table_of_verdicts(rows: &[Vec<String>], colour: Colour) -> String {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .enumerate()
            .map(|(at, cell)| colour.beginning(&format!("{cell:<0$}", width(at).unwrap_or(0))));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    text
}

/// The end of a run: the devices, what did not hold, and the verdict.
pub fn report(report: &Report, transcript: &Transcript, colour: Colour) -> String {
    let mut text = String::from("\n");
    if !report.devices.is_empty() {
        text += &devices(report, transcript);
        text.push('\n');
    }
    for finding in report.findings.iter().filter(|finding| finding.verdict != Verdict::Pass) {
        let _ = writeln!(text, "{}", painted(finding, colour));
    }
    let held = report.findings.iter().filter(|finding| finding.verdict == Verdict::Pass).count();
    let word = colour.paint(verdict_tone(report.verdict), report.verdict.word());
    let skipped = report.findings.iter().filter(|finding| finding.verdict == Verdict::Skip).count();
    let _ = write!(text, "{word}: {held} of {} properties held", report.findings.len() - skipped);
    if skipped > 0 {
        let _ = write!(text, ", {skipped} skipped");
    }
    text
}

fn devices(report: &Report, transcript: &Transcript) -> String {
    let header =
        ["device", "what", "connector", "plugged at", "learned from", "became", "DEVICE_DELETED", "verdict"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for device in &report.devices {
        let own: Vec<&Finding> =
            report.findings.iter().filter(|finding| finding.subject == device.id).collect();
        let deleted = match own.iter().find(|finding| finding.property == "DEVICE_DELETED") {
            Some(finding) if finding.verdict == Verdict::Pass => "yes",
            Some(_) => "no",
            None => "-",
        };
        let verdict = if own.is_empty() { "-" } else { worst(own).word() };
        rows.push(vec![
            device.id.clone(),
            device.kind.to_string(),
            device.connectors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            device.window.to_owned(),
            scenario::learned(device, transcript),
            scenario::became(device, transcript),
            deleted.to_owned(),
            verdict.to_owned(),
        ]);
    }
    table(&rows)
}

pub(crate) fn painted(finding: &Finding, colour: Colour) -> String {
    colour.paint(verdict_tone(finding.verdict), &finding.to_string())
}

fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::ExpectedFail | Verdict::Skip | Verdict::UnexpectedPass => Tone::Notable,
        Verdict::Fail | Verdict::Error | Verdict::TimedOut | Verdict::Crash => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::{Colour, Show, Sight, table};
    use crate::qmp::Event;
    use crate::transcript::testing::saying;
    use paprika::log::Record;
    use serde_json::json;
    use std::time::Duration;

    fn event(data: serde_json::Value) -> Event {
        Event { at: Duration::from_millis(5), timestamp: 0, name: "DEVICE_DELETED".into(), data }
    }

    #[test]
    fn a_line_tells_time_place_and_words() {
        let transcript = saying([Record::Note { text: "hello you".into() }]);
        let mut show = Show::new(Colour::Off);
        let lines: Vec<String> =
            transcript.lines().iter().filter_map(|line| show.text(Sight::Line(line))).collect();
        assert!(lines[0].starts_with("    0.0 ms  idle                boot"), "{}", lines[0]);
        assert_eq!(lines[1], "    0.0 ms  idle                note: hello you");
        let action = show.text(Sight::Action { at: Duration::from_millis(3), text: "cont" });
        assert_eq!(action.as_deref(), Some("    3.0 ms  --- host            cont"));
    }

    #[test]
    fn colours_are_only_for_those_who_see_them() {
        let transcript = saying([Record::Note { text: "x".into() }]);
        for (colour, escapes) in [(Colour::Off, false), (Colour::On, true)] {
            let line = Show::new(colour).text(Sight::Line(&transcript.lines()[0])).expect("a line");
            assert_eq!(line.contains('\x1b'), escapes, "{line}");
        }
    }

    #[test]
    fn the_parts_of_a_device_are_not_shown() {
        let mut show = Show::new(Colour::Off);
        assert_eq!(show.text(Sight::Event(&event(json!({"path": "/machine/x"})))), None);
        let whole = show.text(Sight::Event(&event(json!({"device": "d0", "path": "/machine/x"}))));
        assert!(whole.is_some_and(|text| text.ends_with("DEVICE_DELETED device=d0")));
    }

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "c".to_owned()]];
        assert_eq!(table(&rows), "  a     b\n  long  c\n");
    }
}
