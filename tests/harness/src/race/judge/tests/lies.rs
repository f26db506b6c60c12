//! Properties 1 to 8: one lie, one conviction.

use super::story::{DEVICE, LMB, Story, begin, call, deleted, done, sense, told, trace};
use super::{Class, Lie, Verdict, convicts, problems};
use crate::device::MEMORY_LIST;
use crate::qemu::process::Exit;
use crate::race::course::Again;
use crate::stop::Stop;
use crate::verdict::worst;
use paprika::log::{Learned, Outcome, Record, Request};
use paprika::papr::indicator::EntitySense;
use paprika::papr::status::Status;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

const ONCE: &str = "reaches the guest exactly once";
const AGREE: &str = "the witnesses agree";

#[test]
fn a_device_that_is_told_of_twice_is_a_ghost() {
    let twice = |story: &mut Story| story.boots[0].insert(0, begin(Request::Add, Learned::Tree));
    convicts(Story::of_a_plug(), twice, ONCE, Class::Ghost, &["80000004", "2 times", "tree, event"]);
}

#[test]
fn a_device_that_comes_the_wrong_way_is_a_ghost() {
    let by_tree = |story: &mut Story| story.boots[0][0] = begin(Request::Add, Learned::Tree);
    convicts(Story::of_a_plug(), by_tree, ONCE, Class::Ghost, &["by tree", "event was due"]);
    let by_event = |story: &mut Story| story.boots[0][0] = begin(Request::Add, Learned::Event);
    convicts(Story::of_an_early_plug(), by_event, ONCE, Class::Ghost, &["by event", "tree was due"]);
}

#[test]
fn a_device_that_nobody_told_the_guest_of_is_a_lost_event() {
    let problems = problems(Story::of_a_plug(), |story| story.boots[0].clear());
    let once = problems.iter().find(|problem| problem.property == ONCE).expect("a finding");
    assert_eq!(once.class, Some(Class::LostEvent), "{once}");
    // The guest has not what QMP has, so that they disagree as well.
    assert!(problems.iter().all(|problem| [ONCE, AGREE].contains(&problem.property)), "{problems:?}");
}

#[test]
fn an_event_that_waits_for_the_next_interrupt_has_lost_its_own() {
    let problems = problems(Story::of_a_plug(), |story| story.evening = std::mem::take(&mut story.boots[0]));
    for property in [ONCE, "is woken for"] {
        let problem = problems.iter().find(|problem| problem.property == property).expect("a finding");
        assert_eq!(problem.class, Some(Class::LostInterrupt), "{problem}");
    }
    let twice = |story: &mut Story| story.evening = vec![begin(Request::Add, Learned::Event)];
    convicts(Story::of_a_plug(), twice, "is woken for", Class::LostInterrupt, &["lay in the queue"]);
}

#[test]
fn the_guest_alone_convicts() {
    let words =
        ["the guest has it not", "QMP has it on", "the sensor reads present", "the trace has it conf"];
    let failed = |story: &mut Story| story.boots[0][5] = done(Request::Add, Outcome::Failed);
    convicts(Story::of_a_plug(), failed, AGREE, Class::WrongState, &words);
    let words = ["the guest has it,", "QMP has it not", "the sensor reads nothing", "the trace has it gone"];
    let kept = |story: &mut Story| story.boots[0][9] = done(Request::Remove, Outcome::Kept);
    convicts(Story::of_an_unplug(), kept, AGREE, Class::Ghost, &words);
}

#[test]
fn the_sensor_alone_convicts() {
    let words = ["the guest has it,", "the sensor reads nothing"];
    let silent = |story: &mut Story| story.settled.senses = Some(Default::default());
    convicts(Story::of_a_plug(), silent, AGREE, Class::WrongState, &words);
    let odd = |story: &mut Story| story.settled.senses = Some([(LMB, EntitySense(7))].into());
    convicts(Story::of_a_plug(), odd, AGREE, Class::WrongState, &["a value that nobody knows"]);
    let words = ["the guest has it not", "the sensor reads present"];
    let present = |story: &mut Story| story.settled.senses = Some([(LMB, EntitySense::PRESENT)].into());
    convicts(Story::of_an_unplug(), present, AGREE, Class::WrongState, &words);
}

