//! Holds that a log that has nothing to do with the end is no cause: the samples with another exit,
//! with work after the error, and with a handled error before it; and that the samples at the end
//! of a long log are explained as if all of it were read.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::text::{self, LogLine};
use super::window::LogWindow;
use super::{Scene, explain, explain_by, explain_redacted};
use crate::redact::Redactor;
use crate::report::{Cause, Confidence, Exit, signal_of_code};

#[derive(Deserialize)]
struct Label {
    service: String,
    pid: Option<u32>,
    must_contain: Vec<String>,
}

struct Sample {
    name: String,
    label: Label,
    exit: Exit,
    log: String,
}

fn exit(text: &str) -> Exit {
    match text.trim().split_once(' ') {
        Some(("code", code)) => Exit::Code(code.parse().expect("an exit code")),
        Some((_, name)) => signal(name.trim_start_matches("SIG")),
        None => Exit::Unknown,
    }
}

fn signal(name: &str) -> Exit {
    Exit::Signal {
        name: name.to_owned(),
        core_dumped: false,
    }
}

/// Returns the samples whose service ended by a code of its own. What systemd says of a time limit
/// explains a signal too.
fn samples() -> Vec<Sample> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let files = fs::read_dir(directory).expect("a readable directory");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    let read = |path: PathBuf| {
        let text = |name: &str| {
            let bytes = fs::read(path.join(name)).expect("a file of the sample");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Sample {
            name: path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
            label: toml::from_str(&text("label.toml")).expect("a label"),
            exit: exit(&text("exit")),
            log: text("log"),
        }
    };
    let ended_itself =
        |exit: &Exit| matches!(exit, Exit::Code(code) if signal_of_code(*code).is_none());
    let mut samples: Vec<Sample> = paths.into_iter().map(read).collect();
    samples.retain(|sample| ended_itself(&sample.exit) && !sample.log.contains("timed out. Term"));
    samples
}

fn cause(sample: &Sample, exit: &Exit, log: &str) -> Cause {
    let scene = Scene {
        job: &sample.label.service,
        pid: sample.label.pid,
        exit,
        log: Some(("log", log)),
        kernel: ("", &[]),
    };
    explain(&scene).cause
}

/// Returns the lines of a service that serves for most of an hour.
fn work(hour: &str) -> String {
    let line = |i| format!("{hour}:{i}:07.000Z INFO  http: GET /items/{i} 200 {i}ms");
    (10..50).map(line).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn no_error_in_the_log_explains_a_kill_from_outside_or_success() {
    let mut wrong = String::new();
    let samples = samples();
    for sample in &samples {
        for exit in [
            signal("KILL"),
            signal("TERM"),
            Exit::Code(137),
            Exit::Code(0),
        ] {
            // .NET's host stops in good order because of such an error.
            if exit == Exit::Code(0) && sample.log.contains("configured to StopHost") {
                continue;
            }
            let cause = cause(sample, &exit, &sample.log);
            if cause.confidence != Confidence::None || cause.last_words.is_some() {
                let _ = writeln!(wrong, "{}: {exit}: {}", sample.name, cause.line);
            }
        }
    }
    assert!(samples.len() > 300, "only {} samples", samples.len());
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_error_that_work_follows_is_no_cause() {
    let mut wrong = String::new();
    for sample in samples() {
        let work = work("2036-11-22T23");
        let log = format!("{}\n{work}", sample.log.trim_end());
        let cause = cause(&sample, &sample.exit, &log);
        if cause.confidence != Confidence::None || cause.last_words.is_some() {
            let _ = writeln!(wrong, "{}: {}", sample.name, cause.line);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_handled_error_before_the_last_one_hides_nothing() {
    let mut wrong = String::new();
    for sample in samples() {
        let noise = "2026-11-22T20:00:01.000Z WARN  feed: lost the feed, will retry\n\
                     Error: feed closed by peer\n    at read (/srv/feed.js:7:9)\n";
        let work = work("2026-11-22T20");
        // A carrier would stand before the decoy's lines too.
        let is_bare = |line: &LogLine| sample.log.lines().nth(line.number - 1) == Some(&line.text);
        if !text::read(&sample.log).iter().all(is_bare) {
            continue;
        }
        let line = cause(
            &sample,
            &sample.exit,
            &format!("{noise}{work}{}", sample.log),
        )
        .line;
        let lowercase = line.to_lowercase();
        let says = |words: &String| lowercase.contains(&words.to_lowercase());
        if !sample.label.must_contain.iter().all(says) || lowercase.contains("feed closed by peer")
        {
            let _ = writeln!(wrong, "{}: {line}", sample.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Of so many samples one is put into a long log.
const SHARE: usize = 48;

#[test]
fn the_end_of_a_long_log_tells_what_all_of_it_tells() {
    const LONG: usize = 136 * 1024;
    let mut wrong = String::new();
    for sample in samples().iter().step_by(SHARE) {
        let lives = sample.log.repeat(LONG / sample.log.len().max(1) + 1);
        let quiet = "2026-11-22T20:00:01.000Z INFO  http: GET / 200\n".repeat(LONG / 40);
        for before in [lives, quiet] {
            let log = before + &sample.log;
            let scene = Scene {
                job: &sample.label.service,
                pid: sample.label.pid,
                exit: &sample.exit,
                log: Some(("log", &log)),
                kernel: ("", &[]),
            };
            let whole = LogWindow {
                text: &log,
                ..LogWindow::default()
            };
            let (end, all) = (explain(&scene), explain_by(&scene, whole, &log));
            let redactor = Redactor::default();
            let safe = redactor.lines(&log);
            let safe = explain(&Scene {
                log: Some(("log", &safe)),
                ..scene
            });
            let redacted = explain_redacted(&scene, &redactor);
            if safe != redacted {
                let _ = writeln!(wrong, "{}: {:?}\n{:?}", sample.name, safe, redacted);
            }
            if Some(&end) != all.as_ref() {
                let all = all.map(|all| all.cause);
                let _ = writeln!(wrong, "{}: {:?}\n{all:?}", sample.name, end.cause);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
