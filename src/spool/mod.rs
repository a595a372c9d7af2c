//! The spool: where reports wait, and where they stay as the history.
//!
//! Where a file is, is its state; a transition is one rename.
//!
//! | place | holds | until |
//! |---|---|---|
//! | `tmp/ID` | a report that is being written | it is renamed into `new/` |
//! | `new/ID` | a report that some sink has yet to get | every sink has said its last word |
//! | `state/ID/` | per sink a ledger; what slow collectors added | the report goes |
//! | `state/groups/` | what each sink has been told of each group of crashes | nobody asks any more |
//! | `done/ID` | a report that every sink took: the history | |
//! | `dead/ID` | a report that some sink will never take | |
//! | `corrupt/ID…` | what is not a whole report; never sent | somebody looks at it |
//! | `inbox/UID/` | reports by hooks that run as that user | the deliverer takes them over |
//! | `lock/` | one lock a sink | |
//! | `reserve/` | room for when the disk is full: see [`ladder`] | it is needed |
//!
//! A report is committed when the file and then its directory are on the disk: file fsync, rename, directory fsync. An
//! fsync that failed is never tried again on the same file: the kernel may call it clean while the disk has old data.

mod entry;
mod facts;
mod groups;
mod ladder;
mod ledger;
mod memory;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use facts::Facts;
pub use ledger::{Attempt, Ledger, Outcome};
pub use memory::Memory;

use crate::host::open_regular_in_ours;
use crate::names;
use crate::report::{Report, ReportId, Section, Timestamp};

/// The largest entry that is read back, in bytes; what the collectors bring together stays far below it.
const MAX_ENTRY: u64 = 16 * 1024 * 1024;

/// How many entries of an inbox are looked at before reports are sent: nobody waits for another's flood.
const AT_ONCE: usize = 100;

/// A spool's directories.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
}

/// Where a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    New,
    Done,
    Dead,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

