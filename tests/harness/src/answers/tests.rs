//! Every shape of answer, both ways, from measurements that were made up.

use super::facts::Facts;
use super::scripts::{
    ALL_OV6, CAS_RESET, CAS_RESET_VOF, CAS_TWICE, CLEARED, CORE_RESET, EARLY, FLOOD, FLOOD_EPOW, GAP, GAPS,
    HALF_MOVED, IDENTIFIERS, IDENTIFIERS_EPOW, MASKED, MULTIFUNCTION, OTHER_ORDER, OWNER, QUEUE_RESET,
    READINGS, REFUSE_CPU, REFUSE_MEMORY, REFUSE_PCI, REFUSE_PHB, SAME_ORDER, TRANSITIONS, TWICE,
    WITHOUT_HP_EVT, ZEROS,
};
use super::{Holds, Measured, Question, Varied};
use crate::verdict::{Class, Finding, Verdict};
use serde_json::json;
use std::collections::BTreeSet;

fn none() -> Measured {
    Measured::default()
}

fn facts() -> Facts {
    Facts::default()
}

const ONCE: &str = "reaches the guest exactly once";
const ENDS: &str = "a request to unplug ends";

fn well(property: &'static str) -> Vec<Finding> {
    vec![Finding::pass(property, "second")]
}

fn badly(property: &'static str, class: Class) -> Vec<Finding> {
    vec![Finding::broken(property, "second", class, "so it was")]
}

fn crash() -> Vec<Finding> {
    let finding = Finding::other("lives to the end", "QEMU", Verdict::Crash, "while unplugging: gone");
    vec![Finding { class: Some(Class::HypervisorCrash), ..finding }]
}

/// What a question comes to.
fn holds(measured: &Measured, name: &str) -> Holds {
    measured.answer(name).holds
}

#[test]
fn there_are_thirty_six_questions_and_each_has_a_number_of_its_own() {
    let numbers: Vec<u8> = Question::all().iter().map(|question| question.number).collect();
    assert_eq!(numbers, (1..=36).collect::<Vec<u8>>());
    let statements: BTreeSet<&str> = Question::all().iter().map(|question| question.statement).collect();
    assert_eq!(statements.len(), 36);
    assert!(
        Question::all().iter().all(|question| !question.races.is_empty() || !question.scripts.is_empty())
    );
}

#[test]
fn without_measurements_there_is_no_answer() {
    for question in Question::all() {
        assert_eq!(question.answered(&none()).holds, Holds::NotMeasured, "{}", question.name());
    }
}

#[test]
fn an_experiment_that_ended_early_is_told_of() {
    let crashed = none().and_ended(&CORE_RESET, Verdict::Crash, "QEMU aborted").answer("Q6");
    assert!(crashed.holds == Holds::Crash && crashed.text.contains("QEMU aborted"), "{crashed:?}");
    let late = none().and_ended(&CORE_RESET, Verdict::TimedOut, "no end").answer("Q6");
    assert!(late.holds == Holds::NotMeasured && late.text.contains("no end"), "{late:?}");
}

#[test]
fn a_device_that_is_lost_is_told_of() {
    let base = none().and(&READINGS, facts().with("events queued behind CAS", 0));
    let fine = base.clone().and_race("cpu/plug/before-cas", "tree", well(ONCE));
    assert_eq!(holds(&fine, "Q1"), Holds::No);
    assert!(fine.answer("Q1").text.contains("1 were told of by the tree, 0 by an event"));
    let lost = fine.and_race("pci/plug/after-cas", "untold", badly(ONCE, Class::LostEvent));
    let answer = lost.answer("Q1");
    assert!(answer.holds == Holds::Yes && answer.text.contains("pci/plug/after-cas"), "{answer:?}");
    assert_eq!(holds(&lost, "Q22"), Holds::Depends);
    let all = none().and_race("cpu/plug/before-cas", "tree", badly(ONCE, Class::Ghost));
    assert_eq!(holds(&all, "Q22"), Holds::No);
    let skipped =
        none().and_race("cpu/plug/before-cas", "-", vec![Finding::other(ONCE, "x", Verdict::Skip, "no")]);
    assert_eq!(holds(&skipped, "Q22"), Holds::NotMeasured);
}

