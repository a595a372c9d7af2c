//! Runs a foreign program: bounded in time and output, never through a shell, nothing left running.
//!
//! The program gets its own process group, `/` as its directory, an environment of `PATH`, `LANG`
//! and the caller's additions, and a pipe each for stdin, stdout and stderr. It may run as another
//! user. When it has ended in whatever way, the whole group is killed. One case is not covered: a
//! descendant that leaves the group (`setsid`) lives on, although no one waits for it. Under
//! systemd it ends with lastwords' own unit.

mod process;
mod switch;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{Access, access};
use rustix::process::Pid;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::redact::redact;
use process::{GRACE, Pipes, ProcessGroup};
pub use switch::{RunAs, user};

/// The version of the JSON that plugins get on stdin.
pub const PROTOCOL: u32 = 1;
/// The directories of programs without a path. They are fixed, as lastwords' own `PATH` may come
/// from the job that died.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Maximum length of the last line of stderr that is kept, in characters.
const LAST_LINE: usize = 300;

/// A program and its arguments from the config. The program is an absolute path, or a name that is
/// looked up in a fixed `PATH`. Secrets in the arguments are not shown.
#[derive(Clone, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "Vec<String>"))]
#[serde(try_from = "Vec<String>")]
pub struct Command(Vec<String>);

impl TryFrom<Vec<String>> for Command {
    type Error = String;
    fn try_from(words: Vec<String>) -> Result<Self, String> {
        let program = words.first().map_or("", String::as_str);
        if program.is_empty() {
            return Err(
                "expected a program and its arguments, such as [\"free\", \"-h\"]".to_owned(),
            );
        }
        if program.contains('/') && !program.starts_with('/') {
            return Err(format!(
                "expected an absolute path or a bare name, found {program:?}"
            ));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err("a program's arguments cannot hold NUL".to_owned());
        }
        Ok(Self(words))
    }
}

/// Reads how long a program may run.
///
/// # Errors
/// If the config gives it no time at all.
pub fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let timeout: Duration = humantime_serde::deserialize(deserializer)?;
    if timeout.is_zero() {
        return Err(D::Error::custom("expected a duration longer than 0s"));
    }
    Ok(timeout)
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&redact(&format!("{:?}", self.0)))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Command {
    /// Returns the path of the program.
    ///
    /// # Errors
    /// If there is none, or this process may not execute it.
    pub fn locate(&self) -> Result<PathBuf> {
        let name = self.0.first().context("the command is empty")?;
        let executable = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        if !name.starts_with('/') {
            let mut places = PATH
                .split(':')
                .map(|directory| Path::new(directory).join(name));
            return places
                .find(|path| executable(path))
                .with_context(|| format!("no program {name} in {PATH}"));
        }
        let path = PathBuf::from(name);
        if executable(&path) {
            return Ok(path);
        }
        let meta = path
            .metadata()
            .with_context(|| format!("cannot run {name}"))?;
        bail!(
            "cannot run {name}: {}",
            if meta.is_file() {
                "not executable (chmod +x)"
            } else {
                "not a file"
            }
        );
    }
}

/// A program to run, its input, and its limits.
pub struct Run<'a> {
    pub command: &'a Command,
    /// The user that it runs as; `None` for this process's own.
    pub user: Option<RunAs<'a>>,
    /// Its stdin; it need not read that.
    pub stdin: &'a [u8],
    /// Its environment, beside `PATH` and `LANG`.
    pub env: &'a [(&'a str, &'a OsStr)],
    /// Maximum time that it may run.
    pub timeout: Duration,
    /// Maximum number of bytes of stdout that are kept; the rest is read and thrown away.
    pub max_bytes: usize,
}

/// How a program's run went.
#[derive(Debug)]
pub struct ProgramOutcome {
    pub end: ProgramEnd,
    /// Its stdout, up to the cap.
    pub stdout: Vec<u8>,
    /// True if there was more.
    pub truncated: bool,
    /// The last line of stderr that is not blank, as plain text; empty if there is none.
    pub last_error: String,
}

/// How a program ended.
#[derive(Debug)]
pub enum ProgramEnd {
    Ended(ExitStatus),
    /// The program was still running after this time, and was killed.
    TimedOut(Duration),
    /// The program could not be started, for this reason.
    NotStarted(String),
}

