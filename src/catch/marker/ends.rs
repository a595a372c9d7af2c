//! The last ends of a service that say how it is with it while it does not run: its last good end,
//! where a run ended by itself as the job wants its runs to end; its last stop, which somebody had
//! asked for; and the last end after which its supervisor has given up.
//!
//! A good end tells that a job that runs by the clock is well again, and that it has run in time.
//! Where a hook cannot keep it, people are told of a run that is missing too soon, never too late.
//! A stop tells that a service which does not run is meant not to. That a supervisor has given up
//! is kept where it says so of itself: asked later, it may not answer.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::content::millis;
use super::{MOST_NAMES, MarkerFile};
use crate::clock::Now;
use crate::report::{Supervisor, Timestamp};

/// The sort of a last end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndSort {
    /// It ended by itself.
    Well,
    /// Somebody had asked for it.
    Stopped,
    /// The supervisor has given up starting it again.
    GivenUp,
}

impl EndSort {
    /// Returns the end of the file's name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Well => "~well",
            Self::Stopped => "~stopped",
            Self::GivenUp => "~given-up",
        }
    }
}

/// A last end, and the service whose it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastEnd {
    pub job: String,
    pub instance: Option<String>,
    pub supervisor: Supervisor,
    pub boot_id: String,
    pub at: Timestamp,
    /// In milliseconds since the boot.
    pub at_ms: u64,
    /// The directory in which the supervisor keeps the service, if each has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The supervisor's reason to give up, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl LastEnd {
    pub fn new(
        (job, instance): (&str, Option<&str>),
        supervisor: Supervisor,
        boot_id: String,
        now: Now,
    ) -> Self {
        Self {
            job: job.to_owned(),
            instance: instance.map(str::to_owned),
            supervisor,
            boot_id,
            at: now.wall,
            at_ms: millis(now.monotonic),
            directory: None,
            because: None,
        }
    }
}

impl MarkerFile {
    /// Writes when the last end of this sort was.
    pub fn keep_end(&self, sort: EndSort, end: &LastEnd) -> std::io::Result<()> {
        self.create_dir()?;
        self.write(&format!("{}{}", self.name, sort.suffix()), end)
    }

    /// Forgets the last end of this sort: a life has begun since.
    pub fn forget_end(&self, sort: EndSort) {
        let _ = fs::remove_file(self.dir.join(format!("{}{}", self.name, sort.suffix())));
    }

    /// Returns the last end of this sort, if a hook of user `uid` has kept one that can be read.
    pub fn end_by(&self, sort: EndSort, uid: u32) -> Option<LastEnd> {
        let name = format!("{}{}", self.name, sort.suffix());
        self.read_of(&name, uid).ok().flatten()
    }
}

/// Returns the last ends of this sort of all services whose hooks of user `uid` have a marker in
/// `dir`.
pub fn last_ends(dir: &Path, sort: EndSort, uid: u32) -> Vec<LastEnd> {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    let names = entries
        .take(MOST_NAMES)
        .filter_map(|entry| entry.file_name().into_string().ok());
    let read = |name: String| {
        let name = name.strip_suffix(sort.suffix())?.to_owned();
        let dir = dir.to_owned();
        MarkerFile { dir, name }.end_by(sort, uid)
    };
    names.filter_map(read).collect()
}
