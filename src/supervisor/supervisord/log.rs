//! Reads supervisord's own log as it grows.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::host::open_regular_in_ours;
use crate::supervisor::supervisord::{Event, Line, Lines};

/// Maximum size that is read at once, in bytes. The first time it is the end of the log.
const MOST: u64 = 1024 * 1024;

pub struct SupervisordLog {
    path: PathBuf,
    file: Option<File>,
    /// Offset up to which the log has been read.
    offset: u64,
    /// Beginning of a line whose end is still to come.
    begun: Vec<u8>,
    lines: Lines,
    /// The log is being read for the first time, so its lines are older than this process.
    old: bool,
}

impl SupervisordLog {
    pub fn new(path: PathBuf) -> Self {
        let lines = Lines::new(std::process::id());
        let mut log = Self {
            path,
            file: None,
            offset: 0,
            begun: Vec::new(),
            lines,
            old: true,
        };
        log.read();
        log.old = false;
        log
    }

    /// Returns the line about this event; `None` if there is none, or the log cannot be read.
    pub fn line_of(&mut self, event: &Event) -> Option<Line> {
        self.read();
        self.lines.take(event)
    }

    /// Reads new lines. If the log was rotated, the rest of the old file comes first.
    fn read(&mut self) {
        self.read_file();
        let named = open_regular_in_ours(&self.path).ok();
        let inode = |file: Option<&File>| {
            file.and_then(|file| file.metadata().ok())
                .map(|found| (found.dev(), found.ino()))
        };
        if named.is_some() && inode(named.as_ref()) != inode(self.file.as_ref()) {
            (self.file, self.offset) = (named, 0);
            self.begun.clear();
            self.read_file();
        }
    }

    fn read_file(&mut self) {
        let Some(file) = &mut self.file else { return };
        let Ok(size) = file.metadata().map(|found| found.len()) else {
            return;
        };
        if size < self.offset {
            self.offset = 0;
            self.begun.clear();
        }
        if size - self.offset > MOST {
            // The first line may not be whole. It is ignored like any line that tells nothing.
            self.offset = size - MOST;
            self.begun.clear();
        }
        let mut new = Vec::new();
        if file.seek(SeekFrom::Start(self.offset)).is_err() {
            return;
        }
        let Ok(length) = file.take(MOST).read_to_end(&mut new) else {
            return;
        };
        self.offset += length as u64;
        for part in new.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.lines
                    .push(String::from_utf8_lossy(&self.begun).trim_end(), self.old);
                self.begun.clear();
            }
        }
    }
}
