//! Upstart (init 1.5 to 1.13): its hooks' environment, and its own words in the kernel log.
//!
//! The exit never reaches post-stop's environment. `RESULT`, `PROCESS`, `EXIT_STATUS`,
//! `EXIT_SIGNAL`, `JOB` and `INSTANCE` may be set, but then they are another job's (`start on
//! stopped other`) or made up, and are never read. The truth is in init's lines, which it logs
//! before it starts post-stop:
//!
//! ```text
//! init: web main process (4242) killed by SEGV signal
//! init: web (a/b) main process (4242) terminated with status 1
//! init: web main process ended, respawning
//! ```
//!
//! At its default verbosity init logs nothing about a main process that ends with code 0. With
//! `--verbose` it does, and also tells of each stop before the main process ends:
//!
//! ```text
//! init: web goal changed from start to stop
//! init: web main process (4242) exited normally
//! ```

mod answers;
mod condition;
mod described;
mod doctor;
mod jobs;
mod setup;
mod stanzas;

use crate::kmsg::Record;
use crate::report::{Evidence, Exit};
use crate::supervisor::account::{Account, Ending, FailedStart, MainExit, Sequel};
pub use answers::Upstart;
pub use described::console_log;

/// The place of init's lines, for evidence.
const SOURCE: &str = "kernel log";

/// Reads what init logged about this job's instance in `records`, which hold nothing from before
/// its start. An announcement of a stop that is older than `plan_since`, in microseconds of the
/// kernel log's clock, has run out. `command` is the path of the command that init runs, if known.
pub fn account(
    job: &str,
    instance: Option<&str>,
    records: &[Record],
    plan_since: u64,
    command: Option<&str>,
) -> Account {
    let name = instance.map_or_else(|| job.to_owned(), |instance| format!("{job} ({instance})"));
    let (mut main, mut failed, mut announced, mut wants_stop) = (None, None, None, None);
    let (mut respawns, mut gave_up) = (None, None);
    for record in records {
        let Some(line) = InitLine::read(&record.text, &name) else {
            continue;
        };
        let evidence = Evidence {
            source: SOURCE.into(),
            line: None,
            text: record.text.clone(),
        };
        match line {
            InitLine::MainEnded(pid, exit) => {
                main = Some(MainExit {
                    exit,
                    pid: Some(pid),
                    evidence,
                });
            }
            InitLine::PreStartFailed(exit) => {
                let why = format!("pre-start: {exit}");
                failed = Some(FailedStart { why, evidence });
            }
            InitLine::NoMain(why) => {
                let path = command.map(|path| format!("{path}: ")).unwrap_or_default();
                let why = format!("main: {path}{why}");
                failed = Some(FailedStart { why, evidence });
            }
            // After the end, and after a start that failed, this is only init's answer to it.
            InitLine::WantsStop if main.is_none() && failed.is_none() => {
                wants_stop = Some(evidence);
            }
            // A restart that keeps the process, or a start in the middle of a stop.
            InitLine::WantsStart if main.is_none() => wants_stop = None,
            InitLine::PreStopFailed if record.micros >= plan_since => announced = Some(evidence),
            InitLine::PreStopFailed | InitLine::WantsStop | InitLine::WantsStart => {}
            InitLine::Respawning => respawns = Some(evidence),
            InitLine::GaveUp => gave_up = Some(evidence),
        }
    }
    // init logs no line for a code of 0, nor for a job's own `normal exit`. The respawn shows that
    // main ended.
    let main = main.or_else(|| {
        let evidence = respawns.clone().or_else(|| gave_up.clone())?;
        Some(MainExit {
            exit: Exit::Code(0),
            pid: None,
            evidence,
        })
    });
    let ending = match (main, failed) {
        (None, None) => Ending::Silent,
        (None, Some(failed)) => Ending::NeverRan(failed),
        (Some(main), None) if respawns.is_none() && gave_up.is_none() => Ending::Ended(main),
        (Some(main), failed) => Ending::Followed {
            main,
            by: Sequel {
                respawns,
                gave_up,
                failed_start: failed.map(|failed| failed.evidence),
            },
        },
    };
    Account {
        announced: wants_stop.or(announced),
        ..ending.into()
    }
}

