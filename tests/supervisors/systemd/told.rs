//! The variables that `ExecStopPost=` gets, on a machine where systemd does not answer.

use lastwords::report::{Death, Exit, Report, Verdict};

use crate::support::harness::Harness;

const INVOCATION: &str = "0123456789abcdef0123456789abcdef";

fn hook(machine: &Harness, result: &str, code: &str, status: &str) {
    let mut hook = machine.hook_command("post-stop");
    hook.args(["--job", "web@blue.service"])
        .env("INVOCATION_ID", INVOCATION)
        .env("SERVICE_RESULT", result);
    if !code.is_empty() {
        hook.env("EXIT_CODE", code).env("EXIT_STATUS", status);
    }
    assert!(hook.output().unwrap().status.success());
    machine.wait_for_workers();
}

fn report(result: &str, code: &str, status: &str) -> Report {
    let machine = Harness::new();
    hook(&machine, result, code, status);
    machine.only_report()
}

#[test]
fn an_oom_kill_is_reported_as_one() {
    let report = report("oom-kill", "killed", "KILL");
    assert_eq!(
        (report.verdict, report.cause.kind),
        (Verdict::Crashed, Death::OomKilled)
    );
    assert!(
        report.cause.line.starts_with("out of memory"),
        "{}",
        report.cause.line
    );
    assert_eq!(
        (report.stop.job.as_str(), report.stop.instance.as_deref()),
        ("web", Some("blue"))
    );
    assert_eq!(report.stop.invocation.as_deref(), Some(INVOCATION));
}

#[test]
fn what_only_the_manager_could_tell_is_unknown() {
    for (result, code, status, exit) in [
        (
            "success",
            "killed",
            "TERM",
            Exit::Signal {
                name: "TERM".into(),
                core_dumped: false,
            },
        ),
        ("exit-code", "exited", "3", Exit::Code(3)),
        (
            "timeout",
            "killed",
            "KILL",
            Exit::Signal {
                name: "KILL".into(),
                core_dumped: false,
            },
        ),
    ] {
        let report = report(result, code, status);
        assert_eq!(
            (report.verdict, report.stop.exit),
            (Verdict::Unknown, exit),
            "{result} {code} {status}"
        );
    }
    assert_eq!(
        report("core-dump", "dumped", "SEGV").verdict,
        Verdict::Crashed
    );
}

#[test]
fn a_hook_under_systemd_wakes_the_path_unit_and_starts_nothing() {
    let machine = Harness::new();
    hook(&machine, "signal", "killed", "SEGV");
    assert_eq!(
        std::fs::read_dir(machine.run.join("wake")).unwrap().count(),
        1
    );
    assert!(machine.pids_of("deliver").is_empty());

    machine.only_report();
}

#[test]
fn two_hooks_of_one_end_make_one_report() {
    let machine = Harness::new();
    hook(&machine, "exit-code", "exited", "217");
    let mut hook = machine.hook_command("post-stop");
    hook.args(["--job", "web@blue.service", "on-failure"])
        .env("INVOCATION_ID", "f".repeat(32))
        .env("MONITOR_INVOCATION_ID", INVOCATION)
        .env("MONITOR_SERVICE_RESULT", "exit-code");
    assert!(hook.output().unwrap().status.success());
    assert_eq!(machine.only_report().verdict, Verdict::AbortedStart);
    // The end of another life is another report.
    hook.env("MONITOR_INVOCATION_ID", "e".repeat(32));
    assert!(hook.output().unwrap().status.success());
    machine.wait_for_workers();
    assert_eq!(machine.reports().len(), 2);
}
