//! Services under real `runsv`s of runit.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lastwords::report::{Exit, Verdict};
use rustix::process::{Pid, Signal, kill_process};

use crate::now::{self, Row, row};
use crate::support::harness::{Harness, killed_by, wait_for};
use crate::ways::{self, Control, Kill, Nothing, Says, Silence, Way, crashed, way};

/// Services, each under a `runsv` of its own. They end when this is dropped.
struct Runit<'a> {
    machine: &'a Harness,
    services: Vec<(PathBuf, Child)>,
}

impl<'a> Runit<'a> {
    fn new(machine: &'a Harness) -> Self {
        Self {
            machine,
            services: Vec::new(),
        }
    }

    /// Starts a service with these of our scripts. Without ours, its `run` does not call lastwords.
    fn start(&mut self, way: &Way, scripts: &[&str]) {
        let dir = self.machine.path(way.name);
        let program = way.program(self.machine);
        fs::create_dir_all(dir.join("control")).unwrap();
        let text = ways::config(self.machine, "runit/run", way.name, &program);
        let own = text.lines().filter(|line| !line.contains("pre-start"));
        executable(
            &dir.join("run"),
            &(own.collect::<Vec<_>>().join("\n") + "\n"),
        );
        for script in scripts {
            let text = ways::config(self.machine, &format!("runit/{script}"), way.name, &program);
            executable(&dir.join(script), &text);
        }
        self.supervise(dir);
    }

    fn supervise(&mut self, dir: PathBuf) {
        let runsv = Command::new("runsv")
            .arg(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.services
            .push((dir, runsv.expect("runit is installed")));
    }

    fn sv(&self, name: &str, command: &str) {
        let dir = self.machine.path(name);
        if command == "end" {
            return self.end(&dir);
        }
        // "force-stop" has a different exit code if it had to kill.
        Command::new("sv")
            .args(["-w", "1", command])
            .arg(dir)
            .stdout(Stdio::null())
            .status()
            .unwrap();
    }

    /// Ends its `runsv`, as `runsvdir` does when the machine is shut down.
    fn end(&self, dir: &Path) {
        let (_, runsv) = self
            .services
            .iter()
            .find(|(of, _)| of == dir)
            .expect("it was started");
        kill_process(Pid::from_child(runsv), Signal::TERM).unwrap();
    }
}

impl Drop for Runit<'_> {
    fn drop(&mut self) {
        for (_, runsv) in &mut self.services {
            if matches!(runsv.try_wait(), Ok(None)) {
                let _ = kill_process(Pid::from_child(runsv), Signal::TERM);
            }
        }
        for (_, runsv) in &mut self.services {
            let _ = runsv.wait();
        }
    }
}