#[test]
fn what_an_unplug_leaves_behind_is_told_of() {
    let fine = none().and_race("memory/plug-unplug/handler", "event, gone", well(ENDS));
    assert_eq!((holds(&fine, "Q2"), holds(&fine, "Q7")), (Holds::No, Holds::No));
    let stuck = fine.clone().and_race(
        "memory/plug-unplug/after-cas",
        "event, stays",
        badly(ENDS, Class::StuckUnplug),
    );
    assert_eq!(holds(&stuck, "Q2"), Holds::Depends);
    let dead = fine.and_race("memory/unplug-twice/handler", "-", crash());
    let answer = dead.answer("Q7");
    assert!(answer.holds == Holds::Depends && answer.text.contains("QEMU crashed in memory/unplug-twice"));
    let only = none().and_race("memory/unplug-twice/handler", "-", crash());
    assert_eq!((holds(&only, "Q7"), holds(&only, "Q28")), (Holds::Yes, Holds::Yes));
}

#[test]
fn requests_before_the_handler_and_second_requests_end_or_do_not() {
    let early = none().and_race("cpu/unplug/after-cas", "tree, gone", well(ENDS));
    assert_eq!(holds(&early, "Q26"), Holds::Yes);
    let stuck = early.and_race("pci/unplug/after-cas", "tree, stays", badly(ENDS, Class::StuckUnplug));
    assert_eq!(holds(&stuck, "Q26"), Holds::Depends);
    let twice = none().and_race("cpu/unplug-twice/handler", "tree, gone", well(ENDS));
    assert_eq!(holds(&twice, "Q28"), Holds::No);
    let dead = twice.and_race("phb/unplug-twice/handler", "-", crash()).answer("Q28");
    assert!(dead.holds == Holds::Depends && !dead.text.contains("Not told"), "{dead:?}");
    let skipped = vec![Finding::other("is possible", "x", Verdict::Skip, "no such device")];
    let lacking = early_and(skipped).answer("Q26");
    assert!(lacking.text.contains("Not told by phb/unplug/after-cas (SKIP: no such device)"), "{lacking:?}");
}

/// A race in which all went well, and one that came to this.
fn early_and(findings: Vec<Finding>) -> Measured {
    let well = none().and_race("cpu/unplug/after-cas", "tree, gone", well(ENDS));
    well.and_race("phb/unplug/after-cas", "-", findings)
}

#[test]
fn the_plan_is_told_per_kind() {
    let tree = none().and_race("memory/plug/before-cas", "tree", well(ONCE));
    assert_eq!(holds(&tree, "Q14"), Holds::No);
    let event = none().and_race("memory/plug/before-cas", "event", well(ONCE));
    assert_eq!(holds(&event, "Q14"), Holds::Yes);
    let both = tree.and_race("cpu/plug/before-cas", "event", well(ONCE)).answer("Q14");
    assert!(both.holds == Holds::Depends && both.text.contains("plan (a) for cpu"), "{both:?}");
    let refused = none().and_race("cpu/plug/before-cas", "refused", well(ONCE)).answer("Q14");
    assert!(refused.text.contains("cpu is refused"), "{refused:?}");
}

#[test]
fn vector_6_matters_or_does_not() {
    let life = facts().with("early: told", "tree").with("late: told", "event").with("late: asked", "deleted");
    let mut same = none();
    for script in ALL_OV6 {
        same = same.and(script, life.clone());
    }
    let answer = same.answer("Q3");
    assert_eq!((answer.holds, answer.varied), (Holds::No, vec![Varied { what: "vectors", matters: false }]));
    let other = same.and(ALL_OV6[1], life.with("early: told", "event")).answer("Q3");
    assert_eq!((other.holds, other.varied[0].matters), (Holds::Yes, true));
    assert!(other.text.contains("ov6-absent (early: told)"), "{other:?}");
}

