//! Starts that fail or are stopped half-way.

use std::fs;

use lastwords::report::{Exit, Verdict};
use rustix::process::Signal;

use crate::support::harness::{Harness, SERVE, assert_crashed, evidence, killed_by};
use crate::support::upstart::State;

#[test]
fn a_pre_start_that_fails_after_it_armed_the_marker_is_an_aborted_start_and_is_not_tried_again() {
    let machine = Harness::new();
    let pre_start = format!(
        "pre-start script\n{}\nexit 1\nend script\n",
        machine.hook("pre-start")
    );
    let mut web = machine.job("web", &format!("respawn\n{pre_start}{SERVE}"));
    web.start();
    assert_eq!(web.history(), "pre-start post-stop");
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::AbortedStart, &Exit::Unknown),
        "{report:#?}"
    );
    assert!(
        evidence(&report)
            .iter()
            .any(|line| line.ends_with("terminated with status 1")),
        "{report:#?}"
    );
    assert_eq!(machine.markers(), [""; 0]);
}

#[test]
fn a_pre_start_that_fails_before_it_armed_the_marker_leaves_no_report() {
    let machine = Harness::new();
    let mut web = machine.job("web", &format!("pre-start exec false\n{SERVE}"));
    web.start();
    assert_eq!(web.history(), "pre-start post-stop");
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_main_process_that_is_missing_is_an_aborted_start() {
    let machine = Harness::new();
    let mut web = machine.job("web", "exec /no/such/program");
    web.start();
    assert_eq!(web.history(), "pre-start post-stop");
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::AbortedStart, &Exit::Unknown),
        "{report:#?}"
    );
    assert_eq!(
        report.cause.line,
        "main: /no/such/program: unable to execute: No such file or directory"
    );
    let line =
        "init: Failed to spawn web main process: unable to execute: No such file or directory";
    assert!(evidence(&report).contains(&line), "{report:#?}");
}

#[test]
fn a_stop_during_pre_start_is_not_called_a_crash() {
    let machine = Harness::new();
    let pre_start = machine.gated(&machine.hook("pre-start"));
    let mut web = machine.job("web", &format!("pre-start {pre_start}{SERVE}"));
    web.begin_start(&[]);
    web.wait_until("the marker", |_| machine.markers().len() == 1);
    web.begin_stop(&[]);
    machine.open_gate();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start post-stop");
    assert_eq!(machine.only_report().verdict, Verdict::Unknown);
}

#[test]
fn a_verbose_init_settles_what_is_unknown_else() {
    let machine = Harness::new();
    let pre_start = machine.gated(&machine.hook("pre-start"));
    let conf = format!("pre-start {pre_start}{SERVE}");
    let mut web = machine.job("web", &conf).verbose();
    web.begin_start(&[]);
    web.wait_until("the marker", |_| machine.markers().len() == 1);
    web.begin_stop(&[]);
    machine.open_gate();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start post-stop");
    assert_eq!(machine.reports(), [], "a stop during pre-start");

    let mut web = machine.job("web", "exec true\n").verbose();
    web.start();
    web.wait_for(State::Waiting);
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, &Exit::Code(0)),
        "{report:#?}"
    );
}

#[test]
fn an_exit_that_the_jobs_stanzas_call_normal_is_no_crash_unless_its_file_says_otherwise() {
    for (conf, file, verdict) in [
        ("respawn\nnormal exit 3\n", None, None),
        ("respawn\nnormal exit 3\n", Some(""), Some(Verdict::Unknown)),
        (
            "respawn\nnormal exit 3\n",
            Some("3"),
            Some(Verdict::Unknown),
        ),
        ("normal exit 0 3\n", None, None),
        ("normal exit 3\n", None, Some(Verdict::Unknown)),
    ] {
        let machine = Harness::new();
        if let Some(exits) = file {
            machine.configure("web", &format!("normal_exit = [{exits}]\n"));
        }
        let mut web = machine.job("web", &format!("{conf}script\nexit 3\nend script\n"));
        web.start();
        web.wait_for(State::Waiting);
        let reports = machine.reports();
        let found = reports.first().map(|report| report.verdict);
        assert_eq!(found, verdict, "{conf}{file:?}: {reports:#?}");
    }
}

