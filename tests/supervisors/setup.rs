//! The whole way on the supervisors other than systemd, from a service without lastwords to its
//! crash, with the doctor's answers on the way.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use lastwords::report::{Exit, Report, Verdict};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::harness::{Harness, wait_for};
use crate::told::Doctor;

const SINK: &str = "[[sink.exec]]\nname = 'keep'\ncommand = ['/bin/cat']\n";
const WELL: &str = "web: a crash would be caught and told to keep (not verified)";

/// Returns a program that ends once its file exists, and runs in its next life.
fn program(machine: &Harness) -> String {
    let at = |name: &str| machine.path(name).display().to_string();
    let (die, lives) = (at("die"), at("lives"));
    let text = format!(
        "echo x >>{lives}\nwhile [ ! -e {die} ]; do sleep 0.02; done\nrm {die}\necho 'panic: no such customer' >&2\nexit 3\n"
    );
    let path = machine.path("program");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn lives(machine: &Harness) -> usize {
    fs::read_to_string(machine.path("lives"))
        .unwrap_or_default()
        .lines()
        .count()
}

fn machine() -> Harness {
    let machine = Harness::new();
    fs::write(machine.config.join("lastwords.toml"), SINK).unwrap();
    for name in ["bin", "usr"] {
        symlink(Path::new("/").join(name), machine.root.join(name)).unwrap();
    }
    machine
}

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn setup(machine: &Harness) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = machine
        .command("setup")
        .args(["web", "--write"])
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

fn doctor(machine: &Harness) -> Doctor {
    let ask = |args: &[&str]| {
        machine
            .command("doctor")
            .arg("web")
            .args(args)
            .output()
            .unwrap()
    };
    Doctor::of(&ask(&["--json"]), &ask(&[]))
}

/// Lets the service die, and waits for its report.
fn crash(machine: &Harness) -> Report {
    let before = (lives(machine), machine.reports().len());
    fs::write(machine.path("die"), "").unwrap();
    wait_for("its next life", || lives(machine) > before.0);
    wait_for("its report", || machine.reports().len() > before.1);
    let report = machine.reports().pop().unwrap();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, &Exit::Code(3)),
        "{report:#?}"
    );
    report
}

/// Checks that the log that the supervisor keeps is in the report.
fn assert_logged(report: &Report) {
    assert!(
        report
            .sections
            .iter()
            .any(|it| it.collector.starts_with("log ") && it.text.contains("no such customer")),
        "{report:#?}"
    );
}

/// A supervisor. It ends when this is dropped.
struct Supervisor(Child);

