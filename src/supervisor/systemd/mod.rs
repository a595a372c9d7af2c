//! systemd: the environment of its `ExecStopPost=`, and the unit's properties at that moment.
//!
//! The environment (`SERVICE_RESULT`, `EXIT_CODE`, `EXIT_STATUS`; see systemd.exec(5)) tells how
//! the process ended, but not whether somebody had asked for that. A `kill -TERM` from outside
//! looks like `systemctl stop`, and a stop that took SIGKILL looks like a start that took too long.
//! The manager tells these apart:
//!
//! | the end | `SERVICE_RESULT` | what tells |
//! |---|---|---|
//! | `systemctl stop`, `restart`, `isolate`, a shutdown | any | a stop or restart job is running |
//! | died, and somebody stopped it right after that | any | its main process had died before it was no longer active |
//! | SIGTERM from outside | `success` | no such job |
//! | a stop whose signal (`KillSignal=`, `TimeoutStopFailureMode=abort`) looks like a fault | any | such a job, and these settings |
//! | the end of a soft-reboot | `signal` | the main process is older than this userspace |
//! | a stop that took SIGKILL, a start timeout, `RuntimeMaxSec=` | `timeout` | such a job, never active, neither |

mod allowed;
mod answers;
mod ask;
mod condition;
mod doctor;
pub mod files;
mod setup;
mod steps;
pub mod units;
mod unseen;
mod wired;

use crate::report::{Death as Kind, Evidence, Exit};
use crate::supervisor::account::{Account, Ending, FailedStart, MainExit, Reason};
pub use answers::Systemd;

/// The variables of a hook; empty if not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Prefix of the variables' names.
    pub prefix: &'static str,
    pub result: String,
    /// `exited`, `killed` or `dumped`.
    pub code: String,
    /// A number, or a signal's name.
    pub status: String,
    pub invocation: Option<String>,
}

/// The properties of a unit whose main process has ended. Moments are in microseconds of the
/// monotonic clock, 0 if they never were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// The job that systemd runs for the unit: its number and its type.
    pub job: Option<(u32, String)>,
    /// When the unit last became active, and when it last ceased to be.
    pub active_since: u64,
    pub active_until: u64,
    /// When the main process began and ended.
    pub main_since: u64,
    pub main_until: u64,
    pub main_pid: u32,
    /// `Type=`.
    pub kind: String,
    pub remains_after_exit: bool,
    /// The file of the program that `ExecStart=` runs.
    pub program: Option<String>,
    /// The path of the command in `ExecStart=`; empty if there is none.
    pub command: String,
    /// A command beside the main process that failed.
    pub failed_command: Option<FailedCommand>,
    /// The file that the service's output goes to.
    pub log: Option<String>,
    /// The signals by which systemd itself ends the service at a stop.
    pub stop_signals: Vec<String>,
    /// When systemd began to bring this userspace up, and when it was done.
    pub userspace: (u64, u64),
}

/// A command of `ExecStartPre=` or `ExecStartPost=` that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCommand {
    /// The key in the unit's file.
    pub key: &'static str,
    /// The path of its program.
    pub program: String,
    pub exit: Exit,
}

impl Unit {
    /// Returns why a start failed, if a command beside the main process did.
    fn failure_beside(&self) -> Option<String> {
        let FailedCommand { key, program, exit } = self.failed_command.as_ref()?;
        let step = match exit {
            Exit::Code(code) => steps::failed(*code, program),
            _ => None,
        };
        let step = step.map(|step| format!(": {step}")).unwrap_or_default();
        Some(format!("{key}={program} failed: {exit}{step}"))
    }

    /// Returns true if the unit came up in this life.
    fn was_up(&self) -> bool {
        self.main_since > 0 && self.active_since >= self.main_since
    }

    /// Returns true if the main process died before somebody began to stop the unit.
    fn died_first(&self) -> bool {
        self.was_up()
            && !self.remains_after_exit
            && self.main_until > 0
            && self.active_until >= self.main_until
    }

    /// Returns true if a soft-reboot killed the main process: it was started before systemd brought
    /// this userspace up, and had died before that was done.
    fn died_by_soft_reboot(&self) -> bool {
        let (since, done) = self.userspace;
        let was_before = self.main_since > 0 && self.main_since < since;
        was_before && (done == 0 || self.main_until < done)
    }

