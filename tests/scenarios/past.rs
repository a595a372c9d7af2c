//! Sections of a message about earlier crashes.

use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::support::harness::{Harness, SERVE, names_in, wait_for};
use crate::support::upstart::State;

/// Returns a machine that keeps every message as text.
fn machine() -> Harness {
    let machine = Harness::new();
    let told = machine.path("told");
    fs::create_dir(&told).unwrap();
    let script = format!(
        "cp \"$LASTWORDS_REPORT_DIR/report.txt\" {}/$(ls {} | wc -l)",
        told.display(),
        told.display()
    );
    let sink =
        format!("[[sink.exec]]\nname = 'told'\ncommand = ['/bin/sh', '-c', '''{script}''']\n");
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    machine
}

/// Kills web, and waits for its message number `number`.
fn message(machine: &Harness, signal: Signal, number: usize) -> String {
    let mut web = machine.job("web", SERVE);
    web.start();
    web.kill_main(signal);
    web.wait_for(State::Waiting);
    wait_for("the report in the history", || {
        names_in(&machine.spool.join("done")).len() == number
    });
    fs::read_to_string(machine.path("told").join((number - 1).to_string())).unwrap()
}

#[test]
fn a_message_names_earlier_crashes_and_what_has_changed_since() {
    let machine = machine();
    let file = File::create(machine.root.join("server")).unwrap();
    let change = |ago: u64| {
        let modified = SystemTime::now() - Duration::from_secs(ago);
        file.set_times(FileTimes::new().set_modified(modified))
            .unwrap();
    };
    change(9000);
    fs::write(
        machine.config.join("jobs/web.toml"),
        "[collect.program]\npath = '/server'\n",
    )
    .unwrap();

    let first = message(&machine, Signal::SEGV, 1);
    assert!(
        first.contains("\nBefore   new: no earlier crash of web is known\n"),
        "{first}"
    );
    assert!(
        first.contains("--- program ---\n  /server: changed "),
        "{first}"
    );

    let second = message(&machine, Signal::ABORT, 2);
    assert!(
        second.contains("\nBefore   new: web has crashed once since "),
        "{second}"
    );
    assert!(
        second.contains("\nChanged  the crash before was another: killed by SIGSEGV"),
        "{second}"
    );
    assert!(!second.contains("has changed"), "{second}");

    change(0);
    let third = message(&machine, Signal::BUS, 3);
    assert!(
        third.contains("\nBefore   new: web has crashed 2 times since "),
        "{third}"
    );
    assert!(
        third.contains("\nChanged  /server has changed since the crash before: "),
        "{third}"
    );
}

#[test]
fn a_cause_that_was_seen_before_says_how_often_even_in_a_crash_that_was_not_sent_at_once() {
    let machine = machine();
    message(&machine, Signal::SEGV, 1);
    let mut web = machine.job("web", SERVE);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    let shown =
        || String::from_utf8_lossy(&machine.command("show").output().unwrap().stdout).into_owned();
    wait_for("what was before", || {
        shown().contains("\nBefore   seen once since ")
    });
}
