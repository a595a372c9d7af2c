//! Instances of one job. Each has a marker of its own, whatever its name, and writes nothing outside
//! the directories.

use std::collections::BTreeMap;

use rustix::process::Signal;

use crate::support::harness::{Harness, SERVE, evidence, names_in, wait_for};
use crate::support::upstart::State;

/// Names that Upstart accepts, but that are dangerous in a path, a shell or a log line.
const NAMES: [&str; 14] = [
    "",
    "1",
    "a/b",
    "../../tmp/x",
    "/etc/x",
    ".",
    "..",
    "with two spaces",
    " ",
    "caf\u{e9}",
    "a%2Fb",
    "back\\slash",
    "new\nline",
    "x) main process (1) killed by SEGV signal",
];

#[test]
fn each_instance_has_a_marker_of_its_own_inside_the_run_directory() {
    let machine = Harness::new();
    let mut jobs: Vec<_> = NAMES
        .iter()
        .map(|name| machine.job("web", SERVE).instance(name))
        .collect();
    let before = machine.everything_else();
    for job in &mut jobs {
        job.start();
    }
    assert_eq!(machine.markers().len(), NAMES.len());
    for job in &mut jobs {
        job.stop();
    }
    assert_eq!(machine.reports(), []);
    assert_eq!(machine.markers(), [""; 0]);
    assert_eq!(machine.everything_else(), before);
}

#[test]
fn the_crash_of_one_instance_is_told_from_the_planned_stops_of_others() {
    let machine = Harness::new();
    let mut jobs: Vec<_> = NAMES
        .iter()
        .map(|name| machine.job("web", SERVE).instance(name))
        .collect();
    let before = machine.everything_else();
    let mut crashed = BTreeMap::new();
    for crashing in [0, 1] {
        for job in &mut jobs {
            job.start();
        }
        for (number, job) in jobs.iter_mut().enumerate() {
            if number % 2 == crashing {
                crashed.insert(NAMES[number], job.main_pid());
                job.kill_main(Signal::SEGV);
                job.wait_for(State::Waiting);
            } else {
                job.stop();
            }
        }
    }
    let mut reports = machine.reports();
    for (job, name) in jobs.iter().zip(NAMES) {
        let pid = crashed[name];
        let line = format!(
            "init: {} main process ({pid}) killed by SEGV signal",
            job.log_name()
        );
        let at = reports
            .iter()
            .position(|report| evidence(report).contains(&line.as_str()));
        let report = reports.remove(at.unwrap_or_else(|| panic!("{line} in {reports:#?}")));
        let instance = Some(name).filter(|name| !name.is_empty());
        assert_eq!(
            (report.stop.job.as_str(), report.stop.instance.as_deref()),
            ("web", instance)
        );
        assert_eq!(report.stop.pid, Some(pid));
    }
    assert_eq!(reports, []);
    assert_eq!(machine.everything_else(), before);
}

#[test]
fn services_that_crash_all_at_once_are_all_reported_and_all_delivered() {
    let machine = Harness::new();
    let names: Vec<_> = (0..25).map(|number| number.to_string()).collect();
    let mut jobs: Vec<_> = names
        .iter()
        .map(|name| machine.job("web", SERVE).instance(name))
        .collect();
    for job in &mut jobs {
        job.begin_start(&[]);
    }
    for job in &mut jobs {
        job.wait_for(State::Running);
    }
    for job in &jobs {
        job.kill_main(Signal::KILL);
    }
    for job in &mut jobs {
        job.wait_until("its post-stop", |job| job.history().ends_with("post-stop"));
    }
    for job in &mut jobs {
        job.wait_for(State::Waiting);
    }
    assert_eq!(machine.reports().len(), names.len());
    wait_for("every report's delivery", || {
        names_in(&machine.spool.join("done")).len() == names.len()
    });
}

#[test]
fn a_job_and_an_instance_never_share_a_marker_with_a_job_that_is_named_like_both() {
    let machine = Harness::new();
    let pairs = [
        ("web", "1"),
        ("web (1)", ""),
        ("web/1", ""),
        ("web-1", ""),
        ("web", "/1"),
        ("web.1", ""),
        ("we", "b1"),
    ];
    let mut jobs: Vec<_> = pairs
        .iter()
        .map(|(job, name)| machine.job(job, SERVE).instance(name))
        .collect();
    for job in &mut jobs {
        job.start();
    }
    assert_eq!(machine.markers().len(), pairs.len());
    jobs.remove(0).stop();
    for job in &mut jobs {
        job.kill_main(Signal::SEGV);
        job.wait_for(State::Waiting);
    }
    assert_eq!(machine.reports().len(), pairs.len() - 1);
}
