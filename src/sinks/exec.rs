//! Any executable, in any language.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `command` | the program and its arguments: an absolute path, or a name in the usual directories; no shell | required |
//! | `timeout` | maximum run time | `"60s"` |
//! | `settings` | a table for the program | empty |
//! | `user` | the user that it runs as, by name or number, with that user's groups | lastwords' own: root |
//!
//! ```toml
//! [[sink.exec]]
//! name = "pager"
//! command = ["/usr/lib/lastwords/plugins/sinks/pager"]
//! settings = { team = "db" }
//! ```
//!
//! The program finds `{"protocol": 1, "report": …, "settings": …}` on stdin, and in
//! `$LASTWORDS_REPORT_DIR` a directory that lives as long as it does, with `report.json` and
//! `report.txt`, the message for people. It ends with 0: done, and the last line of its stdout is
//! the receipt; with 100: refused for good; in any other way: it will be asked again, with the same
//! report id. The last line of its stderr is the error shown.
//!
//! A program with a `user` has limits: 2 GiB of memory, 10 min of CPU time, 1 GiB a file, 1,024
//! open files.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, geteuid, test_kill_process};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Probed, Receipt, SendError, Sink};
use crate::accounts::{self, Identity};
use crate::host::Host;
use crate::plugin::{self, Command, ProgramOutcome, Run, RunAs, Settings};
use crate::render;
use crate::report::Report;

/// Exit code of a program that refuses a report for good, as in qmail.
const REFUSED: i32 = 100;
/// Maximum number of bytes read of a program's stdout. Its end is the receipt.
const MAX_STDOUT: usize = 64 * 1024;
/// Places for the report's directory, the better first: `/run` is in memory.
const PLACES: [&str; 2] = ["/run", "/tmp"];
/// Prefix of the directory's name. The number of the process that makes it follows.
const PREFIX: &str = "lastwords-report-";

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExecSink {
    name: String,
    command: Command,
    #[serde(default = "a_minute", deserialize_with = "plugin::timeout")]
    #[cfg_attr(test, schemars(with = "String"))]
    timeout: Duration,
    #[serde(default)]
    settings: Settings,
    user: Option<String>,
}

fn a_minute() -> Duration {
    Duration::from_mins(1)
}

impl Sink for ExecSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "exec"
    }

    fn patience(&self) -> Duration {
        // Leaves time to end the program in order.
        self.timeout + Duration::from_secs(10)
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        self.command.locate()?;
        self.find_user(host)?;
        let stdin = serde_json::to_string_pretty(&input(report, &self.settings.outline()))?;
        let user = self.user.as_ref().map(|user| format!(" as user {user}"));
        Ok(format!(
            "run {}{}, with the report on its stdin:\n{stdin}\n",
            self.command,
            user.unwrap_or_default()
        ))
    }

    fn probe(&self, host: &Host) -> Result<Probed, SendError> {
        let path = self.command.locate()?;
        self.find_user(host)?;
        Ok(Probed::Unasked(format!(
            "{} can be run (not verified: only a report shows what it does)",
            path.display()
        )))
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        verdict(&self.run(report, host, &mut |_| {})?)
    }
}

impl ExecSink {
    /// Runs the program; see [`plugin::run_and_look`].
    ///
    /// # Errors
    /// If it cannot run as its user, or the report's directory cannot be made.
    pub fn run(
        &self,
        report: &Report,
        host: &Host,
        look: &mut dyn FnMut(Pid),
    ) -> Result<ProgramOutcome> {
        let user = plugin::user(self.user.as_deref(), host)?;
        let made = report_directory(report, user.as_ref())?;
        let stdin = input(report, &self.settings.json()).to_string();
        let run = Run {
            command: &self.command,
            user: user.as_ref().map(|user| RunAs {
                user,
                // It may call `sendmail`, which hands mail over as a setgid program.
                may_gain: true,
            }),
            stdin: stdin.as_bytes(),
            env: &[("LASTWORDS_REPORT_DIR", made.directory.path().as_os_str())],
            timeout: self.timeout,
            max_bytes: MAX_STDOUT,
        };
        Ok(plugin::run_and_look(&run, look))
    }

    /// Checks that the configured user exists.
    fn find_user(&self, host: &Host) -> Result<()> {
        let Some(user) = &self.user else {
            return Ok(());
        };
        let found = accounts::identity(user, host);
        found
            .map(drop)
            .with_context(|| format!("cannot run as {user:?}"))
    }
}

/// Returns what a program's end means for the report.
pub fn verdict(outcome: &ProgramOutcome) -> Result<Receipt, SendError> {
    let why = match outcome.last_error.as_str() {
        "" => outcome.end.to_string(),
        said => format!("{}: {said}", outcome.end),
    };
    match outcome.end.code() {
        Some(0) => {
            let said = plugin::last_line(&outcome.stdout);
            Ok(if said.is_empty() {
                "exit 0".to_owned()
            } else {
                said
            })
        }
        Some(REFUSED) => Err(SendError::Refused { why }),
        _ => Err(SendError::Retry { after: None, why }),
    }
}

fn input(report: &Report, settings: &Value) -> Value {
    json!({ "protocol": plugin::PROTOCOL, "report": report, "settings": settings })
}

