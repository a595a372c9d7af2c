//! System calls that fail: disks that are full or broken, no memory, no descriptors, no processes.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::killed::{Crashes, all_points_of_the_hook, violations};
use crate::disk::in_private_mounts;
use crate::machine::{Machine, Stage, Suffer};
use crate::strace::{Fault, Point};
use crate::support::harness::SystemLog;
use crate::table;
use crate::victim::is_slow;

const ASLEEP: Stage = Stage {
    suffer: None,
    asleep: true,
    watch: None,
};

/// Maximum time of a hook, including the cost of tracing on a busy machine.
const BOUND: Duration = Duration::from_secs(4);

/// Returns the errors with which a call can fail. The quick run tries only the first.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "write" | "pwrite64" | "writev" => &["ENOSPC", "EIO", "EINTR", "EAGAIN"],
        "fsync" | "fdatasync" => &["EIO", "ENOSPC"],
        "open" | "openat" | "openat2" => &["EMFILE", "ENOSPC", "EROFS", "EIO", "ENOMEM", "EINTR"],
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => &["ENOSPC", "EIO", "EROFS"],
        "unlink" | "unlinkat" => &["EIO", "EROFS"],
        "mkdir" | "mkdirat" => &["ENOSPC", "EROFS"],
        "mmap" | "brk" | "mremap" => &["ENOMEM"],
        "clone" | "clone3" | "fork" | "vfork" => &["EAGAIN", "ENOMEM"],
        "execve" => &["ENOMEM", "ENOENT"],
        "fallocate" | "ftruncate" => &["ENOSPC", "EIO"],
        "getrandom" => &["EAGAIN", "ENOSYS"],
        "flock" => &["ENOLCK", "EINTR"],
        "read" | "pread64" => &["EIO", "EINTR"],
        "getdents64" | "statx" | "newfstatat" | "fstat" | "lseek" | "readlink" => &["EIO"],
        "socket" | "pipe2" | "socketpair" | "dup" | "dup2" | "dup3" | "epoll_create1" => {
            &["EMFILE"]
        }
        "sendto" | "sendmsg" => &["EAGAIN", "ENOBUFS"],
        "poll" | "ppoll" | "wait4" | "waitid" => &["EINTR"],
        "setsid" | "setpgid" => &["EPERM"],
        _ => &[],
    }
}

/// Returns true if a process ended as a Rust program does that gets no memory. The hook's first
/// request is a page for the allocator. A machine that refuses it could not have started the hook.
fn out_of_memory(status: ExitStatus, error: &str) -> bool {
    error == "ENOMEM" && status.signal() == Some(Signal::ABORT.as_raw())
}

/// Returns every call that can fail, with its error. The quick run takes only a few of the calls
/// that are alike.
fn failures(
    points: impl IntoIterator<Item = (String, Point)>,
    alike: usize,
) -> Vec<(String, Point, &'static str)> {
    let mut failures = Vec::new();
    let mut seen = std::collections::BTreeMap::<(String, String), usize>::new();
    for (verb, point) in points.into_iter().filter(|(_, point)| !point.starting) {
        let seen = seen.entry((verb.clone(), point.call.clone())).or_default();
        *seen += 1;
        let wanted = if is_slow() {
            usize::MAX
        } else if point.changes {
            1
        } else {
            usize::from(*seen <= alike)
        };
        failures.extend(
            errors(&point.call)
                .iter()
                .take(wanted)
                .map(|error| (verb.clone(), point.clone(), *error)),
        );
    }
    failures
}

#[test]
fn a_hook_whose_calls_fail_exits_0_in_time_and_the_crash_is_reported_or_logged() {
    let began = Instant::now();
    let machine = Machine::new();
    let syslog = SystemLog::of(&machine.harness);
    let mut wrong = Vec::new();
    let (mut tries, mut only_told, mut aborted) = (0, 0, 0);
    let mut crashes = Crashes::new();
    let failures = failures(all_points_of_the_hook(&machine), 4);
    machine.deliver_all();
    crashes.insert("learn".into(), vec![false; 20]);
    let mut told = std::collections::BTreeSet::new();
    for (verb, point, error) in failures {
        let job = format!("fails-{verb}-{}-{}-{error}", point.call, point.nth);
        machine.start(&job);
        machine.die(&job);
        syslog.said();
        let suffer = Some(Suffer {
            verb: &verb,
            point: &point,
            fault: Fault::Error(error),
        });
        let ended = machine.post_stop(&job, &Stage { suffer, ..ASLEEP });
        let took = ended.took;
        machine.settle();
        tries += usize::from(ended.suffered);
        if out_of_memory(ended.status, error) {
            aborted += 1;
            // The supervisor has seen the hook fail. The next start finds the marker still armed
            // and reports that.
            machine.start(&job);
        } else if !ended.status.success() {
            wrong.push(format!("{job}: the hook ended with {}", ended.status));
        }
        if took > BOUND {
            wrong.push(format!("{job}: the hook took {took:?}"));
        }
        if syslog.said().iter().any(|line| line.contains(&job)) {
            told.insert(job.clone());
        }
        crashes.insert(job, vec![true]);
    }
    machine.deliver_all();
    for job in &told {
        // The crash must at least be in the system log; a report is welcome too.
        if !machine
            .reports()
            .iter()
            .any(|report| &report.stop.job == job)
        {
            only_told += 1;
            crashes.insert(job.clone(), vec![false]);
        }
    }
    wrong.extend(violations(&machine, &crashes));
    let fault = format!(
        "calls of the hook fail ({only_told} crashes only told to the system's log, {aborted} found by the next start)"
    );
    table::row(&fault, tries, began.elapsed(), &wrong);
}

