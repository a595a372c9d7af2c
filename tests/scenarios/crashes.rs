//! Each way that a main process can end by itself under Upstart, and the report about it.

use lastwords::report::{Exit, Supervisor, Verdict};
use rustix::process::Signal;

use crate::support::harness::{Harness, SERVE, assert_crashed, evidence, killed_by, names_in};
use crate::support::upstart::State;

#[test]
fn a_crash_by_exit_code_is_reported_with_the_code_and_inits_own_line() {
    let machine = Harness::new();
    let mut web = machine.job("web", "exec sh -c 'exit 3'");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-stop");
    let report = machine.only_report();
    let line = format!(
        "init: web main process ({}) terminated with status 3",
        web.main_pid()
    );
    assert_crashed(&report, &Exit::Code(3), &line);
    assert_eq!(
        (report.stop.job.as_str(), report.stop.instance.as_deref()),
        ("web", None)
    );
    assert_eq!(
        (&report.stop.supervisor, report.stop.pid),
        (&Supervisor::new("upstart"), Some(web.main_pid()))
    );
    assert!(!report.drill);
    assert!(
        report
            .stop
            .uptime_s
            .is_some_and(|seconds| (0.0..30.0).contains(&seconds)),
        "{report:#?}"
    );
}

#[test]
fn a_crash_by_a_signal_is_reported_with_the_signal_and_inits_own_line() {
    for (signal, name) in [
        (Signal::SEGV, "SEGV"),
        (Signal::KILL, "KILL"),
        (Signal::ABORT, "ABRT"),
        (Signal::TERM, "TERM"),
    ] {
        let machine = Harness::new();
        let mut web = machine.job("web", SERVE);
        web.start();
        web.kill_main(signal);
        web.wait_for(State::Waiting);
        assert_eq!(web.history(), "pre-start main post-stop");
        let line = format!(
            "init: web main process ({}) killed by {name} signal",
            web.main_pid()
        );
        assert_crashed(&machine.only_report(), &killed_by(name), &line);
    }
}

#[test]
fn a_signal_that_init_knows_only_by_its_number_is_a_crash_all_the_same() {
    let machine = Harness::new();
    let mut web = machine.job(
        "web",
        &format!("respawn\n{}", machine.end_once("kill -40 $$")),
    );
    web.start();
    web.wait_for_life(2);
    let report = machine.only_report();
    assert_eq!(report.verdict, Verdict::Crashed);
    assert!(
        matches!(report.stop.exit, Exit::Signal { .. } | Exit::Unknown),
        "{report:#?}"
    );
    assert!(
        evidence(&report)
            .iter()
            .any(|line| line.ends_with("killed by signal 40")),
        "{report:#?}"
    );
}

#[test]
fn a_crash_with_respawn_is_reported_and_the_service_is_up_again() {
    for (end, exit) in [
        ("exit 1", Exit::Code(1)),
        ("kill -SEGV $$", killed_by("SEGV")),
        ("kill -KILL $$", killed_by("KILL")),
    ] {
        let machine = Harness::new();
        let mut web = machine.job("web", &format!("respawn\n{}", machine.end_once(end)));
        web.start();
        web.wait_for_life(2);
        assert_eq!(web.history(), "pre-start main post-stop pre-start main");
        assert_crashed(
            &machine.only_report(),
            &exit,
            "init: web main process ended, respawning",
        );
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
    let exits: Vec<_> = machine
        .reports()
        .into_iter()
        .map(|report| report.stop.exit)
        .collect();
    assert_eq!(
        exits,
        [killed_by("SEGV"), killed_by("TERM"), killed_by("KILL")]
    );
}

#[test]
fn exit_code_0_with_respawn_is_reported_because_init_starts_it_again() {
    let machine = Harness::new();
    let mut web = machine.job("web", &format!("respawn\n{}", machine.end_once("exit 0")));
    web.start();
    web.wait_for_life(2);
    assert_crashed(
        &machine.only_report(),
        &Exit::Code(0),
        "init: web main process ended, respawning",
    );
}

#[test]
fn exit_code_0_without_respawn_is_logged_nowhere_and_is_reported_as_unknown() {
    let machine = Harness::new();
    let mut web = machine.job("web", "exec true");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-stop");
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, report.stop.exit),
        (Verdict::Unknown, Exit::Unknown)
    );
}

