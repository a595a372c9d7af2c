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
//! may change while a message is being sent: a process holds the spool for that step ([`Held`]),
//! never while it waits for a sink. What a sink did is so kept by whichever spool is in use by
//! then.
//!
//! The first that finds the disk writable, and no sink at work from the deputy, brings everything
//! back, see [`super::transfer`]. All steps of that can be taken again, and the last one is to
//! rename the deputy. So a process that is killed meanwhile leaves the deputy in its office, and
//! the next one begins anew. The deputy knows for which file system it stands in: another one, as
//! the bare mount point while that one is repaired, gets nothing of it.
//!
//! The machine's end is the deputy's too, as it is for all that is in memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat, statvfs};
use rustix::io::Errno;

use super::transfer::{clear, draft, is_dir, is_mark, old};
use super::{PARTS, Place, Spool, list, lock};
use crate::report::ReportId;

/// Maximum number of reports on the disk that a deputy tells of. It keeps for each what was done.
pub(super) const MOST_SHOWN: usize = 1000;

/// File of a deputy that names the file system for which it stands in.
const STANDS_FOR: &str = "stands-for";

/// The spool that holds the truth. As long as this value lives, no process changes over to a deputy
/// or back. It is for one step, not for the time that anybody else takes.
pub struct Held {
    spool: Spool,
    _lock: Option<File>,
}

impl Deref for Held {
    type Target = Spool;

    fn deref(&self) -> &Spool {
        &self.spool
    }
}

impl Spool {
    /// Returns this spool's deputy in the run directory if there is one, else this spool: the one
    /// that holds the truth.
    #[must_use]
    pub fn in_use(&self, run: &Path) -> Self {
        let deputy = self.deputy(run);
        if is_dir(&deputy.dir) {
            deputy
        } else {
            self.clone()
        }
    }

    /// Returns the same to be worked with. Waits while another process changes over.
    pub fn held(&self, run: &Path) -> Held {
        // Without a run directory there is no deputy either.
        let lock = lock_file(run).ok();
        let lock = lock.filter(|lock| lock.lock_shared().is_ok());
        Held {
            spool: self.in_use(run),
            _lock: lock,
        }
    }

    /// Changes over to a deputy if the disk has become read-only, or back if it is writable again.
    /// `is_suspect` tells that something has not got onto the disk. `monotonic` is the time since
    /// the boot.
    ///
    /// Returns false while other processes are in the way: one of them changes over, or is in the
    /// middle of a step on a disk that has become read-only.
    pub fn change_over(
        &self,
        run: &Path,
        is_suspect: bool,
        monotonic: Duration,
    ) -> io::Result<bool> {
        let Ok(lock) = lock_file(run) else {
            return Ok(true);
        };
        let deputy = self.deputy(run);
        let is_there = || is_dir(&deputy.dir);
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
        let is_ours = (is_there() != is_read_only || remain()) && lock.try_lock().is_ok();
        if !is_ours {
            // A step that is under way from the deputy holds up the change back, and nobody.
            let is_usable = || is_there() || !is_read_only;
            return Ok(lock.try_lock_shared().is_ok() && is_usable());
        }
        for path in &remains {
            clear(path)?;
        }
        match (is_there(), is_read_only) {
            (false, true) => {
                clear(&deputy.dir)?;
                self.appoint(&deputy, run)?;
            }
            (true, false) if !deputy.is_sending(monotonic) => self.bring_back(&deputy, run)?,
            _ => {}
        }
        Ok(true)
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
        is_so(&self.dir) || PARTS.iter().any(|part| is_so(&self.dir.join(part)))
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
        }
    }

    /// Returns true if a process sends to a sink, or does what else takes its time, by the locks of
    /// this deputy. After a change back, nobody would know of these.
    fn is_sending(&self, monotonic: Duration) -> bool {
        let dir = self.dir.join("lock");
        let names = list(&dir).unwrap_or_default();
        let mut sinks = names.iter().filter(|name| !name.starts_with('%'));
        sinks.any(|name| lock::is_held(&dir.join(name), monotonic))
    }

    /// Has a deputy know for which file system it stands in.
    pub(super) fn note_identity(&self, deputy: &Self) -> io::Result<()> {
        fs::write(deputy.dir.join(STANDS_FOR), self.identity())
    }

    /// Returns the mark that tells this spool's file system from others: the number that it has of
    /// its own, else its device. That stays if it is unmounted and mounted again.
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
        match fs::read_to_string(&path) {
            Ok(noted) if noted == self.identity() => return Ok(()),
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
            Ok(_) => {}
            Err(why) => return Err(why),
        }
        Err(io::Error::other(format!(
            "the file system of {} is not mounted, or it is another one than before: everything \
             stays in memory until it is mounted; if this one is to hold the spool from now on, \
             remove {}",
            self.dir.display(),
            path.display()
        )))
    }

    /// Returns true if the disk takes no new file. Some file systems only say so if they are asked
    /// for one (ext4 after an error), which is done where something `is_suspect`.
    pub fn is_read_only(&self, is_suspect: bool) -> bool {
        let takes_no_file = || {
            // A file without a name leaves nothing behind.
            let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
            let probe = openat(CWD, self.dir.join("tmp"), flags, Mode::RUSR);
            matches!(probe, Err(Errno::ROFS))
        };
        self.is_on_read_only_disk() || (is_suspect && takes_no_file())
    }

    /// Returns true if the disk does not even take this spool's directories.
    fn takes_no_directory(&self) -> bool {
        let made = self.create();
        made.is_err_and(|why| why.kind() == ErrorKind::ReadOnlyFilesystem)
    }
}

/// Opens the file by whose lock processes change over.
fn lock_file(run: &Path) -> io::Result<File> {
    let path = run.join("deputy.lock");
    if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
        clear(&path)?;
    }
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).mode(0o600);
    options.truncate(false).open(path)
}
