//! Which life's words a log holds: the marker remembers how long the log was when a life began.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use lastwords::report::Report;
use serde_json::{Value, json};

use crate::hooks::{exits_0, hook};
use crate::support::harness::{Harness, names_in};

/// Last words of a life of a Go program, which prove a cause where nothing follows them.
fn panic(word: &str) -> String {
    format!("panic: {word}\n\ngoroutine 1 [running]:\nmain.main()\n\t/srv/web/main.go:7 +0x1d\n")
}

fn log(machine: &Harness) -> PathBuf {
    machine.root.join("var/log/upstart/web.log")
}

/// Writes a part of the log, as an earlier life or this one does.
fn say(machine: &Harness, words: &str) {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log(machine));
    log.unwrap().write_all(words.as_bytes()).unwrap();
}

fn start(machine: &Harness) {
    exits_0(&mut hook(machine, "pre-start"));
}

/// Ends the life. Returns its report.
fn end(machine: &Harness) -> Report {
    machine.kernel_log("init: web main process (4242) terminated with status 2");
    exits_0(&mut hook(machine, "post-stop"));
    machine.only_report()
}

/// Changes the marker of the running life.
fn change_marker(machine: &Harness, change: impl FnOnce(&mut Value)) {
    let path = machine.run.join("markers/web");
    let mut marker = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut marker);
    fs::write(path, marker.to_string()).unwrap();
}

#[test]
fn an_earlier_lifes_error_is_not_the_cause_of_this_ones_end() {
    let machine = Harness::new();
    say(&machine, &panic("the earlier one"));
    start(&machine);
    let report = end(&machine);
    assert_eq!(
        report.cause.line, "exit code 2, cause unknown",
        "{report:#?}"
    );
    // People see it all the same, among the log's last lines.
    let shown = report
        .sections
        .iter()
        .any(|it| it.text.contains("the earlier one"));
    assert!(shown, "{report:#?}");
}

#[test]
fn what_a_life_has_said_since_it_began_is_its_cause_though_an_earlier_one_died_within_a_line() {
    let machine = Harness::new();
    say(&machine, &panic("the earlier one"));
    say(&machine, "Error: cannot op");
    start(&machine);
    say(&machine, "Error: no room for the index\n");
    let line = end(&machine).cause.line;
    assert!(line.contains("no room for the index"), "{line}");
    assert!(
        !line.contains("earlier") && !line.contains("cannot op"),
        "{line}"
    );
}

#[test]
fn a_log_that_was_rotated_since_is_this_lifes_and_so_is_the_end_of_the_old_one() {
    for words in ["", "Error: no room for the index\n"] {
        let machine = Harness::new();
        say(&machine, &panic("the earlier one"));
        start(&machine);
        if words.is_empty() {
            say(&machine, "Error: no room for the index\n");
        }
        fs::rename(log(&machine), log(&machine).with_extension("log.1")).unwrap();
        say(&machine, words);
        let line = end(&machine).cause.line;
        assert!(line.contains("no room for the index"), "{line}");
        assert!(!line.contains("earlier"), "{line}");
    }
}

#[test]
fn a_log_that_was_copied_and_truncated_since_is_this_lifes() {
    let machine = Harness::new();
    say(&machine, &panic("the earlier one"));
    start(&machine);
    fs::copy(log(&machine), log(&machine).with_extension("log.1")).unwrap();
    fs::write(log(&machine), "").unwrap();
    say(&machine, "Error: no room\n");
    let line = end(&machine).cause.line;
    assert!(
        line.contains("no room") && !line.contains("earlier"),
        "{line}"
    );
}

#[test]
fn a_log_that_began_with_this_life_is_this_lifes() {
    let machine = Harness::new();
    start(&machine);
    say(&machine, &panic("the only one"));
    let line = end(&machine).cause.line;
    assert!(line.contains("the only one"), "{line}");
}

#[test]
fn a_marker_of_an_older_version_says_nothing_of_logs_and_is_read_all_the_same() {
    let machine = Harness::new();
    say(&machine, &panic("whoever it was"));
    start(&machine);
    change_marker(&machine, |marker| {
        let logs = marker.as_object_mut().unwrap().remove("logs_began");
        let inode = logs.unwrap()[0]["inode"].as_u64();
        assert!(inode > Some(0), "{inode:?}");
    });
    let line = end(&machine).cause.line;
    assert!(line.contains("whoever it was"), "{line}");
}

#[test]
fn a_length_that_no_log_has_hides_nothing() {
    for size in [json!(u64::MAX), json!(1_u64 << 40)] {
        let machine = Harness::new();
        start(&machine);
        say(&machine, &panic("this very one"));
        let own = log(&machine).metadata().unwrap();
        change_marker(&machine, |marker| {
            let inode = std::os::unix::fs::MetadataExt::ino(&own);
            marker["logs_began"][0]["inode"] = json!(inode);
            marker["logs_began"][0]["size"] = size;
        });
        let line = end(&machine).cause.line;
        assert!(line.contains("this very one"), "{line}");
    }
}

#[test]
fn a_log_that_is_a_pipe_holds_no_start_up() {
    let machine = Harness::new();
    fs::create_dir_all(log(&machine).parent().unwrap()).unwrap();
    let made = Command::new("mkfifo").arg(log(&machine)).status();
    assert!(made.unwrap().success());
    start(&machine);
    assert_eq!(names_in(&machine.run.join("markers")), ["web"]);
    change_marker(&machine, |marker| {
        assert_eq!(marker.get("logs_began"), None);
    });
}

#[test]
fn the_logs_that_the_jobs_file_names_are_looked_at_under_lastwords_run_too() {
    let machine = Harness::new();
    machine.configure(
        "web",
        "[[collect.log]]\npath = \"/var/log/upstart/web.log\"\n",
    );
    fs::create_dir_all(log(&machine).parent().unwrap()).unwrap();
    say(&machine, &panic("the earlier one"));
    let script = format!(
        "echo 'Error: no room for the index' >> {}; exit 2",
        log(&machine).display()
    );
    let mut run = machine.command("run");
    run.args(["--job", "web", "--", "sh", "-c", &script]);
    assert_eq!(run.status().unwrap().code(), Some(2));
    let line = machine.only_report().cause.line;
    assert!(
        line.contains("no room for the index") && !line.contains("earlier"),
        "{line}"
    );
}
