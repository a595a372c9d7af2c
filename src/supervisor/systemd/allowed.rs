//! Reads from a unit's files how the service may end: `SuccessExitStatus=`, and how long a stop may
//! take: `TimeoutStopSec=`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::host::Host;
use crate::report::Exit;
use crate::supervisor::supervise::Allowed;
use crate::supervisor::systemd::files::commands;

/// Names of exit codes that systemd knows; see "Process Exit Codes" in systemd.exec(5).
const CODES: [(&str, i32); 23] = [
    ("SUCCESS", 0),
    ("FAILURE", 1),
    ("INVALIDARGUMENT", 2),
    ("NOTIMPLEMENTED", 3),
    ("NOPERMISSION", 4),
    ("NOTINSTALLED", 5),
    ("NOTCONFIGURED", 6),
    ("NOTRUNNING", 7),
    ("USAGE", 64),
    ("DATAERR", 65),
    ("NOINPUT", 66),
    ("NOUSER", 67),
    ("NOHOST", 68),
    ("UNAVAILABLE", 69),
    ("SOFTWARE", 70),
    ("OSERR", 71),
    ("OSFILE", 72),
    ("CANTCREAT", 73),
    ("IOERR", 74),
    ("TEMPFAIL", 75),
    ("PROTOCOL", 76),
    ("NOPERM", 77),
    ("CONFIG", 78),
];

/// Reads it from the unit's files, in the order in which systemd reads them.
pub fn read(files: &[PathBuf], host: &Host) -> Allowed {
    let values = |key| commands(files, key, host).into_iter();
    let statuses = values("SuccessExitStatus").filter(|value| value.emptied_by.is_none());
    let exits = statuses.flat_map(|value| exits(&value.command)).collect();
    let last = |key| values(key).next_back().map(|value| value.command);
    let time = last("TimeoutStopSec").or_else(|| last("TimeoutSec"));
    Allowed {
        stop_time: time.and_then(|time| seconds(&time)),
        exits,
        ..Allowed::default()
    }
}

fn exits(words: &str) -> Vec<Exit> {
    let exit = |word: &str| {
        let named = CODES.iter().find(|(name, _)| *name == word);
        let code = word.parse().ok().or(named.map(|(_, code)| *code));
        code.map(Exit::Code).or_else(|| config::signal(word).ok())
    };
    words.split_ascii_whitespace().filter_map(exit).collect()
}

/// Reads `90`, `1min 30s`; returns `None` for `infinity`.
fn seconds(time: &str) -> Option<Duration> {
    let plain = time.parse().ok().map(Duration::from_secs);
    plain.or_else(|| humantime::parse_duration(time).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::services::machine;

    #[test]
    fn exits_add_up_over_the_files_and_the_last_time_counts() {
        let (_dir, host) = machine(&[
            (
                "a",
                "[Service]\nSuccessExitStatus=9\nTimeoutSec=5\nTimeoutStopSec=30\n",
            ),
            (
                "b",
                "SuccessExitStatus=\nSuccessExitStatus=143 TEMPFAIL SIGTERM odd\n\
                 TimeoutStopSec=1min 30s\n",
            ),
        ]);
        let read = |files: &[&str]| {
            let files: Vec<_> = files.iter().map(PathBuf::from).collect();
            read(&files, &host)
        };
        let term = config::signal("TERM").unwrap();
        let allowed = Allowed {
            stop_time: Some(Duration::from_secs(90)),
            exits: vec![Exit::Code(143), Exit::Code(75), term],
            ..Allowed::default()
        };
        assert_eq!(read(&["/a", "/b"]), allowed);
        assert_eq!(read(&["/a"]).stop_time, Some(Duration::from_secs(30)));
        assert_eq!(read(&[]), Allowed::default());
        assert_eq!((seconds("infinity"), seconds("soon")), (None, None));
    }
}
