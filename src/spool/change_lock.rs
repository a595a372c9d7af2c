//! The lock by which processes change over to the deputy and back: `deputy.lock` in the run
//! directory. Who works with the spool shares it for a step. Who changes over has it alone.
//!
//! It is a `flock`, so it ends with its process, but not if the process is stopped (SIGSTOP, a
//! frozen cgroup). So whoever has it alone writes a sign of life with each file that it moves. A
//! process that has long waited for it, without such a sign, takes it for stopped and puts a new
//! file in place of the old one. Nobody promises how long a step takes: most take milliseconds.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

use super::lock::is_at;
use super::transfer::clear;

/// The lock's file, as one process has it open.
#[derive(Debug)]
pub struct ChangeLock {
    file: File,
    path: PathBuf,
    /// Number of signs of life that this process has given.
    signs: AtomicU64,
}

impl ChangeLock {
    /// Opens the lock's file in this run directory.
    pub fn open(run: &Path) -> io::Result<Self> {
        let path = run.join("deputy.lock");
        Ok(Self {
            file: open(&path)?,
            path,
            signs: AtomicU64::new(0),
        })
    }

    /// Takes the lock together with others. Returns false if another process has it alone.
    pub fn try_shared(&self) -> io::Result<bool> {
        taken(self.file.try_lock_shared())
    }

    /// Takes the lock alone. Returns false if another process has it.
    pub fn try_alone(&self) -> io::Result<bool> {
        taken(self.file.try_lock())
    }

    /// Gives the lock up.
    pub fn let_go(&self) {
        // It cannot fail for a file that is open, and ends with the process at the latest.
        let _ = self.file.unlock();
    }

    /// Returns true if no other process took us for stopped, and put a new file in place of ours.
    pub fn is_current(&self) -> bool {
        is_at(&self.file, &self.path)
    }

    /// Shows that this process, which has the lock alone, is at work.
    ///
    /// # Errors
    /// If another process took it for stopped. That one does the rest.
    pub fn lives(&self) -> io::Result<()> {
        if !self.is_current() {
            return Err(io::Error::other(
                "another process did not wait for this one any longer; the next look goes on",
            ));
        }
        let sign = self.signs.fetch_add(1, Ordering::Relaxed) + 1;
        let sign = format!("{:010} {sign:020}\n", std::process::id());
        // Where the memory is full, the next one may take us for stopped.
        let _ = self.file.write_all_at(sign.as_bytes(), 0);
        Ok(())
    }

    /// Returns the last sign of life of whoever has had the lock alone.
    pub fn sign(&self) -> Vec<u8> {
        let mut sign = vec![0; 64];
        let length = self.file.read_at(&mut sign, 0).unwrap_or_default();
        sign.truncate(length);
        sign
    }

    /// Puts a new file in place of this one, which a process has that was stopped.
    pub fn replace(&self) -> io::Result<()> {
        let turn = open(&self.path.with_file_name("new-lock"))?;
        // If several processes do so, the first one's file stays.
        if taken(turn.try_lock())? && self.is_current() {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }
}

/// Opens a file that nobody else can lock. Whatever else is in its place goes.
fn open(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        clear(path)?;
    }
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).mode(0o600);
    options.truncate(false).custom_flags(flags).open(path)
}

fn taken(tried: Result<(), TryLockError>) -> io::Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(why)) if why.kind() == ErrorKind::Interrupted => Ok(false),
        Err(TryLockError::Error(why)) => Err(why),
    }
}
