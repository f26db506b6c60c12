//! The guest's console: bytes in, lines out, everything kept as it came.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long the guest's console may take to accept a line.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// So many bytes without an end are a line: a guest that writes rubbish must not fill the memory.
const LONGEST_LINE: usize = 1 << 20;

/// So many bytes are no log: a whole run says less than a hundredth of it.
const FLOOD: usize = 16 << 20;

/// The host's end of the console.
#[derive(Debug)]
pub struct Console {
    stream: UnixStream,
    unfinished: Vec<u8>,
    log: Option<File>,
    unwritten: Option<String>,
    received: usize,
    closed: bool,
}

impl Console {
    /// A console on which nothing was said yet; every byte goes to `log` as well.
    pub fn new(stream: UnixStream, log: Option<File>) -> io::Result<Self> {
        stream.set_write_timeout(Some(WRITE_LIMIT))?;
        Ok(Self { stream, unfinished: Vec::new(), log, unwritten: None, received: 0, closed: false })
    }

    /// Reads what is there and returns the lines that it finished, without their ends. To be called when there is something,
    /// else it blocks. When QEMU has closed the console, what stands unfinished counts as the last line.
    pub fn receive(&mut self) -> io::Result<Vec<String>> {
        let mut chunk = [0; 16 << 10];
        let length = match self.stream.read(&mut chunk) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error),
        };
        self.closed = length == 0;
        self.received = self.received.saturating_add(length);
        if let Some(log) = &mut self.log {
            // A log on a full disk must not end a run, but must be told of.
            if let Err(error) = log.write_all(&chunk[..length]) {
                self.unwritten.get_or_insert_with(|| error.to_string());
            }
        }
        self.unfinished.extend_from_slice(&chunk[..length]);
        let mut lines = Vec::new();
        while let Some(end) = self.unfinished.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.unfinished.drain(..=end).collect();
            lines.push(text(&line));
        }
        if (self.closed && !self.unfinished.is_empty()) || self.unfinished.len() > LONGEST_LINE {
            lines.push(text(&std::mem::take(&mut self.unfinished)));
        }
        Ok(lines)
    }

    /// Goes on with the console of another QEMU, into which the guest has moved: a line that has begun goes on there.
    pub fn follow(&mut self, next: Self) {
        let unfinished = std::mem::take(&mut self.unfinished);
        let (unwritten, received) = (self.unwritten.take(), self.received);
        *self = Self { unfinished, received, unwritten: unwritten.or(next.unwritten), ..next };
    }

    /// Says a line to the guest.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\n").as_bytes())
    }

    /// The socket, for those who wait for it together with others.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Whether more came than anybody could mean.
    pub fn floods(&self) -> bool {
        self.received > FLOOD
    }

    /// Why not all of it is in the log.
    pub fn unwritten(&self) -> Option<&str> {
        self.unwritten.as_deref()
    }

    /// Whether QEMU has closed it.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

/// A line without its end and without the control characters with which a firmware moves the cursor.
fn text(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end().chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::Console;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    fn pair() -> (Console, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        (Console::new(ours, None).expect("a console"), theirs)
    }

    #[test]
    fn a_line_is_a_line_however_it_comes() {
        let (mut console, mut guest) = pair();
        let mut lines = Vec::new();
        for piece in ["SLOF \x1b[0m\r\nP[0 1", " boot] x", "\r\n\r\nlast"] {
            guest.write_all(piece.as_bytes()).expect("written");
            lines.extend(console.receive().expect("read"));
        }
        assert_eq!(lines, ["SLOF [0m", "P[0 1 boot] x", ""]);
        drop(guest);
        assert_eq!(console.receive().expect("read"), ["last"]);
        assert!(console.is_closed());
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        let (mut console, mut guest) = pair();
        let writer =
            std::thread::spawn(move || guest.write_all(&vec![b'x'; super::LONGEST_LINE + (64 << 10)]));
        let mut lines = Vec::new();
        while !console.is_closed() {
            lines.extend(console.receive().expect("read"));
        }
        writer.join().expect("joined").expect("written");
        assert_eq!(lines.len(), 2, "{:?}", lines.iter().map(String::len).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let (mut console, mut guest) = pair();
        guest.write_all(b"\xff\xfe\0ok\n").expect("written");
        assert_eq!(console.receive().expect("read"), ["\u{fffd}\u{fffd}ok"]);
    }

    #[test]
    fn a_line_that_has_begun_goes_on_where_the_guest_has_moved() {
        let (mut console, mut guest) = pair();
        guest.write_all(b"one\nP[7 ").expect("written");
        assert_eq!(console.receive().expect("read"), ["one"]);
        let (next, mut guest) = pair();
        console.follow(next);
        guest.write_all(b"1 idle] two\n").expect("written");
        assert_eq!(console.receive().expect("read"), ["P[7 1 idle] two"]);
        assert!(!console.is_closed());
    }

    #[test]
    fn the_guest_reads_what_is_said() {
        let (mut console, guest) = pair();
        console.say("go").expect("said");
        let mut line = String::new();
        BufReader::new(guest).read_line(&mut line).expect("read");
        assert_eq!(line, "go\n");
    }
}
