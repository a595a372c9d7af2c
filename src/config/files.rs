//! The config's files: their paths and names.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::problem::{Problem, Severity};
use crate::names;

/// Returns the file that describes the machine.
pub fn machine_file(dir: &Path) -> PathBuf {
    dir.join("lastwords.toml")
}

/// Returns the directory of the jobs' files.
pub fn jobs_dir(dir: &Path) -> PathBuf {
    dir.join("jobs")
}

/// Returns the file of a job.
pub fn job_file(dir: &Path, job: &str) -> PathBuf {
    jobs_dir(dir).join(file_name(job))
}

/// Returns the name of a job's file in `jobs/`.
pub fn file_name(job: &str) -> String {
    names::encode(job) + ".toml"
}

/// Returns the job whose file this is.
pub fn job_of(file: &Path) -> Option<String> {
    names::decode(file.file_stem()?.to_str()?)
}

/// Returns the jobs that have a file.
pub fn jobs(dir: &Path) -> Vec<String> {
    let files = job_files(dir, &mut Vec::new());
    files.iter().filter_map(|file| job_of(file)).collect()
}

/// Returns the jobs' files in order, and adds a warning for each file beside them that is never
/// read. Hidden files, an editor's own, are passed over.
pub fn job_files(dir: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let dir = &jobs_dir(dir);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("cannot read this directory: {error}");
            problems.push(Problem::with_file(dir, Severity::Error, &message, None));
            return Vec::new();
        }
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| !is_hidden(file))
        .collect();
    found.sort();
    found.retain(|file| {
        let help = why_unread(file);
        problems.extend(help.as_deref().map(|help| unread(file, help)));
        help.is_none()
    });
    found
}

fn is_hidden(file: &Path) -> bool {
    file.file_name()
        .is_some_and(|name| name.as_bytes().starts_with(b"."))
}

fn unread(file: &Path, help: &str) -> Problem {
    Problem::with_file(
        file,
        Severity::Warning,
        "this file is never read",
        Some(help),
    )
}

/// Returns why no job has this file; `None` if one has.
fn why_unread(file: &Path) -> Option<String> {
    let name = file.file_name().map(OsStr::as_bytes).unwrap_or_default();
    let Some(stem) = name.strip_suffix(b".toml") else {
        return Some("name a job's file JOB.toml".to_owned());
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
