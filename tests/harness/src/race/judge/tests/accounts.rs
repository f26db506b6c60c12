//! What a person is told of each story.

use super::super::reach::shares;
use super::story::Story;
use crate::race::course::Again;

/// The device's sentence has all these words.
fn says(story: &Story, words: &[&str]) {
    let account = story.account();
    let [sentence] = &account[..] else { panic!("{account:?}") };
    for word in words {
        assert!(sentence.contains(word), "no `{word}` in: {sentence}");
    }
}

#[test]
fn every_story_is_told_as_it_went() {
    let again = "unplugged and plugged again";
    says(&Story::of_a_plug(), &["second: told of by an event", "80000004 coherent, there", again]);
    says(&Story::of_an_early_plug(), &["told of by the tree", "no interrupt came", again]);
    says(&Story::of_an_unplug(), &["coherent, gone", "asked for: it went", "; plugged again"]);
    says(&Story::of_a_kept_device(), &["coherent, there", "the guest kept it, and QEMU told so", again]);
    says(&Story::of_a_refusal(), &["QEMU refused it (no OS runs)", "taken when the guest listened"]);
}

#[test]
fn what_went_wrong_is_told_too() {
    let mut story = Story::of_a_plug();
    story.boots[0].clear();
    says(&story, &["never told of", "not coherent: 80000004: the guest has it not"]);
    let mut story = Story::of_a_plug();
    (story.evening, story.runner.again) = (std::mem::take(&mut story.boots[0]), None);
    says(&story, &["told of by an event, too late", "its interrupt was lost"]);
    let mut story = Story::of_an_unplug();
    story.events.clear();
    says(&story, &["asked for: no answer came"]);
    for (again, words) in [(Again::Stays, "it does not go"), (Again::Never, "no way to unplug")] {
        story.runner.again = Some(again);
        says(&story, &[words]);
    }
}

#[test]
fn what_was_told_of_a_connector_is_shared_out_from_the_end() {
    assert_eq!(shares(vec![1, 2], 2), [vec![1], vec![2]]);
    assert_eq!(shares(vec![1], 2), [vec![], vec![1]]);
    assert_eq!(shares(vec![1, 2, 3], 2), [vec![1, 2], vec![3]]);
    assert_eq!(shares(Vec::<u8>::new(), 1), [Vec::<u8>::new()]);
}
