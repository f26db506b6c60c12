//! `paprika answers`: which questions, and in what form.

use super::{Jobs, Options, interrupted_or};
use crate::answers::report::{explain, json, markdown, text};
use crate::answers::{Answer, Holds, Question, measure};
use crate::out::say;
use crate::qemu::command::Firmware;
use clap::{Args, ValueEnum};

/// Which questions, and how.
#[derive(Args, Clone, Debug)]
pub struct AnswersOptions {
    /// The questions, as Q7; all where none is given
    #[arg(value_name = "QUESTION", value_parser = question)]
    pub questions: Vec<&'static Question>,
    /// The form
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Says what is done for a question, and does nothing
    #[arg(long, value_name = "QUESTION", value_parser = question)]
    pub explain: Option<&'static Question>,
    /// How many experiments at a time.
    #[command(flatten)]
    pub jobs: Jobs,
    /// How to set up the machine.
    #[command(flatten)]
    pub machine: Options,
}

/// A form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// A table for a page.
    Markdown,
    /// One JSON object, with all that was measured.
    Json,
}

/// Help that does not fit beside an option.
pub(super) const AFTER_HELP: &str = "\
Each question is a statement about hotplug on pseries. The answer says whether it holds on this QEMU, and what was measured.
The status is 0 when every question was answered, whatever the answers are; 1 when QEMU crashed in a way that is not
known of it, and 2 when an answer is missing.

  paprika answers                          all of them
  paprika answers Q7 Q28 --qemu ./build/qemu-system-ppc64
  paprika answers --explain Q12            what is done for it";

fn question(name: &str) -> Result<&'static Question, String> {
    Question::named(name).ok_or_else(|| format!("there is no question `{name}`: they are Q1 to Q36"))
}

/// Does it; the exit status.
pub(super) fn answers(options: &AnswersOptions) -> anyhow::Result<u8> {
    if let Some(question) = options.explain {
        say!("{}", explain(question).trim_end());
        return Ok(0);
    }
    let setup = options.machine.setup()?;
    let mut questions = options.questions.clone();
    if questions.is_empty() {
        questions = Question::all();
    }
    // Some experiments are about SLOF, whatever the firmware of the others.
    let limit = options.machine.limit(Firmware::Slof);
    let measured = measure(&questions, &setup, limit, options.jobs.count());
    let answers: Vec<(&Question, Answer)> =
        questions.iter().map(|question| (*question, question.answered(&measured))).collect();
    let firmware = setup.firmware.to_string();
    match options.format {
        Format::Text => {
            say!("{} with {firmware}\n\n{}", setup.qemu.banner, text(&answers, &measured).trim_end());
        }
        Format::Markdown => say!("{}", markdown(&answers, &measured).trim_end()),
        Format::Json => say!("{:#}", json(&answers, &measured, &setup.qemu.banner, &firmware)),
    }
    Ok(interrupted_or(status(&answers)))
}

fn status(answers: &[(&Question, Answer)]) -> u8 {
    let is = |wanted: Holds| answers.iter().any(|(_, answer)| answer.holds == wanted);
    if is(Holds::NotMeasured) {
        return 2;
    }
    u8::from(is(Holds::Crash))
}

#[cfg(test)]
mod tests {
    use super::{question, status};
    use crate::answers::{Answer, Holds, Question};

    #[test]
    fn questions_are_found_by_name() {
        assert_eq!(question("q12").map(|question| question.number), Ok(12));
        assert!(["Q0", "Q37", "12", ""].iter().all(|wrong| question(wrong).is_err()));
    }

    #[test]
    fn a_missing_answer_is_no_success() {
        let near = Question::named("Q3").expect("there");
        let answer = |holds| Answer::new(holds, "x");
        assert_eq!(status(&[(near, answer(Holds::No)), (near, answer(Holds::Depends))]), 0);
        assert_eq!(status(&[(near, answer(Holds::Crash))]), 1);
        assert_eq!(status(&[(near, answer(Holds::KnownCrash))]), 0);
        assert_eq!(status(&[(near, answer(Holds::NotMeasured)), (near, answer(Holds::Crash))]), 2);
    }
}
