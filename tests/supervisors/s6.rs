//! Services under real `s6-supervise`s and a real `s6-svscan`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lastwords::report::{Exit, Verdict};
use rustix::process::Signal;

use crate::now::{self, Row, row};
use crate::support::harness::{Harness, killed_by, wait_for};
use crate::ways::{self, Control, Kill, Nothing, Says, Silence, Way, crashed, way};

struct S6<'a> {
    machine: &'a Harness,
    scan: PathBuf,
    svscan: Child,
}

impl<'a> S6<'a> {
    /// Starts these services.
    fn start(machine: &'a Harness, ways: &[Way]) -> Self {
        for way in ways {
            let program = way.program(machine);
            for script in ["run", "finish"] {
                let text = ways::config(machine, &format!("s6/{script}"), way.name, &program);
                executable(&dir(machine, way.name).join(script), &text);
            }
        }
        Self::scan(machine, machine.path("scan"))
    }

    /// Starts the services in this directory.
    fn scan(machine: &'a Harness, scan: PathBuf) -> Self {
        let svscan = Command::new("s6-svscan")
            .arg(&scan)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self {
            machine,
            scan,
            svscan: svscan.expect("s6 is installed"),
        }
    }

    fn svc(&self, name: &str, flag: &str) {
        assert!(
            Command::new("s6-svc")
                .arg(flag)
                .arg(dir(self.machine, name))
                .status()
                .unwrap()
                .success()
        );
    }

    fn end(&self) {
        let _ = Command::new("s6-svscanctl")
            .arg("-t")
            .arg(&self.scan)
            .status();
    }
}

impl Drop for S6<'_> {
    fn drop(&mut self) {
        self.end();
        let _ = self.svscan.wait();
    }
}

fn dir(machine: &Harness, name: &str) -> PathBuf {
    machine.path("scan").join(name)
}

fn executable(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_way_to_end_gets_the_right_report() {
    let machine = ways::machine();
    let unclear = |exit| Says(Verdict::Unknown, exit, "");
    let more = [
        way(
            "no-program",
            "exec /nonexistent/server",
            Nothing,
            crashed(Exit::Code(127), "exit code 127"),
        ),
        way("down", "", Control("-d"), Silence),
        way(
            "down-exits-3",
            "trap 'exit 3' TERM; while :; do sleep 0.1; done",
            Control("-d"),
            // So it would also look if it had crashed after `s6-svc -o`.
            unclear(Exit::Code(3)),
        ),
        way(
            "down-and-kill",
            "trap '' TERM; while :; do sleep 0.1; done",
            Control("-dk"),
            unclear(killed_by("KILL")),
        ),
        way(
            "down-segv",
            "trap 'kill -SEGV $$' TERM; while :; do sleep 0.1; done",
            Control("-d"),
            crashed(killed_by("SEGV"), "killed by SIGSEGV"),
        ),
        // s6-supervise cannot tell these three apart: it has no word for a restart.
        way("restart", "", Control("-r"), unclear(killed_by("TERM"))),
        way("term", "", Kill(Signal::TERM), unclear(killed_by("TERM"))),
        way("exit-0", "exit 0", Nothing, unclear(Exit::Code(0))),
        // A kill by hand is not a request to stop.
        way(
            "svc-kill",
            "",
            Control("-k"),
            crashed(killed_by("KILL"), "killed by SIGKILL"),
        ),
    ];
    let ways: Vec<Way> = ways::plain_deaths(&machine)
        .into_iter()
        .chain(more)
        .collect();
    let s6 = S6::start(&machine, &ways);
    ways::check("s6", &machine, &ways, &|name, flag| s6.svc(name, flag));
    for report in machine.reports() {
        assert_eq!(report.stop.supervisor.name(), "s6");
        assert!(
            report.stop.pid.is_some() && report.stop.started_at.is_some(),
            "{report:#?}"
        );
    }
}

#[test]
fn a_shutdown_is_planned() {
    let machine = ways::machine();
    let ways = [way("web", "", Control("end"), Silence)];
    let s6 = S6::start(&machine, &ways);
    ways::check("s6 at a shutdown", &machine, &ways, &|_, _| s6.end());
}

#[test]
fn a_restart_that_was_announced_is_planned() {
    let machine = ways::machine();
    let ways = [way("web", "", Control("-r"), Silence)];
    let s6 = S6::start(&machine, &ways);
    ways::check(
        "s6 with pre-stop by hand",
        &machine,
        &ways,
        &|name, flag| {
            let hook = machine
                .command("pre-stop")
                .args(["--supervisor", "s6", "--job", name])
                .status();
            assert!(hook.unwrap().success());
            s6.svc(name, flag);
        },
    );
}

#[test]
fn a_service_that_is_run_once_has_not_been_stopped_when_it_dies() {
    let machine = ways::machine();
    executable(&dir(&machine, "web").join("down"), "");
    let s6 = S6::start(&machine, &[way("web", "exit 1", Nothing, Silence)]);
    wait_for("s6-supervise", || {
        let mut asks = Command::new("s6-svok");
        asks.arg(dir(&machine, "web")).status().unwrap().success()
    });
    s6.svc("web", "-o");
    wait_for("its report", || !machine.reports().is_empty());
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, report.stop.exit),
        (Verdict::Crashed, Exit::Code(1))
    );
}

