//! `lastwords doctor`: on a healthy machine, and on machines with one fault each.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, SystemTime};

use lastwords::report::{ReportId, SinkKey, Timestamp};
use lastwords::{Ledger, Place, Spool};
use rustix::process::Signal;
use serde_json::Value;

use crate::flood;
use crate::support::harness::{Harness, SERVE, SystemLog, names_in, wait_for, without_places};
use crate::support::stand_in::free_port;
use crate::support::upstart::{Job, State};

/// A healthy machine: it has a syslog daemon, a log and the trace of a deliverer; the job runs, and
/// its hooks have armed the marker.
struct Machine {
    machine: Harness,
    syslog: SystemLog,
}

const CONFIG: &str = "[[sink.syslog]]\nname = 'ops-log'\n";

impl Machine {
    fn new() -> Self {
        let machine = Harness::new();
        let syslog = SystemLog::of(&machine);
        fs::write(machine.config.join("lastwords.toml"), CONFIG).unwrap();
        succeeds(&machine, "setup");
        succeeds(&machine, "deliver");
        fs::create_dir_all(machine.root.join("sbin")).unwrap();
        let this = Self { machine, syslog };
        this.initctl_says("web start/running, process 4242");
        this
    }

    /// Sets the answer of `initctl` about the service.
    fn initctl_says(&self, line: &str) {
        let path = self.machine.root.join("sbin/initctl");
        fs::write(
            &path,
            format!("#!/bin/sh\n[ \"$*\" = 'status web' ] && echo '{line}'\n"),
        )
        .unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    fn start(&self) -> Job<'_> {
        let mut web = self.machine.job("web", SERVE);
        web.start();
        fs::write(self.machine.root.join("var/log/upstart/web.log"), "hello\n").unwrap();
        web
    }

    fn doctor(&self) -> Doctor {
        Doctor::ask(&self.machine)
    }
}

