//! Cleans `tmp/` after a kill or a power cut: whole reports are committed, half ones are removed.
//!
//! A process that writes there holds a lock on the file. A whole report without a lock was left by
//! a process that is gone: it is committed, unless it exists elsewhere. A half one was promised to
//! nobody, as nobody was told that it is safe. But if it is all that is left of a crash, people
//! should hear that there was one: it goes to `corrupt/`, of which they are told. It is removed
//! only after some time, as a file is locked a moment after it is made.

use std::ffi::OsString;
use std::fs::{self, Metadata, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::Spool;
use super::read::{Unreadable, read_report};
use crate::host::open_regular_in_ours;
use crate::report::{ReportId, Timestamp};

/// How long a file is left alone that nobody holds and that is not whole.
const YOUTH: Duration = Duration::from_mins(10);
/// Maximum number of names that are looked at in one round.
const LOOKED_AT: usize = 10_000;

impl Spool {
    /// Recovers and removes what lies in `tmp/`. Returns the recovered reports. What fails now is
    /// left for the next round.
    pub(super) fn recover(&self, now: Timestamp) -> io::Result<Vec<ReportId>> {
        let mut recovered = Vec::new();
        for entry in fs::read_dir(self.dir.join("tmp"))?
            .take(LOOKED_AT)
            .flatten()
        {
            recovered.extend(self.recover_one(&entry.path(), &entry.file_name(), now)?);
        }
        recovered.sort();
        Ok(recovered)
    }

    fn recover_one(
        &self,
        path: &Path,
        name: &OsString,
        now: Timestamp,
    ) -> io::Result<Option<ReportId>> {
        let Ok(found) = fs::symlink_metadata(path) else {
            return Ok(None);
        };
        if !found.is_file() {
            return self.put_aside(path).map(|_| None);
        }
        let held = open_regular_in_ours(path)
            .map(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        if held.unwrap_or(true) {
            return Ok(None);
        }
        let id = name.to_str().and_then(|name| ReportId::parse(name).ok());
        let Some(id) = id else {
            // A draft of something that is made anew.
            return if is_old(&found, now) {
                fs::remove_file(path).map(|()| None)
            } else {
                Ok(None)
            };
        };
        match read_report(path, id.as_str(), &self.owners()?) {
            Ok(_) if self.find(&id).is_some() => fs::remove_file(path).map(|()| None),
            Ok(report) => {
                // The copy has another name, so that the whole one stays until there are two.
                self.put_by(&report, &format!(".{id}"))?;
                fs::remove_file(path).map(|()| Some(id))
            }
            Err(Unreadable::Invalid(_)) if is_old(&found, now) => {
                if self.find(&id).is_some() || is_empty(path) {
                    fs::remove_file(path)?;
                } else {
                    self.put_aside(path).map(drop)?;
                }
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }
}

/// Returns true if this was made, or got its name, long ago, or seemingly in the far future.
fn is_old(found: &Metadata, now: Timestamp) -> bool {
    let made = Timestamp::of_unix(u64::try_from(found.ctime()).unwrap_or_default());
    now.since(made).max(made.since(now)) > YOUTH
}

/// Returns true if nothing was written into it yet.
fn is_empty(path: &Path) -> bool {
    let mut bytes = Vec::new();
    let read = open_regular_in_ours(path).and_then(|file| file.take(4096).read_to_end(&mut bytes));
    read.is_ok() && bytes.iter().all(|byte| *byte == 0)
}
