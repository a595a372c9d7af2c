//! Planned stops, restarts, and crashes in the middle of one.

use std::fs;
use std::time::Duration;

use lastwords::report::{Exit, Verdict};
use rustix::process::Signal;

use crate::support::harness::{Harness, SERVE, assert_crashed, killed_by, wait_for};
use crate::support::upstart::{Job, State};

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
fn the_crash_after_a_restart_that_kept_the_process_is_not_missed() {
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::SEGV, "SEGV")] {
        let machine = Harness::new();
        machine.configure("web", "stop_timeout = \"100ms\"\n");
        let mut web = machine.job("web", SERVE);
        web.start();
        let pid = web.main_pid();
        web.restart();
        assert_eq!(
            (web.history().as_str(), web.main_pid()),
            ("pre-start main pre-stop", pid)
        );
        // The plan runs out. There is no condition to wait for but the time.
        std::thread::sleep(Duration::from_millis(150));
        web.kill_main(signal);
        web.wait_for(State::Waiting);
        let line = format!("init: web main process ({pid}) killed by {name} signal");
        assert_crashed(&machine.only_report(), &killed_by(name), &line);
    }
}

/// Init says in pre-stop whether the goal is to stop. A stop after such a restart is planned again.
#[test]
fn a_crash_right_after_a_restart_is_not_missed_where_init_can_be_asked() {
    for instance in ["", "blue", "a b"] {
        let machine = Harness::new();
        machine.install_initctl();
        let mut other = machine.job("web", SERVE).instance("other");
        let mut web = machine.job("web", SERVE).instance(instance);
        other.start();
        web.start();
        web.stop();
        web.start();
        restart_until_init_has_answered(&machine, &mut web);
        web.stop();
        assert_eq!(machine.reports(), []);
        web.start();
        restart_until_init_has_answered(&machine, &mut web);
        web.kill_main(Signal::TERM);
        web.wait_for(State::Waiting);
        let line = format!(
            "init: {} main process ({}) killed by TERM signal",
            web.log_name(),
            web.main_pid()
        );
        assert_crashed(&machine.only_report(), &killed_by("TERM"), &line);
        other.stop();
    }
}

/// Restarts the job. On a busy machine init may not answer within the moment that pre-stop waits.
fn restart_until_init_has_answered(machine: &Harness, web: &mut Job) {
    wait_for("an answer in time", || {
        web.restart();
        let markers = machine.markers().into_iter();
        let read = |name| fs::read_to_string(machine.run.join("markers").join(name)).unwrap();
        markers
            .map(read)
            .any(|marker| marker.contains("\"restarted\":true"))
    });
}

#[test]
fn an_init_that_does_not_answer_pre_stop_holds_no_stop_up_and_the_stop_is_planned() {
    for initctl in [
        "#!/bin/sh\nexec sleep 1000\n",
        "#!/no/such\n",
        "#!/bin/sh\nexit 1\n",
    ] {
        let machine = Harness::new();
        machine.initctl_is(initctl);
        let mut web = machine.job("web", SERVE);
        web.start();
        web.stop();
        assert_eq!(web.history(), "pre-start main pre-stop TERM post-stop");
        assert_eq!(machine.reports(), [], "{initctl}");
    }
}

#[test]
fn a_stop_may_take_as_long_as_the_jobs_kill_timeout_allows() {
    for (stanza, verdict) in [("", Some(Verdict::Crashed)), ("kill timeout 30\n", None)] {
        let machine = Harness::new();
        machine.configure("web", "stop_timeout = \"1ms\"\n");
        let main = machine.trapping("TERM", "sleep 0.1; exit 3");
        let mut web = machine.job("web", &format!("{stanza}{main}"));
        machine.start_trapping(&mut web);
        web.stop();
        assert_eq!(web.history(), "pre-start main pre-stop TERM post-stop");
        let reports = machine.reports();
        let found = reports.first().map(|report| report.verdict);
        assert_eq!(found, verdict, "{stanza}: {reports:#?}");
    }
}

#[test]
fn what_a_jobs_own_file_puts_into_its_environment_announces_no_stop() {
    let machine = Harness::new();
    let mut web = machine.job("web", &format!("env UPSTART_STOP_EVENTS=x\n{SERVE}"));
    web.start();
    web.stop_with(&[("UPSTART_STOP_EVENTS", "runlevel")]);
    assert_eq!(machine.reports(), []);
    web.start();
    web.kill_main(Signal::TERM);
    web.wait_for(State::Waiting);
    assert_eq!(machine.only_report().verdict, Verdict::Crashed);
}

#[test]
fn a_fault_right_after_a_restart_is_reported_at_once() {
    let machine = Harness::new();
    let mut web = machine.job("web", SERVE);
    web.start();
    web.restart();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    let line = format!(
        "init: web main process ({}) killed by SEGV signal",
        web.main_pid()
    );
    assert_crashed(&machine.only_report(), &killed_by("SEGV"), &line);
}

