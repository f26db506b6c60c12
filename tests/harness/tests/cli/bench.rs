//! A place for one test, and what is expected of `paprika` there.

use crate::{fake, middle};
use paprika_harness::cli::default_payload;
use paprika_harness::qemu::Qemu;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A race that takes a moment.
pub(crate) const EARLY: [&str; 2] = ["--only", "memory/plug/before-cas"];

/// A directory for the QEMU of a test, and in it one for what `paprika` leaves behind.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("tmp")).expect("a directory");
        Self { folder }
    }

    /// A QEMU that answers what `paprika` asks first, and then does what the shell is told here.
    pub(crate) fn qemu(&self, script: &str) -> PathBuf {
        self.program(&format!(
            "case $1 in\n--version) echo 'QEMU emulator version 7.2.1'; exit;;\n\
             -machine) echo 'pseries  a machine'; exit;;\nesac\n{}\n{script}",
            self.note()
        ))
    }

    /// A QEMU that connects to its sockets and then behaves as told.
    pub(crate) fn speaking(&self, behaviour: &str) -> PathBuf {
        self.qemu(&fake::script(behaviour))
    }

    /// The real QEMU, with a man in the middle who changes what it says in this way.
    pub(crate) fn lying(&self, lie: &str) -> PathBuf {
        let real = real();
        let ask = format!("case $1 in -M) ;; *) exec {} \"$@\";; esac", real.program.display());
        self.program(&format!("{ask}\n{}\n{}", self.note(), middle::script(lie, &real.program)))
    }

    /// The real QEMU, behind a shell that does this first.
    pub(crate) fn real_after(&self, script: &str) -> PathBuf {
        let real = real().program;
        let real = real.display();
        self.program(&format!(
            "case $1 in -M) ;; *) exec {real} \"$@\";; esac\n{}\n{script}\nexec {real} \"$@\"",
            self.note()
        ))
    }

    /// Notes the number of the process that becomes QEMU.
    fn note(&self) -> String {
        format!("touch {}/pid.$$", self.folder.path().display())
    }

    /// A shell of its own writes it: were it open for writing here while another test starts a process, it could not be
    /// executed.
    pub(crate) fn program(&self, script: &str) -> PathBuf {
        let path = self.folder.path().join("qemu");
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
        let status = Command::new("sh").args(["-c", write]).arg(&path).arg(script).status().expect("a shell");
        assert!(status.success());
        path
    }

    pub(crate) fn paprika(&self, arguments: &[&str]) -> Command {
        self.clean(Command::new(env!("CARGO_BIN_EXE_paprika")), arguments)
    }

    /// A command without what the environment says of QEMUs, that leaves its things in our directory.
    pub(crate) fn clean(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).env_remove("QEMU").env_remove("QEMU_TEST_QEMU_BINARY");
        command.env("TMPDIR", self.folder.path().join("tmp")).stdin(Stdio::null());
        command
    }

    /// `paprika run` with this QEMU and any file for a payload.
    pub(crate) fn run(&self, qemu: &Path, more: &[&str]) -> Command {
        let mut command = self.paprika(&["run", "--payload", "/proc/self/exe", "--qemu"]);
        command.arg(qemu).args(more);
        command
    }

    /// `paprika race` with this QEMU and the real payload.
    pub(crate) fn race(&self, qemu: &Path, more: &[&str]) -> Command {
        let mut command = self.paprika(&["race", "--qemu"]);
        command.arg(qemu).arg("--payload").arg(payload()).args(more);
        command
    }

    /// The numbers of the processes that became QEMU.
    pub(crate) fn started(&self) -> Vec<u32> {
        let names = fs::read_dir(self.folder.path()).expect("it is there").flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_prefix("pid.")?.parse().ok()).collect()
    }

    /// Waits until so many QEMUs were started.
    pub(crate) fn wait_for_start(&self, count: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.started().len() < count {
            assert!(Instant::now() < end, "QEMU was not started");
            sleep(Duration::from_millis(5));
        }
    }

    /// Nothing is left: no directory, no process.
    pub(crate) fn is_clean(&self) {
        let left: Vec<_> =
            fs::read_dir(self.folder.path().join("tmp")).expect("it is there").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        for pid in self.started() {
            assert!(!Path::new("/proc").join(pid.to_string()).exists(), "QEMU {pid} still runs");
        }
    }
}

/// The QEMU that is there, as `paprika` finds it. A missing one is a failure: silence is never success.
pub(crate) fn real() -> Qemu {
    Qemu::find(None).expect("a QEMU (`make setup` installs one)")
}

fn payload() -> PathBuf {
    let payload = default_payload();
    assert!(payload.is_file(), "there is no payload: `make payload` builds it");
    payload
}

/// Exit status and all that was printed.
pub(crate) fn told(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap_or(-1), text)
}

pub(crate) fn expect(command: &mut Command, status: i32, words: &[&str]) {
    let (code, text) = told(command);
    assert_eq!(code, status, "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    assert!(!text.contains('\x1b'), "colours are for terminals: {text}");
    assert!(!text.contains("panicked"), "{text}");
}
