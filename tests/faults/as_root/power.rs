//! Power cuts on real file systems: after a hook exited 0, and at each of its calls.

use std::fs;
use std::time::Instant;

use lastwords::report::Report;

use super::killed::{Crashes, points_of, some_points_of_the_hook, violations};
use crate::disk::{Disk, in_private_mounts};
use crate::machine::{Machine, Stage, Suffer};
use crate::strace::{Fault, Point, choose};
use crate::support::harness::{SystemLog, names_in};
use crate::table;
use crate::victim::is_slow;

const ASLEEP: Stage = Stage {
    suffer: None,
    asleep: true,
    watch: None,
};

/// Returns a machine with a disk, on which the spool exists already.
fn machine(file_system: &str) -> (Machine, Disk) {
    let mut machine = Machine::new();
    let disk = Disk::under_spool_of(&mut machine, file_system);
    (machine, disk)
}

/// Returns true if the report of this job's crash is whole and where the deliverer looks.
fn is_safe(machine: &Machine, job: &str) -> bool {
    let dir = machine.harness.spool.join("new");
    let whole = |name: &String| -> Option<Report> {
        let entry = fs::read_to_string(dir.join(name)).ok()?;
        let (report, trailer) = entry.trim_end().rsplit_once('\n')?;
        trailer
            .strip_prefix("lastwords-entry ")
            .and_then(|_| serde_json::from_str(report).ok())
    };
    names_in(&dir)
        .iter()
        .filter_map(whole)
        .any(|report| report.stop.job == job)
}

fn cuts_after_exit_0(file_system: &str) {
    let began = Instant::now();
    let (machine, disk) = machine(file_system);
    let syslog = SystemLog::of(&machine.harness);
    let mut crashes = Crashes::new();
    let mut wrong = Vec::new();
    let cuts = if is_slow() { 100 } else { 20 };
    for number in 0..cuts {
        let job = format!("cut-{number}");
        let status = machine.crash(&job, &ASLEEP).status;
        disk.cut_power(&machine);
        let said = syslog.said();
        if !status.success() || !is_safe(&machine, &job) {
            wrong.push(format!(
                "{job}: {status}, and the report is not safe; the system log says {said:?}"
            ));
        }
        crashes.insert(job, vec![true]);
        // The second half of the tries starts with the spool as the deliverer leaves it.
        if number >= cuts / 2 {
            assert!(machine.deliver().success());
            disk.cut_power(&machine);
        }
    }
    assert!(machine.deliver().success());
    wrong.extend(violations(&machine, &crashes));
    table::row(
        &format!("power cut after exit 0, {file_system}"),
        cuts,
        began.elapsed(),
        &wrong,
    );
}

#[test]
fn a_power_cut_after_exit_0_loses_nothing_on_ext4() {
    let test = "as_root::power::a_power_cut_after_exit_0_loses_nothing_on_ext4";
    in_private_mounts(test, || cuts_after_exit_0("ext4"));
}

#[test]
fn a_power_cut_after_exit_0_loses_nothing_on_xfs() {
    let test = "as_root::power::a_power_cut_after_exit_0_loses_nothing_on_xfs";
    in_private_mounts(test, || cuts_after_exit_0("xfs"));
}

/// Cuts the power at the call before which the hook, or one of its helpers, is killed.
fn cuts_at_each_call_of_the_hook(file_system: &str) {
    let began = Instant::now();
    let (machine, disk) = machine(file_system);
    let syslog = SystemLog::of(&machine.harness);
    let mut crashes = Crashes::new();
    let mut wrong = Vec::new();
    let (mut tries, mut durable) = (0, 0);
    let points = some_points_of_the_hook(&machine, 5);
    machine.deliver();
    syslog.said();
    for (verb, point) in points {
        let job = format!("cut-at-{verb}-{}-{}", point.call, point.nth);
        let suffer = Some(Suffer {
            verb: &verb,
            point: &point,
            fault: Fault::Kill,
        });
        let ended = machine.crash(&job, &Stage { suffer, ..ASLEEP });
        // If the hook left nothing to finish, the report is on the disk.
        let is_durable = ended.status.success() && machine.unfinished().is_empty();
        disk.cut_power(&machine);
        tries += usize::from(ended.suffered);
        durable += usize::from(is_durable);
        // If it could not write the report, it has logged that.
        crashes.insert(job, vec![is_durable && syslog.said().is_empty()]);
        assert!(machine.deliver().success());
        machine.settle();
    }
    machine.deliver_in_an_hour();
    // A half file, which no process had promised to keep, is put aside there with a notice.
    let aside = |it: &String| it.starts_with("learn") || it.starts_with("left in corrupt");
    wrong.extend(
        violations(&machine, &crashes)
            .into_iter()
            .filter(|it| !aside(it)),
    );
    let fault =
        format!("power cut at each call of the hook, {file_system} ({durable} durable by then)");
    table::row(&fault, tries, began.elapsed(), &wrong);
}