/// A line of init's about one job's instance.
enum InitLine {
    MainEnded(u32, Exit),
    PreStartFailed(Exit),
    /// The main process could not be run.
    NoMain(String),
    /// A pre-stop that did not get as far as our hook. It still says that somebody asked for a
    /// stop.
    PreStopFailed,
    Respawning,
    GaveUp,
    WantsStop,
    WantsStart,
}

impl InitLine {
    /// Reads a line about `name`. The line has to hold the whole name, so that no other job's or
    /// instance's name can pass for it.
    fn read(text: &str, name: &str) -> Option<Self> {
        let text = text.strip_prefix("init: ")?;
        if let Some(text) = text.strip_prefix("Failed to spawn ")
            && let Some(said) = about(text, name)
        {
            let main = said.strip_prefix("main process: ");
            let main = main.map(|why| Self::NoMain(why.to_owned()));
            let is_pre_stop = said.starts_with("pre-stop process: ");
            return main.or(is_pre_stop.then_some(Self::PreStopFailed));
        }
        let said = about(text, name)?;
        match said {
            "main process ended, respawning" => return Some(Self::Respawning),
            "respawning too fast, stopped" => return Some(Self::GaveUp),
            "goal changed from start to stop" => return Some(Self::WantsStop),
            "goal changed from stop to start" => return Some(Self::WantsStart),
            _ => {}
        }
        let (process, end) = said.split_once(" process (")?;
        let (pid, exit) = parse_end(end)?;
        match process {
            "main" => Some(Self::MainEnded(pid, exit)),
            _ if exit == Exit::Code(0) => None,
            "pre-start" => Some(Self::PreStartFailed(exit)),
            "pre-stop" => Some(Self::PreStopFailed),
            _ => None,
        }
    }
}

/// Returns what stands after this name.
fn about<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.strip_prefix(name)?.strip_prefix(' ')
}

