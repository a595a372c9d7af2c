//! A stop leads to exactly one report, at whatever moment its hook is killed.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lastwords::report::{Report, Safety, Verdict};
use rustix::process::{Signal, kill_process};

use crate::hooks::{exits_0, hook};
use crate::support::harness::{self, Harness, killed_by, names_in, wait_for, wait_for_some};

const SEGV: &str = "init: web main process (4242) killed by SEGV signal";

/// Returns a machine on which `web` has started and its main process has been killed.
pub fn crashed() -> Harness {
    let machine = Harness::new();
    exits_0(&mut hook(&machine, "pre-start"));
    machine.kernel_log(SEGV);
    machine
}

/// Returns a machine on which `web` has crashed, and the running `post-stop`. Its worker waits for a
/// program of the job, which ends when the gate opens.
fn held_up() -> (Harness, Child) {
    loop {
        let machine = crashed();
        let mut hook = hold_up(&machine);
        // On a busy machine the worker may not ask the hook within its second to wait longer.
        if hook.try_wait().unwrap().is_none() {
            return (machine, hook);
        }
        machine.open_gate();
    }
}

fn hold_up(machine: &Harness) -> Child {
    let script = machine.path("slow").display().to_string();
    let (began, gate) = (
        machine.path("began").display().to_string(),
        machine.path("gate").display().to_string(),
    );
    let slow = format!("command = ['/bin/sh', '{script}']\ntimeout = '20s'\nwhen = 'now'\n");
    machine.configure("web", &format!("[[collect.exec]]\nname = 'slow'\n{slow}"));
    fs::write(
        &script,
        format!(": >{began}\nwhile [ ! -e {gate} ]; do sleep 0.01; done\n"),
    )
    .unwrap();
    let hook = hook(machine, "post-stop").spawn().unwrap();
    wait_for("the worker at work", || machine.path("began").exists());
    hook
}

/// Kills the hook's worker, by its pid.
fn kill_worker(machine: &Harness) {
    let worker = wait_for_some("the worker", || machine.pids_of("catch").pop());
    kill_process(worker, Signal::KILL).unwrap();
    machine.wait_for_workers();
}

pub fn deliver(machine: &Harness) {
    exits_0(&mut machine.command("deliver"));
}

/// Returns the number of taken markers: stops that are not finished.
pub fn taken(machine: &Harness) -> usize {
    machine
        .markers()
        .iter()
        .filter(|name| name.contains("~taken"))
        .count()
}

pub fn in_memory(machine: &Harness) -> usize {
    names_in(&machine.run.join("inbox")).len()
}

/// Returns the only report, and checks that nothing else is left of the stop.
pub fn settled(machine: &Harness) -> Report {
    let report = machine.only_report();
    assert_eq!((taken(machine), in_memory(machine)), (0, 0));
    report
}

fn assert_segv(report: &Report) {
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, &killed_by("SEGV")),
        "{report:#?}"
    );
}

#[test]
fn a_stop_whose_worker_is_killed_is_reported_by_the_deliverer_that_the_hook_then_wakes() {
    let (machine, mut hook) = held_up();
    kill_worker(&machine);
    machine.open_gate();
    assert!(hook.wait().unwrap().success());
    wait_for("the report", || {
        machine.reports().len() == 1 && in_memory(&machine) == 0
    });
    let report = settled(&machine);
    assert_segv(&report);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("did not get to the end of its work")),
        "{report:#?}"
    );
    assert_eq!(report.level, Safety::Durable);
}

#[test]
fn a_stop_whose_hook_is_killed_is_reported_by_its_worker() {
    let (machine, mut hook) = held_up();
    hook.kill().unwrap();
    hook.wait().unwrap();
    // A deliverer sees that the worker is at work, and leaves the marker alone.
    deliver(&machine);
    assert_eq!((machine.reports().len(), taken(&machine)), (0, 1));
    machine.open_gate();
    machine.wait_for_workers();
    assert_segv(&settled(&machine));
}

#[test]
fn a_stop_whose_hook_and_worker_are_killed_is_reported_by_the_next_deliverer() {
    let (machine, mut hook) = held_up();
    hook.kill().unwrap();
    hook.wait().unwrap();
    kill_worker(&machine);
    machine.open_gate();
    assert_eq!((machine.reports().len(), taken(&machine)), (0, 1));
    deliver(&machine);
    assert_segv(&settled(&machine));
    deliver(&machine);
    settled(&machine);
}

