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
