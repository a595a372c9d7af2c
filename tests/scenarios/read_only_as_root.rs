//! A spool on a disk that has become read-only, as after `errors=remount-ro`: people are told all
//! the same, and told nothing twice.
//!
//! These take root: leave them out with `-- --skip as_root`.

use std::fs;
use std::path::Path;

use rustix::mount::{MountFlags, mount_remount};

use crate::flood::{crash, deliver, hook, in_place, lines, machine, set, told};
use crate::ladder_as_root::Disk;
use crate::support::harness::{Harness, names_in, wait_for};

/// Returns a machine with one sink, whose spool is on a disk of its own.
fn machine_with_disk() -> (Harness, Disk) {
    let machine = machine(&["one"]);
    let disk = Disk::tmpfs(&machine.spool, "size=16m,mode=0711");
    assert!(machine.command("setup").status().unwrap().success());
    (machine, disk)
}

fn make_read_only(spool: &Path) {
    mount_remount(spool, MountFlags::RDONLY, c"").unwrap();
}

fn make_writable(spool: &Path) {
    mount_remount(spool, MountFlags::empty(), c"").unwrap();
}

fn said(machine: &Harness, words: &[&str]) -> String {
    let output = machine
        .command(words[0])
        .args(&words[1..])
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    out + &String::from_utf8(output.stderr).unwrap()
}

/// Checks that the disk has everything, and that nothing is told again.
fn all_is_on_the_disk(machine: &Harness, reports: usize) {
    let before = lines(machine, "one.offered");
    for minutes in [0, 1] {
        deliver(machine, minutes);
    }
    machine.settle();
    assert_eq!(lines(machine, "one.offered"), before);
    assert_eq!(
        (in_place(machine, "new"), in_place(machine, "done")),
        (0, reports)
    );
    let left = names_in(&machine.run);
    assert!(
        !left
            .iter()
            .any(|name| name.starts_with("deputy") && name != "deputy.lock"),
        "{left:?}"
    );
    let listed = said(machine, &["list"]);
    assert!(!listed.contains("memory"), "{listed}");
}

#[test]
fn what_waits_on_a_read_only_disk_and_what_crashes_then_is_told_once() {
    let (machine, _disk) = machine_with_disk();
    set(&machine, "one.exit", "1");
    crash(&machine, "web", 1);
    assert_eq!(told(&machine, "one"), [""; 0]);

    make_read_only(&machine.spool);
    fs::remove_file(machine.path("one.exit")).unwrap();
    crash(&machine, "db", 1);
    // The hook's deliverer has told of it.
    wait_for("a message", || !told(&machine, "one").is_empty());
    deliver(&machine, 1);
    machine.settle();
    let mut titles = told(&machine, "one");
    titles.sort();
    assert_eq!(titles.len(), 2, "{titles:?}");
    assert!(titles[0].contains("db crashed") && titles[1].contains("web crashed"));
    deliver(&machine, 2);
    assert_eq!(told(&machine, "one").len(), 2);

    let listed = said(&machine, &["list"]);
    assert!(listed.contains("db") && listed.contains("web"), "{listed}");
    assert_eq!(listed.matches("sent").count(), 2, "{listed}");
    for verb in ["list", "queue"] {
        let text = said(&machine, &[verb]);
        let words = "reports in memory only: 1; the spool's disk is read-only";
        assert!(text.contains(words), "{text}");
    }
    let shown = said(&machine, &["show", "--job", "db"]);
    assert!(
        shown.contains("db crashed") && shown.contains("sent"),
        "{shown}"
    );
    let queued = said(&machine, &["queue"]);
    assert!(queued.contains("No report is waiting"), "{queued}");
    machine.configure("db", "");
    let doctor = said(&machine, &["doctor", "db"]);
    let doctor: Vec<_> = doctor.split_whitespace().collect();
    let doctor = doctor.join(" ");
    assert!(
        doctor.contains("the spool's disk is read-only: new reports are in memory only (now: 1)"),
        "{doctor}"
    );

    make_writable(&machine.spool);
    all_is_on_the_disk(&machine, 2);
    let listed = said(&machine, &["list"]);
    assert_eq!(listed.matches("sent").count(), 2, "{listed}");
}

