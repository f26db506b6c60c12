//! A third hand: the protocol of QEMU's own tests, by which the host reads and writes memory and calls RTAS.
//!
//! What it does happens behind the guest's back. That is the use of it: a thread can run that the guest has not started,
//! and the last thread can stop although the guest would never do that. The object is made while QEMU runs, so that a machine
//! needs no option for it.
//!
//! An RTAS call that comes this way is made in the name of the first CPU. Ref: QEMU hw/ppc/spapr_rtas.c (qtest_rtas_call)

use crate::device::add_object;
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::readiness::readable;
use crate::stop::Stop;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// How long an answer may take, on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);
/// The socket in the private directory.
const SOCKET: &str = "qtest.sock";
/// The ids of the object and of its channel.
const ID: &str = "third-hand";
const CHANNEL: &str = "third-hand-channel";

/// A connection on which QEMU takes such commands.
#[derive(Debug)]
pub struct Qtest {
    stream: BufReader<UnixStream>,
}

impl Qtest {
    /// Makes one; nothing where this QEMU has no such object (before 6.0).
    pub fn attach(machine: &mut Machine) -> Result<Option<Self>, Stop> {
        let path = machine.directory().join(SOCKET);
        let listener = UnixListener::bind(&path)?;
        let address = json!({ "type": "unix", "data": { "path": path.to_string_lossy() } });
        let channel = json!({ "type": "socket", "data": { "addr": address, "server": false } });
        machine.execute("chardev-add", json!({ "id": CHANNEL, "backend": channel }))?;
        let until = Instant::now() + LIMIT;
        while !matches!(readable([Some(&listener)], until)?, [true]) {
            if Instant::now() >= until {
                return Err(Stop::TimedOut { waiting_for: "QEMU's connection for tests".to_owned() });
            }
        }
        let (stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        match add_object(machine, "qtest", ID, json!({ "chardev": CHANNEL })) {
            Ok(()) => Ok(Some(Self { stream: BufReader::new(stream) })),
            Err(Stop::Qmp(QmpError::Refused { .. })) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// Writes a word at a real address, in the guest's order of bytes.
    pub fn write_word(&mut self, address: u64, word: u32) -> Result<(), Stop> {
        self.command(&format!("writel {address:#x} {word:#x}")).map(drop)
    }

    /// The word at a real address.
    pub fn read_word(&mut self, address: u64) -> Result<u32, Stop> {
        let answer = self.command(&format!("readl {address:#x}"))?;
        let word = answer.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        word.and_then(|word| u32::try_from(word).ok()).ok_or_else(|| odd(&answer))
    }

    /// Makes an RTAS call with `scratch` for its arguments and, behind them, its return cells; the first of those, the
    /// call's status.
    pub fn rtas(&mut self, call: &str, arguments: &[u32], cells: u32, scratch: u64) -> Result<i32, Stop> {
        for (at, argument) in (scratch..).step_by(4).zip(arguments) {
            self.write_word(at, *argument)?;
        }
        let count = arguments.len();
        let results = scratch + 4 * count as u64;
        self.write_word(results, 0)?;
        let answer = self.command(&format!("rtas {call} {count} {scratch:#x} {cells} {results:#x}"))?;
        if answer != "0" {
            return Err(Stop::Broken(format!("QEMU has no RTAS call `{call}`: {answer}")));
        }
        // Not a number that gets smaller: the same bits with a sign.
        Ok(self.read_word(results)?.cast_signed())
    }

    /// Gives a command; what follows `OK` in its answer.
    fn command(&mut self, command: &str) -> Result<String, Stop> {
        writeln!(self.stream.get_mut(), "{command}")?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match said(&line) {
            Some(rest) => Ok(rest.to_owned()),
            None => Err(odd(&line)),
        }
    }
}

/// What follows `OK`; nothing where it was not understood or not done.
fn said(line: &str) -> Option<&str> {
    let rest = line.trim_end().strip_prefix("OK")?;
    (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim_start())
}

fn odd(answer: &str) -> Stop {
    Stop::Broken(format!("the protocol of QEMU's tests: no answer to build on: `{}`", answer.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::{Qtest, said};
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::thread::{self, JoinHandle};

    /// QEMU's half: memory, and one call that returns its argument.
    fn peer() -> (Qtest, JoinHandle<Vec<(u64, u32)>>) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let worker = thread::spawn(move || {
            let mut memory: Vec<(u64, u32)> = Vec::new();
            let mut out = theirs.try_clone().expect("cloned");
            for line in BufReader::new(theirs).lines().map_while(Result::ok) {
                let words: Vec<&str> = line.split(' ').collect();
                let number = |at: usize| {
                    let word: &str = words.get(at).copied().unwrap_or_default();
                    let digits = word.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
                    digits.unwrap_or_else(|| word.parse()).expect("a number")
                };
                let read = |memory: &[(u64, u32)], at: u64| {
                    memory.iter().rev().find(|(place, _)| *place == at).map_or(0, |(_, word)| *word)
                };
                let answer = match words[0] {
                    "writel" => {
                        memory.push((number(1), u32::try_from(number(2)).expect("a word")));
                        "OK".to_owned()
                    }
                    "readl" => format!("OK {:#018x}", read(&memory, number(1))),
                    "rtas" if words[1] == "echo" => {
                        let argument = read(&memory, number(3));
                        memory.push((number(5), argument));
                        "OK 0".to_owned()
                    }
                    "rtas" => format!("OK {}", u64::MAX - 3),
                    _ => "FAIL Unknown command".to_owned(),
                };
                writeln!(out, "{answer}").expect("written");
            }
            memory
        });
        (Qtest { stream: BufReader::new(ours) }, worker)
    }

    #[test]
    fn a_call_gets_its_arguments_and_returns_its_status() {
        let (mut qtest, worker) = peer();
        assert_eq!(qtest.rtas("echo", &[0xffff_fffd, 7], 1, 0x1000).expect("called"), -3);
        assert_eq!(qtest.rtas("echo", &[1], 1, 0x1000).expect("called"), 1);
        drop(qtest);
        let memory = worker.join().expect("the peer ends");
        assert_eq!(memory[..2], [(0x1000, 0xffff_fffd), (0x1004, 7)]);
    }

    #[test]
    fn a_call_that_there_is_not_is_an_error() {
        let (mut qtest, _worker) = peer();
        let error = qtest.rtas("stop-all", &[], 0, 0x1000).expect_err("no such call");
        assert!(error.to_string().contains("stop-all"), "{error}");
    }

    #[test]
    fn only_ok_is_an_answer() {
        assert_eq!((said("OK\n"), said("OK 0x5\n")), (Some(""), Some("0x5")));
        assert_eq!((said("OKAY\n"), said("FAIL Unknown command\n"), said("")), (None, None, None));
    }

    #[test]
    fn silence_is_an_error_and_not_an_answer() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        drop(theirs);
        let mut qtest = Qtest { stream: BufReader::new(ours) };
        assert!(qtest.read_word(0).is_err());
    }
}
