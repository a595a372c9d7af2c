//! The deputy: a spool in memory that stands in while the spool's disk is read-only, as after
//! `errors=remount-ro`. People are told from there of the reports that hooks keep in memory, and of
//! those that wait on the disk.
//!
//! It begins with a copy of all that the spool remembers, so that nobody is told anything twice.
//! The reports on the disk are not copied: the deputy looks through to them. Where one of them has
//! moved on, an empty file of its name says so in the deputy's `done/` or `dead/`.
//!
//! While there is a deputy, it holds the truth, and every deliverer works with it, whatever the
//! disk is by then. The first that finds the disk writable, and no other at work, brings everything
//! back. All steps of that can be taken again, and the last one is to rename the deputy. So a
//! process that is killed meanwhile leaves the deputy in its office, and the next one begins anew.
//!
//! The machine's end is the deputy's too, as it is for all that is in memory.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat, statvfs};

use super::commit::{commit, sync_dir};
use super::read::MAX_ENTRY;
use super::room::unless_gone;
use super::{Place, Spool, list};
use crate::draft;
use crate::host::open_regular_in_ours;
use crate::report::ReportId;

/// Parts of `state/` that are about no single report.
const REMEMBERED: [&str; 6] = [
    "groups", "outages", "expected", "jobs", "jobs-of", "dropped",
];
/// Maximum number of bytes of memory that a copy of it takes.
const MOST_REMEMBERED: u64 = 16 * 1024 * 1024;
/// The copy leaves this many times as much of the memory to others.
const AMPLE: u64 = 4;
/// Bytes that the smallest file takes.
const BLOCK: u64 = 4096;

/// Maximum number of reports on the disk that a deputy tells of. It keeps for each what was done.
pub(super) const MOST_SHOWN: usize = 1000;

/// The spool that is to be worked with. As long as this value lives, no other process changes over
/// to a deputy or back.
pub struct InUse {
    pub spool: Spool,
    /// Fault that kept this process from changing over.
    pub trouble: Option<io::Error>,
    _lock: Option<File>,
}

impl Spool {
    /// Returns this spool's deputy in the run directory if there is one, else this spool: the one
    /// that holds the truth.
    #[must_use]
    pub fn in_use(&self, run: &Path) -> Self {
        let deputy = self.deputy(run);
        if deputy.dir.is_dir() {
            deputy
        } else {
            self.clone()
        }
    }

