//! Keeps the outcome of each job's last drill that was sent, in `state/drills/JOB`.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;

use serde::{Deserialize, Serialize};

use super::Spool;
use super::commit::commit;
use super::read::read_state;
use crate::names;
use crate::report::{SinkKey, Timestamp};

/// A drill that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    pub at: Timestamp,
    /// The sinks that took it.
    pub taken: Vec<SinkKey>,
    /// The sinks that did not take it.
    pub failed: Vec<SinkKey>,
}

impl Spool {
    /// Returns the last drill of this job; `None` if there was none, or none that can be
    /// understood.
    pub fn last_drill(&self, job: &str) -> io::Result<Option<Drill>> {
        match read_state(&self.dir.join("state/drills").join(names::encode(job))) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            other => other,
        }
    }

    /// Keeps a drill.
    pub fn remember_drill(&self, job: &str, drill: &Drill) -> io::Result<()> {
        let (dir, name) = (self.dir.join("state/drills"), names::encode(job));
        self.create()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        commit(
            &dir.join(format!(".{name}")),
            &dir,
            &name,
            &serde_json::to_vec(drill)?,
        )
    }
}
