//! Tests of a config as a whole: a job gets one whatever state the files are in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::{Problem, load};
use crate::report::Exit;

/// Makes a config directory with these files.
pub fn config(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["jobs", "secrets", "etc"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let secret = dir.path().join("secrets/slack");
    fs::write(&secret, "https://example.com").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

pub const SINK: &str = "[[sink.slack]]\nname = \"ops\"\nwebhook_file = \"secrets/slack\"\n";

/// Returns the problems on one line each, without the directory's name.
pub fn told(dir: &Path, problems: &[Problem]) -> Vec<String> {
    let dir = format!("{}/", dir.display());
    problems
        .iter()
        .map(|problem| problem.to_string().replace(&dir, ""))
        .collect()
}

#[test]
fn a_job_without_a_file_has_the_default_pipeline() {
    let default = "[default]\nrunbook = \"wiki\"\nnormal_exit = [143]\n[default.collect.memory]\n";
    let dir = config(&[("lastwords.toml", &format!("{SINK}{default}"))]);
    let loaded = load(dir.path(), "web");
    assert_eq!(told(dir.path(), &loaded.problems), [""; 0]);
    assert_eq!(loaded.sinks.slack.len(), 1);
    assert_eq!(loaded.job.sinks, None);
    assert_eq!(loaded.job.runbook.as_deref(), Some("wiki"));
    assert_eq!(loaded.job.normal_exit, Some(vec![Exit::Code(143)]));
    assert_eq!(loaded.job.stop_timeout, Duration::from_mins(1));
    assert!(loaded.job.collect.unwrap().memory.is_some());
}

#[test]
fn what_a_job_says_goes_before_the_default() {
    let default = "[default]\nrunbook = \"wiki\"\nnormal_exit = [143]\n[default.collect.memory]\n";
    let job =
        "sinks = [\"ops\"]\nnormal_exit = []\nstop_timeout = \"5m\"\nuser = \"www\"\n[collect]\n";
    let dir = config(&[
        ("lastwords.toml", &format!("{SINK}{default}")),
        ("jobs/web.toml", job),
    ]);
    let loaded = load(dir.path(), "web");
    assert_eq!(told(dir.path(), &loaded.problems), [""; 0]);
    assert_eq!(loaded.job.sinks.unwrap(), ["ops"]);
    assert_eq!(loaded.job.runbook.as_deref(), Some("wiki"));
    assert_eq!(loaded.job.normal_exit, Some(Vec::new()));
    assert_eq!(loaded.job.stop_timeout, Duration::from_mins(5));
    assert_eq!(loaded.job.user.as_deref(), Some("www"));
    assert!(loaded.job.collect.unwrap().memory.is_none());
}

#[test]
fn without_a_config_there_are_the_defaults_and_a_word_about_it() {
    let loaded = load(Path::new("/nonexistent"), "web");
    assert_eq!(
        told(Path::new("/nonexistent"), &loaded.problems),
        [
            "lastwords.toml: this file does not exist, so no sink is configured (reports are kept in the spool, but no one is told; \
          add a sink, as `[[sink.email]]`)"
        ]
    );
    assert_eq!(loaded.job.stop_timeout, Duration::from_mins(1));
}

#[test]
fn a_broken_file_has_the_defaults_and_takes_nothing_from_the_other() {
    let dir = config(&[
        ("lastwords.toml", SINK),
        ("jobs/web.toml", "sinks = [\"ops\"]\nrunbook ="),
    ]);
    let loaded = load(dir.path(), "web");
    assert_eq!(
        told(dir.path(), &loaded.problems),
        ["jobs/web.toml:2:10: expected a value after `=`, found none"]
    );
    assert_eq!((loaded.sinks.slack.len(), loaded.job.sinks), (1, None));

    let dir = config(&[
        ("lastwords.toml", "\0"),
        ("jobs/web.toml", "runbook = \"wiki\""),
    ]);
    let loaded = load(dir.path(), "web");
    let problems = told(dir.path(), &loaded.problems);
    assert_eq!(
        problems[0],
        "lastwords.toml:1:1: expected a key of letters, digits, `-` and `_`"
    );
    assert!(
        problems[1].starts_with("lastwords.toml: no sink is configured"),
        "{problems:?}"
    );
    assert_eq!(
        (loaded.sinks.slack.len(), loaded.job.runbook.as_deref()),
        (0, Some("wiki"))
    );
}

#[test]
fn whatever_stands_in_a_files_place_costs_nothing_but_itself() {
    let dir = config(&[("lastwords.toml", SINK)]);
    fs::create_dir(dir.path().join("jobs/web.toml")).unwrap();
    let expected = "jobs/web.toml: expected a regular file, found something else";
    assert_eq!(
        told(dir.path(), &load(dir.path(), "web").problems),
        [expected]
    );

    let file = dir.path().join("jobs-are-a-file");
    fs::write(&file, "").unwrap();
    fs::remove_dir_all(dir.path().join("jobs")).unwrap();
    fs::rename(&file, dir.path().join("jobs")).unwrap();
    let expected = "jobs/web.toml: cannot read this file: Not a directory (os error 20)";
    assert_eq!(
        told(dir.path(), &load(dir.path(), "web").problems),
        [expected]
    );
}

#[test]
fn no_jobs_name_leaves_the_directory() {
    let dir = config(&[
        ("lastwords.toml", SINK),
        ("jobs/sub%2Fname.toml", "runbook = \"wiki\""),
    ]);
    assert_eq!(
        load(dir.path(), "sub/name").job.runbook.as_deref(),
        Some("wiki")
    );
    for name in ["../lastwords", "", ".", "..", "\0", &"x/".repeat(5000)] {
        assert_eq!(
            told(dir.path(), &load(dir.path(), name).problems),
            [""; 0],
            "{name}"
        );
    }
}

#[test]
fn a_job_may_tell_only_a_sink_of_its_own() {
    let dir = config(&[
        ("lastwords.toml", ""),
        ("jobs/web.toml", &format!("sinks = [\"ops\"]\n{SINK}")),
    ]);
    let loaded = load(dir.path(), "web");
    assert_eq!(told(dir.path(), &loaded.problems), [""; 0]);
    assert_eq!(
        (loaded.sinks.slack.len(), loaded.job.sink.slack.len()),
        (0, 1)
    );
}
