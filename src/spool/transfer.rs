//! Copies to a deputy what the spool remembers, and brings everything back to the disk.
//!
//! The copy leaves out files that cannot be read, and those that there is no room for: a
//! message too many is better than none. The deputy notes what it has got a copy of. Only that goes
//! from the disk if the deputy has forgotten it by the end of its office.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use rustix::io::Errno;

use super::commit::{commit, sync_dir};
use super::read::MAX_ENTRY;
use super::room::unless_gone;
use super::{Place, Spool, list};
use crate::host::open_regular_in_ours;
use crate::report::ReportId;

/// Directories of `state/` that are about no single report, the most important ones first.
const REMEMBERED: [&str; 6] = ["groups", "outages", "expected", "jobs", "jobs-of", "drills"];
/// A file of `state/` that is about no single report.
const DROPPED: &str = "dropped";
/// File of a deputy that names what it has got copies of, by their places in `state/`: a line each.
pub(super) const COPIED: &str = "copied";
/// Maximum number of bytes of memory that a copy of it takes.
const MOST_REMEMBERED: u64 = 16 * 1024 * 1024;
/// The copy leaves this many times as much of the memory to others.
const AMPLE: u64 = 4;
/// Bytes that the smallest file takes.
const BLOCK: u64 = 4096;

impl Spool {
    /// Puts a deputy into its office. `lives` shows that this process is at work, or fails where
    /// another one has taken its place.
    pub(super) fn appoint(&self, deputy: &Self, run: &Path, lives: &Lives) -> io::Result<()> {
        let draft = Self {
            dir: draft(run),
            ..deputy.clone()
        };
        draft.create()?;
        self.note_identity(&draft)?;
        let memory = statvfs(&draft.dir)?;
        let free = memory.f_bavail.saturating_mul(memory.f_frsize);
        let mut copy = Copy {
            from: self.dir.join("state"),
            to: draft.dir.join("state"),
            room: MOST_REMEMBERED.min(free / AMPLE),
            copied: String::new(),
            lives,
        };
        for name in REMEMBERED.iter().chain([&DROPPED]) {
            copy.copy(Path::new(name))?;
        }
        fs::write(draft.dir.join(COPIED), copy.copied)?;
        lives()?;
        fs::rename(&draft.dir, &deputy.dir)
    }

    /// Puts everything that a deputy has onto the disk, and ends its office.
    pub(super) fn bring_back(&self, deputy: &Self, run: &Path, lives: &Lives) -> io::Result<()> {
        self.create()?;
        // The disk remembers more than a process that went on after the deputy's end.
        if deputy.is_appointed() {
            for name in REMEMBERED.iter().chain([&DROPPED]) {
                self.put_back(&deputy.remembered(name), &self.remembered(name), lives)?;
            }
            self.forget(deputy, lives)?;
        }
        // The word on what was done with a report comes before the report.
        for name in list(&deputy.dir.join("state"))? {
            if ReportId::parse(&name).is_ok() || name.starts_with("user-") {
                self.put_back(&deputy.remembered(&name), &self.remembered(&name), lives)?;
            }
        }
        for place in [Place::New, Place::Done, Place::Dead] {
            for id in deputy.own_ids(place)? {
                self.bring_back_report(deputy, place, &id, lives)?;
            }
        }
        for name in names(&deputy.corrupt_dir())? {
            lives()?;
            let aside = self.corrupt_dir().join(&name);
            let id = ReportId::parse(&name).ok();
            match id.and_then(|id| Some(self.path(self.find(&id)?, &id))) {
                Some(damaged) => drop(self.put_aside(&damaged)?),
                // A process that was killed may have moved it.
                None if aside.symlink_metadata().is_ok() => {}
                None => self.put_back(&deputy.corrupt_dir().join(&name), &aside, lives)?,
            }
        }
        // All of it is lost if the disk has failed meanwhile.
        self.still_takes_files()?;
        lives()?;
        let old = old(run);
        fs::rename(&deputy.dir, &old)?;
        // If this process was stopped before that, it was another deputy.
        if let Err(why) = lives() {
            fs::rename(&old, &deputy.dir)?;
            return Err(why);
        }
        fs::remove_dir_all(&old)
    }

    /// Removes the files from the disk of which the deputy had a copy, and has none any more.
    fn forget(&self, deputy: &Self, lives: &Lives) -> io::Result<()> {
        let copied = read(&deputy.dir.join(COPIED))?.unwrap_or_default();
        let mut changed = BTreeSet::new();
        for name in str::from_utf8(&copied).unwrap_or_default().lines() {
            let ours = self.remembered(name);
            if deputy.remembered(name).symlink_metadata().is_err() && is_file(&ours) {
                lives()?;
                unless_gone(fs::remove_file(&ours))?;
                changed.extend(ours.parent().map(Path::to_owned));
            }
        }
        changed.iter().try_for_each(|dir| sync_dir(dir))
    }