fn succeeds(machine: &Harness, verb: &str) {
    let output = machine.command(verb).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The doctor's answer, as people and as programs get it.
struct Doctor {
    code: Option<i32>,
    text: String,
    json: Value,
}

impl Doctor {
    fn ask(machine: &Harness) -> Self {
        let ask = |args: &[&str]| -> Output {
            machine
                .command("doctor")
                .arg("web")
                .args(args)
                .output()
                .unwrap()
        };
        let (people, programs) = (ask(&[]), ask(&["--json"]));
        assert_eq!(people.status.code(), programs.status.code());
        let text = String::from_utf8(people.stdout).unwrap();
        let json: Value = serde_json::from_slice(&programs.stdout)
            .unwrap_or_else(|why| panic!("{why}: {programs:?}"));
        // A path that is too long for its column is not cut, and a command is not wrapped.
        let fits = |line: &str| {
            let is_whole = line.trim_start().starts_with("do: ")
                || line.split(' ').next_back().is_some_and(|it| it.len() > 54);
            line.chars().count() <= 80 || is_whole
        };
        assert!(text.lines().all(fits), "{text}");
        assert!(!text.contains('\x1b'), "colours in a pipe: {text}");
        Self {
            code: people.status.code(),
            text,
            json: json[0].clone(),
        }
    }

    fn verdict(&self) -> &str {
        self.json["verdict"].as_str().unwrap()
    }

    /// Returns the checks about this, as state and text.
    fn about(&self, about: &str) -> Vec<(&str, &str)> {
        let checks = self.json["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|check| check["about"] == about);
        checks
            .map(|check| {
                (
                    check["state"].as_str().unwrap(),
                    check["text"].as_str().unwrap(),
                )
            })
            .collect()
    }

    /// Checks that there is a problem, and that the verdict and the remedy name it.
    fn assert_problem(&self, about: &str, verdict: &str, remedy: &str) {
        assert_eq!(self.code, Some(1), "{}", self.text);
        assert!(
            self.about(about)
                .iter()
                .any(|(state, _)| *state == "problem"),
            "{}",
            self.text
        );
        assert!(
            self.verdict().contains(verdict),
            "{verdict} in {}",
            self.text
        );
        self.assert_remedy(about, "problem", remedy);
    }

    fn assert_weak(&self, about: &str, text: &str, remedy: &str) {
        assert_eq!(self.code, Some(0), "{}", self.text);
        assert!(
            self.about(about)
                .iter()
                .any(|(state, said)| *state == "weak" && said.contains(text)),
            "{}",
            self.text
        );
        self.assert_remedy(about, "weak", remedy);
    }

    fn assert_remedy(&self, about: &str, state: &str, remedy: &str) {
        let checks = self.json["checks"].as_array().unwrap().iter();
        let mut remedies = checks
            .filter(|check| check["about"] == about && check["state"] == state)
            .filter_map(|check| check["remedy"].as_str());
        assert!(
            remedies.any(|it| without_places(it).contains(remedy)),
            "{remedy} in {}",
            self.text
        );
    }
}

const WELL: &str = "web: a crash would be caught and told to ops-log";

#[test]
fn a_healthy_machine_has_no_problem_and_the_first_line_says_so() {
    let machine = Machine::new();
    let mut web = machine.start();
    let doctor = machine.doctor();
    assert_eq!(
        (doctor.verdict(), doctor.code),
        (WELL, Some(0)),
        "{}",
        doctor.text
    );
    assert!(
        doctor.text.starts_with(&format!("{WELL}\n\nok ")),
        "{}",
        doctor.text
    );
    let states: Vec<&str> = doctor.json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["state"].as_str().unwrap())
        .collect();
    let others: Vec<_> = states.iter().filter(|state| **state != "ok").collect();
    // There was no drill yet, and the machine's disk may be nearly full.
    assert!(
        others
            .iter()
            .all(|state| ["unknown", "weak"].contains(*state))
            && others.len() <= 2,
        "{}",
        doctor.text
    );
    assert!(
        doctor.about("marker")[0].1.starts_with("armed "),
        "{}",
        doctor.text
    );
    web.stop();
    machine.initctl_says("web stop/waiting");
    let doctor = machine.doctor();
    assert_eq!(
        (doctor.verdict(), doctor.code),
        (WELL, Some(0)),
        "{}",
        doctor.text
    );
    assert_eq!(
        doctor.about("marker"),
        [("ok", "not armed; the service is not running")]
    );
}

#[test]
fn a_marker_that_cannot_be_read_is_not_called_unarmed() {
    let machine = Machine::new();
    let mut web = machine.start();
    let marker = machine.machine.run.join("markers/web");
    fs::write(marker, "{").unwrap();
    let doctor = machine.doctor();
    doctor.assert_weak("marker", "a marker of web cannot be read", "look into ");
    assert_eq!(doctor.about("marker").len(), 1, "{}", doctor.text);
    web.stop();
}

#[test]
fn it_sends_nothing_and_leaves_nothing() {
    let machine = Machine::new();
    let mut web = machine.start();
    let before = (
        machine.machine.everything_else(),
        names_in(&machine.machine.spool.join("state")),
    );
    machine.doctor();
    assert_eq!(
        (
            machine.machine.everything_else(),
            names_in(&machine.machine.spool.join("state"))
        ),
        before
    );
    assert_eq!(machine.syslog.said(), [""; 0]);
    web.stop();
}

#[test]
fn without_one_of_the_hooks_no_crash_is_caught() {
    let machine = Machine::new();
    machine.machine.bare_job("web", SERVE);
    let doctor = machine.doctor();
    doctor.assert_problem(
        "hooks",
        "web: a crash would NOT be caught: there is no pre-start",
        "lastwords setup web",
    );
    let hook = |name| format!("{name} exec {}\n", machine.machine.hook(name));
    machine.machine.bare_job(
        "web",
        &[
            hook("pre-start"),
            hook("post-stop"),
            "pre-stop exec true\n".into(),
            SERVE.into(),
        ]
        .concat(),
    );
    let said = machine.doctor();
    assert!(said.about("hooks").contains(&(
        "weak",
        "the pre-stop in /etc/init/web.conf does not call lastwords: a planned stop would be taken for a crash"
    )));
}

#[test]
fn hooks_that_call_a_missing_file_or_another_program_catch_nothing() {
    let machine = Machine::new();
    let calling = |program: &str| -> String {
        ["pre-start", "pre-stop", "post-stop"]
            .map(|hook| format!("{hook} exec {program} {hook}\n"))
            .concat()
    };
    machine
        .machine
        .bare_job("web", &calling("/usr/bin/lastwords"));
    machine.doctor().assert_problem(
        "program",
        "NOT be caught: the hooks call /usr/bin/lastwords: No such file",
        "install",
    );
    fs::create_dir_all(machine.machine.root.join("usr/bin")).unwrap();
    fs::write(machine.machine.root.join("usr/bin/lastwords"), "").unwrap();
    machine.doctor().assert_problem(
        "program",
        "which cannot be executed",
        "chmod 755 /usr/bin/lastwords",
    );
    let script = machine.machine.root.join("opt/pre-start");
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    fs::write(&script, "touch x").unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    machine
        .machine
        .bare_job("web", "pre-start exec /opt/pre-start\n");
    machine
        .doctor()
        .assert_problem("program", "NOT be caught", "ln -sf");
}

#[test]
fn hooks_that_were_set_up_after_the_service_started_are_not_active() {
    let machine = Machine::new();
    machine.machine.job("web", SERVE);
    let doctor = machine.doctor();
    doctor.assert_problem(
        "marker",
        "NOT be caught: not armed, though the service is running",
        "stop web && start web (",
    );
    machine.initctl_says("");
    let doctor = machine.doctor();
    assert!(
        doctor.verdict().contains("as far as can be seen"),
        "{}",
        doctor.text
    );
}

#[test]
fn an_announced_stop_is_shown() {
    let machine = Machine::new();
    let mut web = machine.start();
    let hook = machine
        .machine
        .hook_command("pre-stop")
        .args(["--job", "web", "--supervisor", "upstart"])
        .status()
        .unwrap();
    assert!(hook.success());
    let doctor = machine.doctor();
    assert!(
        doctor.about("marker")[0].1.contains("a stop was announced"),
        "{}",
        doctor.text
    );
    web.stop();
}

#[test]
fn a_directory_that_others_can_write_is_a_problem() {
    let machine = Machine::new();
    let mut web = machine.start();
    fs::set_permissions(&machine.machine.spool, Permissions::from_mode(0o777)).unwrap();
    machine.doctor().assert_problem(
        "directories",
        "NOT be caught: users other than its owner may write into",
        "lastwords setup",
    );
    web.stop();
}

#[test]
fn directories_and_a_reserve_that_are_missing_are_a_weakness() {
    let machine = Machine::new();
    let mut web = machine.start();
    fs::remove_dir_all(machine.machine.spool.join("reserve")).unwrap();
    machine
        .doctor()
        .assert_weak("reserve", "9 of the 9 files", "lastwords setup");
    fs::remove_dir_all(&machine.machine.spool).unwrap();
    machine.doctor().assert_weak(
        "directories",
        "does not exist; the first hook makes it",
        "lastwords setup",
    );
    web.stop();
}

#[test]
fn an_error_in_the_config_is_shown_with_its_line() {
    let machine = Machine::new();
    let mut web = machine.start();
    machine.machine.configure("web", "\nrunbok = 1\n");
    machine.doctor().assert_problem(
        "config",
        "jobs/web.toml:2: unknown key `runbok`",
        "did you mean `runbook`?",
    );
    machine.machine.configure("web", "");
    machine.machine.configure("other", "runbok = 1\n");
    let doctor = machine.doctor();
    assert_eq!(
        (doctor.verdict(), doctor.code),
        (WELL, Some(0)),
        "another job's mistake: {}",
        doctor.text
    );
    web.stop();
}

#[test]
fn without_a_sink_in_the_config_no_one_is_told() {
    let machine = Machine::new();
    let mut web = machine.start();
    fs::write(machine.machine.config.join("lastwords.toml"), "").unwrap();
    machine.doctor().assert_problem(
        "sinks",
        "caught, but NOT told: no sink is configured",
        "[[sink.email]]",
    );
    web.stop();
}

#[test]
fn a_log_that_is_missing_or_old_is_a_weakness() {
    let machine = Machine::new();
    let mut web = machine.start();
    let log = machine.machine.root.join("var/log/upstart/web.log");
    let old = SystemTime::now() - Duration::from_hours(50);
    File::options()
        .write(true)
        .open(&log)
        .unwrap()
        .set_times(FileTimes::new().set_modified(old))
        .unwrap();
    machine.doctor().assert_weak(
        "log",
        "was last written 2 d 2 h ago, before the service started",
        "name the file",
    );
    fs::remove_file(&log).unwrap();
    machine.doctor().assert_weak(
        "log",
        "there is no /var/log/upstart/web.log",
        "jobs/web.toml",
    );
    web.stop();
}

#[test]
fn without_a_kernel_log_the_exit_code_is_lost() {
    let machine = Machine::new();
    let mut web = machine.start();
    fs::remove_file(machine.machine.root.join("dev/kmsg")).unwrap();
    machine
        .doctor()
        .assert_weak("kernel log", "cannot quote", "/dev/kmsg");
    web.stop();
}

#[test]
fn a_sink_that_is_down_is_named_and_so_are_those_that_work() {
    let machine = Machine::new();
    let mut web = machine.start();
    let port = free_port();
    let sinks =
        format!("{CONFIG}[[sink.syslog]]\nname = 'far'\naddress = 'tcp://127.0.0.1:{port}'\n");
    fs::write(machine.machine.config.join("lastwords.toml"), sinks).unwrap();
    let doctor = machine.doctor();
    doctor.assert_problem(
        "far",
        "told to ops-log, but NOT to far: tcp://127.0.0.1:",
        "lastwords doctor web",
    );
    fs::remove_file(machine.machine.root.join("dev/log")).unwrap();
    machine.doctor().assert_problem(
        "ops-log",
        "caught, but NOT told: unix:/dev/log: no syslog daemon",
        "fix",
    );
    web.stop();
}

#[test]
fn a_drill_verifies_a_sink_that_cannot_be_probed_until_the_config_changes() {
    let machine = Machine::new();
    let mut web = machine.start();
    let config = machine.machine.config.join("lastwords.toml");
    fs::write(
        &config,
        "[[sink.exec]]\nname = 'pager'\ncommand = ['/bin/cat']\n",
    )
    .unwrap();
    let doctor = machine.doctor();
    assert_eq!(
        doctor.verdict(),
        "web: a crash would be caught and told to pager (not verified)"
    );
    doctor.assert_remedy("pager", "unknown", "--simulate-crash --send --job web");
    let drill = machine
        .machine
        .command("post-stop")
        .args(["--simulate-crash", "--send", "--job", "web"])
        .output()
        .unwrap();
    assert!(drill.status.success(), "{drill:?}");
    let doctor = machine.doctor();
    assert_eq!(
        doctor.verdict(),
        "web: a crash would be caught and told to pager",
        "{}",
        doctor.text
    );
    assert!(
        doctor.about("last drill")[0]
            .1
            .ends_with("taken by every sink"),
        "{}",
        doctor.text
    );
    let later = SystemTime::now() + Duration::from_secs(10);
    File::options()
        .write(true)
        .open(&config)
        .unwrap()
        .set_times(FileTimes::new().set_modified(later))
        .unwrap();
    assert!(machine.doctor().verdict().ends_with("(not verified)"));
    web.stop();
}

#[test]
fn a_report_that_is_stuck_is_shown_with_its_sinks_last_error() {
    let machine = Machine::new();
    let mut web = machine.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    wait_for("the report's delivery", || {
        names_in(&machine.machine.spool.join("done")).len() == 1
    });
    machine.machine.settle();
    machine.initctl_says("web stop/waiting");
    let doctor = machine.doctor();
    assert!(
        doctor.about("last report")[0]
            .1
            .ends_with("taken by ops-log"),
        "{}",
        doctor.text
    );
    assert_eq!(doctor.about("waiting"), [("ok", "no report is waiting")]);

    let mut report = machine.machine.only_report();
    let spool = Spool::new(&machine.machine.spool);
    report.id = ReportId::new(
        Timestamp::new(SystemTime::now() - Duration::from_hours(3)),
        7,
    );
    spool.put(&report).unwrap();
    // The id of some derives from what they are about, and is older than they are.
    let fresh = "a report has been waiting for less than a minute";
    assert_eq!(machine.doctor().about("waiting"), [("ok", fresh)]);
    let entry = machine.machine.spool.join("new").join(report.id.as_str());
    let entry = File::options().write(true).open(entry).unwrap();
    let old = SystemTime::now() - Duration::from_hours(3);
    entry.set_modified(old).unwrap();
    let ledger = Ledger {
        attempts: 9,
        last_error: Some("451 busy, password=hush".into()),
        ..Ledger::default()
    };
    let log = SinkKey::Machine("ops-log".into());
    spool.write_ledger(&report.id, &log, &ledger).unwrap();
    let doctor = machine.doctor();
    doctor.assert_problem(
        "waiting",
        "but: a report has been waiting for 3 h",
        "lastwords deliver",
    );
    let text = doctor.about("waiting")[0].1;
    assert!(
        text.ends_with(
            "ops-log does not have it yet, tried 9 times: 451 busy, password=[redacted]"
        ),
        "{text}"
    );

    spool.finish(&[report.id], Place::Dead).unwrap();
    fs::write(machine.machine.spool.join("corrupt/x"), "").unwrap();
    let doctor = machine.doctor();
    doctor.assert_weak(
        "dead letters",
        "1 report did not reach every sink",
        "lastwords show ",
    );
    doctor.assert_weak(
        "damaged",
        "1 damaged report file was put aside",
        "remove them",
    );
}

#[test]
fn crashes_that_are_only_counted_are_not_said_to_be_taken_and_a_loop_is_shown() {
    let machine = flood::machine(&["one", "two"]);
    fs::write(machine.root.join("etc/init/web.conf"), "respawn\n").unwrap();
    flood::crash(&machine, "web", 3);
    let doctor = Doctor::ask(&machine);
    let looping = doctor.about("service");
    let died = "it has died 2 times since the last message to ";
    assert!(looping[0].1.starts_with(died), "{looping:?}");
    let [(_, last)] = doctor.about("last report")[..] else {
        panic!("{}", doctor.text)
    };
    assert!(last.contains(", counted (summary in "), "{last}");
    assert!(last.ends_with(") for one, two"), "{last}");
    flood::deliver(&machine, 6);
    let doctor = Doctor::ask(&machine);
    let [(_, last)] = doctor.about("last report")[..] else {
        panic!("{}", doctor.text)
    };
    let ways = [
        "taken by one",
        "taken by two",
        "told in another message to one, two",
    ];
    assert!(ways.iter().any(|way| last.ends_with(way)), "{last}");
}

#[test]
fn the_output_that_lastwords_run_keeps_is_a_log() {
    let machine = Harness::new();
    let mut run = machine.command("run");
    let run = run.args(["--job", "backup", "--", "/bin/true"]);
    assert!(run.status().unwrap().success());
    machine.settle();
    let output = machine.command("doctor").arg("backup").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let kept = "`lastwords run` keeps the end of the command's output";
    assert!(text.contains(kept), "{text}");
    assert!(!text.contains("no log is collected"), "{text}");
}

#[test]
fn without_a_deliverer_nothing_is_tried_again() {
    let machine = Machine::new();
    let mut web = machine.start();
    let trace = machine.machine.run.join("deliverer");
    let old = SystemTime::now() - Duration::from_hours(3);
    File::options()
        .write(true)
        .open(&trace)
        .unwrap()
        .set_times(FileTimes::new().set_modified(old))
        .unwrap();
    machine.doctor().assert_problem(
        "deliverer",
        "told to ops-log, but: no deliverer has looked by itself for reports in 3 h",
        "start lastwords",
    );
    fs::remove_file(&trace).unwrap();
    machine.doctor().assert_problem(
        "deliverer",
        "but: no deliverer looks regularly",
        "start lastwords",
    );
    web.stop();
}

#[test]
fn a_watching_deliverer_leaves_its_trace() {
    let machine = Machine::new();
    fs::remove_file(machine.machine.run.join("deliverer")).unwrap();
    let mut watching = machine
        .machine
        .command("deliver")
        .arg("--watch")
        .spawn()
        .unwrap();
    wait_for("its trace", || {
        fs::read_to_string(machine.machine.run.join("deliverer")).is_ok_and(|it| it == "watch")
    });
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn a_job_that_no_supervisor_knows_is_a_problem() {
    let machine = Machine::new();
    machine.machine.configure("web", "");
    let doctor = machine.doctor();
    assert!(
        doctor.verdict().starts_with("web: as far as can be seen"),
        "{}",
        doctor.text
    );
    doctor.assert_remedy("hooks", "unknown", "--supervisor upstart");
    for flags in [&[][..], &["--json"]] {
        let mut ask = machine.machine.command("doctor");
        let output = ask.arg("wbe").args(flags).output().unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.starts_with("error: nobody here knows a job wbe; did you mean web?\n")
                && said.contains("\nSet up are: web\n"),
            "{said}"
        );
    }
    let output = machine
        .machine
        .command("doctor")
        .args(["web", "--supervisor", "upstart"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stdout)
            .starts_with("web: a crash would NOT be caught: Upstart does not know web")
    );
}

#[test]
fn without_a_name_every_job_that_is_set_up_is_checked() {
    let machine = Machine::new();
    let ask = || machine.machine.command("doctor").output().unwrap();
    let none = ask();
    assert_eq!(
        (none.status.code(), none.stdout.as_slice()),
        (Some(1), &b"no job is set up: lastwords setup JOB\n"[..])
    );
    machine.machine.bare_job("a", SERVE);
    machine.machine.bare_job("b", SERVE);
    let written = machine
        .machine
        .command("setup")
        .args(["a", "--write"])
        .output()
        .unwrap();
    assert!(written.status.success());
    machine.machine.configure("b", "");
    let said = String::from_utf8(ask().stdout).unwrap();
    assert!(
        said.contains("a: as far as can be seen, a crash would be caught")
            && said.contains("\nb: a crash would NOT be caught"),
        "{said}"
    );
}

mod as_root {
    use std::os::unix::fs::chown;

    use super::*;
    use crate::as_root::machine_for_users;

    const UID: u32 = 54_324;

    #[test]
    fn a_setuid_job_needs_directories_of_its_own_and_the_right_to_read_its_log() {
        let machine = machine_for_users();
        let _syslog = SystemLog::of(&machine);
        fs::write(machine.config.join("lastwords.toml"), CONFIG).unwrap();
        succeeds(&machine, "setup");
        succeeds(&machine, "deliver");
        machine.bare_job("web", &format!("setuid {UID}\n{SERVE}"));
        let setup = || {
            machine
                .command("setup")
                .args(["web", "--write"])
                .output()
                .unwrap()
        };
        let hooks = ["pre-start", "pre-stop", "post-stop"]
            .map(|hook| format!("{hook} exec {}\n", machine.hook(hook)));
        machine.bare_job("web", &format!("setuid {UID}\n{}{SERVE}", hooks.concat()));
        Doctor::ask(&machine).assert_problem(
            "user",
            "NOT be caught: its hooks run as 54324",
            "user = \"54324\" in jobs/web.toml",
        );
        assert!(setup().status.success());
        let log = machine.root.join("var/log/upstart/web.log");
        fs::write(&log, "hello\n").unwrap();
        fs::set_permissions(&log, Permissions::from_mode(0o640)).unwrap();
        let doctor = Doctor::ask(&machine);
        doctor.assert_weak(
            "log",
            "run as user 54324, which may not read /var/log/upstart/web.log",
            "setfacl",
        );
        assert_eq!(doctor.about("directories")[0].0, "ok", "{}", doctor.text);

        let markers = machine.run.join(format!("user/{UID}/markers"));
        chown(&markers, Some(1), None).unwrap();
        Doctor::ask(&machine).assert_problem(
            "directories",
            "should be a directory of user 54324, but belongs to user 1",
            "lastwords setup",
        );
        fs::remove_dir(&markers).unwrap();
        Doctor::ask(&machine).assert_problem(
            "directories",
            "does not exist, and the job's hooks",
            "lastwords setup",
        );
    }

    #[test]
    fn a_spool_of_another_owner_is_a_problem() {
        let machine = Machine::new();
        let mut web = machine.start();
        chown(&machine.machine.spool, Some(UID), None).unwrap();
        machine.doctor().assert_problem(
            "directories",
            "belongs to user 54324, who can put anything into it",
            "chown root",
        );
        web.stop();
        chown(&machine.machine.spool, Some(0), None).unwrap();
    }
}