#[test]
fn an_exit_right_after_a_restart_is_reported_because_init_starts_the_job_again() {
    let machine = Harness::new();
    let mut web = machine.job(
        "web",
        &format!("respawn\n{}", machine.trapping("USR1", "exit 1")),
    );
    machine.start_trapping(&mut web);
    web.restart();
    web.kill_main(Signal::USR1);
    web.wait_for_life(2);
    assert_crashed(
        &machine.only_report(),
        &Exit::Code(1),
        "init: web main process ended, respawning",
    );
}

#[test]
fn a_stop_after_a_restart_is_planned() {
    let machine = Harness::new();
    let mut web = machine.job("web", SERVE);
    web.start();
    web.restart();
    web.stop();
    assert_eq!(
        web.history(),
        "pre-start main pre-stop pre-stop TERM post-stop"
    );
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_start_during_pre_stop_cancels_the_stop_and_the_crash_after_it_is_not_missed() {
    let machine = Harness::new();
    let pre_stop = machine.gated(&machine.hook("pre-stop"));
    let mut web = machine.job("web", &format!("pre-stop {pre_stop}{SERVE}"));
    web.start();
    web.begin_stop(&[]);
    web.begin_start(&[]);
    machine.open_gate();
    web.wait_for(State::Running);
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main pre-stop post-stop");
    assert_eq!(machine.only_report().verdict, Verdict::Crashed);
}

#[test]
fn a_pre_stop_that_fails_after_it_planned_the_stop_does_no_harm() {
    let machine = Harness::new();
    let pre_stop = format!(
        "pre-stop script\n{}\nexit 1\nend script\n",
        machine.hook("pre-stop")
    );
    let mut web = machine.job("web", &format!("{pre_stop}{SERVE}"));
    web.start();
    web.stop();
    assert_eq!(web.history(), "pre-start main pre-stop TERM post-stop");
    assert_eq!(machine.reports(), []);
}

/// The pre-stop hook could not note the plan. But init logs that a pre-stop failed, so a stop had
/// been requested.
#[test]
fn a_stop_whose_pre_stop_failed_before_it_noted_the_plan_is_not_called_a_crash() {
    for pre_stop in [
        "exec /no/such/program",
        "exec false",
        "script\nkill -KILL $$\nend script",
    ] {
        let machine = Harness::new();
        let mut web = machine.job("web", &format!("pre-stop {pre_stop}\n{SERVE}"));
        web.start();
        web.stop();
        assert!(
            machine
                .reports()
                .iter()
                .all(|report| report.verdict != Verdict::Crashed),
            "{pre_stop}"
        );
    }
}

#[test]
fn a_main_process_that_ignores_term_and_is_killed_at_the_kill_timeout_was_planned() {
    let machine = Harness::new();
    let main = machine.trapping("TERM", "");
    let mut web = machine.job("web", &format!("kill timeout 0.1\n{main}"));
    machine.start_trapping(&mut web);
    web.stop();
    assert_eq!(web.history(), "pre-start main pre-stop TERM KILL post-stop");
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_main_process_that_exits_with_42_when_it_is_stopped_was_planned() {
    let machine = Harness::new();
    let main = machine.trapping("TERM", "exit 42");
    let mut web = machine.job("web", &main);
    machine.start_trapping(&mut web);
    web.stop();
    assert_eq!(web.history(), "pre-start main pre-stop TERM post-stop");
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_crash_while_pre_stop_runs_is_reported() {
    let machine = Harness::new();
    let pre_stop = machine.gated(&machine.hook("pre-stop"));
    let mut web = machine.job("web", &format!("respawn\npre-stop {pre_stop}{SERVE}"));
    web.start();
    web.begin_stop(&[]);
    web.kill_main(Signal::SEGV);
    web.wait_until("the death", |job| !job.main_runs());
    machine.open_gate();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main pre-stop post-stop");
    let line = format!(
        "init: web main process ({}) killed by SEGV signal",
        web.main_pid()
    );
    assert_crashed(&machine.only_report(), &killed_by("SEGV"), &line);
}

#[test]
fn a_shutdown_is_planned_even_where_pre_stop_is_missing() {
    for pre_stop in ["", "pre-stop exec /no/such/program\n"] {
        let machine = Harness::new();
        let mut web = machine.job("web", &format!("{pre_stop}{SERVE}"));
        web.start();
        web.stop_with(&[
            ("RUNLEVEL", "0"),
            ("PREVLEVEL", "2"),
            ("UPSTART_STOP_EVENTS", "runlevel"),
        ]);
        assert_eq!(machine.reports(), []);
    }
}

#[test]
fn a_fault_during_a_shutdown_is_reported() {
    let machine = Harness::new();
    let main = machine.trapping("TERM", "kill -SEGV $$");
    let mut web = machine.job("web", &main);
    machine.start_trapping(&mut web);
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
