//! supervisord, as the rest of the program asks it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Now;
use crate::host::Host;
use crate::report::{Condition, Stop, Timestamp};
use crate::supervisor::Supervise;
use crate::supervisor::caller::Caller;
use crate::supervisor::check::Check;
use crate::supervisor::doctor::Observed;
use crate::supervisor::listen::Listen;
use crate::supervisor::plan::Plan;
use crate::supervisor::supervise::{Allowed, Described, Subject};
use crate::supervisor::supervisord::listener::EventListener;
use crate::supervisor::supervisord::{child_logs, condition, doctor, files, setup};

pub struct Supervisord;

/// How long an answer counts.
const RECENT: Duration = Duration::from_secs(2);

/// supervisorctl's answer about all processes. It is a program in Python, and on a busy machine it
/// takes a second or more. A look asks about one service after the other.
struct StatusAnswer {
    host: PathBuf,
    asked: Now,
    said: Option<String>,
}

/// Returns an answer that is of later than a process's end.
fn status_after(end: Timestamp, now: Now, host: &Host) -> Option<String> {
    static LAST: Mutex<Option<StatusAnswer>> = Mutex::new(None);
    let root = host.path("/");
    let is_of_now = |it: &StatusAnswer| {
        it.host == root
            && it.asked.wall > end
            && now.monotonic.saturating_sub(it.asked.monotonic) < RECENT
    };
    // Another thread that asks meanwhile waits for the same answer.
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(answer) = last.as_ref().filter(|it| is_of_now(it)) {
        return answer.said.clone();
    }
    let answer = last.insert(StatusAnswer {
        host: root,
        asked: now,
        said: doctor::status(host),
    });
    answer.said.clone()
}

impl Supervise for Supervisord {
    fn name(&self) -> &'static str {
        "supervisord"
    }

    fn letter(&self) -> &'static str {
        "v"
    }

    /// Its events come late, by seconds when it starts itself.
    fn tells_late(&self) -> bool {
        true
    }

    fn listener(&self) -> Option<&dyn Listen> {
        Some(&EventListener)
    }

    /// Reads `stopwaitsecs`. The exits that `exitcodes` names are not needed here: supervisord's
    /// event says if an exit was expected.
    fn allows(&self, job: &str, instance: Option<&str>, host: &Host) -> Allowed {
        let value = |program| files::value_of(program, "stopwaitsecs", host);
        let seconds = instance.and_then(value).or_else(|| value(job));
        Allowed {
            stop_time: seconds
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            ..Allowed::default()
        }
    }

    fn condition(&self, stop: &Stop, now: Now, host: &Host) -> Option<Condition> {
        let process = match &stop.instance {
            Some(process) => format!("{}:{process}", stop.job),
            None => stop.job.clone(),
        };
        let said = status_after(stop.stopped_at, now, host);
        let condition = said.and_then(|said| condition::read(&said, &process));
        Some(condition.unwrap_or_default())
    }

    fn file_of(&self, program: &str, host: &Host) -> Option<PathBuf> {
        let mut programs = files::programs(host).into_iter();
        programs
            .find(|(name, _)| name == program)
            .map(|(_, file)| file)
    }

    fn services(&self, host: &Host) -> Vec<String> {
        let programs = files::programs(host).into_iter();
        programs.map(|(name, _)| name).collect()
    }

    /// Returns all programs if there is a listener: it hears of all.
    fn wired(&self, host: &Host) -> Vec<String> {
        if files::listener(host).is_none() {
            return Vec::new();
        }
        let ours = ["lastwords", "lastwords-deliver"];
        let names = files::programs(host).into_iter().map(|(name, _)| name);
        names
            .filter(|name| !ours.contains(&name.as_str()))
            .collect()
    }

    fn described(&self, program: &str, host: &Host) -> Described {
        Described {
            logs: child_logs::named(program, host),
            ..Described::default()
        }
    }

    fn setup(&self, program: &str, host: &Host, caller: &Caller) -> Plan {
        setup::plan(self, program, host, caller)
    }

    fn examine(&self, subject: &Subject, checks: &mut Vec<Check>) -> Observed {
        doctor::check(subject, checks)
    }

    fn restart(&self, program: &str, _: &Host) -> Option<String> {
        Some(format!("supervisorctl restart {program}:*"))
    }

    fn start_deliverer(&self, _: &str, _: bool) -> String {
        "supervisorctl update lastwords-deliver".to_owned()
    }
}
