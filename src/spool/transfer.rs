//! Copies to a deputy what the spool remembers, and brings everything back to the disk.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use super::commit::{commit, sync_dir};
use super::read::MAX_ENTRY;
use super::room::unless_gone;
use super::{Place, Spool, list};
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

impl Spool {
    /// Puts a deputy into its office.
    pub(super) fn appoint(&self, deputy: &Self, run: &Path) -> io::Result<()> {
        let draft = Self::new(draft(run));
        draft.create()?;
        self.note_identity(&draft)?;
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
    pub(super) fn bring_back(&self, deputy: &Self, run: &Path) -> io::Result<()> {
        self.create()?;
        for name in REMEMBERED {
            let (from, to) = (deputy.remembered(name), self.remembered(name));
            self.put_back(&from, &to)?;
            if is_dir(&from) {
                forget_others(&from, &to)?;
            }
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
        for name in names(&deputy.corrupt_dir())? {
            let id = ReportId::parse(&name).ok();
            match id.and_then(|id| Some(self.path(self.find(&id)?, &id))) {
                Some(damaged) => drop(self.put_aside(&damaged)?),
                None => self.put_back(
                    &deputy.corrupt_dir().join(&name),
                    &self.corrupt_dir().join(&name),
                )?,
            }
        }
        let old = old(run);
        fs::rename(&deputy.dir, &old)?;
        fs::remove_dir_all(&old)
    }

    fn bring_back_report(&self, deputy: &Self, place: Place, id: &ReportId) -> io::Result<()> {
        let own = deputy.path(place, id);
        if is_mark(&own) {
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
    crate::draft::begin(to)?.write_all(&bytes)
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

/// Returns true if a deputy has this file only to say that the disk's has moved.
pub(super) fn is_mark(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0)
}

/// Returns where a deputy comes into being.
pub(super) fn draft(run: &Path) -> PathBuf {
    run.join("deputy.draft")
}

/// Returns where a deputy goes that has brought everything back.
pub(super) fn old(run: &Path) -> PathBuf {
    run.join("deputy.old")
}

/// Returns true if this is a directory, and no link to one.
pub(super) fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Removes whatever is here.
pub(super) fn clear(path: &Path) -> io::Result<()> {
    unless_gone(if is_dir(path) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    })
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
