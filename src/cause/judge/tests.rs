use proptest::prelude::*;

use super::{Tail, decide};
use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::window::LogWindow;
use crate::cause::{Scene, text};
use crate::report::{Death, Exit};

/// How a process ends that calls `abort`.
const ABORT: &[ExpectedExit] = &[ExpectedExit::Signal("ABRT")];

/// Returns an error that stands in line `i` of the log.
fn error(i: usize, what: &str, proof: Proof, ends: &'static [ExpectedExit]) -> Finding {
    Finding {
        proof,
        ..Finding::at(i..i + 1, Death::UncaughtException, what).said(ends)
    }
}

/// Returns the words of the decision on a service that ended by `exit`.
fn what_of(found: &[Finding], last: Option<Finding>, log: &str, exit: &Exit) -> Option<String> {
    let scene = Scene {
        job: "web",
        pid: Some(42),
        exit,
        log: None,
        kernel: ("", &[]),
    };
    let lines = text::read(log);
    decide(
        &Tail::read(&lines, LogWindow::default(), found, &scene),
        found,
        last,
    )
    .map(|finding| finding.what)
}

/// Returns the decision on a log. `!` begins a line of last words, `?` a line of an error that
/// the service may have survived.
fn decided(log: &str) -> Option<String> {
    decided_at(log, &Exit::Code(1), &[])
}

/// The same, where the service ended by `exit` and those errors end by `ends`.
fn decided_at(log: &str, exit: &Exit, ends: &'static [ExpectedExit]) -> Option<String> {
    let mut found = Vec::new();
    let clean: Vec<&str> = log
        .lines()
        .map(|line| line.trim_start_matches(['!', '?']))
        .collect();
    for (i, line) in log.lines().enumerate() {
        let proof = match line.as_bytes().first() {
            Some(b'!') => Proof::LastWords,
            Some(b'?') => Proof::Said,
            _ => continue,
        };
        found.push(error(i, clean[i], proof, ends));
    }
    what_of(&found, None, &clean.join("\n"), exit)
}

/// Returns the decision between an error and the service's last line after it.
fn between(before: &str, last: &str) -> Option<String> {
    let log = format!("{before}\n{last}");
    let last = error(1, last, Proof::Said, &[]);
    let found = vec![error(0, before, Proof::Said, &[])];
    what_of(&found, Some(last), &log, &Exit::Code(1))
}

#[test]
fn the_last_line_is_the_cause_unless_it_only_repeats_the_error_before_it() {
    let error = "config: no such key: port";
    for (last, cause) in [
        ("shutting down: cannot open orders.db", None),
        ("shutting down: no such key: port.", Some(error)),
        ("fatal error, exiting", Some(error)),
    ] {
        let decided = between(error, last);
        assert_eq!(decided.as_deref(), Some(cause.unwrap_or(last)));
    }
}

#[test]
fn after_last_words_exit_hooks_and_the_next_start_may_speak() {
    assert_eq!(
        decided("!boom\nflushed 3 metrics\n4 connections closed").as_deref(),
        Some("boom")
    );
    assert_eq!(
        decided("!boom\n[boot] web starting, pid 77\nlistening\nready").as_deref(),
        Some("boom")
    );
    assert_eq!(
        decided("!boom\nnpm ERR! code 1\n\n\n").as_deref(),
        Some("boom")
    );
    assert_eq!(
        decided(&format!("!boom\n{}", "GET / 200\n".repeat(40))),
        None
    );
    assert_eq!(decided("!boom\nmetrics disabled, going on\n"), None);
}

#[test]
fn a_start_of_the_dead_process_makes_an_error_another_life_s() {
    assert_eq!(
        decided("!boom\nweb exited with code 1\n[boot] web starting, pid 42\nready"),
        None
    );
    assert_eq!(
        decided("!first\n[boot] web starting, pid 42\n!second").as_deref(),
        Some("second")
    );
    // A line that it still writes while the next one starts is no start.
    let own = "2026-11-22 23:56:07 [42] INFO flushed";
    let log = format!("!boom\n[boot] web starting, pid 77\n{own}");
    assert_eq!(decided(&log).as_deref(), Some("boom"));
}

#[test]
fn an_error_that_a_log_of_several_programs_gives_to_another_is_not_the_services() {
    // The dead process is 42.
    let line = |who: &str, words: &str| format!("Nov 22 23:56:07 db1 {who}: {words}\n");
    let up = line("web[42]", "listening");
    for (who, log, is_cause) in [
        (
            "another program",
            format!("{up}!{}", line("cron[77]", "boom")),
            false,
        ),
        (
            "the same program",
            format!("{up}!{}", line("web[77]", "boom")),
            true,
        ),
        (
            "it, under another name",
            format!("!{}{up}", line("cron[42]", "boom")),
            true,
        ),
        (
            "nobody knows the name of the dead process",
            format!("!{}", line("cron[77]", "boom")),
            true,
        ),
        ("no process", format!("{up}!{}", line("cron", "boom")), true),
    ] {
        assert_eq!(decided(&log).is_some(), is_cause, "{who}");
    }
}