#[test]
fn a_service_that_is_to_run_once_from_now_on_and_dies_is_told() {
    let machine = ways::machine();
    let gate = machine.path("gate");
    let dies = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; exit 1",
        gate.display()
    );
    let s6 = S6::start(&machine, &[way("web", &dies, Nothing, Silence)]);
    wait_for("its start", || {
        machine.markers().contains(&"web".to_owned())
    });
    s6.svc("web", "-o");
    fs::write(gate, "").unwrap();
    wait_for("its report", || !machine.reports().is_empty());
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, report.stop.exit),
        (Verdict::Unknown, Exit::Code(1))
    );
    let because = "s6-supervise no longer wants it up: so it is after `s6-svc -d`";
    assert!(report.verdict_because.starts_with(because));
}

#[test]
fn the_log_that_s6_log_writes_is_in_the_report() {
    let machine = ways::machine();
    let written = machine.path("written");
    let logger = format!(
        "#!/bin/sh\nexec s6-log t s100000 n3 {}\n",
        written.display()
    );
    executable(&dir(&machine, "web").join("log/run"), &logger);
    let died = "sleep 0.3; echo 'panic: no such customer' >&2; exit 2";
    let _s6 = S6::start(&machine, &[way("web", died, Nothing, Silence)]);
    wait_for("its report", || !machine.reports().is_empty());
    let report = machine.only_report();
    let current = written.join("current").display().to_string();
    let log = report
        .sections
        .iter()
        .find(|section| section.collector.contains(&current));
    assert!(
        log.is_some_and(|log| log.text.contains("no such customer")),
        "{report:#?}"
    );
}

#[test]
fn a_finish_whose_collectors_hang_is_back_long_before_s6_would_kill_it() {
    let machine = ways::machine();
    machine.configure(
        "web",
        "[[collect.exec]]\nname = \"hangs\"\ncommand = [\"sleep\", \"3\"]\ntimeout = \"3s\"\n",
    );
    let web = way("web", "exit 1", Nothing, Silence);
    let _s6 = S6::start(&machine, std::slice::from_ref(&web));
    wait_for("its next life", || web.runs_again(&machine));
    wait_for("its report", || !machine.reports().is_empty());
    machine.settle_hooks();
    assert_eq!(machine.only_report().stop.exit, Exit::Code(1));
}

