//! The marker: armed while the service runs, planned once somebody has asked it to stop.
//!
//! One small file per job and instance. A file that is still armed after the service has ended is
//! what tells a crash from a planned stop.
//!
//! | state | file | by |
//! |---|---|---|
//! | not armed | none | |
//! | armed | `NAME` | pre-start |
//! | planned | `NAME`, with `planned` set | pre-stop |
//! | taken | `NAME~taken-…` | post-stop, by rename: of two hooks only one gets it; `lastwords run`, from the start. See [`Taken`] |
//! | dealt with | none | post-stop's worker, or whoever finds that it was killed |
//! | its crashes | `NAME~crashes` | post-stop: when the latest were, to tell a loop |
//! | last life | `NAME~invocation` | post-stop: systemd's id of the life whose end it has seen |
//! | last seen | `NAME~seen` | post-stop: how far it has read the kernel log; until the next pre-start |
//!
//! A plan runs out: Upstart's `restart` runs pre-stop and keeps the same process going, and the
//! crash after that must not be missed. A pre-start that finds its marker still armed takes it too:
//! the last life's post-stop never ran.

mod old_account;
mod taken;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use taken::{Circumstances, Lock, Taken};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Now;
use crate::host::open_regular_in_ours;
use crate::names;
use crate::report::{ReportId, Timestamp};
use crate::supervisor::account::Account;
use crate::supervisor::run::Life;

/// What an armed marker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The boot in which it was armed; what an earlier boot left says nothing.
    pub boot_id: String,
    /// When, by the calendar.
    pub armed_at: Timestamp,
    /// When, in milliseconds since the boot.
    pub armed_ms: u64,
    /// When a planned stop was announced, in milliseconds since the boot.
    #[serde(default)]
    pub planned_ms: Option<u64>,
    /// Whose it is; what is cut off a very long name nobody misses.
    #[serde(default)]
    pub job: Option<String>,
    #[serde(default)]
    pub instance: Option<String>,
    /// The sequence number of the last record of the kernel log that is known to be about an
    /// earlier life.
    #[serde(default)]
    pub seen: Option<u64>,
    /// The supervisor's own id of this life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// How many processes the kernel had killed for want of memory by then, since the boot.
    #[serde(default)]
    pub oom_kills: Option<u64>,
    /// The process that armed it for the main process, and became it, where that is how the
    /// supervisor starts services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// It is run once: that its supervisor does not want it up says nothing of a stop.
    #[serde(default, skip_serializing_if = "is_false")]
    pub once: bool,
    /// What the supervisor told the hook about the end, where it tells that to hooks.
    #[serde(
        default,
        deserialize_with = "old_account::read_either",
        skip_serializing_if = "Option::is_none"
    )]
    pub account: Option<Account>,
    /// Nobody had armed it: the hook after the end made it, and since when the service ran is not
    /// known.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unarmed: bool,
    /// What `lastwords run` has seen, where it runs the service.
    #[serde(default)]
    pub life: Option<Life>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(it: &bool) -> bool {
    !it
}

/// Between a draft's name and the number of the process that writes it.
const DRAFT: &str = "~draft";
/// The longest name that a marker keeps, in bytes: no path is longer.
const MAX_NAME: usize = 4096;
/// The largest marker that is read: two names, each byte of them escaped, and what a supervisor
/// tells.
const MAX_MARKER: u64 = 64 * 1024;

impl Marker {
    pub fn new(boot_id: String, now: Now) -> Self {
        let armed_ms = millis(now.monotonic);
        let armed_at = now.wall;
        Self {
            boot_id,
            armed_at,
            armed_ms,
            planned_ms: None,
            job: None,
            instance: None,
            seen: None,
            invocation: None,
            oom_kills: None,
            pid: None,
            once: false,
            account: None,
            unarmed: false,
            life: None,
        }
    }

    /// The same, armed for this job's instance.
    #[must_use]
    pub fn of(self, job: &str, instance: Option<&str>) -> Self {
        let cut = |name: &str| {
            name.get(..name.floor_char_boundary(MAX_NAME))
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            job: Some(cut(job)),
            instance: instance.map(cut),
            ..self
        }
    }

