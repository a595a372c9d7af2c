//! Tidying up: the spool stays within its bounds, whatever happened to it. What waits to be sent goes last, and never
//! unnoticed.
//!
//! | bound | |
//! |---|---|
//! | age of what is delivered, or a dead letter | 30 days |
//! | entries | 10,000 |
//! | what they take on the disk | 256 MiB |
//! | what is kept free of the disk | 5 % |
//!
//! Which go first, [`super::history`] says. Reports that go undelivered are counted in `state/dropped` before they go,
//! with their ids: killed at any point, each is counted once.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::statvfs;
use serde::{Deserialize, Serialize};

use super::commit::{commit, sync_dir};
use super::history::{self, Entry, Excess};
use super::read::read_state;
use super::{Place, Spool, facts, list};
use crate::clock::Now;
use crate::report::{ReportId, Timestamp};

const MAX_AGE: Duration = Duration::from_hours(30 * 24);
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// How much of the disk is kept free, in per cent.
const FREE: u64 = 5;
/// How often it is done.
const PAUSE: Duration = Duration::from_mins(1);
/// How many go at once: so many ids are kept in `state/dropped`.
const BATCH: usize = 1000;

/// What was done.
#[derive(Debug, Default, PartialEq)]
pub struct Tidied {
    /// Reports from `tmp/` that were whole, and are in `new/` now.
    pub recovered: Vec<ReportId>,
    /// How many files were no reports, and are in `corrupt/` now.
    pub put_aside: usize,
    /// How many delivered reports went.
    pub delivered: usize,
    /// How many undelivered ones.
    pub undelivered: usize,
}

impl Tidied {
    /// What people may want to know of it.
    pub fn lines(&self) -> Vec<String> {
        let recovered = self.recovered.iter().map(|id| format!("{id} was found whole in tmp/ and is sent now"));
        let counts = [
            (self.put_aside, "files were no reports, and are in corrupt/ now"),
            (self.delivered, "delivered reports were old, or too many, and are removed"),
            (self.undelivered, "undelivered reports were too many, and are removed"),
        ];
        let counted = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        recovered.chain(counted).collect()
    }
}

/// The undelivered reports that had to go and of which nobody was told yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    pub count: u64,
    /// The newest of them.
    pub last: Option<ReportId>,
    /// Those that were about to go when this was written; they are counted.
    going: Vec<ReportId>,
}