/// A guest to which a core and a DIMM come in the gap.
fn gap(events: u32, interrupts: &[&str]) -> Facts {
    let taken = if interrupts.is_empty() { "nothing" } else { "taken" };
    facts()
        .with("calls in the gap", 454)
        .with("microseconds in the gap", 70_000)
        .with("core: told", "event")
        .with("dimm: told", "event")
        .with("core: became", taken)
        .with("dimm: became", taken)
        .with("pending plugged", json!(interrupts))
        .with("pending after CAS", json!(interrupts))
        .with("interrupts at arming", json!(interrupts))
        .with("pending scanned when armed", json!(["hotplug"]))
        .with("events by check-exception", events)
        .with("events by event-scan", 0)
        .with("found by event-scan while masked", 0)
}

#[test]
fn an_interrupt_that_does_not_come_is_told_of() {
    let heard =
        none().and(&GAP, gap(2, &["hotplug"])).and(&EARLY, gap(0, &["EPOW"])).and(&MASKED, gap(1, &[]));
    assert_eq!(
        (holds(&heard, "Q4"), holds(&heard, "Q15"), holds(&heard, "Q25")),
        (Holds::Yes, Holds::No, Holds::No)
    );
    assert_eq!((holds(&heard, "Q17"), holds(&heard, "Q18")), (Holds::Yes, Holds::No));
    let deaf = heard.and(&GAP, gap(2, &[]).with("calls in the gap", 0));
    assert_eq!(
        (holds(&deaf, "Q4"), holds(&deaf, "Q15"), holds(&deaf, "Q25")),
        (Holds::No, Holds::Yes, Holds::Yes)
    );
    let kept = deaf.and(&EARLY, gap(2, &["EPOW"]).with("pending after CAS", json!([])));
    assert_eq!((holds(&kept, "Q17"), holds(&kept, "Q18")), (Holds::No, Holds::Yes));
}

#[test]
fn cas_resets_the_machine_or_does_not() {
    let reset = |times: u32, told: &str| facts().with("resets by CAS", times).with("dimm: told", told);
    let clean =
        none().and(&CAS_RESET, reset(1, "tree")).and(&CAS_RESET_VOF, facts().with("resets by CAS", 0));
    let answer = clean.answer("Q5");
    assert_eq!((answer.holds, answer.varied[0].matters), (Holds::No, true));
    assert_eq!(holds(&clean.clone().and(&CAS_RESET, reset(1, "event")), "Q5"), Holds::Yes);
    let never = clean.and(&CAS_RESET, facts().with("resets by CAS", 0)).answer("Q5");
    assert_eq!((never.holds, never.varied[0].matters), (Holds::No, false));
}

#[test]
fn a_second_cas_works_or_does_not() {
    let (good, bad) = ("H_SUCCESS H_SUCCESS granted 00", "H_SUCCESS H_HARDWARE granted 00");
    let twice = |answers: &[&str], told: &str| {
        let facts = facts().with("answers", json!(answers)).with("early: told", "tree");
        holds(&none().and(&CAS_TWICE, facts.with("between: told", told)), "Q23")
    };
    assert_eq!(twice(&[good, good], "tree"), Holds::Yes);
    assert_eq!(twice(&[good, bad], "tree"), Holds::No);
    assert_eq!(twice(&[good, good], "tree and event"), Holds::No);
    assert_eq!(twice(&[good], "tree"), Holds::No);
}

#[test]
fn a_cleared_vector_5_is_treated_otherwise_or_is_not() {
    let late = |asked: &str| facts().with("late: told", "event").with("late: asked", asked);
    let measured = |zeros: &str| {
        let base = none().and(&CLEARED, late("deleted")).and(&ZEROS, late(zeros));
        base.and(&WITHOUT_HP_EVT, late("refused at once").with("late: refused", "not supported"))
    };
    let answer = measured("deleted").answer("Q33");
    assert!(answer.holds == Holds::Yes && answer.text.contains("(not supported)"), "{answer:?}");
    assert_eq!(holds(&measured("refused at once"), "Q33"), Holds::Depends);
}

