//! Tidies up: whatever happened to the spool, it is as it should be again within a minute.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::history::StoredReport;
use super::room::unless_gone;
use super::{Place, Spool, facts, list, lock};
use crate::clock::Now;
use crate::report::ReportId;

/// Pause between two rounds.
const PAUSE: Duration = Duration::from_mins(1);
/// Age at which the file of an unused lock is removed.
const OLD_LOCK: Duration = Duration::from_hours(30 * 24);

/// The result of a round.
#[derive(Debug, Default, PartialEq)]
pub struct Tidied {
    /// Reports from `tmp/` that were whole, and are in `new/` now.
    pub recovered: Vec<ReportId>,
    /// Number of files that were no reports, and are in `corrupt/` now.
    pub put_aside: usize,
    /// Number of delivered reports that were removed.
    pub delivered: usize,
    /// True if undelivered reports have to go, too: see [`Spool::make_room`].
    pub is_too_full: bool,
}

impl Tidied {
    /// Returns what people may want to know of it.
    pub fn lines(&self) -> Vec<String> {
        let recovered = self
            .recovered
            .iter()
            .map(|id| format!("{id} was found whole in tmp/ and is sent now"));
        let counts = [
            (
                self.put_aside,
                "files were no reports, and are in corrupt/ now",
            ),
            (
                self.delivered,
                "delivered reports were old, or too many, and are removed",
            ),
        ];
        let counted = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"));
        recovered.chain(counted).collect()
    }
}

impl Spool {
    /// Tidies up, unless this was done within the last minute or another process is at it.
    pub fn tidy(&self, now: Now) -> io::Result<Tidied> {
        let mark = self.dir.join("state/tidied");
        let last = fs::symlink_metadata(&mark).and_then(|found| found.modified());
        if last.is_ok_and(|last| {
            now.wall
                .time()
                .duration_since(last)
                .is_ok_and(|age| age < PAUSE)
        }) {
            return Ok(Tidied::default());
        }
        let Some(_lock) = self.lock(lock::TIDY, now.monotonic)? else {
            return Ok(Tidied::default());
        };
        let states = self.states()?;
        let (entries, put_aside) = self.entries()?;
        let (delivered, excess) = self.remove_delivered(&entries, now.wall)?;
        self.remove_states(&states, entries.iter().map(|entry| &entry.id))?;
        if let Some(age) = now.wall.time().checked_sub(OLD_LOCK) {
            self.remove_old_locks(age)?;
        }
        let recovered = self.recover(now.wall)?;
        let mark = File::create(&mark)?;
        mark.set_modified(now.wall.time())?;
        Ok(Tidied {
            recovered,
            put_aside,
            delivered,
            is_too_full: !excess.is_gone(),
        })
    }

    /// Returns all entries, oldest first, and the number of files that were put aside because they
    /// are no entry.
    pub(super) fn entries(&self) -> io::Result<(Vec<StoredReport>, usize)> {
        let users = self.made_by_users()?;
        let mut entries = Vec::new();
        let mut put_aside = 0;
        for place in [Place::New, Place::Done, Place::Dead] {
            for entry in fs::read_dir(self.dir.join(place.name()))? {
                let entry = entry?;
                let name = entry.file_name();
                let id = name.to_str().and_then(|name| ReportId::parse(name).ok());
                let is_name = place == Place::New
                    && name
                        .to_str()
                        .is_some_and(|name| facts::decode(name).is_some());
                let Ok(found) = entry.metadata() else {
                    continue;
                };
                match id {
                    // A report on the disk behind a deputy takes no room, and stays.
                    Some(id) if self.shows(place, &id) => {}
                    Some(id) if found.is_file() => {
                        keep_private(&entry.path(), found.mode());
                        entries.push(StoredReport {
                            user: users.get(&id).copied(),
                            id,
                            place,
                            bytes: found.blocks() * 512,
                        });
                    }
                    None if is_name && found.is_file() => {}
                    // A failure harms nobody here.
                    _ => put_aside += usize::from(self.put_aside(&entry.path()).is_ok()),
                }
            }
        }
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((entries, put_aside))
    }

    /// Returns the reports of which something is kept in `state/`.
    fn states(&self) -> io::Result<Vec<ReportId>> {
        Ok(list(&self.dir.join("state"))?
            .iter()
            .filter_map(|name| ReportId::parse(name).ok())
            .collect())
    }

    /// Removes what is kept of reports that are gone. `states` were listed before the reports were.
    /// A deputy keeps it: their disk may be unmounted.
    fn remove_states<'i>(
        &self,
        states: &[ReportId],
        kept: impl Iterator<Item = &'i ReportId>,
    ) -> io::Result<()> {
        if self.is_deputy() {
            return Ok(());
        }
        let kept: HashSet<&ReportId> = kept.collect();
        for id in states.iter().filter(|id| !kept.contains(id)) {
            if self.find(id).is_none() {
                unless_gone(fs::remove_dir_all(self.state(id)))?;
            }
        }
        Ok(())
    }
}

/// Takes from others the right to read this.
fn keep_private(path: &Path, mode: u32) {
    if mode & 0o077 != 0 {
        // No other user can have put a link there: the directory is ours.
        let _ = fs::set_permissions(path, Permissions::from_mode(0o600));
    }
}
