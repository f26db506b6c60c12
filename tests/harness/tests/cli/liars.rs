//! Races against QEMUs that behave otherwise, as some versions did or were meant to, and against QEMUs that lie.

use crate::bench::{Bench, EARLY, expect};
use std::time::{Duration, Instant};

/// A short race, and what has to come of it where QEMU lies in this way.
fn race(lie: &str, options: &[&str], status: i32, words: &[&str]) {
    let bench = Bench::new();
    let qemu = bench.lying(lie);
    expect(&mut bench.race(&qemu, options), status, words);
    bench.is_clean();
}

#[test]
fn an_honest_man_in_the_middle_changes_nothing() {
    race("honest", &EARLY, 0, &["PASS tree", "1 races: 1 PASS", "into the tree (upstream)"]);
}

#[test]
fn a_qemu_that_refuses_until_cas_is_recognised_and_is_no_other() {
    let seen = "refuses what is plugged before CAS, and takes it afterwards (reject-before-cas)";
    let bench = Bench::new();
    let qemu = bench.lying("reject-before-cas");
    let window = ["--window", "before-cas,before-reset,after-reset", "--action", "plug", "memory"];
    expect(&mut bench.race(&qemu, &window), 0, &["3 races: 3 PASS", "PASS refused", "PASS tree", seen]);
    for (profile, status, words) in [
        ("reject-before-cas", 0, "1 races: 1 PASS"),
        ("upstream", 1, "takes it only after CAS, which upstream does not: hotplug is not possible"),
        ("reject-before-ov6", 1, "QEMU took it after a CAS without option vector 6"),
        ("cas-reboot", 1, "which cas-reboot does not"),
    ] {
        let options = [&EARLY[..], &["--expect", profile]].concat();
        expect(&mut bench.race(&qemu, &options), status, &[words]);
    }
    bench.is_clean();
}

#[test]
fn a_qemu_that_refuses_until_option_vector_6_is_recognised() {
    let seen = "before a CAS with option vector 6 (reject-before-ov6)";
    race("reject-before-ov6", &EARLY, 0, &["1 races: 1 PASS", seen]);
    let expecting = |profile| [&EARLY[..], &["--expect", profile]].concat();
    race("reject-before-ov6", &expecting("reject-before-ov6"), 0, &["1 races: 1 PASS"]);
    let words = ["FAIL", "refuses it after a CAS without option vector 6"];
    race("reject-before-ov6", &expecting("reject-before-cas"), 1, &words);
}

#[test]
fn a_qemu_that_resets_at_cas_is_recognised() {
    let windows = "prelaunch,before-cas,handler,after-reset";
    let races = ["--window", windows, "--action", "plug", "--manner", "good", "memory"];
    let seen = "resets the machine at CAS (cas-reboot)";
    race("cas-reboot", &races, 0, &["4 races: 4 PASS", seen]);
    let options = [&EARLY[..], &["--expect", "upstream"]].concat();
    race("cas-reboot", &options, 1, &["FAIL", "it booted 2 times, not 1"]);
}

#[test]
fn the_profile_is_in_every_form_for_machines() {
    let options = [&EARLY[..], &["--format", "json"]].concat();
    race("reject-before-cas", &options, 0, &["\"seen\": \"reject-before-cas\""]);
}

#[test]
fn a_deletion_that_nobody_is_told_of_is_a_stuck_unplug() {
    let words = ["FAIL", "stuck unplug", "neither DEVICE_DELETED nor a refusal came"];
    race("no-deletions", &["--only", "memory/unplug/handler"], 1, &words);
}

#[test]
fn a_lie_about_a_connector_is_a_wrong_state() {
    let words =
        ["wrong state", "the guest has it, QMP has it, but not on this connector", "the trace has it conf"];
    race("no-holders", &EARLY, 1, &words);
}

#[test]
fn a_list_that_lies_is_convicted() {
    let words = ["wrong state", "query-memory-devices does not name it"];
    race("no-memory", &EARLY, 1, &words);
    let words = ["ghost", "query-memory-devices still names it"];
    race("old-memory", &["--only", "memory/unplug/handler"], 1, &words);
}

#[test]
fn an_object_tree_that_lies_is_convicted() {
    let words = ["wrong state", "ghost", "QMP has it on this connector and nowhere else"];
    race("no-objects", &EARLY, 1, &words);
}

#[test]
fn an_old_qemu_has_weaker_witnesses_and_no_error() {
    let weak =
        ["does not list its objects", "does not tell what a connector holds", "has no query-memory-devices"];
    for name in ["memory/plug/before-cas", "memory/unplug/handler"] {
        race("old", &["--only", name], 0, &[&["1 races: 1 PASS"], &weak[..]].concat());
    }
    let unknown = "neither QMP nor the trace of this QEMU tells which connector";
    let words = [&["1 races: 1 SKIP", "the trace is silent", unknown], &weak[..]].concat();
    race("very-old", &EARLY, 77, &words);
}

#[test]
fn an_error_that_nobody_knows_is_a_wrong_answer_with_its_words() {
    let words = ["FAIL", "wrong answer", "take me to your leader"];
    race("unknown-error", &["--only", "memory/plug/handler"], 1, &words);
}

#[test]
fn a_monitor_that_is_late_is_waited_for_and_one_that_is_mute_is_not() {
    race("late", &EARLY, 0, &["1 races: 1 PASS"]);
    let begin = Instant::now();
    let options = [&EARLY[..], &["--timeout", "2"]].concat();
    race("mute", &options, 124, &["TIMEOUT", "the answer to `device_add` has not come"]);
    assert!(begin.elapsed() < Duration::from_secs(20));
}
