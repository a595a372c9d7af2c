//! supervisord: its events, and its own words in its log.
//!
//! An event names a process and its new state, sometimes with the pid, but never how the process
//! ended. supervisord's log tells that. It has the process's name without its group's, and is
//! written before the event is sent:
//!
//! ```text
//! 2026-11-23 03:00:00,123 INFO spawned: 'web' with pid 4242
//! 2026-11-23 03:00:07,456 WARN exited: web (terminated by SIGSEGV (core dumped); not expected)
//! 2026-11-23 03:00:07,456 INFO exited: web (exit status 0; expected)
//! 2026-11-23 03:00:07,456 WARN stopped: web (terminated by SIGTERM)
//! 2026-11-23 03:00:07,456 INFO spawnerr: can't find command '/srv/web'
//! ```
//!
//! Events and lines come in the same order, so each event takes the first line that fits and that
//! no other event has taken.

mod answers;
mod child_logs;
mod condition;
mod doctor;
mod files;
mod listener;
mod log;
mod processes;
mod setup;

use std::collections::{HashMap, VecDeque};

use crate::report::{Evidence, Exit};
use crate::supervisor::account::{Account, Ending, FailedStart, MainExit};
pub use answers::Supervisord;

/// Maximum number of lines that wait for their events. supervisord keeps no more events than its
/// `buffer_size`.
const MOST_LINES: usize = 10_000;

/// The new state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    Starting,
    /// It ran and ended by itself; true if its `exitcodes` expect that.
    Exited(bool),
    /// It did not come up, and is tried again.
    Backoff,
    /// It did not come up, and is not tried again.
    Fatal,
    /// It is asked to stop. It will, by KILL if it has to.
    Stopping,
    Stopped,
}

/// An event about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub state: ProcessState,
    pub process: String,
    pub group: String,
    pub pid: Option<u32>,
    /// The event's own words.
    pub text: String,
}

/// Reads a header: the length of the payload in bytes, and the name of the event.
pub fn header(line: &str) -> Option<(usize, &str)> {
    let field = |name: &str| {
        line.split_ascii_whitespace()
            .find_map(|it| it.strip_prefix(name)?.strip_prefix(':'))
    };
    Some((field("len")?.parse().ok()?, field("eventname")?))
}

impl Event {
    /// Reads an event; returns `None` if it does not matter here, or is no event.
    pub fn parse(name: &str, payload: &str) -> Option<Self> {
        // Names hold neither blanks nor colons: supervisord refuses them.
        let field = |name: &str| {
            payload
                .split_ascii_whitespace()
                .find_map(|it| it.strip_prefix(name)?.strip_prefix(':'))
        };
        let state = match name.strip_prefix("PROCESS_STATE_")? {
            "STARTING" => ProcessState::Starting,
            "EXITED" => ProcessState::Exited(field("expected")? == "1"),
            "BACKOFF" => ProcessState::Backoff,
            "FATAL" => ProcessState::Fatal,
            "STOPPING" => ProcessState::Stopping,
            "STOPPED" => ProcessState::Stopped,
            _ => return None,
        };
        Some(Self {
            state,
            process: field("processname")?.to_owned(),
            group: field("groupname")?.to_owned(),
            pid: field("pid").and_then(|pid| pid.parse().ok()),
            text: format!("{name} {payload}"),
        })
    }

    /// Returns job and instance. A program of one process has a group of the same name.
    pub fn service(&self) -> (&str, Option<&str>) {
        (
            &self.group,
            Some(self.process.as_str()).filter(|process| *process != self.group),
        )
    }

