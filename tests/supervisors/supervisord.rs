//! A real supervisord with the event listener.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use lastwords::report::{Exit, ReportId, Verdict};
use rustix::process::{Pid, Signal, kill_process};

use crate::now::{self, Row, row};
use crate::support::harness::{Harness, killed_by, names_in, wait_for};
use crate::ways::{self, Control, Kill, Nothing, Silence, Way, crashed, way};

struct Supervisord<'a> {
    machine: &'a Harness,
    process: Child,
}

impl<'a> Supervisord<'a> {
    /// Starts it with these programs, which count as started at once, and with `more` config.
    fn start(machine: &'a Harness, ways: &[Way], more: &str) -> Self {
        let mut config = format!(
            "[supervisord]\nlogfile={log}\npidfile={dir}/supervisord.pid\nchildlogdir={dir}\n\
             [unix_http_server]\nfile={dir}/socket\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{dir}/socket\n{more}\n{listener}\n",
            log = log(machine).display(),
            dir = machine.path("").display(),
            listener = listener(machine),
        );
        for way in ways {
            let program = way.program(machine);
            let _ = write!(
                config,
                "[program:{}]\ncommand=sh {}\nstartsecs=0\nautorestart=true\nstopwaitsecs=1\n",
                way.name,
                program.display()
            );
        }
        let path = machine.path("supervisord.conf");
        fs::write(&path, config).unwrap();
        let process = quiet(Command::new("supervisord").arg("-n").arg("-c").arg(&path)).spawn();
        Self {
            machine,
            process: process.expect("supervisor is installed"),
        }
    }

    fn ctl(&self, words: &[&str]) {
        let config = self.machine.path("supervisord.conf");
        let _ = quiet(
            Command::new("supervisorctl")
                .arg("-c")
                .arg(config)
                .args(words),
        )
        .status()
        .unwrap();
    }

    fn end(&self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
    }
}

impl Drop for Supervisord<'_> {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.end();
        }
        let _ = self.process.wait();
    }
}

fn quiet(command: &mut Command) -> &mut Command {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}

fn log(machine: &Harness) -> PathBuf {
    machine.path("supervisord.log")
}

/// Returns the listener's command line, for this machine.
fn command_line(machine: &Harness) -> Vec<PathBuf> {
    let mut argv = machine.hook_argv("listen");
    let flags = argv.split_off(2);
    argv.push("supervisord".into());
    argv.extend([
        "--supervisord-log".into(),
        log(machine),
        "--child-logs".into(),
        machine.path(""),
    ]);
    argv.into_iter().chain(flags).collect()
}

/// Returns our section of its config.
fn listener(machine: &Harness) -> String {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/config/supervisor/lastwords.conf"
    );
    let words: Vec<String> = command_line(machine)
        .iter()
        .map(|word| word.display().to_string())
        .collect();
    let text = fs::read_to_string(file).unwrap();
    let ours = text.replace("/usr/bin/lastwords listen supervisord", &words.join(" "));
    assert_ne!(text, ours);
    ours
}

#[test]
fn every_way_to_end_gets_the_right_report() {
    let machine = ways::machine();
    let more = [
        way("exit-0", "exit 0", Nothing, Silence),
        way(
            "term",
            "",
            Kill(Signal::TERM),
            crashed(killed_by("TERM"), "killed by SIGTERM"),
        ),
        way("stop", "", Control("stop"), Silence),
        way(
            "stop-exits-3",
            "trap 'exit 3' TERM; while :; do sleep 0.1; done",
            Control("stop"),
            Silence,
        ),
        way(
            "stop-needs-kill",
            "trap '' TERM; while :; do sleep 0.1; done",
            Control("stop"),
            Silence,
        ),
        way(
            "stop-segv",
            "trap 'kill -SEGV $$' TERM; while :; do sleep 0.1; done",
            Control("stop"),
            crashed(killed_by("SEGV"), "killed by SIGSEGV"),
        ),
        way("restart", "", Control("restart"), Silence),
        way(
            "signal-kill",
            "",
            Control("signal KILL"),
            crashed(killed_by("KILL"), "killed by SIGKILL"),
        ),
    ];
    let ways: Vec<Way> = ways::plain_deaths(&machine)
        .into_iter()
        .chain(more)
        .collect();
    let supervisord = Supervisord::start(&machine, &ways, "");
    ways::check("supervisord", &machine, &ways, &|name, command| {
        let words: Vec<&str> = command.split(' ').chain([name]).collect();
        supervisord.ctl(&words);
    });
    for report in machine.reports() {
        assert_eq!(report.stop.supervisor.name(), "supervisord");
        assert!(report.stop.pid.is_some(), "{report:#?}");
    }
}

