//! The questions: each has an answer on every QEMU.

use libtest_mimic::{Failed, Trial};
use paprika_harness::answers::report::json;
use paprika_harness::answers::{Holds, Question, measure};
use paprika_harness::qemu::Qemu;
use paprika_harness::qemu::command::Setup;
use std::path::Path;
use std::time::Duration;

/// How long an experiment may take, with room for a busy machine.
const LIMIT: Duration = Duration::from_secs(100);

/// All questions, one experiment at a time: other trials want processors, too.
pub(crate) fn trial(version: &str, qemu: &Qemu, payload: &Path) -> Trial {
    let setup = Setup::new(qemu.clone(), payload.to_owned());
    Trial::test(format!("{version}/vof/answers"), move || answered(&setup).map_err(Failed::from))
}

fn answered(setup: &Setup) -> Result<(), String> {
    let questions = Question::all();
    let measured = measure(&questions, setup, LIMIT, 1);
    let answers: Vec<_> =
        questions.into_iter().map(|question| (question, question.answered(&measured))).collect();
    for (question, answer) in &answers {
        if answer.holds == Holds::NotMeasured || answer.text.is_empty() {
            return Err(format!("{} has no answer: {}", question.name(), answer.text));
        }
    }
    let told = json(&answers, &measured, &setup.qemu.banner, &setup.firmware.to_string());
    let count = |key: &str| told[key].as_array().map_or(0, Vec::len);
    if count("answers") != 36 || count("races") != measured.races.len() {
        return Err(format!("the JSON is not complete: {told:#}"));
    }
    Ok(())
}