#[test]
fn a_loop_that_goes_on_over_a_read_only_disk_has_the_messages_of_one_loop() {
    let (machine, _disk) = machine_with_disk();
    crash(&machine, "web", 2);
    assert_eq!(told(&machine, "one").len(), 1);
    make_read_only(&machine.spool);
    crash(&machine, "web", 2);
    deliver(&machine, 0);
    assert_eq!(told(&machine, "one").len(), 1);
    let queued = said(&machine, &["queue"]);
    assert!(queued.contains("3 more of web counted for one"), "{queued}");
    deliver(&machine, 6);
    let titles = told(&machine, "one");
    assert!(
        titles.len() == 2 && titles[1].contains("3 times"),
        "{titles:?}"
    );

    make_writable(&machine.spool);
    crash(&machine, "web", 1);
    deliver(&machine, 7);
    assert_eq!(told(&machine, "one").len(), 2);
    hook(&machine, "web", "pre-start");
    deliver(&machine, 18);
    let titles = told(&machine, "one");
    assert!(
        titles.len() == 3 && titles[2].contains("up again"),
        "{titles:?}"
    );
    assert!(titles[2].contains("5 times"), "{titles:?}");
}

#[test]
fn a_disk_that_was_read_only_from_the_first_has_everything_once_it_is_writable() {
    let mut machine = machine(&["one"]);
    let disks = machine.path("disks");
    let _disk = Disk::tmpfs(&disks, "size=16m,mode=0755");
    machine.spool = disks.join("spool");
    make_read_only(&disks);
    crash(&machine, "web", 1);
    assert_eq!(told(&machine, "one").len(), 1);
    make_writable(&disks);
    all_is_on_the_disk(&machine, 1);
}

#[test]
fn a_disk_that_is_writable_only_for_a_moment_loses_nothing_and_repeats_nothing() {
    let (machine, _disk) = machine_with_disk();
    make_read_only(&machine.spool);
    crash(&machine, "web", 1);
    make_writable(&machine.spool);
    // A sink that refuses for now holds reports in `new/`, whichever spool that is.
    set(&machine, "one.exit", "1");
    crash(&machine, "db", 1);
    make_read_only(&machine.spool);
    fs::remove_file(machine.path("one.exit")).unwrap();
    crash(&machine, "cache", 1);
    deliver(&machine, 2);
    machine.settle();
    assert_eq!(told(&machine, "one").len(), 3);
    make_writable(&machine.spool);
    all_is_on_the_disk(&machine, 3);
}

#[test]
fn what_people_change_while_the_disk_is_read_only_stays_changed() {
    let (machine, _disk) = machine_with_disk();
    set(&machine, "one.exit", "1");
    crash(&machine, "web", 1);
    crash(&machine, "db", 1);
    make_read_only(&machine.spool);
    let ids: Vec<_> = names_in(&machine.spool.join("new"));
    let dropped = said(&machine, &["queue", "drop", &ids[0], "--why", "known"]);
    assert!(dropped.contains("is dropped"), "{dropped}");
    fs::remove_file(machine.path("one.exit")).unwrap();
    let retried = said(&machine, &["queue", "retry", "--all"]);
    assert!(retried.contains("is due for one"), "{retried}");
    wait_for("the message", || told(&machine, "one").len() == 1);
    machine.settle();
    make_writable(&machine.spool);
    deliver(&machine, 0);
    deliver(&machine, 10);
    machine.settle();
    assert_eq!(told(&machine, "one").len(), 1);
    assert_eq!(names_in(&machine.spool.join("dead")), [ids[0].clone()]);
    assert_eq!(names_in(&machine.spool.join("done")), [ids[1].clone()]);
}