impl Spool {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Makes the directories that are missing. The spool itself can be passed through, so that the users of setuid jobs
    /// reach their inboxes; nobody but its owner can list it or look into the rest.
    pub fn create(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o711).create(&self.dir)?;
        for place in ["tmp", "new", "state", "done", "dead", "corrupt", "lock"] {
            DirBuilder::new().recursive(true).mode(0o700).create(self.dir.join(place))?;
        }
        DirBuilder::new().recursive(true).mode(0o711).create(self.dir.join("inbox"))?;
        sync_dir(&self.dir)
    }

    /// Where the hooks of a setuid job, running as `uid`, leave their reports.
    pub fn inbox(&self, uid: u32) -> PathBuf {
        self.dir.join("inbox").join(uid.to_string())
    }

    /// Commits a report: after this it survives the process and the machine.
    pub fn put(&self, report: &Report) -> io::Result<()> {
        let name = report.id.as_str();
        let write = || commit(&self.dir.join("tmp").join(name), &self.dir.join("new"), name, &entry::encode(report)?);
        match write() {
            // The first report on this machine, or somebody has cleaned up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create().and_then(|()| write()),
            other => other,
        }
    }

    /// Commits a report to this user's inbox, for the deliverer to take over.
    pub fn put_into_inbox(&self, uid: u32, report: &Report) -> io::Result<()> {
        let inbox = self.inbox(uid);
        let name = report.id.as_str();
        commit(&inbox.join(format!(".{name}")), &inbox, name, &entry::encode(report)?)
    }

    /// Takes over what the hooks of setuid jobs left in their inboxes. What one user does to its inbox (a mount of its own
    /// keeps even root out) costs no other its reports.
    ///
    /// Returns how many were taken.
    pub fn take_over(&self, say: impl Fn(&str)) -> io::Result<usize> {
        let mut taken = 0;
        for uid in list(&self.dir.join("inbox"))?.iter().filter_map(|name| name.parse::<u32>().ok()) {
            match self.take_over_from(&self.inbox(uid), uid) {
                Ok(reports) => taken += reports,
                Err(why) => say(&format!("cannot take over what the hooks of user {uid} left: {why}")),
            }
        }
        Ok(taken)
    }

    /// Takes over the reports in `inbox`, whose hooks ran as user `uid`, and who can put anything there: an entry is
    /// taken only where it is a whole report in a regular file of that user's; the rest is put aside in `corrupt/`. What
    /// a hook is still at work on is left to it.
    ///
    /// Returns how many were taken. Where another deliverer is at it, that is its work.
    pub fn take_over_from(&self, inbox: &Path, uid: u32) -> io::Result<usize> {
        let names = list(inbox)?;
        if names.is_empty() {
            return Ok(0);
        }
        // Two deliverers at one entry would write one draft. No sink's key holds two NULs.
        let Some(_lock) = self.lock("\0\0inbox")? else { return Ok(0) };
        let (mut taken, mut looked_at) = (0, 0);
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            if looked_at == AT_ONCE {
                break;
            }
            let path = inbox.join(name);
            let file = open_regular_in_ours(&path);
            if file.as_ref().is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))) {
                continue;
            }
            match read_report(&path, name, Some(uid)) {
                Ok(mut report) => {
                    if uid != rustix::process::geteuid().as_raw() {
                        report.notes.push(format!("this report was made by user {uid}, as whom the service runs"));
                        report.user = Some(uid);
                    }
                    report.notes.extend(report.level.note());
                    if self.find(&report.id).is_none() {
                        self.put(&report)?;
                        taken += 1;
                    }
                    self.remove_name(&report)?;
                }
                Err(Unreadable::Gone | Unreadable::Newer(_) | Unreadable::NotNow(_)) => continue,
                Err(Unreadable::Invalid(why)) => self.note_corrupt(&format!("inbox-{uid}-{name}"), &why)?,
            }
            // The file is the user's own: what is removed here is only their name for it.
            let _ = fs::remove_file(&path);
            looked_at += 1;
        }
        Ok(taken)
    }

    /// The reports in `place`, oldest first. What is not a report's name is passed over.
    pub fn ids(&self, place: Place) -> io::Result<Vec<ReportId>> {
        let mut ids: Vec<_> =
            list(&self.dir.join(place.name()))?.iter().filter_map(|name| ReportId::parse(name).ok()).collect();
        ids.sort();
        Ok(ids)
    }

    /// Where this report is.
    pub fn find(&self, id: &ReportId) -> Option<Place> {
        [Place::New, Place::Done, Place::Dead].into_iter().find(|place| self.path(*place, id).exists())
    }

    /// Reads a report with what slow collectors have added since. One that is not whole is moved to `corrupt/`.
    pub fn read(&self, place: Place, id: &ReportId) -> io::Result<Report> {
        let path = self.path(place, id);
        match read_report(&path, id.as_str(), None) {
            Ok(mut report) => {
                report.sections.extend(self.additions(id)?.unwrap_or_default());
                Ok(report)
            }
            Err(Unreadable::Gone) => Err(io::ErrorKind::NotFound.into()),
            Err(Unreadable::Newer(why)) => Err(io::Error::new(io::ErrorKind::Unsupported, why)),
            Err(Unreadable::NotNow(error)) => Err(error),
            Err(Unreadable::Invalid(why)) => {
                let aside = self.corrupt_dir().join(id.as_str());
                fs::rename(&path, &aside)?;
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("{why}; it is now {}", aside.display())))
            }
        }
    }

    /// What slow collectors added to a report; `None` where they have not run.
    pub fn additions(&self, id: &ReportId) -> io::Result<Option<Vec<Section>>> {
        read_state(&self.state(id).join("sections"))
    }

    /// Keeps what slow collectors found.
    pub fn add(&self, id: &ReportId, sections: &[Section]) -> io::Result<()> {
        self.write_state(id, "sections", &sections)
    }

    /// What `sink` has done with this report. A ledger that cannot be understood counts as a new one: rather a message
    /// twice, under the same idempotency key, than none.
    pub fn ledger(&self, id: &ReportId, sink: &str) -> io::Result<Ledger> {
        match read_state(&self.state(id).join(ledger_name(sink))) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Ledger::default()),
            other => Ok(other?.unwrap_or_default()),
        }
    }

    /// Keeps what `sink` has done with this report.
    pub fn write_ledger(&self, id: &ReportId, sink: &str, ledger: &Ledger) -> io::Result<()> {
        self.write_state(id, &ledger_name(sink), ledger)
    }

    /// Moves reports that need no more sending into the history.
    pub fn finish(&self, ids: &[ReportId], place: Place) -> io::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let to = self.dir.join(place.name());
        for id in ids {
            match fs::rename(self.path(Place::New, id), to.join(id.as_str())) {
                // Another deliverer was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        sync_dir(&to)
    }

    /// Takes the lock of a sink, so that no other deliverer sends to it; `None` where another holds it. It is free again
    /// when the file is dropped, however the process ends.
    pub fn lock(&self, sink: &str) -> io::Result<Option<File>> {
        let path = self.dir.join("lock").join(names::encode(sink));
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// What was put aside because it is no whole report: each with the time when that was done.
    pub fn corrupt(&self) -> io::Result<Vec<(Timestamp, String)>> {
        let dir = self.corrupt_dir();
        let time = |name: &String| {
            let found = fs::symlink_metadata(dir.join(name)).ok()?;
            Some(Timestamp::of_unix(u64::try_from(found.ctime()).unwrap_or_default()))
        };
        Ok(list(&dir)?.into_iter().filter_map(|name| Some((time(&name)?, name))).collect())
    }

    pub fn corrupt_dir(&self) -> PathBuf {
        self.dir.join("corrupt")
    }

    fn path(&self, place: Place, id: &ReportId) -> PathBuf {
        self.dir.join(place.name()).join(id.as_str())
    }

    fn state(&self, id: &ReportId) -> PathBuf {
        self.dir.join("state").join(id.as_str())
    }

    fn write_state(&self, id: &ReportId, name: &str, value: &impl Serialize) -> io::Result<()> {
        let dir = self.state(id);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        // Two deliverers write different files here: each holds its sink's lock.
        commit(&dir.join(format!(".{name}")), &dir, name, &serde_json::to_vec(value)?)
    }

    fn note_corrupt(&self, name: &str, why: &str) -> io::Result<()> {
        let dir = self.corrupt_dir();
        let name = names::encode(name);
        commit(&self.dir.join("tmp").join(&name), &dir, &name, why.as_bytes())
    }
}

fn ledger_name(sink: &str) -> String {
    format!("to-{}", names::encode(sink))
}

/// Writes a new file durably: as `draft` first, then under its name in `dir`.
fn commit(draft: &Path, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    // What a killed process left under this name was never committed, and is in the way of O_EXCL.
    let _ = fs::remove_file(draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    let committed = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(draft, dir.join(name)))
        .and_then(|()| sync_dir(dir));
    if committed.is_err() {
        let _ = fs::remove_file(draft);
    }
    committed
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The names in a directory; none where it is not there.
fn list(dir: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?
            .map(|entry| Ok(entry?.file_name()))
            .filter_map(|name| name.map(|it| it.into_string().ok()).transpose())
            .collect(),
    }
}

/// Why there is no report in a file.
enum Unreadable {
    /// Another deliverer has moved it.
    Gone,
    /// A newer lastwords wrote it: it is kept where it is, for a newer one to read.
    Newer(String),
    /// The machine, not the file, is in the way: it is kept where it is, for another pass.
    NotNow(io::Error),
    Invalid(String),
}

/// Whether an error says nothing about the file: out of descriptors or memory, a disk that fails.
fn may_pass(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let passing = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO, Errno::INTR, Errno::STALE];
    Errno::from_io_error(error).is_some_and(|errno| passing.contains(&errno))
}