impl Supervisor {
    fn start(command: &mut Command) -> Self {
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(quiet.spawn().expect("it is installed"))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

fn watch(machine: &Harness, run: &Path) -> Supervisor {
    let deliverer = Supervisor::start(&mut Command::new(run));
    wait_for("the deliverer's first look", || {
        machine.run.join("deliverer").exists()
    });
    deliverer
}

#[test]
fn runit_the_files_of_setup_are_active_at_once_and_the_doctor_knows_each_step() {
    let machine = machine();
    let dir = machine.root.join("etc/sv/web");
    script(
        &dir.join("run"),
        &format!("#!/bin/sh\nexec 2>&1\nexec sh {}\n", program(&machine)),
    );
    script(
        &dir.join("log/run"),
        "#!/bin/sh\nmkdir -p main\nexec svlogd main\n",
    );
    let _runsv = Supervisor::start(Command::new("runsv").arg(&dir));
    wait_for("its first life", || lives(&machine) == 1);
    doctor(&machine).assert_problem(
        "hooks",
        "NOT be caught: there is no /etc/sv/web/finish",
        "lastwords setup web --write",
    );

    let (code, said) = setup(&machine);
    assert!(
        code == Some(0) && said.contains("better still, in /etc/sv/web/run"),
        "{said}"
    );
    assert!(
        setup(&machine)
            .1
            .contains("nothing to write: all of it is there")
    );
    doctor(&machine).assert(
        "deliverer",
        "problem",
        "no deliverer looks regularly",
        "lastwords setup web",
    );
    let _deliverer = watch(&machine, &machine.root.join("etc/sv/lastwords/run"));
    let doctor_says = doctor(&machine);
    assert_eq!((doctor_says.code, doctor_says.verdict()), (Some(0), WELL));
    doctor_says.assert(
        "hooks",
        "weak",
        "run does not call pre-start",
        "put into it, before its last command: ",
    );
    doctor_says.assert("marker", "weak", "nothing calls pre-start", "see hooks");
    doctor_says.assert("log", "ok", "log/main/current can be read", "");
    assert_logged(&crash(&machine));

    let line = said
        .lines()
        .find(|line| line.contains(" pre-start "))
        .unwrap();
    script(
        &dir.join("run"),
        &format!(
            "#!/bin/sh\nexec 2>&1\n{line}\nexec sh {}\n",
            program(&machine)
        ),
    );
    crash(&machine);
    doctor(&machine).assert("marker", "ok", "armed ", "");
    assert!(crash(&machine).stop.uptime_s.is_some());
}

#[test]
fn runit_a_finish_of_ones_own_is_called_from_inside_or_the_doctor_says_that_it_is_not() {
    let machine = machine();
    let dir = machine.root.join("etc/sv/web");
    script(
        &dir.join("run"),
        &format!("#!/bin/sh\nexec sh {}\n", program(&machine)),
    );
    let finish = dir.join("finish");
    let own = "#!/bin/sh\nrm -f ./x\nexec true\n";
    script(&finish, own);
    let (code, said) = setup(&machine);
    assert_eq!(
        (code, fs::read_to_string(&finish).unwrap().as_str()),
        (Some(1), own)
    );
    let call = said
        .lines()
        .find(|line| line.contains(" post-stop "))
        .unwrap();
    for (text, state, about, remedy) in [
        (
            format!("{own}{call}\n"),
            "problem",
            "ends before it gets there: line 3, `exec true`",
            "its first command",
        ),
        (
            format!("#!/bin/sh\n[ $1 = 0 ] && exit\n{call}\n"),
            "unknown",
            "perhaps not at every end",
            "its first command",
        ),
        (
            format!("{call}\n"),
            "problem",
            "has no #! line",
            "#!/bin/sh",
        ),
        (
            format!("#!/nonexistent/sh\n{call}\n"),
            "problem",
            "there is no /nonexistent/sh",
            "name one",
        ),
    ] {
        script(&finish, &text);
        doctor(&machine).assert("hooks", state, about, remedy);
    }
    script(&finish, &own.replacen('\n', &format!("\n{call}\n"), 1));
    fs::set_permissions(&finish, Permissions::from_mode(0o644)).unwrap();
    doctor(&machine).assert_problem("hooks", "cannot be executed", "chmod +x /etc/sv/web/finish");
    fs::set_permissions(&finish, Permissions::from_mode(0o755)).unwrap();
    doctor(&machine).assert("hooks", "ok", "runit's finish calls post-stop", "");
    doctor(&machine).assert("marker", "ok", "the service is not running", "");
    assert_eq!(setup(&machine).0, Some(0));
    let _runsv = Supervisor::start(Command::new("runsv").arg(&dir));
    wait_for("its first life", || lives(&machine) == 1);
    crash(&machine);
}

#[test]
fn s6_the_files_of_setup_are_active_at_once_and_the_doctor_knows_each_step() {
    let machine = machine();
    let dir = machine.root.join("run/service/web");
    script(
        &dir.join("run"),
        &format!("#!/bin/sh\nexec 2>&1\nexec sh {}\n", program(&machine)),
    );
    script(&dir.join("log/run"), "#!/bin/sh\nexec s6-log ./main\n");
    let _svscan = Supervisor::start(Command::new("s6-svscan").arg(dir.parent().unwrap()));
    wait_for("its first life", || lives(&machine) == 1);
    doctor(&machine).assert_problem(
        "hooks",
        "NOT be caught: there is no /run/service/web/finish",
        "lastwords setup web --write",
    );

    let (code, said) = setup(&machine);
    assert!(
        code == Some(0) && said.contains("/run/service is made anew at each boot"),
        "{said}"
    );
    assert!(
        setup(&machine)
            .1
            .contains("nothing to write: all of it is there")
    );
    let scanned = said
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("s6-svscanctl -a ")?
                .split(' ')
                .next()
        })
        .unwrap();
    let scanned = machine.root.join(scanned.trim_start_matches('/'));
    assert!(
        Command::new("s6-svscanctl")
            .arg("-a")
            .arg(scanned)
            .status()
            .unwrap()
            .success()
    );
    wait_for("the deliverer's first look", || {
        machine.run.join("deliverer").exists()
    });
    let doctor_says = doctor(&machine);
    assert_eq!((doctor_says.code, doctor_says.verdict()), (Some(0), WELL));
    doctor_says.assert(
        "hooks",
        "weak",
        "run does not call pre-start",
        "put into it, before its last command: ",
    );
    doctor_says.assert("marker", "weak", "nothing calls pre-start", "see hooks");
    doctor_says.assert("log", "ok", "log/main/current can be read", "");
    assert_logged(&crash(&machine));
}

