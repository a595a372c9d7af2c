//! Locks of the spool: one process at a time sends to a sink, takes over an inbox, or tidies up.
//!
//! A lock is a `flock` on a file in `lock/`. It ends with its process, however that ends, but not
//! if the process is stopped (SIGSTOP, a frozen cgroup). So the holder writes into the file by when
//! it will have shown a sign of life. A process that finds this moment past puts a new file in
//! place of the old one and continues with the lock on that. If the first holder ever continues, it
//! finds that its file was replaced, and leaves the rest to the other. Anything that both have sent
//! carries the same idempotency key.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::Spool;
use crate::names;

/// Lock of the process that tidies the spool up. No sink's key holds two NULs.
pub(super) const TIDY: &str = "\0\0tidy";

/// How long a holder may take that says nothing else.
const PATIENCE: Duration = Duration::from_mins(10);

/// How long replacing a lock's file may take.
const MOMENT: Duration = Duration::from_secs(10);

/// A lock that this process holds until the value is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Spool {
    /// Takes the lock of this name. Returns `None` if another process holds it. `monotonic` is the
    /// time since the boot.
    ///
    /// A lock that a process holds on the disk counts for the deputy, and the other way round: the
    /// process may be at work since before the change over.
    pub fn lock(&self, name: &str, monotonic: Duration) -> io::Result<Option<Lock>> {
        let (name, dir) = (names::encode(name), self.lock_dir());
        let path = dir.join(&name);
        if let Some(other) = self.other_lock_dir()
            && is_held(&other.join(&name), monotonic)
        {
            return Ok(None);
        }
        let is_in_the_way = fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file());
        if is_in_the_way {
            // A directory, a link or the like would keep its sink from everything. People are told.
            self.put_aside(&path)?;
        }
        if let Some(lock) = take(&path, Some(monotonic))? {
            return Ok(lock.lives_for(PATIENCE, monotonic)?.then_some(lock));
        }
        if !is_stale(&path, monotonic) {
            return Ok(None);
        }
        // If several processes find this, one of them replaces the file.
        let guard = dir.join("%replace");
        let Some(replacing) = take(&guard, Some(monotonic))? else {
            // If that one is stopped, the next look finds its lock expired. If both continue, the
            // later file counts.
            if is_stale(&guard, monotonic) {
                fs::remove_file(&guard)?;
            }
            return Ok(None);
        };
        if !replacing.lives_for(MOMENT, monotonic)? || !is_stale(&path, monotonic) {
            return Ok(None);
        }
        fs::remove_file(&path)?;
        let Some(lock) = take(&path, Some(monotonic))? else {
            return Ok(None);
        };
        Ok(lock.lives_for(PATIENCE, monotonic)?.then_some(lock))
    }

    /// Returns true if this lock belongs to this spool, and not to one that is no longer in use.
    pub fn has(&self, lock: &Lock) -> bool {
        lock.path.starts_with(self.lock_dir())
    }

    /// Returns the directory of this spool's locks. That of a deputy's locks stays when the deputy
    /// goes: who is at work then keeps its lock.
    pub(super) fn lock_dir(&self) -> PathBuf {
        let in_memory = self.locks_in_memory.as_ref();
        let in_memory = in_memory.filter(|_| self.is_deputy());
        in_memory.cloned().unwrap_or_else(|| self.dir.join("lock"))
    }

    /// Returns the directory of the locks that were taken before the last change over.
    fn other_lock_dir(&self) -> Option<PathBuf> {
        match &self.disk {
            Some(disk) => Some(disk.lock_dir()),
            None => self.locks_in_memory.clone(),
        }
    }

    /// Removes the files of locks that nobody has held for so long. Their sinks may be gone.
    pub(super) fn remove_old_locks(&self, older_than: std::time::SystemTime) -> io::Result<()> {
        let dir = self.lock_dir();
        for name in super::list(&dir)? {
            let path = dir.join(name);
            let old = fs::symlink_metadata(&path)
                .and_then(|found| found.modified())
                .is_ok_and(|at| at < older_than);
            // The lock is held during the removal, so that no other process takes the file that
            // goes.
            if old && let Ok(Some(_lock)) = take(&path, None) {
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }
}

impl Lock {
    /// Promises the next sign of life within `patience`. Returns true if the lock is still ours. If
    /// not, another process took us for dead, and continues our work.
    pub fn lives_for(&self, patience: Duration, monotonic: Duration) -> io::Result<bool> {
        if !self.is_ours() {
            return Ok(false);
        }
        if write_until(&self.file, patience, monotonic).is_err() {
            // The disk is full. An empty file never says that its holder is dead.
            self.file.set_len(0)?;
        }
        Ok(true)
    }

    /// Returns true if no other process took us for dead.
    pub fn is_ours(&self) -> bool {
        is_at(&self.file, &self.path)
    }
}

/// Returns true if a process holds the lock in this file and shows signs of life. The file system
/// may be read-only.
fn is_held(path: &Path, monotonic: Duration) -> bool {
    let Ok(file) = crate::host::open_regular_in_ours(path) else {
        return false;
    };
    let is_free = !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    !is_free && !is_stale(path, monotonic)
}

/// Locks the file. Returns `None` if another process has locked it. A new file promises a sign of
/// life before anybody holds it, so that a process that is stopped before its first promise is not
/// waited for either.
fn take(path: &Path, monotonic: Option<Duration>) -> io::Result<Option<Lock>> {
    // Another process may have replaced the file between our open and our lock, but not again and
    // again.
    for _ in 0..10 {
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
        let mut options = OpenOptions::new();
        let options = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags);
        let file = options.open(path)?;
        if let Some(monotonic) =
            monotonic.filter(|_| file.metadata().is_ok_and(|found| found.len() == 0))
        {
            let _ = write_until(&file, PATIENCE, monotonic);
        }
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => {
                return Ok(Some(Lock {
                    file,
                    path: path.to_owned(),
                }));
            }
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

fn write_until(file: &File, patience: Duration, monotonic: Duration) -> io::Result<()> {
    let until = monotonic.saturating_add(patience).as_millis();
    file.write_all_at(format!("{until:020}\n").as_bytes(), 0)
}

/// Returns true if this file is the one under that name.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let (ours, there) = (file.metadata(), fs::symlink_metadata(path));
    ours.ok()
        .zip(there.ok())
        .is_some_and(|(ours, there)| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

/// Returns true if the holder has shown no sign of life for longer than it promised.
fn is_stale(path: &Path, monotonic: Duration) -> bool {
    let mut text = String::new();
    let read = crate::host::open_regular_in_ours(path)
        .and_then(|file| file.take(64).read_to_string(&mut text));
    // The file is empty: it was taken this moment.
    read.is_ok()
        && text
            .trim_end()
            .parse()
            .is_ok_and(|until: u128| until < monotonic.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lock_is_held_by_one_and_free_when_it_is_dropped() {
        let (_dir, spool) = crate::spool::empty();
        let lock = spool.lock("ops/mail", SECOND).unwrap();
        assert!(lock.is_some() && spool.lock("ops/mail", SECOND).unwrap().is_none());
        assert!(spool.lock("another", SECOND).unwrap().is_some());
        drop(lock);
        assert!(spool.lock("ops/mail", SECOND).unwrap().is_some());
    }

    #[test]
    fn what_is_in_a_locks_place_is_put_aside() {
        let (dir, spool) = crate::spool::empty();
        let place = dir.path().join("spool/lock/mail");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("file"), "").unwrap();
        assert!(spool.lock("mail", SECOND).unwrap().is_some());
        std::os::unix::fs::symlink("/dev/null", dir.path().join("spool/lock/chat")).unwrap();
        assert!(spool.lock("chat", SECOND).unwrap().is_some());
        assert_eq!(spool.corrupt().unwrap().len(), 2);
    }

    #[test]
    fn who_shows_no_sign_of_life_loses_the_lock_and_learns_of_it() {
        let (_dir, spool) = crate::spool::empty();
        let frozen = spool.lock("mail", SECOND).unwrap().unwrap();
        assert!(frozen.lives_for(60 * SECOND, 10 * SECOND).unwrap());
        assert!(spool.lock("mail", 69 * SECOND).unwrap().is_none());
        let next = spool.lock("mail", 71 * SECOND).unwrap().unwrap();
        assert!(!frozen.lives_for(60 * SECOND, 71 * SECOND).unwrap());
        drop(frozen);
        assert!(spool.lock("mail", 72 * SECOND).unwrap().is_none());
        assert!(next.lives_for(SECOND, 72 * SECOND).unwrap());
    }

    #[test]
    fn who_is_stopped_while_it_takes_over_keeps_nobody_out_for_ever() {
        let (dir, spool) = crate::spool::empty();
        let _frozen = spool.lock("mail", SECOND).unwrap().unwrap();
        let late = SECOND + 2 * PATIENCE;
        let guard = take(&dir.path().join("spool/lock/%replace"), Some(late))
            .unwrap()
            .unwrap();
        assert!(guard.lives_for(MOMENT, late).unwrap());
        assert!(spool.lock("mail", late + MOMENT).unwrap().is_none());
        let later = late + MOMENT + SECOND;
        assert!(spool.lock("mail", later).unwrap().is_none());
        assert!(spool.lock("mail", later).unwrap().is_some());
    }

    #[test]
    fn locks_that_nobody_holds_are_removed_in_time() {
        let (dir, spool) = crate::spool::empty();
        let held = spool.lock("held", SECOND).unwrap();
        drop(spool.lock("gone", SECOND).unwrap());
        spool
            .remove_old_locks(std::time::SystemTime::now() + 60 * SECOND)
            .unwrap();
        assert!(
            held.is_some()
                && super::super::list(&dir.path().join("spool/lock")).unwrap() == ["held"]
        );
    }
}
