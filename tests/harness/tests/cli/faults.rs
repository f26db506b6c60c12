//! Faults: whatever happens to a race, it ends in time, with the right verdict, and leaves nothing behind.

use crate::bench::{Bench, EARLY, expect, told};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

/// How many QEMUs are killed.
const KILLS: u64 = 100;
/// Within this many milliseconds of its start, which is about as long as a race takes.
const LIFE: u64 = 160;
/// How long a race may take of which QEMU was killed.
const SOON: Duration = Duration::from_secs(20);

/// Races of all kinds, in all windows.
const RACES: [&str; 8] = [
    "memory/plug/prelaunch",
    "memory/plug/before-cas",
    "memory/unplug/handler",
    "memory/unplug-plug/draining",
    "memory/plug-twice/before-reset",
    "cpu/plug/after-cas",
    "pci/plug-unplug/masked",
    "phb/plug/acquiring",
];

/// The same numbers in every run, without an order.
fn scattered(seed: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

/// Kills the QEMU of one race; whether that was in time.
fn is_killed(seed: u64) -> bool {
    let bench = Bench::new();
    let after = scattered(seed) % LIFE;
    let script = format!(
        "echo 'qemu: last words' >&2\n(sleep 0.{after:03}; kill -9 $$) 2>/dev/null >/dev/null </dev/null &"
    );
    let qemu = bench.real_after(&script);
    let begin = Instant::now();
    let race = RACES[usize::try_from(seed).expect("small") % RACES.len()];
    let (status, text) = told(&mut bench.race(&qemu, &["--only", race, "--timeout", "60"]));
    assert!(begin.elapsed() < SOON, "{race}, killed after {after} ms, took {:?}", begin.elapsed());
    bench.is_clean();
    let killed = status != 0;
    if killed {
        assert_eq!(status, 1, "{race}, killed after {after} ms: {text}");
        for word in ["CRASH", "hypervisor crash", "signal 9 (kill)", "qemu: last words"] {
            assert!(text.contains(word), "{race}, killed after {after} ms: no `{word}` in: {text}");
        }
    }
    killed
}

#[test]
fn a_qemu_that_is_killed_at_any_moment_is_a_crash_and_leaves_nothing() {
    let (next, killed) = (AtomicU64::new(0), AtomicUsize::new(0));
    scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let seed @ 0..KILLS = next.fetch_add(1, Ordering::Relaxed) {
                    killed.fetch_add(usize::from(is_killed(seed)), Ordering::Relaxed);
                }
            });
        }
    });
    let killed = killed.into_inner();
    assert!(killed >= 60, "only {killed} of {KILLS} were killed before their race was over");
}

#[test]
fn the_evidence_of_a_crash_is_kept_with_the_command_that_runs_it_again() {
    let bench = Bench::new();
    // It is killed when the guest has said something, so that there is something to keep.
    let tmp = bench.folder.path().join("tmp");
    let qemu = bench.real_after(&format!(
        "echo 'qemu: last words' >&2\n\
         (for try in $(seq 1000); do [ -s {}/paprika-*/console.log ] && break; sleep 0.01; done; kill -9 $$) \
         >/dev/null </dev/null 2>/dev/null &",
        tmp.display()
    ));
    let options = ["--only", "memory/plug/before-cas", "--keep", "--append", "memtest=8m print=sections"];
    let (status, text) = told(&mut bench.race(&qemu, &options));
    assert_eq!(status, 1, "{text}");
    let kept = |text: &str| text.lines().find_map(|line| line.strip_prefix("kept: ")).map(str::to_owned);
    let kept = kept(&text).expect("it says where");
    let read =
        |name: &str| fs::read_to_string(Path::new(&kept).join(name)).unwrap_or_else(|_| panic!("{name}"));
    for name in ["command", "console.log", "qmp.jsonl", "timeline.jsonl"] {
        read(name);
    }
    assert!(read("stderr").contains("last words") && read("backtrace").contains("no back trace"));
    let verdict: serde_json::Value = serde_json::from_str(&read("verdict.json")).expect("JSON");
    assert_eq!((&verdict["name"], &verdict["verdict"]), (&"memory/plug/before-cas".into(), &"CRASH".into()));
    let again = read("again");
    assert!(again.lines().count() == 1 && again.contains("'memtest=8m print=sections'"), "{again}");
    let (status, text) = told(&mut bench.clean(Command::new("sh"), &["-c", &again]));
    assert!(status == 1 && text.contains("signal 9") && text.contains("kept: "), "{text}");
}

