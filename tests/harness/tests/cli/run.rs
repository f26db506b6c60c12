//! `paprika run` and `paprika boot` with programs that are no QEMU, or behave as none should.

use crate::bench::{Bench, expect, told};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn a_missing_qemu_says_what_to_install_and_who_named_it() {
    let bench = Bench::new();
    expect(
        &mut bench.paprika(&["run", "--qemu", "/nowhere/q"]),
        2,
        &["/nowhere/q", "apt-get install", "--qemu"],
    );
    expect(bench.paprika(&["boot"]).env("QEMU", "/nowhere/e"), 2, &["/nowhere/e", "environment: QEMU)"]);
    let variable = "QEMU_TEST_QEMU_BINARY";
    expect(bench.paprika(&["run"]).env(variable, "/nowhere/t"), 2, &["/nowhere/t", variable]);
    expect(bench.paprika(&["run"]).env("PATH", "/nowhere"), 2, &["qemu-system-ppc64", "PATH"]);
    bench.is_clean();
}

#[test]
fn a_program_that_is_no_qemu_is_refused() {
    let bench = Bench::new();
    let run = |script: &str| bench.run(&bench.program(script), &[]);
    expect(&mut run("echo hello"), 2, &["hello", "--version"]);
    expect(&mut run("echo no such library >&2; exit 127"), 2, &["no such library", "127"]);
    let without = "[ $1 = --version ] && echo QEMU emulator version 7.2.1 || echo none";
    expect(&mut run(without), 2, &["no pseries", "qemu-system-ppc64"]);
    bench.is_clean();
}

#[test]
fn a_missing_payload_says_how_to_build_it() {
    let bench = Bench::new();
    let qemu = bench.qemu("exit 9");
    for command in ["run", "boot"] {
        let mut paprika = bench.paprika(&[command, "--payload", "/nowhere/p.elf", "--qemu"]);
        expect(paprika.arg(&qemu), 2, &["/nowhere/p.elf", "make payload"]);
    }
    bench.is_clean();
}

#[test]
fn a_qemu_that_dies_at_once_is_quoted_with_its_command() {
    let bench = Bench::new();
    let qemu = bench.qemu("echo 'qemu: unable to find CPU model' >&2; exit 1");
    let words = ["status 1", "unable to find CPU model", "-M pseries", "--cpu"];
    expect(&mut bench.run(&qemu, &["--cpu", "z80"]), 2, &words);
    bench.is_clean();
}

#[test]
fn a_qemu_that_never_speaks_is_given_up() {
    let bench = Bench::new();
    let begin = Instant::now();
    expect(&mut bench.run(&bench.qemu("sleep 60"), &["--timeout", "1"]), 124, &["first word"]);
    assert!(begin.elapsed() < Duration::from_secs(20));
    bench.is_clean();
}

#[test]
fn a_monitor_that_is_none_is_an_error() {
    let bench = Bench::new();
    expect(&mut bench.run(&bench.speaking("no-qmp"), &["--timeout", "5"]), 2, &["login:", "no QMP"]);
    bench.is_clean();
}

#[test]
fn a_silent_payload_is_told_from_one_that_talks_rubbish() {
    let bench = Bench::new();
    let words = ["TIMEOUT", "has not said a word", "console is empty", "make payload", "--timeout"];
    expect(&mut bench.run(&bench.speaking("silent"), &["--timeout", "1"]), 124, &words);
    let words = ["TIMEOUT", "nothing [31m here", "console ends with: PPP[[[ P[1 2"];
    expect(&mut bench.run(&bench.speaking("rubbish"), &["--timeout", "1"]), 124, &words);
    bench.is_clean();
}

#[test]
fn a_qemu_that_dies_later_is_a_crash_with_its_last_words() {
    let bench = Bench::new();
    let words = ["CRASH", "status 134", "assertion failed: something"];
    expect(&mut bench.run(&bench.speaking("dies"), &["--timeout", "20"]), 1, &words);
    bench.is_clean();
}

#[test]
fn a_payload_of_another_version_is_named() {
    let bench = Bench::new();
    let words = ["ERROR", "99.9.9", "make payload"];
    expect(&mut bench.run(&bench.speaking("foreign"), &["--timeout", "60"]), 2, &words);
    bench.is_clean();
}

#[test]
fn what_is_to_be_kept_is_kept() {
    let bench = Bench::new();
    let (_, text) = told(&mut bench.run(&bench.speaking("dies"), &["--timeout", "20", "--keep"]));
    let kept = text.lines().find_map(|line| line.strip_prefix("kept: ")).expect("it says where");
    for name in ["command", "console.log", "qmp.jsonl", "stderr", "timeline.jsonl"] {
        assert!(Path::new(kept).join(name).is_file(), "{name}");
    }
}

#[test]
fn being_told_to_end_ends_everything() {
    for signal in ["INT", "TERM", "HUP"] {
        let bench = Bench::new();
        let mut paprika = bench.run(&bench.speaking("silent"), &["--timeout", "60"]);
        let mut child = paprika.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let end = Instant::now() + Duration::from_secs(20);
        bench.wait_for_start(1);
        sleep(Duration::from_millis(100));
        let kill = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status();
        assert!(kill.expect("a shell").success());
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(130), "{signal}: {status}");
        assert!(Instant::now() < end, "{signal} took too long");
        bench.is_clean();
    }
}

#[test]
fn wrong_usage_has_its_own_status() {
    let bench = Bench::new();
    for wrong in [
        &["run", "--firmware", "uboot"][..],
        &["fly"],
        &[],
        &["run", "--append", "then=idle"],
        &["run", "--kinds", "fan"],
    ] {
        let (code, text) = told(&mut bench.paprika(wrong));
        assert_eq!(code, 2, "{wrong:?}: {text}");
    }
    let (code, text) = told(&mut bench.paprika(&["--help"]));
    assert!(code == 0 && text.contains("QEMU_TEST_QEMU_BINARY") && text.contains("124"), "{text}");
}

#[test]
fn boot_hands_over_the_command_and_qemus_own_status() {
    let bench = Bench::new();
    let qemu = bench.speaking("silent");
    // What comes without sockets is the boot itself; with them QEMU is only asked for its cores.
    let script = fs::read_to_string(&qemu).expect("a script");
    let script = script.replace("export ", "case $* in *console.sock*) ;; *) exit 3;; esac\nexport ");
    fs::remove_file(&qemu).expect("removed");
    let body = script.strip_prefix("#!/bin/sh\n").expect("a script");
    let mut paprika = bench.paprika(&["boot", "--payload", "/proc/self/exe", "--append", "help", "--qemu"]);
    expect(paprika.arg(bench.program(body)), 3, &["-append help", "Ctrl-A", "object_add", "status 3"]);
    bench.is_clean();
}