/// How a DIMM was found.
fn found(facts: Facts, id: &str, told: &str, sense: &str, calls: usize) -> Facts {
    facts
        .with(&format!("{id}: told"), told)
        .with(&format!("{id}: sense"), sense)
        .with(&format!("{id}: calls"), json!(vec!["call"; calls]))
        .with(&format!("{id}: became"), "taken")
}

fn readings(queued: u32, early: (&str, &str, usize)) -> Measured {
    let mut facts = found(facts(), "cold", "tree", "present", 0).with("events queued behind CAS", queued);
    facts = found(facts, "early", early.0, early.1, early.2);
    facts = found(facts, "between", "event", "unusable", 3);
    none().and(&READINGS, found(facts, "late", "event", "unusable", 3))
}

#[test]
fn what_the_tree_says_and_what_the_connector_reads_are_compared() {
    let all = |measured: &Measured| ["Q8", "Q9", "Q12", "Q16"].map(|name| holds(measured, name));
    let (yes, no) = (Holds::Yes, Holds::No);
    assert_eq!(all(&readings(0, ("tree", "present", 0))), [no, yes, no, yes]);
    assert_eq!(all(&readings(1, ("tree", "present", 0))), [yes, yes, no, no]);
    assert_eq!(all(&readings(1, ("tree and event", "unusable", 3))), [yes, yes, yes, no]);
    assert_eq!(all(&readings(1, ("event", "unusable", 3))), [no, yes, no, no]);
    let odd = none().and(
        &READINGS,
        found(
            readings(0, ("tree", "present", 0)).facts(&READINGS).expect("there").clone(),
            "late",
            "event",
            "present",
            0,
        ),
    );
    assert_eq!(holds(&odd, "Q9"), no);
}

fn after_reset(events: u32, told: &str, sense: &str) -> Measured {
    let facts = found(facts(), "memory", told, sense, 0)
        .with("events after the reset", events)
        .with("plugged", 1)
        .with("heard before the reset", 0)
        .with("asked: asked", "deleted");
    none().and(&QUEUE_RESET, facts)
}

#[test]
fn what_is_left_after_a_reset_is_told_of() {
    let all = |measured: &Measured| ["Q10", "Q11", "Q24"].map(|name| holds(measured, name));
    let (yes, no) = (Holds::Yes, Holds::No);
    assert_eq!(all(&after_reset(0, "tree", "present")), [no, yes, no]);
    assert_eq!(all(&after_reset(0, "nothing", "unusable")), [yes, no, no]);
    assert_eq!(all(&after_reset(1, "event", "unusable")), [no, no, yes]);
    let race = badly("the queue is empty after a reset", Class::Ghost);
    let broken = after_reset(0, "tree", "present").and_race("memory/plug/before-reset", "event", race);
    assert_eq!(holds(&broken, "Q11"), no);
}

#[test]
fn a_core_is_started_after_a_reset_or_is_not() {
    let core = |told: &str, ran: &[u32]| {
        let facts = facts().with("core: told", told).with("core: became", "taken");
        holds(&none().and(&CORE_RESET, facts.with("threads that ran after the reset", json!(ran))), "Q6")
    };
    assert_eq!(
        [core("tree", &[1]), core("tree", &[]), core("event", &[1])],
        [Holds::Yes, Holds::No, Holds::No]
    );
}

fn refusal(first: &str, event: &str, retry: &str) -> Facts {
    let facts = facts().with("refuse: first asked", first).with("refuse: first event", event);
    facts.with("refuse: asked", retry)
}

#[test]
fn refusals_are_told_per_kind() {
    let well = || refusal("refused", "DEVICE_UNPLUG_GUEST_ERROR", "deleted");
    let base = none().and(&REFUSE_MEMORY, well()).and(&REFUSE_CPU, well()).and(&REFUSE_PHB, well());
    assert_eq!(holds(&base.clone().and(&REFUSE_PCI, well()), "Q27"), Holds::Yes);
    let open = base.clone().and(&REFUSE_PCI, refusal("nothing", "", "refused at once")).answer("Q27");
    assert!(open.holds == Holds::Depends && open.text.contains("pci by un-isolating: no event"), "{open:?}");
    let base_again = base.clone();
    let dead = base.and_ended(&REFUSE_PCI, Verdict::Crash, "QEMU aborted").answer("Q27");
    assert!(dead.holds == Holds::Crash && dead.text.contains("pci ended early: QEMU aborted"), "{dead:?}");
    let known = base_again.and_ended(&REFUSE_PCI, Verdict::ExpectedFail, "known as a-bug").answer("Q27");
    assert!(known.holds == Holds::KnownCrash && known.text.contains("known as a-bug"), "{known:?}");
}

