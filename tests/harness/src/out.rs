//! Standard output, of which a reader may have enough and a disk may be full: neither ends a run before its time.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// Why something was not printed.
static LOST: OnceLock<String> = OnceLock::new();

/// Prints a line, as `println!` does; where that fails, [`problem`] tells of it.
macro_rules! say {
    ($($what:tt)*) => { $crate::out::line(format_args!($($what)*)) };
}
pub(crate) use say;

/// Prints a line.
pub fn line(text: fmt::Arguments<'_>) {
    note(writeln!(io::stdout(), "{text}"));
}

/// What was lost of all that was printed, and why. A reader that went away has lost nothing that it wanted.
pub fn problem() -> Option<&'static str> {
    note(io::stdout().flush());
    LOST.get().map(String::as_str)
}

fn note(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != ErrorKind::BrokenPipe
    {
        LOST.get_or_init(|| error.to_string());
    }
}
