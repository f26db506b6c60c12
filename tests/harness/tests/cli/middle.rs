//! A man in the middle: the real QEMU, whose console and monitor go through this very program, which changes what is said.

use paprika::log::{Record, parse};
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

/// In which it finds the file with its arguments, how it is to lie, and the real QEMU.
const ARGUMENTS: &str = "PAPRIKA_MIDDLE_ARGUMENTS";
const LIE: &str = "PAPRIKA_MIDDLE_LIE";
const REAL: &str = "PAPRIKA_MIDDLE_QEMU";

/// The number of the commands that are its own.
const OWN: &str = "man-in-the-middle";

/// What a shell becomes it by.
pub(crate) fn script(lie: &str, real: &Path) -> String {
    let own = env::current_exe().expect("this program");
    format!(
        "export {ARGUMENTS}=\"$0.$$\" {LIE}={lie} {REAL}={}\n\
         for word; do echo \"$word\"; done > \"$0.$$\"\n\
         exec {} --ignored --exact middle::the_man_in_the_middle --nocapture",
        real.display(),
        own.display()
    )
}

/// What it does; no test by itself.
#[test]
#[ignore = "the other tests start it"]
fn the_man_in_the_middle() {
    let (Ok(file), Ok(lie), Ok(real)) = (env::var(ARGUMENTS), env::var(LIE), env::var(REAL)) else { return };
    let text = fs::read_to_string(file).expect("the arguments");
    let mut arguments: Vec<String> = text.lines().map(str::to_owned).collect();
    if lie == "very-old" {
        arguments.retain(|word| !word.starts_with("spapr_") && word != "-trace");
    }
    let ends = ["console.sock", "qmp.sock"].map(|name| between(&mut arguments, name));
    let mut qemu = Command::new(real).args(&arguments).spawn().expect("QEMU starts");
    let [(host, guest), (client, monitor)] = ends.map(|(outer, listener)| {
        let (inner, _) = listener.accept().expect("QEMU connects");
        (outer, inner)
    });
    let liar = Arc::new(Mutex::new(Liar { lie, qemu: twin(&monitor), guest: Guest::default() }));
    let threads = [
        pass(twin(&guest), twin(&host), {
            let liar = liar.clone();
            move |line| liar.lock().expect("a liar").hears(line)
        }),
        pass(twin(&monitor), twin(&client), {
            let liar = liar.clone();
            move |line| liar.lock().expect("a liar").answers(line)
        }),
    ];
    pass(host, guest, Some);
    let mut back = twin(&client);
    pass(client, monitor, move |line| match liar.lock().expect("a liar").refuses(&line) {
        Some(answer) => {
            let _ = writeln!(back, "{answer}");
            None
        }
        None => Some(line),
    });
    let status = qemu.wait().expect("QEMU ends");
    // What QEMU said last is still on its way.
    threads.into_iter().for_each(|thread| drop(thread.join()));
    std::process::exit(status.code().unwrap_or(1));
}

/// Goes between `paprika` and QEMU at a socket: the connection to the one, and where the other will connect.
fn between(arguments: &mut [String], name: &str) -> (UnixStream, UnixListener) {
    let word = arguments.iter_mut().find(|word| word.ends_with(name)).expect("a socket on the command line");
    let (_, path) = word.split_once("path=").expect("a path");
    let outer = UnixStream::connect(path).expect("somebody listens");
    let listener = UnixListener::bind(format!("{path}.x")).expect("a socket");
    *word += ".x";
    (outer, listener)
}

/// Another handle of the same socket.
fn twin(socket: &UnixStream) -> UnixStream {
    socket.try_clone().expect("a socket")
}

