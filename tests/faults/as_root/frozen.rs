//! Deliverers that are stopped before a system call until another takes over, and then continued.

use std::process::Child;
use std::time::Instant;

use rustix::process::{Signal, kill_process};

use super::killed::{Crashes, repeats, violations};
use crate::machine::{Machine, Stage};
use crate::strace::{self, Fault, choose};
use crate::support::harness::{names_in, wait_for};
use crate::table;

/// Time after which a deliverer that shows no sign of life counts as dead.
const STALE: &str = "11m";

/// Continues a deliverer each time it is stopped, until it ends.
fn thaw(machine: &Machine, frozen: &mut Child) {
    wait_for("the end of the one that was frozen", || {
        for pid in machine.harness.pids_of("deliver") {
            let _ = kill_process(pid, Signal::CONT);
        }
        frozen.try_wait().unwrap().is_some()
    });
}

#[test]
fn a_deliverer_frozen_before_any_of_its_calls_is_replaced_and_does_no_harm_when_it_goes_on() {
    let began = Instant::now();
    let machine = Machine::new();
    let asleep = Stage {
        asleep: true,
        ..Stage::default()
    };
    let (mut crashes, mut wrong, mut tries) = (Crashes::new(), Vec::new(), 0);
    machine.crash("learn", &asleep);
    machine.settle();
    crashes.insert("learn".into(), vec![true]);
    let points = choose(machine.watch("deliver", "learn"), 8);
    for point in points.into_iter().filter(|point| !point.starting) {
        let job = format!("deliver-{}-{}", point.call, point.nth);
        // The last deliverer that took over has noted until when it counts as alive, by a clock
        // that was ahead.
        for lock in names_in(&machine.harness.spool.join("lock")) {
            std::fs::remove_file(machine.harness.spool.join("lock").join(lock)).unwrap();
        }
        machine.crash(&job, &asleep);
        machine.settle();
        crashes.insert(job.clone(), vec![true]);
        let log = machine.path("strace.log");
        let _ = std::fs::remove_file(&log);
        let mut frozen = machine
            .traced("deliver", &job, &strace::inject(&point, Fault::Stop, &log))
            .spawn()
            .unwrap();
        wait_for("the frost", || {
            strace::came(Fault::Stop, &log) || frozen.try_wait().unwrap().is_some()
        });
        let came = strace::came(Fault::Stop, &log);
        machine.deliver_in(STALE);
        if came && !machine.sunk().contains_key(&job) {
            wrong.push(format!("{job}: nobody takes over"));
        }
        thaw(&machine, &mut frozen);
        machine.settle();
        tries += usize::from(came);
    }
    machine.deliver_all();
    wrong.extend(violations(&machine, &crashes));
    let often = machine
        .sunk()
        .into_values()
        .flatten()
        .filter(|(_, times)| *times > 2);
    wrong.extend(often.map(|(id, times)| format!("{id} came {times} times")));
    let fault = format!(
        "deliverer frozen before each call, another takes over ({} repeated, same id)",
        repeats(&machine)
    );
    table::row(&fault, tries, began.elapsed(), &wrong);
}
