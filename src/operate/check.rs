//! `check`: finds everything that is wrong with the config, before a service dies.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::config::{self, Checked, EX_CONFIG, Problem, Severity, check as check_config};
use crate::deliver::stamp;
use crate::operate::json::escaped;
use crate::operate::{known, secrets};
use crate::places::Places;

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Print JSON: an array of problems
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

/// Checks the config where it lies.
pub fn run(args: &CheckArgs, out: &mut impl Write) -> ExitCode {
    // The output's stream removes the colours if they are not wanted.
    ExitCode::from(check(&args.places, args.json, out, true))
}

/// Prints every problem with the config and one line that sums up, or all as JSON. Returns
/// the exit code: 78 if there is an error, else 0. A closed `out` is no failure.
fn check(places: &Places, json: bool, out: &mut dyn Write, colour: bool) -> u8 {
    let dir = &places.config;
    let host = places.host();
    let mut checked = check_config(dir, &host, &secrets::names(&host));
    checked.problems.extend(no_directory(dir));
    checked.problems.extend(unmatched(places));
    checked.problems.extend(idle_reminders(places));
    checked.problems.extend(unwatched(places));
    if json {
        let problems: Vec<Value> = checked.problems.iter().map(as_json).collect();
        let _ = writeln!(out, "{}", escaped(&format!("{:#}", Value::from(problems))));
    } else {
        for problem in &checked.problems {
            let _ = writeln!(out, "{}\n", problem.render(colour));
        }
        let _ = writeln!(out, "{}", summary(dir, &checked));
    }
    let _ = out.flush();
    if count(&checked, Severity::Error) > 0 {
        EX_CONFIG
    } else {
        0
    }
}

/// Returns a problem if the directory that was named does not exist. The usual one need not.
fn no_directory(dir: &Path) -> Option<Problem> {
    let is_missing = !dir.exists() && dir != Places::default().config;
    let message = "there is no such directory";
    let help = "check the name after --config";
    is_missing.then(|| Problem::with_file(dir, Severity::Error, message, Some(help)))
}

/// Returns a warning for each job that only `lastwords run` runs and that asks for reminders:
/// nothing says whether such a job is to be up.
fn idle_reminders(places: &Places) -> Vec<Problem> {
    let message = "`remind` does nothing here: `lastwords run` does not know whether the job is to \
                   be up";
    let help = "say how often it is to run: `expect = \"every 24h\"`; then `remind` counts from a \
                run that is missing";
    let warn = |job: String| {
        let settings = config::load(&places.config, &job).job;
        let is_idle = settings.expect.is_none() && settings.remind.is_some();
        let problem = || {
            config::at_key(
                &places.config,
                &job,
                "remind",
                Severity::Warning,
                message,
                help,
            )
        };
        (is_idle && known::is_by_run(&job, places)).then(problem)?
    };
    config::jobs(&places.config)
        .into_iter()
        .filter_map(warn)
        .collect()
}

/// Returns a warning for each job of which runs are expected, if no deliverer looks regularly: it
/// alone finds that one is missing.
fn unwatched(places: &Places) -> Vec<Problem> {
    match stamp::last(places) {
        Ok(Some(last)) if last.is_recent() => return Vec::new(),
        Ok(_) => {}
        // That is not known.
        Err(_) => return Vec::new(),
    }
    let message = "no deliverer looks regularly here, and it alone finds out that a run is missing";
    let help = "start one, by lastwords.timer, by a line in cron that runs `lastwords deliver`, or \
                as `lastwords deliver --watch`";
    let jobs = config::expecting(&places.config).into_iter();
    let expecting = jobs.filter(|(_, loaded)| loaded.job.expect.is_some());
    let warn = |(job, _): (String, _)| {
        config::at_key(
            &places.config,
            &job,
            "expect",
            Severity::Warning,
            message,
            help,
        )
    };
    expecting.filter_map(warn).collect()
}

/// Returns a warning for each job's file whose job nobody here runs. Where no supervisor runs
/// anything, as in an image that is being built, there is none.
fn unmatched(places: &Places) -> Vec<Problem> {
    let all = known::run_here(places);
    if all.is_empty() {
        return Vec::new();
    }
    let jobs = config::jobs(&places.config).into_iter();
    let unmatched = jobs.filter(|job| !known::is_run(job, places));
    let warn = |job: String| {
        let meant = config::nearest(&job, all.iter().map(String::as_str));
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "this is right only if `lastwords run` starts it".to_owned(),
        };
        let message = format!("no unit, service or job here is called `{job}`");
        let file = config::job_file(&places.config, &job);
        Problem::with_file(&file, Severity::Warning, &message, Some(&help))
    };
    unmatched.map(warn).collect()
}

fn as_json(problem: &Problem) -> Value {
    json!({
        "file": problem.file.to_string_lossy(),
        "line": problem.place.as_ref().map(|place| place.line),
        "column": problem.place.as_ref().map(|place| place.column),
        "severity": problem.severity,
        "message": problem.message,
        "help": problem.help,
    })
}