#[test]
fn a_guest_that_bails_out_can_be_unplugged_or_not() {
    let owner = |early: &str, late: &str| {
        let facts = facts().with("early: became", "taken").with("late: became", "ignored");
        let facts = facts.with("early: first asked", "refused").with("early: asked", early);
        holds(&none().and(&OWNER, facts.with("late: asked", late)), "Q13")
    };
    assert_eq!(owner("deleted", "deleted"), Holds::No);
    assert_eq!(owner("deleted", "nothing"), Holds::Depends);
    assert_eq!(owner("refused", "nothing"), Holds::Yes);
}

#[test]
fn calls_are_as_they_should_be_or_are_not() {
    let tour = |wrong: &[&str]| {
        let facts =
            facts().with("kinds", json!(["cpu"])).with("calls", 90).with("moves", 4).with("refused", 70);
        none().and(&TRANSITIONS, facts.with("wrong", json!(wrong)).with("missing", 0)).answer("Q21")
    };
    assert_eq!(tour(&[]).holds, Holds::Yes);
    let wrong = tour(&["cpu unusable isolate"]);
    assert!(wrong.holds == Holds::No && wrong.text.contains("as cpu unusable isolate"), "{wrong:?}");
}

#[test]
fn a_second_configuration_is_answered_or_refused() {
    let twice = |memory: &[&str]| {
        let mut facts = facts().with("memory: configured", json!(memory)).with("memory: became", "taken");
        for kind in ["cpu", "pci"] {
            facts.note(format!("{kind}: configured"), json!(["success", "success"]));
            facts.note(format!("{kind}: became"), "taken");
        }
        holds(&none().and(&TWICE, facts), "Q29")
    };
    assert_eq!(twice(&["success", "success"]), Holds::Yes);
    assert_eq!(twice(&["success", "not-configurable"]), Holds::Depends);
    assert_eq!(twice(&["success"]), Holds::Depends);
}

#[test]
fn the_order_of_functions_is_told() {
    let slot = |before: u32, added: &[&str], removed: &[&str]| {
        let facts = facts().with("events before function 0", before).with("added", json!(added));
        let facts = facts.with("events after function 1 was asked for", 0).with("removed", json!(removed));
        holds(&none().and(&MULTIFUNCTION, facts), "Q30")
    };
    assert_eq!(slot(0, &["f0", "f1"], &["f1", "f0"]), Holds::Yes);
    assert_eq!(slot(1, &["f0", "f1"], &["f1", "f0"]), Holds::No);
    assert_eq!(slot(0, &["f1", "f0"], &["f1", "f0"]), Holds::No);
    assert_eq!(slot(0, &["f0", "f1"], &["f0", "f1"]), Holds::No);
}

#[test]
fn events_that_are_lost_or_out_of_order_are_told_of() {
    let told = |ids: &[&str]| facts().with("plugged", json!(["a", "b", "c"])).with("told", json!(ids));
    let flood =
        |ids: &[&str]| none().and(&FLOOD, told(&["a", "b", "c"])).and(&FLOOD_EPOW, told(ids)).answer("Q31");
    let fine = flood(&["a", "b", "c"]);
    assert_eq!((fine.holds, fine.varied[0].matters), (Holds::Yes, false));
    let lost = flood(&["a"]);
    assert!(
        lost.holds == Holds::Depends && lost.varied[0].matters && lost.text.contains("2 lost"),
        "{lost:?}"
    );
    assert!(flood(&["b", "a", "c"]).text.contains("none lost, not in order"));
}

