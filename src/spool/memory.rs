//! Keeps reports in memory: `inbox/` in the run directory, a tmpfs. They survive the process, not
//! the machine.
//!
//! Each report is written there first, before the disk is asked for anything, and is removed once
//! it is in the spool. It stays if the disk is full, read-only, hung or gone, or if the hook is
//! killed; then the deliverer takes it over. The hook holds a lock on it while it is at work.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{entry, list};
use crate::draft;
use crate::host::open_regular_in_ours;
use crate::report::{Report, ReportId};

/// The reports of one user's hooks, in memory.
pub struct MemoryInbox {
    dir: PathBuf,
}

impl MemoryInbox {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps a report, in place of one with the same id. Nobody takes it over while the returned
    /// file is open.
    pub fn put(&self, report: &Report) -> io::Result<File> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
        let draft = self.dir.join(format!(".{}", report.id));
        draft::put(&draft, &self.path(&report.id), |file| {
            file.try_lock()?;
            file.write_all(&entry::encode(report)?)
        })
    }

    /// Returns the number of reports that are here; 0 if that cannot be told.
    pub fn count(&self) -> usize {
        let names = list(&self.dir).unwrap_or_default().into_iter();
        names.filter(|name| ReportId::parse(name).is_ok()).count()
    }

    pub fn holds(&self, id: &ReportId) -> bool {
        self.path(id).symlink_metadata().is_ok()
    }

    /// Removes a report that is safe elsewhere.
    pub fn remove(&self, id: &ReportId) {
        // A file that stays is taken over, and found to be there already.
        let _ = fs::remove_file(self.path(id));
    }

    /// Removes what hooks had only begun to write when they were killed: the hook's marker tells of
    /// the stop.
    pub fn sweep(&self) {
        for name in list(&self.dir)
            .unwrap_or_default()
            .iter()
            .filter(|name| name.starts_with('.'))
        {
            let path = self.dir.join(name);
            if open_regular_in_ours(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn path(&self, id: &ReportId) -> PathBuf {
        self.dir.join(id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::sample;
    use crate::spool::{Place, Spool, TakeOver};

    #[test]
    fn what_a_hook_is_at_work_on_is_left_to_it_and_taken_over_once_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (spool, memory) = (
            Spool::new(dir.path().join("spool")),
            MemoryInbox::new(dir.path().join("inbox")),
        );
        spool.create().unwrap();
        let how = TakeOver {
            prepare: &|_, _| {},
            monotonic: Duration::ZERO,
            say: &|_| {},
        };
        let take_over = |spool: &Spool| spool.take_over_ours(memory.dir(), &how);
        let report = sample();
        let at_work = memory.put(&report).unwrap();
        assert_eq!(take_over(&spool).unwrap(), 0);
        drop(at_work);
        assert_eq!(take_over(&spool).unwrap(), 1);
        assert!(!memory.holds(&report.id) && spool.find(&report.id) == Some(Place::New));

        // The process was killed between the two: the report is there already.
        memory.put(&report).unwrap();
        assert_eq!(take_over(&spool).unwrap(), 0);
        assert!(!memory.holds(&report.id));
    }

    #[test]
    fn what_was_only_begun_is_swept_up_unless_somebody_is_at_it() {
        let dir = tempfile::tempdir().unwrap();
        let memory = MemoryInbox::new(dir.path().to_owned());
        let draft = memory.dir().join(".20261123t030000-0123456789abcdef");
        let at_work = File::create(&draft).unwrap();
        at_work.lock().unwrap();
        memory.sweep();
        assert!(draft.exists());
        drop(at_work);
        memory.sweep();
        assert!(!draft.exists());
    }
}