    fn bring_back_report(
        &self,
        deputy: &Self,
        place: Place,
        id: &ReportId,
        lives: &Lives,
    ) -> io::Result<()> {
        let own = deputy.path(place, id);
        if is_mark(&own) {
            lives()?;
            return self.finish(std::slice::from_ref(id), place);
        }
        self.put_back(&own, &self.path(place, id), lives)?;
        if place != Place::New {
            unless_gone(fs::remove_file(self.path(Place::New, id)))?;
        }
        Ok(())
    }

    /// Puts a file, or all files of a directory, onto the disk, where that does not hold the same.
    ///
    /// Where the disk is full, the ballast is given up for it.
    fn put_back(&self, from: &Path, to: &Path, lives: &Lives) -> io::Result<()> {
        if is_dir(from) {
            self.with_ballast(|| DirBuilder::new().recursive(true).mode(0o700).create(to))?;
            for name in names(from)? {
                self.put_back(&from.join(&name), &to.join(&name), lives)?;
            }
            return Ok(());
        }
        lives()?;
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
        let draft = self.dir.join("tmp/.brought-back");
        self.with_ballast(|| commit(&draft, dir, name, &bytes))
    }

    fn remembered(&self, name: &str) -> PathBuf {
        self.dir.join("state").join(name)
    }

    /// Returns the directories of what is about no single report.
    pub(super) fn remembered_dirs(&self) -> [PathBuf; 6] {
        REMEMBERED.map(|name| self.remembered(name))
    }
}

/// Shows that this process is at work, or fails where another one has taken its place.
type Lives<'a> = dyn Fn() -> io::Result<()> + 'a;

/// A copy that is being made of what is remembered.
struct Copy<'a> {
    from: PathBuf,
    to: PathBuf,
    /// Number of bytes that it may still take.
    room: u64,
    /// The files in it, a line each.
    copied: String,
    lives: &'a Lives<'a>,
}

impl Copy<'_> {
    /// Copies what has this name, a file or a directory with all files in it, unless the disk does
    /// not give it out, or there is no room for it.
    fn copy(&mut self, name: &Path) -> io::Result<()> {
        let (from, to) = (self.from.join(name), self.to.join(name));
        if is_dir(&from) {
            if self.has_room(0) {
                DirBuilder::new().mode(0o700).create(to)?;
                let names = names(&from).unwrap_or_default().into_iter();
                names
                    .map(|it| name.join(it))
                    .try_for_each(|it| self.copy(&it))?;
            }
            return Ok(());
        }
        (self.lives)()?;
        let (Ok(Some(bytes)), Some(line)) = (read(&from), name.to_str()) else {
            return Ok(());
        };
        if self.has_room(bytes.len() as u64) && !line.contains('\n') {
            crate::draft::begin(&to)?.write_all(&bytes)?;
            self.copied += line;
            self.copied.push('\n');
        }
        Ok(())
    }

    /// Takes so many bytes, if there are so many.
    fn has_room(&mut self, bytes: u64) -> bool {
        let left = self
            .room
            .checked_sub(bytes.next_multiple_of(BLOCK).max(BLOCK));
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }
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
        // A socket or a device.
        Err(why) if matches!(Errno::from_io_error(&why), Some(Errno::NXIO | Errno::NODEV)) => {
            Ok(None)
        }
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

