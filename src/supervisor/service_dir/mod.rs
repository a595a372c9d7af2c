//! The service directory of runit and s6, in which their scripts run, `finish` and `control/*` too.

pub mod doctor;
pub mod script;
pub mod setup;

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::host::{Host, open_regular_in_ours};
use crate::report::{Condition, Supervisor, Timestamp};
use crate::supervisor::services;
use crate::supervisor::supervise::HookInput;

/// The supervisor's own status of the service, in the service's directory.
pub const STATUS: &str = "supervise/status";

/// Maximum size of a script, in bytes.
const MAX_SCRIPT: u64 = 16 * 1024;
/// Maximum number of words of a script that are tried as the directory of a log.
const MAX_WORDS: usize = 200;

/// Returns the service's name, which is that of the directory in which its scripts run; for a
/// logger, `web/log`.
pub fn name(input: &HookInput) -> Option<OsString> {
    let dir = (input.directory)()?;
    let name = dir.file_name()?.to_string_lossy().into_owned();
    match dir.parent().and_then(Path::file_name) {
        Some(service) if name == "log" => Some(format!("{}/log", service.to_string_lossy()).into()),
        _ => Some(name.into()),
    }
}

/// Reads the supervisor's status of the service in whose directory we are; empty if there is none.
pub fn status() -> Vec<u8> {
    read(Path::new(STATUS)).unwrap_or_default()
}

/// Reads how things stand with a service from its status, whose first bytes say since when.
///
/// `is_up` and `is_wanted` are what the rest of the status says.
pub fn condition(
    status: &[u8],
    is_up: Option<bool>,
    is_wanted: Option<bool>,
    by: &'static str,
) -> Condition {
    match (is_up, is_wanted) {
        (Some(true), _) => Condition::Up {
            since: status.first_chunk().and_then(|stamp| tai64(*stamp)),
        },
        (Some(false), Some(true)) => Condition::Restarting {
            by: Supervisor::new(by),
            in_s: None,
        },
        (Some(false), Some(false)) => Condition::Down {
            because: format!("{} no longer wants it up", Supervisor::new(by)),
        },
        _ => Condition::Unknown,
    }
}

/// Reads a TAI64 stamp, as the supervisors write it: 10 s ahead of Unix time, after 2^62.
fn tai64(stamp: [u8; 8]) -> Option<Timestamp> {
    let seconds = u64::from_be_bytes(stamp);
    seconds.checked_sub((1 << 62) + 10).map(Timestamp::of_unix)
}

/// Reads the supervisor's status of the service whose `run` this is; empty if there is none.
pub fn status_of(run: Option<PathBuf>, host: &Host) -> Vec<u8> {
    let status = run.and_then(|run| Some(run.parent()?.join(STATUS)));
    status
        .and_then(|path| read(&host.path(path)))
        .unwrap_or_default()
}

/// Returns the `run` of a service that one of these directories holds.
pub fn run_script(dirs: &[&str], service: &str, host: &Host) -> Option<PathBuf> {
    let scripts = dirs.iter().map(|dir| format!("{dir}/{service}/run"));
    services::first_there(scripts, host)
}

/// Returns the services in these directories.
pub fn all(dirs: &[&str], host: &Host) -> Vec<String> {
    let of = |dir: &&str| {
        let is_service = |name: &String| run_script(&[*dir], name, host).is_some();
        let names = services::names(dir, host).into_iter();
        names.filter(is_service).collect::<Vec<_>>()
    };
    dirs.iter().flat_map(of).collect()
}

/// Returns the services in these directories whose `finish` calls lastwords.
pub fn wired(dirs: &[&str], host: &Host) -> Vec<String> {
    let of = |dir: &&str| {
        let finish = |name: &String| Path::new(dir).join(name).join("finish");
        let calls = |name: &String| services::calls_us(&finish(name), host);
        let names = services::names(dir, host).into_iter();
        names.filter(calls).collect::<Vec<_>>()
    };
    dirs.iter().flat_map(of).collect()
}

/// Returns true if a `control/t` tells us of `sv restart`.
pub fn restarts_tell() -> bool {
    read(Path::new("control/t"))
        .is_some_and(|script| String::from_utf8_lossy(&script).contains("lastwords"))
}

/// Returns the files that this service's own logger writes.
pub fn own_logs(input: &HookInput, host: &Host) -> Vec<String> {
    let dir = (input.directory)();
    dir.map(|dir| logs(&host.name_of(&dir), host))
        .unwrap_or_default()
}

/// Returns the files that the logger of the service in this directory writes: `current` in a
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
