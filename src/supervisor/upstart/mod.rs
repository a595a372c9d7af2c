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
//! At its default verbosity init logs nothing about a main process that ends with code 0.

mod answers;
mod condition;
mod described;
mod doctor;
mod setup;
mod stanzas;

use crate::kmsg::Record;
use crate::report::{Evidence, Exit};
use crate::supervisor::account::{Account, Ending, FailedStart, MainExit, Sequel};
pub use answers::Upstart;

/// The place of init's lines, for evidence.
const SOURCE: &str = "kernel log";

/// Reads what init logged about this job's instance in `records`, which hold nothing from before
/// its start. An announcement of a stop that is older than `plan_since`, in microseconds of the
/// kernel log's clock, has run out.
pub fn account(job: &str, instance: Option<&str>, records: &[Record], plan_since: u64) -> Account {
    let name = instance.map_or_else(|| job.to_owned(), |instance| format!("{job} ({instance})"));
    let (mut main, mut failed, mut announced) = (None, None, None);
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
            InitLine::StartFailed(why) => failed = Some(FailedStart { why, evidence }),
            InitLine::PreStopFailed if record.micros >= plan_since => announced = Some(evidence),
            InitLine::PreStopFailed => {}
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
        announced,
        ..ending.into()
    }
}

/// A line of init's about one job's instance.
enum InitLine {
    MainEnded(u32, Exit),
    StartFailed(String),
    /// A pre-stop that did not get as far as our hook. It still says that somebody asked for a
    /// stop.
    PreStopFailed,
    Respawning,
    GaveUp,
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
            let main = main.map(|why| Self::StartFailed(format!("main: {why}")));
            let is_pre_stop = said.starts_with("pre-stop process: ");
            return main.or(is_pre_stop.then_some(Self::PreStopFailed));
        }
        let said = about(text, name)?;
        match said {
            "main process ended, respawning" => return Some(Self::Respawning),
            "respawning too fast, stopped" => return Some(Self::GaveUp),
            _ => {}
        }
        let (process, end) = said.split_once(" process (")?;
        let (pid, exit) = parse_end(end)?;
        match process {
            "main" => Some(Self::MainEnded(pid, exit)),
            "pre-start" => Some(Self::StartFailed(format!("pre-start: {exit}"))),
            "pre-stop" => Some(Self::PreStopFailed),
            _ => None,
        }
    }
}

/// Returns what stands after this name.
fn about<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.strip_prefix(name)?.strip_prefix(' ')
}

/// Parses `4242) terminated with status 1`, `4242) killed by SEGV signal` and, for a signal without
/// a name, `4242) killed by signal 40`.
fn parse_end(text: &str) -> Option<(u32, Exit)> {
    let (pid, end) = text.split_once(") ")?;
    let pid = pid.parse().ok()?;
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

/// Returns true if a job's configuration (`/etc/init/JOB.conf`) has a post-start process. While one
/// runs, `stop` kills the main process without running pre-stop, and init logs the same line as for
/// a kill from outside.
pub fn has_post_start(conf: &str) -> bool {
    conf.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next() == Some("post-start") && matches!(words.next(), Some("exec" | "script"))
    })
}

/// Returns true if a job's configuration has a `respawn` stanza.
pub fn respawns(conf: &str) -> bool {
    let is_respawn = |line: &str| line.split_ascii_whitespace().eq(["respawn"]);
    conf.lines().any(is_respawn)
}

/// Returns the program that a job's stanzas run as its main process, if `exec` names a file.
pub fn program(conf: &str) -> Option<&str> {
    // The scripts of hooks have an `exec` of their own. In the main process's script it names the
    // program, too.
    let mut in_hook = false;
    let mut program = None;
    for line in conf.lines() {
        let mut words = line
            .split_ascii_whitespace()
            .map(|word| word.trim_matches(['"', '\'']));
        match (words.next(), words.next()) {
            (Some("end"), Some("script")) => in_hook = false,
            (Some("pre-start" | "post-start" | "pre-stop" | "post-stop"), Some("script")) => {
                in_hook = true;
            }
            (Some("exec"), Some(word)) if !in_hook => program = Some(word),
            _ => {}
        }
    }
    let word = program?;
    (word.starts_with('/') && !word.contains(['$', '`', '*'])).then_some(word)
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
                "main: unable to execute: No such file or directory",
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
    fn the_program_is_the_file_that_exec_names() {
        assert_eq!(
            program("respawn\n  exec /srv/web/server --port 80\n"),
            Some("/srv/web/server")
        );
        let hooks = "post-stop script\n  exec /usr/bin/lastwords post-stop\nend script\n";
        assert_eq!(
            program(&format!(
                "script\n  cd /\n  exec \"/srv/web\"\nend script\n{hooks}"
            )),
            Some("/srv/web")
        );
        for conf in [
            "exec node server.js",
            "exec $BIN",
            "script\n  /srv/web\nend script",
            "pre-start exec /bin/x",
            "executable /x",
            "",
        ] {
            assert_eq!(program(conf), None, "{conf}");
        }
    }

    #[test]
    fn only_a_post_start_stanza_counts_as_one() {
        assert!(has_post_start(
            "exec web\n  post-start script\n sleep 1\nend script\n"
        ));
        assert!(!has_post_start(
            "# post-start exec x\nexec web --post-start exec\npost-stop exec x\n"
        ));
    }
}