#[test]
fn a_pre_start_or_pre_stop_whose_calls_fail_exits_0_and_logs_a_crash_that_may_go_unnoticed() {
    let began = Instant::now();
    let machine = Machine::new();
    let syslog = SystemLog::of(&machine.harness);
    let mut crashes = Crashes::new();
    let mut wrong = Vec::new();
    let mut tries = 0;
    machine.start("learn");
    // The watched pre-start finds the marker still armed.
    crashes.insert("learn".into(), vec![false]);
    for hook in ["pre-start", "pre-stop"] {
        let points = machine
            .watch(hook, "learn")
            .into_iter()
            .map(|point| (hook.to_owned(), point));
        for (_, point, error) in failures(points, 3) {
            let job = format!("{hook}-{}-{}-{error}", point.call, point.nth);
            if hook == "pre-stop" {
                machine.start(&job);
            }
            syslog.said();
            let (status, came) = machine.faulty_hook(hook, &job, &point, Fault::Error(error));
            tries += usize::from(came);
            if !status.success() && !out_of_memory(status, error) {
                wrong.push(format!("{job}: the hook ended with {status}"));
            }
            // If it could not arm the marker, it has logged that a crash would go unnoticed.
            let told = syslog.said().iter().any(|line| line.contains(&job));
            machine.die(&job);
            assert!(machine.post_stop(&job, &ASLEEP).status.success());
            // If pre-start failed, the service was not started.
            crashes.insert(job, vec![!told && status.success()]);
        }
    }
    machine.settle();
    machine.deliver_all();
    wrong.extend(violations(&machine, &crashes));
    table::row(
        "calls of pre-start, pre-stop fail",
        tries,
        began.elapsed(),
        &wrong,
    );
}

#[test]
fn a_deliverer_whose_calls_fail_sends_everything_in_a_later_pass() {
    let began = Instant::now();
    let machine = Machine::new();
    let mut crashes = Crashes::new();
    let mut wrong = Vec::new();
    let mut tries = 0;
    machine.crash("learn", &ASLEEP);
    crashes.insert("learn".into(), vec![true]);
    let points = machine
        .watch("deliver", "learn")
        .into_iter()
        .map(|point| ("deliver".to_owned(), point));
    for (_, point, error) in failures(points, 3) {
        let job = format!("deliver-{}-{}-{error}", point.call, point.nth);
        machine.crash(&job, &ASLEEP);
        let (status, came) = machine.faulty_hook("deliver", &job, &point, Fault::Error(error));
        tries += usize::from(came);
        // A failure gives an exit code. Only without memory can a Rust program not go on.
        if status.code().is_none_or(|code| code == 101) && error != "ENOMEM" {
            wrong.push(format!("{job}: the deliverer ended with {status}"));
        }
        machine.settle();
        crashes.insert(job, vec![true]);
    }
    machine.deliver_all();
    wrong.extend(violations(&machine, &crashes));
    table::row(
        "calls of the deliverer fail",
        tries,
        began.elapsed(),
        &wrong,
    );
}

#[test]
fn a_spool_with_too_little_room_for_a_report_takes_it_whole_or_not_at_all() {
    let test =
        "as_root::errors::a_spool_with_too_little_room_for_a_report_takes_it_whole_or_not_at_all";
    in_private_mounts(test, || {
        let began = Instant::now();
        let mut machine = Machine::new();
        let syslog = SystemLog::of(&machine.harness);
        let mut wrong = Vec::new();
        let mut crashes = Crashes::new();
        machine.harness.spool = machine.path("small");
        fs::create_dir(&machine.harness.spool).unwrap();
        let mount = |how: &str| {
            let small = machine.path("small");
            assert!(
                Command::new("mount")
                    .args(["-t", "tmpfs", "-o", how, "none"])
                    .arg(small)
                    .status()
                    .unwrap()
                    .success()
            );
        };
        mount("size=1m,mode=0711");
        machine.crash("learn", &ASLEEP);
        machine.deliver_all();
        crashes.insert("learn".into(), vec![true]);
        // With the end of its log a report takes a few pages, so the disk is full in the middle of
        // it.
        for pages in 1..=24 {
            let job = format!("pages-{pages}");
            let log = machine
                .harness
                .root
                .join(format!("var/log/upstart/{job}.log"));
            fs::write(
                log,
                "a line of which a report has many, as long as the lines of many a log\n"
                    .repeat(600),
            )
            .unwrap();
            mount("remount,size=1m");
            let used = rustix::fs::statvfs(&machine.harness.spool).unwrap();
            let used = used.f_blocks - used.f_bfree;
            mount(&format!("remount,size={}k", 4 * (used + pages)));
            let status = machine.crash(&job, &ASLEEP).status;
            machine.settle();
            let told = syslog.said().iter().any(|line| line.contains(&job));
            if !status.success() {
                wrong.push(format!("{job}: {status}"));
            }
            mount("remount,size=1m");
            machine.deliver_all();
            crashes.insert(job, vec![!told]);
        }
        wrong.extend(violations(&machine, &crashes));
        let kept = machine.reports().len() - 1;
        let fault = format!(
            "room for 1 to 24 pages on the spool's disk ({kept} kept whole, the others told)"
        );
        table::row(&fault, 24, began.elapsed(), &wrong);
    });
}
