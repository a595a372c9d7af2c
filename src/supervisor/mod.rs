//! Supervisors: what each one says about a stop, and where.
//!
//! Some tell it to the hook itself, in its arguments or its environment: that is kept in the
//! marker, with which it survives whatever becomes of the hook.
//!
//! Pure: the environment, the kernel log and the job's own configuration come in as data.

pub mod ask;
pub mod caller;
pub mod check;
pub mod doctor;
pub mod plan;
pub mod run;
pub mod runit;
pub mod s6;
pub mod service_dir;
pub mod services;
pub mod setup;
pub mod subject;
pub mod supervisord;
pub mod systemd;
pub mod texts;
pub mod upstart;

use serde::{Deserialize, Serialize};

use crate::report::{self, Evidence, Exit};

/// What a supervisor shows about one stop. What it does not show stays empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// How the main process ended.
    pub death: Option<Death>,
    /// Why the main process never ran.
    pub failed_start: Option<FailedStart>,
    /// It starts the service again by itself, so that nobody had asked for the stop.
    pub respawns: Option<Evidence>,
    /// It has given up starting the service again.
    pub gave_up: Option<Evidence>,
    /// It says that it stops the service itself (at a shutdown, say).
    pub planned: Option<Evidence>,
    /// A stop during start-up runs no pre-stop here and looks like a kill from outside.
    pub silent_early_stop: bool,
    /// What else than a crash would look the same here, in one sentence.
    pub lookalike: Option<String>,
    /// Where it keeps what the service writes, as far as it shows that.
    pub logs: Vec<String>,
    /// Whether the place where it tells of deaths could be read at all.
    pub readable: bool,
    /// The main process did run, but its end is that of a start that failed.
    pub died_starting: bool,
    /// Why nobody is to hear of this end.
    pub harmless: Option<String>,
    /// Why nothing here tells a planned stop from any other end.
    pub doubt: Option<String>,
    /// Why it ended.
    pub reason: Option<Reason>,
    /// The id that this supervisor gave to this life of the service.
    pub invocation: Option<String>,
    /// The program that it ran.
    pub program: Option<String>,
}

/// Why a main process never ran, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedStart {
    /// In one line, the same whenever it is the same: without pids.
    pub why: String,
    pub evidence: Evidence,
}

/// Why a service ended, where the supervisor knows more than how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// In one line, the same whenever it is the same.
    pub line: String,
    pub kind: report::Death,
    /// What the service's own log tells goes before it.
    pub only_if_unknown: bool,
}

/// How the main process ended, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    pub exit: Exit,
    pub pid: Option<u32>,
    pub evidence: Evidence,
}

/// Whether a service that is asked to restart may end so: by TERM, or by itself on that.
fn looks_like_a_restart(exit: &Exit) -> bool {
    exit.is_signal("TERM") || matches!(exit, Exit::Code(0 | 143))
}

fn lookalike(exit: &Exit, command: &str) -> String {
    format!(
        "{exit}: so it also ends when somebody restarts it ({command}), and nothing here tells the two apart"
    )
}

/// The program by which a script, or a command, runs lastwords' hook: `lastwords HOOK`, or a
/// program of the hook's name, which may be a link to lastwords. `None` where it does not.
pub fn called<'t>(script: &'t str, hook: &str) -> Option<&'t str> {
    let mut commands = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    commands.find_map(|line| called_by(line, hook))
}

fn called_by<'t>(line: &'t str, hook: &str) -> Option<&'t str> {
    let mut words = line
        .split_ascii_whitespace()
        .map(|word| word.trim_matches(['"', '\'', ';']));
    while let Some(word) = words.next() {
        match word.rsplit('/').next() {
            Some("lastwords") if words.clone().next() == Some(hook) => return Some(word),
            Some(name) if name == hook && word.starts_with('/') => return Some(word),
            _ => {}
        }
    }
    None
}