    /// Returns the spool to work with. Changes over where the disk has become read-only, or
    /// writable again. `is_suspect` tells that something has not got onto the disk.
    ///
    /// Returns `None` while other processes keep this one from changing over: one of them is doing
    /// so, or they are still at work on a disk that has become read-only.
    pub fn hold(&self, run: &Path, is_suspect: bool) -> io::Result<Option<InUse>> {
        let deputy = self.deputy(run);
        let is_there = || deputy.dir.is_dir();
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).mode(0o600);
        // Without a run directory there is no deputy either.
        let lock = options.truncate(false).open(run.join("deputy.lock")).ok();
        let Some(lock) = lock else {
            let spool = self.clone();
            return Ok(Some(InUse {
                spool,
                trouble: None,
                _lock: None,
            }));
        };
        let mut trouble = None;
        if is_there() != self.is_read_only(is_suspect || is_there()) {
            match lock.try_lock() {
                Ok(()) if is_there() => trouble = self.bring_back(&deputy, run).err(),
                Ok(()) => trouble = self.appoint(&deputy, run).err(),
                Err(TryLockError::WouldBlock) if is_there() => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(why)) => return Err(why),
            }
        }
        match lock.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(why)) => return Err(why),
        }
        Ok(Some(InUse {
            spool: self.in_use(run),
            trouble,
            _lock: Some(lock),
        }))
    }

    /// Returns true if this spool is on a disk that is read-only.
    pub fn is_on_read_only_disk(&self) -> bool {
        statvfs(&self.dir).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// Returns true if this spool is a deputy.
    pub fn is_deputy(&self) -> bool {
        self.disk.is_some()
    }

    /// Returns how many reports a deputy has that are not on the disk.
    pub fn only_in_memory(&self) -> usize {
        if !self.is_deputy() {
            return 0;
        }
        let places = [Place::New, Place::Done, Place::Dead];
        let ids = places.map(|place| self.own_ids(place).unwrap_or_default());
        ids.iter().flatten().filter(|id| !self.shows(id)).count()
    }

    /// Returns true if this is a deputy and the report is on the disk.
    pub(super) fn shows(&self, id: &ReportId) -> bool {
        let disk = self.disk.as_ref();
        disk.is_some_and(|disk| disk.find(id).is_some())
    }

    /// Marks a report that the disk has in `new/` as one that is in `place`.
    pub(super) fn mark_moved(&self, id: &ReportId, place: Place) -> io::Result<()> {
        draft::begin(&self.path(place, id)).map(drop)
    }

    /// Returns the file that holds a report: a deputy's own, unless that is a mark or is missing.
    pub(super) fn file(&self, place: Place, id: &ReportId) -> PathBuf {
        let own = self.path(place, id);
        let is_whole = || fs::symlink_metadata(&own).is_ok_and(|found| found.len() > 0);
        match &self.disk {
            Some(disk) if !is_whole() => {
                disk.find(id).map_or(own, |on_disk| disk.path(on_disk, id))
            }
            _ => own,
        }
    }

    fn deputy(&self, run: &Path) -> Self {
        Self {
            dir: run.join("deputy"),
            disk: Some(Box::new(self.clone())),
        }
    }

    /// Returns true if the disk takes no new file. Some file systems only say so if they are asked
    /// for one, which is done where something `is_suspect`.
    fn is_read_only(&self, is_suspect: bool) -> bool {
        let is_missing = || fs::symlink_metadata(&self.dir).is_err();
        let takes_no_file = || {
            // A file without a name leaves nothing behind.
            let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
            let probe = || openat(CWD, self.dir.join("tmp"), flags, Mode::RUSR);
            let probed = self.create().and_then(|()| Ok(probe()?));
            matches!(probed, Err(why) if why.kind() == ErrorKind::ReadOnlyFilesystem)
        };
        self.is_on_read_only_disk() || ((is_suspect || is_missing()) && takes_no_file())
    }

    /// Puts a deputy into its office.
    fn appoint(&self, deputy: &Self, run: &Path) -> io::Result<()> {
        let draft = Self::new(run.join("deputy.draft"));
        unless_gone(fs::remove_dir_all(&draft.dir))?;
        draft.create()?;
        let memory = statvfs(&draft.dir)?;
        let free = memory.f_bavail.saturating_mul(memory.f_frsize);
        let mut room = MOST_REMEMBERED.min(free / AMPLE);
        for name in REMEMBERED {
            let (from, to) = (self.remembered(name), draft.remembered(name));
            copy(&from, &to, &mut room)?;
        }
        fs::rename(&draft.dir, &deputy.dir)
    }

    /// Puts everything that a deputy has onto the disk, and ends its office.
    fn bring_back(&self, deputy: &Self, run: &Path) -> io::Result<()> {
        self.create()?;
        for name in REMEMBERED {
            self.put_back(&deputy.remembered(name), &self.remembered(name))?;
            forget_others(&deputy.remembered(name), &self.remembered(name))?;
        }
        // The word on what was done with a report comes before the report.
        for name in list(&deputy.dir.join("state"))? {
            if ReportId::parse(&name).is_ok() || name.starts_with("user-") {
                self.put_back(&deputy.remembered(&name), &self.remembered(&name))?;
            }
        }
        for place in [Place::New, Place::Done, Place::Dead] {
            for id in deputy.own_ids(place)? {
                self.bring_back_report(deputy, place, &id)?;
            }
        }
        self.put_back(&deputy.corrupt_dir(), &self.corrupt_dir())?;
        let old = run.join("deputy.old");
        unless_gone(fs::remove_dir_all(&old))?;
        fs::rename(&deputy.dir, &old)?;
        fs::remove_dir_all(&old)
    }

    fn bring_back_report(&self, deputy: &Self, place: Place, id: &ReportId) -> io::Result<()> {
        let own = deputy.path(place, id);
        if fs::symlink_metadata(&own)?.len() == 0 {
            return self.finish(std::slice::from_ref(id), place);
        }
        self.put_back(&own, &self.path(place, id))?;
        if place != Place::New {
            unless_gone(fs::remove_file(self.path(Place::New, id)))?;
        }
        Ok(())
    }

    /// Puts a file, or all files of a directory, onto the disk, where that does not hold the same.
    fn put_back(&self, from: &Path, to: &Path) -> io::Result<()> {
        if is_dir(from) {
            DirBuilder::new().recursive(true).mode(0o700).create(to)?;
            for name in names(from)? {
                self.put_back(&from.join(&name), &to.join(&name))?;
            }
            return Ok(());
        }
        let Some(bytes) = read(from)? else {
            return Ok(());
        };
        let (Some(dir), Some(name)) = (to.parent(), to.file_name().and_then(|it| it.to_str()))
        else {
            return Ok(());
        };
        if read(to).ok().flatten().as_ref() == Some(&bytes) {
            return Ok(());
        }
        commit(&self.dir.join("tmp/.brought-back"), dir, name, &bytes)
    }

    fn remembered(&self, name: &str) -> PathBuf {
        self.dir.join("state").join(name)
    }
}

/// Removes the files of a directory that the other one does not have.
fn forget_others(from: &Path, to: &Path) -> io::Result<()> {
    if !is_dir(to) {
        return Ok(());
    }
    for name in names(to)? {
        let (its, ours) = (from.join(&name), to.join(&name));
        if is_dir(&ours) {
            forget_others(&its, &ours)?;
        } else if fs::symlink_metadata(&its).is_err() {
            unless_gone(fs::remove_file(&ours))?;
        }
    }
    sync_dir(to)
}