#[test]
fn a_power_cut_at_any_call_of_the_hook_leaves_a_whole_report_or_none_on_ext4() {
    let test =
        "as_root::power::a_power_cut_at_any_call_of_the_hook_leaves_a_whole_report_or_none_on_ext4";
    in_private_mounts(test, || cuts_at_each_call_of_the_hook("ext4"));
}

#[test]
fn a_power_cut_at_any_call_of_the_hook_leaves_a_whole_report_or_none_on_xfs() {
    let test =
        "as_root::power::a_power_cut_at_any_call_of_the_hook_leaves_a_whole_report_or_none_on_xfs";
    in_private_mounts(test, || cuts_at_each_call_of_the_hook("xfs"));
}

#[test]
fn a_power_cut_at_any_call_of_the_deliverer_costs_no_report() {
    in_private_mounts(
        "as_root::power::a_power_cut_at_any_call_of_the_deliverer_costs_no_report",
        || {
            let began = Instant::now();
            let (machine, disk) = machine("ext4");
            let mut crashes = Crashes::new();
            machine.crash("learn", &ASLEEP);
            crashes.insert("learn".into(), vec![true]);
            let mut tries = 0;
            for point in choose(machine.watch("deliver", "learn"), 5) {
                let job = format!("deliver-{}-{}", point.call, point.nth);
                machine.crash(&job, &ASLEEP);
                let (_, came) = machine.faulty_hook("deliver", &job, &point, Fault::Kill);
                disk.cut_power(&machine);
                tries += usize::from(came);
                crashes.insert(job, vec![true]);
            }
            machine.deliver_all();
            disk.cut_power(&machine);
            machine.deliver_all();
            table::row(
                "power cut at each call of the deliverer",
                tries,
                began.elapsed(),
                &violations(&machine, &crashes),
            );
        },
    );
}

/// Returns the syncs and renames in the spool, by which the hook makes its report safe.
fn commits(machine: &Machine) -> Vec<(String, Point)> {
    let spool = machine.harness.spool.display().to_string();
    let mut verbs = vec!["post-stop".to_owned()];
    machine.crash("learn", &ASLEEP);
    verbs.extend(machine.verbs().into_iter().filter(|verb| verb != "deliver"));
    let of = |verb: String| {
        points_of(machine, &verb)
            .into_iter()
            .map(move |point| (verb.clone(), point))
    };
    let is_commit = |(_, point): &(String, Point)| {
        let commits = [
            "fsync",
            "fdatasync",
            "syncfs",
            "sync_file_range",
            "rename",
            "renameat",
            "renameat2",
        ];
        commits.contains(&point.call.as_str()) && point.arguments.contains(&spool)
    };
    verbs.into_iter().flat_map(of).filter(is_commit).collect()
}

/// Leaves out each fsync in turn. This proves that the tests above can detect a loss.
fn each_fsync_is_needed(file_system: &str) {
    let began = Instant::now();
    let (machine, disk) = machine(file_system);
    let mut wrong = Vec::new();
    let commits = commits(&machine);
    let syncs = commits
        .iter()
        .filter(|(_, point)| point.call.contains("sync"))
        .count();
    assert!(
        syncs >= 2,
        "a file and its directory are synced: {commits:?}"
    );
    for (number, (verb, point)) in commits.iter().enumerate() {
        let job = format!("skipped-{number}");
        let suffer = Some(Suffer {
            verb,
            point,
            fault: Fault::Skipped,
        });
        let ended = machine.crash(&job, &Stage { suffer, ..ASLEEP });
        disk.cut_power(&machine);
        if !ended.suffered || !ended.status.success() {
            wrong.push(format!("{verb}, {point}: was not left out: {ended:?}"));
        } else if is_safe(&machine, &job) {
            wrong.push(format!(
                "{verb}, {point} ({}): the report is safe without it",
                point.arguments
            ));
        }
    }
    let fault = format!(
        "each fsync and rename left out makes the power cut lose the report, {file_system}"
    );
    table::row(&fault, commits.len(), began.elapsed(), &wrong);
}

#[test]
fn without_any_one_of_its_fsyncs_the_hooks_report_is_lost_on_ext4() {
    let test = "as_root::power::without_any_one_of_its_fsyncs_the_hooks_report_is_lost_on_ext4";
    in_private_mounts(test, || each_fsync_is_needed("ext4"));
}

#[test]
fn without_any_one_of_its_fsyncs_the_hooks_report_is_lost_on_xfs() {
    let test = "as_root::power::without_any_one_of_its_fsyncs_the_hooks_report_is_lost_on_xfs";
    in_private_mounts(test, || each_fsync_is_needed("xfs"));
}