/// A real supervisord, with its config where Debian has it.
struct Supervisord<'a> {
    machine: &'a Harness,
    _process: Supervisor,
}

impl<'a> Supervisord<'a> {
    fn start(machine: &'a Harness) -> Self {
        let at = |name: &str| machine.path(name).display().to_string();
        let (conf, log) = (Self::conf(machine), machine.root.join("var/log/supervisor"));
        fs::create_dir_all(&log).unwrap();
        fs::create_dir_all(conf.parent().unwrap().join("conf.d")).unwrap();
        let text = format!(
            "[supervisord]\nlogfile={log}/supervisord.log\npidfile={}\nchildlogdir={log}\n[unix_http_server]\nfile={socket}\n\
             [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{socket}\n[include]\nfiles = conf.d/*.conf\n\
             [program:web]\ncommand=sh {}\nstartsecs=0\nautorestart=true\n",
            at("supervisord.pid"),
            program(machine),
            log = log.display(),
            socket = at("socket"),
        );
        fs::write(&conf, text).unwrap();
        let process = Supervisor::start(Command::new("supervisord").arg("-n").arg("-c").arg(&conf));
        let this = Self {
            machine,
            _process: process,
        };
        wait_for("its first life", || lives(machine) == 1);
        wait_for("supervisord's answer", || {
            this.ctl("status").contains("web ")
        });
        this
    }

    fn conf(machine: &Harness) -> PathBuf {
        machine.root.join("etc/supervisor/supervisord.conf")
    }