/// Removes the directories that killed processes left. A process that a container hides lives if it
/// holds its directory's lock.
pub fn sweep() {
    for entry in PLACES
        .iter()
        .filter_map(|place| fs::read_dir(place).ok())
        .flatten()
        .flatten()
    {
        let is_gone = |pid: Pid| matches!(test_kill_process(pid), Err(Errno::SRCH));
        let is_ours = || {
            entry
                .metadata()
                .is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
        };
        let is_free = || locked(&entry.path()).is_ok();
        if entry
            .file_name()
            .to_str()
            .and_then(maker)
            .is_some_and(is_gone)
            && is_ours()
            && is_free()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Returns the process that made a directory of this name.
fn maker(name: &str) -> Option<Pid> {
    name.strip_prefix(PREFIX)?
        .split_once('-')
        .and_then(|(pid, _)| Pid::from_raw(pid.parse().ok()?))
}

/// Opens a directory of ours and takes its lock, which lasts as long as this process.
fn locked(directory: &Path) -> Result<File, TryLockError> {
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(
            OFlags::DIRECTORY
                .union(OFlags::NOFOLLOW)
                .bits()
                .cast_signed(),
        )
        .open(directory)
        .map_err(TryLockError::Error)?;
    directory.try_lock()?;
    Ok(directory)
}

/// A directory with a report in it. Dropping it removes it.
struct ReportDirectory {
    directory: TempDir,
    /// Tells those who do not see this process that it lives.
    _lock: Option<File>,
}

/// Makes a directory with the report in it, which only we or this user can read. The directory
/// stays ours: its name is known to the program alone, and the program cannot put anything into it.
fn report_directory(report: &Report, user: Option<&Identity>) -> Result<ReportDirectory> {
    let mut builder = tempfile::Builder::new();
    let prefix = format!("{PREFIX}{}-", std::process::id());
    builder
        .prefix(&prefix)
        .permissions(Permissions::from_mode(if user.is_some() {
            0o711
        } else {
            0o700
        }));
    let [first, second] = PLACES;
    let made = builder
        .tempdir_in(first)
        .or_else(|_| builder.tempdir_in(second));
    let directory = made.with_context(|| {
        format!("cannot make a directory for the report in {first} or {second}")
    })?;
    // Not every file system locks a directory.
    let lock = locked(directory.path()).ok();
    let write = |name: &str, text: &[u8]| write_new(&directory.path().join(name), text, user);
    write("report.json", &serde_json::to_vec_pretty(report)?)?;
    write("report.txt", render::text(report).as_bytes())?;
    Ok(ReportDirectory {
        directory,
        _lock: lock,
    })
}

fn write_new(path: &Path, text: &[u8], user: Option<&Identity>) -> Result<()> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text)?;
        user.map_or(Ok(()), |user| fchown(&file, Some(user.uid), None))
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn sink(script: &str) -> ExecSink {
        let mut sink: ExecSink =
            toml::from_str("name = 'x'\ncommand = ['sh', '-c', '']\nsettings.token = 'hush'")
                .unwrap();
        sink.command = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]
            .try_into()
            .unwrap();
        sink
    }

    fn send(script: &str) -> Result<Receipt, SendError> {
        sink(script).send(&sample(), &Host::new("/", "/"))
    }

    #[test]
    fn the_program_gets_the_report_on_stdin_and_in_a_directory_that_is_gone_afterwards() {
        let script = r#"cd "$LASTWORDS_REPORT_DIR" && test "$(stat -c %a .)" = 700 && test "$(stat -c %a report.txt)" = 600 &&
            grep -q '"token":"hush"' && grep -q '"id": "20261123t030000-0123456789abcdef"' report.json &&
            grep -q '^Why      exit code 1' report.txt && pwd"#;
        let receipt = send(script).unwrap();
        assert!(
            receipt.contains("/lastwords-") && !Path::new(&receipt).exists(),
            "{receipt}"
        );
    }

    #[test]
    fn what_a_killed_try_left_is_swept_away_and_nothing_else() {
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let dir = |pid: u32| {
            tempfile::Builder::new()
                .prefix(&format!("{PREFIX}{pid}-"))
                .tempdir_in("/tmp")
                .unwrap()
        };
        let (left, in_use, hidden) = (dir(dead.id()), dir(std::process::id()), dir(dead.id()));
        let lock = locked(hidden.path()).unwrap();
        sweep();
        assert!(!left.path().exists() && in_use.path().exists() && hidden.path().exists());
        drop(lock);
    }

    #[test]
    fn exit_0_is_done_100_never_and_anything_else_later() {
        assert_eq!(send("true"), Ok("exit 0".to_owned()));
        assert_eq!(send("echo one; echo two"), Ok("two".to_owned()));
        let why = "exit status: 100: gone for good".to_owned();
        assert_eq!(
            send("echo gone for good >&2; exit 100"),
            Err(SendError::Refused { why })
        );
        for (script, why) in [
            ("exit 1", "exit status: 1"),
            ("echo busy >&2; exit 75", "exit status: 75: busy"),
        ] {
            assert_eq!(
                send(script),
                Err(SendError::Retry {
                    after: None,
                    why: why.to_owned()
                })
            );
        }
        assert!(matches!(
            send("kill -KILL $$"),
            Err(SendError::Retry { .. })
        ));
    }

    #[test]
    fn a_preview_shows_what_the_program_reads_but_no_setting() {
        let preview = sink("true")
            .preview(&sample(), &Host::new("/", "/"))
            .unwrap();
        assert!(
            preview.contains("\"id\": \"20261123t030000-0123456789abcdef\""),
            "{preview}"
        );
        assert!(
            preview.contains("\"token\": \"(not shown)\"") && !preview.contains("hush"),
            "{preview}"
        );
        let mut missing = sink("true");
        missing.command = vec!["/nonexistent/pager".to_owned()].try_into().unwrap();
        assert!(missing.preview(&sample(), &Host::new("/", "/")).is_err());
    }
}