/// Returns true if this is a file, and no link to one.
fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
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
    use crate::spool::{ChangeLock, Kept, Ledger, Lock};

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
        spool.appoint(&deputy, dir.path(), &|| Ok(())).unwrap();

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

        spool.bring_back(&deputy, dir.path(), &|| Ok(())).unwrap();
        check(&spool);
        assert!(!spool.in_use(dir.path()).is_deputy());
    }

    #[test]
    fn a_deputy_from_before_the_spools_disk_is_mounted_stands_in_for_whatever_is_mounted_there() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().join("var/spool/lastwords"));
        let deputy = spool.deputy(dir.path());
        spool.appoint(&deputy, dir.path(), &|| Ok(())).unwrap();
        assert!(spool.in_use(dir.path()).is_deputy());
        deputy.put(&report(1)).unwrap();
        let lock = ChangeLock::open(dir.path()).unwrap();
        assert!(spool.change_over(dir.path(), &lock, false).unwrap());
        assert_eq!(spool.ids(Place::New).unwrap(), [report(1).id]);
    }

    #[test]
    fn what_a_process_writes_into_a_deputy_that_has_ended_makes_none() {
        let (dir, spool) = crate::spool::empty();
        let deputy = spool.deputy(dir.path());
        spool.put(&report(1)).unwrap();
        spool.appoint(&deputy, dir.path(), &|| Ok(())).unwrap();
        spool.bring_back(&deputy, dir.path(), &|| Ok(())).unwrap();
        spool.keep(Kept::Outage, "web", Some(&2)).unwrap();

        // It was stopped in the middle of a step.
        deputy.create().unwrap();
        let sink = SinkKey::Machine("mail".into());
        let ledger = Ledger::summarised(report(2).id);
        let id = report(1).id;
        deputy.keep(Kept::Outage, "web", Some(&1)).unwrap();
        deputy.write_ledger(&id, &sink, &ledger).unwrap();
        assert!(!spool.in_use(dir.path()).is_deputy());

        let lock = ChangeLock::open(dir.path()).unwrap();
        assert!(spool.change_over(dir.path(), &lock, false).unwrap());
        assert!(deputy.dir.symlink_metadata().is_err());
        assert_eq!(spool.ledger(&id, &sink).unwrap(), ledger);
        let kept: Vec<(String, u8)> = spool.kept(Kept::Outage).unwrap();
        assert_eq!(kept, [("web".to_owned(), 2)]);
    }

    #[test]
    fn what_is_on_the_disk_is_never_what_a_full_deputy_drops() {
        let (dir, spool) = crate::spool::empty();
        let deputy = spool.deputy(dir.path());
        spool.put(&report(1)).unwrap();
        spool.appoint(&deputy, dir.path(), &|| Ok(())).unwrap();
        deputy.put(&report(2)).unwrap();
        let both = [report(1).id, report(2).id];
        deputy.finish(&both, Place::Done).unwrap();
        let (entries, _) = deputy.entries().unwrap();
        let ids: Vec<_> = entries.into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids, both[1..]);
    }

    #[test]
    fn what_there_is_no_room_for_in_memory_stays_on_the_disk() {
        let (dir, spool) = crate::spool::empty();
        let sink = SinkKey::Machine("mail".into());
        let much = "x".repeat(usize::try_from(MOST_REMEMBERED - BLOCK).unwrap());
        spool.write_group(&sink, "web", &much).unwrap();
        spool.write_group(&sink, "db", &"told").unwrap();
        spool.write_group(&sink, "cache", &"told").unwrap();
        let deputy = spool.deputy(dir.path());
        spool.appoint(&deputy, dir.path(), &|| Ok(())).unwrap();
        let known = |spool: &Spool, job| spool.group::<String>(&sink, job).unwrap();
        assert_eq!(known(&deputy, "web"), None);
        assert_eq!(known(&deputy, "db"), Some("told".to_owned()));
        deputy.forget_group(&sink, "db").unwrap();
        spool.bring_back(&deputy, dir.path(), &|| Ok(())).unwrap();
        let sizes = ["web", "db", "cache"].map(|job| known(&spool, job).map(|it| it.len()));
        assert_eq!(sizes, [Some(much.len()), None, Some(4)]);
    }

    #[test]
    fn a_damaged_report_that_was_put_aside_before_a_kill_stays_as_it_was() {
        let (dir, spool) = crate::spool::empty();
        let deputy = spool.deputy(dir.path());
        let id = report(1).id;
        fs::write(spool.path(Place::New, &id), "damaged").unwrap();
        spool.appoint(&deputy, dir.path(), &|| Ok(())).unwrap();
        deputy.read(Place::New, &id).unwrap_err();
        spool.put_aside(&spool.path(Place::New, &id)).unwrap();
        spool.bring_back(&deputy, dir.path(), &|| Ok(())).unwrap();
        let aside = spool.corrupt_dir().join(id.as_str());
        assert_eq!(fs::read_to_string(aside).unwrap(), "damaged");
    }

    #[test]
    fn who_was_stopped_as_it_brought_things_back_leaves_the_rest_to_the_next() {
        let (dir, spool) = crate::spool::empty();
        let deputy = spool.deputy(dir.path());
        spool.appoint(&deputy, dir.path(), &|| Ok(())).unwrap();
        deputy.put(&report(1)).unwrap();
        let lock = ChangeLock::open(dir.path()).unwrap();
        assert!(lock.try_alone().unwrap());
        lock.replace().unwrap();
        let next = ChangeLock::open(dir.path()).unwrap();
        assert!(next.try_alone().unwrap());
        let stopped = spool.bring_back(&deputy, dir.path(), &|| lock.lives());
        assert!(stopped.is_err() && spool.in_use(dir.path()).is_deputy());
        spool
            .bring_back(&deputy, dir.path(), &|| next.lives())
            .unwrap();
        assert_eq!(spool.ids(Place::New).unwrap(), [report(1).id]);
    }

    #[test]
    fn a_lock_counts_whichever_spool_is_in_use_when_it_was_taken() {
        let (dir, spool) = crate::spool::empty();
        let (run, at) = (dir.path(), std::time::Duration::ZERO);
        let before = spool.in_use(run).lock("mail", at).unwrap();
        spool.appoint(&spool.deputy(run), run, &|| Ok(())).unwrap();
        let deputy = spool.in_use(run);
        assert!(deputy.is_deputy() && before.is_some());
        assert!(deputy.lock("mail", at).unwrap().is_none());
        drop(before);
        let meanwhile = deputy.lock("mail", at).unwrap();
        spool.bring_back(&deputy, run, &|| Ok(())).unwrap();
        let back = spool.in_use(run);
        assert!(!back.is_deputy() && meanwhile.as_ref().is_some_and(Lock::is_ours));
        assert!(back.lock("mail", at).unwrap().is_none());
        drop(meanwhile);
        assert!(back.lock("mail", at).unwrap().is_some());
    }
}
