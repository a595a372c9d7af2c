//! Lines of the kernel log and variables of the environment that belong to another job. A hook must
//! not use them for its own.

use lastwords::report::{Exit, Supervisor, Verdict};
use rustix::process::Signal;

use crate::support::harness::{Harness, killed_by};
use crate::support::upstart::State;

/// Lets a job end with code 0, about which init logs nothing. So any fact in the report would come
/// from another job's lines.
fn assert_taken_for_unknown(machine: &Harness, instance: &str, lines: &[&str]) {
    let mut web = machine.job("web", &machine.gated(":")).instance(instance);
    web.start();
    for line in lines {
        machine.kernel_log(line);
    }
    machine.open_gate();
    web.wait_for(State::Waiting);
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Unknown, &Exit::Unknown),
        "{report:#?}"
    );
    assert_eq!(report.stop.pid, None);
}

#[test]
fn the_lines_of_other_jobs_are_never_taken() {
    let lines = [
        "init: web-2 main process (1) killed by SEGV signal",
        "init: web (1) main process (1) killed by SEGV signal",
        "init: web (1) main process ended, respawning",
        "init: we main process (1) killed by SEGV signal",
        "init: sub/web main process (1) killed by SEGV signal",
        "init: Failed to spawn web-2 main process: unable to execute: No such file or directory",
        "init: web respawning too fast, stopped (no)",
        "other: init: web main process (1) killed by SEGV signal",
        "web main process (1) killed by SEGV signal",
    ];
    assert_taken_for_unknown(&Harness::new(), "", &lines);
}

#[test]
fn the_lines_of_other_instances_are_never_taken() {
    let lines = [
        "init: web main process (1) killed by SEGV signal",
        "init: web main process ended, respawning",
        "init: web (xy) main process (1) killed by SEGV signal",
        "init: web (x) main process (1) killed by SEGV signal) main process (2) killed by TERM signal",
        "init: web (x) main process ended, respawning) main process ended, respawning",
    ];
    assert_taken_for_unknown(&Harness::new(), "x", &lines);
}

#[test]
fn a_line_forged_by_a_name_with_a_newline_is_never_taken() {
    let machine = Harness::new();
    let lines = [
        "init: other (\n12,9,9,-;init: web main process (1) killed by SEGV signal) main process (2) killed by TERM signal",
    ];
    assert_taken_for_unknown(&machine, "", &lines);
}

#[test]
fn the_lines_of_an_earlier_life_are_never_taken() {
    let machine = Harness::new();
    let once = machine.path("once").display().to_string();
    let main = format!("script\n[ ! -e {once} ] || exit 0\n: >{once}\nkill -SEGV $$\nend script\n");
    let mut web = machine.job("web", &main);
    for _ in 0..2 {
        web.start();
        web.wait_for(State::Waiting);
    }
    let reports = machine.reports();
    let seen: Vec<_> = reports
        .iter()
        .map(|report| (report.verdict, report.stop.exit.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (Verdict::Crashed, killed_by("SEGV")),
            (Verdict::Unknown, Exit::Unknown)
        ]
    );
}

#[test]
fn the_line_of_a_planned_stop_is_never_taken_for_a_later_one() {
    let machine = Harness::new();
    let mut web = machine.job("web", "exec sleep 1000");
    web.start();
    web.stop();
    let mut web = machine.job("web", "exec true");
    web.start();
    web.wait_for(State::Waiting);
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Unknown, &Exit::Unknown),
        "{report:#?}"
    );
}

/// With `start on stopped other`, the job's environment holds the other job's facts all its life.
#[test]
fn another_jobs_facts_in_the_environment_are_never_taken_for_this_jobs() {
    let foreign = [
        ("JOB", "other"),
        ("INSTANCE", "9"),
        ("RESULT", "failed"),
        ("PROCESS", "main"),
        ("EXIT_SIGNAL", "KILL"),
        ("EXIT_STATUS", "137"),
        ("EXIT_CODE", "killed"),
        ("SERVICE_RESULT", "success"),
        ("INVOCATION_ID", "0123456789abcdef0123456789abcdef"),
        ("MONITOR_SERVICE_RESULT", "oom-kill"),
        ("UPSTART_EVENTS", "stopped"),
    ];
    let machine = Harness::new();
    let mut web = machine.job("web", "exec sleep 1000");
    web.start_with(&foreign);
    web.stop();
    assert_eq!(machine.reports(), []);
    web.start_with(&foreign);
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    let report = machine.only_report();
    let stop = &report.stop;
    assert_eq!(
        (
            stop.job.as_str(),
            stop.instance.as_deref(),
            &stop.supervisor
        ),
        ("web", None, &Supervisor::new("upstart"))
    );
    assert_eq!(
        (report.verdict, &stop.exit),
        (Verdict::Crashed, &killed_by("SEGV"))
    );
    let mut web = machine.job("quiet", "exec true");
    web.start_with(&foreign);
    web.wait_for(State::Waiting);
    let reports = machine.reports();
    assert_eq!(
        (reports[1].verdict, &reports[1].stop.exit),
        (Verdict::Unknown, &Exit::Unknown),
        "{reports:#?}"
    );
}

#[test]
fn a_kernel_log_that_cannot_be_read_costs_the_exit_facts_but_not_the_report() {
    let machine = Harness::new();
    let mut web = machine.job("web", "exec sleep 1000");
    web.start();
    std::fs::remove_file(machine.root.join("dev/kmsg")).unwrap();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, &Exit::Unknown),
        "{report:#?}"
    );
    assert!(
        report.notes.iter().any(|note| note.contains("kmsg")),
        "{report:#?}"
    );
}

#[test]
fn the_line_of_a_start_that_failed_before_it_armed_the_marker_is_never_taken_for_the_next_one() {
    let machine = Harness::new();
    let once = machine.path("once").display().to_string();
    let pre_start = format!(
        "[ -e {once} ] || {{ : >{once}; exit 1; }}\n{}",
        machine.hook("pre-start")
    );
    let mut web = machine.job(
        "web",
        &format!("pre-start script\n{pre_start}\nend script\nexec true"),
    );
    web.start();
    assert_eq!(
        (web.history().as_str(), machine.reports().len()),
        ("pre-start post-stop", 0)
    );
    web.start();
    web.wait_for(State::Waiting);
    assert_eq!(machine.only_report().verdict, Verdict::Unknown);
}
