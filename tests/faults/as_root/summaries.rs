//! Crashes in one summary, whose deliverer is killed before a system call. Each crash must be
//! counted once.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Instant;

use lastwords::report::Kind;

use super::killed::leftovers;
use crate::machine::{Machine, Stage};
use crate::strace::{self, Fault, Point, STRACE, choose};
use crate::table;

/// The crashes of a history, and the messages that tell of them.
#[derive(Clone, Copy)]
struct History {
    crashes: u64,
    messages: usize,
}

/// One is told by its own report, the others in a summary.
const LOOP: History = History {
    crashes: 4,
    messages: 2,
};
/// Four are told by their own reports, the others in a summary.
const MANY_CAUSES: History = History {
    crashes: 7,
    messages: 5,
};

/// Returns a machine where a service has crashed again and again, and nothing was sent yet.
fn crashed() -> Machine {
    let machine = Machine::new();
    for _ in 0..LOOP.crashes {
        machine.crash(
            "web",
            &Stage {
                asleep: true,
                ..Stage::default()
            },
        );
        machine.settle();
    }
    machine
}

/// Returns a machine where a service has crashed of another cause each time, and nothing was sent
/// yet.
fn crashed_of_many_causes() -> Machine {
    let machine = Machine::new();
    for code in (1..).take(7) {
        machine.start("web");
        machine.end_with("web", code);
        machine.post_stop(
            "web",
            &Stage {
                asleep: true,
                ..Stage::default()
            },
        );
        machine.settle();
    }
    machine
}

/// Runs the deliverer as if it were `later`, under strace.
fn deliver(machine: &Machine, later: &str, tracing: Vec<String>) {
    let mut command = Command::new(STRACE);
    command
        .args(tracing)
        .args(machine.harness.hook_argv("deliver"))
        .args(["--later", later]);
    let _ = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace");
    machine.settle();
}

/// Returns the number of crashes of a job in each message to the sink. A message that came twice
/// has one id and counts once.
pub fn told(machine: &Machine, job: &str) -> Vec<u64> {
    let kinds: BTreeMap<_, _> = machine
        .reports()
        .into_iter()
        .map(|report| (report.id.to_string(), report.kind))
        .collect();
    let ids = machine.sunk().remove(job).unwrap_or_default().into_keys();
    let count = |id: String| match kinds.get(&id) {
        Some(Kind::Crash) => 1,
        Some(Kind::Summary { new, .. }) => new.count,
        _ => 0,
    };
    ids.map(count).collect()
}

/// Returns the mistakes in the messages to the sink.
fn wrong(machine: &Machine, point: &Point, history: History) -> Vec<String> {
    let History { crashes, messages } = history;
    let told = told(machine, "web");
    let mut wrong = leftovers(machine);
    if told.iter().sum::<u64>() != crashes || told.len() != messages {
        wrong.push(format!(
            "{crashes} crashes, of which the messages told {told:?}"
        ));
    }
    wrong
        .into_iter()
        .map(|wrong| format!("killed before {point}: {wrong}"))
        .collect()
}

/// Kills the deliverer that runs `later` before each of its calls.
fn kill(later: &str, prepare: impl Fn() -> Machine, history: History, fault: &str) {
    let began = Instant::now();
    let learn = prepare();
    let log = learn.path("strace.log");
    deliver(&learn, later, strace::watch(&log));
    let (mut tries, mut all_wrong) = (0, Vec::new());
    for point in choose(strace::points(&log), 4)
        .into_iter()
        .filter(|point| !point.starting)
    {
        let machine = prepare();
        let log = machine.path("strace.log");
        deliver(&machine, later, strace::inject(&point, Fault::Kill, &log));
        tries += usize::from(strace::came(Fault::Kill, &log));
        for later in [later, "6m", "70m"] {
            deliver(&machine, later, strace::watch(&log));
        }
        all_wrong.extend(wrong(&machine, &point, history));
    }
    table::row(fault, tries, began.elapsed(), &all_wrong);
}

#[test]
fn a_deliverer_killed_while_it_counts_crashes_counts_each_once() {
    kill(
        "0s",
        crashed,
        LOOP,
        "deliverer killed before each call, counting a loop's crashes",
    );
}

#[test]
fn a_deliverer_killed_while_it_writes_a_summary_counts_each_crash_once() {
    let told_of_the_first = || {
        let machine = crashed();
        deliver(&machine, "0s", strace::watch(&machine.path("strace.log")));
        machine
    };
    kill(
        "6m",
        told_of_the_first,
        LOOP,
        "deliverer killed before each call, summing up a loop",
    );
}

#[test]
fn a_deliverer_killed_while_the_brake_holds_counts_each_crash_once() {
    kill(
        "0s",
        crashed_of_many_causes,
        MANY_CAUSES,
        "deliverer killed before each call, of a job with many causes",
    );
}
