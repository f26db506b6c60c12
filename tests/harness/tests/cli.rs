//! `paprika` itself, with QEMUs that are none: shell scripts, and one that speaks QMP and does as it is told.
//!
//! The one that speaks QMP is this very program, started by a script as [`the_fake_qemu`].

use paprika::log::{Entry, Hex, Record};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// In which a fake QEMU finds its command line, and how it is to behave.
const COMMAND_LINE: &str = "PAPRIKA_FAKE_COMMAND_LINE";
const BEHAVIOUR: &str = "PAPRIKA_FAKE_BEHAVIOUR";

/// A place for one test: a fake QEMU, and a directory for what `paprika` leaves behind.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("tmp")).expect("a directory");
        Self { folder }
    }

    /// A QEMU that answers what `paprika` asks first, and then does what the shell is told here.
    fn qemu(&self, script: &str) -> PathBuf {
        self.program(&format!(
            "case $1 in\n--version) echo 'QEMU emulator version 7.2.1'; exit;;\n\
             -machine) echo 'pseries  a machine'; exit;;\nesac\n{script}"
        ))
    }

    /// A QEMU that connects to its sockets and then behaves as told.
    fn speaking(&self, behaviour: &str) -> PathBuf {
        let own = env::current_exe().expect("this program");
        self.qemu(&format!(
            "export {COMMAND_LINE}=\"$*\" {BEHAVIOUR}={behaviour}\n\
             echo $$ > {}\nexec {} --ignored --exact the_fake_qemu --nocapture",
            self.folder.path().join("pid").display(),
            own.display()
        ))
    }

    /// A shell of its own writes it: were it open for writing here while another test starts a process, it could not be
    /// executed.
    fn program(&self, script: &str) -> PathBuf {
        let path = self.folder.path().join("qemu");
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
        let status = Command::new("sh").args(["-c", write]).arg(&path).arg(script).status().expect("a shell");
        assert!(status.success());
        path
    }

    fn paprika(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paprika"));
        command.args(arguments).env_remove("QEMU").env_remove("QEMU_TEST_QEMU_BINARY");
        command.env("TMPDIR", self.folder.path().join("tmp")).stdin(Stdio::null());
        command
    }

    /// `paprika run` with this QEMU and any file for a payload.
    fn run(&self, qemu: &Path, more: &[&str]) -> Command {
        let mut command = self.paprika(&["run", "--payload", "/proc/self/exe", "--qemu"]);
        command.arg(qemu).args(more);
        command
    }

    /// Nothing is left: no directory, no process.
    fn is_clean(&self) {
        let left: Vec<_> =
            fs::read_dir(self.folder.path().join("tmp")).expect("it is there").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        if let Ok(pid) = fs::read_to_string(self.folder.path().join("pid")) {
            assert!(!Path::new("/proc").join(pid.trim()).exists(), "QEMU {pid} still runs");
        }
    }
}

/// Exit status and all that was printed.
fn told(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap_or(-1), text)
}

fn expect(command: &mut Command, status: i32, words: &[&str]) {
    let (code, text) = told(command);
    assert_eq!(code, status, "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    assert!(!text.contains('\x1b'), "colours are for terminals: {text}");
    assert!(!text.contains("panicked"), "{text}");
}

/// What a fake QEMU does; no test by itself.
#[test]
#[ignore = "the other tests start it"]
fn the_fake_qemu() {
    let Ok(command_line) = env::var(COMMAND_LINE) else { return };
    let socket = |name: &str| {
        let words = command_line.split([' ', ',']);
        let path = words.filter_map(|word| word.strip_prefix("path=")).find(|path| path.ends_with(name));
        UnixStream::connect(path.expect("a socket on the command line")).expect("somebody listens")
    };
    let (mut console, mut qmp) = (socket("console.sock"), socket("qmp.sock"));
    let behaviour = env::var(BEHAVIOUR).expect("it is told how to behave");
    if behaviour == "no-qmp" {
        qmp.write_all(b"login: \n").expect("written");
        sleep(Duration::from_secs(60));
    }
    qmp.write_all(b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n").expect("written");
    for line in BufReader::new(qmp.try_clone().expect("a socket")).lines() {
        let Ok(line) = line else { return };
        let message: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if message["execute"] == "cont" {
            match behaviour.as_str() {
                "dies" => {
                    eprintln!("qemu: assertion failed: something");
                    std::process::exit(134);
                }
                "rubbish" => {
                    console.write_all(b"\xff\xfe nothing \x1b[31m here\r\nPPP[[[ P[1 2\n").expect("written")
                }
                "foreign" => console.write_all(foreign_boot().as_bytes()).expect("written"),
                _ => {}
            }
        }
        let answer = serde_json::json!({"return": {}, "id": message["id"]});
        let _ = writeln!(qmp, "{answer}");
    }
    std::process::exit(0);
}

/// The first line of a payload of another version.
fn foreign_boot() -> String {
    let record = Record::Boot {
        version: "99.9.9".into(),
        firmware: "vof".into(),
        pvr: Hex(0),
        msr: Hex(0),
        base: Hex(0),
        tick_rate: 512_000_000,
        initrd: Hex(0),
        initrd_size: 0,
    };
    Entry { seq: 0, ticks: 1, station: "entry", record }.line() + "\n"
}

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
        while !bench.folder.path().join("pid").exists() {
            assert!(Instant::now() < end, "QEMU was not started");
            sleep(Duration::from_millis(10));
        }
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