fn executable(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

const ALL: &[&str] = &["run", "finish", "control/t", "control/d", "control/x"];

fn check(title: &str, ways: &[Way], scripts: &[&str]) {
    let machine = ways::machine();
    let mut runit = Runit::new(&machine);
    for way in ways {
        runit.start(way, scripts);
    }
    ways::check(title, &machine, ways, &|name, command| {
        runit.sv(name, command);
    });
    for report in machine.reports() {
        assert_eq!(report.stop.supervisor.name(), "runit");
        let is_known = report.stop.pid.is_some() && report.stop.started_at.is_some();
        assert_eq!(is_known, scripts.contains(&"run"), "{report:#?}");
    }
}

#[test]
fn every_way_to_end_gets_the_right_report() {
    let machine = ways::machine();
    let term = || crashed(killed_by("TERM"), "killed by SIGTERM");
    let more = [
        way(
            "exit-0",
            "exit 0",
            Nothing,
            crashed(Exit::Code(0), "exit code 0"),
        ),
        way("term", "", Kill(Signal::TERM), term()),
        way(
            "no-program",
            "exec /nonexistent/server",
            Nothing,
            crashed(Exit::Code(127), "exit code 127"),
        ),
        way("down", "", Control("down"), Silence),
        way(
            "down-exits-3",
            "trap 'exit 3' TERM; while :; do sleep 0.1; done",
            Control("down"),
            Silence,
        ),
        way(
            "force-stop",
            "trap '' TERM; while :; do sleep 0.1; done",
            Control("force-stop"),
            Silence,
        ),
        way(
            "down-segv",
            "trap 'kill -SEGV $$' TERM; while :; do sleep 0.1; done",
            Control("down"),
            crashed(killed_by("SEGV"), "killed by SIGSEGV"),
        ),
        way("restart", "", Control("restart"), Silence),
        way("sv-term", "", Control("term"), Silence),
        way("exit", "", Control("exit"), Silence),
        way("shutdown", "", Control("end"), Silence),
        // A kill by hand is not a request to stop.
        way(
            "sv-kill",
            "",
            Control("kill"),
            crashed(killed_by("KILL"), "killed by SIGKILL"),
        ),
    ];
    let ways: Vec<Way> = ways::plain_deaths(&machine)
        .into_iter()
        .chain(more)
        .collect();
    check("runit", &ways, ALL);
}

#[test]
fn without_control_files_a_stop_is_known_and_a_restart_is_called_neither() {
    let unclear = |exit| Says(Verdict::Unknown, exit, "");
    check(
        "runit without control files",
        &[
            way(
                "exit-1",
                "exit 1",
                Nothing,
                crashed(Exit::Code(1), "exit code 1"),
            ),
            way("down", "", Control("down"), Silence),
            way("exit", "", Control("exit"), Silence),
            way("shutdown", "", Control("end"), Silence),
            way(
                "down-segv",
                "trap 'kill -SEGV $$' TERM; while :; do sleep 0.1; done",
                Control("down"),
                crashed(killed_by("SEGV"), "killed by SIGSEGV"),
            ),
            way(
                "restart",
                "",
                Control("restart"),
                unclear(killed_by("TERM")),
            ),
            way("term", "", Kill(Signal::TERM), unclear(killed_by("TERM"))),
            way("exit-0", "exit 0", Nothing, unclear(Exit::Code(0))),
        ],
        &["run", "finish"],
    );
}

#[test]
fn a_service_that_is_run_once_has_not_been_stopped_when_it_dies() {
    let machine = ways::machine();
    let mut runit = Runit::new(&machine);
    executable(&machine.path("web/down"), "");
    runit.start(&way("web", "exit 1", Nothing, Silence), &["run", "finish"]);
    wait_for("runsv", || {
        let mut asks = Command::new("sv");
        let asks = asks.arg("status").arg(machine.path("web"));
        asks.stdout(Stdio::null()).status().unwrap().success()
    });
    runit.sv("web", "once");
    wait_for("its report", || !machine.reports().is_empty());
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, report.stop.exit),
        (Verdict::Crashed, Exit::Code(1))
    );
}

#[test]
fn a_service_that_is_to_run_once_from_now_on_and_dies_is_told() {
    for (scripts, verdict) in [
        (ALL, Verdict::Crashed),
        (&["run", "finish"][..], Verdict::Unknown),
    ] {
        let machine = ways::machine();
        let mut runit = Runit::new(&machine);
        let gate = machine.path("gate");
        let dies = format!(
            "while [ ! -e {} ]; do sleep 0.05; done; exit 1",
            gate.display()
        );
        runit.start(&way("web", &dies, Nothing, Silence), scripts);
        wait_for("its start", || {
            machine.markers().contains(&"web".to_owned())
        });
        runit.sv("web", "once");
        fs::write(gate, "").unwrap();
        wait_for("its report", || !machine.reports().is_empty());
        let report = machine.only_report();
        assert_eq!((report.verdict, report.stop.exit), (verdict, Exit::Code(1)));
    }
}

