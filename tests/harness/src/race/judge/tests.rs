//! Each property can fail, and each witness can convict: stories in which one of them lies.

mod accounts;
mod lies;
mod manners;
mod profiles;
mod story;

use super::{Class, Finding, Verdict};
use crate::verdict::worst;
use story::Story;

/// A lie, or a fault, that is told of in a story that was good.
type Lie = fn(&mut Story);

/// The findings that are no pass, when this happens to a good story.
fn problems(mut story: Story, lie: Lie) -> Vec<Finding> {
    assert_eq!(worst(&story.judged()), Verdict::Pass, "{:?}", story.judged());
    lie(&mut story);
    let mut findings = story.judged();
    findings.retain(|finding| finding.verdict != Verdict::Pass);
    findings
}

/// It is convicted of this and of nothing else, in these words.
fn convicts(story: Story, lie: Lie, property: &str, class: Class, words: &[&str]) {
    let problems = problems(story, lie);
    let [problem] = &problems[..] else { panic!("{property}: {problems:?}") };
    assert_eq!((problem.property, problem.class), (property, Some(class)), "{problem}");
    assert_eq!(problem.verdict, Verdict::Fail, "{problem}");
    for word in words {
        assert!(problem.detail.contains(word), "no `{word}` in: {problem}");
    }
}