#[test]
fn if_collecting_kills_each_worker_the_report_comes_without_sections() {
    let machine = crashed();
    let deaths = machine.path("deaths").display().to_string();
    let script = format!("echo >>{deaths}; kill -9 $PPID");
    let kills = format!("command = ['/bin/sh', '-c', '{script}']\nwhen = 'now'\n");
    machine.configure(
        "web",
        &format!("[collect.memory]\n[[collect.exec]]\nname = 'kills'\n{kills}"),
    );
    exits_0(&mut hook(&machine, "post-stop"));
    wait_for("the deliverer's end", || {
        machine.pids_of("deliver").is_empty()
    });
    // The hook's worker is dead, and the deliverer that the hook then woke may have tried too.
    let tries = || fs::read_to_string(&deaths).unwrap().lines().count();
    assert!((1..=2).contains(&tries()), "{}", tries());
    while machine.reports().is_empty() {
        assert!(taken(&machine) == 1 && tries() <= 4, "{}", tries());
        deliver(&machine);
    }
    assert_eq!(tries(), 4, "the hook's, and three more");
    let report = settled(&machine);
    assert_segv(&report);
    assert!(
        report.sections.is_empty() && report.level == Safety::Durable,
        "{report:#?}"
    );
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("nothing is collected")),
        "{report:#?}"
    );
}

#[test]
fn the_processes_of_a_hook_have_the_niceness_that_the_job_sets() {
    for nice in ["0", "7"] {
        let machine = crashed();
        machine.configure(
            "web",
            "[[collect.exec]]\nname = 'nice'\ncommand = ['nice']\nwhen = 'now'\n",
        );
        let mut command = Command::new("nice");
        command
            .args(["-n", nice])
            .args(machine.hook_argv("post-stop"))
            .env_clear();
        exits_0(command.envs([
            ("UPSTART_JOB", "web"),
            ("PATH", crate::support::process::PATH),
        ]));
        let report = settled(&machine);
        let expected = Command::new("nice")
            .args(["-n", nice, "nice"])
            .output()
            .unwrap();
        assert_eq!(
            report.sections[0].text.trim_end(),
            String::from_utf8(expected.stdout).unwrap().trim_end(),
            "{report:#?}"
        );
    }
}

#[test]
fn a_program_that_must_run_before_the_restart_gets_its_time() {
    let (machine, mut hook) = held_up();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        assert!(
            hook.try_wait().unwrap().is_none(),
            "it waits for the program"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    machine.open_gate();
    assert!(hook.wait().unwrap().success());
    assert_segv(&settled(&machine));
}

#[test]
fn a_stop_leads_to_one_report_whenever_its_hook_is_killed() {
    let machine = Harness::new();
    let post_stop = |job: &str, name: &str| {
        let mut command = hook(&machine, name);
        command.env("UPSTART_JOB", job);
        command
    };
    let jobs: Vec<_> = (0..60).map(|number| format!("web-{number}")).collect();
    for (number, job) in jobs.iter().enumerate() {
        exits_0(&mut post_stop(job, "pre-start"));
        machine.kernel_log(format!(
            "init: {job} main process (4242) killed by SEGV signal"
        ));
        let mut hook = post_stop(job, "post-stop").spawn().unwrap();
        std::thread::sleep(Duration::from_micros(700 * number as u64));
        if number % 3 > 0 {
            // The process may have ended already.
            let _ = hook.kill();
        }
        if number % 3 < 2 {
            for worker in machine.pids_of("catch") {
                let _ = kill_process(worker, Signal::KILL);
            }
        }
        hook.wait().unwrap();
        machine.wait_for_workers();
        // If the hook was killed before it took the marker, the next start finds the stop.
        exits_0(&mut post_stop(job, "pre-start"));
        exits_0(&mut post_stop(job, "pre-stop"));
        exits_0(&mut post_stop(job, "post-stop"));
    }
    machine.settle();
    deliver(&machine);
    let mut reported: Vec<_> = machine
        .reports()
        .into_iter()
        .map(|report| report.stop.job)
        .collect();
    let mut expected = jobs.clone();
    reported.sort();
    expected.sort();
    assert_eq!(reported, expected);
    let mut left = machine.markers();
    left.retain(|name| !name.contains("~draft"));
    assert_eq!((left, in_memory(&machine)), (Vec::new(), 0));
}

#[test]
fn an_end_whose_post_stop_never_ran_is_reported_at_the_next_start() {
    let machine = crashed();
    exits_0(&mut hook(&machine, "pre-start"));
    wait_for("the report", || {
        machine.reports().len() == 1 && in_memory(&machine) == 0
    });
    let report = settled(&machine);
    assert_segv(&report);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("no post-stop was seen")),
        "{report:#?}"
    );
    // The new life's marker is armed, and the facts of the old life do not apply to it.
    assert_eq!(machine.markers().len(), 1);
    exits_0(&mut hook(&machine, "post-stop"));
    assert_eq!(machine.reports()[1].verdict, Verdict::Unknown);
}