#[test]
fn an_error_before_the_first_line_of_the_dead_process_is_another_life_s() {
    // The dead process is 42.
    let line = |pid, words: &str| format!("2026-11-22 23:56:07 [{pid}] INFO {words}\n");
    let work = line(77, "GET / 200");
    let own = line(42, "listening");
    for (log, cause) in [
        (format!("{work}!boom\n{own}"), None),
        // It had written before.
        (
            format!("{}{work}!boom\n{own}", line(42, "GET / 200")),
            Some("boom"),
        ),
        // Nothing before the error names a process.
        (format!("!boom\n{own}"), Some("boom")),
        // The process before the error was the dead one itself.
        (format!("{own}!boom\n{own}"), Some("boom")),
        // The dead process wrote nothing after the error.
        (
            format!("{work}!boom\n{}", line(77, "listening")),
            Some("boom"),
        ),
        // The other process wrote too long ago to be this error's.
        (format!("{work}{}!boom\n{own}", "work\n".repeat(118)), None),
        (
            format!("{work}{}!boom\n{own}", "work\n".repeat(119)),
            Some("boom"),
        ),
    ] {
        assert_eq!(decided(&log).as_deref(), cause, "{log}");
    }
}

#[test]
fn as_many_lines_as_exit_hooks_add_may_follow_last_words() {
    let followed = |lines: usize| decided(&format!("!boom\n{}", "flushed\n".repeat(lines)));
    assert_eq!(followed(12).as_deref(), Some("boom"));
    assert_eq!(followed(13), None);
}

#[test]
fn what_follows_last_words_a_minute_later_is_not_of_their_death() {
    for (then, is_cause) in [("23:57:06", true), ("23:57:07", false)] {
        let log = format!("!2026-11-22 23:56:07 ERROR boom\n2026-11-22 {then} INFO flushed");
        assert_eq!(decided(&log).is_some(), is_cause, "{log}");
    }
}

#[test]
fn as_many_lines_as_a_start_has_may_follow_a_death() {
    let start = "[boot] web starting, pid 77\n";
    let followed = |lines: usize| decided(&format!("!boom\n{start}{}", "ready\n".repeat(lines)));
    // The banner is the first of 30 lines.
    assert_eq!(followed(29).as_deref(), Some("boom"));
    assert_eq!(followed(30), None);
    let hooks = "flushed\n".repeat(12);
    let both = format!("!boom\n{hooks}{start}{}", "ready\n".repeat(29));
    assert_eq!(decided(&both).as_deref(), Some("boom"));
}

#[test]
fn an_error_counts_as_survived_after_twelve_lines_of_work() {
    let again = |lines: usize| decided(&format!("?boom\n{}?boom", "GET / 200\n".repeat(lines)));
    assert_eq!(again(11).as_deref(), Some("boom"));
    assert_eq!(again(12), None);
}

#[test]
fn an_error_leads_to_the_next_only_if_nothing_ordinary_is_between_them() {
    let generic = "Error: worker failed to boot";
    for (log, cause) in [
        (
            format!("?Error: no queue\nshutting down\n?{generic}"),
            "Error: no queue",
        ),
        (format!("?Error: no queue\nGET / 200\n?{generic}"), generic),
    ] {
        assert_eq!(decided(&log).as_deref(), Some(cause), "{log}");
    }
}

#[test]
fn one_text_repeats_another_only_if_both_say_something() {
    for (before, last, repeats) in [
        ("Error: ", "cannot open orders.db", false),
        ("no such key: port", "Error: !", false),
        ("KeyError: port", "no such key: port", true),
        ("KeyError: host", "no such key: port", false),
        ("KeyError: port", "ValueError: port", true),
        // Words before a colon are no type.
        ("no such key: port", "no such file: port", false),
    ] {
        assert_eq!(super::is_same(before, last), repeats, "{before} / {last}");
    }
}

