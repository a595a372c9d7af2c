//! Finds the jobs whose stanzas call lastwords, those in sub-directories of `/etc/init` too.

use std::fs;
use std::path::Path;

use crate::host::Host;
use crate::supervisor::services;
use crate::supervisor::upstart::stanzas::Stanzas;

/// The directory of the jobs' files.
const DIR: &str = "/etc/init";
/// Maximum depth of the sub-directories that are searched, and maximum number of names.
const DEPTH: usize = 4;
const MOST: usize = 10_000;
/// The directory of the hooks' first version. A job that names it wants its crashes caught.
const FIRST: &str = "/opt/upstart-monitor/";

/// Returns the jobs whose post-stop calls lastwords, by its own name or by that of the hook.
pub fn wired(host: &Host) -> Vec<String> {
    let mut jobs = all(host);
    jobs.retain(|job| calls_us(job, host));
    jobs
}

/// Returns all jobs.
pub fn all(host: &Host) -> Vec<String> {
    let mut jobs = Vec::new();
    find("", DEPTH, host, &mut jobs);
    jobs
}

/// Adds the jobs in this sub-directory of [`DIR`].
fn find(sub: &str, depth: usize, host: &Host, jobs: &mut Vec<String>) {
    for name in services::names(&format!("{DIR}/{sub}"), host) {
        if jobs.len() >= MOST {
            return;
        }
        let path = format!("{sub}{name}");
        if let Some(job) = path.strip_suffix(".conf") {
            jobs.push(job.to_owned());
        } else if depth > 0 && is_dir(&path, host) {
            find(&format!("{path}/"), depth - 1, host, jobs);
        }
    }
}

fn is_dir(path: &str, host: &Host) -> bool {
    let found = host.path(format!("{DIR}/{path}")).symlink_metadata();
    found.is_ok_and(|found| found.is_dir())
}

fn calls_us(job: &str, host: &Host) -> bool {
    let stanzas = Stanzas::of(job, host).unwrap_or_default();
    let post_stop = stanzas.post_stop.as_ref();
    let program = post_stop.and_then(|process| process.program("post-stop"));
    program.is_some_and(|program| is_ours(program, host))
}

/// Returns true if this program is lastwords, or a link to it.
fn is_ours(program: &str, host: &Host) -> bool {
    let named = |path: &Path| path.file_name().is_some_and(|name| name == "lastwords");
    let path = host.path(program);
    named(Path::new(program))
        || program.starts_with(FIRST)
        || fs::read_link(&path).is_ok_and(|to| named(&to))
        || fs::canonicalize(path).is_ok_and(|file| named(&file))
}
