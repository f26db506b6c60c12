//! Back traces of a QEMU that crashed, from whoever keeps its core.
//!
//! That is systemd's `coredumpctl`, where it is installed, or else a core file that `gdb` can read. Neither is needed: where there is
//! no back trace, it is said why.

use super::process::Exit;
use super::{ask, resolve};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// How often systemd is asked, since it may still be busy with the core.
const TRIES: u32 = 5;
/// How long between two tries.
const PAUSE: Duration = Duration::from_millis(400);

/// What can make a back trace.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    /// systemd's.
    coredumpctl: Option<PathBuf>,
    /// The debugger.
    gdb: Option<PathBuf>,
    /// Where core files go.
    cores: PathBuf,
}

impl Tools {
    /// Those on the `PATH`; core files are looked for where this program, and so QEMU, runs.
    pub fn installed() -> Self {
        Self {
            coredumpctl: resolve(Path::new("coredumpctl")),
            gdb: resolve(Path::new("gdb")),
            cores: PathBuf::from("."),
        }
    }

    /// The back trace of a process that ended so, or why there is none. Nothing where no signal ended it.
    pub fn backtrace(&self, exit: Exit, pid: u32, program: &Path) -> Option<String> {
        exit.signal()?;
        if !exit.dumped_core() {
            return Some("no back trace: no core was dumped (`ulimit -c unlimited` allows one)".to_owned());
        }
        let trace = self.of_systemd(pid).or_else(|| self.of_gdb(pid, program));
        Some(trace.unwrap_or_else(|| match (&self.coredumpctl, &self.gdb) {
            (None, None) => "no back trace: neither coredumpctl nor gdb is installed".to_owned(),
            _ => "no back trace: the core was not found".to_owned(),
        }))
    }

    fn of_systemd(&self, pid: u32) -> Option<String> {
        let program = self.coredumpctl.as_ref()?;
        let pid = pid.to_string();
        let mut tries = (0..TRIES).map(|count| {
            sleep(if count == 0 { Duration::ZERO } else { PAUSE });
            ask(program, &["--no-pager", "info", &pid]).ok()
        });
        tries.find_map(|told| told.filter(|told| !told.trim().is_empty()))
    }

    fn of_gdb(&self, pid: u32, program: &Path) -> Option<String> {
        let gdb = self.gdb.as_ref()?;
        let names = [format!("core.{pid}"), "core".to_owned()];
        let core = names.map(|name| self.cores.join(name)).into_iter().find(|core| core.is_file())?;
        let (program, core) = (program.to_string_lossy(), core.to_string_lossy());
        ask(gdb, &["-batch", "-nx", "-ex", "thread apply all backtrace", &program, &core]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Tools;
    use crate::qemu::process::Exit;
    use std::os::unix::process::ExitStatusExt;
    use std::path::{Path, PathBuf};
    use std::process::{Command, ExitStatus};

    /// As `wait` tells it: an abort, with a core or without.
    fn abort(core: bool) -> Exit {
        ExitStatus::from_raw(6 | if core { 0x80 } else { 0 }).into()
    }

    /// A program that prints its arguments.
    fn echo(folder: &Path, name: &str) -> Option<PathBuf> {
        let path = folder.join(name);
        let write = r#"printf '#!/bin/sh\necho %s: "$@"\n' "$1" > "$0" && chmod 755 "$0""#;
        let status = Command::new("sh").args(["-c", write]).arg(&path).arg(name).status().expect("a shell");
        status.success().then_some(path)
    }

    #[test]
    fn where_there_is_no_back_trace_it_is_said_why() {
        let none = Tools::default();
        let trace = |exit| none.backtrace(exit, 7, Path::new("qemu"));
        assert_eq!(trace(ExitStatus::from_raw(0x100).into()), None);
        assert!(trace(abort(false)).is_some_and(|words| words.contains("ulimit -c")));
        assert!(trace(abort(true)).is_some_and(|words| words.contains("neither coredumpctl nor gdb")));
    }

    #[test]
    fn systemd_is_asked_for_the_process_and_gdb_for_the_file() {
        let folder = tempfile::tempdir().expect("a directory");
        let cores = folder.path().to_owned();
        let systemd =
            Tools { coredumpctl: echo(folder.path(), "coredumpctl"), gdb: None, cores: cores.clone() };
        let trace = systemd.backtrace(abort(true), 7, Path::new("qemu")).expect("a back trace");
        assert_eq!(trace.trim(), "coredumpctl: --no-pager info 7");

        let gdb = Tools { coredumpctl: None, gdb: echo(folder.path(), "gdb"), cores };
        let none = gdb.backtrace(abort(true), 7, Path::new("qemu"));
        assert!(none.is_some_and(|words| words.contains("not found")));
        std::fs::write(folder.path().join("core.7"), "x").expect("written");
        let trace = gdb.backtrace(abort(true), 7, Path::new("/q")).expect("a back trace");
        assert!(trace.starts_with("gdb: -batch") && trace.trim().ends_with("core.7"), "{trace}");
    }
}
