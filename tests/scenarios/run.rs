//! `lastwords run`: the command behaves as it would by itself, and its crashes are known exactly.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use lastwords::report::{Death, Exit, Report, Supervisor, Verdict};
use rustix::process::{Pid, Signal, kill_process};

use crate::as_root;
use crate::support::harness::{
    Harness, assert_crashed, evidence, killed_by, wait_for, wait_for_some,
};
use crate::support::process::open_pty;

/// Returns `lastwords run` on this machine, as the job `web`.
fn run(machine: &Harness, command: &[&str]) -> Command {
    let mut run = machine.command("run");
    run.args(["--job", "web", "--"]).args(command);
    run
}

fn output(machine: &Harness, script: &str) -> Output {
    run(machine, &["sh", "-c", script]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the command's output, as the report holds it.
fn kept(report: &Report) -> &str {
    &report
        .sections
        .iter()
        .find(|section| section.collector == "log output")
        .unwrap()
        .text
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Returns the pid of the command that it runs.
fn main_of(child: &Child) -> Pid {
    let path = format!("/proc/{0}/task/{0}/children", child.id());
    wait_for_some("the command", || {
        let children = fs::read_to_string(&path).ok()?;
        Pid::from_raw(children.split_ascii_whitespace().next()?.parse().ok()?)
    })
}

/// Starts a script that prints `ready`, and waits for that.
fn start(machine: &Harness, script: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = run(machine, &["sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, said)
}

const RUNS: &str = "echo ready; while :; do sleep 0.01; done";

fn ends_after(machine: &Harness, script: &str, signals: &[Signal]) -> ExitStatus {
    let (mut child, _said) = start(machine, script);
    for signal in signals {
        kill_process(pid(&child), *signal).unwrap();
    }
    child.wait().unwrap()
}

#[test]
fn it_ends_as_the_command_ends() {
    let machine = Harness::new();
    for code in [0, 1, 125, 126, 255] {
        assert_eq!(
            output(&machine, &format!("exit {code}")).status.code(),
            Some(code)
        );
    }
    for (name, signal) in [
        ("TERM", 15),
        ("KILL", 9),
        ("SEGV", 11),
        ("PIPE", 13),
        ("USR1", 10),
        ("40", 40),
    ] {
        let status = output(&machine, &format!("kill -{name} $$")).status;
        assert_eq!(
            (status.signal(), status.core_dumped()),
            (Some(signal), false),
            "{name}"
        );
    }
}

#[test]
fn a_command_that_cannot_be_run_gives_a_shells_exit_code_and_the_report_of_a_failed_start() {
    let machine = Harness::new();
    for (command, code, why) in [
        ("no-such-command", 127, "No such file or directory"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/", 126, "Permission denied"),
    ] {
        let output = run(&machine, &[command]).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        let said = text(&output.stderr);
        assert!(
            said.starts_with(&format!("lastwords: cannot run {command}: {why}"))
                && said.lines().count() == 1,
            "{said}"
        );
    }
    let reports = machine.reports();
    assert_eq!(
        reports
            .iter()
            .map(|report| report.verdict)
            .collect::<Vec<_>>(),
        [Verdict::AbortedStart; 3]
    );
}

#[test]
fn the_command_starts_in_the_same_environment_as_without_lastwords() {
    let machine = Harness::new();
    let argv = machine
        .hook_argv("run")
        .into_iter()
        .map(|word| word.display().to_string())
        .collect::<Vec<_>>()
        .join(" ");
    // The C library uses the signals above 32 itself.
    let state =
        "env | sort; pwd; umask; ulimit -a; ls -l /proc/self/fd | sed 's/.* //'; cut -d' ' -f5,6 /proc/self/stat
        grep -E '^Sig(Blk|Ign)' /proc/self/status | sed 's/[0-9a-f]*\\(........\\)$/\\1/'";
    for trap in ["trap '' PIPE HUP USR2 CHLD", ":"] {
        let of = |prefix: &str| {
            let start = format!(
                "{trap}; cd /usr; umask 027; ulimit -n 512; exec 9</dev/null; {prefix} sh -c \"$STATE\"; :"
            );
            let output = Command::new("setsid")
                .args(["sh", "-c", &start])
                .env("STATE", state)
                .stdin(Stdio::null())
                .output();
            let said = text(&output.unwrap().stdout);
            // The ids of pipes, of processes and of the session differ.
            said.split_inclusive('\n')
                .filter(|line| {
                    !line.contains(':') && !line.starts_with("/proc/") || line.starts_with("Sig")
                })
                .filter(|line| {
                    !line
                        .trim()
                        .replace(' ', "")
                        .bytes()
                        .all(|byte| byte.is_ascii_digit())
                        || line.len() < 6
                })
                .collect::<String>()
        };
        let (with, without) = (of(&format!("{argv} --")), of(""));
        assert!(
            with == without && with.contains("SigIgn"),
            "{with}\n{without}"
        );
    }
}

#[test]
fn every_signal_to_lastwords_reaches_the_command_once() {
    let machine = Harness::new();
    let script = "import signal, sys
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    signal.signal(number, lambda number, frame: print(int(number), flush=True))
print('ready', flush=True)
while True:
    signal.pause()
";
    let mut child = run(&machine, &["python3", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert_eq!(said.next().as_deref(), Some("ready"));
    // Leaves out the signals that the kernel may send to a running program, and 32 to 34, which musl
    // uses itself.
    for number in [1, 2, 3, 10, 12, 15, 14, 18, 20, 23, 28, 29, 30, 35, 37, 64] {
        let sent = Command::new("kill")
            .arg(format!("-{number}"))
            .arg(child.id().to_string())
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(said.next(), Some(number.to_string()));
    }
    kill_process(main_of(&child), Signal::KILL).unwrap();
    assert_eq!(said.next(), None, "a signal came twice");
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_stop_through_lastwords_is_planned_and_a_kill_of_the_command_alone_is_a_crash() {
    let machine = Harness::new();
    for signal in [
        Signal::TERM,
        Signal::INT,
        Signal::QUIT,
        Signal::HUP,
        Signal::USR1,
    ] {
        assert_eq!(
            ends_after(&machine, RUNS, &[signal]).signal(),
            Some(signal.as_raw())
        );
    }
    let exits_1 = "trap 'exit 1' TERM; echo ready; while :; do sleep 0.01; done";
    assert_eq!(
        ends_after(&machine, exits_1, &[Signal::TERM]).code(),
        Some(1)
    );
    assert_eq!(machine.reports(), [], "each of these stops was requested");
    assert_eq!(machine.markers(), [""; 0]);

    let (mut child, _said) = start(&machine, RUNS);
    kill_process(main_of(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, &killed_by("TERM"))
    );
    assert_eq!(report.stop.supervisor, Supervisor::new("run"));
}

#[test]
fn a_death_by_a_fault_while_it_stops_and_one_after_a_reload_are_crashes() {
    let machine = Harness::new();
    let faults = "trap 'kill -SEGV $$' TERM; echo ready; while :; do sleep 0.01; done";
    assert_eq!(
        ends_after(&machine, faults, &[Signal::TERM]).signal(),
        Some(11)
    );
    assert_crashed(
        &machine.only_report(),
        &killed_by("SEGV"),
        &format!("SIGTERM from {}", sender()),
    );
    let reload = "trap 'exit 3' HUP; echo ready; while :; do sleep 0.01; done";
    assert_eq!(ends_after(&machine, reload, &[Signal::HUP]).code(), Some(3));
    assert_eq!(machine.reports().len(), 2);
}

/// Returns the name of this process as the sender of a signal.
fn sender() -> String {
    // The sending thread has a name of its own; the process's name is wanted.
    let name = fs::read_to_string(format!("/proc/{}/comm", std::process::id())).unwrap();
    format!(
        "{}, process {} of user {}",
        name.trim(),
        std::process::id(),
        rustix::process::getuid().as_raw()
    )
}

#[test]
fn exit_code_0_is_no_crash_unless_the_job_says_so() {
    let machine = Harness::new();
    assert!(output(&machine, "exit 0").status.success());
    assert_eq!(machine.reports(), []);
    machine.configure("web", "normal_exit = [3]");
    assert_eq!(output(&machine, "exit 3").status.code(), Some(3));
    assert_eq!(machine.reports(), []);
    assert!(output(&machine, "exit 0").status.success());
    assert_crashed(
        &machine.only_report(),
        &Exit::Code(0),
        &format!(
            "the command (process {}) ended: exit code 0",
            machine.only_report().stop.pid.unwrap()
        ),
    );
}

#[test]
fn output_to_pipes_a_socket_or_dev_null_is_passed_on_and_kept() {
    let machine = Harness::new();
    let script = "echo 'to people'; echo 'to nobody' >&2; exit 1";
    let piped = output(&machine, script);
    assert_eq!(
        (text(&piped.stdout), text(&piped.stderr)),
        ("to people\n".into(), "to nobody\n".into())
    );
    let apart = "[standard output]\nto people\n[standard error]\nto nobody";
    assert_eq!(kept(machine.reports().last().unwrap()), apart);

    run(&machine, &["sh", "-c", script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(
        kept(machine.reports().last().unwrap()),
        "to people\nto nobody"
    );

    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = std::os::fd::OwnedFd::from(theirs);
    let mut command = run(&machine, &["sh", "-c", script]);
    command
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs)
        .status()
        .unwrap();
    drop(command);
    let mut said = String::new();
    (&ours).read_to_string(&mut said).unwrap();
    assert_eq!(said, "to people\nto nobody\n");
    assert_eq!(
        kept(machine.reports().last().unwrap()),
        "to people\nto nobody"
    );
    assert_eq!(machine.reports().len(), 3);
}

#[test]
fn only_this_lifes_part_of_a_file_that_the_command_wrote_to_is_shown() {
    let machine = Harness::new();
    let log = machine.path("log");
    fs::write(&log, "an error of yesterday's\n").unwrap();
    let file = File::options().append(true).open(&log).unwrap();
    let mut command = run(
        &machine,
        &[
            "sh",
            "-c",
            "readlink /proc/$$/fd/1; echo an error of today >&2; exit 1",
        ],
    );
    command
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .status()
        .unwrap();
    assert_eq!(
        kept(&machine.only_report()),
        format!("{}\nan error of today", log.display()),
        "the command wrote to the file itself"
    );
}

#[test]
fn the_cause_is_read_from_output_that_is_not_logged() {
    let machine = Harness::new();
    let script = "process.stdout.write('x'.repeat(100)+'\\n'); setTimeout(() => { throw new TypeError('no such order') }, 10)";
    let mut node = run(&machine, &["node", "-e", script]);
    node.stdout(Stdio::null()).stderr(Stdio::null());
    assert_eq!(node.status().unwrap().code(), Some(1));
    let report = machine.only_report();
    assert!(
        kept(&report).contains("TypeError: no such order"),
        "{report:#?}"
    );
    assert!(
        report.cause.line.starts_with("TypeError: no such order"),
        "{report:#?}"
    );
    let mut python = run(
        &machine,
        &["python3", "-c", "raise ValueError('no such order')"],
    );
    python.stdout(Stdio::null()).stderr(Stdio::null());
    assert_eq!(python.status().unwrap().code(), Some(1));
    let report = machine.reports().pop().unwrap();
    assert!(
        kept(&report).contains("ValueError: no such order"),
        "{report:#?}"
    );
    assert!(
        report.cause.line.starts_with("ValueError: no such order"),
        "{report:#?}"
    );
}

#[test]
fn the_name_of_a_stream_is_none_of_the_commands_words() {
    let machine = Harness::new();
    output(&machine, "echo listening on 80; echo disk full >&2; exit 4");
    let report = machine.only_report();
    assert!(kept(&report).contains("[standard error]"), "{report:?}");
    assert!(!report.cause.line.contains("[standard"), "{report:?}");
}

#[test]
fn much_output_is_passed_on_whole_however_slow_the_reader_is() {
    let machine = Harness::new();
    let mut child = run(&machine, &["sh", "-c", "seq 1 2000000; exit 1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    for number in 1..=2_000_000 {
        assert_eq!(reader.next(), Some(number.to_string()));
        if number % 400_000 == 0 {
            // Fills both pipes.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    assert_eq!(reader.next(), None);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(kept(&machine.only_report()).ends_with("\n1999999\n2000000"));
}

#[test]
fn the_last_output_is_kept_even_if_the_reader_has_not_read_it() {
    let machine = Harness::new();
    // More than one pipe holds, and less than two hold.
    let mut child = run(&machine, &["sh", "-c", "seq 1 15000; exit 1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the report", || machine.reports().len() == 1);
    assert!(kept(&machine.only_report()).ends_with("\n14999\n15000"));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it waits for its reader, as the command would"
    );
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(
        said.starts_with("1\n2\n")
            && said.ends_with("\n14999\n15000\n")
            && said.lines().count() == 15000
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn the_last_lines_of_a_million_short_writes_are_kept() {
    let machine = Harness::new();
    let script = "import os\nfor i in range(20000): os.write(1, b'line %d\\n' % i)\nos._exit(1)";
    let mut command = run(&machine, &["python3", "-c", script]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let report = machine.only_report();
    let lines: Vec<_> = kept(&report).lines().collect();
    assert!(
        lines.len() >= 100 && lines.last() == Some(&"line 19999"),
        "{} lines",
        lines.len()
    );
    let numbers: Vec<usize> = lines[1..]
        .iter()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "none is missing in between"
    );
}

#[test]
fn when_its_reader_is_gone_the_command_gets_sigpipe() {
    let machine = Harness::new();
    let mut child = run(&machine, &["yes"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = child.stdout.take().unwrap();
    reader.read_exact(&mut [0; 2]).unwrap();
    drop(reader);
    assert_eq!(child.wait().unwrap().signal(), Some(13));
}

#[test]
fn children_that_the_command_leaves_behind_delay_nothing_and_their_output_is_passed_on() {
    let machine = Harness::new();
    let gate = machine.path("gate");
    let script = format!(
        "(while [ ! -e {} ]; do sleep 0.01; done; echo late) & echo early",
        gate.display()
    );
    let mut child = run(&machine, &["sh", "-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(
        child.wait().unwrap().success(),
        "it has ended while the gate is closed"
    );
    let mut said = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert_eq!(said.next().as_deref(), Some("early"));
    machine.open_gate();
    assert_eq!(said.next().as_deref(), Some("late"));
    assert_eq!(said.next(), None, "the relay ends with them");
}

/// Runs the script on a terminal of its own and presses `keys` once it has printed `ready`. Returns
/// its output.
const ON_A_TERMINAL: &str = r"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
said = b''
while b'ready' not in said:
    said += os.read(terminal, 1000)
os.write(terminal, sys.argv[1].encode())
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

fn on_a_terminal(machine: &Harness, keys: &str, script: &str) -> String {
    let mut python = Command::new("python3");
    python
        .args(["-c", ON_A_TERMINAL, keys])
        .args(machine.hook_argv("run"));
    python.args(["--job", "web", "--", "sh", "-c", script]);
    text(&python.output().unwrap().stdout)
}

#[test]
fn a_terminal_stays_a_terminal() {
    let machine = Harness::new();
    let said = on_a_terminal(
        &machine,
        "",
        "test -t 0 && test -t 1 && test -t 2 && tty >/dev/null && echo ready && exit 4",
    );
    assert_eq!(said, "4\n");
    assert_eq!(machine.only_report().stop.exit, Exit::Code(4));
}

#[test]
fn a_key_on_the_terminal_reaches_the_command_once_and_is_a_planned_stop() {
    let machine = Harness::new();
    let script =
        "trap 'n=1$n' INT; echo ready; until [ $n ]; do sleep 0.01; done; sleep 0.3; exit ${#n}";
    assert_eq!(on_a_terminal(&machine, "\u{3}", script), "1\n", "once");
    assert_eq!(machine.reports(), []);
}

#[test]
fn when_lastwords_itself_is_killed_the_command_dies_with_it_and_the_next_start_reports_it() {
    let machine = Harness::new();
    let (mut child, mut said) = start(&machine, RUNS);
    kill_process(pid(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(machine.reports(), []);
    assert!(output(&machine, "exit 0").status.success());
    wait_for("the report", || machine.reports().len() == 1);
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, &Exit::Unknown)
    );
    let why = "`lastwords run` was killed, and the command with it";
    assert_eq!(report.cause.line, why);
    assert!(
        report.notes.iter().any(|note| note.starts_with(why)),
        "{report:#?}"
    );
    assert_eq!(machine.markers(), [""; 0]);
}

#[test]
fn when_lastwords_itself_is_killed_after_it_was_asked_to_stop_that_is_planned() {
    let machine = Harness::new();
    let (mut child, _said) = start(
        &machine,
        "trap : TERM; echo ready; while :; do sleep 0.01; done",
    );
    kill_process(pid(&child), Signal::TERM).unwrap();
    let marker = machine.run.join("markers").join(&machine.markers()[0]);
    wait_for("the request", || {
        fs::read_to_string(&marker).is_ok_and(|marker| marker.contains("TERM"))
    });
    kill_process(pid(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    assert!(
        machine
            .command("deliver")
            .output()
            .unwrap()
            .status
            .success()
    );
    assert_eq!(machine.reports(), []);
    assert_eq!(machine.markers(), [""; 0]);
}

#[test]
fn two_runs_of_one_job_at_a_time_are_two_lives() {
    let machine = Harness::new();
    let (mut one, _one) = start(&machine, RUNS);
    let (mut other, _other) = start(&machine, RUNS);
    kill_process(main_of(&one), Signal::SEGV).unwrap();
    one.wait().unwrap();
    assert_eq!(
        (machine.only_report().stop.exit, machine.markers().len()),
        (killed_by("SEGV"), 1)
    );
    kill_process(pid(&other), Signal::TERM).unwrap();
    other.wait().unwrap();
    assert_eq!((machine.reports().len(), machine.markers().len()), (1, 0));
}

#[test]
fn if_nothing_can_be_written_the_command_still_runs_and_a_line_says_so() {
    let mut machine = Harness::new();
    machine.run = "/proc/nowhere".into();
    machine.spool = "/proc/nowhere".into();
    // No daemon listens on /dev/log here.
    fs::remove_file(machine.root.join("dev/kmsg")).unwrap();
    let output = output(&machine, "echo hello; exit 7");
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(7), "hello\n")
    );
    let said = text(&output.stderr);
    assert!(
        said.lines().count() == 2 && said.contains("cannot write to /proc/nowhere/markers"),
        "{said}"
    );
    assert!(said.contains("web crashed (exit code 7"), "{said}");
}

#[test]
fn where_no_file_may_be_written_the_command_still_runs_and_its_output_comes() {
    let machine = Harness::new();
    // In place of the kernel's log there is a file, which could not be written either.
    fs::remove_file(machine.root.join("dev/kmsg")).unwrap();
    let script = "echo out; echo err >&2; exit 7";
    // Nobody raises the one; the other holds for the command alone.
    for (limit, reports) in [("--fsize=0:0", 0), ("--fsize=0:1000000000", 1)] {
        let run = run(&machine, &["/bin/sh", "-c", script]);
        let mut limited = Command::new("prlimit");
        limited.arg(limit).arg(run.get_program());
        let output = limited.args(run.get_args()).output().unwrap();
        assert_eq!(output.status.code(), Some(7), "{limit}: {output:?}");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(out == "out\n" && err.ends_with("err\n"), "{output:?}");
        let is_said = err.contains("a crash will go unnoticed: the job's `limit fsize`");
        assert_eq!(is_said, reports == 0, "{err}");
        wait_for("the report", || machine.reports().len() == reports);
    }
}

#[test]
fn it_waits_until_the_report_is_sent_if_asked_to() {
    let machine = Harness::new();
    let sent = machine.path("sent");
    let sink = format!(
        "[[sink.exec]]\nname = 'file'\ncommand = ['/bin/sh', '-c', 'sleep 0.3; cat >{}']\n",
        sent.display()
    );
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    let mut command = machine.command("run");
    command
        .args(["--deliver-within", "20s", "--", "sh", "-c", "exit 3"])
        .stdout(Stdio::null());
    assert_eq!(command.status().unwrap().code(), Some(3));
    assert!(fs::read_to_string(&sent).unwrap().contains("exit code 3"));
}

/// Nothing else is set up: one line in a crontab has to do.
#[test]
fn where_no_deliverer_looks_regularly_the_one_it_starts_stays_until_everything_is_sent() {
    let machine = Harness::new();
    let [gate, tried, sent] = ["gate", "tried", "sent"].map(|it| machine.path(it));
    let script = format!(
        "cat >{0}; [ -e {1} ] && mv {0} {2}",
        tried.display(),
        gate.display(),
        sent.display()
    );
    let sink = format!("[[sink.exec]]\nname = 'file'\ncommand = ['/bin/sh', '-c', '{script}']\n");
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    output(&machine, "exit 3");
    wait_for("the first try", || tried.exists());
    machine.open_gate();
    wait_for("the message", || sent.exists());
    machine.settle();
}

#[test]
fn the_doctor_finds_the_line_of_cron_that_runs_a_job() {
    let machine = Harness::new();
    let program = machine.hook_argv("run").swap_remove(0);
    let line = |program: &str| {
        let dir = machine.root.join("etc/cron.d");
        fs::create_dir_all(&dir).unwrap();
        let line = format!("*/5 * * * *  root  {program} run --job backup -- /bin/backup\n");
        fs::write(dir.join("backup"), line).unwrap();
    };
    let doctor = |job: &[&str]| text(&machine.command("doctor").args(job).output().unwrap().stdout);
    line(&program.display().to_string());
    for said in [doctor(&["backup"]), doctor(&[])] {
        assert!(
            said.starts_with("backup: ")
                && said.contains("cron runs it by `lastwords run` (/etc/cron.d/backup:1)"),
            "{said}"
        );
    }
    line("lastwords");
    let said = doctor(&["backup"]);
    assert!(
        said.starts_with("backup: a crash would NOT be caught: /etc/cron.d/backup:1 runs"),
        "{said}"
    );
}

#[test]
fn a_command_that_is_missing_is_named_in_the_cause() {
    let machine = Harness::new();
    assert_eq!(
        run(&machine, &["nosuchcmd", "-x"]).status().unwrap().code(),
        Some(127)
    );
    let report = machine.only_report();
    let line = &report.cause.line;
    assert!(line.contains("cannot run nosuchcmd: "), "{line}");
    assert_eq!(report.cause.kind, Death::NoSuchFile);
    assert_eq!(report.verdict_because, "its main process never ran");
}

#[test]
fn check_and_doctor_know_the_jobs_that_it_has_run() {
    let machine = Harness::new();
    machine.bare_job("other", "exec sleep 1\n");
    for code in [0, 1] {
        let job = format!("backup{code}");
        machine.configure(&job, "remind = \"2h\"\n[collect]\n");
        let of = |verb: &str, args: &[&str]| {
            text(&machine.command(verb).args(args).output().unwrap().stdout)
        };
        let unknown = format!("no unit, service or job here is called `{job}`");
        let said = of("check", &[]);
        assert!(said.contains(&unknown), "{said}");
        let mut run = machine.command("run");
        run.args(["--job", &job, "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!(run.status().unwrap().code(), Some(code));
        machine.settle();
        let said = of("check", &[]);
        assert!(!said.contains(&unknown), "{said}");
        let idle = "`remind` does nothing here";
        let place = format!("jobs/{job}.toml:1:1");
        assert!(said.contains(idle) && said.contains(&place), "{said}");
        let said = of("doctor", &[&job]);
        let known = "`lastwords run` ran it before";
        assert!(said.contains(known), "{said}");
    }
}

#[test]
fn an_upgrade_that_takes_its_file_away_while_it_runs_costs_no_message() {
    let machine = Harness::new();
    let [program, gate, sent] = ["lastwords", "gate", "sent"].map(|it| machine.path(it));
    // Another process makes the copy: a file that is open for writing anywhere cannot be executed.
    let mut copy = Command::new("cp");
    copy.arg(machine.hook_argv("run").swap_remove(0))
        .arg(&program);
    assert!(copy.status().unwrap().success());
    let machine = machine.with_binary(&program);
    let sink = format!(
        "[[sink.exec]]\nname = 'file'\ncommand = ['/bin/sh', '-c', 'cat >{}']\n",
        sent.display()
    );
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    let gate_path = gate.display();
    let script = format!("echo ready; while [ ! -e {gate_path} ]; do sleep 0.01; done; exit 3");
    let (mut child, _said) = start(&machine, &script);
    fs::remove_file(&program).unwrap();
    machine.open_gate();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    wait_for("the message", || {
        fs::read_to_string(&sent).is_ok_and(|it| it.contains("exit code 3"))
    });
}

/// `lastwords run` as the first process of a container.
mod as_root_pid_1 {
    use super::*;

    fn in_container(machine: &Harness, script: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(machine.hook_argv("run"));
        command.args(["--job", "web", "--", "sh", "-c", script]);
        command
    }

    #[test]
    fn it_reaps_orphans_and_says_how_the_command_died_as_a_shell_does() {
        let machine = as_root::machine_for_users();
        let script = "for i in 1 2 3; do sh -c 'sleep 0.01 & exit'; done; sleep 0.3; ps -eo stat | grep -c Z; kill -ABRT $$";
        let output = in_container(&machine, script).output().unwrap();
        assert_eq!(
            (text(&output.stdout).as_str(), output.status.code()),
            ("0\n", Some(134)),
            "{output:?}"
        );
        let report = machine.only_report();
        assert!(
            report.verdict == Verdict::Crashed && report.stop.exit.is_signal("ABRT"),
            "{report:#?}"
        );
    }

    /// Upstart's default console is a terminal of the job's own, which a command may not notice.
    #[test]
    fn what_it_wrote_to_upstarts_terminal_is_read_from_the_log_of_that_terminal() {
        for (conf, is_read) in [("", true), ("console none\n", false)] {
            let machine = as_root::machine_for_users();
            fs::write(machine.root.join("etc/init/web.conf"), conf).unwrap();
            let log = machine.root.join("var/log/upstart/web-a_b.log");
            fs::write(log, "Error: no such port\n").unwrap();
            let (_ours, theirs) = open_pty().unwrap();
            let mut command = Command::new("unshare");
            command
                .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
                .args(["sh", "-c", "\"$@\"; true", "init"])
                .args(machine.hook_argv("run"))
                .args(["--", "sh", "-c", "exit 3"])
                .env("UPSTART_JOB", "web")
                .env("UPSTART_INSTANCE", "a/b");
            assert!(command.stdout(theirs).status().unwrap().success());
            let report = machine.only_report();
            let logs = report
                .sections
                .iter()
                .filter(|it| it.collector.starts_with("log "));
            let texts: Vec<&str> = logs.map(|it| it.text.as_str()).collect();
            let is_there = texts.iter().any(|text| text.contains("no such port"));
            assert_eq!(is_there, is_read, "{report:#?}");
        }
    }

    #[test]
    fn the_container_ends_once_every_sink_has_the_report_and_the_next_sends_it_to_none_again() {
        let machine = as_root::machine_for_users();
        let sink = |name: &str, first: &str| {
            let to = machine.path(name);
            let script = format!("{first}; cat >/dev/null; echo sent >>{}", to.display());
            format!("[[sink.exec]]\nname = '{name}'\ncommand = ['/bin/sh', '-c', '{script}']\n")
        };
        let sinks = [sink("quick", "true"), sink("slow", "sleep 1")].concat();
        fs::write(machine.config.join("lastwords.toml"), sinks).unwrap();
        let ends = |script: &str| {
            let mut command = Command::new("unshare");
            command
                .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
                .args(machine.hook_argv("run"))
                .args(["--job", "web", "--deliver-within", "60s", "--"])
                .args(["sh", "-c", script]);
            command.status().unwrap().code()
        };
        let sent = || {
            ["quick", "slow"].map(|name| fs::read_to_string(machine.path(name)).unwrap_or_default())
        };
        assert_eq!(ends("exit 3"), Some(3));
        assert_eq!(sent(), ["sent\n", "sent\n"]);
        assert_eq!(ends("exit 0"), Some(0));
        assert_eq!(sent(), ["sent\n", "sent\n"]);
    }

    #[test]
    fn a_signal_from_outside_of_the_container_is_passed_on_and_makes_the_stop_planned() {
        let machine = as_root::machine_for_users();
        let mut command = in_container(&machine, "echo ready; while :; do sleep 0.01; done");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut String::new()).unwrap();
        kill_process(main_of(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(143));
        assert_eq!(machine.reports(), []);
    }
}

#[test]
fn evidence_names_the_process() {
    let machine = Harness::new();
    output(&machine, "exit 9");
    let report = machine.only_report();
    let line = format!(
        "the command (process {}) ended: exit code 9",
        report.stop.pid.unwrap()
    );
    assert!(evidence(&report).contains(&line.as_str()), "{report:#?}");
}
