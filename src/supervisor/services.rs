//! Finds the supervisor that keeps a service, and reads its files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::host::Host;
use crate::supervisor::{ALL, Supervise};

/// Text that a line of a supervisor's file holds if it calls lastwords after a service's end.
const CALLS: &str = "lastwords post-stop";

/// Returns the first of these files that exists.
pub fn first_there(paths: impl IntoIterator<Item = String>, host: &Host) -> Option<PathBuf> {
    let mut paths = paths.into_iter().map(PathBuf::from);
    paths.find(|path| host.path(path).exists())
}

/// Returns the names in a directory.
pub fn names(dir: &str, host: &Host) -> Vec<String> {
    let entries = fs::read_dir(host.path(dir)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().into_string());
    names.filter_map(Result::ok).collect()
}

/// Returns true if a line of the file, comments aside, calls post-stop.
pub fn calls_us(file: &Path, host: &Host) -> bool {
    let calls = |line: &str| !line.trim_start().starts_with(['#', ';']) && line.contains(CALLS);
    host.read(file).is_ok_and(|text| text.lines().any(calls))
}

/// Says in which file the supervisor keeps the job.
pub fn found(by: &dyn Supervise, job: &str, host: &Host) -> String {
    match by.file_of(job, host) {
        Some(file) => format!(
            "{by} runs {job} from {}, which stays as it is.",
            file.display()
        ),
        None => format!("{by} has no {job} in the usual places."),
    }
}

/// Checks that a job of this name can have a file. A `/` is for Upstart's sub-directories, and
/// leads nowhere else.
///
/// # Errors
/// Fails if it cannot.
pub fn check_name(job: &str) -> Result<()> {
    let plain = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control)
    };
    if !job.split('/').all(plain) || job.starts_with('-') {
        bail!("{job:?} is no job's name");
    }
    Ok(())
}

/// Returns the supervisor that runs this job, if its files tell.
///
/// # Errors
/// Fails if several supervisors know the job, or none.
pub fn supervisor_of(job: &str, host: &Host) -> Result<&'static dyn Supervise> {
    let file =
        |supervisor: &'static dyn Supervise| Some((supervisor, supervisor.file_of(job, host)?));
    let known: Vec<(&dyn Supervise, PathBuf)> = ALL.iter().copied().filter_map(file).collect();
    match known.as_slice() {
        [(supervisor, _)] => Ok(*supervisor),
        [] => {
            let mut names: Vec<&str> = ALL.iter().map(|it| it.name()).collect();
            names.retain(|name| !["upstart", "run"].contains(name));
            bail!(
                "nobody here is known to run {job}: say who does, as `--supervisor upstart` (or {}; \
                 `--supervisor run` where it is none of them)",
                names.join(", ")
            )
        }
        several => {
            let list: Vec<String> = several
                .iter()
                .map(|(supervisor, file)| format!("{supervisor} ({})", file.display()))
                .collect();
            bail!(
                "{job} is known to {}: say which of them runs it with --supervisor",
                list.join(" and ")
            )
        }
    }
}

/// A machine with these files, as long as its directory is kept.
#[cfg(test)]
pub(crate) fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let host = Host::new(dir.path(), dir.path().join("config"));
    (dir, host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_a_job_is_told_by_its_file() {
        for (file, text, job, supervisor) in [
            ("etc/init/sub/web.conf", "", "sub/web", "upstart"),
            ("lib/systemd/system/web.service", "", "web", "systemd"),
            ("etc/systemd/system/web@.service", "", "web@1", "systemd"),
            ("etc/sv/web/run", "", "web", "runit"),
            ("run/service/web/run", "", "web", "s6"),
            (
                "etc/supervisor/conf.d/shop.conf",
                "[program:web]\n",
                "web",
                "supervisord",
            ),
        ] {
            let (_dir, host) = machine(&[(file, text)]);
            assert_eq!(supervisor_of(job, &host).unwrap().name(), supervisor);
            assert!(
                supervisor_of("other", &host)
                    .unwrap_err()
                    .to_string()
                    .contains("nobody here is known to run other")
            );
        }
    }

    #[test]
    fn where_two_know_it_nobody_guesses() {
        let (_dir, host) = machine(&[
            ("etc/init/web.conf", ""),
            ("etc/systemd/system/web.service", ""),
        ]);
        let why = supervisor_of("web", &host).unwrap_err().to_string();
        assert!(
            why.contains(
                "Upstart (/etc/init/web.conf) and systemd (/etc/systemd/system/web.service)"
            ),
            "{why}"
        );
    }

    #[test]
    fn a_name_that_leaves_its_directory_is_none() {
        for bad in ["", "..", "a/../b", "/a", "a//b", "a\nb", "--write"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("sub/web@1").is_ok());
    }
}
