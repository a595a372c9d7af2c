//! Keeps what is remembered of each job's deaths, in `state/jobs/JOB`; and of each report in `new/`
//! what that says about it, in `state/ID/past`.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use super::commit::commit;
use super::read::read_state;
use super::{Spool, list};
use crate::draft;
use crate::names;
use crate::past::Chronicle;
use crate::report::{Past, ReportId};

/// Maximum number of jobs that are remembered: users' hooks may make up names.
const MAX_JOBS: usize = 1000;

impl Spool {
    /// Returns what is remembered of this job; nothing if that cannot be understood.
    pub fn chronicle(&self, job: &str) -> io::Result<Chronicle> {
        match read_state(&self.chronicles().join(names::encode(job))) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Chronicle::default()),
            other => Ok(other?.unwrap_or_default()),
        }
    }

    /// Keeps what is remembered of this job. The caller holds a lock.
    pub fn write_chronicle(&self, job: &str, chronicle: &Chronicle) -> io::Result<()> {
        let (dir, name) = (self.chronicles(), names::encode(job));
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        if !dir.join(&name).exists() {
            self.forget_the_oldest()?;
        }
        commit(
            &dir.join(format!(".{name}")),
            &dir,
            &name,
            &serde_json::to_vec(chronicle)?,
        )
    }

    /// Makes room for one more job.
    fn forget_the_oldest(&self) -> io::Result<()> {
        let dir = self.chronicles();
        let files = list(&dir)?;
        if files.len() < MAX_JOBS {
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

    /// Returns what earlier deaths say about this one; `None` if nobody has looked yet.
    pub fn past(&self, id: &ReportId) -> io::Result<Option<Past>> {
        match read_state(&self.state(id).join("past")) {
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

    fn chronicles(&self) -> PathBuf {
        self.dir.join("state/jobs")
    }
}
