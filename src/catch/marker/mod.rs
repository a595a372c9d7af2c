//! The marker: armed while the service runs, planned once somebody has asked it to stop.
//!
//! A marker is one small file per job and instance. If it is still armed and not planned when the
//! service has ended, the service has crashed.
//!
//! | state | file | by |
//! |---|---|---|
//! | not armed | none | |
//! | armed | `NAME` | pre-start |
//! | planned | `NAME`, with `planned` set | pre-stop; where the supervisor's account suffices, even if none was armed |
//! | taken | `NAME~taken-…` | post-stop, by rename, so that only one hook gets it; `lastwords run`, from the start. See [`Taken`] |
//! | dealt with | none | post-stop's worker, or the deliverer's if that was killed |
//! | its crashes | `NAME~crashes` | post-stop: the times of the latest crashes, to tell a loop |
//! | last life | `NAME~invocation` | post-stop: systemd's id of the last life that it saw end |
//! | last good end | `NAME~well` | post-stop: when a run last ended well by itself |
//! | last stop | `NAME~stopped` | post-stop: when it last ended because somebody had asked for that |
//! | given up | `NAME~given-up` | `listen`: when the supervisor last said that it has given up |
//! | last seen | `NAME~seen` | post-stop: how far it has read the kernel log; until the next pre-start |
//!
//! A plan runs out, because Upstart's `restart` runs pre-stop and keeps the same process going. A
//! crash after that must not be missed. Where Upstart can be asked, such a plan is taken back at
//! once. A pre-start that finds its marker still armed takes it too:
//! the post-stop of the last life never ran.

mod content;
mod ends;
mod old_account;
mod taken;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use content::Marker;
use content::{millis, read_json};
pub use ends::{EndSort, LastEnd, last_ends};
pub use taken::{Circumstances, Claim, Taken};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Now;
use crate::draft;
use crate::host::open_regular_in_ours;
use crate::names;
use crate::report::ReportId;
use crate::supervisor::account::Account;

/// Separates a draft's name from the id of the process that writes it.
const DRAFT: &str = "~draft";
/// How far the kernel log had been read when the last life ended. Earlier records are not about
/// the next life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub boot_id: String,
    /// Sequence number of the last record.
    pub sequence: u64,
}

/// Times of the latest crashes of an instance.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Crashes {
    boot_id: String,
    /// In milliseconds since the boot.
    at_ms: Vec<u64>,
}

/// How far apart the crashes of one loop may be. After this time flood control treats the next
/// crash as news.
const LOOP: Duration = Duration::from_mins(10);
/// Maximum number of names of a directory that are looked at.
const MOST_NAMES: usize = 10_000;
/// Maximum number of markers of one service that are opened to see whether a `lastwords run` holds
/// one. A user may make up any number.
const MOST_HELD: usize = 16;
/// Maximum number of crashes that are remembered.
const MOST_CRASHES: usize = 16;

/// The file of one marker.
pub struct MarkerFile {
    dir: PathBuf,
    name: String,
}

/// Returns the markers in this directory that a `lastwords run` took at its start and has not
/// given back. That `lastwords run` may have been killed since.
pub fn held(dir: &Path) -> Vec<Taken> {
    let entries = dir
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .take(MOST_NAMES);
    entries
        .filter_map(|entry| Taken::at(&entry.path()))
        .filter(|taken| taken.circumstances.alive)
        .collect()
}

/// Returns the markers in this directory of services that run, each with its file's name. Ignores
/// markers that do not belong to user `uid`.
pub fn running(dir: &Path, uid: u32) -> impl Iterator<Item = (String, Marker)> {
    let held = held(dir);
    let names = dir
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .take(MOST_NAMES);
    let mut names: BTreeSet<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.contains('~'))
        .collect();
    names.extend(held.iter().map(|taken| taken.name().to_owned()));
    let dir = dir.to_owned();
    names.into_iter().filter_map(move |name| {
        let file = MarkerFile {
            dir: dir.clone(),
            name,
        };
        let marker = file.running_by(uid, &held).ok()??;
        Some((file.name, marker))
    })
}

impl MarkerFile {
    /// Returns the marker of this instance in `dir`. The file is in that directory whatever bytes
    /// the names hold.
    pub fn new(dir: PathBuf, job: &OsStr, instance: Option<&OsStr>) -> Self {
        let mut name = job.as_bytes().to_owned();
        if let Some(instance) = instance {
            // Neither holds a NUL, so no two pairs share a name.
            name.push(0);
            name.extend_from_slice(instance.as_bytes());
        }
        Self {
            dir,
            name: names::encode(&name),
        }
    }

    /// Returns the file's name while the marker is armed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the marker that was taken.
    pub fn of(taken: &Taken) -> Self {
        Self {
            dir: taken.dir(),
            name: taken.name().to_owned(),
        }
    }

    /// Arms the marker: the service is about to run.
    pub fn arm(&self, marker: &Marker) -> io::Result<()> {
        self.create_dir()?;
        self.write(&self.name, marker)
            .or_else(|why| self.arm_bare().map_err(|_| why))
    }