#[test]
fn a_console_that_floods_or_falls_silent_ends_a_race_in_time() {
    for (behaviour, options, status, words) in [
        ("floods", &["--timeout", "60"][..], 2, &["ERROR", "the console floods"][..]),
        ("silent", &["--timeout", "1"], 124, &["TIMEOUT", "has not said a word"]),
        ("stops-talking", &["--timeout", "1"], 124, &["TIMEOUT", "the hold at `before-cas` has not come"]),
    ] {
        let bench = Bench::new();
        let qemu = bench.speaking(behaviour);
        let begin = Instant::now();
        let options = [&["--only", "memory/plug-unplug/before-cas"], options].concat();
        expect(&mut bench.race(&qemu, &options), status, words);
        assert!(begin.elapsed() < SOON, "{behaviour} took {:?}", begin.elapsed());
        bench.is_clean();
    }
}

#[test]
fn a_payload_of_another_version_ends_a_race_with_an_error_that_names_it() {
    let bench = Bench::new();
    let qemu = bench.speaking("foreign");
    let words = ["ERROR", "99.9.9", "make payload"];
    expect(&mut bench.race(&qemu, &EARLY), 2, &words);
    bench.is_clean();
}

#[test]
fn a_full_disk_is_an_error_and_convicts_nobody() {
    // A file may not grow beyond so many blocks of 512 bytes. QEMU's version, its machines, the journal, and only the trace
    // do not fit.
    for (blocks, wanted, words) in [
        (0, 2, "too large"),
        (1, 2, "too large"),
        (16, 2, "too large"),
        (40, 2, "too large"),
        (100, 0, "the trace is silent: this QEMU writes none, or it is cut off"),
    ] {
        let bench = Bench::new();
        let qemu = bench.real_after(":");
        let race = bench.race(&qemu, &["--only", "memory/plug/handler"]);
        let mut command = bench.clean(Command::new("sh"), &["-c"]);
        command.arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")).arg(race.get_program());
        command.args(race.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (status, text) = told(&mut command);
        assert_eq!(status, wanted, "{blocks}: {text}");
        assert!(text.contains(words) && !text.contains("FAIL"), "{blocks}: {text}");
        assert!(!text.contains("panicked"), "{blocks}: {text}");
        bench.is_clean();
    }
}

#[test]
fn being_told_to_end_ends_all_races_at_once() {
    let bench = Bench::new();
    let qemu = bench.speaking("silent");
    let mut race = bench.race(&qemu, &["memory", "--jobs", "3", "--timeout", "60"]);
    let child = race.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    bench.wait_for_start(3);
    let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(kill.expect("a shell").success());
    let begin = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
    assert_eq!(bench.started().len(), 3, "no race may start after that");
    bench.is_clean();
}

#[test]
fn a_report_that_cannot_be_written_is_no_success_and_a_reader_that_has_enough_is_no_failure() {
    let bench = Bench::new();
    let qemu = bench.real_after(":");
    let full = || fs::File::options().write(true).open("/dev/full").expect("a full disk");
    let output = bench.race(&qemu, &EARLY).stdout(full()).output().expect("it starts");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && words.contains("No space left"), "{words}");
    let options = [&EARLY[..], &["--junit", "/dev/full"]].concat();
    expect(&mut bench.race(&qemu, &options), 2, &["1 races: 1 PASS", "/dev/full", "No space left"]);
    let mut race = bench.race(&qemu, &EARLY).stdout(Stdio::piped()).spawn().expect("it starts");
    drop(race.stdout.take());
    assert_eq!(race.wait().expect("it ends").code(), Some(0));
    bench.is_clean();
}