    /// Runs a supervisorctl command as it was shown.
    fn ctl(&self, words: &str) -> String {
        let words = words
            .split('#')
            .next()
            .unwrap()
            .split_whitespace()
            .skip_while(|word| *word == "supervisorctl");
        let conf = Self::conf(self.machine);
        let output = Command::new("supervisorctl")
            .arg("-c")
            .arg(conf)
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn wait_for_state(&self, state: &str) {
        wait_for("the listener's state", || {
            self.ctl("status lastwords").contains(state)
        });
    }
}

#[test]
fn supervisord_setup_starts_a_listener_and_restarts_no_program_and_the_doctor_knows_each_step() {
    let machine = machine();
    let supervisord = Supervisord::start(&machine);
    doctor(&machine).assert_problem(
        "hooks",
        "NOT be caught: supervisord has no listener",
        "lastwords setup web --write",
    );

    let (code, said) = setup(&machine);
    assert_eq!(code, Some(0), "{said}");
    let (file, log) = (
        machine.root.join("etc/supervisor/conf.d/lastwords.conf"),
        machine.root.join("var/log/supervisor"),
    );
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        setup(&machine)
            .1
            .contains("nothing to write: all of it is there")
    );
    let doctor_says = doctor(&machine);
    doctor_says.assert_problem(
        "hooks",
        "NOT be caught: /etc/supervisor/conf.d/lastwords.conf has our listener, but",
        "supervisorctl update",
    );
    supervisord.ctl(
        said.lines()
            .find(|line| line.contains("supervisorctl"))
            .unwrap(),
    );
    assert_eq!(lives(&machine), 1, "no program is started anew for it");
    supervisord.wait_for_state("RUNNING");
    wait_for("the deliverer's first look", || {
        machine.run.join("deliverer").exists()
    });
    let doctor_says = doctor(&machine);
    assert_eq!((doctor_says.code, doctor_says.verdict()), (Some(0), WELL));
    doctor_says.assert(
        "marker",
        "weak",
        "the service was started before its hooks were set up",
        "supervisorctl restart web",
    );
    doctor_says.assert("log", "ok", "web-stdout---supervisor-", "");
    assert_logged(&crash(&machine));

    supervisord.ctl("stop lastwords");
    let stopped = doctor(&machine);
    stopped.assert_problem(
        "hooks",
        "NOT be caught: supervisord's listener is stopped",
        "supervisorctl start lastwords",
    );
    supervisord.ctl(&stopped.remedy("hooks"));
    supervisord.wait_for_state("RUNNING");
    let mut lines = fs::read_to_string(log.join("supervisord.log")).unwrap();
    lines += "2026-11-23 03:00:00,123 ERRO pool lastwords event buffer overflowed, discarding event 12\n";
    fs::write(log.join("supervisord.log"), lines).unwrap();
    doctor(&machine).assert(
        "events",
        "weak",
        "thrown 1 of our events away",
        "buffer_size=10000",
    );
    // The program has been removed.
    let program = machine.hook_argv("listen")[0].display().to_string();
    let text = text
        .replace(&program, "/nonexistent/lastwords")
        .replace("autorestart=true", "startretries=0");
    fs::write(&file, text).unwrap();
    supervisord.ctl("update lastwords");
    supervisord.wait_for_state("FATAL");
    let fatal = doctor(&machine);
    fatal.assert_problem(
        "hooks",
        "listener does not run: FATAL",
        "supervisorctl start lastwords",
    );
    fatal.assert_problem("program", "FATAL", "install");
}

#[test]
fn run_the_doctor_knows_a_job_while_lastwords_run_lives() {
    let machine = machine();
    assert!(machine.command("deliver").status().unwrap().success());
    let unknown = machine.command("doctor").arg("web").output().unwrap();
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("nobody here knows a job web"), "{said}");
    let mut run = machine.command("run");
    let run = Supervisor::start(run.args(["--job", "web", "--", "sh", &program(&machine)]));
    wait_for("its first life", || lives(&machine) == 1);
    let alive = doctor(&machine);
    assert_eq!((alive.code, alive.verdict()), (Some(0), WELL));
    let all = machine.command("doctor").output().unwrap();
    assert!(all.stdout.starts_with(WELL.as_bytes()), "{all:?}");
    drop(run);
    let ask = |args: &[&str]| {
        machine
            .command("doctor")
            .args(["web", "--supervisor", "run"])
            .args(args)
            .output()
            .unwrap()
    };
    Doctor::of(&ask(&["--json"]), &ask(&[])).assert(
        "hooks",
        "ok",
        "`lastwords run` ran it before. It does not run now",
        "",
    );
    machine.settle_hooks();
    assert_eq!(machine.reports(), [], "nor has the doctor's look made one");
}
