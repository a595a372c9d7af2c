//! Upstart (init 1.5 to 1.13): its hooks' environment, and its own words in the kernel log.
//!
//! The job's exit facts never reach post-stop's environment. `RESULT`, `PROCESS`, `EXIT_STATUS`,
//! `EXIT_SIGNAL`, `JOB` and `INSTANCE` may well stand there: they are another job's (`start on
//! stopped other`) or made up, and are never read. What init logs before it starts post-stop is the
//! truth:
//!
//! ```text
//! init: web main process (4242) killed by SEGV signal
//! init: web (a/b) main process (4242) terminated with status 1
//! init: web main process ended, respawning
//! ```
//!
//! It says nothing, at its default verbosity, of a main process that ends with code 0.

pub mod doctor;
pub mod setup;
pub mod stanzas;

use crate::kmsg::Record;
use crate::report::{Evidence, Exit};
use crate::supervisor::{Account, Death, FailedStart};

/// Where init's lines are found.
const SOURCE: &str = "kernel log";

/// Reads what init logged about this job's instance in `records`, which hold nothing from before
/// its start. An announcement of a stop that is older than `plan_since`, in microseconds of the
/// kernel log's clock, has run out.
pub fn account(job: &str, instance: Option<&str>, records: &[Record], plan_since: u64) -> Account {
    // The whole line is compared with this job's own name, so that no other job's or instance's
    // name can pass for it.
    let name = instance.map_or_else(|| job.to_owned(), |instance| format!("{job} ({instance})"));
    let ours = format!("init: {name} ");
    let no_main = format!("init: Failed to spawn {name} main process: ");
    let no_pre_stop = format!("init: Failed to spawn {name} pre-stop process: ");
    let mut account = Account {
        readable: true,
        ..Account::default()
    };
    for record in records {
        let evidence = || Evidence {
            source: SOURCE.into(),
            line: None,
            text: record.text.clone(),
        };
        if let Some(why) = record.text.strip_prefix(&no_main) {
            account.failed_start = Some(FailedStart {
                why: format!("main: {why}"),
                evidence: evidence(),
            });
        }
        // A pre-stop that did not get as far as our hook still says that somebody asked for a stop.
        let pre_stop = record
            .text
            .strip_prefix(&ours)
            .and_then(|said| said.strip_prefix("pre-stop process ("));
        if record.micros >= plan_since
            && (record.text.starts_with(&no_pre_stop) || pre_stop.and_then(parse_end).is_some())
        {
            account.planned = Some(evidence());
        }
        let Some(said) = record.text.strip_prefix(&ours) else {
            continue;
        };
        if let Some((pid, exit)) = said.strip_prefix("main process (").and_then(parse_end) {
            account.death = Some(Death {
                exit,
                pid: Some(pid),
                evidence: evidence(),
            });
        } else if let Some((_, exit)) = said.strip_prefix("pre-start process (").and_then(parse_end)
        {
            account.failed_start = Some(FailedStart {
                why: format!("pre-start: {exit}"),
                evidence: evidence(),
            });
        } else if said == "main process ended, respawning" {
            account.respawns = Some(evidence());
        } else if said == "respawning too fast, stopped" {
            account.gave_up = Some(evidence());
        }
    }
    // Upstart calls a code of 0 (and a job's own `normal exit`) not worth a line; that it respawns
    // says that main ended.
    if let (None, Some(evidence)) = (
        &account.death,
        account.respawns.as_ref().or(account.gave_up.as_ref()),
    ) {
        account.death = Some(Death {
            exit: Exit::Code(0),
            pid: None,
            evidence: evidence.clone(),
        });
    }
    account
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

/// Whether a job's configuration (`/etc/init/JOB.conf`) has a post-start process. While one runs,
/// `stop` kills the main process without running pre-stop, and init logs the same line as for a
/// kill from outside.
pub fn has_post_start(conf: &str) -> bool {
    conf.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next() == Some("post-start") && matches!(words.next(), Some("exec" | "script"))
    })
}

/// The program that a job's stanzas run as its main process, where `exec` names a file.
pub fn program(conf: &str) -> Option<&str> {
    // The scripts of hooks have `exec`s of their own; in that of the main process it names the same
    // thing.
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
        let death = account.death.unwrap();
        assert_eq!(
            death.exit,
            Exit::Signal {
                name: "SEGV".into(),
                core_dumped: false
            }
        );
        assert_eq!(death.pid, Some(42));
        assert_eq!(
            death.evidence.text,
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
        assert_eq!(account.death.unwrap().exit, Exit::Code(0));
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
            Account {
                readable: true,
                ..Account::default()
            }
        );
    }

    #[test]
    fn an_instance_whose_name_imitates_inits_words_is_taken_for_itself_only() {
        let name = "x) main process (1) killed by SEGV signal";
        let line = format!("init: web ({name}) main process (77) killed by TERM signal");
        assert_eq!(
            account("web", Some("x"), &kernel_log(&[&line]), 0).death,
            None
        );
        assert_eq!(
            account("web", Some(name), &kernel_log(&[&line]), 0)
                .death
                .unwrap()
                .pid,
            Some(77)
        );
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
            let failed = account.failed_start.unwrap();
            assert_eq!(
                (failed.why.as_str(), failed.evidence.text.as_str()),
                (why, line)
            );
            assert_eq!(account.death, None);
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
                    .planned
                    .unwrap()
                    .text,
                line
            );
            assert_eq!(account("web", None, &kernel_log(&[line]), 2).planned, None);
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
