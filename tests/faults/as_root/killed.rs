//! Kills each process that a crash starts, before each of its system calls.
//!
//! A hook that is killed before it takes its marker owes no report: its supervisor has seen it die,
//! and the marker stays armed. After that there must be exactly one report, whichever process dies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use lastwords::report::Kind;

use crate::machine::{BINARY, Ended, Machine, Stage, Suffer};
use crate::strace::{self, Fault, Point, choose};
use crate::support::harness::names_in;
use crate::table;

/// Jobs, and whether each of their crashes must have been reported.
pub type Crashes = BTreeMap<String, Vec<bool>>;

/// Returns the broken invariants, once the deliverer says that it has nothing left to do.
pub fn violations(machine: &Machine, crashes: &Crashes) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut reports = BTreeMap::<String, Vec<String>>::new();
    let mut summaries = BTreeSet::new();
    for report in machine.reports() {
        let (job, id) = (report.stop.job, report.id.to_string());
        if matches!(report.kind, Kind::Summary { .. }) {
            summaries.insert(id);
        } else {
            reports.entry(job).or_default().push(id);
        }
    }
    let sunk = machine.sunk();
    for (job, owed) in crashes {
        let kept = reports.remove(job).unwrap_or_default();
        let least = owed.iter().filter(|owed| **owed).count();
        if kept.len() < least || kept.len() > owed.len() {
            wrong.push(format!(
                "{job}: {} crashes, {least} to be reported, {} reports",
                owed.len(),
                kept.len()
            ));
        }
        let told = sunk.get(job).cloned().unwrap_or_default();
        // Later crashes of a job may be in a summary.
        if !kept.is_empty() && told.is_empty() {
            wrong.push(format!("{job}: the sink has not got {kept:?}"));
        }
        if let Some(id) = told
            .keys()
            .find(|id| !kept.contains(id) && !summaries.contains(*id))
        {
            wrong.push(format!(
                "{job}: the sink has got {id}, which the spool does not know: {kept:?}"
            ));
        }
    }
    wrong.extend(
        reports
            .keys()
            .filter(|job| !job.starts_with("lastwords"))
            .map(|job| format!("{job}: never crashed")),
    );
    wrong.extend(leftovers(machine));
    wrong
}

/// Returns the files that should be gone by now.
pub fn leftovers(machine: &Machine) -> Vec<String> {
    let spool = &machine.harness.spool;
    let mut left = Vec::new();
    for place in ["tmp", "new", "corrupt", "dead"] {
        left.extend(
            names_in(&spool.join(place))
                .into_iter()
                .map(|name| format!("left in {place}: {name}")),
        );
    }
    left.extend(
        machine
            .unfinished()
            .into_iter()
            .map(|name| format!("left unfinished: {name}")),
    );
    let files = |dir: PathBuf| names_in(&dir).into_iter().map(move |name| dir.join(name));
    let drafts = files(spool.join("state"))
        .flat_map(files)
        .chain(files(machine.harness.run.join("markers")));
    let is_draft = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.') || name.contains("~draft")
    };
    left.extend(
        drafts
            .filter(is_draft)
            .map(|path| format!("a draft is left: {}", path.display())),
    );
    left
}

/// Returns the number of times that a sink took a report again.
pub fn repeats(machine: &Machine) -> usize {
    machine
        .sunk()
        .values()
        .flat_map(BTreeMap::values)
        .map(|times| times - 1)
        .sum()
}

fn passes(machine: &Machine) {
    assert!(machine.deliver().success());
    machine.settle();
}

/// Returns the verbs of the processes that a crash starts, except the deliverer.
fn helpers(machine: &Machine) -> Vec<String> {
    let _: Ended = machine.crash(
        "learn",
        &Stage {
            asleep: true,
            ..Stage::default()
        },
    );
    machine.settle();
    let mut verbs = machine.verbs();
    verbs.retain(|verb| verb != "deliver");
    verbs
}

/// Returns the points of one of the processes that a crash starts.
pub fn points_of(machine: &Machine, verb: &str) -> Vec<Point> {
    machine.crash(
        "learn",
        &Stage {
            asleep: true,
            watch: Some(verb),
            ..Stage::default()
        },
    );
    machine.settle();
    strace::points(&machine.path("strace.log"))
}

