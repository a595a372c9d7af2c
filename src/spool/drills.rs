//! Keeps drills that were sent: the outcome of each job's last one, in `state/drills/JOB`, and
//! their reports, in the history.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;

use serde::{Deserialize, Serialize};

use super::commit::commit;
use super::read::read_state;
use super::{Attempt, Ledger, Place, Spool, entry};
use crate::names;
use crate::report::{Report, SinkKey, Timestamp};

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

    /// Keeps a drill's report, which its messages name, in the history. Nobody is to send it again.
    pub fn keep_drill(
        &self,
        report: &Report,
        results: impl IntoIterator<Item = (SinkKey, Result<String, String>)>,
        now: Timestamp,
    ) -> io::Result<()> {
        for (sink, result) in results {
            let mut ledger = Ledger::default();
            match result {
                Ok(receipt) => ledger.record(Attempt::Sent { receipt }, now, 0.0),
                Err(why) => ledger.record(Attempt::Refused { why }, now, 0.0),
            }
            self.write_ledger(&report.id, &sink, &ledger)?;
        }
        let (name, done) = (report.id.as_str(), self.dir.join(Place::Done.name()));
        let draft = self.dir.join("tmp").join(format!(".{name}"));
        commit(&draft, &done, name, &entry::encode(report)?)
    }
}
