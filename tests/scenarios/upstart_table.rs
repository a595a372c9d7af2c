//! What Upstart does around a stop, row by row, and what lastwords makes of it.

use std::fs;
use std::time::Duration;

use lastwords::report::{Exit, Report, Supervisor, Verdict};
use rustix::process::Signal;

use crate::harness::{Harness, evidence, killed_by};
use crate::upstart::State;

/// A main process that runs until it is killed.
const SERVE: &str = "exec sleep 1000\n";

/// A main process that ends by `end` in its first life and runs in the second.
fn end_once(machine: &Harness, end: &str) -> String {
    let once = machine.path("once").display().to_string();
    format!("script\n[ -e {once} ] || {{ : >{once}; {end}; }}\nexec sleep 1000\nend script\n")
}

/// A script that runs `first`, then waits for [`open`].
fn gated(machine: &Harness, first: &str) -> String {
    let gate = machine.path("gate").display().to_string();
    format!("script\n{first}\nwhile [ ! -e {gate} ]; do sleep 0.01; done\nend script\n")
}

fn open(machine: &Harness) {
    fs::write(machine.path("gate"), "").unwrap();
}

fn assert_crashed(report: &Report, exit: &Exit, line: &str) {
    assert_eq!((report.verdict, &report.stop.exit), (Verdict::Crashed, exit), "{report:#?}");
    assert!(evidence(report).contains(&line), "{line} in {report:#?}");
}

#[test]
fn a_planned_stop_leaves_no_report() {
    let machine = Harness::new();
    let mut web = machine.job("web", SERVE);
    web.start();
    assert_eq!(machine.markers().len(), 1);
    web.stop();
    assert_eq!(web.history(), "pre-start main pre-stop TERM post-stop");
    assert_eq!(machine.reports(), []);
    assert_eq!(machine.markers(), [""; 0]);
}

#[test]
fn a_crash_by_exit_code_is_reported_with_the_code_and_inits_own_line() {
    let machine = Harness::new();
    let mut web = machine.job("web", "exec sh -c 'exit 3'");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-stop");
    let report = machine.only_report();
    let line = format!("init: web main process ({}) terminated with status 3", web.main_pid());
    assert_crashed(&report, &Exit::Code(3), &line);
    assert_eq!((report.stop.job.as_str(), report.stop.instance.as_deref()), ("web", None));
    assert_eq!((report.stop.supervisor, report.stop.pid), (Supervisor::Upstart, Some(web.main_pid())));
    assert!(!report.drill);
    assert!(report.stop.uptime_s.is_some_and(|seconds| (0.0..30.0).contains(&seconds)), "{report:#?}");
}

#[test]
fn a_crash_by_a_signal_is_reported_with_the_signal_and_inits_own_line() {
    for (signal, name) in
        [(Signal::SEGV, "SEGV"), (Signal::KILL, "KILL"), (Signal::ABORT, "ABRT"), (Signal::TERM, "TERM")]
    {
        let machine = Harness::new();
        let mut web = machine.job("web", SERVE);
        web.start();
        web.kill_main(signal);
        web.wait_for(State::Waiting);
        assert_eq!(web.history(), "pre-start main post-stop");
        let line = format!("init: web main process ({}) killed by {name} signal", web.main_pid());
        assert_crashed(&machine.only_report(), &killed_by(name), &line);
    }
}

#[test]
fn a_signal_that_init_knows_only_by_its_number_is_a_crash_all_the_same() {
    let machine = Harness::new();
    let mut web = machine.job("web", &format!("respawn\n{}", end_once(&machine, "kill -40 $$")));
    web.start();
    web.wait_for_life(2);
    let report = machine.only_report();
    assert_eq!(report.verdict, Verdict::Crashed);
    assert!(matches!(report.stop.exit, Exit::Signal { .. } | Exit::Unknown), "{report:#?}");
    assert!(evidence(&report).iter().any(|line| line.ends_with("killed by signal 40")), "{report:#?}");
}

