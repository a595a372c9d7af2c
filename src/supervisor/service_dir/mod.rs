//! The service directory of runit and s6, in which their scripts run, `finish` and `control/*` too.

pub mod doctor;
pub mod script;
pub mod setup;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::geteuid;

use crate::host::{Host, open_regular_in_ours};
use crate::report::{Condition, Evidence, Stop, Supervisor, Timestamp};
use crate::supervisor::Supervise;
use crate::supervisor::account::{Account, Ending, MainExit};
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::services;
use crate::supervisor::supervise::{HookInput, Subject};

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

/// The words of a supervisor, and of its commands.
pub struct Words {
    pub supervisor: &'static str,
    pub down: &'static str,
    pub once: &'static str,
    pub restart: &'static str,
}

/// Returns the account of an end. `wanted` is whether the supervisor wants the service up;
/// `pre_stop_tells` is true if each stop and restart, and nothing else, runs our pre-stop;
/// `kills_after_ms` is how long a stop takes before it may end in SIGKILL, if one does.
pub fn account(
    main: MainExit,
    wanted: Option<bool>,
    pre_stop_tells: bool,
    kills_after_ms: Option<u64>,
    words: &Words,
) -> Account {
    let Words {
        supervisor,
        down,
        once,
        restart,
    } = words;
    match (wanted, pre_stop_tells) {
        (Some(false), true) => Ending::Unwanted {
            main,
            pre_stop_tells,
            kills_after_ms,
            why: format!("{supervisor} no longer wants it up"),
        }
        .into(),
        (Some(false), false) if main.is_like_stop() || main.exit.is_fault() => Account {
            announced: Some(Evidence {
                source: STATUS.into(),
                line: None,
                text: format!("{supervisor} wants it down"),
            }),
            ..Ending::Ended(main).into()
        },
        (Some(false), false) => Ending::Unwanted {
            main,
            pre_stop_tells,
            kills_after_ms,
            why: format!(
                "{supervisor} no longer wants it up: so it is after {down}, but also after {once} \
                 while it runs, and nothing here tells the two apart"
            ),
        }
        .into(),
        (_, true) => Ending::Ended(main).into(),
        (_, false) => Ending::ended_or_restarted(main, restart).into(),
    }
}

/// A supervisor's status of a service, as it stands in a file.
#[derive(Default)]
pub struct StatusFile {
    pub bytes: Vec<u8>,
    /// When it was written.
    pub written: Option<Timestamp>,
}

/// How long after a change of the service the status may be written that tells of it.
const AT_ONCE: Duration = Duration::from_millis(200);

/// Reads how things stand with a service from its status, which begins with the stamp of the
/// latest change.
///
/// `is_up` and `is_wanted` are what the rest of the status says. `since` is the moment of the
/// stamp, `changed` the latest one at which the service itself has changed: a status that was
/// written later was so by a command.
pub fn condition(
    status: &StatusFile,
    (is_up, is_wanted): (Option<bool>, Option<bool>),
    (since, changed): (Option<Timestamp>, Option<Timestamp>),
    by: &'static str,
) -> Condition {
    let by = Supervisor::new(by);
    let is_told_since = || {
        let later = changed.zip(status.written);
        later.is_some_and(|(changed, written)| written.since(changed) > AT_ONCE)
    };
    match (is_up, is_wanted) {
        (Some(true), _) => Condition::Up { since },
        (Some(false), Some(true)) => Condition::Restarting { by, in_s: None },
        (Some(false), Some(false)) if is_told_since() => Condition::Stopped {
            because: format!("{by} was told so while it was down"),
        },
        (Some(false), Some(false)) => Condition::Down {
            because: format!("{by} no longer wants it up"),
        },
        _ => Condition::Unknown,
    }
}

/// Reads a TAI64N stamp, which is after 2^62 and so many seconds ahead of Unix time.
pub fn stamp(bytes: &[u8], ahead: u64) -> Option<Timestamp> {
    let (seconds, rest) = bytes.split_first_chunk()?;
    let seconds = u64::from_be_bytes(*seconds).checked_sub((1 << 62) + ahead)?;
    let nanos = u32::from_be_bytes(*rest.first_chunk()?);
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    let time = time.checked_add(Duration::from_nanos(nanos.into()))?;
    Some(Timestamp::new(time))
}

/// Reads the supervisor's status of the service that has ended so; empty if there is none. The
/// service is where its hook ran, or else where its supervisor keeps services.
pub fn status_of(stop: &Stop, by: &dyn Supervise, host: &Host) -> StatusFile {
    let told = || trusted(Path::new(stop.directory.as_ref()?), host);
    let kept = || {
        // Where an instance is kept, its name does not tell.
        if stop.instance.is_some() {
            return None;
        }
        services::check_name(&stop.job).ok()?;
        Some(by.file_of(&stop.job, host)?.parent()?.to_owned())
    };
    let read = |dir: PathBuf| {
        let file = open_regular_in_ours(&host.path(dir.join(STATUS))).ok()?;
        let written = file.metadata().ok()?.modified().ok();
        Some(StatusFile {
            bytes: bytes_of(file)?,
            written: written.map(Timestamp::new),
        })
    };
    told().or_else(kept).and_then(read).unwrap_or_default()
}

/// Returns the directory of the service that doctor looks at: where its supervisor keeps services,
/// or else where its hooks ran. If others may write there, adds that nothing is known, and returns
/// `None`.
pub fn directory(subject: &Subject, checks: &mut Vec<Check>) -> Option<PathBuf> {
    let run = subject.supervisor.file_of(subject.service, &subject.host);
    let kept = run.and_then(|run| Some(run.parent()?.to_owned()));
    let told = || trusted(subject.directory.as_deref()?, &subject.host);
    let found = kept.or_else(told);
    if found.is_none() {
        let place = subject.directory.as_deref().unwrap_or(Path::new("/"));
        let text = format!(
            "its hooks ran in {}, which others than root may change: what stands there now is not \
             looked at",
            place.display()
        );
        let remedy = "let it and all above it belong to root, and let nobody else write there";
        checks.push(Check::unknown("hooks", Concerns::Catching, text).with(remedy));
    }
    found
}

/// Returns the directory in which a hook runs, by its name on this host.
pub fn here(input: &HookInput, host: &Host) -> Option<String> {
    let dir = host.name_of(&(input.directory)()?);
    dir.into_os_string().into_string().ok()
}

/// Returns a directory that a hook has named, unless another user could put something in its place.
pub fn trusted(dir: &Path, host: &Host) -> Option<PathBuf> {
    let is_plain = dir.is_absolute()
        && (dir.components()).all(|it| matches!(it, Component::RootDir | Component::Normal(_)));
    let real = host.path(dir);
    let ours = geteuid().as_raw();
    let is_ours = |dir: &Path| {
        let Ok(found) = fs::symlink_metadata(dir) else {
            return false;
        };
        // In a sticky directory nobody can move what belongs to another, but anybody can make it.
        let is_sticky = found.mode() & 0o1000 != 0 && dir != real;
        let is_closed = found.mode() & 0o022 == 0 || is_sticky;
        found.is_dir() && [0, ours].contains(&found.uid()) && is_closed
    };
    (is_plain && real.ancestors().all(is_ours)).then(|| dir.to_owned())
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

/// Reads a file of a service's directory.
pub fn read(path: &Path) -> Option<Vec<u8>> {
    open_regular_in_ours(path).ok().and_then(bytes_of)
}

fn bytes_of(file: File) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_SCRIPT).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