/// Parses `4242) terminated with status 1`, `4242) exited normally`, `4242) killed by SEGV signal`
/// and, for a signal without a name, `4242) killed by signal 40`.
fn parse_end(text: &str) -> Option<(u32, Exit)> {
    let (pid, end) = text.split_once(") ")?;
    let pid = pid.parse().ok()?;
    if end == "exited normally" {
        return Some((pid, Exit::Code(0)));
    }
    if let Some(status) = end.strip_prefix("terminated with status ") {
        return Some((pid, Exit::Code(status.parse().ok()?)));
    }
    let killed_by = end.strip_prefix("killed by ")?;
    let name = killed_by
        .strip_prefix("signal ")
        .or_else(|| killed_by.strip_suffix(" signal"))?;
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'+');
    plain.then(|| {
        (
            pid,
            Exit::Signal {
                name: name.to_owned(),
                core_dumped: false,
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel_log(lines: &[&str]) -> Vec<Record> {
        lines
            .iter()
            .map(|text| Record {
                level: 4,
                facility: 1,
                seq: 1,
                micros: 1,
                text: (*text).to_owned(),
            })
            .collect()
    }

    fn account(job: &str, instance: Option<&str>, records: &[Record], plan_since: u64) -> Account {
        super::account(job, instance, records, plan_since, Some("/srv/web"))
    }

    #[test]
    fn a_killing_signal_is_read_with_its_pid_and_its_line() {
        let account = account(
            "web",
            None,
            &kernel_log(&["init: web main process (42) killed by SEGV signal"]),
            0,
        );
        let Ending::Ended(main) = account.ending else {
            panic!("{account:?}")
        };
        assert_eq!(
            main.exit,
            Exit::Signal {
                name: "SEGV".into(),
                core_dumped: false
            }
        );
        assert_eq!(main.pid, Some(42));
        assert_eq!(
            main.evidence.text,
            "init: web main process (42) killed by SEGV signal"
        );
    }

    #[test]
    fn a_respawn_without_a_status_line_means_that_main_ended_with_code_0() {
        let account = account(
            "web",
            None,
            &kernel_log(&["init: web main process ended, respawning"]),
            0,
        );
        assert_eq!(account.ending.exit(), Exit::Code(0));
    }

    #[test]
    fn what_init_did_after_the_end_is_told_with_it() {
        let killed = "init: web main process (42) killed by SEGV signal";
        let respawning = "init: web main process ended, respawning";
        let gave_up = "init: web respawning too fast, stopped";
        for (lines, respawns, gives_up) in [
            (&[killed, respawning][..], true, false),
            (&[killed, gave_up], false, true),
            (&[killed, respawning, gave_up], true, true),
        ] {
            let ending = account("web", None, &kernel_log(lines), 0).ending;
            let Ending::Followed { main, by } = ending else {
                panic!("{lines:?}: {ending:?}")
            };
            assert_eq!(main.pid, Some(42));
            let found = (by.respawns.is_some(), by.gave_up.is_some());
            assert_eq!(found, (respawns, gives_up), "{lines:?}");
        }
    }

    #[test]
    fn the_lines_of_other_jobs_and_instances_are_never_taken() {
        let lines = kernel_log(&[
            "init: web-2 main process (1) killed by SEGV signal",
            "init: web (1) main process (1) killed by SEGV signal",
            "init: sub/web main process (1) killed by SEGV signal",
            "kernel: init: web main process (1) killed by SEGV signal",
            "init: web main process (x) killed by SEGV signal",
            "init: web main process (1) killed by SEGV signal) main process (2) killed by TERM signal",
            "init: web main process (1) terminated with status 1 ",
        ]);
        assert_eq!(
            account("web", None, &lines, 0),
            Account::from(Ending::Silent)
        );
    }

    #[test]
    fn an_instance_whose_name_imitates_inits_words_is_taken_for_itself_only() {
        let name = "x) main process (1) killed by SEGV signal";
        let line = format!("init: web ({name}) main process (77) killed by TERM signal");
        assert_eq!(
            account("web", Some("x"), &kernel_log(&[&line]), 0).ending,
            Ending::Silent
        );
        let ending = account("web", Some(name), &kernel_log(&[&line]), 0).ending;
        assert_eq!(ending.main().unwrap().pid, Some(77));
    }

    #[test]
    fn a_pre_start_that_fails_and_a_main_that_cannot_be_run_are_failed_starts() {
        for (line, why) in [
            (
                "init: web pre-start process (42) terminated with status 1",
                "pre-start: exit code 1",
            ),
            (
                "init: Failed to spawn web main process: unable to execute: No such file or directory",
                "main: /srv/web: unable to execute: No such file or directory",
            ),
        ] {
            let account = account("web", None, &kernel_log(&[line]), 0);
            let Ending::NeverRan(failed) = account.ending else {
                panic!("{account:?}")
            };
            assert_eq!(
                (failed.why.as_str(), failed.evidence.text.as_str()),
                (why, line)
            );
        }
    }

    #[test]
    fn a_pre_stop_that_failed_announces_a_stop_until_the_plan_runs_out() {
        for line in [
            "init: web pre-stop process (42) terminated with status 1",
            "init: web pre-stop process (42) killed by KILL signal",
            "init: Failed to spawn web pre-stop process: unable to execute: No such file or directory",
        ] {
            assert_eq!(
                account("web", None, &kernel_log(&[line]), 1)
                    .announced
                    .unwrap()
                    .text,
                line
            );
            assert_eq!(
                account("web", None, &kernel_log(&[line]), 2).announced,
                None
            );
        }
    }

    #[test]
    fn a_verbose_init_tells_of_a_stop_before_the_end_and_of_code_0() {
        let stop = "init: web goal changed from start to stop";
        let start = "init: web goal changed from stop to start";
        let exited = "init: web main process (81) exited normally";
        let killed = "init: web main process (81) killed by TERM signal";
        let pre_start = "init: web pre-start process (80) exited normally";
        let failed = "init: web pre-start process (80) terminated with status 3";
        for (lines, exit, is_announced) in [
            (&[pre_start, stop][..], Exit::Unknown, true),
            (&[stop, killed], term(), true),
            (&[stop, exited, start], Exit::Code(0), true),
            (&[exited, stop], Exit::Code(0), false),
            (&[killed, stop], term(), false),
            (&[stop, start, killed, stop], term(), false),
            (&[failed, stop], Exit::Unknown, false),
        ] {
            let account = account("web", None, &kernel_log(lines), 9);
            assert_eq!(account.ending.exit(), exit, "{lines:?}");
            assert_eq!(account.announced.is_some(), is_announced, "{lines:?}");
        }
    }

    fn term() -> Exit {
        Exit::Signal {
            name: "TERM".into(),
            core_dumped: false,
        }
    }
}