#[test]
fn a_service_that_is_started_twice_without_a_known_end_is_not_called_crashed() {
    for upstart in [true, false] {
        let machine = Harness::new();
        for _ in 0..2 {
            let mut command = machine.hook_command("pre-start");
            if upstart {
                command.env("UPSTART_JOB", "web")
            } else {
                command.args(["--job", "web"])
            };
            exits_0(&mut command);
        }
        wait_for("the report", || {
            machine.reports().len() == 1 && in_memory(&machine) == 0
        });
        assert_eq!(settled(&machine).verdict, Verdict::Unknown);
    }
}

#[test]
fn a_planned_stop_whose_post_stop_never_ran_is_still_planned() {
    let machine = Harness::new();
    for name in ["pre-start", "pre-stop"] {
        exits_0(&mut hook(&machine, name));
    }
    machine.kernel_log("init: web main process (4242) killed by TERM signal");
    exits_0(&mut hook(&machine, "pre-start"));
    wait_for("the deliverer", || taken(&machine) == 0);
    assert_eq!(
        (machine.reports(), machine.markers().len()),
        (Vec::new(), 1)
    );
}

#[test]
fn the_limits_that_a_job_sets_for_itself_are_lifted() {
    let static_binary = is_static();
    // The loader of a dynamic binary needs its libraries open.
    for files in if static_binary { 0..6 } else { 4..6 } {
        under_limit(&format!("--nofile={files}:1024"));
    }
    under_limit("--fsize=0:1000000000");
}

fn under_limit(limit: &str) {
    let machine = crashed();
    let mut command = Command::new("prlimit");
    command
        .arg(limit)
        .args(machine.hook_argv("post-stop"))
        .env_clear();
    exits_0(command.envs([
        ("UPSTART_JOB", "web"),
        ("PATH", crate::support::process::PATH),
    ]));
    assert_segv(&settled(&machine));
}

/// Returns true if the binary under test needs no loader.
pub fn is_static() -> bool {
    let binary = fs::read(harness::binary()).unwrap();
    !binary.windows(10).any(|part| part == b"/ld-linux-")
}

#[test]
fn a_report_that_cannot_be_written_anywhere_waits_in_its_marker() {
    let machine = crashed();
    fs::write(&machine.spool, "in the way").unwrap();
    fs::write(machine.run.join("inbox"), "in the way").unwrap();
    exits_0(&mut hook(&machine, "post-stop"));
    machine.settle();
    assert_eq!(taken(&machine), 1);
    fs::remove_file(&machine.spool).unwrap();
    // On a busy machine a pass may return before its worker is done. The next pass then finds the
    // worker's result.
    wait_for("a look that brings the report", || {
        deliver(&machine);
        !machine.reports().is_empty()
    });
    assert_segv(&machine.only_report());
    wait_for("the marker's end", || taken(&machine) == 0);
}

#[test]
fn a_pipe_without_a_reader_delays_no_error_message() {
    let machine = crashed();
    fs::write(&machine.spool, "in the way").unwrap();
    fs::remove_file(machine.root.join("dev/kmsg")).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut hook = hook(&machine, "post-stop");
    let mut hook = hook
        .arg("--no-such-flag")
        .stdout(Stdio::null())
        .stderr(writer)
        .spawn()
        .unwrap();
    wait_for("its end", || hook.try_wait().unwrap().is_some());
    assert!(hook.wait().unwrap().success());
    drop(reader);
    assert_eq!(in_memory(&machine), 1);
}
