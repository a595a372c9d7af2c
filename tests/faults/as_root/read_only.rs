//! Kills the deliverer as it changes over to memory, because the spool's disk has become read-only,
//! and as it changes back.

use std::time::Instant;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use super::killed::{Crashes, repeats, violations};
use crate::machine::{Machine, Stage};
use crate::strace::{Fault, Point, choose};
use crate::support::harness::names_in;
use crate::table;
use crate::victim::is_slow;

/// Number of points of each change that are tried in a quick run.
const TRIES: usize = 40;

/// A spool on a disk of its own, for as long as this value lives.
struct Disk(Machine);

impl Disk {
    fn new() -> Self {
        let machine = Machine::new();
        let spool = &machine.harness.spool;
        std::fs::create_dir_all(spool).unwrap();
        let options = c"size=64m,mode=0711";
        mount("none", spool, "tmpfs", MountFlags::empty(), options).unwrap();
        Self(machine)
    }

    fn is_read_only(&self, is_so: bool) {
        let flags = if is_so {
            MountFlags::RDONLY
        } else {
            MountFlags::empty()
        };
        mount_remount(&self.0.harness.spool, flags, c"").unwrap();
    }

    /// Lets a service crash. Nobody is told yet.
    fn crash(&self, job: &str) {
        let asleep = Stage {
            asleep: true,
            ..Stage::default()
        };
        assert!(self.0.crash(job, &asleep).status.success());
        self.0.settle();
    }

    /// Runs a pass with this fault, and one without. Returns whether the fault came.
    fn suffer(&self, point: &Point) -> bool {
        let fault = Fault::Kill;
        let (_, came) = self.0.faulty_hook("deliver", "deliver", point, fault);
        self.0.settle();
        assert!(self.0.deliver().success());
        self.0.settle();
        came
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.0.harness.spool, UnmountFlags::DETACH);
    }
}

#[test]
fn a_deliverer_killed_as_the_disk_changes_loses_nothing_and_repeats_only_what_it_was_sending() {
    let began = Instant::now();
    let disk = Disk::new();
    let machine = &disk.0;
    assert!(machine.deliver().success());
    let mut crashes = Crashes::new();
    let crash = |crashes: &mut Crashes, job: &str| {
        disk.crash(job);
        crashes.insert(job.to_owned(), vec![true]);
    };
    // A report is on the disk, another in memory: so all parts of a change have something to do.
    let become_read_only = |crashes: &mut Crashes, name: &str| {
        crash(crashes, &format!("{name}-disk"));
        disk.is_read_only(true);
        crash(crashes, &format!("{name}-memory"));
    };
    become_read_only(&mut crashes, "learn");
    let there = machine.watch("deliver", "deliver");
    disk.is_read_only(false);
    let back = machine.watch("deliver", "deliver");

    let (mut tries, mut after_the_send) = (0, 0);
    let some = |points: Vec<Point>| {
        let points = choose(points, 4);
        let step = if is_slow() {
            1
        } else {
            points.len().div_ceil(TRIES)
        };
        points.into_iter().step_by(step)
    };
    for (number, point) in some(there).enumerate() {
        become_read_only(&mut crashes, &format!("there-{number}"));
        tries += usize::from(disk.suffer(&point));
        disk.is_read_only(false);
        assert!(machine.deliver().success());
        machine.settle();
    }
    after_the_send += repeats(machine);
    for (number, point) in some(back).enumerate() {
        become_read_only(&mut crashes, &format!("back-{number}"));
        assert!(machine.deliver().success());
        machine.settle();
        disk.is_read_only(false);
        tries += usize::from(disk.suffer(&point));
    }
    machine.deliver_all();
    let mut wrong = violations(machine, &crashes);
    if repeats(machine) > after_the_send {
        wrong.push(format!(
            "bringing it back repeated {} reports",
            repeats(machine) - after_the_send
        ));
    }
    let left = names_in(&machine.harness.run).into_iter();
    wrong.extend(
        left.filter(|name| name.starts_with("deputy") && name != "deputy.lock")
            .map(|name| format!("left in the run directory: {name}")),
    );
    let fault = format!(
        "deliverer killed as the disk becomes read-only or writable ({after_the_send} repeated, same id)"
    );
    table::row(&fault, tries, began.elapsed(), &wrong);
}