    /// Reads a marker.
    pub fn read(from: impl Read) -> io::Result<Self> {
        read_json(from)
    }

    /// How long the service has been up.
    pub fn uptime(&self, now: Now) -> Duration {
        now.monotonic
            .saturating_sub(Duration::from_millis(self.armed_ms))
    }

    /// How long ago a planned stop was announced.
    pub fn planned_ago(&self, now: Now) -> Option<Duration> {
        self.planned_ms
            .map(|planned| now.monotonic.saturating_sub(Duration::from_millis(planned)))
    }
}

/// How far the kernel log had been read when the last life ended: what came before is not about
/// this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub boot_id: String,
    /// The sequence number of the last record.
    pub sequence: u64,
}

/// The latest crashes of an instance.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Crashes {
    boot_id: String,
    /// In milliseconds since the boot.
    at_ms: Vec<u64>,
}

/// Crashes that lie no further back than this are a loop's: the time after which flood control
/// calls the next one news.
const LOOP: Duration = Duration::from_mins(10);
/// How many names of a directory are looked at.
const MOST_NAMES: usize = 10_000;
/// So many crashes are remembered.
const MOST_CRASHES: usize = 16;

/// The marker of one job's instance, in its directory.
pub struct MarkerFile {
    dir: PathBuf,
    name: String,
}

/// The markers in this directory that a `lastwords run` has taken for as long as it lives; it may
/// have been killed since.
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

impl MarkerFile {
    /// The marker of this instance in `dir`. Whatever the names hold, the file is in that
    /// directory.
    pub fn new(dir: PathBuf, job: &OsStr, instance: Option<&OsStr>) -> Self {
        let mut name = job.as_bytes().to_owned();
        if let Some(instance) = instance {
            // NUL can stand in neither, so no two pairs share a name.
            name.push(0);
            name.extend_from_slice(instance.as_bytes());
        }
        Self {
            dir,
            name: names::encode(&name),
        }
    }

    /// The marker that this one was.
    pub fn of(taken: &Taken) -> Self {
        Self {
            dir: taken.dir(),
            name: taken.name().to_owned(),
        }
    }

    /// Says that the service is about to run.
    pub fn arm(&self, marker: &Marker) -> io::Result<()> {
        self.create_dir()?;
        self.write(&self.name, marker)
            .or_else(|why| self.arm_bare().map_err(|_| why))
    }

    /// Arms for a process that takes its own marker at once, and holds the lock on it.
    pub fn arm_taken(
        &self,
        marker: &Marker,
        id: ReportId,
        now: Now,
        by: Circumstances,
    ) -> io::Result<(Taken, File)> {
        self.create_dir()?;
        let taken = Taken::new(&self.dir, &self.name, id, now, by);
        // Locked before anybody can find it. Two of one job may run at a time, each with its own.
        let draft = self.path(&format!("{}{DRAFT}{}", self.name, std::process::id()));
        let _ = fs::remove_file(&draft);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        let armed = rewrite(&file, marker)
            .and_then(|()| Ok(file.try_lock()?))
            .and_then(|()| fs::rename(&draft, taken.path()));
        if let Err(why) = armed {
            let _ = fs::remove_file(&draft);
            return Err(why);
        }
        Ok((taken, file))
    }

    /// Arms without a word: anybody can fill `/run`, and must not hide a crash by that. A file with
    /// nothing in it takes no room; where there is none for another file either, one from the last
    /// life will do.
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

    /// The marker that a hook of user `uid` has armed.
    pub fn armed_by(&self, uid: u32) -> io::Result<Option<Marker>> {
        self.read_of(&self.name, uid)
    }

    /// What says that the service runs, where user `uid` says so: the armed marker, or one of those
    /// that [`held`] has found in this directory.
    pub fn running_by(&self, uid: u32, held: &[Taken]) -> io::Result<Option<Marker>> {
        Ok(self.armed_by(uid)?.or_else(|| self.held_by(uid, held)))
    }