#[test]
fn a_shutdown_is_planned_and_so_it_is_when_supervisord_comes_back() {
    let machine = ways::machine();
    let web = way("web", "", Control("end"), Silence);
    let ways = std::slice::from_ref(&web);
    let mut supervisord = Supervisord::start(&machine, ways, "");
    web.act(&machine, &|_, _| supervisord.end());
    supervisord.process.wait().unwrap();
    let _again = Supervisord::start(&machine, ways, "");
    let last_start = || {
        fs::read_to_string(log(&machine))
            .unwrap()
            .matches("spawned: 'web'")
            .count()
    };
    wait_for("its next life", || {
        last_start() == 2 && web.runs_again(&machine)
    });
    // supervisord sends no event before the listener has run for a second.
    let armed_again = || {
        fs::read_to_string(machine.run.join("markers/web"))
            .is_ok_and(|marker| marker.contains("\"planned_ms\":null"))
    };
    wait_for("its marker", armed_again);
    machine.settle_hooks();
    assert_eq!(machine.reports(), []);
}

#[test]
fn a_program_that_does_not_come_up_is_reported_each_time() {
    let machine = ways::machine();
    let more = "[program:missing]\ncommand=/nonexistent/server\nstartretries=1\n\
                [program:quick]\ncommand=sh -c 'exit 3'\nstartretries=1\n";
    let _supervisord = Supervisord::start(&machine, &[], more);
    wait_for("all reports", || machine.reports().len() >= 4);
    machine.settle_hooks();
    let said = |job: &str| -> Vec<_> {
        let reports = machine
            .reports()
            .into_iter()
            .filter(|report| report.stop.service() == job);
        let mut said: Vec<_> = reports
            .map(|report| (report.cause.line, report.verdict, report.stop.exit))
            .collect();
        // Two of the reports may have the same time.
        said.sort_by_key(|(line, ..)| line.clone());
        said
    };
    let aborted = |line: String| (line, Verdict::AbortedStart, Exit::Unknown);
    let missing = "can't find command '/nonexistent/server'";
    let tried = aborted(format!("main: {missing}"));
    assert_eq!(said("missing"), [tried.clone(), tried]);
    let quick = said("quick");
    for (line, verdict, exit) in &quick {
        assert_eq!((*verdict, exit), (Verdict::Crashed, &Exit::Code(3)));
        assert!(line.starts_with("exit code 3"), "{line}");
    }
    // On a very busy machine a start may count as successful, and then there is one more report.
    assert!(quick.len() >= 2, "{quick:#?}");
}

#[test]
fn that_supervisord_gives_up_is_told_once_though_supervisorctl_cannot_be_asked() {
    let machine = Harness::new();
    machine.keep_messages();
    let mut listener = Listener::new(&machine);
    let state = |state: &str, from: &str| {
        (
            format!("PROCESS_STATE_{state}"),
            format!("processname:web groupname:web from_state:{from} tries:1"),
        )
    };
    for (event, payload) in [
        state("STARTING", "STOPPED"),
        state("BACKOFF", "STARTING"),
        state("FATAL", "BACKOFF"),
    ] {
        listener.send(&event, &payload);
    }
    listener.close();
    machine.settle_hooks();
    let given_up =
        "down: supervisord has given up (FATAL: it could not be started, or ended at once)";
    machine.wait_for_messages("web", 1, None);
    let told = machine.messages();
    assert!(told[0].contains(given_up), "{}", told[0]);
    let row = row(
        "FATAL",
        "web",
        &[("could not start", "down: supervisord has given up")],
    );
    now::check("supervisord's listener", &[row], || machine.messages());
}

#[test]
fn the_processes_of_one_program_are_its_instances_and_their_own_logs_are_read() {
    let machine = ways::machine();
    let die = machine.path("die");
    fs::write(&die, "sleep 0.3; echo \"panic: number $1\" >&2; exit 2\n").unwrap();
    let more = format!(
        "[program:web]\ncommand=sh {} %(process_num)d\nprocess_name=%(program_name)s_%(process_num)d\nnumprocs=2\n\
         startsecs=0\nautorestart=false\n",
        die.display()
    );
    let _supervisord = Supervisord::start(&machine, &[], &more);
    wait_for("both reports", || machine.reports().len() >= 2);
    machine.settle_hooks();
    let mut reports = machine.reports();
    reports.sort_by_key(|report| report.stop.instance.clone());
    for (number, report) in reports.iter().enumerate() {
        assert_eq!(
            (report.stop.job.as_str(), report.stop.instance.clone()),
            ("web", Some(format!("web_{number}")))
        );
        let logs = report
            .sections
            .iter()
            .filter(|section| section.collector.starts_with("log "));
        assert!(
            logs.clone()
                .any(|log| log.text.contains(&format!("panic: number {number}"))),
            "{report:#?}"
        );
    }
}