    /// Returns the job by which somebody stops the unit.
    fn stop(&self) -> Option<&(u32, String)> {
        self.job
            .as_ref()
            .filter(|(_, kind)| matches!(kind.as_str(), "stop" | "restart") && !self.died_first())
    }
}

/// Splits a unit's name into job and instance: `web@blue.service` is the instance `blue` of `web`.
/// Escapes stay, as `systemctl` takes them.
pub fn service(unit: &str) -> (&str, Option<&str>) {
    let name = unit.strip_suffix(".service").unwrap_or(unit);
    match name.split_once('@') {
        Some((job, instance)) if !job.is_empty() && !instance.is_empty() => (job, Some(instance)),
        _ => (name, None),
    }
}

/// Returns the file that a unit's output goes to. Of its files the last one counts.
pub fn output_file(files: impl Iterator<Item = String>) -> Option<String> {
    let mut file = None;
    for text in files {
        for line in text.lines() {
            let Some((key, value)) = line
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()))
            else {
                continue;
            };
            if key == "StandardOutput" {
                let target = value
                    .split_once(':')
                    .filter(|(how, _)| matches!(*how, "file" | "append" | "truncate"));
                file = target.map(|(_, path)| path.to_owned());
            }
        }
    }
    // Only systemd can replace a `%` specifier.
    file.filter(|path| path.starts_with('/') && !path.contains(['%', '{', '}']))
}

/// Reads an end from the environment; returns `None` if that tells nothing. `unit` is there if the
/// manager could be asked.
pub fn account(told: &Told, unit: Option<&Unit>) -> Option<Account> {
    if told.result.is_empty() {
        return None;
    }
    let evidence = told.evidence();
    let pid = unit.map(|unit| unit.main_pid).filter(|pid| *pid > 0);
    let main = told.exit().map(|exit| MainExit {
        exit,
        pid,
        evidence,
    });
    let stop = unit.and_then(Unit::stop).map(|(number, kind)| Evidence {
        source: "systemd".into(),
        line: None,
        text: format!("a {kind} job ({number}) was running"),
    });
    Some(Account {
        ending: match (&stop, unit) {
            (Some(_), Some(unit)) => told.ending_of_stop(main, unit),
            _ => told.ending(main, unit),
        },
        announced: stop,
        logs: unit.and_then(|unit| unit.log.clone()).into_iter().collect(),
        invocation: told.invocation.clone(),
        program: unit.and_then(|unit| unit.program.clone()),
        directory: None,
    })
}

impl Told {
    /// Returns what an end comes to while somebody stops the unit. The signal that looks like a
    /// fault may be the one by which systemd stops it.
    fn ending_of_stop(&self, main: Option<MainExit>, unit: &Unit) -> Ending {
        let exit = self.exit();
        match &exit {
            // Any other is judged as everywhere: the kernel may have killed it for want of memory.
            Some(exit @ Exit::Signal { name, .. })
                if exit.is_fault() && unit.stop_signals.contains(name) =>
            {
                let why = format!("somebody stopped it, which systemd does by SIG{name} here");
                harmless(main, &why)
            }
            _ => Ending::ended(main),
        }
    }