#[test]
fn a_job_that_calls_exit_code_0_normal_ends_silently() {
    let machine = Harness::new();
    machine.configure("web", "normal_exit = [0]\n");
    let mut web = machine.job("web", "exec true");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(machine.reports(), []);
    let mut web = machine.job("web", &format!("respawn\n{}", machine.end_once("exit 0")));
    web.start();
    web.wait_for_life(2);
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_job_that_calls_a_code_and_a_signal_normal_is_still_reported_for_others() {
    let machine = Harness::new();
    machine.configure("web", "normal_exit = [3, \"USR1\"]\n");
    let mut web = machine.job("web", SERVE);
    for (signal, reports) in [(Signal::USR1, 0), (Signal::USR2, 1)] {
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

/// Upstart neither respawns such a job nor logs its end.
#[test]
fn an_exit_that_only_upstarts_conf_calls_normal_is_no_crash() {
    let machine = Harness::new();
    let mut web = machine.job("web", "respawn\nnormal exit 0 TERM\nexec true");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "pre-start main post-stop");
    assert_eq!(machine.reports(), []);
}

#[test]
fn every_crash_of_a_job_that_respawns_too_fast_is_reported_even_the_last() {
    let machine = Harness::new();
    let mut web = machine.job("web", "respawn\nrespawn limit 3 60\nexec sh -c 'exit 1'");
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), ["pre-start main post-stop"; 4].join(" "));
    let reports = machine.reports();
    assert_eq!(reports.len(), 4);
    for report in &reports[..3] {
        assert_crashed(
            report,
            &Exit::Code(1),
            "init: web main process ended, respawning",
        );
    }
    assert_crashed(
        &reports[3],
        &Exit::Code(1),
        "init: web respawning too fast, stopped",
    );
}

#[test]
fn the_last_end_of_a_job_that_ends_with_code_0_too_fast_is_a_crash_too() {
    let machine = Harness::new();
    let mut web = machine.job("web", "respawn\nrespawn limit 1 60\nexec true");
    web.start();
    web.wait_for(State::Waiting);
    let verdicts: Vec<_> = machine
        .reports()
        .iter()
        .map(|report| report.verdict)
        .collect();
    assert_eq!(verdicts, [Verdict::Crashed; 2]);
}

#[test]
fn what_a_hook_leaves_in_the_background_outlives_its_terminal() {
    let machine = Harness::new();
    let mut web = machine.job("web", SERVE);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    web.wait_until("delivery", |_| {
        names_in(&machine.spool.join("done")).len() == 1
    });
    assert_eq!(machine.reports().len(), 1);
}

#[test]
fn the_last_lines_of_the_service_are_in_the_report_without_any_config() {
    let machine = Harness::new();
    for (job, instance) in [("web", ""), ("web", "1"), ("sub/dir/name", "a/b")] {
        let words = format!("the last words of {job} {instance}");
        let mut web = machine
            .job(
                job,
                &format!("script\necho '{words}' >&2\nkill -SEGV $$\nend script"),
            )
            .instance(instance);
        web.start();
        web.wait_for(State::Waiting);
        let reports = machine.reports();
        let sections = &reports.last().unwrap().sections;
        assert!(
            sections.iter().any(|section| section.text.contains(&words)),
            "{words}: {sections:#?}"
        );
    }
}

#[test]
fn directories_behind_links_of_the_administrator_work() {
    let mut machine = Harness::new();
    for (name, place) in [
        ("var-run", &mut machine.run),
        ("var-spool", &mut machine.spool),
    ] {
        let real = place.with_file_name(format!("real-{name}"));
        std::fs::create_dir(&real).unwrap();
        let link = place.with_file_name(name);
        std::os::unix::fs::symlink(&real, &link).unwrap();
        *place = link.join("lastwords");
    }
    let mut web = machine.job("web", SERVE);
    web.start();
    web.stop();
    assert_eq!(machine.reports(), []);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    let report = machine.only_report();
    assert!(
        !report.notes.iter().any(|note| note.contains("marker")),
        "{report:#?}"
    );
}
