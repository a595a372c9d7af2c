//! Reports in memory: `inbox/` in the run directory, a tmpfs. They survive the process, not the machine.
//!
//! Each report is there first, before the disk is asked for anything, and goes once it is in the spool. What a hook left
//! there because the disk was full, read-only, hung or gone, or because somebody killed it, the deliverer takes over. The
//! hook holds a lock on it while it is at work.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::entry;
use crate::report::{Report, ReportId};

/// The reports of one user's hooks, in memory.
pub struct Memory {
    dir: PathBuf,
}

impl Memory {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps a report, in place of one of the same id. Nobody takes it over as long as the returned file is open.
    pub fn put(&self, report: &Report) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let draft = self.dir.join(format!(".{}", report.id));
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let written = entry::encode(report)
            .and_then(|bytes| file.write_all(&bytes))
            .and_then(|()| file.lock())
            .and_then(|()| fs::rename(&draft, self.path(&report.id)));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written.map(|()| file)
    }

    pub fn holds(&self, id: &ReportId) -> bool {
        self.path(id).symlink_metadata().is_ok()
    }

    /// Lets go of a report that is safe elsewhere.
    pub fn remove(&self, id: &ReportId) {
        // What is left here is taken over, and found to be there already.
        let _ = fs::remove_file(self.path(id));
    }

    fn path(&self, id: &ReportId) -> PathBuf {
        self.dir.join(id.as_str())
    }
}
