//! Keeps the spool within its bounds. Reports that wait to be sent go last, and never unnoticed.
//!
//! | bound | |
//! |---|---|
//! | age of what is delivered, or a dead letter | 30 days; at most one goes a minute |
//! | entries | 10,000 |
//! | what they and `state/groups` take on the disk | 256 MiB |
//! | what is kept free of the disk | 5 % |
//!
//! Nothing tells a clock that leaps ahead from time that has passed. So at most one report goes by
//! age a minute, and whoever sets the clock right soon finds most of the history there. That keeps
//! up with any spool: of 10,000 reports in 30 days, one grows old in four minutes.
//!
//! A deputy, which is in memory, holds a tenth and a sixteenth of it. Nothing of it goes for others
//! that fill the memory: its ballast is for that.
//!
//! [`super::history`] decides which go first. Undelivered reports that go are counted in
//! `state/dropped` before they go, with their ids: killed at any point, each is counted once.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::fs::statvfs;
use serde::{Deserialize, Serialize};

use super::commit::{commit, sync_dir};
use super::history::{self, Excess, StoredReport};
use super::read::read_state;
use super::{Place, Spool, lock};
use crate::report::{Kind, ReportId, Timestamp};

const MAX_AGE: Duration = Duration::from_hours(30 * 24);
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// How much of the disk is kept free, in per cent.
const FREE: u64 = 5;
/// Maximum number of reports that go at once: `state/dropped` keeps this many ids.
const BATCH: usize = 1000;

/// The undelivered reports that were removed and of which nobody was told yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    pub count: u64,
    /// The newest of them.
    pub last: Option<ReportId>,
    /// Those that were about to go when this was written. They are counted.
    going: Vec<ReportId>,
}

impl Spool {
    /// Removes what has been in the history for too long, then as much of the delivered reports as
    /// has to go. Nothing is written for it: the disk may be full. Returns how many went, and what
    /// then still has to go.
    pub(super) fn remove_delivered(
        &self,
        entries: &[StoredReport],
        now: Timestamp,
    ) -> io::Result<(usize, Excess)> {
        let mut kept = entries.to_vec();
        let oldest = kept.iter().position(|entry| is_old(entry, now));
        let old = oldest.map(|at| kept.remove(at));
        let (goes, excess) = history::delivered(&kept, self.excess(&kept)?);
        let goes: Vec<_> = old.iter().chain(goes).collect();
        self.remove(goes.iter().map(|entry| &entry.id))?;
        Ok((goes.len(), excess))
    }

    /// Removes reports that have to go although they are not delivered to everyone. The caller has
    /// delivered, or counted in a summary, what can be. Returns how many went.
    pub fn make_room(&self, monotonic: Duration) -> io::Result<usize> {
        let Some(_lock) = self.lock(lock::TIDY, monotonic)? else {
            return Ok(0);
        };
        self.drop_the_rest_of_a_batch()?;
        let (entries, _) = self.entries()?;
        let (delivered, excess) = history::delivered(&entries, self.excess(&entries)?);
        self.remove(delivered.iter().map(|entry| &entry.id))?;
        if excess.is_gone() {
            return Ok(0);
        }
        let goes = history::undelivered(&entries, excess, |entry| self.group_of(entry));
        for batch in goes.chunks(BATCH) {
            let mut dropped = self.dropped()?;
            dropped.count += batch.len() as u64;
            dropped.going = batch.iter().map(|entry| entry.id.clone()).collect();
            dropped.last = dropped
                .going
                .iter()
                .max()
                .max(dropped.last.as_ref())
                .cloned();
            self.write_dropped(&dropped)?;
            self.drop_the_rest_of_a_batch()?;
        }
        Ok(goes.len())
    }

    /// Returns the undelivered reports that were removed and of which nobody was told yet.
    pub fn dropped(&self) -> io::Result<Dropped> {
        match read_state(&self.dir.join("state/dropped")) {
            // It is counted anew from here. A wrong number is no reason to exceed the bounds.
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
        commit(
            &self.dir.join("tmp/dropped"),
            &dir,
            "dropped",
            &serde_json::to_vec(dropped)?,
        )
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

    fn excess(&self, entries: &[StoredReport]) -> io::Result<Excess> {
        let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let bytes = bytes.saturating_add(self.bytes_of_groups());
        let (most, most_bytes) = if self.is_deputy() {
            (MAX_ENTRIES / 10, MAX_BYTES / 16)
        } else {
            (MAX_ENTRIES, MAX_BYTES)
        };
        let disk = statvfs(&self.dir)?;
        let share = if self.is_deputy() { 0 } else { FREE };
        let (free, whole) = (
            disk.f_bavail.saturating_mul(disk.f_frsize),
            disk.f_blocks.saturating_mul(disk.f_frsize),
        );
        Ok(Excess {
            entries: entries.len().saturating_sub(most),
            bytes: bytes.saturating_sub(most_bytes),
            disk: (whole / 100 * share).saturating_sub(free),
        })
    }

    /// Returns which crashes are the same: those of one job with one fingerprint, by the same
    /// user's word.
    fn group_of(&self, entry: &StoredReport) -> Option<String> {
        let report = self.read(entry.place, &entry.id).ok()?;
        let (job, cause) = (&report.stop.job, &report.fingerprint);
        (report.kind == Kind::Crash).then(|| format!("{job}\0{cause}\0{:?}", report.user))
    }

    /// Removes reports, wherever they are by now, and everything that is kept of them.
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
}

/// Returns true if a report has been in the history for long enough. A report that waits is never
/// too old: its sinks' ledgers decide that.
fn is_old(entry: &StoredReport, now: Timestamp) -> bool {
    entry.place != Place::New && now.since(entry.id.time()) > MAX_AGE
}

pub(super) fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_AGE, MAX_BYTES, StoredReport};
    use crate::report::{Report, ReportId, SinkKey, Timestamp, sample};
    use crate::spool::{Place, empty};

    #[test]
    fn a_clock_that_leaps_ahead_costs_one_report_a_round_and_the_oldest_one() {
        let (_dir, spool) = empty();
        let at = sample().id.time();
        let ids = [1, 2, 3].map(|number| ReportId::new(at, number));
        for id in ids.clone() {
            spool.put(&Report { id, ..sample() }).unwrap();
        }
        spool.finish(&ids, Place::Done).unwrap();
        let (entries, _) = spool.entries().unwrap();
        let leapt = Timestamp::new(at.time() + 2 * MAX_AGE);
        assert_eq!(spool.remove_delivered(&entries, leapt).unwrap().0, 1);
        assert_eq!(spool.ids(Place::Done).unwrap(), ids[1..]);
        let (entries, _) = spool.entries().unwrap();
        assert_eq!(spool.remove_delivered(&entries, at).unwrap().0, 0);
    }

    #[test]
    fn what_sinks_were_told_counts_towards_the_bound() {
        let (_dir, spool) = empty();
        let full = [StoredReport {
            id: sample().id,
            place: Place::Done,
            user: None,
            bytes: MAX_BYTES,
        }];
        assert_eq!(spool.excess(&full).unwrap().bytes, 0);
        let sink = SinkKey::Machine("one".to_owned());
        spool
            .write_group(&sink, "web", &"x".repeat(100_000))
            .unwrap();
        assert!(spool.excess(&full).unwrap().bytes >= 100_000);
    }
}