/// Returns the processes that catch a crash, and each of their points.
pub fn all_points_of_the_hook(machine: &Machine) -> Vec<(String, Point)> {
    let verbs = [vec!["post-stop".to_owned()], helpers(machine)].concat();
    let of = |verb: String| {
        points_of(machine, &verb)
            .into_iter()
            .map(move |point| (verb.clone(), point))
    };
    verbs.into_iter().flat_map(of).collect()
}

/// Returns a choice of them, for each process.
pub fn some_points_of_the_hook(machine: &Machine, others: usize) -> Vec<(String, Point)> {
    let mut by_verb = BTreeMap::<String, Vec<Point>>::new();
    for (verb, point) in all_points_of_the_hook(machine) {
        by_verb.entry(verb).or_default().push(point);
    }
    let chosen = |(verb, points): (String, Vec<Point>)| {
        choose(points, others)
            .into_iter()
            .map(move |it| (verb.clone(), it))
    };
    by_verb.into_iter().flat_map(chosen).collect()
}

#[test]
fn a_hook_killed_before_any_of_its_calls_leaves_one_report_or_an_armed_marker() {
    let began = Instant::now();
    let machine = Machine::new();
    let mut crashes = Crashes::new();
    let mut wrong = Vec::new();
    for (number, (verb, point)) in some_points_of_the_hook(&machine, 20).iter().enumerate() {
        let job = format!("hook-{number}-{verb}-{}-{}", point.call, point.nth);
        let suffer = Some(Suffer {
            verb,
            point,
            fault: Fault::Kill,
        });
        let ended = machine.crash(
            &job,
            &Stage {
                suffer,
                asleep: true,
                watch: None,
            },
        );
        if ended.suffered {
            if verb != "post-stop" && !ended.status.success() {
                wrong.push(format!(
                    "{job}: the hook died of its helper's death: {:?}",
                    ended.status
                ));
            }
            crashes.insert(job, vec![ended.owes_a_report()]);
        } else {
            crashes.insert(job, vec![true]);
        }
    }
    machine.settle();
    crashes.insert("learn".into(), vec![true; 2 + helpers(&machine).len() + 1]);
    passes(&machine);
    wrong.extend(violations(&machine, &crashes));
    // The next life begins normally.
    for (job, owed) in &mut crashes {
        assert!(
            machine
                .crash(
                    job,
                    &Stage {
                        asleep: true,
                        ..Stage::default()
                    }
                )
                .status
                .success()
        );
        owed.push(true);
    }
    machine.settle();
    passes(&machine);
    wrong.extend(
        violations(&machine, &crashes)
            .into_iter()
            .map(|it| format!("in the next life: {it}")),
    );
    if repeats(&machine) > 0 {
        wrong.push(format!("{} reports came twice", repeats(&machine)));
    }
    table::row(
        "hook killed before each call",
        crashes.len() - 1,
        began.elapsed(),
        &wrong,
    );
}

#[test]
fn a_pre_start_or_pre_stop_killed_before_any_of_its_calls_costs_no_later_crash() {
    let began = Instant::now();
    let machine = Machine::new();
    let mut crashes = Crashes::new();
    let mut tries = 0;
    machine.start("learn");
    // The watched pre-start finds the marker still armed.
    crashes.insert("learn".into(), vec![false]);
    for hook in ["pre-start", "pre-stop"] {
        for point in choose(machine.watch(hook, "learn"), 8) {
            let job = format!("{hook}-{}-{}", point.call, point.nth);
            let asleep = Stage {
                asleep: true,
                ..Stage::default()
            };
            let mut owed = vec![true];
            if hook == "pre-stop" {
                machine.start(&job);
            }
            let (_, came) = machine.faulty_hook(hook, &job, &point, Fault::Kill);
            tries += usize::from(came);
            if hook == "pre-start" {
                // The supervisor sees a failed start, runs post-stop, and is told to start again.
                // An armed marker may look like a crash.
                assert!(machine.post_stop(&job, &asleep).status.success());
                machine.start(&job);
                owed.push(false);
            }
            machine.die(&job);
            assert!(machine.post_stop(&job, &asleep).status.success());
            crashes.insert(job, owed);
        }
    }
    machine.settle();
    passes(&machine);
    let wrong = violations(&machine, &crashes);
    table::row(
        "pre-start, pre-stop killed before each call",
        tries,
        began.elapsed(),
        &wrong,
    );
}

