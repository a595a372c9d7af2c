//! Keeps what each sink was told of each job's crashes: a file for each, in
//! `state/groups/SINK/JOB`.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::read::may_pass;
use super::{Ledger, Spool, commit, ledger_name, list, read_state};
use crate::draft;
use crate::names;
use crate::report::{ReportId, SinkKey};

impl Spool {
    /// Returns everything that is kept, of all sinks and groups. What cannot be read or understood
    /// is passed over: a message too many is better than none.
    pub fn groups<T: DeserializeOwned>(&self) -> Vec<T> {
        let root = self.dir.join("state/groups");
        let mut groups = Vec::new();
        for sink in list(&root).unwrap_or_default() {
            let dir = root.join(sink);
            let files = list(&dir).unwrap_or_default().into_iter();
            let files = files.filter(|name| !name.starts_with('.'));
            groups.extend(files.filter_map(|name| read_state(&dir.join(name)).ok().flatten()));
        }
        groups
    }

    /// Returns how much space on the disk that takes, in bytes.
    pub(super) fn bytes_of_groups(&self) -> u64 {
        let root = self.dir.join("state/groups");
        let mut bytes = 0;
        for sink in list(&root).unwrap_or_default() {
            let dir = root.join(sink);
            let files = list(&dir).unwrap_or_default().into_iter();
            let sizes = files.filter_map(|name| fs::symlink_metadata(dir.join(name)).ok());
            bytes += sizes.map(|found| found.blocks() * 512).sum::<u64>();
        }
        bytes
    }

    /// Returns what is kept of this sink and group; `None` if that is nothing, is no file, or
    /// cannot be understood.
    ///
    /// # Errors
    /// If the kernel does not let it be read now. It must not be taken for nothing, and be lost.
    pub fn group<T: DeserializeOwned>(&self, sink: &SinkKey, group: &str) -> io::Result<Option<T>> {
        match read_state(&self.groups_of(sink).join(names::encode(group))) {
            // A link is no file of ours either.
            Err(why) if !may_pass(&why) || Errno::from_io_error(&why) == Some(Errno::LOOP) => {
                Ok(None)
            }
            other => other,
        }
    }

    /// Keeps it. The caller holds the sink's lock.
    ///
    /// Where the disk is full, the ballast is given up for it: the message that says so may be the
    /// one that waits for this.
    pub fn write_group(
        &self,
        sink: &SinkKey,
        group: &str,
        value: &impl Serialize,
    ) -> io::Result<()> {
        let (dir, name) = (self.groups_of(sink), names::encode(group));
        let (draft, json) = (dir.join(format!(".{name}")), serde_json::to_vec(value)?);
        self.with_ballast(|| {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
            commit(&draft, &dir, &name, &json)
        })
    }

    /// Forgets it.
    pub fn forget_group(&self, sink: &SinkKey, group: &str) -> io::Result<()> {
        match fs::remove_file(self.groups_of(sink).join(names::encode(group))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Notes in crashes' ledgers by which messages `sink` is told of them: pairs of crash and
    /// message. This is not synced. The group's file, which was written before, says the same for
    /// as long as the reports are in `new/`, and the notes are made again from there.
    pub fn note_summarised<'a>(
        &self,
        sink: &SinkKey,
        crashes: impl Iterator<Item = (&'a ReportId, &'a ReportId)>,
    ) -> io::Result<()> {
        let name = ledger_name(sink);
        // They all say the same: thousands of files of one block each would fill the spool.
        let mut written: Option<(&ReportId, PathBuf)> = None;
        for (id, message) in crashes {
            let dir = self.state(id);
            DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
            let path = dir.join(&name);
            if let Some((same, source)) = &written
                && *same == message
                && fs::hard_link(source, &path).is_ok()
            {
                continue;
            }
            let json = serde_json::to_vec(&Ledger::summarised(message.clone()))?;
            draft::put(&dir.join(format!(".{name}")), &path, |file| {
                file.write_all(&json)
            })?;
            written = Some((message, path));
        }
        Ok(())
    }

    fn groups_of(&self, sink: &SinkKey) -> PathBuf {
        self.dir
            .join("state/groups")
            .join(names::encode(sink.encode()))
    }
}
