//! supervisord: one listener is told of all programs. supervisorctl tells whether it runs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::host::Host;
use crate::redact::redact;
use crate::report::Condition;
use crate::supervisor::ask::ask;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Observed, Running, missing, program};
use crate::supervisor::supervise::Subject;
use crate::supervisor::supervisord::child_logs::logs_of_program;
use crate::supervisor::supervisord::condition;
use crate::supervisor::supervisord::files::{self, CHILD_LOGS, Listener, SUPERVISORD_LOG};

const SUPERVISORCTL: [&str; 3] = [
    "/usr/bin/supervisorctl",
    "/usr/local/bin/supervisorctl",
    "/bin/supervisorctl",
];
/// Subscriptions that bring the ends of processes.
const EVENTS: [&str; 4] = ["PROCESS_STATE_EXITED", "PROCESS_STATE", "EVENT", ""];
/// Size of the end of supervisord's log that is searched, in bytes.
const LOOKED_AT: u64 = 256 * 1024;

pub fn check(subject: &Subject, checks: &mut Vec<Check>) -> Observed {
    let host = &subject.host;
    let Some(listener) = files::listener(host) else {
        checks.push(missing(
            "supervisord has no listener of ours",
            subject.service,
        ));
        return Observed::of(Running::Unknown);
    };
    let said = status(host);
    checks.push(listens(&listener, said.as_deref()));
    checks.extend(listener.program().map(|path| program("listen", path, host)));
    if !listener
        .events
        .split(',')
        .any(|event| EVENTS.contains(&event.trim()))
    {
        let text = format!(
            "{} does not ask for PROCESS_STATE_EXITED",
            listener.file.display()
        );
        let remedy = format!(
            "events= as `lastwords setup` writes it, then: supervisorctl update {}",
            listener.name
        );
        checks.push(Check::problem("events", Concerns::Catching, text, remedy));
    }
    log(&listener, checks);
    let said = said.as_deref();
    let running = said.map_or(Running::Unknown, |said| runs(said, subject.service));
    let child_logs = listener.flag("--child-logs").unwrap_or(CHILD_LOGS);
    let logs = logs_of_program(subject.service, Path::new(child_logs), host);
    Observed {
        logs,
        failed: said.and_then(|said| failed(said, subject.service)),
        ..Observed::of(running)
    }
}

/// Returns a line for each process: `web:web_1   RUNNING   pid 4242, uptime 0:01:02`. `None` if
/// supervisord does not answer.
pub fn status(host: &Host) -> Option<String> {
    let conf = files::main_file(host)?;
    let conf = host.path(conf);
    let answer = ask(host, &SUPERVISORCTL, &["-c", conf.to_str()?, "status"])?;
    // 3: not all of them run.
    matches!(answer.code, Some(0 | 3)).then_some(answer.text)
}

/// Returns the state of each process of this name, with the words beside it.
fn states<'s>(said: &'s str, name: &str) -> Vec<(&'s str, &'s str)> {
    let of = |line: &'s str| {
        let (process, rest) = line.split_once(char::is_whitespace)?;
        let is_it = process.split(':').next() == Some(name);
        let rest = rest.trim_start();
        is_it.then(|| {
            rest.split_once(char::is_whitespace)
                .map_or((rest, ""), |(state, more)| (state, more.trim()))
        })
    };
    said.lines().filter_map(of).collect()
}

fn runs(said: &str, name: &str) -> Running {
    let is_up = |(state, _): &(&str, &str)| ["RUNNING", "STARTING", "STOPPING"].contains(state);
    if states(said, name).iter().any(is_up) {
        Running::Yes
    } else {
        Running::No
    }
}

/// Returns how things stand with a program, if supervisord has given up one of its processes.
fn failed(said: &str, name: &str) -> Option<Condition> {
    let (_, why) = states(said, name)
        .into_iter()
        .find(|(state, _)| *state == "FATAL")?;
    Some(condition::given_up(why))
}

fn listens(listener: &Listener, said: Option<&str>) -> Check {
    let concerns = Concerns::Catching;
    let name = &listener.name;
    let Some(said) = said else {
        let text = "supervisord's files have lastwords as a listener; whether it listens, supervisord does not say";
        return Check::unknown("hooks", concerns, text)
            .with(format!("supervisorctl status {name}"));
    };
    match states(said, name).first() {
        Some(("RUNNING", _)) => Check::ok("hooks", concerns, "supervisord's listener runs"),
        Some(("STARTING", _)) => {
            let text = "supervisord's listener is only just starting";
            Check::unknown("hooks", concerns, text)
                .with(format!("supervisorctl status {name}, in some seconds"))
        }
        Some(("STOPPED", _)) => {
            let text = "supervisord's listener is stopped";
            Check::problem(
                "hooks",
                concerns,
                text,
                format!("supervisorctl start {name}"),
            )
        }
        Some((state, why)) => {
            let text = format!("supervisord's listener does not run: {state} {why}");
            let remedy = format!(
                "fix what `{} </dev/null` says, then: supervisorctl start {name}",
                redact(&listener.command)
            );
            Check::problem("hooks", concerns, text, remedy)
        }
        None => {
            let text = format!(
                "{} has our listener, but supervisord has not read it yet",
                listener.file.display()
            );
            Check::problem(
                "hooks",
                concerns,
                text,
                format!("supervisorctl update {name}"),
            )
        }
    }
}

/// Checks supervisord's own log. It alone tells how a process ended, and which events were lost.
fn log(listener: &Listener, checks: &mut Vec<Check>) {
    let name = listener
        .flag("--supervisord-log")
        .unwrap_or(SUPERVISORD_LOG);
    let about = "supervisord log";
    let text = match end_of(Path::new(name)) {
        Ok(text) => text,
        Err(why) => {
            let text = format!("{name}: {why}: how a process ended stays unknown");
            let remedy = format!(
                "name its logfile in {}: --supervisord-log FILE",
                listener.file.display()
            );
            checks.push(Check::weak(about, Concerns::Content, text, remedy));
            return;
        }
    };
    let overflow = format!("pool {} event buffer overflowed", listener.name);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(&overflow))
        .collect();
    checks.push(match lines.last() {
        None => Check::ok(about, Concerns::Content, format!("{name} can be read")),
        Some(last) => {
            let when = last.get(..19).unwrap_or_default();
            let text = format!(
                "supervisord has thrown {} of our events away, the last at {when}",
                lines.len()
            );
            let remedy = format!(
                "buffer_size=10000 in {}, then: supervisorctl update {}",
                listener.file.display(),
                listener.name
            );
            Check::weak("events", Concerns::Catching, text, remedy)
        }
    });
}

fn end_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LOOKED_AT)))?;
    let mut bytes = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_of_a_program_are_those_of_its_processes() {
        let said = "lastwords                        FATAL     Exited too quickly (process log may have details)\n\
                    web:web_0                        RUNNING   pid 12, uptime 0:00:01\n\
                    web:web_1                        STOPPED   Not started\nwebs  RUNNING  x\n";
        assert_eq!(
            states(said, "lastwords"),
            [("FATAL", "Exited too quickly (process log may have details)")]
        );
        assert_eq!(states(said, "web").len(), 2);
        assert_eq!(
            (runs(said, "web"), runs(said, "lastwords")),
            (Running::Yes, Running::No)
        );
    }
}
