//! Guests that refuse: what they keep stays, and somebody is told; but for kinds that know no refusal.

use super::story::{DEVICE, LMB, Story, deleted, done, trace};
use super::{Class, Verdict, convicts, problems};
use crate::device::{Kind, VIRTIO};
use crate::race::course::Again;
use crate::race::manner::Manner;
use crate::verdict::worst;
use paprika::log::{Outcome, Record, Request};
use paprika::papr::drc::DrcKind;
use std::collections::{BTreeMap, BTreeSet};

const TOLD: &str = "a refusal is told";

#[test]
fn a_device_that_is_kept_and_goes_later_is_in_order() {
    let story = Story::of_a_kept_device();
    let findings = story.judged();
    assert_eq!(worst(&findings), Verdict::Pass, "{findings:?}");
    assert!(findings.iter().any(|finding| finding.property == TOLD), "{findings:?}");
}

/// What the guest says when it treats a request as it was told.
fn told(request: Request, manner: &'static str) -> Record<'static> {
    Record::Policy { drc: LMB, kind: DrcKind::LMB, request, manner: manner.into() }
}

#[test]
fn a_device_that_is_left_half_way_is_in_order_when_the_guest_was_told_so_and_only_then() {
    let mut story = Story::of_a_plug();
    story.manner = Manner::AddHalf;
    story.boots[0].truncate(3);
    story.boots[0].extend([told(Request::Add, "half:1"), done(Request::Add, Outcome::Stuck)]);
    story.settled.trace = Some(trace(&["realize", "attach"]));
    assert_eq!(worst(&story.judged()), Verdict::Pass, "{:?}", story.judged());
    story.manner = Manner::AddLate;
    assert_eq!(worst(&story.judged()), Verdict::Error, "{:?}", story.judged());
    story.manner = Manner::Good;
    assert_eq!(worst(&story.judged()), Verdict::Fail, "{:?}", story.judged());
}

#[test]
fn a_request_that_is_ignored_stays_open_and_the_device_with_the_guest() {
    let mut story = Story::of_a_kept_device();
    story.manner = Manner::RemoveIgnore;
    story.boots[0].truncate(7);
    story.boots[0].extend([told(Request::Remove, "ignore"), done(Request::Remove, Outcome::Ignored)]);
    story.events = vec![deleted(DEVICE)];
    story.runner.asked[0].events = 1;
    story.runner.again = Some(Again::TakenAfterReset);
    assert_eq!(worst(&story.judged()), Verdict::Pass, "{:?}", story.judged());
    let gone = |story: &mut Story| {
        story.settled.present = Some(BTreeSet::new());
        story.settled.holders = Some(BTreeMap::new());
        story.settled.lists.values_mut().for_each(BTreeSet::clear);
    };
    gone(&mut story);
    assert_eq!(worst(&story.judged()), Verdict::Fail, "{:?}", story.judged());
}

#[test]
fn a_refusal_that_nobody_is_told_of_is_a_stuck_unplug() {
    let silent = |story: &mut Story| story.events = vec![deleted(DEVICE)];
    convicts(Story::of_a_kept_device(), silent, TOLD, Class::StuckUnplug, &["QEMU told nobody"]);
}

#[test]
fn a_device_that_is_taken_from_a_guest_that_refuses_is_a_ghost() {
    let problems = problems(Story::of_a_kept_device(), |story| {
        story.settled.present = Some(BTreeSet::new());
        story.settled.holders = Some(BTreeMap::new());
        story.settled.lists.values_mut().for_each(BTreeSet::clear);
    });
    let told = problems.iter().find(|problem| problem.property == TOLD).expect("a finding");
    assert_eq!(told.class, Some(Class::Ghost), "{told}");
}

#[test]
fn a_reset_may_end_what_cannot_be_refused_and_nothing_else() {
    let mut story = Story::of_a_kept_device();
    story.events = vec![deleted(DEVICE)];
    story.runner.kind = Kind::Pci(VIRTIO);
    story.runner.again = Some(Again::TakenAfterReset);
    story.runner.asked[0].events = 0;
    assert_eq!(worst(&story.judged()), Verdict::Pass, "{:?}", story.judged());
    let after_reset = |story: &mut Story| story.runner.again = Some(Again::TakenAfterReset);
    let words = ["it does not go but by a reset"];
    convicts(Story::of_a_kept_device(), after_reset, "can be plugged again", Class::StuckUnplug, &words);
}
