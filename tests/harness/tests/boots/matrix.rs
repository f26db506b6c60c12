//! Which QEMUs are tried, and which payload.
//!
//! With `PAPRIKA_QEMUS` exactly those that it names, with colons between. Without it the one of `QEMU`, of
//! `QEMU_TEST_QEMU_BINARY` or of the `PATH`, and all that lie in `target/qemu/<version>/`, where `make qemus` puts them.

use libtest_mimic::{Arguments, Trial, run};
use paprika_harness::qemu::Qemu;
use paprika_harness::qemu::several::named;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

const LIST: &str = "PAPRIKA_QEMUS";
const PAYLOAD: &str = "PAPRIKA_PAYLOAD";

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

/// Which of the QEMUs one is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its place, counted from 0.
    #[allow(dead_code, reason = "the boots run everything in each of them")]
    pub(crate) at: usize,
    /// How many there are.
    #[allow(dead_code, reason = "the boots run everything in each of them")]
    pub(crate) of: usize,
}

/// Runs the trials that `trials` makes of each QEMU. Where there is no QEMU or no payload all ends here, whatever was asked for:
/// a trial that failed could be one that nobody has chosen, and silence is never success.
pub(crate) fn run_trials(trials: impl Fn((&str, &Qemu), &Path, Place) -> Vec<Trial>) -> ! {
    let arguments = Arguments::from_args();
    let (qemus, payload) = match (qemus(), payload()) {
        (Ok(qemus), Ok(payload)) => (qemus, payload),
        (qemus, payload) => {
            for problem in [qemus.err(), payload.err()].into_iter().flatten() {
                eprintln!("{problem}");
            }
            std::process::exit(101)
        }
    };
    let of = qemus.len();
    let trials =
        |(at, (name, qemu)): (usize, &(String, Qemu))| trials((name, qemu), &payload, Place { at, of });
    let all = qemus.iter().enumerate().flat_map(trials).collect();
    run(&arguments, all).exit()
}

/// The payload, or what to do to have one.
fn payload() -> Result<PathBuf, String> {
    let path = env::var_os(PAYLOAD).map_or_else(|| target().join("paprika.elf"), PathBuf::from);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "there is no payload at `{}`: build it with `make payload`, or name it with {PAYLOAD}",
        path.display()
    ))
}

/// The QEMUs by the names of their versions, the one that is found first.
fn qemus() -> Result<Vec<(String, Qemu)>, String> {
    let found = match env::var_os(LIST).filter(|list| !list.is_empty()) {
        Some(list) => {
            env::split_paths(&list).map(|path| Qemu::find(Some(&path))).collect::<Result<Vec<_>, _>>()
        }
        None => {
            let fetched = fetched().into_iter().map(|path| Qemu::find(Some(&path)));
            std::iter::once(Qemu::find(None)).chain(fetched).collect()
        }
    };
    Ok(named(found.map_err(|problem| problem.to_string())?))
}

/// The QEMUs below `target/qemu`, in the order of their names.
fn fetched() -> Vec<PathBuf> {
    let folders = fs::read_dir(target().join("qemu")).into_iter().flatten().flatten();
    let programs = folders.map(|folder| folder.path().join("qemu-system-ppc64"));
    let mut programs: Vec<PathBuf> = programs.filter(|program| program.is_file()).collect();
    programs.sort();
    programs
}
