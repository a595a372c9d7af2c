//! The last good end of a service: a run that ended by itself, as the job wants its runs to end.
//!
//! It tells that a job that runs by the clock is well again, and that it has run in time. Where a
//! hook cannot keep it, people are told of a run that is missing too soon, never too late.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::content::millis;
use super::{MOST_NAMES, MarkerFile};
use crate::clock::Now;
use crate::report::{Supervisor, Timestamp};

/// End of the file's name.
const WELL: &str = "~well";

/// A good end, and the service whose it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodEnd {
    pub job: String,
    pub instance: Option<String>,
    pub supervisor: Supervisor,
    pub boot_id: String,
    pub at: Timestamp,
    /// In milliseconds since the boot.
    pub at_ms: u64,
}

impl GoodEnd {
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
        }
    }
}

impl MarkerFile {
    /// Writes when a run has ended well.
    pub fn keep_good_end(&self, end: &GoodEnd) -> std::io::Result<()> {
        self.create_dir()?;
        self.write(&format!("{}{WELL}", self.name), end)
    }

    /// Returns the last good end, if a hook of user `uid` has kept one that can be read.
    pub fn good_end_by(&self, uid: u32) -> Option<GoodEnd> {
        let name = format!("{}{WELL}", self.name);
        self.read_of(&name, uid).ok().flatten()
    }
}

/// Returns the last good ends of all services whose hooks of user `uid` have a marker in `dir`.
pub fn good_ends(dir: &Path, uid: u32) -> Vec<GoodEnd> {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    let names = entries
        .take(MOST_NAMES)
        .filter_map(|entry| entry.file_name().into_string().ok());
    let read = |name: String| {
        let name = name.strip_suffix(WELL)?.to_owned();
        let dir = dir.to_owned();
        MarkerFile { dir, name }.good_end_by(uid)
    };
    names.filter_map(read).collect()
}