/// What happened to each service, and what people hear of it.
const TABLE: [Row; 6] = [
    row(
        "crash, then a restart",
        "back",
        &[
            ("crashed: exit code 1", "restarting (s6)"),
            ("is up again", "up again since "),
        ],
    ),
    row(
        "permanent failure (its finish exits with 125)",
        "given-up",
        &[
            ("crashed: exit code 1", "restarting (s6)"),
            ("is down: ", "down: s6 no longer wants it up"),
            ("has been down for ", "down: s6 no longer wants it up"),
        ],
    ),
    row(
        "crash of a service that is run once",
        "once",
        &[
            (
                "crashed, and is down: exit code 1",
                "down: s6 no longer wants it up",
            ),
            ("has been down for ", "down: s6 no longer wants it up"),
        ],
    ),
    row(
        "crash, started and stopped by hand between two looks",
        "revived",
        &[
            (
                "crashed, and is down: exit code 1",
                "down: s6 no longer wants it up",
            ),
            (
                "came up again, and was stopped as planned",
                "stopped: as planned, at ",
            ),
        ],
    ),
    row("s6-svc -d", "stopped", &[]),
    row("s6-svc -r that was announced", "restarted", &[]),
];

#[test]
fn each_message_says_how_things_stand_with_the_service_now() {
    let machine = Harness::new();
    machine.keep_messages();
    // Where s6 keeps services, so that the deliverer finds them.
    let scan = machine.root.join("etc/s6");
    let gate = machine.path("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display());
    for (job, first_life, after) in [
        ("back", "exit 1", wait.clone()),
        ("given-up", "exit 1", format!("{wait}\nexit 125")),
        ("once", "exit 1", String::new()),
        ("revived", "exit 1", String::new()),
        ("stopped", "", String::new()),
        ("restarted", "", String::new()),
    ] {
        let program = way(job, first_life, Nothing, Silence).program(&machine);
        let text = |script: &str| ways::config(&machine, &format!("s6/{script}"), job, &program);
        let finish = format!("{}\n{after}\n", text("finish").replace("exec ", ""));
        executable(&scan.join(job).join("run"), &text("run"));
        executable(&scan.join(job).join("finish"), &finish);
        fs::write(scan.join(job).join("timeout-finish"), "0").unwrap();
        if ["once", "revived"].contains(&job) {
            executable(&scan.join(job).join("down"), "");
        }
    }
    let s6 = S6::scan(&machine, scan);
    let svc = |job: &str, flag: &str| {
        wait_for("s6-svc", || {
            let mut svc = Command::new("s6-svc");
            let svc = svc.arg(flag).arg(s6.scan.join(job)).stderr(Stdio::null());
            svc.status().unwrap().success()
        });
    };
    svc("once", "-o");
    svc("revived", "-o");
    for (job, flag) in [("stopped", "-d"), ("restarted", "-r")] {
        wait_for("its marker", || machine.markers().contains(&job.to_owned()));
        if flag == "-r" {
            let mut hook = machine.command("pre-stop");
            let hook = hook.args(["--supervisor", "s6", "--job", job]).status();
            assert!(hook.unwrap().success());
        }
        svc(job, flag);
    }
    for job in ["back", "given-up", "once", "revived"] {
        machine.wait_for_messages(job, 1, None);
    }
    svc("revived", "-u");
    wait_for("its marker", || {
        machine.markers().contains(&"revived".to_owned())
    });
    svc("revived", "-d");
    fs::write(gate, "").unwrap();
    wait_for("the second life", || {
        machine.markers().contains(&"back".to_owned())
    });
    machine.wait_for_messages("given-up", 2, Some("0s"));
    machine.look("11m");
    machine.look("72m");
    machine.settle_hooks();
    now::check("s6", &TABLE, || machine.messages());
}

mod as_root {
    use super::S6;
    use crate::support::cgroup::Cgroup;
    use crate::ways;

    #[test]
    fn running_out_of_memory_is_distinguished_from_a_kill() {
        let (machine, cgroup) = (ways::machine(), Cgroup::new());
        let ways = [ways::out_of_memory(&cgroup)];
        let _s6 = S6::start(&machine, &ways);
        ways::check("s6, memory", &machine, &ways, &|_, _| {});
    }
}
