//! `[[collect.log]]`: the last lines of a log file. There may be several.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `path` | the file; a relative one starts at the config's directory | required |
//! | `name` | what the section is called, after `log` | the path |
//! | `lines` | the most lines | `200` |
//! | `max_bytes` | the most that is read, in bytes, up to 65536 | `65536` |
//!
//! ```toml
//! [[collect.log]]
//! path = "/var/log/upstart/{job}.log"
//! lines = 200
//! ```
//!
//! `{job}` and `{instance}` in the path stand for the service's; a `/` in them becomes `_`, as
//! Upstart names its logs. No part of the path may be a symbolic link. In a directory where others
//! than root and the log's owner can make files, a log with a second name (a hard link) is refused:
//! it may be a file that they may not read. If the log was rotated while the service ran and
//! holds fewer lines than asked for, the others come from `PATH.1`.
//!
//! The section's data: `path`, `size` (bytes), `inode`, `lines` (how many are shown), `cut`
//! (the beginning of the first one is missing), `rotated` (some are from `PATH.1`).
//!
//! The lines of the section may not reach back to where the service's last words begin: a goroutine
//! dump is long. So up to 1 MiB of the file's end is searched for the cause, whatever `lines` and
//! `max_bytes` say; the report only holds the lines that the cause quotes.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::runner::MAX_TEXT;
use super::{Body, Collector};
use crate::host::{Host, open_regular};
use crate::mounts;
use crate::redact::Redactor;
use crate::report::{CollectorKind, LogEnd, SectionData, Stop, Timestamp};

/// How long ago a log may have been rotated if the start of the service is unknown.
const RECENT: Duration = Duration::from_mins(10);
/// Maximum difference between the clocks of the file system and of the hook.
const SLACK: Duration = Duration::from_secs(2);
/// How much of a log before what is shown is searched for the beginnings of secrets, in bytes.
pub(super) const MARGIN: usize = 64 * 1024;
/// How much of a log's end is read for the cause, in bytes.
const DEEP: u64 = 1024 * 1024;

/// The end of a log file.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// May hold `{job}` and `{instance}`.
    #[serde(deserialize_with = "super::path")]
    pub path: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default = "default_lines")]
    pub lines: usize,
    #[serde(default = "default_max_bytes", deserialize_with = "max_bytes")]
    #[cfg_attr(test, schemars(range(max = 65536)))]
    pub max_bytes: u64,
    /// Takes secrets out before the lines are cut from the log.
    #[serde(skip)]
    pub redactor: Redactor,
    /// Receives the deeper tail, if the caller wants it.
    #[serde(skip)]
    pub deep: Option<DeepTail>,
}

/// A slot for more of a log's end than its section shows, filled once the collector has read it.
#[derive(Clone, Debug, Default)]
pub struct DeepTail(Arc<Mutex<Option<Deep>>>);

/// The end of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Deep {
    /// The file; after a rotation, the one that holds the last lines.
    pub path: String,
    /// The end of the log, from the beginning of a line.
    pub text: String,
    /// When the log was last written to.
    pub modified: SystemTime,
}

impl DeepTail {
    /// Returns the tail, if it has been read.
    pub fn take(&self) -> Option<Deep> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn put(&self, deep: Deep) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(deep);
    }
}

fn default_lines() -> usize {
    200
}

fn default_max_bytes() -> u64 {
    MAX_TEXT as u64
}

fn max_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let bytes = u64::deserialize(deserializer)?;
    if bytes > default_max_bytes() {
        return Err(D::Error::custom(format_args!(
            "a section holds at most {MAX_TEXT} bytes, not {bytes}"
        )));
    }
    Ok(bytes)
}

impl Log {
    /// Returns the collector of this file with its defaults.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            name: None,
            lines: default_lines(),
            max_bytes: default_max_bytes(),
            redactor: Redactor::default(),
            deep: None,
        }
    }

    /// Returns the path of this service's log.
    fn path_of(&self, stop: &Stop) -> String {
        // Nothing is replaced twice: an instance may be called `{job}`.
        let instance = harmless(stop.instance.as_deref().unwrap_or_default());
        let parts: Vec<String> = self
            .path
            .split("{job}")
            .map(|part| part.replace("{instance}", &instance))
            .collect();
        parts.join(&harmless(&stop.job))
    }
}

/// Makes a name safe as one part of a path.
fn harmless(name: &str) -> String {
    let dots = name.bytes().all(|byte| byte == b'.');
    name.chars()
        .map(|c| if c == '/' || dots { '_' } else { c })
        .collect()
}