/// Reads an entry, trusting nothing: not its kind, its owner, its size, its form or the id in it.
fn read_report(path: &Path, name: &str, owner: Option<u32>) -> Result<Report, Unreadable> {
    let invalid = |why: String| Unreadable::Invalid(format!("{}: {why}", path.display()));
    let read = || -> io::Result<Vec<u8>> {
        let file = open_regular_in_ours(path)?;
        let found = file.metadata()?;
        if let Some(uid) = owner.filter(|uid| *uid != found.uid()) {
            return Err(io::Error::other(format!("it belongs to user {}, not {uid}", found.uid())));
        }
        let mut bytes = Vec::new();
        file.take(MAX_ENTRY + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unreadable::Gone),
        Err(error) if may_pass(&error) => return Err(Unreadable::NotNow(error)),
        read => read.map_err(|why| invalid(why.to_string()))?,
    };
    let report = entry::decode(&bytes).map_err(|wrong| match wrong {
        entry::Wrong::Newer(why) => Unreadable::Newer(format!("{}: {why}", path.display())),
        entry::Wrong::Damaged(why) => invalid(why),
    })?;
    if report.id.as_str() == name {
        Ok(report)
    } else {
        Err(invalid(format!("the report in it calls itself {}", report.id)))
    }
}

fn read_state<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match open_regular_in_ours(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => {
            let mut bytes = Vec::new();
            file?.take(MAX_ENTRY).read_to_end(&mut bytes)?;
            serde_json::from_slice(&bytes).map(Some).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
        }
    }
}