#[test]
fn a_crash_with_respawn_is_reported_and_the_service_is_up_again() {
    for (end, exit) in
        [("exit 1", Exit::Code(1)), ("kill -SEGV $$", killed_by("SEGV")), ("kill -KILL $$", killed_by("KILL"))]
    {
        let machine = Harness::new();
        let mut web = machine.job("web", &format!("respawn\n{}", end_once(&machine, end)));
        web.start();
        web.wait_for_life(2);
        assert_eq!(web.history(), "pre-start main post-stop pre-start main");
        assert_crashed(&machine.only_report(), &exit, "init: web main process ended, respawning");
        web.stop();
        assert_eq!(machine.reports().len(), 1);
    }
}

#[test]
fn every_crash_of_a_respawned_job_is_reported_with_its_own_facts() {
    let machine = Harness::new();
    let mut web = machine.job("web", &format!("respawn\n{SERVE}"));
    web.start();
    for (signal, life) in [(Signal::SEGV, 2), (Signal::TERM, 3), (Signal::KILL, 4)] {
        web.kill_main(signal);
        web.wait_for_life(life);
    }
    let exits: Vec<_> = machine.reports().into_iter().map(|report| report.stop.exit).collect();
    assert_eq!(exits, [killed_by("SEGV"), killed_by("TERM"), killed_by("KILL")]);
}

#[test]
fn exit_code_0_with_respawn_is_reported_because_init_starts_it_again() {
    let machine = Harness::new();
    let mut web = machine.job("web", &format!("respawn\n{}", end_once(&machine, "exit 0")));
    web.start();
    web.wait_for_life(2);
    assert_crashed(&machine.only_report(), &Exit::Code(0), "init: web main process ended, respawning");
}

#[test]
fn exit_code_0_without_respawn_shows_nowhere_and_is_reported_as_unknown() {
    let machine = Harness::new();
    let mut web = machine.job("web", "exec true");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-stop");
    let report = machine.only_report();
    assert_eq!((report.verdict, report.stop.exit), (Verdict::Unknown, Exit::Unknown));
}

#[test]
fn a_job_that_calls_exit_code_0_normal_ends_silently() {
    let machine = Harness::new();
    machine.configure("web", "normal_exit = [0]\n");
    let mut web = machine.job("web", "exec true");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(machine.reports(), []);
    let mut web = machine.job("web", &format!("respawn\n{}", end_once(&machine, "exit 0")));
    web.start();
    web.wait_for_life(2);
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_job_that_calls_a_code_and_a_signal_normal_is_still_reported_for_others() {
    let machine = Harness::new();
    machine.configure("web", "normal_exit = [3, \"HUP\"]\n");
    let mut web = machine.job("web", SERVE);
    for (signal, reports) in [(Signal::HUP, 0), (Signal::QUIT, 1)] {
        web.start();
        web.kill_main(signal);
        web.wait_for(State::Waiting);
        assert_eq!(machine.reports().len(), reports);
    }
    for (code, reports) in [(3, 1), (4, 2)] {
        let mut web = machine.job("web", &format!("exec sh -c 'exit {code}'"));
        web.start();
        web.wait_for(State::Waiting);
        assert_eq!(machine.reports().len(), reports);
    }
}

/// Upstart neither respawns such a job nor says a word; what lastwords is to make of it stands in its own config.
#[test]
fn an_exit_that_only_upstarts_conf_calls_normal_is_reported_as_unknown() {
    let machine = Harness::new();
    let mut web = machine.job("web", "respawn\nnormal exit 0 TERM\nexec true");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-stop");
    assert_eq!(machine.only_report().verdict, Verdict::Unknown);
}

#[test]
fn of_a_job_that_respawns_too_fast_every_crash_is_reported_the_last_one_too() {
    let machine = Harness::new();
    let mut web = machine.job("web", "respawn\nrespawn limit 3 60\nexec sh -c 'exit 1'");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), ["pre-start main post-stop"; 4].join(" "));
    let reports = machine.reports();
    assert_eq!(reports.len(), 4);
    for report in &reports[..3] {
        assert_crashed(report, &Exit::Code(1), "init: web main process ended, respawning");
    }
    assert_crashed(&reports[3], &Exit::Code(1), "init: web respawning too fast, stopped");
}

