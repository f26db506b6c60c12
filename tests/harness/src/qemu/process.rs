//! A process that was started here and ends here, whatever happens.
//!
//! It gets a process group of its own, so that Ctrl-C on the terminal reaches only us, and so that a wrapper script ends
//! together with the QEMU that it started. Where `setpriv` is at hand the kernel is told to end it when we are killed
//! ourselves.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);

/// How long a QEMU on the terminal may take to end when it is told to; it restores the terminal's settings meanwhile.
const GRACE: Duration = Duration::from_secs(3);

/// Of util-linux: becomes the program that it is given, after having told the kernel to end it together with its parent.
const TIE: &str = "/usr/bin/setpriv";

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(ExitStatus);

impl Exit {
    /// Whether it ended by itself and without an error.
    pub fn success(self) -> bool {
        self.0.success()
    }

    /// The signal that killed it.
    pub fn signal(self) -> Option<i32> {
        self.0.signal()
    }

    /// Whether the kernel wrote a core, or handed one to somebody.
    pub fn dumped_core(self) -> bool {
        self.0.core_dumped()
    }

    /// What a shell would say: the exit status, or 128 and the signal.
    pub fn code(self) -> i32 {
        self.0.code().or_else(|| self.0.signal().map(|signal| 128 + signal)).unwrap_or(1)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        Self(status)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(signal) = self.0.signal() else {
            return write!(f, "ended with status {}", self.code());
        };
        let name = match signal {
            2 => " (interrupt)",
            6 => " (abort)",
            9 => " (kill)",
            11 => " (segmentation fault)",
            15 => " (terminate)",
            _ => "",
        };
        write!(f, "was killed by signal {signal}{name}")
    }
}

/// Whose terminal a process is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Its own: Ctrl-C does not reach it.
    Own,
    /// Ours: it may read from the terminal.
    Foreground,
}

/// A process that is killed and reaped when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Group,
    exit: Option<Exit>,
}

impl Process {
    /// Starts a program in a process group of its own.
    pub fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: &[A],
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
    ) -> io::Result<Self> {
        let mut command = tied(program, arguments, "KILL");
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0).spawn()?;
        Ok(Self { child, group: Group::Own, exit: None })
    }

    /// Starts a program on our own terminal.
    pub fn start_in_foreground<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> io::Result<Self> {
        let child = tied(program, arguments, "TERM").spawn()?;
        Ok(Self { child, group: Group::Foreground, exit: None })
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn exit(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().ok().flatten().map(Exit);
        }
        self.exit
    }

    /// Waits until it has ended, not longer than `until`.
    pub fn wait(&mut self, until: Instant) -> Option<Exit> {
        loop {
            if let Some(exit) = self.exit() {
                return Some(exit);
            }
            let left = until.checked_duration_since(Instant::now())?;
            sleep(left.min(POLL));
        }
    }

    /// Ends it, if it has not ended, and reaps it: at once, or on our terminal with the time to leave that in order.
    pub fn kill(&mut self) {
        if self.exit().is_some() {
            return;
        }
        if let Some(id) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            match self.group {
                Group::Own => drop(kill_process_group(id, Signal::KILL)),
                Group::Foreground => {
                    let _ = kill_process(id, Signal::TERM);
                    if self.wait(Instant::now() + GRACE).is_some() {
                        return;
                    }
                }
            }
        }
        let _ = self.child.kill();
        self.exit = self.child.wait().ok().map(Exit);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The command, tied to our own life where that can be done.
fn tied<A: AsRef<OsStr>>(program: &Path, arguments: &[A], signal: &str) -> Command {
    let mut command = if Path::new(TIE).is_file() {
        let mut command = Command::new(TIE);
        command.args(["--pdeathsig", signal, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::Process;
    use std::path::Path;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    fn shell(script: &str) -> Process {
        let none = Stdio::null;
        Process::start(Path::new("/bin/sh"), &["-c", script], none(), none(), none()).expect("a shell")
    }

    fn alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn an_exit_is_told_in_words() {
        let soon = Instant::now() + Duration::from_secs(10);
        let exit = shell("exit 3").wait(soon).expect("it ends");
        assert_eq!((exit.to_string().as_str(), exit.code()), ("ended with status 3", 3));
        let exit = shell("kill -ABRT $$").wait(soon).expect("it ends");
        assert_eq!((exit.to_string().as_str(), exit.code()), ("was killed by signal 6 (abort)", 134));
    }

    #[test]
    fn waiting_ends_at_its_deadline() {
        let mut process = shell("sleep 60");
        assert_eq!(process.wait(Instant::now() + Duration::from_millis(50)), None);
    }

    #[test]
    fn dropping_it_ends_it_and_what_it_started() {
        let folder = tempfile::tempdir().expect("a directory");
        let note = folder.path().join("pid");
        let process = shell(&format!("sleep 60 & echo $! > {}; wait", note.display()));
        let pid = process.id();
        let grandchild = loop {
            match std::fs::read_to_string(&note).ok().and_then(|text| text.trim().parse::<u32>().ok()) {
                Some(pid) => break pid,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        drop(process);
        assert!(!alive(pid), "the process was not reaped");
        let end = Instant::now() + Duration::from_secs(5);
        let ended = |pid: u32| {
            // An orphan that init has not reaped yet is as dead as one that it has.
            std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
        };
        while !ended(grandchild) {
            assert!(Instant::now() < end, "what it started lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
