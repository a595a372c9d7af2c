//! Puts aside in `corrupt/` what is no whole report and must not be sent. It is moved, never
//! opened: it may be a FIFO, a link, a directory.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Spool, commit::commit, list, sync_dir};
use crate::names;
use crate::report::{ReportId, Timestamp};

/// Maximum number of files of one name.
const MOST_ALIKE: usize = 10;

impl Spool {
    /// A file that was put aside, and when that was done.
    pub fn corrupt(&self) -> io::Result<Vec<(Timestamp, String)>> {
        let dir = self.corrupt_dir();
        let time = |name: &String| {
            let found = fs::symlink_metadata(dir.join(name)).ok()?;
            Some(Timestamp::of_unix(
                u64::try_from(found.ctime()).unwrap_or_default(),
            ))
        };
        Ok(list(&dir)?
            .into_iter()
            .filter_map(|name| Some((time(&name)?, name)))
            .collect())
    }

    /// Returns true if a report of this id was damaged and put aside.
    pub fn was_put_aside(&self, id: &ReportId) -> bool {
        self.corrupt_dir()
            .join(id.as_str())
            .symlink_metadata()
            .is_ok()
    }

    pub fn corrupt_dir(&self) -> PathBuf {
        self.dir.join("corrupt")
    }

    /// Moves this to `corrupt/`, whatever it is, and returns where it is now.
    pub(super) fn put_aside(&self, path: &Path) -> io::Result<PathBuf> {
        let dir = self.corrupt_dir();
        let name = names::encode(path.file_name().unwrap_or_default().as_bytes());
        let mut aside = dir.join(&name);
        for n in 2..=MOST_ALIKE {
            match renameat_with(CWD, path, CWD, &aside, RenameFlags::NOREPLACE) {
                // Not every file system can refuse to replace.
                Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(&aside).is_err() => break,
                Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => {
                    aside = dir.join(format!("{name}~{n}"));
                }
                done => {
                    done?;
                    return sync_dir(&dir).map(|()| aside);
                }
            }
        }
        fs::rename(path, &aside)?;
        sync_dir(&dir).map(|()| aside)
    }

    /// Notes that a report on the disk behind this deputy is damaged, which cannot be moved yet.
    pub(super) fn note_damaged(&self, id: &ReportId, why: &str) -> io::Result<()> {
        let draft = self.dir.join("tmp").join(format!(".{id}"));
        commit(&draft, &self.corrupt_dir(), id.as_str(), why.as_bytes())
    }

    /// Notes why a file that stays where it is, or goes, is no report. Only a few notes are kept
    /// for each kind, as a user can make any number of such files.
    pub(super) fn note_corrupt(&self, kind: &str, why: &str) -> io::Result<()> {
        let dir = self.corrupt_dir();
        let free = (1..=MOST_ALIKE)
            .map(|n| format!("{kind}-{n}"))
            .find(|name| !dir.join(name).exists());
        let Some(name) = free else { return Ok(()) };
        commit(
            &self.dir.join("tmp").join(&name),
            &dir,
            &name,
            why.as_bytes(),
        )
    }
}