    /// Arms a marker and takes it at once, for a process that holds the lock on it.
    pub fn arm_taken(
        &self,
        marker: &Marker,
        id: ReportId,
        now: Now,
        by: Circumstances,
    ) -> io::Result<(Taken, File)> {
        self.create_dir()?;
        let taken = Taken::new(&self.dir, &self.name, id, now, by);
        // It is locked before anybody can find it. Two processes of one job may run at a time, each
        // with its own marker.
        let draft = self.path(&format!("{}{DRAFT}{}", self.name, std::process::id()));
        let file = draft::put(&draft, taken.path(), |file| {
            rewrite(file, marker)?;
            Ok(file.try_lock()?)
        })?;
        Ok((taken, file))
    }

    /// Arms an empty marker, which takes no room. Anybody can fill `/run`, and that must not hide a
    /// crash. If not even an empty file can be made, renames one that the last life left.
    fn arm_bare(&self) -> io::Result<()> {
        let path = self.path(&self.name);
        let create = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map(drop);
        create.or_else(|_| fs::rename(self.path(&self.seen()), path))
    }

    /// Reads the marker, if a hook of user `uid` has armed it.
    pub fn armed_by(&self, uid: u32) -> io::Result<Option<Marker>> {
        self.read_of(&self.name, uid)
    }

    /// Reads the marker of a service that runs: the armed one, or one of those that [`held`] found.
    /// Ignores markers that do not belong to user `uid`, and those that no start has armed.
    pub fn running_by(&self, uid: u32, held: &[Taken]) -> io::Result<Option<Marker>> {
        let armed = self.armed_by(uid)?.filter(|marker| !marker.unarmed);
        Ok(armed.or_else(|| self.held_by(uid, held)))
    }

    fn held_by(&self, uid: u32, held: &[Taken]) -> Option<Marker> {
        held.iter()
            .filter(|taken| taken.name() == self.name)
            .take(MOST_HELD)
            .find_map(|taken| {
                let name = taken.path().file_name()?.to_str()?;
                matches!(taken.claim(), Ok(Claim::Others))
                    .then(|| self.read_of(name, uid).ok()?)
                    .flatten()
            })
    }

    /// Marks the stop as planned. If no marker is armed, it marks `unarmed`, if there is one.
    pub fn plan(&self, now: Now, unarmed: Option<Marker>) -> io::Result<()> {
        let armed = self.read::<Marker>(&self.name)?;
        if armed.is_none() {
            self.create_dir()?;
        }
        let Some(marker) = armed.or(unarmed) else {
            return Ok(());
        };
        let planned = Marker {
            planned_ms: Some(millis(now.monotonic)),
            restarted: false,
            ..marker
        };
        self.write(&self.name, &planned)
    }

    /// Returns a marker of this service for when none is armed, so that its start is unknown.
    pub fn unarmed(&self, job: &str, instance: Option<&str>, boot_id: String, now: Now) -> Marker {
        let seen = self.last_seen().filter(|seen| seen.boot_id == boot_id);
        Marker {
            seen: seen.map(|seen| seen.sequence),
            unarmed: true,
            ..Marker::new(boot_id, now).of(job, instance)
        }
    }

    /// Takes the plan back: the stop is only a restart, which keeps the process running.
    pub fn take_back_plan(&self) -> io::Result<()> {
        self.change(|marker| Marker {
            planned_ms: None,
            restarted: true,
            ..marker
        })
    }

    fn change(&self, change: impl FnOnce(Marker) -> Marker) -> io::Result<()> {
        match self.read::<Marker>(&self.name)? {
            Some(marker) => self.write(&self.name, &change(marker)),
            None => Ok(()),
        }
    }

    /// Returns true if this announcement stood in the environment before the start already.
    pub fn was_announced_before(&self, announcement: &str) -> bool {
        let marker = self.read::<Marker>(&self.name).ok().flatten();
        let before = marker.and_then(|marker| marker.announced_before);
        before.is_some_and(|before| before == announcement)
    }

    /// Writes the supervisor's account of the end into the marker. If no marker is armed, writes
    /// `unarmed`: this supervisor's account suffices.
    pub fn tell(&self, account: Account, unarmed: impl FnOnce() -> Marker) -> io::Result<()> {
        let marker = match self.read::<Marker>(&self.name) {
            Ok(Some(marker)) => marker,
            // None was armed, or somebody has damaged it, which must not hide a crash.
            Ok(None) | Err(_) => unarmed(),
        };
        self.create_dir()?;
        // If there is no room for the account, at least the crash is known.
        self.write(
            &self.name,
            &Marker {
                account: Some(account),
                ..marker
            },
        )
        .or_else(|why| self.arm_bare().map_err(|_| why))
    }