impl Collector for Log {
    fn kind(&self) -> CollectorKind {
        CollectorKind::LOG
    }

    fn name(&self) -> String {
        match &self.name {
            Some(name) => format!("log {name}"),
            // Which file it is, only the stop tells.
            None if self.path.contains('{') => "log".to_owned(),
            None => format!("log {}", self.path),
        }
    }

    fn comes_first(&self) -> bool {
        true
    }

    fn may_hang(&self, stop: &Stop, host: &Host) -> bool {
        mounts::may_hang(&host.configured(Path::new(&self.path_of(stop))))
    }

    fn collect(&self, stop: &Stop, host: &Host) -> Result<Body> {
        let path = self.path_of(stop);
        let at = host.configured(Path::new(&path));
        let newest = match open_regular(&at) {
            Err(why) if why.kind() == ErrorKind::NotFound => None,
            file => Some(file.and_then(|file| self.tail(file, self.lines, self.max_bytes))),
        };
        let newest = newest
            .transpose()
            .with_context(|| format!("cannot read {}", path.escape_debug()))?;
        let older = self.rotated_away(&at, stop, newest.as_ref());
        if let (Some(slot), Some(deep)) = (&self.deep, deep(&path, newest.as_ref(), older.as_ref()))
        {
            slot.put(deep);
        }
        let Some(tail) = newest.as_ref().or(older.as_ref()) else {
            let (path, service) = (path.escape_debug(), stop.service());
            let service = service.escape_debug();
            bail!(
                "there is no {path}: set `path` in [[collect.log]] to the file that {service} logs to"
            );
        };
        let lines = [&older, &newest]
            .into_iter()
            .flatten()
            .map(|tail| tail.lines.len())
            .sum::<usize>();
        let data = SectionData::Log(LogEnd {
            path: path.clone(),
            size: tail.size,
            inode: tail.inode,
            lines,
            cut: older.as_ref().unwrap_or(tail).cut,
            rotated: older.is_some(),
        });
        Ok(Body {
            text: describe(&path, newest, older),
            data,
        })
    }
}

impl Log {
    /// Reads the lines that are missing from a log that was rotated while the service ran, from the
    /// rotated file.
    fn rotated_away(&self, at: &Path, stop: &Stop, newest: Option<&FileTail>) -> Option<FileTail> {
        let lines = newest.map_or(self.lines, |tail| {
            if tail.whole {
                self.lines - tail.lines.len()
            } else {
                0
            }
        });
        let max_bytes = self
            .max_bytes
            .saturating_sub(newest.map_or(0, |tail| tail.size));
        let mut older = at.as_os_str().to_owned();
        older.push(".1");
        let older = open_regular(Path::new(&older))
            .ok()
            .filter(|_| lines > 0 && max_bytes > 0)?;
        let began = stop
            .started_at
            .map(Timestamp::time)
            .or_else(|| stop.stopped_at.time().checked_sub(RECENT))?;
        let modified = older.metadata().and_then(|found| found.modified()).ok()?;
        let rotated_since = modified
            .checked_add(SLACK)
            .is_none_or(|modified| modified >= began);
        self.tail(older, lines, max_bytes)
            .ok()
            .filter(|_| rotated_since)
    }
}

fn describe(path: &str, newest: Option<FileTail>, older: Option<FileTail>) -> String {
    let path = path.escape_debug();
    let mut text = Vec::new();
    let rotated = older.is_some();
    if let Some(older) = older {
        text.push(format!(
            "[the log was rotated while the service ran: the end of {path}.1]"
        ));
        text.extend(older.lines);
    }
    match newest {
        None => text.push(format!("[{path} no longer exists]")),
        Some(tail) if tail.lines.is_empty() => text.push(format!("[{path} is empty]")),
        Some(tail) => {
            text.extend(rotated.then(|| format!("[{path}]")));
            text.extend(tail.lines);
        }
    }
    text.join("\n")
}

/// Returns the end of a log that may have been rotated.
fn deep(path: &str, newest: Option<&FileTail>, older: Option<&FileTail>) -> Option<Deep> {
    let last = newest.filter(|tail| !tail.deep.is_empty()).or(older)?;
    let is_older = newest.is_none_or(|tail| tail.deep.is_empty());
    let path = if is_older {
        format!("{path}.1")
    } else {
        path.to_owned()
    };
    let older = older
        .filter(|_| !is_older)
        .map(|tail| tail.deep.as_slice())
        .unwrap_or_default();
    let bytes = [older, &last.deep].concat();
    Some(Deep {
        path,
        text: String::from_utf8_lossy(&bytes).into_owned(),
        modified: last.modified,
    })
}