#[test]
fn a_service_outside_of_the_usual_places_is_found_where_its_hooks_ran() {
    let machine = Harness::new();
    machine.keep_messages();
    let mut runit = Runit::new(&machine);
    let dir = machine.root.join("srv/web");
    let web = way("web", "exit 1", Nothing, Silence);
    let program = web.program(&machine);
    for script in ALL {
        let text = ways::config(&machine, &format!("runit/{script}"), "web", &program);
        executable(&dir.join(script), &text);
    }
    executable(&dir.join("down"), "");
    executable(&machine.root.join("bin/sh"), "");
    runit.supervise(dir.clone());
    wait_for("sv", || {
        let mut sv = Command::new("sv");
        let sv = sv.args(["-w", "5", "once"]).arg(&dir);
        sv.stdout(Stdio::null()).status().unwrap().success()
    });
    machine.wait_for_messages("web", 1, None);
    // One that looks at the same time as another that is an hour ahead sends twice.
    wait_for("the deliverer", || machine.pids_of("deliver").is_empty());
    machine.look("62m");
    let messages = machine.messages();
    assert_eq!(messages.len(), 2, "{messages:#?}");
    let first = "web crashed, and is down: exit code 1";
    assert!(messages[0].starts_with(first), "{messages:#?}");
    assert!(
        messages[1].starts_with("web has been down for "),
        "{messages:#?}"
    );
    let doctor = machine.command("doctor").arg("web").output().unwrap();
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(
        doctor.contains("runit's finish calls post-stop"),
        "{doctor}"
    );
    assert!(
        doctor.starts_with("web: a crash would be caught"),
        "{doctor}"
    );
}

#[test]
fn the_log_that_svlogd_writes_is_in_the_report() {
    let machine = ways::machine();
    let mut runit = Runit::new(&machine);
    let dir = machine.path("web");
    executable(
        &dir.join("log/run"),
        "#!/bin/sh\nmkdir -p main\nexec svlogd -tt ./main\n",
    );
    let died = "sleep 0.3; echo 'panic: no such customer' >&2; exit 2";
    runit.start(&way("web", died, Nothing, Silence), ALL);
    wait_for("its report", || !machine.reports().is_empty());
    let report = machine.only_report();
    let current = dir.join("log/main/current").display().to_string();
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
fn each_crash_of_a_loop_is_kept() {
    let machine = ways::machine();
    let mut runit = Runit::new(&machine);
    let dir = machine.path("loop");
    let loops = way("loop", "", Nothing, Silence);
    fs::create_dir_all(&dir).unwrap();
    let program = loops.program(&machine);
    fs::write(&program, "exit 1\n").unwrap();
    for script in ["run", "finish"] {
        let text = ways::config(&machine, &format!("runit/{script}"), "loop", &program);
        executable(&dir.join(script), &text);
    }
    runit.supervise(dir);
    let mut crashes = Vec::new();
    wait_for("three crashes", || {
        crashes = machine.reports();
        crashes.len() >= 3
    });
    // The last life may end by the TERM that ends runsv.
    drop(runit);
    machine.settle_hooks();
    for report in crashes {
        assert_eq!(
            (report.verdict, report.stop.exit),
            (Verdict::Crashed, Exit::Code(1))
        );
    }
}

/// What happened to each service, and what people hear of it.
const TABLE: [Row; 7] = [
    row(
        "crash, then a restart",
        "back",
        &[
            ("crashed: exit code 1", "restarting (runit)"),
            ("is up again", "up again since "),
        ],
    ),
    row(
        "its finish brings it down",
        "given-up",
        &[
            ("crashed: exit code 1", "restarting (runit)"),
            ("is down: ", "down: runit no longer wants it up"),
            ("has been down for ", "down: runit no longer wants it up"),
        ],
    ),
    row(
        "crash of a service that is run once",
        "once",
        &[
            (
                "crashed, and is down: exit code 1",
                "down: runit no longer wants it up",
            ),
            ("has been down for ", "down: runit no longer wants it up"),
        ],
    ),
    row(
        "crash, started and stopped by hand between two looks",
        "revived",
        &[
            (
                "crashed, and is down: exit code 1",
                "down: runit no longer wants it up",
            ),
            (
                "came up again, and was stopped as planned",
                "stopped: as planned, at ",
            ),
        ],
    ),
    row("sv down", "stopped", &[]),
    row("sv restart", "restarted", &[]),
    row("sv exit", "ended", &[]),
];

#[test]
fn each_instance_is_asked_about_where_its_own_hooks_ran() {
    let machine = Harness::new();
    machine.keep_messages();
    let mut runit = Runit::new(&machine);
    let gate = machine.path("gate");
    let waits = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; exit 1",
        gate.display()
    );
    for (name, instance, first_life, after) in [
        ("shop-a", "a", "exit 1", "sv down ."),
        ("shop-b", "b", waits.as_str(), ""),
    ] {
        let program = way(name, first_life, Nothing, Silence).program(&machine);
        let dir = machine.root.join("etc/sv").join(name);
        for script in ["run", "finish"] {
            let job = format!("shop --instance {instance}");
            let text = ways::config(&machine, &format!("runit/{script}"), &job, &program);
            let text = if script == "finish" {
                format!("{}\n{after}\n", text.replace("exec ", ""))
            } else {
                text
            };
            executable(&dir.join(script), &text);
        }
        runit.supervise(dir);
    }
    wait_for("that (a) is told to be down", || {
        machine.look("0s");
        machine.messages().concat().contains(" is down")
    });
    fs::write(gate, "").unwrap();
    wait_for("both reports", || machine.reports().len() == 2);
    wait_for("the second life", || machine.markers().len() == 1);
    machine.settle_hooks();
    machine.look("6m");
    let told = machine.messages();
    let last = told.last().unwrap();
    let now = last.lines().find(|line| line.starts_with("Now ")).unwrap();
    let down = "1 of 2 up again; shop (a) down: runit no longer wants it up";
    assert!(now.ends_with(down), "{now}");
}

