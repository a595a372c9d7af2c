//! Commits reports. A report is committed once the file and then its directory are on the disk:
//! file fsync, rename, directory fsync. An fsync that failed is never tried again on the same file:
//! the kernel may call it clean while the disk has old data.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::lock::is_at;
use super::{Ledger, Place, Spool, entry, ledger_name};
use crate::draft;
use crate::report::{Report, ReportId, Section, SinkKey};

impl Spool {
    /// Commits a report: after this it survives the process and the machine.
    pub fn put(&self, report: &Report) -> io::Result<()> {
        self.put_by(report, report.id.as_str())
    }

    /// Does the same with a draft of this name in `tmp/`.
    pub(super) fn put_by(&self, report: &Report, draft: &str) -> io::Result<()> {
        let (draft, name) = (self.dir.join("tmp").join(draft), report.id.as_str());
        let write = || commit(&draft, &self.dir.join("new"), name, &entry::encode(report)?);
        match write() {
            // This is the first report on this machine, or somebody has cleaned up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create().and_then(|()| write())
            }
            other => other,
        }
    }

    /// Puts a report in place of the one in `new/` that it is a newer form of, unless that has been
    /// finished meanwhile.
    ///
    /// Where the disk is full, the ballast is given up for it.
    pub fn replace(&self, report: &Report) -> io::Result<()> {
        self.with_ballast(|| self.exchange(report))
    }

    fn exchange(&self, report: &Report) -> io::Result<()> {
        let (draft, dir) = (self.dir.join("tmp"), self.dir.join("new"));
        let name = report.id.as_str();
        if !dir.join(name).exists() && self.find(&report.id) == Some(Place::New) {
            // It is on the disk behind this deputy.
            return self.put_by(report, &format!(".{name}"));
        }
        let draft = draft.join(format!(".{name}"));
        let bytes = entry::encode(report)?;
        draft::exchange(&draft, &dir.join(name), |file| {
            file.write_all(&bytes)?;
            file.sync_all()
        })?;
        sync_dir(&dir)
    }

    /// Commits a report to this user's inbox, for the deliverer to take over.
    pub fn put_into_inbox(&self, uid: u32, report: &Report) -> io::Result<()> {
        let inbox = self.inbox(uid);
        let name = report.id.as_str();
        commit(
            &inbox.join(format!(".{name}")),
            &inbox,
            name,
            &entry::encode(report)?,
        )
    }

    /// Keeps what slow collectors found.
    pub fn add(&self, id: &ReportId, sections: &[Section]) -> io::Result<()> {
        self.write_state(id, "sections", &sections)
    }

    /// Keeps what `sink` has done with this report.
    ///
    /// Where the disk is full, the ballast is given up for it.
    pub fn write_ledger(&self, id: &ReportId, sink: &SinkKey, ledger: &Ledger) -> io::Result<()> {
        self.with_ballast(|| self.write_state(id, &ledger_name(sink), ledger))
    }

    /// Sets the room aside that a ledger takes. What is sent after that is never sent again because
    /// the disk has no room left to say so.
    ///
    /// Where the disk is full, the ballast is given up for it.
    pub fn begin_ledger(&self, id: &ReportId, sink: &SinkKey) -> io::Result<LedgerDraft> {
        let (dir, name) = (self.state(id), ledger_name(sink));
        self.with_ballast(|| LedgerDraft::new(&dir, &name))
    }

    /// Does the same in the room that was set aside for it. If that is in the spool that was in use
    /// before the disk changed, or the file system takes new room to write a file anew, it is
    /// written like any other.
    pub fn fill_ledger(
        &self,
        room: &LedgerDraft,
        id: &ReportId,
        sink: &SinkKey,
        ledger: &Ledger,
    ) -> io::Result<()> {
        if room.path.starts_with(&self.dir) && room.write(ledger).is_ok() {
            return Ok(());
        }
        self.write_ledger(id, sink, ledger)
    }

    /// Moves reports that need no more sending into the history.
    pub fn finish(&self, ids: &[ReportId], place: Place) -> io::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let to = self.dir.join(place.name());
        for id in ids {
            match fs::rename(self.path(Place::New, id), to.join(id.as_str())) {
                // Another deliverer was faster, or it is on the disk behind this deputy.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if self.find(id) == Some(Place::New) {
                        self.mark_moved(id, place)?;
                    }
                }
                other => other?,
            }
        }
        sync_dir(&to)
    }

    fn write_state(&self, id: &ReportId, name: &str, value: &impl Serialize) -> io::Result<()> {
        let dir = self.state(id);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        // Two deliverers write different files here: each holds its sink's lock.
        commit(
            &dir.join(format!(".{name}")),
            &dir,
            name,
            &serde_json::to_vec(value)?,
        )
    }
}

/// Room on the disk for a ledger that is not known yet.
pub struct LedgerDraft {
    /// Where the file is, unless another deliverer took over while this one was stopped.
    draft: PathBuf,
    path: PathBuf,
    file: File,
}

impl LedgerDraft {
    /// Room for a ledger with the longest answer of a sink that is kept, in bytes.
    const ROOM: usize = 8 * 1024;

    fn new(dir: &Path, name: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let draft = dir.join(format!(".{name}"));
        let room = Self {
            file: draft::begin(&draft)?,
            path: dir.join(name),
            draft,
        };
        room.file.write_all_at(&[b' '; Self::ROOM], 0)?;
        Ok(room)
    }

    /// Puts the ledger in its place: after this it survives the machine.
    fn write(&self, ledger: &Ledger) -> io::Result<()> {
        let json = serde_json::to_vec(ledger)?;
        self.file.write_all_at(&json, 0)?;
        self.file.set_len(json.len() as u64)?;
        self.file.sync_all()?;
        if !is_at(&self.file, &self.draft) {
            return Err(io::ErrorKind::NotFound.into());
        }
        fs::rename(&self.draft, &self.path)?;
        sync_dir(self.path.parent().unwrap_or(Path::new("/")))
    }
}

impl Drop for LedgerDraft {
    fn drop(&mut self) {
        if is_at(&self.file, &self.draft) {
            let _ = fs::remove_file(&self.draft);
        }
    }
}

/// Writes a new file durably: as `draft` first, then under its name in `dir`.
pub fn commit(draft: &Path, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let _locked = draft::put(draft, &dir.join(name), |file| {
        // The lock shows others that this draft is being written. If it cannot be had, the draft's
        // age shows it.
        let _ = file.try_lock();
        file.write_all(bytes)?;
        file.sync_all()
    })?;
    sync_dir(dir)
}

pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use crate::report::sample;
    use crate::spool::Place;

    #[test]
    fn a_report_is_replaced_where_it_waits_and_nowhere_else() {
        let (dir, spool) = crate::spool::empty();
        let report = sample();
        spool.put(&report).unwrap();
        let mut newer = report.clone();
        newer.cause.line = "it was the disk".to_owned();
        spool.replace(&newer).unwrap();
        assert_eq!(spool.read(Place::New, &report.id).unwrap(), newer);

        spool
            .finish(std::slice::from_ref(&report.id), Place::Done)
            .unwrap();
        let again = spool.replace(&newer).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::NotFound);
        assert_eq!(spool.find(&report.id), Some(Place::Done));
        let drafts = dir.path().join("spool/tmp").read_dir().unwrap();
        assert_eq!(drafts.count(), 0);
    }
}
