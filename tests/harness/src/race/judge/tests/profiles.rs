//! The profiles: every one is told from every other, and no other passes for it.

use super::story::Story;
use super::{Class, Verdict};
use crate::race::course::Again;
use crate::race::expect::Expect;
use crate::verdict::worst;
use clap::ValueEnum;

/// A race with a QEMU of this profile.
fn race_with(profile: Expect) -> Story {
    match profile {
        Expect::Auto | Expect::Upstream => Story::of_an_early_plug(),
        Expect::RejectBeforeCas => Story::of_a_refusal(),
        Expect::RejectBeforeOv6 => Story { without_ov6: Some(false), ..Story::of_a_refusal() },
        Expect::CasReboot => {
            let mut story = Story::of_an_early_plug();
            story.boots.insert(0, Vec::new());
            story
        }
    }
}

#[test]
fn each_profile_is_recognised_and_passes_for_no_other() {
    let profiles = &Expect::value_variants()[1..];
    for &profile in profiles {
        let mut story = race_with(profile);
        assert_eq!((story.seen(), worst(&story.judged())), (Some(profile), Verdict::Pass), "{profile}");
        for &expected in profiles {
            story.expect = expected;
            let findings = story.judged();
            let verdict = if expected == profile { Verdict::Pass } else { Verdict::Fail };
            assert_eq!(worst(&findings), verdict, "{profile} for {expected}: {findings:?}");
            let wrong = findings.iter().filter(|finding| finding.verdict == Verdict::Fail);
            assert!(wrong.into_iter().all(|finding| finding.class == Some(Class::WrongAnswer)));
        }
    }
}

#[test]
fn what_comes_late_is_everywhere_the_same() {
    for story in [Story::of_a_plug, Story::of_an_unplug, Story::of_a_reset] {
        for &expect in Expect::value_variants() {
            let story = Story { expect, ..story() };
            assert_eq!((story.seen(), worst(&story.judged())), (None, Verdict::Pass), "{expect}");
        }
    }
}

#[test]
fn a_device_that_is_refused_for_good_is_wrong_unless_qemu_lacks_it() {
    let mut story = race_with(Expect::RejectBeforeCas);
    story.runner.later = Some(Again::Refused);
    assert_eq!((story.seen(), worst(&story.judged())), (None, Verdict::Fail));
    for words in ["'nvdimm' is not a valid device model name", "Bus 'x' does not support hotplugging"] {
        story.runner.refused = Some(words.to_owned());
        assert_eq!(worst(&story.judged()), Verdict::Skip);
    }
    // When the guest listens, there is no reason to put it off.
    let mut story = race_with(Expect::RejectBeforeCas);
    story.runner.early = false;
    assert_eq!(worst(&story.judged()), Verdict::Fail);
}

#[test]
fn a_reset_that_nobody_asked_for_is_wrong_where_nothing_came_early() {
    let mut story = Story::of_a_reset();
    story.boots.insert(0, Vec::new());
    let findings = story.judged();
    let wrong = findings.iter().find(|finding| finding.verdict == Verdict::Fail).expect("a finding");
    assert_eq!(wrong.class, Some(Class::WrongAnswer));
    assert!(wrong.detail.contains("3 times, not 2"), "{wrong}");
}

#[test]
fn what_is_told_by_an_event_fits_to_no_profile() {
    let mut story = Story::of_a_plug();
    story.runner.early = true;
    assert_eq!(story.seen(), None);
}
