//! Keeps the reports that wait to be sent, and those that were sent as the history: the spool.
//!
//! The place of a file is its state. A transition is one rename.
//!
//! | place | holds | until |
//! |---|---|---|
//! | `tmp/ID` | a report that is being written | it is renamed into `new/` |
//! | `new/ID` | a report that some sink has yet to get | every sink has said its last word |
//! | `state/ID/` | per sink a ledger; what slow collectors added; what earlier deaths say about it | the report goes |
//! | `state/groups/` | what each sink has been told of each job's crashes | that is no longer news |
//! | `state/drills/` | what came of each job's last drill | the next one |
//! | `state/outages/` | services that died and are not known to be up again | they are |
//! | `state/expected/` | when services ended well of which a run is expected | none is expected |
//! | `state/jobs/`, `state/jobs-of/UID/` | what each job has died of so far | there are more than 1000, or 50 of a user |
//! | `state/user-UID/` | which reports that user's hooks made | they go |
//! | `state/dropped` | how many undelivered reports had to go | people are told |
//! | `done/ID` | a report that every sink took: the history | 30 days, or there is too much: see [`room`] |
//! | `dead/ID` | a report that some sink will never take | the same |
//! | `corrupt/…` | what is not a whole report; never sent | somebody looks at it |
//! | `inbox/UID/` | reports by hooks that run as that user | that user's steward hands them over: see [`inbox`] |
//! | `lock/` | one lock a sink: see [`lock`]; the deputy's are in the run directory's `lock/` | |
//! | `reserve/` | room for when the disk is full: see [`ladder`] | it is needed |
//!
//! [`mod@commit`] says how a report is written so that it stays. [`recover`] says what is done
//! about files that a power cut left in `tmp/`. [`deputy`] says what stands in while the disk is
//! read-only, and [`transfer`] how everything gets there and back.

mod brief;
mod change_lock;
mod chronicles;
mod commit;
mod deputy;
mod drills;
mod entry;
mod facts;
mod groups;
mod hand;
mod handing;
mod history;
mod inbox;
mod kept;
mod ladder;
mod ledger;
mod lock;
mod memory;
mod quarantine;
mod read;
mod recover;
mod room;
mod tidy;
mod transfer;

use std::collections::HashSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::process::geteuid;
use serde::de::DeserializeOwned;

pub use brief::Brief;
pub use change_lock::ChangeLock;
pub use chronicles::Chronicled;
pub use drills::Drill;
pub use facts::Facts;
pub use handing::{hand_over, make_fit};
pub use inbox::TakeOver;
pub use kept::Kept;
pub use ledger::{Attempt, Ledger, Outcome};
pub use lock::Lock;
pub use memory::MemoryInbox;

use crate::names;
use crate::report::{ReportId, SinkKey, Timestamp};
use commit::{commit, sync_dir};
use read::read_state;

/// Directories of a spool that only its owner may look into, beside that of its locks.
const PARTS: [&str; 6] = ["tmp", "new", "state", "done", "dead", "corrupt"];

/// The directories of a spool.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
    /// The spool on the disk, if this is its deputy.
    disk: Option<Box<Spool>>,
    /// Directory of the deputy's locks, if that is known.
    locks_in_memory: Option<PathBuf>,
}

/// Place of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    New,
    Done,
    Dead,
}

