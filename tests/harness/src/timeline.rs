//! All witnesses on one line of time: what the guest, QMP, QEMU's trace and the host say, in the order in which it was.
//!
//! Each has a clock of its own. QMP and the trace tell the wall clock of QEMU's machine, which is ours. The guest tells its
//! time base; a line of its log arrives later than it was said, so of each boot the quickest line tells how that clock
//! stands to ours, and all others are placed by their ticks. What one witness says stays in its own order.
//!
//! On disk it is one JSON object a line: `t` in seconds since QEMU was started, `who`, and what was said.

use crate::qmp::Event;
use crate::trace::{self, TraceEvent};
use crate::transcript::{Kind, Line, Transcript};
use paprika::log::{Entry, Record};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Something that the host did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When, since QEMU was started.
    pub at: Duration,
    /// What.
    pub text: String,
}

/// What the witnesses say.
#[derive(Clone, Copy, Debug)]
pub struct Testimony<'t> {
    /// The console.
    pub transcript: &'t Transcript,
    /// QMP's events.
    pub events: &'t [Event],
    /// QEMU's trace.
    pub trace: &'t str,
    /// What the host did.
    pub deeds: &'t [Deed],
    /// When QEMU was started, since 1970.
    pub started: Duration,
}

/// Something that was said, and when.
type Moment = (Duration, Value);

impl Testimony<'_> {
    /// All of it in the order of time, one object each.
    pub fn timeline(&self) -> Vec<Value> {
        // A stable sort: what was at the same time stays in the order of causes, as far as it is known.
        let deeds = self.deeds.iter().map(|deed| (deed.at, json!({ "who": "host", "does": deed.text })));
        let witnesses = [deeds.collect(), self.of_trace(), self.of_guest(), self.of_qmp()];
        let mut moments: Vec<Moment> = witnesses.into_iter().flat_map(in_order).collect();
        moments.sort_by_key(|(at, _)| *at);
        moments.into_iter().map(timed).collect()
    }

    fn of_qmp(&self) -> Vec<Moment> {
        let moment = |event: &Event| {
            let told = u64::try_from(event.timestamp).ok().map(Duration::from_micros);
            let at = told.and_then(|told| told.checked_sub(self.started)).unwrap_or(event.at).min(event.at);
            (at, json!({ "who": "qmp", "event": event.name, "data": event.data }))
        };
        self.events.iter().map(moment).collect()
    }

    fn of_trace(&self) -> Vec<Moment> {
        let moment = |event: TraceEvent<'_>| {
            let at = trace::since_1970(event.time)?.saturating_sub(self.started);
            let mut said = json!({ "who": "trace", "event": event.name, "arguments": event.arguments });
            if let Some(connector) = event.connector() {
                said["drc"] = json!(connector.to_string());
            }
            Some((at, said))
        };
        trace::events(self.trace).filter_map(moment).collect()
    }

    fn of_guest(&self) -> Vec<Moment> {
        let clocks = Clocks::of(self.transcript);
        let moment = |line: &Line| match line.entry() {
            Some(entry) => (clocks.time(line, &entry), record(line, &entry)),
            None => (line.at, words(line)),
        };
        self.transcript.lines().iter().map(moment).collect()
    }
}

/// The same with no time before the one that came before it.
fn in_order(mut moments: Vec<Moment>) -> Vec<Moment> {
    let mut latest = Duration::ZERO;
    for (at, _) in &mut moments {
        latest = latest.max(*at);
        *at = latest;
    }
    moments
}

fn timed((at, mut said): Moment) -> Value {
    // Whole microseconds: nobody knows better.
    said["t"] = json!(at.as_micros() as f64 / 1e6);
    said
}

fn record(line: &Line, entry: &Entry<'_>) -> Value {
    let fields = entry.record.fields().into_iter().map(|(name, value)| (name.to_owned(), json!(value)));
    json!({
        "who": "guest",
        "boot": line.boot,
        "seq": entry.seq,
        "ticks": entry.ticks,
        "station": entry.station,
        "record": entry.record.kind(),
        "fields": Value::Object(fields.collect::<Map<_, _>>()),
    })
}

