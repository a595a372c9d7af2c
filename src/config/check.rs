//! Finds all mistakes in a config that can be known before a service dies.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::document::Document;
use super::files::{job_file, job_files, jobs_dir, machine_file};
use super::keys::{JobFile, MachineFile};
use super::opened::{Opened, open};
use super::problem::{Problem, Severity, Source};
use super::{sink_names, templates};
use crate::host::Host;

/// The result of a check.
pub struct Checked {
    pub problems: Vec<Problem>,
    /// True if there is a `lastwords.toml`.
    pub machine: bool,
    /// Number of jobs that have a file.
    pub jobs: usize,
}

/// Checks every file of a config, against the machine's users, programs and logs. `credentials` are
/// the secrets that systemd hands to the deliverer.
pub fn check(dir: &Path, host: &Host, credentials: &[String]) -> Checked {
    let mut problems = Vec::new();
    let dirs = [dir.to_owned(), jobs_dir(dir)];
    problems.extend(dirs.iter().filter_map(|dir| open_to_all(dir)));

    let machine: Opened<MachineFile> = look(&machine_file(dir), &mut problems);
    problems.extend(machine.mistakes());
    problems.extend(machine.missing(dir, host, credentials));
    problems.extend(templates::check(&machine.value.sink, dir));
    problems.extend(
        machine
            .value
            .default
            .own_sinks()
            .map(|sinks| templates::check(sinks, dir))
            .into_iter()
            .flatten(),
    );

    let mut has_sink = machine.defines_a_sink();
    let files = job_files(dir, &mut problems);
    for file in &files {
        let job: Opened<JobFile> = look(file, &mut problems);
        problems.extend(job.mistakes(&machine));
        problems.extend(job.missing(dir, host, credentials));
        problems.extend(
            job.value
                .own_sinks()
                .map(|sinks| templates::check(sinks, dir))
                .into_iter()
                .flatten(),
        );
        has_sink |= job.defines_a_sink();
    }
    if !has_sink {
        problems.push(sink_names::none_at_all(dir));
    }
    Checked {
        problems,
        machine: machine_file(dir).exists(),
        jobs: files.len(),
    }
}

/// Returns a problem at a key of a job's file; `None` if the file does not have it.
pub fn at_key(
    dir: &Path,
    job: &str,
    key: &str,
    severity: Severity,
    message: &str,
    help: &str,
) -> Option<Problem> {
    let file = job_file(dir, job);
    let source = Source::new(&file, &fs::read_to_string(&file).ok()?);
    let document = Document::of(&source);
    let (key, _) = document.root.get_key_value(key)?;
    Some(source.problem(&key.span(), severity, message, Some(help)))
}

fn look<T: DeserializeOwned + Default>(file: &Path, problems: &mut Vec<Problem>) -> Opened<T> {
    problems.extend(open_to_all(file));
    open(file, problems)
}

/// Returns a problem if everybody may write to a path: root runs the commands in the config.
fn open_to_all(path: &Path) -> Option<Problem> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let message = format!(
        "every user may write here (mode {:04o}), and root runs the commands in this config",
        mode & 0o7777
    );
    let help = format!(
        "remove write access for others: chmod o-w {}",
        path.display()
    );
    (mode & 0o002 != 0).then(|| Problem::with_file(path, Severity::Error, &message, Some(&help)))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::super::tests::{SINK, config, told};
    use super::*;

    #[test]
    fn all_files_are_looked_at_and_all_that_is_wrong_is_told() {
        let job = "sinks = [\"opps\"]\nrunbok = 1\n";
        let dir = config(&[
            ("lastwords.toml", &format!("bogus = 1\n{SINK}")),
            ("jobs/a.toml", job),
            ("jobs/b.toml", job),
        ]);
        let checked = check(dir.path(), &Host::new("/", dir.path()), &[]);
        let keys = "`sinks`, `sink`, `collect`, `runbook`, `normal_exit`, `stop_timeout`, `remind`, `expect`, `user`, `chroot` or `redact`";
        let of_job = |job: &str| {
            [
                format!(
                    "jobs/{job}.toml:2:1: unknown key `runbok`, expected {keys} (did you mean `runbook`?)"
                ),
                format!(
                    "jobs/{job}.toml:1:10: unknown sink `opps`, expected `ops` (did you mean `ops`?)"
                ),
            ]
        };
        let machine =
            ["lastwords.toml:1:1: unknown key `bogus`, expected `sink` or `default`".to_owned()];
        assert_eq!(
            told(dir.path(), &checked.problems),
            [&machine[..], &of_job("a"), &of_job("b")].concat()
        );
        assert_eq!((checked.machine, checked.jobs), (true, 2));
    }

    #[test]
    fn files_that_no_jobs_name_leads_to_are_pointed_out() {
        let dir = config(&[
            ("lastwords.toml", SINK),
            ("jobs/README", ""),
            ("jobs/my job.toml", ""),
            ("jobs/sub%2fname.toml", ""),
            ("jobs/sub%2Fname.toml", ""),
            ("jobs/.web.toml.swp", ""),
            ("jobs/web.toml", ""),
        ]);
        let checked = check(dir.path(), &Host::new("/", dir.path()), &[]);
        assert_eq!(
            told(dir.path(), &checked.problems),
            [
                "jobs/README: this file is never read (name a job's file JOB.toml)",
                "jobs/my job.toml: this file is never read (the file of the job `my job` is called my%20job.toml)",
                "jobs/sub%2fname.toml: this file is never read (the file of the job `sub%2fname` is called \
                 sub%252fname.toml)",
            ]
        );
        assert_eq!(checked.jobs, 2);
    }

    #[test]
    fn what_everybody_may_write_is_an_error() {
        let dir = config(&[("lastwords.toml", SINK), ("jobs/web.toml", "")]);
        let names = ["", "jobs", "lastwords.toml", "jobs/web.toml"];
        for name in names {
            fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o777)).unwrap();
        }
        let problems = check(dir.path(), &Host::new("/", dir.path()), &[]).problems;
        assert_eq!(problems.len(), 4);
        for (problem, name) in problems.iter().zip(names) {
            assert_eq!(
                (problem.file.clone(), problem.severity),
                (dir.path().join(name), Severity::Error)
            );
            let message =
                "every user may write here (mode 0777), and root runs the commands in this config";
            assert_eq!(problem.message, message);
        }
    }

    #[test]
    fn a_config_that_reaches_nobody_is_a_warning() {
        for files in [&[][..], &[("lastwords.toml", "")], &[("jobs/web.toml", "")]] {
            let dir = config(files);
            let checked = check(dir.path(), &Host::new("/", dir.path()), &[]);
            let [problem] = checked.problems.as_slice() else {
                panic!("{:?}", checked.problems)
            };
            assert_eq!(problem.severity, Severity::Warning);
            assert!(
                problem.message.ends_with("no sink is configured"),
                "{problem}"
            );
        }
    }
}