#[test]
fn qmps_object_tree_alone_convicts() {
    let nowhere = |story: &mut Story| story.settled.holders = Some(Default::default());
    let words = ["QMP has it, but not on this connector"];
    convicts(Story::of_a_plug(), nowhere, AGREE, Class::WrongState, &words);
    let other = |story: &mut Story| {
        story.settled.holders.as_mut().map(|holders| holders.insert(LMB, "third".to_owned()));
    };
    convicts(Story::of_a_plug(), other, AGREE, Class::WrongState, &words);
    let holds = |story: &mut Story| {
        story.settled.holders.as_mut().map(|holders| holders.insert(LMB, DEVICE.to_owned()));
    };
    let words = ["the guest has it not", "QMP has it on this connector and nowhere else"];
    convicts(Story::of_an_unplug(), holds, AGREE, Class::WrongState, &words);
    // What QMP has not at all is a ghost of the guest's; QMP's list tells of it, too.
    let gone = |story: &mut Story| {
        (story.settled.present, story.settled.holders) = (Some(Default::default()), Some(Default::default()));
    };
    let problems = problems(Story::of_a_plug(), gone);
    assert!(problems.iter().all(|problem| problem.class == Some(Class::Ghost)), "{problems:?}");
    assert_eq!(problems.len(), 2, "{problems:?}");
}

#[test]
fn qmps_list_alone_convicts() {
    let property = "QMP's lists agree";
    let unlisted = |story: &mut Story| drop(story.settled.lists.insert(MEMORY_LIST, Default::default()));
    let words = ["object tree has it", "query-memory-devices does not name it"];
    convicts(Story::of_a_plug(), unlisted, property, Class::WrongState, &words);
    let listed =
        |story: &mut Story| drop(story.settled.lists.insert(MEMORY_LIST, [DEVICE.to_owned()].into()));
    let words = ["object tree has it not", "query-memory-devices still names it"];
    convicts(Story::of_an_unplug(), listed, property, Class::Ghost, &words);
}

#[test]
fn a_doctored_trace_alone_convicts() {
    let lies: [(Lie, &str); 3] = [
        (|story| story.settled.trace = Some(trace(&["attach"])), "the trace has it attached"),
        (|story| story.settled.trace = Some(trace(&["realize", "reset"])), "the trace has it gone"),
        (
            |story| {
                let gone = ["attach", "set_configured", "unplug_request"];
                story.settled.trace = Some(trace(&gone));
            },
            "the trace has it gone",
        ),
    ];
    for (lie, words) in lies {
        convicts(Story::of_a_plug(), lie, AGREE, Class::WrongState, &["the guest has it,", words]);
    }
    let stays = |story: &mut Story| story.settled.trace = Some(trace(&["attach", "set_configured"]));
    let words = ["the guest has it not", "the trace has it configured"];
    convicts(Story::of_an_unplug(), stays, AGREE, Class::WrongState, &words);
}

#[test]
fn a_witness_that_is_silent_convicts_nobody_and_is_told_of() {
    let silences: [(Lie, &str); 5] = [
        (|story| story.settled.trace = None, "the trace is silent"),
        (|story| story.settled.senses = None, "the sensor is silent"),
        (|story| story.settled.present = None, "does not list its objects"),
        (|story| story.settled.holders = None, "does not tell what a connector holds"),
        (|story| story.settled.lists.clear(), "has no query-memory-devices"),
    ];
    for story in [Story::of_a_plug, Story::of_an_early_plug, Story::of_an_unplug, Story::of_a_reset] {
        let mut mute = story();
        for (silence, words) in silences {
            let mut quiet = story();
            silence(&mut quiet);
            silence(&mut mute);
            for findings in [quiet.judged(), mute.judged()] {
                assert_eq!(worst(&findings), Verdict::Pass, "{findings:?}");
                assert!(
                    findings.iter().any(|finding| finding.detail.contains(words)),
                    "{words}: {findings:?}"
                );
            }
        }
    }
    let told = Story::of_a_plug().judged().iter().any(|finding| finding.property == "bears witness");
    assert!(!told, "nobody is silent here");
}

#[test]
fn where_nobody_tells_the_connector_there_is_nothing_to_judge() {
    let mut story = Story::of_a_plug();
    story.runner.connectors.clear();
    let problem =
        |story: &Story| story.judged().into_iter().find(|finding| finding.property.starts_with("hangs"));
    assert_eq!(problem(&story).and_then(|finding| finding.class), Some(Class::WrongState));
    (story.settled.holders, story.settled.trace) = (None, None);
    assert_eq!(problem(&story).map(|finding| finding.verdict), Some(Verdict::Skip));
}

#[test]
fn a_request_that_never_ends_is_stuck() {
    let property = "a request to unplug ends";
    let never = |story: &mut Story| story.events.clear();
    convicts(Story::of_an_unplug(), never, property, Class::StuckUnplug, &["neither DEVICE_DELETED"]);
    let other = |story: &mut Story| story.events = vec![deleted("third")];
    convicts(Story::of_an_unplug(), other, property, Class::StuckUnplug, &[]);
    let before = |story: &mut Story| story.runner.asked[0].events = 1;
    convicts(Story::of_an_unplug(), before, property, Class::StuckUnplug, &[]);
    // A refusal is an end.
    let mut story = Story::of_an_unplug();
    story.events[0].name = "DEVICE_UNPLUG_GUEST_ERROR".into();
    assert_eq!(worst(&story.judged()), Verdict::Pass);
}

