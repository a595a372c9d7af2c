//! Keeps what is remembered of each job's deaths, in `state/jobs/JOB`, by a user's word in
//! `state/jobs-of/UID/JOB`; and of each report in `new/` what that says about it, in
//! `state/ID/past`.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::commit::commit;
use super::read::read_state;
use super::{Brief, Spool, list};
use crate::draft;
use crate::names;
use crate::past::Chronicle;
use crate::report::{Past, ReportId};

/// Maximum number of jobs that are remembered.
const MAX_JOBS: usize = 1000;
/// Maximum number of jobs that are remembered by one user's word: users may make up names.
const MAX_JOBS_OF_A_USER: usize = 50;

/// The job whose deaths a chronicle counts, and the user whose word they are, unless root's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chronicled {
    pub user: Option<u32>,
    pub job: String,
}

impl Chronicled {
    fn file(&self) -> String {
        // The NUL was followed by the user, when all lay in one directory.
        names::encode(format!("{}\0", self.job))
    }
}

impl Spool {
    /// Returns what is remembered of this job; nothing if that cannot be understood.
    pub fn chronicle(&self, of: &Chronicled) -> io::Result<Chronicle> {
        match read_state(&self.chronicles(of.user).join(of.file())) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Chronicle::default()),
            other => Ok(other?.unwrap_or_default()),
        }
    }

    /// Returns the job's latest death that is remembered, if its report is still in the spool.
    pub fn latest_death(&self, of: &Chronicled) -> Option<Brief> {
        let id = self.chronicle(of).ok()?.latest_id()?.clone();
        self.brief(self.find(&id)?, &id).ok()
    }

    /// Keeps what is remembered of this job. The caller holds a lock.
    pub fn write_chronicle(&self, of: &Chronicled, chronicle: &Chronicle) -> io::Result<()> {
        let (dir, name) = (self.chronicles(of.user), of.file());
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        if !dir.join(&name).exists() {
            let most = of.user.map_or(MAX_JOBS, |_| MAX_JOBS_OF_A_USER);
            forget_the_oldest(&dir, most)?;
        }
        commit(
            &dir.join(format!(".{name}")),
            &dir,
            &name,
            &serde_json::to_vec(chronicle)?,
        )
    }

    /// Returns what earlier deaths say about this one; `None` if nobody has looked yet.
    pub fn past(&self, id: &ReportId) -> io::Result<Option<Past>> {
        match self.state_of(id, "past") {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            other => other,
        }
    }

    /// Keeps what earlier deaths say. This is not synced: losing it with the machine only makes a
    /// message shorter.
    pub fn write_past(&self, id: &ReportId, past: &Past) -> io::Result<()> {
        let dir = self.state(id);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let json = serde_json::to_vec(past)?;
        draft::put(&dir.join(".past"), &dir.join("past"), |file| {
            file.write_all(&json)
        })
        .map(drop)
    }

    fn chronicles(&self, user: Option<u32>) -> PathBuf {
        let state = self.dir.join("state");
        match user {
            None => state.join("jobs"),
            Some(uid) => state.join("jobs-of").join(uid.to_string()),
        }
    }
}

/// Makes room for one more job in a directory that holds `most`.
fn forget_the_oldest(dir: &Path, most: usize) -> io::Result<()> {
    let files = list(dir)?;
    if files.len() < most {
        return Ok(());
    }
    let modified = |path: &PathBuf| {
        fs::symlink_metadata(path)
            .and_then(|found| found.modified())
            .ok()
    };
    let oldest = files
        .into_iter()
        .map(|name| dir.join(name))
        .min_by_key(modified);
    oldest.map_or(Ok(()), fs::remove_file)
}