#[test]
fn a_stop_during_post_start_looks_like_a_kill_and_the_report_says_that_it_cannot_tell() {
    let machine = Harness::new();
    let post_start = machine.gated(":");
    let mut web = machine.job("web", &format!("post-start {post_start}{SERVE}"));
    web.begin_start(&[]);
    web.wait_for(State::PostStart);
    web.begin_stop(&[]);
    machine.open_gate();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-start TERM post-stop");
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Unknown, &killed_by("TERM")),
        "{report:#?}"
    );
    assert!(report.verdict_because.contains("post-start"), "{report:#?}");
}

#[test]
fn a_post_start_that_stands_in_the_jobs_override_counts_and_one_in_a_comment_does_not() {
    for (stanza, verdict) in [
        ("post-start exec true\n", Verdict::Unknown),
        ("# post-start exec true\n", Verdict::Crashed),
    ] {
        let machine = Harness::new();
        let mut web = machine.job("sub/web", SERVE);
        fs::write(machine.root.join("etc/init/sub/web.override"), stanza).unwrap();
        web.start();
        web.kill_main(Signal::TERM);
        web.wait_for(State::Waiting);
        assert_eq!(machine.only_report().verdict, verdict, "{stanza}");
    }
}

#[test]
fn a_fault_and_a_respawn_of_a_job_with_a_post_start_are_crashes() {
    let machine = Harness::new();
    let mut web = machine.job("web", &format!("respawn\npost-start exec true\n{SERVE}"));
    web.start();
    for (signal, life) in [(Signal::SEGV, 2), (Signal::TERM, 3)] {
        web.kill_main(signal);
        web.wait_for_life(life);
    }
    let verdicts: Vec<_> = machine
        .reports()
        .iter()
        .map(|report| report.verdict)
        .collect();
    assert_eq!(verdicts, [Verdict::Crashed; 2]);
}

#[test]
fn a_crash_during_post_start_is_reported() {
    let machine = Harness::new();
    let post_start = machine.gated(":");
    let mut web = machine.job("web", &format!("post-start {post_start}{SERVE}"));
    web.begin_start(&[]);
    web.wait_for(State::PostStart);
    web.kill_main(Signal::SEGV);
    machine.open_gate();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-start post-stop");
    assert_eq!(machine.only_report().verdict, Verdict::Crashed);
}

#[test]
fn a_crash_after_a_start_by_an_event_is_not_planned() {
    let machine = Harness::new();
    let mut web = machine.job("web", SERVE);
    web.start_with(&[("UPSTART_EVENTS", "runlevel stopped"), ("RUNLEVEL", "2")]);
    web.kill_main(Signal::TERM);
    web.wait_for(State::Waiting);
    assert_eq!(machine.only_report().verdict, Verdict::Crashed);
}

#[test]
fn a_job_in_a_subdirectory_starts_and_its_crash_is_caught() {
    let machine = Harness::new();
    let mut web = machine.job("sub/dir/name", SERVE);
    web.start();
    assert!(web.is_running());
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    let report = machine.only_report();
    let line = format!(
        "init: sub/dir/name main process ({}) killed by SEGV signal",
        web.main_pid()
    );
    assert_crashed(&report, &killed_by("SEGV"), &line);
    assert_eq!(report.stop.job, "sub/dir/name");
}

#[test]
fn hooks_that_were_added_to_a_running_job_report_nothing_until_its_next_start() {
    let machine = Harness::new();
    let post_stop = format!("post-stop exec {}\n", machine.hook("post-stop"));
    let mut web = machine.bare_job("web", &format!("{post_stop}{SERVE}"));
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    assert_eq!(machine.reports(), []);
}