#[test]
fn an_error_that_may_be_survived_counts_only_as_the_last_word() {
    assert_eq!(decided("?boom").as_deref(), Some("boom"));
    assert_eq!(
        decided("?boom\n[main] shutting down\nbye").as_deref(),
        Some("boom")
    );
    assert_eq!(
        decided("?boom\n== web start 2026-11-22 23:56:07 ==").as_deref(),
        Some("boom")
    );
    assert_eq!(decided("?boom\nGET / 200"), None);
    assert_eq!(decided("?boom\nSIGTERM received, shutting down"), None);
    assert_eq!(
        decided("SIGTERM received, closing\n2 jobs left\n?boom"),
        None
    );
    assert_eq!(
        decided("SIGTERM received\n[boot] web starting, pid 77\n?boom").as_deref(),
        Some("boom")
    );
    assert_eq!(
        decided("SIGHUP received, reloading\n?boom").as_deref(),
        Some("boom")
    );
    assert_eq!(
        decided(&format!("?boom\n{}?boom", "GET / 200\n".repeat(15))),
        None
    );
}

#[test]
fn an_error_that_contradicts_the_exit_is_never_the_cause() {
    let segv = Exit::Signal {
        name: "SEGV".to_owned(),
        core_dumped: true,
    };
    let killed = Exit::Signal {
        name: "KILL".to_owned(),
        core_dumped: false,
    };
    for log in ["!boom", "?boom", "!boom\nnpm ERR! code 1"] {
        assert_eq!(decided_at(log, &segv, &[]).as_deref(), Some("boom"));
        for (exit, ends) in [(&Exit::Code(0), &[][..]), (&killed, &[]), (&segv, ABORT)] {
            assert_eq!(decided_at(log, exit, ends), None, "{log} and {exit}");
        }
    }
}

#[test]
fn behind_a_wrapper_last_words_fit_the_wrappers_own_exit() {
    let wrapped = "!boom\nnpm ERR! code 1";
    let decided = |log, code| decided_at(log, &Exit::Code(code), ABORT);
    assert_eq!(decided(wrapped, 1).as_deref(), Some("boom"));
    assert_eq!(decided(wrapped, 2), None, "npm ends with 1");
    assert_eq!(decided("!boom", 1), None, "no wrapper says so");
    assert_eq!(decided("?boom\nnpm ERR! code 1", 1), None);
}

#[test]
fn an_entry_counts_from_the_level_of_an_error_on() {
    for (level, is_cause) in [
        ("INFO", false),
        ("WARN", false),
        ("ERROR", true),
        ("FATAL", true),
    ] {
        let log = format!("?2026-11-22 23:56:07 {level} boom");
        assert_eq!(decided(&log).is_some(), is_cause, "{level}");
    }
}

#[test]
fn of_a_burst_the_cause_counts_and_not_its_consequence() {
    assert_eq!(
        decided("!Error: no queue\n?Error: worker failed to boot").as_deref(),
        Some("Error: no queue")
    );
    assert_eq!(
        decided("!Error: boom\n?Error: boom").as_deref(),
        Some("Error: boom")
    );
    assert_eq!(
        decided("!KeyError: port\n?port").as_deref(),
        Some("KeyError: port")
    );
    assert_eq!(
        decided("!Error: one\n!Error: another").as_deref(),
        Some("Error: another")
    );
}

/// Returns true if the service died of the trace at the end of a log, which it may have survived.
/// The trace has so many lines.
fn died_of_trace(log: &str, lines: usize) -> bool {
    let count = log.lines().count();
    let trace = Finding {
        lines: count - lines..count,
        ..error(count - lines, "Error: boom", Proof::Said, &[])
    };
    what_of(&[trace], None, log, &Exit::Code(1)).is_some()
}

#[test]
fn a_trace_below_an_entry_that_warns_of_a_failure_was_handled_unless_the_entry_stands_alone() {
    let entry = |level: &str, words: &str| format!("2026-11-22 23:56:07 {level} {words}\n");
    let trace = "Error: boom\n    at main";
    let warning = entry("WARN", "request 7 failed");
    let other = entry("INFO", "ready");
    for (before, died) in [
        (warning.clone(), false),
        (entry("WARN", "request 7 came"), true),
        (entry("INFO", "request 7 failed"), true),
        (entry("WARN", "request 7 failed, giving up"), true),
        // It came before with no trace below it, whatever its numbers were.
        (
            format!("{}{other}{warning}", entry("WARN", "request 6 failed")),
            true,
        ),
        (format!("{warning}{trace}\n{other}{warning}"), false),
        (
            format!("{}{other}{warning}", entry("WARN", "job 6 failed")),
            false,
        ),
    ] {
        let log = format!("{before}{trace}");
        assert_eq!(died_of_trace(&log, 2), died, "{log}");
    }
    // Loggers put no trace of one line below an entry.
    assert!(died_of_trace(&format!("{warning}Error: boom"), 1));
}

proptest! {
    #[test]
    fn no_log_makes_the_decision_panic(log in "([!?]?(boom|GET|bye|web start, pid 42|npm ERR!)?\n){0,60}") {
        decided(&log);
    }
}
