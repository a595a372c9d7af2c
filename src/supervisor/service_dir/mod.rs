//! The service directory of runit and s6: where their scripts run, `finish` and `control/*` too.

pub mod doctor;
mod script;

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::host::{Host, open_regular_in_ours};
use crate::report::Supervisor;
use crate::supervisor::{runit, s6};

/// The most that is read of a script, and the most words of it that are tried as a log's directory.
const MAX_SCRIPT: u64 = 16 * 1024;
const MAX_WORDS: usize = 200;

/// The service's name, which is the directory's; a logger's has its service's before it: `web/log`.
pub fn name() -> Option<String> {
    let dir = env::current_dir().ok()?;
    let name = dir.file_name()?.to_string_lossy().into_owned();
    match dir.parent().and_then(Path::file_name) {
        Some(service) if name == "log" => Some(format!("{}/log", service.to_string_lossy())),
        _ => Some(name),
    }
}

/// The supervisor's own status of the service, as it stands; empty where there is none.
pub fn status() -> Vec<u8> {
    read(Path::new(runit::STATUS)).unwrap_or_default()
}

/// Whether the service is wanted up, as far as the supervisor shows it.
pub fn wanted_up(supervisor: Supervisor) -> Option<bool> {
    match supervisor {
        Supervisor::Runit => runit::wanted_up(&status()),
        Supervisor::S6 => s6::wanted_up(&status()),
        _ => None,
    }
}

/// Whether a `control/t` tells us of `sv restart`.
pub fn restarts_tell() -> bool {
    read(Path::new("control/t"))
        .is_some_and(|script| String::from_utf8_lossy(&script).contains("lastwords"))
}

/// The files that this service's own logger writes.
pub fn own_logs(host: &Host) -> Vec<String> {
    env::current_dir()
        .map(|dir| logs(&host.name_of(&dir), host))
        .unwrap_or_default()
}

/// The files that the logger of the service in this directory writes: what is called `current` in a
/// directory that `log/run` names, or in `log/main`.
pub fn logs(dir: &Path, host: &Host) -> Vec<String> {
    let script = read(&host.path(dir.join("log/run"))).unwrap_or_default();
    let script = String::from_utf8_lossy(&script);
    let words = script
        .split_ascii_whitespace()
        .take(MAX_WORDS)
        .chain(["main"]);
    let current = |word: &str| {
        dir.join("log")
            .join(word.trim_start_matches("./"))
            .join("current")
    };
    let is_file =
        |path: &PathBuf| fs::symlink_metadata(host.path(path)).is_ok_and(|found| found.is_file());
    let mut logs: Vec<String> = words
        .map(current)
        .filter(is_file)
        .filter_map(|path| path.into_os_string().into_string().ok())
        .collect();
    logs.sort();
    logs.dedup();
    logs
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular_in_ours(path)
        .ok()?
        .take(MAX_SCRIPT)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}
