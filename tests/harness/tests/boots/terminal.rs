//! `paprika boot`, as a person uses it: the console and QEMU's monitor on one terminal, devices plugged by hand.

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::{Failed, Trial};
use paprika::log::{Outcome, Record, Request};
use paprika_harness::qemu::Qemu;
use paprika_harness::transcript::Transcript;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn trial(version: &str, qemu: &Qemu, payload: &Path) -> Trial {
    let (qemu, payload) = (qemu.program.clone(), payload.to_owned());
    Trial::test(format!("{version}/vof/boot-by-hand"), move || {
        by_hand(&qemu, &payload).map_err(|problem| Failed::from(format!("{problem:#}")))
    })
}

/// What is typed, and what is read.
struct Terminal {
    child: Child,
    lines: Receiver<String>,
    transcript: Transcript,
    shown: String,
    until: Instant,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    fn open(qemu: &Path, payload: &Path) -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paprika"));
        command.args(["boot", "--timeout", "60", "--qemu"]).arg(qemu).arg("--payload").arg(payload);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("a pipe")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).split(b'\n').map_while(Result::ok);
            lines.try_for_each(|line| sender.send(String::from_utf8_lossy(&line).into_owned()))
        });
        let (transcript, shown) = (Transcript::default(), String::new());
        Ok(Self { child, lines, transcript, shown, until: Instant::now() + LIMIT })
    }

    fn type_in(&mut self, text: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("a pipe")?;
        stdin.write_all(text.as_bytes())?;
        Ok(stdin.flush()?)
    }

    /// Reads on until the guest has said what `wanted` accepts.
    fn wait(&mut self, what: &str, wanted: impl Fn(&Record<'_>) -> bool) -> Result<()> {
        let from = self.transcript.mark();
        while !self.transcript.says(from, &wanted) {
            let left = self.until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line =
                line.map_err(|_| anyhow!("{what} has not come; on the terminal stands:\n{}", self.shown))?;
            self.shown.push_str(&line);
            self.shown.push('\n');
            self.transcript.push(Duration::ZERO, line.trim_end().to_owned());
        }
        Ok(())
    }
}

/// What the README shows.
fn by_hand(qemu: &Path, payload: &Path) -> Result<()> {
    let mut terminal = Terminal::open(qemu, payload)?;
    terminal.wait(
        "the drain after arming",
        |record| matches!(record, Record::Drain { call, .. } if call.0 == "check-exception"),
    )?;
    ensure!(
        terminal.shown.contains("device_add pc-dimm"),
        "it does not say what to type: {}",
        terminal.shown
    );
    let done = |request, outcome| move |record: &Record<'_>| matches!(record, Record::Done { request: r, outcome: o, .. } if (*r, *o) == (request, outcome));
    terminal.type_in("\x01cobject_add memory-backend-ram,id=mem1,size=256M\n")?;
    terminal.type_in("device_add pc-dimm,id=dimm1,memdev=mem1\n")?;
    terminal.wait("a DIMM that is taken", done(Request::Add, Outcome::Taken))?;
    terminal.type_in("device_del dimm1\n")?;
    terminal.wait("a DIMM that is given back", done(Request::Remove, Outcome::Released))?;
    terminal.type_in("system_powerdown\n")?;
    terminal.wait("the last line", |record| matches!(record, Record::End { .. }))?;
    let status = terminal.child.wait()?;
    ensure!(status.success(), "paprika boot {status}");
    Ok(())
}