    /// Takes the marker, so that no other hook judges the same stop. This one rename records the
    /// stop: from here on only a crash of the machine loses it. Returns `None` if none was armed.
    pub fn take(
        &self,
        id: ReportId,
        now: Now,
        circumstances: Circumstances,
    ) -> io::Result<Option<Taken>> {
        let taken = Taken::new(&self.dir, &self.name, id, now, circumstances);
        match fs::rename(self.path(&self.name), taken.path()) {
            Ok(()) => Ok(Some(taken)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes how far the kernel log has been read.
    pub fn see(&self, seen: &Seen) -> io::Result<()> {
        self.create_dir()?;
        self.write(&self.seen(), seen)
    }

    /// Counts a crash. Returns the number of crashes in the last 10 minutes, this one included, up
    /// to 16.
    pub fn count_crash(&self, boot_id: &str, now: Now) -> io::Result<usize> {
        let name = format!("{}~crashes", self.name);
        let before = self
            .read::<Crashes>(&name)
            .ok()
            .flatten()
            .filter(|crashes| crashes.boot_id == boot_id);
        let mut at_ms = before.unwrap_or_default().at_ms;
        at_ms.retain(|at| now.monotonic.saturating_sub(Duration::from_millis(*at)) < LOOP);
        at_ms.push(millis(now.monotonic));
        at_ms.drain(..at_ms.len().saturating_sub(MOST_CRASHES));
        let count = at_ms.len();
        self.create_dir()?;
        self.write(
            &name,
            &Crashes {
                boot_id: boot_id.to_owned(),
                at_ms,
            },
        )?;
        Ok(count)
    }

    fn create_dir(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
    }

    /// Reads how far the hook of the last life had read the kernel log.
    pub fn last_seen(&self) -> Option<Seen> {
        self.read(&self.seen()).ok().flatten()
    }

    /// Removes that, so that it does not count for the life after this one.
    pub fn forget_seen(&self) {
        let _ = fs::remove_file(self.path(&self.seen()));
    }

    /// Writes the supervisor's id of the life that has ended. Anybody can fill `/run`, and that
    /// must not let an end be told again and again: a link that leads nowhere takes no room.
    pub fn keep_invocation(&self, invocation: &str) -> io::Result<()> {
        let link = || {
            let path = self.path(&self.invocation());
            let _ = fs::remove_file(&path);
            symlink(invocation, &path)
        };
        self.write(&self.invocation(), &invocation)
            .or_else(|_| link())
    }

    /// Returns true if no hook has handled the end of the life with this id of the supervisor's.
    pub fn is_unseen(&self, invocation: Option<&str>) -> bool {
        let linked = || {
            let last = fs::read_link(self.path(&self.invocation())).ok()?;
            last.into_os_string().into_string().ok()
        };
        let last = self.read(&self.invocation()).ok().flatten();
        let last: Option<String> = last.or_else(linked);
        let armed = self
            .read::<Marker>(&self.name)
            .ok()
            .flatten()
            .and_then(|marker| marker.invocation);
        last.as_deref() != invocation && (armed.is_none() || armed.as_deref() == invocation)
    }

    /// Returns true if a hook has written the account of this life and was killed after that.
    pub fn has_account_of(&self, invocation: Option<&str>) -> bool {
        let account = self
            .read::<Marker>(&self.name)
            .ok()
            .flatten()
            .and_then(|marker| marker.account);
        account.is_some_and(|account| account.invocation.as_deref() == invocation)
    }

    fn invocation(&self) -> String {
        format!("{}~invocation", self.name)
    }

    fn seen(&self) -> String {
        format!("{}~seen", self.name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads a small file of our own. A file that belongs to another user, is too long or has
    /// another form is an error.
    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        self.read_of(name, rustix::process::geteuid().as_raw())
    }

    fn read_of<T: DeserializeOwned>(&self, name: &str, uid: u32) -> io::Result<Option<T>> {
        let path = self.path(name);
        let file = match open_of(&path, uid) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        read_json(file).map(Some)
    }

    /// Replaces a file in one step: a reader sees the old file or the new one.
    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let draft = self.path(&format!("{}{DRAFT}{}", self.name, std::process::id()));
        let json = serde_json::to_vec(value)?;
        draft::put(&draft, &self.path(name), |file| file.write_all(&json)).map(drop)
    }
}

/// Removes the drafts of processes that were killed.
pub fn sweep(markers: &Path) {
    let is_gone = |pid: Pid| matches!(test_kill_process(pid), Err(Errno::SRCH));
    let writer = |path: &Path| {
        Pid::from_raw(
            path.file_name()?
                .to_str()?
                .rsplit_once(DRAFT)?
                .1
                .parse()
                .ok()?,
        )
    };
    for draft in markers
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        if writer(&draft).is_some_and(is_gone) {
            let _ = fs::remove_file(draft);
        }
    }
}

/// Overwrites the content of a marker's file in one write, which no kill can cut in two. Spaces
/// cover the rest of longer content.
pub fn rewrite(file: &File, marker: &Marker) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(marker)?;
    let before = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    bytes.resize(bytes.len().max(before), b' ');
    file.write_all_at(&bytes, 0)
}

fn open_of(path: &Path, uid: u32) -> io::Result<File> {
    let file = open_regular_in_ours(path)?;
    let owner = file.metadata()?.uid();
    if owner == uid {
        Ok(file)
    } else {
        Err(io::Error::other(format!(
            "{} belongs to user {owner}, not to user {uid}",
            path.display()
        )))
    }
}

#[cfg(test)]
mod tests;