#[test]
fn of_a_job_that_ends_with_code_0_too_fast_the_last_one_is_a_crash_too() {
    let machine = Harness::new();
    let mut web = machine.job("web", "respawn\nrespawn limit 1 60\nexec true");
    web.start();
    web.wait_for(State::Waiting);
    let verdicts: Vec<_> = machine.reports().iter().map(|report| report.verdict).collect();
    assert_eq!(verdicts, [Verdict::Crashed; 2]);
}

#[test]
fn the_crash_after_a_restart_that_kept_the_process_is_not_missed() {
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::SEGV, "SEGV")] {
        let machine = Harness::new();
        machine.configure("web", "stop_timeout = \"100ms\"\n");
        let mut web = machine.job("web", SERVE);
        web.start();
        let pid = web.main_pid();
        web.restart();
        assert_eq!((web.history().as_str(), web.main_pid()), ("pre-start main pre-stop", pid));
        // The plan runs out: time is all that is to be waited for.
        std::thread::sleep(Duration::from_millis(150));
        web.kill_main(signal);
        web.wait_for(State::Waiting);
        let line = format!("init: web main process ({pid}) killed by {name} signal");
        assert_crashed(&machine.only_report(), &killed_by(name), &line);
    }
}

#[test]
fn a_fault_right_after_a_restart_is_reported_at_once() {
    let machine = Harness::new();
    let mut web = machine.job("web", SERVE);
    web.start();
    web.restart();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    let line = format!("init: web main process ({}) killed by SEGV signal", web.main_pid());
    assert_crashed(&machine.only_report(), &killed_by("SEGV"), &line);
}

#[test]
fn an_exit_right_after_a_restart_is_reported_because_init_starts_the_job_again() {
    let machine = Harness::new();
    let quit = "trap 'exit 1' USR1; while :; do sleep 0.01; done";
    let ready = machine.path("ready").display().to_string();
    let mut web = machine
        .job("web", &format!("respawn\nscript\n{}\nend script", quit.replacen(';', &format!("; : >{ready};"), 1)));
    web.start();
    web.wait_until("the trap", |_| machine.path("ready").exists());
    web.restart();
    web.kill_main(Signal::USR1);
    web.wait_for_life(2);
    assert_crashed(&machine.only_report(), &Exit::Code(1), "init: web main process ended, respawning");
}

