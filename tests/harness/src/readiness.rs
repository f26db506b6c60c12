//! Waiting until one of several sockets has something to read, never longer than was agreed.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long a single wait may last, so that a signal is noticed soon even where it does not interrupt the wait.
const SLICE: Duration = Duration::from_millis(100);

/// Waits until `until`, at most for a short while, and says which of `sockets` can be read (or have ended).
pub(crate) fn readable<const N: usize>(
    sockets: [Option<&dyn AsFd>; N],
    until: Instant,
) -> io::Result<[bool; N]> {
    let mut ready = [false; N];
    let mut fds: Vec<(usize, PollFd<'_>)> = sockets
        .iter()
        .enumerate()
        .filter_map(|(at, socket)| Some((at, PollFd::from_borrowed_fd((*socket)?.as_fd(), PollFlags::IN))))
        .collect();
    let (places, mut polled): (Vec<_>, Vec<_>) = fds.drain(..).unzip();
    let left = until.saturating_duration_since(Instant::now()).min(SLICE);
    let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    for (at, fd) in places.into_iter().zip(&polled) {
        ready[at] = !fd.revents().is_empty();
    }
    Ok(ready)
}
