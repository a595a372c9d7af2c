//! The `finish` script of runit, as runsv calls it.

use std::process::Output;

use lastwords::report::{Exit, Supervisor, Verdict};

use crate::support::harness::Harness;

fn hook(machine: &Harness, name: &str, args: &[&str]) -> Output {
    machine
        .hook_command(name)
        .args(["--supervisor", "runit", "--job", "web"])
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn finish_gets_the_exit_status_and_needs_no_pre_start() {
    let machine = Harness::new();
    assert!(hook(&machine, "post-stop", &["-1", "11"]).status.success());
    let report = machine.only_report();
    let exit = Exit::Signal {
        name: "SEGV".into(),
        core_dumped: false,
    };
    assert_eq!(
        (report.verdict, report.stop.exit, report.stop.supervisor),
        (Verdict::Crashed, exit, Supervisor::new("runit"))
    );
    assert_eq!((report.stop.uptime_s, report.stop.started_at), (None, None));
}

#[test]
fn a_stop_that_control_d_announced_is_no_crash() {
    let machine = Harness::new();
    for (name, args) in [
        ("pre-start", &[][..]),
        ("pre-stop", &[]),
        ("post-stop", &["-1", "15"]),
    ] {
        assert!(hook(&machine, name, args).status.success());
    }
    assert_eq!(machine.reports(), []);
}

/// A service that was set up while it ran, or whose `run` calls no pre-start, has no armed marker.
#[test]
fn an_announced_stop_is_no_crash_even_where_nothing_was_armed_and_the_next_end_is_one() {
    for (supervisor, term, segv) in [
        ("runit", ["-1", "15"], ["-1", "11"]),
        ("s6", ["256", "15"], ["256", "11"]),
    ] {
        let machine = Harness::new();
        let hook = |name: &str, args: &[&str]| {
            let mut hook = machine.hook_command(name);
            hook.args(["--supervisor", supervisor, "--job", "web"]);
            assert!(hook.args(args).status().unwrap().success());
        };
        hook("pre-stop", &[]);
        hook("post-stop", &term);
        assert_eq!((machine.reports(), machine.markers()), (vec![], vec![]));
        hook("post-stop", &segv);
        let report = machine.only_report();
        assert_eq!(report.verdict, Verdict::Crashed, "{report:#?}");
        // A crash in the middle of an announced stop is one.
        hook("pre-stop", &[]);
        hook("post-stop", &segv);
        machine.wait_for_workers();
        let reports = machine.reports();
        assert_eq!(reports.len(), 2);
        assert_eq!(
            (reports[1].verdict, reports[1].stop.uptime_s),
            (Verdict::Crashed, None)
        );
    }
}

/// On Upstart the marker alone shows that the hooks were there at the start.
#[test]
fn on_upstart_an_announcement_arms_nothing() {
    let machine = Harness::new();
    let hook = |name: &str| {
        let mut hook = machine.hook_command(name);
        assert!(hook.env("UPSTART_JOB", "web").status().unwrap().success());
    };
    hook("pre-stop");
    assert_eq!(machine.markers(), [""; 0]);
    hook("post-stop");
    assert_eq!(machine.reports(), []);
}
