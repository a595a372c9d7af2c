//! The deputy: a spool in memory that stands in while the spool's disk is read-only, as after
//! `errors=remount-ro`. People are told from there of the reports that hooks keep in memory, and of
//! those that wait on the disk.
//!
//! It begins with a copy of all that the spool remembers, so that nobody is told anything twice.
//! The reports on the disk are not copied: the deputy looks through to them. Where one of them has
//! moved on, an empty file of its name says so in the deputy's `done/` or `dead/`.
//!
//! While there is a deputy, it holds the truth, and every deliverer works with it, whatever the
//! disk is by then. Which spool that is is decided anew for each step of a deliverer, as the disk
//! may change while a message is being sent: a process shares the [`ChangeLock`] for that step,
//! never while it waits for a sink. What a sink did is so kept by whichever spool is in use by
//! then. The locks of those who are at work count for both ([`super::lock`]), so nobody has to wait
//! for them.
//!
//! The first that finds the disk writable brings everything back, see [`super::transfer`]. All
//! steps of that can be taken again, and the last one is to rename the deputy. So a process that is
//! killed meanwhile leaves the deputy in its office, and the next one begins anew. The deputy knows
//! for which file system it stands in: another one, as the bare mount point while that one is
//! repaired, gets nothing of it. The spool's disk is then *away*.
//!
//! The machine's end is the deputy's too, as it is for all that is in memory.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat, statvfs};
use rustix::io::Errno;

use super::transfer::{COPIED, clear, draft, is_dir, is_mark, old};
use super::{ChangeLock, PARTS, Place, Spool};
use crate::host::open_regular_in_ours;
use crate::report::ReportId;

/// Maximum number of reports on the disk that a deputy tells of. It keeps for each what was done.
pub(super) const MOST_SHOWN: usize = 1000;

/// File of a deputy that names the file system for which it stands in.
const STANDS_FOR: &str = "stands-for";
/// Maximum length of that, in bytes.
const IDENTITY: u64 = 1000;

impl Spool {
    /// Returns this spool's deputy in the run directory if there is one, else this spool: the one
    /// that holds the truth.
    #[must_use]
    pub fn in_use(&self, run: &Path) -> Self {
        let deputy = self.deputy(run);
        if deputy.is_appointed() {
            return deputy;
        }
        Self {
            locks_in_memory: deputy.locks_in_memory,
            ..self.clone()
        }
    }

    /// Returns true if this deputy is in office. Else there is none, or what a process has left
    /// that was stopped in the middle of a step, and went on after the deputy's end.
    pub(super) fn is_appointed(&self) -> bool {
        let has = |name| self.dir.join(name).symlink_metadata().is_ok();
        // One is written as it is appointed, the other may be removed by hand.
        is_dir(&self.dir) && (has(COPIED) || has(STANDS_FOR))
    }

    /// Changes over to a deputy if the disk has become read-only, or back if it is writable again.
    /// `is_suspect` tells that something has not got onto the disk.
    ///
    /// Returns false while other processes are in the way: one of them changes over, or is in the
    /// middle of a step.
    pub fn change_over(&self, run: &Path, lock: &ChangeLock, is_suspect: bool) -> io::Result<bool> {
        let deputy = self.deputy(run);
        let is_there = || deputy.is_appointed();
        // Nobody can unmount a disk where a directory is open.
        let _open = File::open(&self.dir);
        if is_there() {
            self.is_the_same(&deputy)?;
        }
        let is_suspect = is_suspect || is_there();
        let is_missing = fs::symlink_metadata(&self.dir).is_err();
        let is_read_only = self.is_read_only(is_suspect)
            || ((is_suspect || is_missing) && self.takes_no_directory());
        // A process that was killed as it changed over may have left these.
        let remains = [draft(run), old(run)];
        let remain = || remains.iter().any(|it| it.symlink_metadata().is_ok());
        let is_left = || is_dir(&deputy.dir) && !is_read_only;
        if is_there() == is_read_only && !remain() && !is_left() {
            return Ok(true);
        }
        if !lock.try_alone()? {
            return Ok(false);
        }
        let lives = || lock.lives();
        let changed = lives().and_then(|()| {
            remains.iter().try_for_each(|path| clear(path))?;
            match (is_there(), is_read_only) {
                (false, true) => {
                    clear(&deputy.dir)?;
                    self.appoint(&deputy, run, &lives)
                }
                (_, false) if is_left() => self.bring_back(&deputy, run, &lives),
                _ => Ok(()),
            }
        });
        lock.let_go();
        changed.map(|()| true)
    }

    /// Returns true if a report waits, or something is to be said some time.
    pub fn has_business(&self) -> bool {
        let has_any = |dir: &Path| fs::read_dir(dir).is_ok_and(|mut it| it.next().is_some());
        has_any(&self.dir.join("new")) || has_any(&self.dir.join("state/groups"))
    }