    /// Returns what an end comes to that nobody is known to have asked for.
    fn ending(&self, main: Option<MainExit>, unit: Option<&Unit>) -> Ending {
        // The unit that `OnFailure=` starts runs when the stop job is over. Then only the end of a
        // service that died first is clear.
        let in_time = unit.filter(|unit| self.prefix.is_empty() || unit.died_first());
        match (self.result.as_str(), self.exit(), unit) {
            (_, Some(Exit::Signal { .. }), Some(unit)) if unit.died_by_soft_reboot() => {
                harmless(main, "a soft-reboot ended it")
            }
            ("exec-condition", ..) => {
                harmless(main, "its ExecCondition= said that it should not run")
            }
            // Some have no process at all (systemd-soft-reboot.service).
            ("success", None | Some(Exit::Code(_)), Some(unit)) if unit.kind == "oneshot" => {
                harmless(main, "it is a oneshot service and has done what it is for")
            }
            ("exit-code", Some(Exit::Code(code)), _)
                if let Some(step) = steps::failed(code, unit.map_or("", |it| &it.command)) =>
            {
                self.failed_start(main, &format!("exit code {code}: {step}"))
            }
            ("signal" | "exit-code", None, None) => {
                doubtful(main, "something else than its main process failed")
            }
            ("exit-code", Some(Exit::Signal { .. }), Some(unit)) => self.failed_start(
                main,
                &unit.failure_beside().unwrap_or_else(|| {
                    "a command beside its main process failed (ExecStartPost=, say)".to_owned()
                }),
            ),
            ("exit-code" | "signal" | "core-dump", None, _) => self.failed_start(
                main,
                &unit.and_then(Unit::failure_beside).unwrap_or_else(|| {
                    "a command before its main process failed (ExecStartPre=, say)".to_owned()
                }),
            ),
            ("resources", ..) => {
                self.failed_start(main, "systemd had not what it takes to run it (resources)")
            }
            ("start-limit-hit", ..) => self.failed_start(
                main,
                "it was started too often in too short a time (start-limit-hit)",
            ),
            ("timeout", ..) if in_time.is_none() => {
                doubtful(main, "something took longer than systemd allows")
            }
            ("timeout", _, Some(unit)) if unit.was_up() => explained(
                main,
                Kind::KilledBySignal,
                "it ran for longer than RuntimeMaxSec= allows, and systemd ended it (timeout)",
            ),
            ("timeout", ..) => self.failed_start(
                main,
                "it was not up within TimeoutStartSec=, and systemd ended it (timeout)",
            ),
            ("watchdog", ..) => explained(
                main,
                Kind::KilledBySignal,
                "it did not report within WatchdogSec=, and systemd ended it (watchdog)",
            ),
            ("oom-kill", ..) => explained(
                main,
                Kind::OomKilled,
                "out of memory: the kernel killed the service or one of its processes (systemd: \
                 oom-kill)",
            ),
            ("protocol", None, _) => self.failed_start(
                main,
                "it did not come up as its Type= says (systemd: protocol)",
            ),
            ("protocol", Some(_), _) => Ending::Explained {
                main,
                reason: Reason {
                    line: "it ended before it was up as its Type= says (systemd: protocol)".into(),
                    kind: Kind::PlainExit,
                    only_if_unknown: true,
                },
            },
            ("success" | "exit-code", ..) if in_time.is_none() => doubtful(
                main,
                "either it ended by itself, or something killed it, or somebody stopped it",
            ),
            _ => Ending::ended(main),
        }
    }

    fn failed_start(&self, main: Option<MainExit>, why: &str) -> Ending {
        let failed = FailedStart {
            why: why.to_owned(),
            evidence: self.evidence(),
        };
        match main {
            Some(main) => Ending::DiedStarting { main, failed },
            None => Ending::NeverRan(failed),
        }
    }

    /// Returns how the main process ended; `None` if there was none, or systemd does not say.
    fn exit(&self) -> Option<Exit> {
        match self.code.as_str() {
            "exited" => self.status.parse().ok().map(Exit::Code),
            code @ ("killed" | "dumped") => {
                let plain =
                    |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'+' || c == b'-';
                let is_name = !self.status.is_empty() && self.status.bytes().all(plain);
                is_name.then(|| Exit::Signal {
                    name: self.status.clone(),
                    core_dumped: code == "dumped",
                })
            }
            _ => None,
        }
    }

    fn evidence(&self) -> Evidence {
        let variables = [
            ("SERVICE_RESULT", &self.result),
            ("EXIT_CODE", &self.code),
            ("EXIT_STATUS", &self.status),
        ];
        let set = variables.iter().filter(|(_, value)| !value.is_empty());
        let words: Vec<_> = set
            .map(|(name, value)| format!("{}{name}={value}", self.prefix))
            .collect();
        Evidence {
            source: "environment of the hook".into(),
            line: None,
            text: words.join(" "),
        }
    }
}

fn harmless(main: Option<MainExit>, why: &str) -> Ending {
    let why = why.to_owned();
    Ending::Harmless { main, why }
}

/// Returns an end that only the manager could tell from a planned stop, and it was not asked.
fn doubtful(main: Option<MainExit>, what: &str) -> Ending {
    let why = format!("{what}, and systemd could not be asked whether it was stopping the service");
    Ending::Doubtful { main, why }
}

/// Returns an end that systemd brought about, or whose reason it knows.
fn explained(main: Option<MainExit>, kind: Kind, line: &str) -> Ending {
    let reason = Reason {
        line: line.to_owned(),
        kind,
        only_if_unknown: false,
    };
    Ending::Explained { main, reason }
}

#[cfg(test)]
mod tests;