fn summary(dir: &Path, checked: &Checked) -> String {
    let counted = [
        (count(checked, Severity::Error), "error"),
        (count(checked, Severity::Warning), "warning"),
    ];
    let counts: Vec<String> = counted
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| plural(*n, what))
        .collect();
    if !counts.is_empty() {
        let files: BTreeSet<&Path> = checked
            .problems
            .iter()
            .map(|problem| problem.file.as_path())
            .collect();
        return format!("{} in {}", counts.join(", "), plural(files.len(), "file"));
    }
    let machine = checked
        .machine
        .then(|| dir.join("lastwords.toml").display().to_string());
    let jobs = (checked.jobs > 0 || !checked.machine).then(|| plural(checked.jobs, "job file"));
    let one = machine.is_some() != jobs.is_some() && checked.jobs <= 1;
    let what: Vec<String> = machine.into_iter().chain(jobs).collect();
    format!(
        "{} {} fine",
        what.join(" and "),
        if one { "is" } else { "are" }
    )
}

fn count(checked: &Checked, severity: Severity) -> usize {
    checked
        .problems
        .iter()
        .filter(|problem| problem.severity == severity)
        .count()
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::tests::{SINK, config};

    /// Returns what is printed for a config of these files, and the exit code.
    fn run(files: &[(&str, &str)], json: bool) -> (String, u8) {
        let dir = config(files);
        let mut out = Vec::new();
        let places = Places {
            config: dir.path().to_owned(),
            root: dir.path().to_owned(),
            ..Places::default()
        };
        let code = check(&places, json, &mut out, false);
        (
            String::from_utf8(out)
                .unwrap()
                .replace(&dir.path().display().to_string(), "/etc/lastwords"),
            code,
        )
    }

    #[test]
    fn a_good_config_is_called_fine() {
        let (out, code) = run(
            &[
                ("lastwords.toml", SINK),
                ("jobs/web.toml", "sinks = [\"ops\"]"),
            ],
            false,
        );
        assert_eq!(
            (out.as_str(), code),
            ("/etc/lastwords/lastwords.toml and 1 job file are fine\n", 0)
        );
        let (out, code) = run(&[("lastwords.toml", SINK)], false);
        assert_eq!(
            (out.as_str(), code),
            ("/etc/lastwords/lastwords.toml is fine\n", 0)
        );
        let (out, code) = run(&[("lastwords.toml", SINK)], true);
        assert_eq!((out.as_str(), code), ("[]\n", 0));
    }

    #[test]
    fn every_problem_is_shown_and_counted() {
        let (out, code) = run(
            &[
                ("lastwords.toml", SINK),
                ("jobs/db.toml", "sinks = []"),
                ("jobs/web.toml", "runbok = 1"),
            ],
            false,
        );
        assert_eq!(
            out,
            "\
warning: nobody is told when this job dies
 --> /etc/lastwords/jobs/db.toml:1:9
  |
1 | sinks = []
  |         ^^
  |
  = help: reports are kept in the spool; leave `sinks` out to tell all sinks

error: unknown key `runbok`, expected `sinks`, `sink`, `collect`, `runbook`, `normal_exit`, `stop_timeout`, `remind`, `expect`, `user`, `chroot` or `redact`
 --> /etc/lastwords/jobs/web.toml:1:1
  |
1 | runbok = 1
  | ^^^^^^
  |
  = help: did you mean `runbook`?

1 error, 1 warning in 2 files
"
        );
        assert_eq!(code, 78);
    }

    #[test]
    fn a_warning_is_no_failure() {
        let (out, code) = run(&[], false);
        assert_eq!(
            out,
            "\
warning: this file does not exist, so no sink is configured
--> /etc/lastwords/lastwords.toml
 = help: reports are kept in the spool, but no one is told; add a sink, as `[[sink.email]]`

1 warning in 1 file
"
        );
        assert_eq!(code, 0);
    }

    #[test]
    fn programs_get_json() {
        let (out, code) = run(
            &[
                ("lastwords.toml", SINK),
                ("jobs/web.toml", "\n  runbok = 1"),
            ],
            true,
        );
        let expected = json!([{
            "file": "/etc/lastwords/jobs/web.toml",
            "line": 2,
            "column": 3,
            "severity": "error",
            "message": "unknown key `runbok`, expected `sinks`, `sink`, `collect`, `runbook`, `normal_exit`, \
                        `stop_timeout`, `remind`, `expect`, `user`, `chroot` or `redact`",
            "help": "did you mean `runbook`?",
        }]);
        assert_eq!(
            (serde_json::from_str::<Value>(&out).unwrap(), code),
            (expected, 78)
        );
        let (out, _) = run(&[], true);
        assert_eq!(
            serde_json::from_str::<Value>(&out).unwrap()[0]["line"],
            Value::Null
        );
    }

    #[test]
    fn nobody_reading_is_no_failure() {
        let mut dead = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let dir = config(&[]);
        let places = Places {
            config: dir.path().to_owned(),
            ..Places::default()
        };
        assert_eq!(check(&places, false, &mut dead, true), 0);
    }
}
