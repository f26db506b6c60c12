//! Questions about threads that run, or stop, where a guest would not have them do so.

use crate::answers::scripts::{BESIDE, LAST};
use crate::answers::tally::list;
use crate::answers::{Answer, Holds, Measured, Question};

pub(super) const ALL: &[Question] = &[
    Question {
        number: 34,
        statement: "More than one running thread at CAS must fail",
        shows: "CAS by a guest whose second thread is stopped, and by the same guest while it runs",
        races: &[],
        scripts: &[&BESIDE],
        answer: beside,
    },
    Question {
        number: 35,
        statement: "stop-self of the last thread ends the partition",
        shows: "what QEMU tells, and whether the guest answers, when its only thread has called stop-self",
        races: &[],
        scripts: &[&LAST],
        answer: last,
    },
];

/// A refusal tells something only where the same guest is not refused alone.
fn beside(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&BESIDE)?;
    let (alone, with_it) = (facts.text("alone: answer")?, facts.text("beside: answer")?);
    if !facts.flag("alone: granted")? {
        let text = format!("CAS is refused even while no second thread runs ({alone}), which tells nothing.");
        return Some(Answer::new(Holds::NotMeasured, text));
    }
    let granted = facts.flag("beside: granted")?;
    let text = format!(
        "CAS is granted while the second thread is stopped, and {} while it runs ({with_it}).",
        if granted { "granted as well" } else { "refused" }
    );
    Some(Answer::new(Holds::of(!granted), text))
}

/// The events by which QEMU says that a partition is over.
const OVER: [&str; 2] = ["SHUTDOWN", "GUEST_PANICKED"];

fn last(measured: &Measured, _: &Question) -> Option<Answer> {
    let facts = measured.facts(&LAST)?;
    let (state, events) = (facts.text("state")?, facts.list("events")?);
    let text = format!(
        "When the only thread has called stop-self QEMU {} and {}; the guest {}.",
        if events.is_empty() { "tells of nothing".to_owned() } else { format!("tells {}", list(&events)) },
        if state == "ended" { "has ended".to_owned() } else { format!("says that it is `{state}`") },
        if facts.flag("answers")? { "still answers" } else { "answers no more" },
    );
    let over = state == "ended" || events.iter().any(|event| OVER.contains(event));
    Some(Answer::new(Holds::of(over), text))
}

#[cfg(test)]
mod tests {
    use super::{BESIDE, Holds, LAST, Measured};
    use crate::answers::facts::Facts;
    use serde_json::json;

    fn threads(alone: (bool, &str), beside: (bool, &str)) -> Measured {
        let facts = Facts::default().with("alone: granted", alone.0).with("alone: answer", alone.1);
        let facts = facts.with("beside: granted", beside.0).with("beside: answer", beside.1);
        Measured::default().and(&BESIDE, facts)
    }

    const WELL: (bool, &str) = (true, "H_SUCCESS, H_SUCCESS");
    const THREADS: (bool, &str) = (false, "H_MULTI_THREADS_ACTIVE, H_SUCCESS");

    #[test]
    fn cas_is_refused_for_a_running_thread_or_is_not() {
        let refused = threads(WELL, THREADS).answer("Q34");
        assert!(refused.holds == Holds::Yes && refused.text.contains("H_MULTI_THREADS"), "{refused:?}");
        let granted = threads(WELL, WELL).answer("Q34");
        assert!(granted.holds == Holds::No && granted.text.contains("granted as well"), "{granted:?}");
        assert_eq!(threads(THREADS, THREADS).answer("Q34").holds, Holds::NotMeasured);
    }

    #[test]
    fn a_partition_ends_with_its_last_thread_or_is_silent() {
        let last = |events: &[&str], state: &str, answers: bool| {
            let facts = Facts::default().with("events", json!(events)).with("state", state);
            Measured::default().and(&LAST, facts.with("answers", answers)).answer("Q35")
        };
        let silent = last(&[], "running", false);
        assert_eq!(silent.holds, Holds::No);
        assert!(
            silent.text.contains("tells of nothing and says that it is `running`; the guest answers no more")
        );
        assert_eq!(last(&["SHUTDOWN"], "shutdown", false).holds, Holds::Yes);
        assert_eq!(last(&[], "ended", false).holds, Holds::Yes);
        let deaf = last(&["RTC_CHANGE"], "running", true);
        assert!(deaf.holds == Holds::No && deaf.text.contains("still answers"), "{deaf:?}");
    }
}