/// A line that is no record.
fn words(line: &Line) -> Value {
    match line.kind {
        Kind::Damaged(damage) => {
            json!({ "who": "guest", "boot": line.boot, "damage": damage.to_string(), "text": line.text })
        }
        Kind::Record | Kind::Other => json!({ "who": "console", "text": line.text }),
    }
}

/// How the guest's clock stands to ours, in each boot.
struct Clocks(BTreeMap<u32, Clock>);

/// The clock of one boot: at `ours` it stood at zero, or would have.
#[derive(Clone, Copy)]
struct Clock {
    first: u64,
    per_second: u32,
    ours: Duration,
}

impl Clock {
    fn since_boot(&self, ticks: u64) -> Duration {
        Duration::from_secs_f64(ticks.saturating_sub(self.first) as f64 / f64::from(self.per_second))
    }
}

impl Clocks {
    fn of(transcript: &Transcript) -> Self {
        let mut clocks = BTreeMap::new();
        for line in transcript.lines() {
            let Some(entry) = line.entry() else { continue };
            if let Record::Boot { tick_rate, .. } = entry.record
                && tick_rate > 0
            {
                clocks.insert(line.boot, Clock { first: entry.ticks, per_second: tick_rate, ours: line.at });
            }
            if let Some(clock) = clocks.get_mut(&line.boot) {
                clock.ours = clock.ours.min(line.at.saturating_sub(clock.since_boot(entry.ticks)));
            }
        }
        Self(clocks)
    }

    fn time(&self, line: &Line, entry: &Entry<'_>) -> Duration {
        let clock = self.0.get(&line.boot);
        clock.map_or(line.at, |clock| clock.ours + clock.since_boot(entry.ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::{Deed, Testimony};
    use crate::qmp::Event;
    use crate::transcript::Transcript;
    use crate::transcript::testing::{boot, line};
    use paprika::log::Record;
    use serde_json::{Value, json};
    use std::time::Duration;

    const STARTED: Duration = Duration::from_secs(1_795_493_091);

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn who(timeline: &[Value]) -> Vec<&str> {
        timeline.iter().filter_map(|moment| moment["who"].as_str()).collect()
    }

    #[test]
    fn every_witness_has_its_place() {
        let mut transcript = Transcript::default();
        transcript.push(ms(1), "SLOF".into());
        transcript.push(ms(10), line(0, boot()));
        // Said a microsecond later, but long on its way.
        transcript.push(ms(90), line(1, Record::Note { text: "a b".into() }));
        let event = Event {
            at: ms(31),
            timestamp: i64::try_from((STARTED + ms(30)).as_micros()).expect("small"),
            name: "DEVICE_DELETED".into(),
            data: json!({"device": "d"}),
        };
        let trace = "7@1795493091.020000:spapr_drc_attach drc: 0x80000004\n";
        let timeline = Testimony {
            transcript: &transcript,
            events: &[event],
            trace,
            deeds: &[Deed { at: ms(15), text: "cont".into() }],
            started: STARTED,
        }
        .timeline();
        assert_eq!(who(&timeline), ["console", "guest", "guest", "host", "trace", "qmp"]);
        let times: Vec<f64> = timeline.iter().filter_map(|moment| moment["t"].as_f64()).collect();
        assert_eq!(times, [0.001, 0.01, 0.010_001, 0.015, 0.02, 0.03]);
        assert_eq!(timeline[2]["record"], "note");
        assert_eq!(timeline[4]["drc"], "80000004");
        assert_eq!(timeline[5]["data"]["device"], "d");
    }

    #[test]
    fn a_damaged_line_is_in_it_and_a_witness_keeps_its_order() {
        let mut transcript = Transcript::default();
        transcript.push(ms(5), line(0, boot()));
        transcript.push(ms(9), line(1, Record::Note { text: "x".into() }).replace("=x", "=y"));
        let trace = "1@1795493091.000009:b_event x\n1@1795493091.000003:a_event x\n1@nonsense:c x\n";
        let timeline =
            Testimony { transcript: &transcript, events: &[], trace, deeds: &[], started: STARTED }
                .timeline();
        assert_eq!(who(&timeline), ["trace", "trace", "guest", "guest"]);
        assert_eq!(timeline[0]["event"], "b_event");
        assert!(timeline[3]["damage"].is_string(), "{}", timeline[3]);
    }
}