/// The end of one file.
struct FileTail {
    lines: Vec<String>,
    /// The last whole lines, unchanged; more than `lines`.
    deep: Vec<u8>,
    modified: SystemTime,
    /// The first line's beginning is missing.
    cut: bool,
    /// The file holds no more than these lines.
    whole: bool,
    size: u64,
    inode: u64,
}

impl Log {
    /// Reads the last `lines` lines, and no more than `max_bytes`; and the deeper tail.
    fn tail(&self, mut file: File, lines: usize, max_bytes: u64) -> io::Result<FileTail> {
        let found = file.metadata()?;
        let (size, inode) = (found.size(), found.ino());
        let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let most = max_bytes.max(DEEP);
        // One byte more tells whether a line starts where we do.
        let is_longer = size > most;
        file.seek(SeekFrom::Start(size.saturating_sub(most.saturating_add(1))))?;
        let mut bytes = Vec::new();
        file.take(most.saturating_add(u64::from(is_longer)))
            .read_to_end(&mut bytes)?;
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        // Nothing, too, where the file was truncated meanwhile: what was in it may be in `PATH.1`.
        let (lines, cut, whole) = shown(&bytes, max_bytes, lines, &self.redactor);
        let size = if bytes.is_empty() { 0 } else { size };
        if is_longer {
            let first = bytes
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(0, |newline| newline + 1);
            bytes.drain(..first);
        }
        Ok(FileTail {
            lines,
            deep: bytes,
            modified,
            cut,
            whole,
            size,
            inode,
        })
    }
}

/// Returns the last lines, of no more than `max_bytes` together, without secrets; true if the first
/// of them is cut, and true if there are no others. A secret that the cut would hit is taken out
/// before.
pub(super) fn shown(
    bytes: &[u8],
    max_bytes: usize,
    lines: usize,
    redactor: &Redactor,
) -> (Vec<String>, bool, bool) {
    let margin = bytes.len().saturating_sub(max_bytes.saturating_add(MARGIN));
    let before = bytes
        .get(margin..margin.saturating_add(MARGIN))
        .unwrap_or(bytes);
    let line = before.iter().position(|&byte| byte == b'\n');
    let from = if margin == 0 {
        0
    } else {
        margin + line.map_or(0, |newline| newline + 1)
    };
    let end = redactor.bytes_from(bytes, from);
    let is_whole = end.is_none();
    let text = end.unwrap_or_else(|| redactor.bytes(bytes));
    let start = text.len().saturating_sub(max_bytes);
    let starts_a_line = start
        .checked_sub(1)
        .is_none_or(|before| text.get(before) == Some(&b'\n'));
    let (last, cut, all) = last_lines(text.get(start..).unwrap_or_default(), starts_a_line, lines);
    (last, cut, all && start == 0 && is_whole)
}

/// Returns the last lines, true if the first of them is cut, and true if there are no others.
pub(super) fn last_lines(
    bytes: &[u8],
    starts_a_line: bool,
    lines: usize,
) -> (Vec<String>, bool, bool) {
    if bytes.is_empty() {
        return (Vec::new(), false, true);
    }
    let mut backwards = bytes
        .strip_suffix(b"\n")
        .unwrap_or(bytes)
        .rsplit(|&byte| byte == b'\n');
    let mut last: Vec<String> = backwards.by_ref().take(lines).map(readable).collect();
    last.reverse();
    let all = backwards.next().is_none();
    let cut = all && !starts_a_line;
    if let Some(first) = last.first_mut().filter(|_| cut) {
        first.insert_str(0, "[cut] ");
    }
    (last, cut, all)
}

/// Returns a line as text. It shows the number of NULs: they come from a writer that did not notice
/// a truncation, or from blocks that never reached the disk.
fn readable(line: &[u8]) -> String {
    let runs = line
        .strip_suffix(b"\r")
        .unwrap_or(line)
        .chunk_by(|a, b| (*a == 0) == (*b == 0));
    runs.map(|run| match run {
        [0] => "[NUL]".into(),
        [0, ..] => format!("[{} NULs]", run.len()).into(),
        _ => String::from_utf8_lossy(run),
    })
    .collect()
}

#[cfg(test)]
mod tests;
