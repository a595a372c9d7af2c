//! The `finish` script of runit, as runsv calls it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use lastwords::report::{Exit, Kind, Supervisor, Verdict};

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

/// Makes the directory of a service that s6 wants up, or not. Its hooks run in it.
fn s6_dir(machine: &Harness, place: &str, is_wanted: bool) -> PathBuf {
    let dir = machine.root.join(place);
    fs::create_dir_all(dir.join("supervise")).unwrap();
    let flags = if is_wanted { 6 } else { 2 };
    let status = [vec![0x40; 33], vec![9, flags]].concat();
    fs::write(dir.join("supervise/status"), status).unwrap();
    dir
}

fn s6_hook(machine: &Harness, dir: &Path, name: &str, args: &[&str]) {
    let mut hook = machine.hook_command(name);
    let hook = hook.args(["--supervisor", "s6", "--job", "web"]).args(args);
    assert!(hook.current_dir(dir).status().unwrap().success());
}

/// `timeout-kill` ends so a stop that takes too long, and so does a shutdown.
#[test]
fn a_kill_of_a_service_that_s6_no_longer_wants_up_is_the_end_of_its_stop() {
    let machine = Harness::new();
    let wanted = s6_dir(&machine, "etc/s6/web", true);
    fs::write(wanted.join("timeout-kill"), "1\n").unwrap();
    s6_hook(&machine, &wanted, "pre-start", &[]);
    let stopped = s6_dir(&machine, "etc/s6/web", false);
    s6_hook(&machine, &stopped, "post-stop", &["256", "9"]);
    machine.settle();
    assert_eq!(machine.reports(), []);
    // One that is run once was not wanted up from the start.
    s6_hook(&machine, &stopped, "pre-start", &[]);
    s6_hook(&machine, &stopped, "post-stop", &["256", "9"]);
    machine.settle();
    // That it is down is told, too.
    let mut reports = machine.reports();
    reports.retain(|report| report.kind == Kind::Crash);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert_eq!(reports[0].verdict, Verdict::Crashed);
}

/// So it ends by a crash after `s6-svc -o`, too.
#[test]
fn a_kill_that_no_stop_of_this_life_can_have_led_to_is_told_as_perhaps_planned() {
    for timeout in [None, Some("0"), Some("600000")] {
        let machine = Harness::new();
        let dir = s6_dir(&machine, "etc/s6/web", true);
        if let Some(timeout) = timeout {
            fs::write(dir.join("timeout-kill"), timeout).unwrap();
        }
        s6_hook(&machine, &dir, "pre-start", &[]);
        s6_dir(&machine, "etc/s6/web", false);
        s6_hook(&machine, &dir, "post-stop", &["256", "9"]);
        machine.settle();
        let mut reports = machine.reports();
        reports.retain(|report| report.kind == Kind::Crash);
        assert_eq!(reports.len(), 1, "{reports:#?}");
        assert_eq!(reports[0].verdict, Verdict::Unknown);
    }
}

#[test]
fn an_end_that_was_perhaps_planned_is_no_earlier_crash() {
    let machine = Harness::new();
    machine.keep_messages();
    machine.configure("web", "[collect]\n");
    let dir = s6_dir(&machine, "etc/s6/web", false);
    // It had been wanted up, and no longer is: perhaps a stop.
    s6_dir(&machine, "etc/s6/web", true);
    s6_hook(&machine, &dir, "pre-start", &[]);
    s6_dir(&machine, "etc/s6/web", false);
    s6_hook(&machine, &dir, "post-stop", &["3", "0"]);
    machine.settle();
    s6_dir(&machine, "etc/s6/web", true);
    s6_hook(&machine, &dir, "pre-start", &[]);
    s6_hook(&machine, &dir, "post-stop", &["3", "0"]);
    machine.settle();
    let messages = machine.messages();
    let [perhaps, crashed] = messages.as_slice() else {
        panic!("each is news: {messages:#?}")
    };
    assert!(
        perhaps.contains("web ended, perhaps as planned"),
        "{perhaps}"
    );
    assert!(crashed.contains("web crashed: exit code 3"), "{crashed}");
    assert!(
        crashed.contains("no earlier crash of web is known"),
        "{crashed}"
    );
}

#[test]
fn doctor_says_how_to_start_a_service_of_s6s_that_is_down() {
    let machine = Harness::new();
    let dir = s6_dir(&machine, "etc/s6/web", true);
    fs::write(dir.join("run"), "#!/bin/sh\n").unwrap();
    s6_hook(&machine, &dir, "pre-start", &[]);
    // s6-supervise has written that it is down, and nothing since.
    let status = [vec![0; 33], vec![3, 0]].concat();
    fs::write(dir.join("supervise/status"), status).unwrap();
    s6_hook(&machine, &dir, "post-stop", &["3", "0"]);
    machine.settle();
    let output = machine.command("doctor").arg("web").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let list = format!("`lastwords list --config {} ", machine.config.display());
    assert!(text.contains(&list), "{text}");
    let start = "shows why it died; to start it: s6-svc -u /etc/s6/web";
    assert!(text.contains(start), "{text}");
}

#[test]
fn doctor_and_setup_find_a_service_where_its_hooks_ran_if_no_one_else_may_write_there() {
    let machine = Harness::new();
    let dir = s6_dir(&machine, "srv/web", true);
    fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
    s6_hook(&machine, &dir, "pre-start", &[]);
    let said = |verb: &str| {
        let output = machine.command(verb).arg("web").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let doctor = said("doctor");
    let unseen = "its hooks ran in /srv/web, which others than root may change";
    assert!(doctor.contains(unseen), "{doctor}");
    assert!(!doctor.contains("NOT be caught"), "{doctor}");
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    let doctor = said("doctor");
    assert!(
        doctor.contains("NOT be caught: there is no /srv/web/finish"),
        "{doctor}"
    );
    let setup = said("setup");
    assert!(setup.contains("/srv/web/finish"), "{setup}");
}