    /// Returns true if this spool is on a disk that is read-only, or a part of it is.
    fn is_on_read_only_disk(&self) -> bool {
        let is_so = |dir: &Path| {
            statvfs(dir).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY))
        };
        let parts = PARTS.map(|part| self.dir.join(part));
        is_so(&self.dir) || is_so(&self.lock_dir()) || parts.iter().any(|part| is_so(part))
    }

    /// Returns true if a deputy stands in for this spool, and what is in this place is not the file
    /// system for which it does: that one was unmounted.
    pub fn is_away(&self, run: &Path) -> bool {
        let deputy = self.deputy(run);
        is_dir(&deputy.dir) && self.is_the_same(&deputy).is_err()
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
        let own = places.map(|place| {
            let ids = self.own_ids(place).unwrap_or_default().into_iter();
            ids.filter(|id| !self.shows(place, id)).count()
        });
        own.iter().sum()
    }

    /// Returns true if this is a deputy and the report is on the disk.
    pub(super) fn shows(&self, place: Place, id: &ReportId) -> bool {
        let disk = self.disk.as_ref();
        disk.is_some_and(|disk| is_mark(&self.path(place, id)) || disk.find(id).is_some())
    }

    /// Marks a report that the disk has in `new/` as one that is in `place`.
    pub(super) fn mark_moved(&self, id: &ReportId, place: Place) -> io::Result<()> {
        crate::draft::begin(&self.path(place, id)).map(drop)
    }

    /// Returns the file that holds a report: a deputy's own, unless that is a mark or is missing.
    pub(super) fn file(&self, place: Place, id: &ReportId) -> PathBuf {
        let own = self.path(place, id);
        let is_whole = || fs::symlink_metadata(&own).is_ok() && !is_mark(&own);
        match &self.disk {
            // A disk that is unmounted has none.
            Some(disk) if !is_whole() => disk.path(disk.find(id).unwrap_or(place), id),
            _ => own,
        }
    }

    pub(super) fn deputy(&self, run: &Path) -> Self {
        Self {
            dir: run.join("deputy"),
            disk: Some(Box::new(self.clone())),
            locks_in_memory: Some(run.join("lock")),
        }
    }

    /// Removes what is in the place of a deputy's directories and is none. Whatever it was is lost
    /// already.
    pub(super) fn clear_the_way(&self, parts: &[PathBuf]) -> io::Result<()> {
        let remembered = self.remembered_dirs();
        let is_other = |path: &&PathBuf| path.symlink_metadata().is_ok_and(|it| !it.is_dir());
        let inbox = self.dir.join("inbox");
        let others = parts
            .iter()
            .chain(&remembered)
            .chain([&inbox])
            .filter(is_other);
        others.map(PathBuf::as_path).try_for_each(clear)
    }

    /// Has a deputy know for which file system it stands in. Early in a boot the spool's may not be
    /// mounted yet.
    pub(super) fn note_identity(&self, deputy: &Self) -> io::Result<()> {
        if self.dir.symlink_metadata().is_err() {
            return Ok(());
        }
        fs::write(deputy.dir.join(STANDS_FOR), self.identity())
    }

    /// Returns the mark that tells this spool's file system from others: the number that it has of
    /// its own, else its device. That stays if it is unmounted and mounted again (of XFS, from the
    /// same device).
    fn identity(&self) -> String {
        let is_there = |dir: &&Path| dir.symlink_metadata().is_ok();
        let dir = self.dir.ancestors().find(is_there).unwrap_or(&self.dir);
        let device = || fs::metadata(dir).map_or(0, |found| found.dev());
        match statvfs(dir).map_or(0, |found| found.f_fsid) {
            0 => format!("device {}", device()),
            own => format!("file system {own}"),
        }
    }

    /// Checks that this spool is on the file system for which the deputy stands in.
    fn is_the_same(&self, deputy: &Self) -> io::Result<()> {
        let path = deputy.dir.join(STANDS_FOR);
        // Only a file can name a file system.
        let mut noted = String::new();
        match open_regular_in_ours(&path) {
            Ok(file) => drop(file.take(IDENTITY).read_to_string(&mut noted)),
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) => {}
        }
        if noted == self.identity() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the file system of {} is not mounted, or it is another one than before: everything \
             stays in memory until it is mounted; if this one is to hold the spool from now on, \
             remove {}",
            self.dir.display(),
            path.display()
        )))
    }

    /// Checks that the disk has not become read-only since something was written to it. ext4 may
    /// say of what it had to give up that it is on the disk.
    pub fn still_takes_files(&self) -> io::Result<()> {
        match self.refusal().filter(|_| !self.is_deputy()) {
            Some(why) => Err(why.into()),
            None => Ok(()),
        }
    }

    /// Returns true if the disk takes no new file. Some file systems only say so if they are asked
    /// for one (ext4 after an error), which is done where something `is_suspect`.
    pub fn is_read_only(&self, is_suspect: bool) -> bool {
        self.state_of_disk(is_suspect).is_some()
    }

    /// Returns the same in words.
    pub fn state_of_disk(&self, is_suspect: bool) -> Option<&'static str> {
        if self.is_on_read_only_disk() {
            return Some("read-only");
        }
        match self.refusal().filter(|_| is_suspect)? {
            Errno::ROFS => Some("read-only"),
            _ => Some("failing"),
        }
    }

    /// Returns the error of a disk that takes no new file, if it is one that stays. XFS refuses
    /// everything after an error.
    fn refusal(&self) -> Option<Errno> {
        // A file without a name leaves nothing behind.
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let probe = openat(CWD, self.dir.join("tmp"), flags, Mode::RUSR);
        probe.err().filter(|why| is_of_the_disk(*why))
    }

    /// Returns true if the disk does not even take this spool's directories.
    fn takes_no_directory(&self) -> bool {
        let made = self.create();
        let errno = made.err().and_then(|why| Errno::from_io_error(&why));
        errno.is_some_and(is_of_the_disk)
    }
}

/// Returns true if this is the error of a disk that is read-only, or that fails.
fn is_of_the_disk(why: Errno) -> bool {
    matches!(why, Errno::ROFS | Errno::IO | Errno::UCLEAN)
}
