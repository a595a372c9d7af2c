//! The life of a command as `lastwords run` sees it. As the command's parent it sees the end, and
//! all signals that asked for it.
//!
//! A stop is planned if somebody sent the signal to `lastwords run`. A signal that goes straight to
//! the command kills the service.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::collectors::output::Stream;
use crate::collectors::usage::Usage;
use crate::report::{Evidence, Exit, Timestamp};
use crate::supervisor::account::{Account, Ending, FailedStart, MainExit};

const SOURCE: &str = "lastwords run";

/// Signals that ask a service to end; see signal(7) and init(5).
const STOPS: [&str; 4] = ["TERM", "INT", "QUIT", "PWR"];

/// The command's life as `lastwords run` has seen it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    pub pid: Option<u32>,
    /// Signals that `lastwords run` got: the latest of each, oldest first.
    #[serde(default)]
    pub requests: Vec<Request>,
    /// When `lastwords run` was last known to live, in milliseconds since the boot, if it was asked
    /// for something.
    #[serde(default)]
    pub alive_ms: u64,
    /// Files in which a supervisor keeps the output, if `lastwords run` cannot keep it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
    /// `lastwords run` itself sends the report, so the deliverer need not be woken.
    #[serde(default)]
    pub delivers: bool,
    #[serde(default)]
    pub end: Option<End>,
}

/// A signal that came from outside and was passed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Name of the signal, without `SIG`.
    pub signal: String,
    /// The sender, in words.
    pub from: String,
    /// In milliseconds since the boot.
    pub at_ms: u64,
}

/// The command's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The exit; the system's error if the command never ran.
    pub exit: Result<Exit, String>,
    pub at: Timestamp,
    /// In milliseconds since the boot.
    pub at_ms: u64,
    /// Resources that the command and its children used.
    pub used: Usage,
    /// The last output, which can be read while `lastwords run` lives.
    #[serde(default)]
    pub output: Vec<Stream>,
}

impl Life {
    /// Adds a signal that came.
    pub fn asked(&mut self, request: Request) {
        self.requests
            .retain(|earlier| earlier.signal != request.signal);
        self.requests.push(request);
    }

    /// Forgets requests from before a moment: they explain no end any more.
    pub fn forget(&mut self, before_ms: u64) {
        self.requests.retain(|request| request.at_ms >= before_ms);
    }
}

/// Returns true if this signal asks a service to end.
pub fn is_stop(signal: &str) -> bool {
    STOPS.contains(&signal)
}