/// Copies a file, or a directory with all files in it. It leaves out what a failing disk does not
/// give out: a message too many is better than none.
fn copy(from: &Path, to: &Path, room: &mut u64) -> io::Result<()> {
    if is_dir(from) {
        take(room, 0)?;
        DirBuilder::new().mode(0o700).create(to)?;
        for name in names(from).unwrap_or_default() {
            copy(&from.join(&name), &to.join(&name), room)?;
        }
        return Ok(());
    }
    let Ok(Some(bytes)) = read(from) else {
        return Ok(());
    };
    take(room, bytes.len() as u64)?;
    draft::begin(to)?.write_all(&bytes)
}

fn take(room: &mut u64, bytes: u64) -> io::Result<()> {
    let left = room.checked_sub(bytes.next_multiple_of(BLOCK).max(BLOCK));
    *room = left.ok_or_else(|| {
        io::Error::other("the spool remembers more than there is room for in memory")
    })?;
    Ok(())
}

/// Reads a file; `None` if there is none, or something else.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match open_regular_in_ours(path) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(MAX_ENTRY).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::Other) => Ok(None),
        Err(why) => Err(why),
    }
}

/// Returns the names in a directory, without those of drafts.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = list(dir)?;
    names.retain(|name| !name.starts_with('.'));
    Ok(names)
}

fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, SinkKey, sample};
    use crate::spool::{Kept, Ledger};

    fn report(number: u64) -> Report {
        let report = sample();
        let id = ReportId::new(report.id.time(), number);
        Report { id, ..report }
    }

    #[test]
    fn a_deputy_shows_what_the_disk_has_and_what_it_did_is_on_the_disk_afterwards() {
        let (dir, spool) = crate::spool::empty();
        let deputy = spool.deputy(dir.path());
        let [told, waits, new] = [1, 2, 3].map(report);
        spool.put(&told).unwrap();
        spool.put(&waits).unwrap();
        spool.keep(Kept::Outage, "web", Some(&1)).unwrap();
        spool.keep(Kept::Outage, "db", Some(&1)).unwrap();
        spool.appoint(&deputy, dir.path()).unwrap();

        deputy.put(&new).unwrap();
        let sink = SinkKey::Machine("mail".into());
        let ledger = Ledger::summarised(new.id.clone());
        for id in [&told.id, &waits.id] {
            deputy.write_ledger(id, &sink, &ledger).unwrap();
        }
        deputy.keep(Kept::Outage, "web", Some(&2)).unwrap();
        deputy.keep(Kept::Outage, "db", None::<&u8>).unwrap();
        let moved = std::slice::from_ref(&told.id);
        deputy.finish(moved, Place::Done).unwrap();
        let check = |spool: &Spool| {
            let places = [Place::New, Place::Done].map(|place| spool.ids(place).unwrap());
            let ids = [&waits, &new, &told].map(|report| report.id.clone());
            assert_eq!(places.concat(), ids);
            assert_eq!(spool.read(Place::Done, &told.id).unwrap(), told);
            assert_eq!(spool.ledger(&waits.id, &sink).unwrap(), ledger);
            let kept: Vec<(String, u8)> = spool.kept(Kept::Outage).unwrap();
            assert_eq!(kept, [("web".to_owned(), 2)]);
        };
        check(&deputy);
        assert_eq!(deputy.only_in_memory(), 1);
        assert_eq!(spool.ids(Place::New).unwrap().len(), 2);

        spool.bring_back(&deputy, dir.path()).unwrap();
        check(&spool);
        assert!(!spool.in_use(dir.path()).is_deputy());
    }

    #[test]
    fn what_is_on_the_disk_is_never_what_a_full_deputy_drops() {
        let (dir, spool) = crate::spool::empty();
        let deputy = spool.deputy(dir.path());
        spool.put(&report(1)).unwrap();
        spool.appoint(&deputy, dir.path()).unwrap();
        deputy.put(&report(2)).unwrap();
        let both = [report(1).id, report(2).id];
        deputy.finish(&both, Place::Done).unwrap();
        let (entries, _) = deputy.entries().unwrap();
        let ids: Vec<_> = entries.into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids, both[1..]);
    }

    #[test]
    fn a_spool_that_remembers_too_much_gets_no_deputy() {
        let (dir, spool) = crate::spool::empty();
        let sink = SinkKey::Machine("mail".into());
        let much = "x".repeat(usize::try_from(MOST_REMEMBERED).unwrap());
        spool.write_group(&sink, "web", &much).unwrap();
        let deputy = spool.deputy(dir.path());
        let why = spool.appoint(&deputy, dir.path()).unwrap_err();
        assert!(why.to_string().contains("more than there is room"), "{why}");
        assert!(!spool.in_use(dir.path()).is_deputy());
    }
}
