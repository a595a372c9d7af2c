//! Instances of one job: each its own marker, whatever its name, and nothing outside the directories.

use rustix::process::Signal;

use crate::harness::{Harness, evidence};
use crate::upstart::{Job, State};

const SERVE: &str = "exec sleep 1000\n";

/// Names that Upstart lets pass, and that a path, a shell or a log line would trip over.
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
    let mut jobs: Vec<_> = NAMES.iter().map(|name| machine.job("web", SERVE).instance(name)).collect();
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
fn the_crash_of_one_instance_is_told_from_the_planned_stops_of_all_others() {
    let machine = Harness::new();
    let mut jobs: Vec<_> = NAMES.iter().map(|name| machine.job("web", SERVE).instance(name)).collect();
    let before = machine.everything_else();
    for (crashing, name) in NAMES.iter().enumerate() {
        for job in &mut jobs {
            job.start();
        }
        let (mut one, others): (Vec<_>, Vec<_>) = jobs.iter_mut().enumerate().partition(|(i, _)| *i == crashing);
        let (_, one) = one.remove(0);
        let half = others.len() / 2;
        let mut others = others.into_iter().map(|(_, job)| job);
        others.by_ref().take(half).for_each(Job::stop);
        one.kill_main(Signal::SEGV);
        one.wait_for(State::Waiting);
        others.for_each(Job::stop);
        let reports = machine.reports();
        assert_eq!(reports.len(), crashing + 1, "{name:?}");
        let report = reports.last().unwrap();
        let instance = Some(*name).filter(|name| !name.is_empty());
        assert_eq!((report.stop.job.as_str(), report.stop.instance.as_deref()), ("web", instance));
        assert_eq!(report.stop.pid, Some(one.main_pid()), "{report:#?}");
        let line = format!("init: {} main process ({}) killed by SEGV signal", one.log_name(), one.main_pid());
        assert!(evidence(report).contains(&line.as_str()), "{report:#?}");
    }
    assert_eq!(machine.everything_else(), before);
}

#[test]
fn a_job_and_an_instance_never_share_a_marker_with_a_job_that_is_named_like_both() {
    let machine = Harness::new();
    let pairs =
        [("web", "1"), ("web (1)", ""), ("web/1", ""), ("web-1", ""), ("web", "/1"), ("web.1", ""), ("we", "b1")];
    let mut jobs: Vec<_> = pairs.iter().map(|(job, name)| machine.job(job, SERVE).instance(name)).collect();
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
