//! A QEMU that is none: it speaks QMP and does as it is told. It is this very program, started by a script.

use paprika::log::{Entry, Hex, Record};
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::Duration;

/// In which it finds its command line, and how it is to behave.
const COMMAND_LINE: &str = "PAPRIKA_FAKE_COMMAND_LINE";
const BEHAVIOUR: &str = "PAPRIKA_FAKE_BEHAVIOUR";

/// What a shell becomes it by.
pub(crate) fn script(behaviour: &str) -> String {
    let own = env::current_exe().expect("this program");
    format!(
        "export {COMMAND_LINE}=\"$*\" {BEHAVIOUR}={behaviour}\n\
         exec {} --ignored --exact fake::the_fake_qemu --nocapture",
        own.display()
    )
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
            start(&behaviour, &mut console);
        }
        let answer = serde_json::json!({"return": {}, "id": message["id"]});
        let _ = writeln!(qmp, "{answer}");
    }
    std::process::exit(0);
}

/// What it does when it is told to start its guest.
fn start(behaviour: &str, console: &mut UnixStream) {
    match behaviour {
        "dies" => {
            eprintln!("qemu: assertion failed: something");
            std::process::exit(134);
        }
        "rubbish" => console.write_all(b"\xff\xfe nothing \x1b[31m here\r\nPPP[[[ P[1 2\n").expect("written"),
        "foreign" => console.write_all(boot("99.9.9").as_bytes()).expect("written"),
        "stops-talking" => console.write_all(boot(env!("CARGO_PKG_VERSION")).as_bytes()).expect("written"),
        "floods" => while console.write_all(&b"all work and no play\n".repeat(1000)).is_ok() {},
        _ => {}
    }
}

/// The first line of a payload of this version.
fn boot(version: &'static str) -> String {
    let record = Record::Boot {
        version: version.into(),
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