#[test]
fn a_deliverer_killed_before_any_of_its_calls_sends_once_or_again_with_the_same_id() {
    let began = Instant::now();
    let machine = Machine::new();
    let asleep = Stage {
        asleep: true,
        ..Stage::default()
    };
    let mut crashes = Crashes::new();
    let mut tries = 0;
    machine.crash("learn", &asleep);
    machine.settle();
    crashes.insert("learn".into(), vec![true]);
    for point in choose(machine.watch("deliver", "learn"), 8) {
        let job = format!("deliver-{}-{}", point.call, point.nth);
        machine.crash(&job, &asleep);
        machine.settle();
        let (_, came) = machine.faulty_hook("deliver", &job, &point, Fault::Kill);
        tries += usize::from(came);
        machine.settle();
        passes(&machine);
        crashes.insert(job, vec![true]);
    }
    machine.deliver_all();
    let wrong = violations(&machine, &crashes);
    let fault = format!(
        "deliverer killed before each call ({} repeated, same id)",
        repeats(&machine)
    );
    table::row(&fault, tries, began.elapsed(), &wrong);
}

#[test]
fn an_attempt_killed_before_any_of_its_calls_is_made_again() {
    let began = Instant::now();
    let machine = Machine::new();
    let asleep = Stage {
        asleep: true,
        ..Stage::default()
    };
    let mut crashes = Crashes::new();
    // The name is unique, so that files in /run can be assigned to this run.
    let jobs = format!("attempt-{}-", std::process::id());
    let attempts = |watched: &str| {
        let dir = machine.path("try").display().to_string();
        let count = machine.path("count").display().to_string();
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = attempt ]; then\n\
             n=0; [ -e {count} ] && read -r n <{count}; n=$((n+1)); echo $n >{count}\n\
             [ -e {dir}.$n ] && read -r trace <{dir}.$n && exec {} -D {watched} $trace {BINARY} \"$@\"\n\
             fi\nexec {BINARY} \"$@\"\n",
            strace::STRACE,
        );
        let mut deliver: Command = machine.in_disguise(&script, "", "deliver", "deliver");
        assert!(deliver.status().unwrap().success());
        machine.settle();
    };
    machine.crash("learn", &asleep);
    machine.settle();
    crashes.insert("learn".into(), vec![true]);
    let log = machine.path("strace.log");
    fs::write(machine.path("try.1"), strace::watch(&log).join(" ") + "\n").unwrap();
    attempts("");
    let points = choose(strace::points(&log), 12);
    fs::remove_file(machine.path("count")).unwrap();
    for (number, point) in points.iter().enumerate() {
        let job = format!("{jobs}{}-{}", point.call, point.nth);
        machine.crash(&job, &asleep);
        let log = machine.path(&format!("log.{}", number + 1));
        let trace = strace::inject(point, Fault::Kill, &log).join(" ") + "\n";
        fs::write(machine.path(&format!("try.{}", number + 1)), trace).unwrap();
        crashes.insert(job, vec![true]);
    }
    machine.settle();
    attempts("");
    let came = |number: &usize| strace::came(Fault::Kill, &machine.path(&format!("log.{number}")));
    let tries = (1..=points.len()).filter(came).count();
    machine.deliver_all();
    // The last attempt may have ended after the last pass began.
    passes(&machine);
    let mut wrong = violations(&machine, &crashes);
    wrong.extend(report_directories(&jobs));
    let fault = format!(
        "attempt killed before each call ({} repeated, same id)",
        repeats(&machine)
    );
    table::row(&fault, tries, began.elapsed(), &wrong);
}

/// Returns the directories that killed attempts have left, in which they pass reports of these jobs
/// to programs.
fn report_directories(jobs: &str) -> Vec<String> {
    let places = ["/run", "/tmp"].map(PathBuf::from);
    let inside = |place: PathBuf| {
        names_in(&place)
            .into_iter()
            .map(move |name| place.join(name))
    };
    let ours = |dir: &PathBuf| {
        let report = fs::read_to_string(dir.join("report.json")).unwrap_or_default();
        report.contains(&format!("\"job\": \"{jobs}"))
    };
    places
        .into_iter()
        .flat_map(inside)
        .filter(ours)
        .map(|dir| format!("left behind: {}", dir.display()))
        .collect()
}
