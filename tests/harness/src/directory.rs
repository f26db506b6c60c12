//! The private directory of one run: sockets that nobody else can reach, and everything that was said.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A socket's path may have this many bytes; the longest name in the directory is shorter than the rest of it.
const LONGEST_PATH: usize = 72;

/// A directory that only we can enter, and that is gone with us unless it is to be kept.
#[derive(Debug)]
pub struct Directory {
    folder: TempDir,
}

impl Directory {
    /// Makes one where temporary files go, or in `/tmp` where that path is too long for a socket.
    pub fn new(keep: bool) -> io::Result<Self> {
        let usual = std::env::temp_dir();
        let place = if usual.as_os_str().len() > LONGEST_PATH { PathBuf::from("/tmp") } else { usual };
        let mut folder = tempfile::Builder::new()
            .prefix("paprika-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(place)?;
        folder.disable_cleanup(keep);
        Ok(Self { folder })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on it is kept, or not.
    pub fn keep(&mut self, keep: bool) {
        self.folder.disable_cleanup(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::Directory;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn nobody_else_may_enter_and_nothing_is_left() {
        let directory = Directory::new(false).expect("made");
        let path = directory.path().to_owned();
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o700);
        std::fs::write(directory.file("stderr"), "x").expect("written");
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_to_be_kept_is_kept() {
        let directory = Directory::new(true).expect("made");
        let path = directory.path().to_owned();
        drop(directory);
        assert!(path.exists());
        std::fs::remove_dir(path).expect("removed");
    }
}