impl Place {
    /// Returns its directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

impl Spool {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            disk: None,
            locks_in_memory: None,
        }
    }

    /// Makes the missing directories, and gives all of them their modes. The spool itself can be
    /// passed through, so that the users of setuid jobs reach their inboxes. Only its owner can
    /// list it or look into the rest.
    pub fn create(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&self.dir)?;
        let parts = PARTS.map(|part| self.dir.join(part)).into_iter();
        let parts: Vec<_> = parts.chain([self.lock_dir()]).collect();
        let inbox = self.dir.join("inbox");
        if self.is_deputy() {
            self.clear_the_way(&parts)?;
        }
        for part in parts {
            make(&part, 0o700)?;
        }
        make(&inbox, 0o711)?;
        sync_dir(&self.dir)
    }

    /// Returns the directories in which whole reports are.
    pub fn places_of_reports(&self) -> [PathBuf; 3] {
        [Place::New, Place::Done, Place::Dead].map(|place| self.dir.join(place.name()))
    }

    /// Returns how many pieces of the reserve are missing, of how many.
    pub fn reserve_lacks(&self) -> (usize, usize) {
        let reserve = self.dir.join("reserve");
        let lacks = |name: &String| reserve.join(name).symlink_metadata().is_err();
        let missing = ladder::pieces().filter(|(name, _)| lacks(name)).count();
        (missing, ladder::pieces().count())
    }

    /// Checks that no other user could have put something here.
    ///
    /// # Errors
    /// Returns an error that says what to do if one could.
    pub fn examine(&self) -> io::Result<()> {
        if let Some(disk) = self.disk.as_ref().filter(|disk| disk.dir.exists()) {
            disk.examine()?;
        }
        let (ours, dir) = (geteuid().as_raw(), self.dir.display());
        let found = fs::metadata(&self.dir)?;
        if found.uid() != ours && found.uid() != 0 {
            let owner = found.uid();
            return Err(io::Error::other(format!(
                "{dir} belongs to user {owner}, who can put anything into it: look at what is in it, then `chown {ours} {dir}`"
            )));
        }
        if found.mode() & 0o022 != 0 {
            return Err(io::Error::other(format!(
                "others than its owner may write into {dir} (mode {:04o}): look at what is in it, then `chmod 0711 {dir}`",
                found.mode() & 0o7777
            )));
        }
        Ok(())
    }

    /// Returns when a report that waits came into the spool.
    pub fn came(&self, id: &ReportId) -> Option<Timestamp> {
        let found = fs::symlink_metadata(self.file(Place::New, id)).ok()?;
        found.modified().ok().map(Timestamp::new)
    }

    /// Returns the users who may own what is in here.
    fn owners(&self) -> io::Result<[u32; 3]> {
        Ok([geteuid().as_raw(), fs::metadata(&self.dir)?.uid(), 0])
    }

    /// Returns the reports in `place`, oldest first. A file whose name is not a report's is passed
    /// over.
    pub fn ids(&self, place: Place) -> io::Result<Vec<ReportId>> {
        let mut ids = self.own_ids(place)?;
        if let Some(disk) = &self.disk {
            // A disk that fails shows nothing, and holds up nothing that is in memory.
            let mut shown = disk.ids(place).unwrap_or_default();
            if place == Place::New {
                shown.truncate(deputy::MOST_SHOWN);
            }
            let own: HashSet<_> = ids.iter().cloned().collect();
            shown.retain(|id| {
                !own.contains(id) && self.find(id) == Some(place) && !self.was_put_aside(id)
            });
            ids.extend(shown);
            ids.sort();
        }
        Ok(ids)
    }

    /// Returns the reports that this spool's own files in `place` are about, oldest first.
    fn own_ids(&self, place: Place) -> io::Result<Vec<ReportId>> {
        let mut ids: Vec<_> = list(&self.dir.join(place.name()))?
            .iter()
            .filter_map(|name| ReportId::parse(name).ok())
            .collect();
        ids.sort();
        Ok(ids)
    }

    /// Returns true if reports wait in `new/`.
    pub fn has_waiting(&self) -> bool {
        if self.is_deputy() {
            return self.ids(Place::New).is_ok_and(|ids| !ids.is_empty());
        }
        let mut names = fs::read_dir(self.dir.join("new")).into_iter().flatten();
        names.next().is_some()
    }

    /// Returns when the last report came into `new/` or left it.
    pub fn changed(&self) -> Option<SystemTime> {
        fs::metadata(self.dir.join("new")).ok()?.modified().ok()
    }

    /// Returns where this report is.
    pub fn find(&self, id: &ReportId) -> Option<Place> {
        let own = [Place::New, Place::Done, Place::Dead]
            .into_iter()
            .find(|place| self.path(*place, id).exists());
        own.or_else(|| self.disk.as_ref()?.find(id))
    }

    fn path(&self, place: Place, id: &ReportId) -> PathBuf {
        self.dir.join(place.name()).join(id.as_str())
    }

    fn state(&self, id: &ReportId) -> PathBuf {
        self.dir.join("state").join(id.as_str())
    }

    /// Reads what is kept of a report in the file of this name.
    fn state_of<T: DeserializeOwned>(&self, id: &ReportId, name: &str) -> io::Result<Option<T>> {
        match (read_state(&self.state(id).join(name))?, &self.disk) {
            // A disk that fails knows nothing of a report that is in memory.
            (None, Some(disk)) => disk.state_of(id, name).or_else(|why| {
                let is_ours = self.path(Place::New, id).symlink_metadata().is_ok();
                if is_ours { Ok(None) } else { Err(why) }
            }),
            (found, _) => Ok(found),
        }
    }
}

fn ledger_name(sink: &SinkKey) -> String {
    format!("to-{}", names::encode(sink.encode()))
}

/// Makes a directory with this mode, or gives this mode to the one that is there.
fn make(dir: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(dir)?;
    let found = fs::metadata(dir)?;
    if found.mode() & 0o777 & !mode != 0 && found.uid() == geteuid().as_raw() {
        fs::set_permissions(dir, Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Returns the names in a directory; none if it does not exist.
fn list(dir: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?
            .map(|entry| Ok(entry?.file_name()))
            .filter_map(|name| name.map(|it| it.into_string().ok()).transpose())
            .collect(),
    }
}

/// An empty spool, for as long as its directory is kept.
#[cfg(test)]
fn empty() -> (tempfile::TempDir, Spool) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::new(dir.path().join("spool"));
    spool.create().unwrap();
    (dir, spool)
}