/// Passes on lines as they are changed, until there are no more.
fn pass(
    from: UnixStream,
    mut to: UnixStream,
    mut change: impl FnMut(String) -> Option<String> + Send + 'static,
) -> JoinHandle<()> {
    spawn(move || {
        let mut from = BufReader::new(from);
        let mut bytes = Vec::new();
        while from.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
            let line = String::from_utf8_lossy(&bytes).into_owned();
            bytes.clear();
            if let Some(line) = change(line)
                && to.write_all(line.as_bytes()).is_err()
            {
                return;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    })
}

/// What it knows of the guest.
#[derive(Default)]
struct Guest {
    /// It has negotiated.
    negotiated: bool,
    /// It was told to negotiate without option vector 6.
    without_ov6: bool,
    /// Something was plugged before it has negotiated.
    early: bool,
    /// The machine is being reset: the guest that runs will not have run.
    forgotten: bool,
}

/// Somebody who lies in one way.
struct Liar {
    lie: String,
    qemu: UnixStream,
    guest: Guest,
}

impl Liar {
    /// What becomes of a line of the console.
    fn hears(&mut self, line: String) -> Option<String> {
        // A guest may be reset in the middle of a line.
        let text = line.rfind("P[0 ").map_or(line.as_str(), |at| &line[at..]);
        let entry = parse(text.trim_end()).and_then(Result::ok);
        let Some(entry) = entry else { return Some(line).filter(|_| !self.guest.forgotten) };
        let mut said = line.clone();
        match entry.record {
            Record::Boot { .. } => {
                if self.guest.forgotten {
                    said = text.to_owned();
                }
                self.guest = Guest::default();
            }
            Record::Arguments { text } => self.guest.without_ov6 = text.0.contains("ov6=none"),
            Record::CasAnswer { .. } => self.guest.negotiated = true,
            Record::Firmware { window, why, .. } if window.0 == "open" && why.0.ends_with("support") => {
                return self.calls_cas(line);
            }
            _ => {}
        }
        Some(said).filter(|_| !self.guest.forgotten)
    }

    /// The guest is about to call CAS.
    fn calls_cas(&mut self, line: String) -> Option<String> {
        if self.guest.forgotten {
            return None;
        }
        if self.lie == "cas-reboot" && self.guest.early {
            self.guest.forgotten = true;
            let _ = writeln!(self.qemu, "{}", json!({"execute": "system_reset", "id": OWN}));
        }
        Some(line)
    }

    /// What is answered to a command that QEMU never sees.
    fn refuses(&mut self, line: &str) -> Option<Value> {
        let message: Value = serde_json::from_str(line).expect("JSON");
        let command = message["execute"].as_str().unwrap_or_default();
        let error = |class: &str, words: &str| {
            Some(json!({"error": {"class": class, "desc": words}, "id": message["id"]}))
        };
        let missing = || error("CommandNotFound", &format!("The command {command} has not been found"));
        let plugs = command == "device_add";
        self.guest.early |= plugs && !self.guest.negotiated;
        let connector = message["arguments"]["path"].as_str().is_some_and(|path| path.starts_with("/dr-"));
        match self.lie.as_str() {
            "late" => sleep(Duration::from_millis(20)),
            "reject-before-cas" if plugs && !self.guest.negotiated => {
                return error("GenericError", "hotplug is not possible without an OS");
            }
            "reject-before-ov6" if plugs && (!self.guest.negotiated || self.guest.without_ov6) => {
                return error("GenericError", "hotplug is not possible without an OS");
            }
            "unknown-error" if plugs => return error("MartianError", "take me to your leader"),
            "mute" if plugs => return Some(json!({"event": "NOBODY_KNOWS"})),
            "old" | "very-old" if ["query-memory-devices", "qom-get", "qom-list"].contains(&command) => {
                return missing();
            }
            "no-holders" if command == "qom-get" && connector => {
                return error("GenericError", "Property 'spapr-drc-lmb.device' not found");
            }
            "no-memory" if command == "query-memory-devices" => {
                return Some(json!({"return": [], "id": message["id"]}));
            }
            "old-memory" if command == "query-memory-devices" => {
                let first = json!({"type": "dimm", "data": {"id": "first"}});
                return Some(json!({"return": [first], "id": message["id"]}));
            }
            "no-objects" if command == "qom-list" && !connector => {
                return Some(json!({"return": [], "id": message["id"]}));
            }
            _ => {}
        }
        None
    }

    /// What becomes of a line of the monitor.
    fn answers(&mut self, line: String) -> Option<String> {
        let message: Value = serde_json::from_str(&line).expect("JSON");
        let swallowed = match (self.lie.as_str(), message["event"].as_str()) {
            ("no-deletions", Some("DEVICE_DELETED")) => true,
            // Some versions reset at CAS and send no event for it.
            ("cas-reboot", Some("RESET")) => self.guest.forgotten,
            _ => message["id"] == OWN,
        };
        (!swallowed).then_some(line)
    }
}