    fn held_by(&self, uid: u32, held: &[Taken]) -> Option<Marker> {
        held.iter()
            .filter(|taken| taken.name() == self.name)
            .find_map(|taken| {
                let name = taken.path().file_name()?.to_str()?;
                matches!(taken.lock(), Ok(Lock::Others))
                    .then(|| self.read_of(name, uid).ok()?)
                    .flatten()
            })
    }

    /// Says that somebody has asked the service to stop. Does nothing where nothing is armed.
    pub fn plan(&self, now: Now) -> io::Result<()> {
        let Some(marker) = self.read::<Marker>(&self.name)? else {
            return Ok(());
        };
        self.write(
            &self.name,
            &Marker {
                planned_ms: Some(millis(now.monotonic)),
                ..marker
            },
        )
    }

    /// Keeps what the supervisor tells of the end that has come. Where nothing is armed it makes
    /// `unarmed` so: this supervisor tells enough without that.
    pub fn tell(&self, account: Account, unarmed: impl FnOnce() -> Marker) -> io::Result<()> {
        let marker = match self.read::<Marker>(&self.name) {
            Ok(Some(marker)) => marker,
            // Nothing was armed; or somebody has damaged it, who must not hide a crash by that.
            Ok(None) | Err(_) => Marker {
                unarmed: true,
                ..unarmed()
            },
        };
        self.create_dir()?;
        // Where there is no room for that, at least the crash is known.
        self.write(
            &self.name,
            &Marker {
                account: Some(account),
                ..marker
            },
        )
        .or_else(|why| self.arm_bare().map_err(|_| why))
    }

    /// Takes the marker away, so that no other hook judges the same stop. This one rename is the
    /// record of the stop: from here on nothing loses it but the machine's end. `None` where
    /// nothing was armed.
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

    /// Keeps how far the kernel log has been read.
    pub fn see(&self, seen: &Seen) -> io::Result<()> {
        self.create_dir()?;
        self.write(&self.seen(), seen)
    }

    /// Counts a crash. Returns how many there were in the last 10 minutes, this one included, up to
    /// 16.
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

    /// How far the last life's hook had read the kernel log.
    pub fn last_seen(&self) -> Option<Seen> {
        self.read(&self.seen()).ok().flatten()
    }

    /// Sees to it that it is not taken for the next life's.
    pub fn forget_seen(&self) {
        let _ = fs::remove_file(self.path(&self.seen()));
    }

    /// Keeps which life's end has been seen, by the supervisor's id of it.
    pub fn keep_invocation(&self, invocation: &str) -> io::Result<()> {
        self.write(&self.invocation(), &invocation)
    }

    /// Whether no hook has seen the end of this life yet, by the supervisor's id of it.
    pub fn is_unseen(&self, invocation: Option<&str>) -> bool {
        let last: Option<String> = self.read(&self.invocation()).ok().flatten();
        let armed = self
            .read::<Marker>(&self.name)
            .ok()
            .flatten()
            .and_then(|marker| marker.invocation);
        last.as_deref() != invocation && (armed.is_none() || armed.as_deref() == invocation)
    }

    /// Whether a hook has been told how this life ended, and was killed after that.
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

    /// Reads a small file of our own; one that is another user's, too long or not ours in form is
    /// an error.
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

    /// Replaces a file in one step: a reader sees the old one or the new one.
    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let draft = self.path(&format!("{}{DRAFT}{}", self.name, std::process::id()));
        // A draft that an earlier process of this number left behind is in the way of O_EXCL.
        let _ = fs::remove_file(&draft);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(&serde_json::to_vec(value)?))
            .and_then(|()| fs::rename(&draft, self.path(name)));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }
}

/// Removes the drafts of processes that were killed before they could.
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

/// Writes a marker over what its file holds, in one step that no kill can cut in two: spaces fill
/// what was longer.
pub fn rewrite(file: &File, marker: &Marker) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(marker)?;
    let before = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    bytes.resize(bytes.len().max(before), b' ');
    file.write_all_at(&bytes, 0)
}

fn read_json<T: DeserializeOwned>(from: impl Read) -> io::Result<T> {
    let mut text = String::new();
    from.take(MAX_MARKER).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(io::Error::from)
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