impl Spool {
    /// Tidies up, where that was not done within the last minute and nobody else is at it.
    pub fn tidy(&self, now: Now) -> io::Result<Tidied> {
        let mark = self.dir.join("state/tidied");
        let last = fs::symlink_metadata(&mark).and_then(|found| found.modified());
        if last.is_ok_and(|last| now.wall.time().duration_since(last).is_ok_and(|age| age < PAUSE)) {
            return Ok(Tidied::default());
        }
        // No sink's key holds two NULs.
        let Some(_lock) = self.lock("\0\0tidy", now.monotonic)? else { return Ok(Tidied::default()) };
        // What has been delivered goes before anything is written: the disk may be full.
        let states = self.states()?;
        let (entries, put_aside) = self.entries()?;
        let (old, kept): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| is_old(entry, now.wall));
        let goes = history::choose(&kept, self.excess(&kept)?, |entry| self.group_of(entry));
        self.remove(old.iter().chain(&goes.delivered).map(|entry| &entry.id))?;
        self.drop_the_rest_of_a_batch()?;
        for batch in goes.undelivered.chunks(BATCH) {
            let mut dropped = self.dropped()?;
            dropped.count += batch.len() as u64;
            dropped.going = batch.iter().map(|entry| entry.id.clone()).collect();
            dropped.last = dropped.going.iter().max().max(dropped.last.as_ref()).cloned();
            self.write_dropped(&dropped)?;
            self.drop_the_rest_of_a_batch()?;
        }
        self.remove_states(&states, kept.iter().map(|entry| &entry.id))?;
        if let Some(age) = now.wall.time().checked_sub(MAX_AGE) {
            self.remove_old_locks(age)?;
        }
        let recovered = self.recover(now.wall)?;
        fs::write(&mark, "")?;
        let (delivered, undelivered) = (old.len() + goes.delivered.len(), goes.undelivered.len());
        Ok(Tidied { recovered, put_aside, delivered, undelivered })
    }

    /// The undelivered reports that had to go and of which nobody was told yet.
    pub fn dropped(&self) -> io::Result<Dropped> {
        match read_state(&self.dir.join("state/dropped")) {
            // It is counted anew from here; a wrong number is no reason to keep nothing in bounds.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Dropped::default()),
            other => Ok(other?.unwrap_or_default()),
        }
    }

    /// Forgets the count, as people were told.
    pub fn told_of_dropped(&self) -> io::Result<()> {
        self.write_dropped(&Dropped::default())
    }

    fn write_dropped(&self, dropped: &Dropped) -> io::Result<()> {
        let dir = self.dir.join("state");
        commit(&self.dir.join("tmp/dropped"), &dir, "dropped", &serde_json::to_vec(dropped)?)
    }

    fn drop_the_rest_of_a_batch(&self) -> io::Result<()> {
        let mut dropped = self.dropped()?;
        if dropped.going.is_empty() {
            return Ok(());
        }
        self.remove(dropped.going.iter())?;
        dropped.going.clear();
        self.write_dropped(&dropped)
    }

    /// All entries, oldest first. What is no entry is put aside; returns how many that were, too.
    fn entries(&self) -> io::Result<(Vec<Entry>, usize)> {
        let mut entries = Vec::new();
        let mut put_aside = 0;
        for place in [Place::New, Place::Done, Place::Dead] {
            for entry in fs::read_dir(self.dir.join(place.name()))? {
                let entry = entry?;
                let name = entry.file_name();
                let id = name.to_str().and_then(|name| ReportId::parse(name).ok());
                let is_name = place == Place::New && name.to_str().is_some_and(|name| facts::decode(name).is_some());
                let Ok(found) = entry.metadata() else { continue };
                match id {
                    Some(id) if found.is_file() => {
                        keep_private(&entry.path(), found.mode());
                        entries.push(Entry { id, place, bytes: found.blocks() * 512 });
                    }
                    None if is_name && found.is_file() => {}
                    // Where that cannot be done, it harms nobody there.
                    _ => put_aside += usize::from(self.put_aside(&entry.path()).is_ok()),
                }
            }
        }
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((entries, put_aside))
    }

    fn excess(&self, entries: &[Entry]) -> io::Result<Excess> {
        let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let disk = statvfs(&self.dir)?;
        let (free, whole) = (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
        Ok(Excess {
            entries: entries.len().saturating_sub(MAX_ENTRIES),
            bytes: bytes.saturating_sub(MAX_BYTES),
            disk: (whole / 100 * FREE).saturating_sub(free),
        })
    }

    /// Which crashes are the same: the job's, by their fingerprint.
    fn group_of(&self, entry: &Entry) -> Option<String> {
        let report = self.read(entry.place, &entry.id).ok()?;
        (report.kind == crate::report::Kind::Crash).then(|| format!("{}\0{}", report.stop.job, report.fingerprint))
    }

    /// Removes reports, wherever they are by now, and all that is kept of them.
    pub(super) fn remove<'i>(&self, ids: impl Iterator<Item = &'i ReportId>) -> io::Result<()> {
        let mut any = false;
        for id in ids {
            any = true;
            for place in [Place::New, Place::Done, Place::Dead] {
                unless_gone(fs::remove_file(self.path(place, id)))?;
            }
            unless_gone(fs::remove_dir_all(self.state(id)))?;
        }
        if any {
            for place in [Place::New, Place::Done, Place::Dead] {
                sync_dir(&self.dir.join(place.name()))?;
            }
        }
        Ok(())
    }

    /// The reports of which something is kept in `state/`.
    fn states(&self) -> io::Result<Vec<ReportId>> {
        Ok(list(&self.dir.join("state"))?.iter().filter_map(|name| ReportId::parse(name).ok()).collect())
    }

    /// Removes what is kept of reports that are gone; `states` were listed before the reports were.
    fn remove_states<'i>(&self, states: &[ReportId], kept: impl Iterator<Item = &'i ReportId>) -> io::Result<()> {
        let kept: HashSet<&ReportId> = kept.collect();
        for id in states.iter().filter(|id| !kept.contains(id)) {
            if self.find(id).is_none() {
                unless_gone(fs::remove_dir_all(self.state(id)))?;
            }
        }
        Ok(())
    }
}

/// Whether a report has been in the history for long enough. What waits is never too old: its sinks' ledgers end that.
fn is_old(entry: &Entry, now: Timestamp) -> bool {
    entry.place != Place::New && now.since(entry.id.time()) > MAX_AGE
}

/// Takes from others the right to read this.
fn keep_private(path: &Path, mode: u32) {
    if mode & 0o077 != 0 {
        // Nobody but us can have put a link there: the directory is ours.
        let _ = fs::set_permissions(path, Permissions::from_mode(0o600));
    }
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