    /// Reads an end from this event and its line in the log.
    pub fn account(&self, line: Option<&Line>, log: &str) -> Option<Account> {
        let event = || Evidence {
            source: "supervisord's event".into(),
            line: None,
            text: self.text.clone(),
        };
        let evidence = line.map_or_else(event, |line| Evidence {
            source: log.to_owned(),
            line: None,
            text: line.text.clone(),
        });
        let exit = line.and_then(|line| line.exit.clone());
        let pid = self.pid.or(line.and_then(|line| line.pid));
        let ended = |exit| MainExit {
            exit,
            pid,
            evidence: evidence.clone(),
        };
        let (ending, is_announced) = match (self.state, exit) {
            (ProcessState::Starting | ProcessState::Stopping, _) => return None,
            (ProcessState::Exited(expected), exit) => {
                let main = ended(exit.unwrap_or(Exit::Unknown));
                (Ending::Ended(main), expected)
            }
            (ProcessState::Stopped, exit) => (Ending::ended(exit.map(ended)), true),
            (ProcessState::Backoff, Some(exit)) => (Ending::Ended(ended(exit)), false),
            (ProcessState::Backoff, None) => {
                let why = line.map_or("it could not be started, or ended at once", Line::why);
                let why = format!("main: {why}");
                (Ending::NeverRan(FailedStart { why, evidence }), false)
            }
            (ProcessState::Fatal, _) => {
                // The listener has not heard of the starts that failed.
                let why = "supervisord has given up starting it: why, its log does not show".into();
                let evidence = event();
                (Ending::NeverRan(FailedStart { why, evidence }), false)
            }
        };
        Some(Account {
            announced: is_announced.then(event),
            ..ending.into()
        })
    }
}

/// A line of supervisord's log about a process's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The process; `None` if it could not be started, as the log does not name it then.
    process: Option<String>,
    kind: LineKind,
    /// The exit, if the process ever ran.
    exit: Option<Exit>,
    /// The pid of the process that was started last under this name.
    pid: Option<u32>,
    /// An earlier listener may have had the event that this line is about.
    old: bool,
    /// The whole line.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineKind {
    /// `exited`; `true`: as expected.
    Exited(bool),
    Stopped,
    SpawnError,
}

impl Line {
    /// Returns why the process did not come up, without words that differ from time to time.
    pub fn why(&self) -> &str {
        let said = self.text.split_once("spawnerr: ").map(|(_, why)| why);
        said.or_else(|| Some(self.text.split_once(" (")?.1.split_once("; ")?.0))
            .unwrap_or(&self.text)
    }
}

/// Lines that no event has taken yet.
#[derive(Debug)]
pub struct Lines {
    own_pid: u32,
    waiting: VecDeque<Line>,
    /// The pid that was started last under each name. It has an entry a program.
    spawned: HashMap<String, u32>,
}

impl Lines {
    /// Begins without lines. `own_pid` is this process: no earlier listener has had the events
    /// after its start.
    pub fn new(own_pid: u32) -> Self {
        Self {
            own_pid,
            waiting: VecDeque::new(),
            spawned: HashMap::new(),
        }
    }

    /// Adds a line of the log. `old` is true if the line may be older than this process.
    pub fn push(&mut self, text: &str, old: bool) {
        // The date, the time and the level stand before the words.
        let Some(words) = text.splitn(4, ' ').nth(3) else {
            return;
        };
        if words.starts_with("supervisord started with pid ") {
            self.waiting.clear();
            self.spawned.clear();
            return;
        }
        if let Some((name, pid)) = words
            .strip_prefix("spawned: '")
            .and_then(|rest| rest.split_once("' with pid "))
        {
            let Ok(pid) = pid.trim_end().parse() else {
                return;
            };
            if pid == self.own_pid {
                self.waiting.iter_mut().for_each(|line| line.old = true);
            }
            self.spawned.insert(name.to_owned(), pid);
            return;
        }
        let (kind, process, exit) = if words.starts_with("spawnerr: ") {
            (LineKind::SpawnError, None, None)
        } else {
            let Some((word, rest)) = words.split_once(": ") else {
                return;
            };
            let Some((name, how)) = rest.split_once(" (") else {
                return;
            };
            let kind = match word {
                "exited" => LineKind::Exited(how.ends_with("; expected)")),
                "stopped" => LineKind::Stopped,
                _ => return,
            };
            (kind, Some(name.to_owned()), Some(parse_end(how)))
        };
        let pid = process
            .as_ref()
            .and_then(|name| self.spawned.get(name).copied());
        let old = old && self.own_pid_is_not_seen();
        self.waiting.push_back(Line {
            process,
            kind,
            exit,
            pid,
            old,
            text: text.to_owned(),
        });
        if self.waiting.len() > MOST_LINES {
            self.waiting.pop_front();
        }
    }