#[test]
fn identifiers_are_told_by_vectors() {
    let dimms = |kind: &str| {
        let ids = [1, 3, 8].map(|count| format!("{kind}:{count}"));
        let facts = facts().with("identifiers", json!(ids)).with("taken", 12).with("part: taken", 2);
        facts.with("part: given back", 0).with("part: kept", 2)
    };
    let new = none().and(&IDENTIFIERS, dimms("count-indexed"));
    let both = new.clone().and(&IDENTIFIERS_EPOW, dimms("count")).answer("Q32");
    assert_eq!((both.holds, both.varied[0].matters), (Holds::Depends, true));
    assert_eq!(holds(&new.and(&IDENTIFIERS_EPOW, dimms("count-indexed")), "Q32"), Holds::Yes);
}

#[test]
fn a_wrong_connector_of_a_core_is_told_of() {
    let cores = |found: &[&str]| {
        let facts = facts().with("wanted", json!(["10000006", "10000002"])).with("connectors", json!(found));
        holds(&none().and(&GAPS, facts), "Q36")
    };
    assert_eq!(cores(&["10000006", "10000002"]), Holds::No);
    assert_eq!(cores(&["10000001", "10000002"]), Holds::Yes);
}

#[test]
fn every_form_tells_every_answer() {
    let measured = readings(0, ("tree", "present", 0));
    let answers: Vec<_> =
        Question::all().into_iter().map(|question| (question, question.answered(&measured))).collect();
    let (text, table) =
        (super::report::text(&answers, &measured), super::report::markdown(&answers, &measured));
    assert!(table.lines().skip(2).all(|line| line.replace("\\|", "").matches('|').count() == 6), "{table}");
    let json = super::report::json(&answers, &measured, "QEMU x", "VOF");
    for (at, question) in Question::all().into_iter().enumerate() {
        assert!(text.contains(question.statement) && table.contains(&question.name()));
        assert_eq!(json["answers"][at]["question"], question.name());
        assert!(super::report::explain(question).contains(question.shows));
    }
    assert_eq!(json["experiments"]["readings"]["facts"]["early: told"], "tree");
}

#[test]
fn what_was_queued_moves_with_the_machine_or_does_not() {
    let half = facts().with("dimm: became", "taken").with("dimm: asked", "deleted");
    let fine = none().and(&HALF_MOVED, half.clone()).and_race("pci/plug/migrating", "event", well(ONCE));
    assert_eq!(holds(&fine, "Q19"), Holds::Yes);
    let dead = fine.clone().and_race("memory/unplug-refused/migrating", "-", crash()).answer("Q19");
    assert!(
        dead.holds == Holds::Depends && dead.text.contains("QEMU crashed in memory/unplug-refused"),
        "{dead:?}"
    );
    let lost = none().and(&HALF_MOVED, half.clone());
    let lost = lost.and_race("pci/plug/migrating", "untold", badly(ONCE, Class::LostEvent));
    assert_eq!(holds(&lost, "Q19"), Holds::No);
    let stuck = none().and(&HALF_MOVED, half.with("dimm: asked", "nothing"));
    assert_eq!(holds(&stuck.and_race("pci/plug/migrating", "event", well(ONCE)), "Q19"), Holds::Depends);
}

#[test]
fn dimms_on_the_other_command_line_are_where_they_were_or_are_not() {
    let dimms = |odd: u32, last: &str| {
        let facts = facts().with("odd", odd).with("small: asked", "deleted").with("large: asked", "deleted");
        facts.with("last: asked", last)
    };
    let both = |first: Facts, second: Facts| none().and(&SAME_ORDER, first).and(&OTHER_ORDER, second);
    assert_eq!(holds(&both(dimms(0, "deleted"), dimms(0, "deleted")), "Q20"), Holds::No);
    assert_eq!(holds(&both(dimms(0, "deleted"), dimms(1, "deleted")), "Q20"), Holds::Depends);
    assert_eq!(holds(&both(dimms(2, "deleted"), dimms(0, "nothing")), "Q20"), Holds::Yes);
}