/// Reads an end from the life. A request explains an end that comes within `plan_lasts` of it.
/// TERM, INT, QUIT and PWR explain any end. Another signal (HUP, say, which asks a daemon to read
/// its config again) only explains a death by that signal.
pub fn account(life: &Life, plan_lasts: Duration) -> Account {
    let exit = life.end.as_ref().and_then(|end| end.exit.as_ref().ok());
    let end = life.end.as_ref().map_or(life.alive_ms, |end| end.at_ms);
    let since = end.saturating_sub(u64::try_from(plan_lasts.as_millis()).unwrap_or(u64::MAX));
    let explains = |request: &&Request| {
        request.at_ms >= since
            && (is_stop(&request.signal)
                || exit.is_some_and(|exit| exit.is_signal(&request.signal)))
    };
    let announced = life.requests.iter().find(explains).map(|request| Evidence {
        source: SOURCE.into(),
        line: None,
        text: format!("SIG{} from {}", request.signal, request.from),
    });
    let evidence = |text| Evidence {
        source: SOURCE.into(),
        line: None,
        text,
    };
    let pid = life
        .pid
        .map(|pid| format!(" (process {pid})"))
        .unwrap_or_default();
    let ending = match life.end.as_ref().map(|end| &end.exit) {
        Some(Ok(exit)) => Ending::Ended(MainExit {
            exit: exit.clone(),
            pid: life.pid,
            evidence: evidence(format!("the command{pid} ended: {exit}")),
        }),
        Some(Err(why)) => Ending::NeverRan(FailedStart {
            why: why.clone(),
            evidence: evidence("the command could not be run".into()),
        }),
        None => Ending::Unheard,
    };
    Account {
        announced,
        ..ending.into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn killed_by(name: &str) -> Exit {
        Exit::Signal {
            name: name.into(),
            core_dumped: false,
        }
    }

    fn life(requests: &[(&str, u64)], exit: Exit) -> Life {
        let mut life = Life {
            pid: Some(7),
            ..Life::default()
        };
        for (signal, at_ms) in requests {
            life.asked(Request {
                signal: (*signal).into(),
                from: "process 1".into(),
                at_ms: *at_ms,
            });
        }
        let at = Timestamp::new(SystemTime::UNIX_EPOCH);
        life.end = Some(End {
            exit: Ok(exit),
            at,
            at_ms: 100_000,
            used: Usage::default(),
            output: Vec::new(),
        });
        life
    }

    fn is_planned(requests: &[(&str, u64)], exit: Exit) -> bool {
        account(&life(requests, exit), Duration::from_mins(1))
            .announced
            .is_some()
    }

    #[test]
    fn a_request_to_stop_explains_any_end_until_it_has_run_out() {
        for signal in STOPS {
            for exit in [
                killed_by(signal),
                killed_by("KILL"),
                Exit::Code(0),
                Exit::Code(1),
                Exit::Code(143),
            ] {
                assert!(
                    is_planned(&[(signal, 40_000)], exit.clone()),
                    "{signal} {exit}"
                );
                assert!(
                    !is_planned(&[(signal, 39_999)], exit.clone()),
                    "{signal} {exit}"
                );
            }
        }
    }

    #[test]
    fn a_request_that_was_survived_does_not_explain_that_lastwords_itself_was_killed_later() {
        let mut life = life(&[("TERM", 40_000)], Exit::Code(0));
        life.end = None;
        for (alive_ms, planned) in [(0, true), (40_000, true), (100_000, true), (100_001, false)] {
            life.alive_ms = alive_ms;
            assert_eq!(
                account(&life, Duration::from_mins(1)).announced.is_some(),
                planned,
                "{alive_ms}"
            );
        }
    }

    #[test]
    fn any_other_signal_explains_no_end_but_a_death_by_itself() {
        for signal in ["HUP", "USR1", "ALRM", "KILL"] {
            assert!(is_planned(&[(signal, 99_000)], killed_by(signal)));
            for exit in [
                Exit::Code(1),
                Exit::Code(0),
                killed_by("TERM"),
                killed_by("SEGV"),
            ] {
                assert!(
                    !is_planned(&[(signal, 99_000)], exit.clone()),
                    "{signal} {exit}"
                );
            }
        }
        assert!(
            !is_planned(&[], killed_by("TERM")),
            "killed behind our back"
        );
    }

    #[test]
    fn the_first_request_that_explains_the_end_is_the_evidence() {
        let life = life(
            &[("HUP", 95_000), ("TERM", 96_000), ("INT", 97_000)],
            Exit::Code(0),
        );
        assert_eq!(
            account(&life, Duration::from_mins(1))
                .announced
                .unwrap()
                .text,
            "SIGTERM from process 1"
        );
    }

    #[test]
    fn a_command_that_cannot_be_run_is_a_failed_start_and_no_death() {
        let mut life = life(&[], Exit::Code(0));
        life.end.as_mut().unwrap().exit = Err("No such file or directory".into());
        let account = account(&life, Duration::from_mins(1));
        let Ending::NeverRan(failed) = account.ending else {
            panic!("{account:?}")
        };
        assert_eq!(failed.why, "No such file or directory");
    }

    #[test]
    fn of_each_signal_only_the_latest_is_kept() {
        let mut life = Life::default();
        for at_ms in 0..100 {
            life.asked(Request {
                signal: "USR1".into(),
                from: String::new(),
                at_ms,
            });
        }
        assert_eq!((life.requests.len(), life.requests[0].at_ms), (1, 99));
        life.asked(Request {
            signal: "TERM".into(),
            from: String::new(),
            at_ms: 98,
        });
        life.forget(99);
        assert_eq!(life.requests.len(), 1);
    }
}
