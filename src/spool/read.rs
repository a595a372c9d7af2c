//! Reads entries without trusting a file's kind, its owner, its size, its form or the id in it.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{Ledger, Outcome, Place, Spool, entry, ledger_name};
use crate::host::open_regular_in_ours;
use crate::report::{Report, ReportId, Section, SinkKey};

/// Largest entry that is read, in bytes. The collectors' output stays far below it.
pub(super) const MAX_ENTRY: u64 = 16 * 1024 * 1024;

impl Spool {
    /// Reads a report with what slow collectors have added since. A damaged one is moved to
    /// `corrupt/`.
    pub fn read(&self, place: Place, id: &ReportId) -> io::Result<Report> {
        let path = self.file(place, id);
        match read_report(&path, id.as_str(), &self.owners()?) {
            Ok(mut report) => {
                report
                    .sections
                    .extend(self.additions(id)?.unwrap_or_default());
                report.past = self.past(id).ok().flatten();
                Ok(report)
            }
            Err(Unreadable::Gone) => Err(io::ErrorKind::NotFound.into()),
            Err(Unreadable::Newer(why)) => Err(io::Error::new(io::ErrorKind::Unsupported, why)),
            Err(Unreadable::NotNow(error)) => Err(error),
            Err(Unreadable::Invalid(why)) if !path.starts_with(&self.dir) => {
                // It is on the disk behind this deputy, and can only be moved later.
                self.note_damaged(id, &why)?;
                Err(io::Error::new(io::ErrorKind::InvalidData, why))
            }
            Err(Unreadable::Invalid(why)) => {
                let aside = self.put_aside(&path)?;
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{why}; it is now {}", aside.display()),
                ))
            }
        }
    }

    /// Returns what slow collectors added to a report; `None` if they have not run.
    pub fn additions(&self, id: &ReportId) -> io::Result<Option<Vec<Section>>> {
        self.state_of(id, "sections")
    }

    /// Returns what `sink` has done with this report. A ledger that cannot be understood counts as
    /// a new one: a message that comes twice, under the same idempotency key, is better than none.
    pub fn ledger(&self, id: &ReportId, sink: &SinkKey) -> io::Result<Ledger> {
        self.ledger_in(id, &ledger_name(sink))
    }

    /// Returns the message that tells `sink` of this report, and its ledger: the report itself,
    /// unless `ledger`, which is the report's own, names another that does.
    pub fn telling(
        &self,
        id: &ReportId,
        sink: &SinkKey,
        ledger: Ledger,
    ) -> io::Result<(ReportId, Ledger)> {
        match ledger.outcome {
            Some(Outcome::Summarised { r#in }) => {
                let told = self.ledger(&r#in, sink)?;
                Ok((r#in, told))
            }
            _ => Ok((id.clone(), ledger)),
        }
    }

    /// Reads the ledger in the file of this name.
    pub(super) fn ledger_in(&self, id: &ReportId, name: &str) -> io::Result<Ledger> {
        match self.state_of(id, name) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Ledger::default()),
            other => Ok(other?.unwrap_or_default()),
        }
    }
}

/// Reason why a file holds no report.
pub enum Unreadable {
    /// Another deliverer has moved it.
    Gone,
    /// A newer lastwords wrote it. It stays where it is, for a newer one to read.
    Newer(String),
    /// The machine is in the way, not the file. It stays where it is, for another pass.
    NotNow(io::Error),
    Invalid(String),
}

/// Reads the report in an entry of that name, which must belong to one of the `owners`.
pub fn read_report(path: &Path, name: &str, owners: &[u32]) -> Result<Report, Unreadable> {
    read_as(path, name, owners, |report: &Report| &report.id)
}

/// Does the same for a type that takes only part of the report.
pub(super) fn read_as<T: DeserializeOwned>(
    path: &Path,
    name: &str,
    owners: &[u32],
    id: impl Fn(&T) -> &ReportId,
) -> Result<T, Unreadable> {
    let invalid = |why: String| Unreadable::Invalid(format!("{}: {why}", path.display()));
    let bytes = match read_entry(path, owners) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unreadable::Gone),
        Err(error) if may_pass(&error) => return Err(Unreadable::NotNow(error)),
        read => read.map_err(|why| invalid(why.to_string()))?,
    };
    let report: T = entry::decode(&bytes).map_err(|wrong| match wrong {
        entry::EntryError::Newer(why) => Unreadable::Newer(format!("{}: {why}", path.display())),
        entry::EntryError::Damaged(why) => invalid(why),
    })?;
    if id(&report).as_str() == name {
        Ok(report)
    } else {
        Err(invalid(format!(
            "the report in it calls itself {}",
            id(&report)
        )))
    }
}

fn read_entry(path: &Path, owners: &[u32]) -> io::Result<Vec<u8>> {
    let file = open_regular_in_ours(path)?;
    let found = file.metadata()?;
    if !owners.contains(&found.uid()) {
        return Err(io::Error::other(format!(
            "it belongs to user {}, who may not put it there",
            found.uid()
        )));
    }
    if found.size() > MAX_ENTRY {
        return Err(io::Error::other(format!(
            "it has {} bytes, more than any report",
            found.size()
        )));
    }
    let mut bytes = Vec::new();
    file.take(MAX_ENTRY + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns true if an error says nothing about the file: the kernel refused a call, or no memory
/// was left. The kernel may refuse anything for a moment: no descriptors are left, the disk fails,
/// a security module changes its rules. Errors in our own words come from facts about the file.
pub(super) fn may_pass(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
        || matches!(
            error.kind(),
            io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock
        )
}

pub fn read_state<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match open_regular_in_ours(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => {
            let mut bytes = Vec::new();
            file?.take(MAX_ENTRY).read_to_end(&mut bytes)?;
            serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
        }
    }
}
