//! The files that supervisord keeps of its processes' output.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::host::Host;

/// Returns the files in this directory that supervisord itself named for this process's output:
/// `NAME-stderr---supervisor-xxxxxxxx.log`.
pub fn logs_of(process: &str, dir: &Path, host: &Host) -> Vec<String> {
    let newest = |channel: &&str| newest(&format!("{process}-{channel}---"), dir);
    let named = |path: PathBuf| host.name_of(&path).into_os_string().into_string().ok();
    ["stderr", "stdout"]
        .iter()
        .filter_map(newest)
        .filter_map(named)
        .collect()
}

fn newest(beginning: &str, dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let log = |name: &str| {
        name.strip_prefix(beginning)
            .and_then(|rest| rest.strip_suffix(".log"))
            .is_some()
    };
    let logs = entries.filter(|entry| entry.file_name().to_str().is_some_and(log));
    let changed = |entry: &fs::DirEntry| entry.metadata().and_then(|found| found.modified()).ok();
    let newest = logs.max_by_key(|entry| changed(entry).unwrap_or(SystemTime::UNIX_EPOCH))?;
    Some(newest.path())
}