#[test]
fn a_stop_after_a_restart_is_planned() {
    let machine = Harness::new();
    let mut web = machine.job("web", SERVE);
    web.start();
    web.restart();
    web.stop();
    assert_eq!(web.history(), "pre-start main pre-stop pre-stop TERM post-stop");
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_start_during_pre_stop_cancels_the_stop_and_the_crash_after_it_is_not_missed() {
    let machine = Harness::new();
    let pre_stop = gated(&machine, &machine.hook("pre-stop"));
    let mut web = machine.job("web", &format!("pre-stop {pre_stop}{SERVE}"));
    web.start();
    web.begin_stop(&[]);
    web.begin_start(&[]);
    open(&machine);
    web.wait_for(State::Running);
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main pre-stop post-stop");
    assert_eq!(machine.only_report().verdict, Verdict::Crashed);
}

#[test]
fn a_pre_start_that_fails_after_it_armed_the_marker_is_an_aborted_start_and_is_not_tried_again() {
    let machine = Harness::new();
    let pre_start = format!("pre-start script\n{}\nexit 1\nend script\n", machine.hook("pre-start"));
    let mut web = machine.job("web", &format!("respawn\n{pre_start}{SERVE}"));
    web.start();
    assert_eq!(web.history(), "pre-start post-stop");
    let report = machine.only_report();
    assert_eq!((report.verdict, &report.stop.exit), (Verdict::AbortedStart, &Exit::Unknown), "{report:#?}");
    assert!(evidence(&report).iter().any(|line| line.ends_with("terminated with status 1")), "{report:#?}");
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
    assert_eq!((report.verdict, &report.stop.exit), (Verdict::AbortedStart, &Exit::Unknown), "{report:#?}");
    let line = "init: Failed to spawn web main process: unable to execute: No such file or directory";
    assert!(evidence(&report).contains(&line), "{report:#?}");
}

#[test]
fn a_pre_stop_that_fails_after_it_planned_the_stop_does_no_harm() {
    let machine = Harness::new();
    let pre_stop = format!("pre-stop script\n{}\nexit 1\nend script\n", machine.hook("pre-stop"));
    let mut web = machine.job("web", &format!("{pre_stop}{SERVE}"));
    web.start();
    web.stop();
    assert_eq!(web.history(), "pre-start main pre-stop TERM post-stop");
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_main_process_that_ignores_term_and_is_killed_at_the_kill_timeout_was_planned() {
    let machine = Harness::new();
    let ready = machine.path("ready").display().to_string();
    let main = format!("script\ntrap '' TERM\n: >{ready}\nwhile :; do sleep 0.01; done\nend script\n");
    let mut web = machine.job("web", &format!("kill timeout 0.1\n{main}"));
    web.start();
    web.wait_until("the trap", |_| machine.path("ready").exists());
    web.stop();
    assert_eq!(web.history(), "pre-start main pre-stop TERM KILL post-stop");
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_main_process_that_exits_with_42_when_it_is_stopped_was_planned() {
    let machine = Harness::new();
    let ready = machine.path("ready").display().to_string();
    let main = format!("script\ntrap 'exit 42' TERM\n: >{ready}\nwhile :; do sleep 0.01; done\nend script\n");
    let mut web = machine.job("web", &main);
    web.start();
    web.wait_until("the trap", |_| machine.path("ready").exists());
    web.stop();
    assert_eq!(web.history(), "pre-start main pre-stop TERM post-stop");
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_stop_during_pre_start_is_not_called_a_crash() {
    let machine = Harness::new();
    let pre_start = gated(&machine, &machine.hook("pre-start"));
    let mut web = machine.job("web", &format!("pre-start {pre_start}{SERVE}"));
    web.begin_start(&[]);
    web.wait_until("the marker", |_| machine.markers().len() == 1);
    web.begin_stop(&[]);
    open(&machine);
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start post-stop");
    assert_eq!(machine.only_report().verdict, Verdict::Unknown);
}

#[test]
fn a_stop_during_post_start_looks_like_a_kill_and_the_report_says_that_it_cannot_tell() {
    let machine = Harness::new();
    let post_start = gated(&machine, ":");
    let mut web = machine.job("web", &format!("post-start {post_start}{SERVE}"));
    web.begin_start(&[]);
    web.wait_for(State::PostStart);
    web.begin_stop(&[]);
    open(&machine);
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-start TERM post-stop");
    let report = machine.only_report();
    assert_eq!((report.verdict, &report.stop.exit), (Verdict::Unknown, &killed_by("TERM")), "{report:#?}");
    assert!(report.verdict_because.contains("post-start"), "{report:#?}");
}

#[test]
fn a_post_start_that_stands_in_the_jobs_override_counts_and_one_in_a_comment_does_not() {
    for (stanza, verdict) in
        [("post-start exec true\n", Verdict::Unknown), ("# post-start exec true\n", Verdict::Crashed)]
    {
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
    let verdicts: Vec<_> = machine.reports().iter().map(|report| report.verdict).collect();
    assert_eq!(verdicts, [Verdict::Crashed; 2]);
}

#[test]
fn a_crash_during_post_start_is_reported() {
    let machine = Harness::new();
    let post_start = gated(&machine, ":");
    let mut web = machine.job("web", &format!("post-start {post_start}{SERVE}"));
    web.begin_start(&[]);
    web.wait_for(State::PostStart);
    web.kill_main(Signal::SEGV);
    open(&machine);
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-start post-stop");
    assert_eq!(machine.only_report().verdict, Verdict::Crashed);
}

#[test]
fn a_crash_while_pre_stop_runs_is_reported() {
    let machine = Harness::new();
    let pre_stop = gated(&machine, &machine.hook("pre-stop"));
    let mut web = machine.job("web", &format!("respawn\npre-stop {pre_stop}{SERVE}"));
    web.start();
    web.begin_stop(&[]);
    web.kill_main(Signal::SEGV);
    web.wait_until("the death", |job| !job.main_runs());
    open(&machine);
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main pre-stop post-stop");
    let line = format!("init: web main process ({}) killed by SEGV signal", web.main_pid());
    assert_crashed(&machine.only_report(), &killed_by("SEGV"), &line);
}

#[test]
fn a_shutdown_is_planned_even_where_pre_stop_is_missing() {
    for pre_stop in ["", "pre-stop exec /no/such/program\n"] {
        let machine = Harness::new();
        let mut web = machine.job("web", &format!("{pre_stop}{SERVE}"));
        web.start();
        web.stop_with(&[("RUNLEVEL", "0"), ("PREVLEVEL", "2"), ("UPSTART_STOP_EVENTS", "runlevel")]);
        assert_eq!(machine.reports(), []);
    }
}

#[test]
fn a_fault_during_a_shutdown_is_reported() {
    let machine = Harness::new();
    let ready = machine.path("ready").display().to_string();
    let main = format!("script\ntrap 'kill -SEGV $$' TERM\n: >{ready}\nwhile :; do sleep 0.01; done\nend script\n");
    let mut web = machine.job("web", &main);
    web.start();
    web.wait_until("the trap", |_| machine.path("ready").exists());
    web.stop_with(&[("UPSTART_STOP_EVENTS", "runlevel")]);
    assert_eq!(machine.only_report().stop.exit, killed_by("SEGV"));
}

#[test]
fn a_stop_with_variables_is_as_planned_as_one_without() {
    let machine = Harness::new();
    let mut web = machine.job("web", SERVE);
    web.start_with(&[("UPSTART_EVENTS", "runlevel"), ("RUNLEVEL", "2")]);
    web.stop_with(&[("WHY", "deploy")]);
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_crash_after_a_start_by_an_event_is_no_planned_stop() {
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
    let line = format!("init: sub/dir/name main process ({}) killed by SEGV signal", web.main_pid());
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

#[test]
fn what_a_hook_leaves_in_the_background_outlives_its_terminal() {
    let machine = Harness::new();
    let mut web = machine.job("web", SERVE);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    web.wait_until("delivery", |_| crate::harness::names_in(&machine.spool.join("done")).len() == 1);
    assert_eq!(machine.reports().len(), 1);
}

#[test]
fn what_the_service_wrote_last_stands_in_the_report_without_any_config() {
    let machine = Harness::new();
    for (job, instance) in [("web", ""), ("web", "1"), ("sub/dir/name", "a/b")] {
        let words = format!("the last words of {job} {instance}");
        let mut web =
            machine.job(job, &format!("script\necho '{words}' >&2\nkill -SEGV $$\nend script")).instance(instance);
        web.start();
        web.wait_for(State::Waiting);
        let reports = machine.reports();
        let sections = &reports.last().unwrap().sections;
        assert!(sections.iter().any(|section| section.text.contains(&words)), "{words}: {sections:#?}");
    }
}
