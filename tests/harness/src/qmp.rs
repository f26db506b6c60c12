//! The first witness: QEMU's monitor protocol, one JSON object a line.
//!
//! A small client of our own: it speaks with any QEMU because it knows no schema, keeps every event in the order in which
//! it came, known or not, and never reads without a deadline. Answers are matched by number, so that one that comes after
//! nobody waits for it any more is not taken for another's.
//!
//! Ref: QEMU docs/interop/qmp-spec

use crate::readiness::readable;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a command may take to be written.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Something that happened in QEMU.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When we saw it, since the machine was started.
    pub at: Duration,
    /// When QEMU says that it happened, in microseconds of its clock.
    pub timestamp: i64,
    /// Its name.
    pub name: String,
    /// What belongs to it; null where nothing does.
    pub data: Value,
}

impl Event {
    /// A text among its data.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key)?.as_str()
    }
}

/// What is wrong with a command or with the connection.
#[derive(Debug)]
pub enum QmpError {
    /// QEMU refused a command.
    Refused {
        /// The command.
        command: String,
        /// QEMU's class of error.
        class: String,
        /// QEMU's words.
        description: String,
    },
    /// No answer came in time.
    TimedOut(String),
    /// QEMU closed the connection.
    Closed,
    /// What came is no QMP.
    Garbage(String),
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for QmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { command, class, description } => {
                write!(f, "QEMU refuses `{command}`: {description} ({class})")
            }
            Self::TimedOut(command) => write!(f, "QEMU did not answer `{command}` in time"),
            Self::Closed => f.write_str("QEMU closed its monitor"),
            Self::Garbage(line) => write!(f, "the monitor says what is no QMP: {line}"),
            Self::Io(error) => write!(f, "the monitor's socket: {error}"),
        }
    }
}

impl std::error::Error for QmpError {}

impl From<io::Error> for QmpError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The number of a command, by which its answer is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// A connection to QEMU's monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    inbox: Vec<u8>,
    started: Instant,
    journal: Option<File>,
    unwritten: Option<String>,
    greeting: Option<Value>,
    /// The commands that somebody waits for, with their answers as they come.
    pending: BTreeMap<Ticket, (String, Option<Result<Value, QmpError>>)>,
    events: Vec<Event>,
    next: u64,
    closed: bool,
}

impl Qmp {
    /// A connection on which nothing was said yet. Times count from `started`; all that is said is kept in `journal`.
    pub fn new(stream: UnixStream, started: Instant, journal: Option<File>) -> io::Result<Self> {
        stream.set_write_timeout(Some(WRITE_LIMIT))?;
        Ok(Self {
            stream,
            inbox: Vec::new(),
            started,
            journal,
            unwritten: None,
            greeting: None,
            pending: BTreeMap::new(),
            events: Vec::new(),
            next: 1,
            closed: false,
        })
    }

    /// Waits for QEMU's greeting and leaves the mode in which it takes nothing but capabilities.
    pub fn greet(&mut self, until: Instant) -> Result<Value, QmpError> {
        let greeting = self.wait("greeting", until, |qmp| qmp.greeting.clone())?;
        self.execute("qmp_capabilities", json!({}), until)?;
        Ok(greeting)
    }

    /// Sends a command; its answer is to be fetched with [`Qmp::answer`].
    pub fn send(&mut self, command: &str, arguments: Value) -> Result<Ticket, QmpError> {
        let ticket = Ticket(self.next);
        self.next += 1;
        let mut message = Map::from_iter([("execute".to_owned(), json!(command))]);
        if arguments.as_object().is_some_and(|arguments| !arguments.is_empty()) {
            message.insert("arguments".to_owned(), arguments);
        }
        message.insert("id".to_owned(), json!(ticket.0));
        let message = Value::Object(message);
        self.note("to", &message);
        let sent = self.stream.write_all(format!("{message}\n").as_bytes());
        if let Err(error) = sent {
            self.closed |= matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
            return Err(if self.closed { QmpError::Closed } else { error.into() });
        }
        self.pending.insert(ticket, (command.to_owned(), None));
        Ok(ticket)
    }

    /// The answer to a command, if it has come; taken once.
    pub fn answer(&mut self, ticket: Ticket) -> Option<Result<Value, QmpError>> {
        if self.pending.get(&ticket)?.1.is_none() && !self.closed {
            return None;
        }
        Some(self.pending.remove(&ticket)?.1.unwrap_or(Err(QmpError::Closed)))
    }

    /// Nobody waits for this answer any more.
    pub fn forget(&mut self, ticket: Ticket) {
        self.pending.remove(&ticket);
    }

    /// Sends a command and waits for its answer. Only for a QEMU whose console nobody has to read meanwhile.
    pub fn execute(&mut self, command: &str, arguments: Value, until: Instant) -> Result<Value, QmpError> {
        let ticket = self.send(command, arguments)?;
        let answer = self.wait(command, until, |qmp| qmp.answer(ticket));
        self.forget(ticket);
        answer?
    }