    fn own_pid_is_not_seen(&self) -> bool {
        !self.spawned.values().any(|pid| *pid == self.own_pid)
    }

    /// Takes the line about the end that this event tells. A line that an earlier listener may have
    /// had only counts if it has the same pid.
    pub fn take(&mut self, event: &Event) -> Option<Line> {
        let fits = |line: &Line| {
            let named = line
                .process
                .as_ref()
                .is_none_or(|name| *name == event.process);
            let kind = match (event.state, line.kind) {
                (ProcessState::Exited(expected), LineKind::Exited(as_expected)) => {
                    expected == as_expected
                }
                (ProcessState::Backoff, LineKind::Exited(as_expected)) => !as_expected,
                (ProcessState::Backoff, LineKind::SpawnError)
                | (ProcessState::Stopped, LineKind::Stopped) => true,
                _ => false,
            };
            let pid = match event.pid {
                Some(pid) => line.pid.map_or(!line.old, |of_line| of_line == pid),
                None => !line.old,
            };
            named && kind && pid
        };
        let at = self.waiting.iter().position(fits)?;
        self.waiting.remove(at)
    }
}

/// Parses `exit status 1; not expected)`, `terminated by SIGSEGV (core dumped); not expected)`,
/// `terminated by signal 40)`.
fn parse_end(how: &str) -> Exit {
    if let Some(code) = how.strip_prefix("exit status ") {
        let digits = code
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        return digits.parse().map_or(Exit::Unknown, Exit::Code);
    }
    let Some(by) = how.strip_prefix("terminated by ") else {
        return Exit::Unknown;
    };
    let name = by
        .strip_prefix("SIG")
        .or_else(|| by.strip_prefix("signal "))
        .unwrap_or_default();
    let name = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    if name.is_empty() {
        return Exit::Unknown;
    }
    Exit::Signal {
        name: name.to_owned(),
        core_dumped: by.contains("(core dumped)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Lines {
        let mut lines = Lines::new(7);
        lines.push(
            "2026-11-23 03:00:00,000 INFO spawned: 'lastwords' with pid 7",
            true,
        );
        for text in texts {
            lines.push(&format!("2026-11-23 03:00:00,001 WARN {text}"), true);
        }
        lines
    }

    fn event(name: &str, payload: &str) -> Event {
        Event::parse(name, payload).unwrap()
    }

    fn exited(process: &str, pid: u32) -> Event {
        let payload =
            format!("processname:{process} groupname:web from_state:RUNNING expected:0 pid:{pid}");
        event("PROCESS_STATE_EXITED", &payload)
    }

    #[test]
    fn a_header_and_an_event_are_read() {
        let text = "ver:3.0 server:supervisor serial:21 pool:lastwords poolserial:10 eventname:PROCESS_STATE_EXITED len:65";
        assert_eq!(header(text), Some((65, "PROCESS_STATE_EXITED")));
        for broken in [
            "",
            "len:x eventname:A",
            "len:5",
            "eventname:A",
            "len:-1 eventname:A",
        ] {
            assert_eq!(header(broken), None);
        }
        let event = exited("web_00", 42);
        assert_eq!(
            (event.service(), event.pid, event.state),
            (
                ("web", Some("web_00")),
                Some(42),
                ProcessState::Exited(false)
            )
        );
        assert_eq!(exited("web", 42).service(), ("web", None));
        assert_eq!(Event::parse("TICK_5", "when:1"), None);
        assert_eq!(
            Event::parse("PROCESS_STATE_EXITED", "processname:web"),
            None
        );
    }

    #[test]
    fn how_it_ended_is_read_from_the_log() {
        let signal = |name: &str, core_dumped| Exit::Signal {
            name: name.into(),
            core_dumped,
        };
        for (how, exit) in [
            ("exit status 3; not expected)", Exit::Code(3)),
            (
                "terminated by SIGSEGV; not expected)",
                signal("SEGV", false),
            ),
            (
                "terminated by SIGSEGV (core dumped); not expected)",
                signal("SEGV", true),
            ),
            ("terminated by signal 40)", signal("40", false)),
            (
                "unknown termination cause 0x7f; not expected)",
                Exit::Unknown,
            ),
        ] {
            assert_eq!(parse_end(how), exit, "{how}");
        }
    }

    #[test]
    fn an_event_takes_the_line_of_its_own_pid() {
        let mut lines = lines(&[
            "spawned: 'web' with pid 41",
            "exited: web (exit status 1; not expected)",
            "spawned: 'web' with pid 42",
            "exited: web (terminated by SIGSEGV; not expected)",
        ]);
        let line = lines.take(&exited("web", 42)).unwrap();
        assert_eq!(
            (line.exit, line.pid),
            (
                Some(Exit::Signal {
                    name: "SEGV".into(),
                    core_dumped: false
                }),
                Some(42)
            )
        );
        assert_eq!(lines.take(&exited("web", 42)), None);
        assert_eq!(lines.take(&exited("api", 41)), None);
        assert_eq!(
            lines.take(&exited("web", 41)).unwrap().exit,
            Some(Exit::Code(1))
        );
    }

    #[test]
    fn failed_starts_take_their_lines_in_turn() {
        let mut lines = lines(&[
            "spawned: 'web' with pid 41",
            "exited: web (exit status 1; not expected)",
            "spawnerr: can't find command '/srv/web'",
        ]);
        let backoff = event(
            "PROCESS_STATE_BACKOFF",
            "processname:web groupname:web from_state:STARTING tries:1",
        );
        assert_eq!(lines.take(&backoff).unwrap().why(), "exit status 1");
        let line = lines.take(&backoff).unwrap();
        assert_eq!(line.why(), "can't find command '/srv/web'");
        let account = backoff.account(Some(&line), "log").unwrap();
        assert_eq!(
            account.ending.failed_start().unwrap().why,
            "main: can't find command '/srv/web'"
        );
        assert_eq!(lines.take(&backoff), None);
    }

    #[test]
    fn what_stood_there_before_us_is_not_taken_for_an_event_without_a_pid() {
        let mut lines = Lines::new(7);
        for text in [
            "spawned: 'web' with pid 41",
            "exited: web (exit status 1; not expected)",
            "spawned: 'lastwords' with pid 7",
        ] {
            lines.push(&format!("2026-11-23 03:00:00,001 WARN {text}"), true);
        }
        let backoff = event(
            "PROCESS_STATE_BACKOFF",
            "processname:web groupname:web from_state:STARTING tries:1",
        );
        assert_eq!(lines.take(&backoff), None);
        assert!(lines.take(&exited("web", 41)).is_some());
    }

    #[test]
    fn an_end_that_nobody_tells_of_is_unknown_and_a_stop_is_planned() {
        let account = exited("web", 42).account(None, "log").unwrap();
        let main = account.ending.main().unwrap();
        assert_eq!((&main.exit, main.pid), (&Exit::Unknown, Some(42)));
        let stopped = event(
            "PROCESS_STATE_STOPPED",
            "processname:web groupname:web from_state:STOPPING pid:42",
        );
        let account = stopped.account(None, "log").unwrap();
        assert!(account.announced.is_some());
        assert_eq!(account.ending, Ending::Silent);
    }
}