/// A listener that gets its events from the test.
struct Listener {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Listener {
    fn new(machine: &Harness) -> Self {
        let argv = command_line(machine);
        let mut command = Command::new(&argv[0]);
        // supervisord sets this variable for each of its processes.
        command.envs([
            ("SUPERVISOR_PROCESS_NAME", "lastwords"),
            ("SUPERVISOR_GROUP_NAME", "lastwords"),
        ]);
        let mut process = command
            .args(&argv[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary");
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, answers }
    }

    /// Sends an event when the listener is ready, and waits for the answer.
    fn send(&mut self, name: &str, payload: &str) {
        let header = format!(
            "ver:3.0 server:supervisor serial:1 pool:l poolserial:1 eventname:{name} len:{}",
            payload.len()
        );
        self.send_raw(&format!("{header}\n{payload}"));
    }

    fn send_raw(&mut self, text: &str) {
        assert_eq!(self.line(), "READY\n");
        self.process
            .stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        assert_eq!(self.line(), "RESULT 2\n");
        let mut ok = [0; 2];
        std::io::Read::read_exact(&mut self.answers, &mut ok).unwrap();
        assert_eq!(&ok, b"OK");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line
    }

    /// Closes its stdin. Returns true if it then ended well, without a word that the protocol does
    /// not allow.
    fn close(mut self) {
        drop(self.process.stdin.take());
        assert_eq!(self.line(), "READY\n");
        assert_eq!(self.line(), "");
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
fn none_of_a_thousand_events_at_once_is_lost() {
    let machine = ways::machine();
    let mut listener = Listener::new(&machine);
    for number in 0..1000 {
        listener.send(
            "PROCESS_STATE_EXITED",
            &format!(
                "processname:p{} groupname:web from_state:RUNNING expected:0 pid:{}",
                number % 20,
                5000 + number
            ),
        );
    }
    listener.close();
    // An end that no worker has handled yet is a taken marker, which names its future report.
    wait_for("a record of each", || {
        let names = names_in(&machine.run.join("markers"))
            .into_iter()
            .chain(names_in(&machine.run.join("inbox")));
        let ids = names.filter_map(|name| {
            Some(
                name.split_once("~taken-")
                    .map_or(&*name, |(_, id)| id)
                    .get(..32)?
                    .to_owned(),
            )
        });
        let ids = ids.filter(|id| ReportId::parse(id).is_ok());
        let reports = machine
            .reports()
            .into_iter()
            .map(|report| report.id.to_string());
        ids.chain(reports).collect::<BTreeSet<String>>().len() == 1000
    });
    // The deliverer would take a while for the rest.
    while let Some(pid) = machine.left_running().first() {
        let _ = kill_process(*pid, Signal::KILL);
    }
}

#[test]
fn a_text_that_is_not_an_event_is_answered_and_skipped() {
    let machine = ways::machine();
    let mut listener = Listener::new(&machine);
    listener.send_raw("nonsense\n");
    listener.send("TICK_5", "when:1");
    listener.send("PROCESS_STATE_EXITED", "");
    listener.send(
        "PROCESS_STATE_EXITED",
        "processname: groupname:web expected:0",
    );
    listener.send("PROCESS_STATE_EXITED", &"x".repeat(100_000));
    listener.send(
        "PROCESS_STATE_EXITED",
        "processname:../../x groupname:web expected:0 pid:0",
    );
    listener.close();
    machine.settle_hooks();
    let services: Vec<String> = machine
        .reports()
        .iter()
        .map(|report| report.stop.service())
        .collect();
    assert!(
        services.len() <= 2 && machine.markers().is_empty(),
        "{services:?}"
    );
}

#[test]
fn the_listener_arms_no_marker_for_itself() {
    let machine = ways::machine();
    let mut listener = Listener::new(&machine);
    for service in ["lastwords", "web"] {
        let payload =
            format!("processname:{service} groupname:{service} from_state:STOPPED tries:0");
        listener.send("PROCESS_STATE_STARTING", &payload);
    }
    listener.close();
    assert_eq!(machine.markers(), ["web"]);
}

#[test]
fn without_supervisords_log_the_end_is_a_crash_whose_exit_is_unknown() {
    let machine = ways::machine();
    let mut listener = Listener::new(&machine);
    listener.send(
        "PROCESS_STATE_EXITED",
        "processname:web groupname:web from_state:RUNNING expected:0 pid:4242",
    );
    listener.close();
    wait_for("its report", || !machine.reports().is_empty());
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit, report.stop.pid),
        (Verdict::Crashed, &Exit::Unknown, Some(4242))
    );
}

/// What happened to each program, and what people hear of it.
const TABLE: [Row; 6] = [
    row(
        "crash, then a restart",
        "back",
        &[("crashed: exit code 1", "up "), ("is up again", "up again")],
    ),
    row(
        "given up (FATAL)",
        "given-up",
        &[
            (
                "crashed, and is down: exit code 3",
                "down: supervisord has given up (FATAL: ",
            ),
            (
                "has been down for ",
                "down: supervisord has given up (FATAL: ",
            ),
        ],
    ),
    row(
        "crash without autorestart",
        "once",
        &[
            (
                "crashed, and is down: exit code 1",
                "down: supervisord does not restart it (EXITED)",
            ),
            (
                "has been down for ",
                "down: supervisord does not restart it (EXITED)",
            ),
        ],
    ),
    row("supervisorctl stop", "stopped", &[]),
    row("supervisorctl restart", "restarted", &[]),
    row("an exit code that it expects", "done", &[]),
];

/// Returns a machine that keeps its messages, and whose deliverer finds supervisorctl.
fn telling_machine() -> Harness {
    let machine = Harness::new();
    machine.keep_messages();
    let ours = machine.root.join("usr/bin/supervisorctl");
    fs::create_dir_all(ours.parent().unwrap()).unwrap();
    symlink("/usr/bin/supervisorctl", ours).unwrap();
    fs::create_dir_all(machine.root.join("etc/supervisor")).unwrap();
    let main_file = machine.root.join("etc/supervisor/supervisord.conf");
    symlink(machine.path("supervisord.conf"), main_file).unwrap();
    machine
}

#[test]
fn each_message_says_how_things_stand_with_the_program_now() {
    let machine = telling_machine();
    let mut more = String::new();
    for (name, first_life, settings) in [
        ("back", "exit 1", "startsecs=0"),
        ("given-up", "exit 3", "startsecs=60\nstartretries=0"),
        ("once", "exit 1", "startsecs=0\nautorestart=false"),
        ("stopped", "", "startsecs=0"),
        ("restarted", "", "startsecs=0"),
        ("done", "exit 0", "startsecs=0\nautorestart=unexpected"),
    ] {
        let program = way(name, first_life, Nothing, Silence).program(&machine);
        let _ = writeln!(
            more,
            "[program:{name}]\ncommand=sh {}\n{settings}",
            program.display()
        );
    }
    let supervisord = Supervisord::start(&machine, &[], &more);
    for (job, command) in [("stopped", "stop"), ("restarted", "restart")] {
        wait_for("its marker", || machine.markers().contains(&job.to_owned()));
        supervisord.ctl(&[command, job]);
    }
    for job in ["back", "once"] {
        machine.wait_for_messages(job, 1, None);
    }
    machine.wait_for_messages("given-up", 1, None);
    machine.wait_for_messages("back", 2, Some("11m"));
    // The look before this one may have noted that they are down, and reminders come an hour after.
    machine.wait_for_messages("given-up", 2, Some("72m"));
    machine.wait_for_messages("once", 2, Some("72m"));
    machine.settle_hooks();
    now::check("supervisord", &TABLE, || machine.messages());
}

const STOPPED: Row = row(
    "crash, a restart, supervisorctl stop",
    "left",
    &[
        ("crashed: exit code 1", ""),
        (
            "came up again, and was stopped as planned, after exit code 1",
            "",
        ),
    ],
);

#[test]
fn a_program_that_came_up_again_and_was_then_stopped_is_said_to_be_so() {
    let machine = telling_machine();
    let program = way("left", "exit 1", Nothing, Silence).program(&machine);
    let program = program.display();
    let more = format!("[program:left]\ncommand=sh {program}\nstartsecs=0\n");
    let supervisord = Supervisord::start(&machine, &[], &more);
    machine.wait_for_messages("left", 1, None);
    wait_for("its next life", || {
        machine.markers().contains(&"left".to_owned())
    });
    supervisord.ctl(&["stop", "left"]);
    machine.settle_hooks();
    machine.wait_for_messages("left", 2, Some("11m"));
    machine.look("72m");
    now::check("supervisord, stopped", &[STOPPED], || machine.messages());
}

mod as_root {
    use super::Supervisord;
    use crate::support::cgroup::Cgroup;
    use crate::ways;

    #[test]
    fn running_out_of_memory_is_distinguished_from_a_kill() {
        let (machine, cgroup) = (ways::machine(), Cgroup::new());
        let ways = [ways::out_of_memory(&cgroup)];
        let _supervisord = Supervisord::start(&machine, &ways, "");
        ways::check("supervisord, memory", &machine, &ways, &|_, _| {});
    }
}
