//! All that can be known to be wrong before a service dies.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::problem::{Problem, Severity, Source};
use super::{
    JobFile, Machine, Opened, file_name, jobs_dir, machine_file, open, patterns, secret_files,
    sink_names, templates,
};
use crate::names;

/// What was looked at, and what is wrong with it.
pub struct Checked {
    pub problems: Vec<Problem>,
    /// Whether there is a `lastwords.toml`.
    pub machine: bool,
    /// How many jobs have a file.
    pub jobs: usize,
}

/// Checks every file of a config.
pub fn check(dir: &Path) -> Checked {
    let mut problems = Vec::new();
    problems.extend(
        [dir.to_owned(), jobs_dir(dir)]
            .iter()
            .filter_map(|dir| open_to_all(dir)),
    );
    let machine: Opened<Machine> = look(&machine_file(dir), &mut problems);
    problems.extend(sink_names::of_machine(machine.source.as_ref()));
    problems.extend(patterns::of_machine(machine.source.as_ref()));
    problems.extend(secret_files::check(&machine.value.sink, dir));
    problems.extend(templates::check(&machine.value.sink, dir));

    let mut jobs: Vec<Source> = Vec::new();
    let files = job_files(&jobs_dir(dir), &mut problems);
    for file in &files {
        let job: Opened<JobFile> = look(file, &mut problems);
        problems.extend(sink_names::of_job(
            machine.source.as_ref(),
            job.source.as_ref(),
        ));
        problems.extend(patterns::of_job(job.source.as_ref()));
        problems.extend(
            job.value
                .sink
                .iter()
                .flat_map(|sinks| secret_files::check(sinks, dir)),
        );
        problems.extend(
            job.value
                .sink
                .iter()
                .flat_map(|sinks| templates::check(sinks, dir)),
        );
        jobs.extend(job.source);
    }
    let sources: Vec<&Source> = machine.source.iter().chain(&jobs).collect();
    problems.extend(sink_names::nobody_is_told(dir, &sources));
    Checked {
        problems,
        machine: machine_file(dir).exists(),
        jobs: files.len(),
    }
}

fn look<T: serde::de::DeserializeOwned + Default>(
    file: &Path,
    problems: &mut Vec<Problem>,
) -> Opened<T> {
    problems.extend(open_to_all(file));
    open(file, problems)
}

/// Root runs the commands that the config names: who can write it is root.
fn open_to_all(path: &Path) -> Option<Problem> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let message = format!(
        "everybody may write here (mode {:04o}), and root runs the commands in it",
        mode & 0o7777
    );
    let help = format!("take that right away: chmod o-w {}", path.display());
    (mode & 0o002 != 0).then(|| Problem::with_file(path, Severity::Error, &message, Some(&help)))
}

/// The jobs' files in order, with a warning for each file there that no job's name leads to; an
/// editor's own, hidden ones need no word.
pub fn job_files(dir: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("cannot read this directory: {error}");
            problems.push(Problem::with_file(dir, Severity::Error, &message, None));
            return Vec::new();
        }
    };
    let hidden = |file: &Path| {
        file.file_name()
            .is_some_and(|name| name.as_bytes().starts_with(b"."))
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    found.retain(|file| !hidden(file));
    found.sort();
    found.retain(|file| {
        let help = why_unread(file);
        let warn = |help| {
            Problem::with_file(
                file,
                Severity::Warning,
                "this file is never read",
                Some(help),
            )
        };
        problems.extend(help.as_deref().map(warn));
        help.is_none()
    });
    found
}

/// Why no job has this file, where that is so.
fn why_unread(file: &Path) -> Option<String> {
    let name = file.file_name().map(OsStr::as_bytes).unwrap_or_default();
    let Some(stem) = name.strip_suffix(b".toml") else {
        return Some("a job's file is called JOB.toml".to_owned());
    };
    let stem = String::from_utf8_lossy(stem);
    if stem.contains("%-") || names::decode(&stem).is_some() {
        return None;
    }
    Some(format!(
        "the file of the job `{stem}` is called {}",
        file_name(&stem)
    ))
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
        let checked = check(dir.path());
        let keys = "`sinks`, `sink`, `collect`, `runbook`, `normal_exit`, `stop_timeout`, `user` or `redact`";
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
        let checked = check(dir.path());
        assert_eq!(
            told(dir.path(), &checked.problems),
            [
                "jobs/README: this file is never read (a job's file is called JOB.toml)",
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
        let problems = check(dir.path()).problems;
        assert_eq!(problems.len(), 4);
        for (problem, name) in problems.iter().zip(names) {
            assert_eq!(
                (problem.file.clone(), problem.severity),
                (dir.path().join(name), Severity::Error)
            );
            let message = "everybody may write here (mode 0777), and root runs the commands in it";
            assert_eq!(problem.message, message);
        }
    }

    #[test]
    fn a_config_that_reaches_nobody_is_a_warning() {
        for files in [&[][..], &[("lastwords.toml", "")], &[("jobs/web.toml", "")]] {
            let dir = config(files);
            let checked = check(dir.path());
            let [problem] = checked.problems.as_slice() else {
                panic!("{:?}", checked.problems)
            };
            assert_eq!(problem.severity, Severity::Warning);
            assert!(
                problem.message.ends_with("no sink") || problem.message == "no sink is configured",
                "{problem}"
            );
        }
    }
}