impl ProgramEnd {
    /// Returns the exit code, if the program ended by itself.
    pub fn code(&self) -> Option<i32> {
        if let Self::Ended(status) = self {
            status.code()
        } else {
            None
        }
    }
}

impl fmt::Display for ProgramEnd {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Ended(status) => status.fmt(f),
            Self::TimedOut(limit) => {
                write!(
                    f,
                    "still running after {}, so it was killed",
                    humantime::format_duration(*limit)
                )
            }
            Self::NotStarted(why) => f.write_str(why),
        }
    }
}

/// The config's `settings` table. It may hold a password: `Debug` shows its keys only.
#[derive(Clone, Default, Deserialize)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(with = "serde_json::Map<String, Value>")
)]
#[serde(transparent)]
pub struct Settings(toml::Table);

impl Settings {
    /// Returns the settings as the JSON that a plugin gets. JSON has no dates: they become strings.
    pub fn json(&self) -> Value {
        fn json(value: &toml::Value) -> Value {
            match value {
                toml::Value::String(text) => text.as_str().into(),
                toml::Value::Integer(number) => (*number).into(),
                toml::Value::Float(number) => (*number).into(),
                toml::Value::Boolean(yes) => (*yes).into(),
                toml::Value::Datetime(time) => time.to_string().into(),
                toml::Value::Array(list) => list.iter().map(json).collect(),
                toml::Value::Table(table) => table
                    .iter()
                    .map(|(key, value)| (key.clone(), json(value)))
                    .collect(),
            }
        }
        self.0
            .iter()
            .map(|(key, value)| (key.clone(), json(value)))
            .collect()
    }

    /// Returns the settings for people, without the values.
    pub fn outline(&self) -> Value {
        self.0
            .keys()
            .map(|key| (key.clone(), Value::from("(not shown)")))
            .collect()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.outline().fmt(f)
    }
}

/// Runs the program and waits until it has ended.
pub fn run(run: &Run) -> ProgramOutcome {
    run_and_look(run, &mut |_| {})
}

/// Runs the program, and calls `look` with its process group after the program has ended and before
/// the group is killed.
pub fn run_and_look(run: &Run, look: &mut dyn FnMut(Pid)) -> ProgramOutcome {
    let started = Instant::now();
    let child = match start(run) {
        Ok(child) => child,
        Err(why) => {
            let end = ProgramEnd::NotStarted(format!("{why:#}"));
            return ProgramOutcome {
                end,
                stdout: Vec::new(),
                truncated: false,
                last_error: String::new(),
            };
        }
    };
    let mut group = ProcessGroup::new(child);
    let mut pipes = Pipes::take(&mut group.child, run.stdin, run.max_bytes);
    let ended = loop {
        let left = run.timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            break false;
        }
        if group.ended() {
            break true;
        }
        pipes.wait(&group, left);
        pipes.turn();
    };
    if let Some(leader) = group.leader().filter(|_| ended) {
        look(leader);
    }
    group.kill();
    // A descendant that left the group may hold the pipes: read what is in them, but do not wait
    // for more.
    let over = Instant::now();
    while pipes.turn() && over.elapsed() < GRACE {}
    let end = match group.reap() {
        Some(status) if ended => ProgramEnd::Ended(status),
        _ => ProgramEnd::TimedOut(run.timeout),
    };
    ProgramOutcome {
        end,
        stdout: pipes.stdout.kept,
        truncated: pipes.stdout.truncated,
        last_error: last_line(&pipes.stderr.kept),
    }
}

fn start(run: &Run) -> Result<Child> {
    let path = run.command.locate()?;
    let mut command = std::process::Command::new(&path);
    command
        .args(run.command.0.iter().skip(1))
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .envs(run.env.iter().copied())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match run.user {
        Some(run_as) => switch::to(&mut command, run_as),
        None => _ = command.process_group(0),
    }
    command.spawn().with_context(|| match run.user {
        Some(RunAs { user, .. }) => {
            format!("cannot run {} as user {}", path.display(), user.uid)
        }
        None => format!(
            "cannot run {} (a script starts with a line such as #!/bin/sh)",
            path.display()
        ),
    })
}

/// Returns the last line that is not blank, with spaces in place of control characters.
pub fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = |line: &str| -> String {
        let visible: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        visible.trim().chars().take(LAST_LINE).collect()
    };
    text.lines()
        .rev()
        .map(plain)
        .find(|line| !line.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