#[test]
fn each_message_says_how_things_stand_with_the_service_now() {
    let machine = Harness::new();
    machine.keep_messages();
    let mut runit = Runit::new(&machine);
    let gate = machine.path("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display());
    for (job, first_life, after) in [
        ("back", "exit 1", wait.clone()),
        ("given-up", "exit 1", format!("{wait}\nsv down .")),
        ("once", "exit 1", String::new()),
        ("revived", "exit 1", String::new()),
        ("stopped", "", String::new()),
        ("restarted", "", String::new()),
        ("ended", "", String::new()),
    ] {
        let way = way(job, first_life, Nothing, Silence);
        // Where runit keeps services, so that the deliverer finds them.
        let dir = machine.root.join("etc/sv").join(job);
        let program = way.program(&machine);
        for script in ALL {
            let text = ways::config(&machine, &format!("runit/{script}"), job, &program);
            let text = if *script == "finish" {
                format!("{}\n{after}\n", text.replace("exec ", ""))
            } else {
                text
            };
            executable(&dir.join(script), &text);
        }
        if ["once", "revived"].contains(&job) {
            executable(&dir.join("down"), "");
        }
        runit.supervise(dir);
    }
    let sv = |job: &str, command: &str| {
        let dir = machine.root.join("etc/sv").join(job);
        wait_for("sv", || {
            let mut sv = Command::new("sv");
            let sv = sv.args(["-w", "5", command]).arg(&dir);
            sv.stdout(Stdio::null()).status().unwrap().success()
        });
    };
    sv("once", "once");
    sv("revived", "once");
    for (job, command) in [
        ("stopped", "down"),
        ("restarted", "restart"),
        ("ended", "exit"),
    ] {
        wait_for("its marker", || machine.markers().contains(&job.to_owned()));
        sv(job, command);
    }
    for job in ["back", "given-up", "once", "revived"] {
        machine.wait_for_messages(job, 1, None);
    }
    sv("revived", "up");
    wait_for("its marker", || {
        machine.markers().contains(&"revived".to_owned())
    });
    sv("revived", "down");
    fs::write(gate, "").unwrap();
    wait_for("the second life", || {
        machine.markers().contains(&"back".to_owned())
    });
    machine.wait_for_messages("given-up", 2, Some("0s"));
    machine.look("11m");
    machine.look("72m");
    machine.settle_hooks();
    now::check("runit", &TABLE, || machine.messages());
}

mod as_root {
    use super::{ALL, check};
    use crate::support::cgroup::Cgroup;
    use crate::ways;

    #[test]
    fn running_out_of_memory_is_distinguished_from_a_kill() {
        let cgroup = Cgroup::new();
        check("runit, memory", &[ways::out_of_memory(&cgroup)], ALL);
    }
}