    /// Waits for an event that `wanted` accepts, from the `from`-th on.
    pub fn wait_for_event(
        &mut self,
        what: &str,
        from: usize,
        until: Instant,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Event, QmpError> {
        self.wait(what, until, |qmp| qmp.events.iter().skip(from).find(|event| wanted(event)).cloned())
    }

    /// Goes on with the monitor of another QEMU, into which the machine has moved. What happened before is kept, and
    /// comes first.
    pub fn follow(&mut self, next: Self) {
        let mut events = std::mem::take(&mut self.events);
        events.extend_from_slice(&next.events);
        let unwritten = self.unwritten.take();
        *self = Self { events, unwritten: unwritten.or(next.unwritten), ..next };
    }

    /// Every event so far, in the order in which they came.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The socket, for those who wait for it together with others.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Why not all of it is in the journal.
    pub fn unwritten(&self) -> Option<&str> {
        self.unwritten.as_deref()
    }

    /// Whether QEMU has closed it.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Reads what is there; to be called when there is something, else it blocks.
    pub fn receive(&mut self) -> Result<(), QmpError> {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.closed = true,
            Ok(length) => self.inbox.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.closed = true,
            Err(error) => return Err(error.into()),
        }
        while let Some(end) = self.inbox.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.inbox.drain(..=end).collect();
            self.take_line(line.trim_ascii())?;
        }
        Ok(())
    }

    fn wait<T>(
        &mut self,
        what: &str,
        until: Instant,
        mut done: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<T, QmpError> {
        loop {
            if let Some(value) = done(self) {
                return Ok(value);
            }
            if self.closed {
                return Err(QmpError::Closed);
            }
            if Instant::now() >= until {
                return Err(QmpError::TimedOut(what.to_owned()));
            }
            if let [true] = readable([Some(&self.stream)], until)? {
                self.receive()?;
            }
        }
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), QmpError> {
        if line.is_empty() {
            return Ok(());
        }
        let garbage = || QmpError::Garbage(String::from_utf8_lossy(line).into_owned());
        let message: Value = serde_json::from_slice(line).map_err(|_| garbage())?;
        self.note("from", &message);
        let mut message = match message {
            Value::Object(message) => message,
            _ => return Err(garbage()),
        };
        if let Some(name) = message.get("event").and_then(Value::as_str) {
            let event = Event {
                at: self.started.elapsed(),
                timestamp: timestamp(&message),
                name: name.to_owned(),
                data: message.get("data").cloned().unwrap_or(Value::Null),
            };
            self.events.push(event);
        } else if let Some(greeting) = message.remove("QMP") {
            self.greeting = Some(greeting);
        } else if let Some(id) = message.get("id").and_then(Value::as_u64) {
            if let Some((command, answer)) = self.pending.get_mut(&Ticket(id)) {
                *answer = Some(verdict(command, &message).ok_or_else(garbage)?);
            }
        } else {
            // An error without a number: QEMU could not even read what we sent.
            return Err(garbage());
        }
        Ok(())
    }

    fn note(&mut self, direction: &str, message: &Value) {
        if let Some(journal) = &mut self.journal {
            let ms = self.started.elapsed().as_secs_f64() * 1e3;
            // A journal on a full disk must not end a run, but must be told of.
            if let Err(error) = writeln!(journal, r#"{{"ms":{ms:.3},"{direction}":{message}}}"#) {
                self.unwritten.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

/// The microseconds of a message's timestamp; 0 where it has none.
fn timestamp(message: &Map<String, Value>) -> i64 {
    let part = |name: &str| message.get("timestamp")?.get(name)?.as_i64();
    part("seconds")
        .zip(part("microseconds"))
        .map_or(0, |(s, us)| s.saturating_mul(1_000_000).saturating_add(us))
}

/// What an answer says: the value that was returned, or why there is none.
fn verdict(command: &str, message: &Map<String, Value>) -> Option<Result<Value, QmpError>> {
    if let Some(value) = message.get("return") {
        return Some(Ok(value.clone()));
    }
    let error = message.get("error")?;
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Err(QmpError::Refused {
        command: command.to_owned(),
        class: text("class"),
        description: text("desc"),
    }))
}

#[cfg(test)]
mod tests {
    use super::{Qmp, QmpError};
    use serde_json::{Value, json};
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};

    /// QEMU's half of the protocol: greets, then answers each command with what `answer` makes of it.
    fn peer(answer: impl Fn(&str, u64) -> Vec<String> + Send + 'static) -> (Qmp, JoinHandle<()>) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let worker = thread::spawn(move || {
            let mut out = theirs.try_clone().expect("cloned");
            let _ = writeln!(out, r#"{{"QMP": {{"version": {{}}, "capabilities": []}}}}"#);
            for line in BufReader::new(theirs).lines() {
                let Ok(line) = line else { return };
                let message: Value = serde_json::from_str(&line).expect("our own JSON");
                let (name, id) = (message["execute"].as_str().expect("a command"), message["id"].as_u64());
                let lines = if name == "qmp_capabilities" {
                    vec![json!({"return": {}, "id": id}).to_string()]
                } else {
                    answer(name, id.expect("a number"))
                };
                for line in lines {
                    if line == "close" || writeln!(out, "{line}").is_err() {
                        let _ = out.shutdown(std::net::Shutdown::Both);
                        return;
                    }
                }
            }
        });
        (Qmp::new(ours, Instant::now(), None).expect("a client"), worker)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn ok(id: u64, value: u64) -> String {
        json!({"return": value, "id": id}).to_string()
    }

    #[test]
    fn a_command_is_answered_and_events_are_kept_in_order() {
        let (mut qmp, worker) = peer(|_, id| {
            vec![
                json!({"event": "FIRST", "timestamp": {"seconds": 2, "microseconds": 5}}).to_string(),
                json!({"event": "NOBODY_KNOWS", "data": {"device": "d0"}}).to_string(),
                ok(id, 7),
                json!({"event": "LAST"}).to_string(),
            ]
        });
        qmp.greet(soon()).expect("greeted");
        assert_eq!(qmp.execute("query", json!({"a": 1}), soon()).expect("answered"), json!(7));
        let last = qmp.wait_for_event("LAST", 0, soon(), |event| event.name == "LAST").expect("seen");
        assert_eq!(last.data, Value::Null);
        let names: Vec<&str> = qmp.events().iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names, ["FIRST", "NOBODY_KNOWS", "LAST"]);
        assert_eq!(qmp.events()[0].timestamp, 2_000_005);
        assert_eq!(qmp.events()[1].text("device"), Some("d0"));
        drop(qmp);
        worker.join().expect("the peer ends");
    }

    #[test]
    fn a_refusal_carries_qemus_words() {
        let (mut qmp, _worker) = peer(|_, id| {
            vec![json!({"error": {"class": "GenericError", "desc": "no slots"}, "id": id}).to_string()]
        });
        qmp.greet(soon()).expect("greeted");
        let error = qmp.execute("device_add", json!({}), soon()).expect_err("refused");
        assert_eq!(error.to_string(), "QEMU refuses `device_add`: no slots (GenericError)");
    }

    #[test]
    fn a_late_answer_is_not_taken_for_another() {
        let (mut qmp, _worker) = peer(|name, id| match name {
            "slow" => vec![],
            _ => vec![ok(id - 1, 1), ok(id, 2)],
        });
        qmp.greet(soon()).expect("greeted");
        let at_once = Instant::now() + Duration::from_millis(30);
        assert!(matches!(qmp.execute("slow", json!({}), at_once), Err(QmpError::TimedOut(_))));
        assert_eq!(qmp.execute("quick", json!({}), soon()).expect("answered"), json!(2));
    }

    #[test]
    fn an_answer_in_two_pieces_is_one_answer() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut qmp = Qmp::new(ours, Instant::now(), None).expect("a client");
        let ticket = qmp.send("query", json!({})).expect("sent");
        theirs.write_all(br#"{"return": 5,"#).expect("written");
        qmp.receive().expect("read");
        assert!(qmp.answer(ticket).is_none());
        theirs.write_all(b" \"id\": 1}\r\n").expect("written");
        qmp.receive().expect("read");
        assert_eq!(qmp.answer(ticket).expect("here").expect("returned"), json!(5));
        assert!(qmp.answer(ticket).is_none(), "an answer is taken once");
    }

    #[test]
    fn garbage_is_an_error_and_not_a_wait() {
        for line in ["no json", "[1]", "{}", r#"{"error": {"class": "GenericError", "desc": "JSON parse"}}"#]
        {
            let (mut qmp, _worker) = peer(move |_, _| vec![line.to_owned()]);
            qmp.greet(soon()).expect("greeted");
            let error = qmp.execute("query", json!({}), soon()).expect_err("garbage");
            assert!(matches!(error, QmpError::Garbage(_)), "{line}: {error}");
        }
    }

    #[test]
    fn a_closed_monitor_is_noticed_at_once() {
        let (mut qmp, _worker) = peer(|_, _| vec!["close".to_owned()]);
        qmp.greet(soon()).expect("greeted");
        let error = qmp.execute("quit", json!({}), soon()).expect_err("closed");
        assert!(matches!(error, QmpError::Closed), "{error}");
        assert!(qmp.is_closed());
    }

    #[test]
    fn a_silent_peer_costs_no_more_than_was_agreed() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let mut qmp = Qmp::new(ours, Instant::now(), None).expect("a client");
        let begin = Instant::now();
        let error = qmp.greet(begin + Duration::from_millis(50)).expect_err("silence");
        assert!(matches!(error, QmpError::TimedOut(_)), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