#[test]
fn what_cannot_be_plugged_again_is_told_by_its_class() {
    let property = "can be plugged again";
    let cases: [(Lie, Class, &str); 3] = [
        (|story| story.runner.again = Some(Again::Stays), Class::StuckUnplug, "it does not go"),
        (|story| story.runner.again = Some(Again::Gone), Class::LostEvent, "the guest did not take it"),
        (|story| story.runner.again = Some(Again::Refused), Class::StuckUnplug, "QEMU refuses"),
    ];
    for (lie, class, words) in cases {
        convicts(Story::of_a_plug(), lie, property, class, &[words]);
    }
}

#[test]
fn a_qemu_that_dies_is_a_crash_with_its_signal_and_its_last_words() {
    let killed: Exit = ExitStatus::from_raw(6).into();
    let mut story = Story::of_a_plug();
    let last_words = "double free".to_owned();
    story.stop = Some(Stop::Ended { waiting_for: "x".into(), exit: killed, last_words });
    let findings = story.judged();
    let crash = findings.iter().find(|finding| finding.verdict == Verdict::Crash).expect("a crash");
    assert_eq!((worst(&findings), crash.class), (Verdict::Crash, Some(Class::HypervisorCrash)));
    assert!(crash.detail.contains("signal 6") && crash.detail.contains("double free"), "{crash}");
    story.stop = Some(Stop::TimedOut { waiting_for: "x".into() });
    assert_eq!(worst(&story.judged()), Verdict::TimedOut);
}

#[test]
fn a_call_that_answers_what_it_must_not_is_a_wrong_answer() {
    let property = "answers calls on connectors as it should";
    let busy =
        |story: &mut Story| story.boots[0][2] = call("allocation-state", "usable", "unusable", Status(-9002));
    let words = ["the guest: 80000004 allocation-state usable from unusable returned"];
    convicts(Story::of_a_plug(), busy, property, Class::WrongAnswer, &words);
    let early = |story: &mut Story| {
        story.boots[0].insert(2, call("configure-connector", "keep", "unusable", Status::SUCCESS));
    };
    convicts(Story::of_a_plug(), early, property, Class::WrongAnswer, &["configure-connector keep"]);
}

#[test]
fn a_call_that_is_refused_and_does_something_leaves_a_wrong_state() {
    let property = "a call that is refused changes nothing";
    let refused = || call("allocation-state", "usable", "unusable", Status::PARAMETER);
    let mut good = Story::of_a_plug();
    good.boots[0].splice(2..2, [refused(), sense(EntitySense::UNUSABLE)]);
    assert_eq!(worst(&good.judged()), Verdict::Pass);
    let moved = |story: &mut Story| {
        let refused = call("allocation-state", "usable", "unusable", Status::PARAMETER);
        story.boots[0].splice(2..2, [refused, sense(EntitySense::PRESENT)]);
    };
    let words = ["returned parameter-error", "then the sensor reads present"];
    convicts(Story::of_a_plug(), moved, property, Class::WrongState, &words);
}

#[test]
fn what_is_not_as_it_was_after_a_migration_is_a_wrong_state() {
    let odd = |story: &mut Story| story.boots[0].push(Record::Moved { held: 1, odd: 2, away: 0 });
    let property = "all is as it was after a migration";
    convicts(Story::of_a_plug(), odd, property, Class::WrongState, &["2 things are not"]);
}

#[test]
fn a_queue_that_survives_a_reset_is_a_ghost() {
    let survives = |story: &mut Story| story.boots[1].push(told());
    let property = "the queue is empty after a reset";
    convicts(Story::of_a_reset(), survives, property, Class::Ghost, &["the guest: event 1: memory add"]);
}

#[test]
fn a_connector_that_is_not_cold_plugged_after_a_reset_is_a_wrong_state() {
    let property = "reads cold-plugged after a reset";
    let empty = |story: &mut Story| story.boots[1][1] = sense(EntitySense::UNUSABLE);
    convicts(Story::of_a_reset(), empty, property, Class::WrongState, &["the sensor reads unusable"]);
    let moved = |story: &mut Story| {
        story.boots[1].insert(2, call("isolation-state", "unisolate", "available", Status::SUCCESS));
    };
    convicts(Story::of_a_reset(), moved, property, Class::WrongState, &["had to call isolation-state"]);
}
