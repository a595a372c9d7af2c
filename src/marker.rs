//! The marker: armed while the service runs, planned once somebody has asked it to stop.
//!
//! One small file per job and instance. A file that is still armed after the service has ended is what tells a crash
//! from a planned stop.
//!
//! | state | file | by |
//! |---|---|---|
//! | not armed | none | |
//! | armed | `NAME` | pre-start |
//! | planned | `NAME`, with `planned` set | pre-stop |
//! | taken | `NAME~taken` | post-stop, by rename: of two hooks only one gets it |
//! | last seen | `NAME~seen` | post-stop: how far it has read the kernel log |
//!
//! A plan runs out: Upstart's `restart` runs pre-stop and keeps the same process going, and the crash after that must
//! not be missed.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Now;
use crate::host::open_regular_in_ours;
use crate::names;
use crate::report::Timestamp;

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
}

impl Marker {
    pub fn new(boot_id: String, now: Now) -> Self {
        Self { boot_id, armed_at: now.wall, armed_ms: millis(now.monotonic), planned_ms: None }
    }

    /// How long the service has been up.
    pub fn uptime(&self, now: Now) -> Duration {
        now.monotonic.saturating_sub(Duration::from_millis(self.armed_ms))
    }

    /// How long ago a planned stop was announced.
    pub fn planned_ago(&self, now: Now) -> Option<Duration> {
        self.planned_ms.map(|planned| now.monotonic.saturating_sub(Duration::from_millis(planned)))
    }
}

/// How far the kernel log had been read when the last life ended: what came before is not about this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub boot_id: String,
    /// The sequence number of the last record.
    pub sequence: u64,
}

/// What [`MarkerFile::take`] found.
#[derive(Debug)]
pub enum Taken {
    /// Nothing was armed.
    Nothing,
    Marker(Marker),
    /// Something was there, but it is no marker that we can read, for this reason.
    Unreadable(io::Error),
}

/// The marker of one job's instance, in its directory.
pub struct MarkerFile {
    dir: PathBuf,
    name: String,
}

impl MarkerFile {
    /// The marker of this instance in `dir`. Whatever the names hold, the file is in that directory.
    pub fn new(dir: PathBuf, job: &OsStr, instance: Option<&OsStr>) -> Self {
        let mut name = job.as_bytes().to_owned();
        if let Some(instance) = instance {
            // NUL can stand in neither, so no two pairs share a name.
            name.push(0);
            name.extend_from_slice(instance.as_bytes());
        }
        Self { dir, name: names::encode(&name) }
    }

    /// Says that the service is about to run.
    pub fn arm(&self, marker: &Marker) -> io::Result<()> {
        self.create_dir()?;
        self.write(&self.name, marker)
    }

    /// What says that the service runs, where user `uid` has armed it.
    pub fn armed_by(&self, uid: u32) -> io::Result<Option<Marker>> {
        self.read_of(&self.name, uid)
    }

    /// Says that somebody has asked the service to stop. Does nothing where nothing is armed.
    pub fn plan(&self, now: Now) -> io::Result<()> {
        let Some(marker) = self.read::<Marker>(&self.name)? else { return Ok(()) };
        self.write(&self.name, &Marker { planned_ms: Some(millis(now.monotonic)), ..marker })
    }

    /// Takes the marker away, so that no other hook judges the same stop.
    pub fn take(&self) -> io::Result<Taken> {
        match fs::rename(self.path(&self.name), self.path(&self.taken())) {
            Ok(()) => Ok(match self.read(&self.taken()) {
                Ok(Some(marker)) => Taken::Marker(marker),
                Ok(None) => Taken::Nothing,
                Err(why) => Taken::Unreadable(why),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Taken::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Ends what [`MarkerFile::take`] began, once the stop is judged and its report is safe.
    pub fn settle(&self) -> io::Result<()> {
        fs::remove_file(self.path(&self.taken()))
    }

    /// Keeps how far the kernel log has been read.
    pub fn see(&self, seen: &Seen) -> io::Result<()> {
        self.create_dir()?;
        self.write(&self.seen(), seen)
    }

    fn create_dir(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)
    }

    /// How far the last life's hook had read the kernel log.
    pub fn last_seen(&self) -> Option<Seen> {
        self.read(&self.seen()).ok().flatten()
    }

    fn taken(&self) -> String {
        format!("{}~taken", self.name)
    }

    fn seen(&self) -> String {
        format!("{}~seen", self.name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads a small file of our own; one that is another user's, too long or not ours in form is an error.
    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        self.read_of(name, rustix::process::geteuid().as_raw())
    }

    fn read_of<T: DeserializeOwned>(&self, name: &str, uid: u32) -> io::Result<Option<T>> {
        let path = self.path(name);
        let file = match open_of(&path, uid) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = String::new();
        file.take(4096).read_to_string(&mut text)?;
        serde_json::from_str(&text).map(Some).map_err(io::Error::from)
    }

    /// Replaces a file in one step: a reader sees the old one or the new one.
    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let draft = self.path(&format!("{}~draft{}", self.name, std::process::id()));
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

fn open_of(path: &Path, uid: u32) -> io::Result<File> {
    let file = open_regular_in_ours(path)?;
    let owner = file.metadata()?.uid();
    if owner == uid {
        Ok(file)
    } else {
        Err(io::Error::other(format!("{} belongs to user {owner}, not to user {uid}", path.display())))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
