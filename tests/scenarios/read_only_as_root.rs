//! A spool on a disk that has become read-only, as after `errors=remount-ro`: people are told all
//! the same, and told nothing twice.
//!
//! These take root: leave them out with `-- --skip as_root`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

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

/// A directory that is read-only for as long as this value lives, even for those who are at work in
/// it.
struct Cover(PathBuf);

impl Cover {
    fn of(dir: &Path) -> Self {
        mount_bind(dir, dir).unwrap();
        mount_remount(dir, MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
        Self(dir.to_owned())
    }
}

impl Drop for Cover {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

fn no_longer(machine: &Harness, file: &str) {
    fs::remove_file(machine.path(file)).unwrap();
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
fn what_waits_on_a_disk_that_has_failed_is_told_though_it_says_that_it_is_writable() {
    let machine = machine(&["one"]);
    let disk = Disk::ext4(&machine.spool, &machine.path("image"));
    assert!(machine.command("setup").status().unwrap().success());
    set(&machine, "one.exit", "1");
    crash(&machine, "web", 1);
    disk.fail();
    no_longer(&machine, "one.exit");
    deliver(&machine, 1);
    assert_eq!(told(&machine, "one").len(), 1);
    let listed = said(&machine, &["list"]);
    assert!(listed.contains("the spool's disk is read-only"), "{listed}");
}

#[test]
fn what_crashes_while_the_disk_refuses_everything_is_told() {
    let machine = machine(&["one"]);
    let disk = Disk::xfs(&machine.spool, &machine.path("image"));
    assert!(machine.command("setup").status().unwrap().success());
    crash(&machine, "web", 1);
    disk.shut_down();
    crash(&machine, "db", 1);
    let expected = ["web", "db"].map(|job| format!("{job} crashed: exit code 1, cause unknown"));
    assert_eq!(told(&machine, "one"), expected);
    let listed = said(&machine, &["list"]);
    assert!(listed.contains("the spool's disk is failing"), "{listed}");
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

#[test]
fn what_is_being_sent_as_the_disk_becomes_read_only_is_told_once_and_holds_up_no_other_sink() {
    let machine = machine(&["one", "two"]);
    let _disk = Disk::tmpfs(&machine.spool, "size=16m,mode=0711");
    assert!(machine.command("setup").status().unwrap().success());
    set(&machine, "one.hang", "");
    for job in ["web", "db"] {
        hook(&machine, job, "pre-start");
    }
    hook(&machine, "web", "post-stop");
    wait_for("the first message", || {
        told(&machine, "two").len() == 1 && lines(&machine, "one.offered").len() == 1
    });

    let cover = Cover::of(&machine.spool);
    hook(&machine, "db", "post-stop");
    wait_for("the second message", || told(&machine, "two").len() == 2);
    assert_eq!(lines(&machine, "one.offered").len(), 1);
    no_longer(&machine, "one.hang");
    machine.settle();
    deliver(&machine, 1);
    for sink in ["one", "two"] {
        assert_eq!(lines(&machine, &format!("{sink}.offered")).len(), 2);
        assert_eq!(told(&machine, sink).len(), 2);
    }
    drop(cover);
    all_is_on_the_disk(&machine, 2);
    assert_eq!(told(&machine, "two").len(), 2);
}

#[test]
fn what_is_being_sent_from_memory_as_the_disk_becomes_writable_is_told_once() {
    let (machine, _disk) = machine_with_disk();
    let cover = Cover::of(&machine.spool);
    set(&machine, "one.hang", "");
    for job in ["web", "db"] {
        hook(&machine, job, "pre-start");
    }
    hook(&machine, "web", "post-stop");
    wait_for("a message", || lines(&machine, "one.offered").len() == 1);
    drop(cover);
    deliver(&machine, 0);
    hook(&machine, "db", "post-stop");
    deliver(&machine, 0);
    assert_eq!(lines(&machine, "one.offered").len(), 1);
    no_longer(&machine, "one.hang");
    machine.settle();
    deliver(&machine, 0);
    assert_eq!(lines(&machine, "one.offered").len(), 2);
    all_is_on_the_disk(&machine, 2);
}

#[test]
fn a_sink_that_hangs_puts_off_no_change_back() {
    let (machine, _disk) = machine_with_disk();
    let cover = Cover::of(&machine.spool);
    set(&machine, "one.hang", "");
    hook(&machine, "web", "pre-start");
    hook(&machine, "web", "post-stop");
    wait_for("a message", || lines(&machine, "one.offered").len() == 1);
    drop(cover);
    deliver(&machine, 0);
    assert!(!machine.run.join("deputy").exists());
    assert_eq!(in_place(&machine, "new"), 1);
    // The sink's lock counts as before.
    deliver(&machine, 1);
    assert_eq!(lines(&machine, "one.offered").len(), 1);
    no_longer(&machine, "one.hang");
    machine.settle();
    all_is_on_the_disk(&machine, 1);
}

#[test]
fn a_process_that_is_stopped_in_the_middle_of_a_step_holds_up_no_change_over_for_ever() {
    let (machine, _disk) = machine_with_disk();
    deliver(&machine, 0);
    let lock = machine.run.join("deputy.lock");
    let in_a_step = File::open(&lock).unwrap();
    in_a_step.lock_shared().unwrap();
    make_read_only(&machine.spool);
    crash(&machine, "web", 1);
    wait_for("a message", || told(&machine, "one").len() == 1);
    machine.settle();
    // Another one is stopped as it changes over.
    let alone = File::open(&lock).unwrap();
    alone.lock().unwrap();
    make_writable(&machine.spool);
    deliver(&machine, 1);
    all_is_on_the_disk(&machine, 1);
}

#[test]
fn who_does_not_read_what_a_deliverer_says_holds_up_no_change_over() {
    let (machine, _disk) = machine_with_disk();
    crash(&machine, "web", 3);
    machine.settle();
    let (reads_nothing, output) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&output, true).unwrap();
    while (&output).write(&[b'x'; 512]).is_ok() {}
    rustix::io::ioctl_fionbio(&output, false).unwrap();
    let mut command = machine.command("deliver");
    command.args(["--later", "6m"]).stdout(output);
    let mut blocked = command.spawn().unwrap();
    // It says that it has made one.
    wait_for("the summary", || in_place(&machine, "new") == 1);
    let lock = File::open(machine.run.join("deputy.lock")).unwrap();
    wait_for("the spool", || lock.try_lock().is_ok());
    drop(lock);
    drop(reads_nothing);
    drop(command);
    assert!(blocked.wait().is_ok());
}

#[test]
fn a_drill_while_the_disk_is_unmounted_is_on_it_afterwards() {
    let (machine, _disk) = machine_with_disk();
    machine.configure("web", "");
    make_read_only(&machine.spool);
    crash(&machine, "db", 1);
    let repair = machine.path("repair");
    fs::create_dir(&repair).unwrap();
    mount_bind(&machine.spool, &repair).unwrap();
    unmount(&machine.spool, UnmountFlags::empty()).unwrap();
    let send = ["post-stop", "--simulate-crash", "--send", "--job", "web"];
    said(&machine, &send);
    assert_eq!(told(&machine, "one").len(), 2);
    assert_eq!(names_in(&machine.spool), [""; 0]);
    mount_bind(&repair, &machine.spool).unwrap();
    unmount(&repair, UnmountFlags::empty()).unwrap();
    make_writable(&machine.spool);
    deliver(&machine, 0);
    assert_eq!(names_in(&machine.spool.join("state/drills")), ["web"]);
    all_is_on_the_disk(&machine, 2);
}

#[test]
fn a_full_disk_gives_its_ballast_for_what_comes_back_from_memory() {
    let (machine, disk) = machine_with_disk();
    disk.fill();
    make_read_only(&machine.spool);
    crash(&machine, "web", 1);
    assert_eq!(told(&machine, "one").len(), 1);
    make_writable(&machine.spool);
    deliver(&machine, 0);
    assert!(!machine.run.join("deputy").exists());
    assert_eq!(in_place(&machine, "done"), 1);
}

#[test]
fn a_directory_of_the_spool_that_is_read_only_keeps_nobody_from_being_told() {
    for part in ["new", "state", "lock", "done"] {
        let (machine, _disk) = machine_with_disk();
        crash(&machine, "web", 1);
        let cover = Cover::of(&machine.spool.join(part));
        crash(&machine, "db", 1);
        deliver(&machine, 1);
        assert_eq!(told(&machine, "one").len(), 2, "{part}");
        let listed = said(&machine, &["list"]);
        assert!(listed.contains("disk is read-only"), "{part}: {listed}");
        drop(cover);
        all_is_on_the_disk(&machine, 2);
    }
}

#[test]
fn a_spool_that_is_unmounted_for_a_repair_gets_everything_once_it_is_back() {
    let (machine, _disk) = machine_with_disk();
    set(&machine, "one.exit", "1");
    crash(&machine, "web", 1);
    make_read_only(&machine.spool);
    no_longer(&machine, "one.exit");
    crash(&machine, "db", 1);
    deliver(&machine, 1);
    assert_eq!(told(&machine, "one").len(), 2);

    let repair = machine.path("repair");
    fs::create_dir(&repair).unwrap();
    mount_bind(&machine.spool, &repair).unwrap();
    unmount(&machine.spool, UnmountFlags::empty()).unwrap();
    crash(&machine, "cache", 1);
    let told_so = said(&machine, &["deliver"]);
    assert!(told_so.contains("is not mounted"), "{told_so}");
    let listed = said(&machine, &["list"]);
    assert!(
        listed.contains("the spool's disk is not mounted"),
        "{listed}"
    );
    assert_eq!(told(&machine, "one").len(), 3);
    assert_eq!(names_in(&machine.spool), [""; 0]);
    mount_bind(&repair, &machine.spool).unwrap();
    unmount(&repair, UnmountFlags::empty()).unwrap();
    make_writable(&machine.spool);
    all_is_on_the_disk(&machine, 3);
    assert_eq!(in_place(&machine, "corrupt"), 0);
}

#[test]
fn another_file_system_in_the_spools_place_gets_everything_once_somebody_says_so() {
    let (machine, disk) = machine_with_disk();
    make_read_only(&machine.spool);
    crash(&machine, "web", 1);
    drop(disk);
    let _disk = Disk::tmpfs(&machine.spool, "size=16m,mode=0711");
    let told_so = said(&machine, &["deliver"]);
    let file = machine.run.join("deputy/stands-for");
    assert!(told_so.contains(&format!("remove {}", file.display())));
    fs::remove_file(file).unwrap();
    all_is_on_the_disk(&machine, 1);
}

#[test]
fn whatever_is_in_the_place_of_the_deputys_files_keeps_nobody_from_being_told() {
    for name in ["deputy", "deputy.lock", "deputy.draft", "deputy.old"] {
        for is_dir in [false, true] {
            let (machine, _disk) = machine_with_disk();
            crash(&machine, "web", 1);
            let path = machine.run.join(name);
            let _ = fs::remove_file(&path);
            if is_dir {
                fs::create_dir_all(path.join("anything")).unwrap();
            } else {
                fs::write(path, "anything").unwrap();
            }
            deliver(&machine, 0);
            make_read_only(&machine.spool);
            crash(&machine, "db", 1);
            assert_eq!(told(&machine, "one").len(), 2, "{name}");
            make_writable(&machine.spool);
            all_is_on_the_disk(&machine, 2);
        }
    }
}

#[test]
fn whatever_is_in_the_place_of_a_deputys_parts_keeps_nobody_from_being_told() {
    let parts = [
        "deputy/new",
        "deputy/tmp",
        "deputy/state",
        "deputy/state/groups",
        "deputy/done",
        "deputy/corrupt",
        "deputy/copied",
        "lock",
    ];
    for part in parts {
        let (machine, _disk) = machine_with_disk();
        crash(&machine, "web", 1);
        make_read_only(&machine.spool);
        crash(&machine, "db", 1);
        assert_eq!(told(&machine, "one").len(), 2, "{part}");
        machine.settle();
        let path = machine.run.join(part);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        symlink("/dev/zero", path).unwrap();
        crash(&machine, "cache", 1);
        deliver(&machine, 1);
        wait_for("the message", || told(&machine, "one").len() >= 3);
        make_writable(&machine.spool);
        deliver(&machine, 2);
        machine.settle();
        assert!(!machine.run.join("deputy").exists(), "{part}");
        assert_eq!(in_place(&machine, "new"), 0, "{part}");
    }
}

#[test]
fn whatever_is_in_the_place_of_the_disks_name_blocks_nobody() {
    for is_link in [false, true] {
        let (machine, _disk) = machine_with_disk();
        make_read_only(&machine.spool);
        crash(&machine, "web", 1);
        let file = machine.run.join("deputy/stands-for");
        fs::remove_file(&file).unwrap();
        if is_link {
            symlink("/dev/zero", &file).unwrap();
        } else {
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        }
        crash(&machine, "db", 1);
        let told_so = said(&machine, &["deliver"]);
        assert!(told_so.contains(&format!("remove {}", file.display())));
        machine.settle();
        assert_eq!(told(&machine, "one").len(), 2);
        said(&machine, &["list"]);
        fs::remove_file(&file).unwrap();
        make_writable(&machine.spool);
        all_is_on_the_disk(&machine, 2);
    }
}

#[test]
fn a_damaged_report_on_a_read_only_disk_is_announced_and_put_aside_once_it_can_be() {
    let (machine, _disk) = machine_with_disk();
    set(&machine, "one.exit", "1");
    crash(&machine, "web", 1);
    let name = names_in(&machine.spool.join("new")).remove(0);
    let path = machine.spool.join("new").join(&name);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..200]).unwrap();
    make_read_only(&machine.spool);
    no_longer(&machine, "one.exit");
    deliver(&machine, 1);
    let titles = told(&machine, "one");
    assert_eq!(titles.len(), 1, "{titles:?}");
    assert!(titles[0].contains(&format!("{name} is damaged")));
    make_writable(&machine.spool);
    all_is_on_the_disk(&machine, 1);
    assert_eq!(names_in(&machine.spool.join("corrupt")), [name]);
}

#[test]
fn others_who_fill_the_memory_cost_the_deputy_nothing_that_it_has_told() {
    let machine = machine(&["one"]);
    let memory = Disk::tmpfs(&machine.run, "size=16m,mode=0755");
    let _disk = Disk::tmpfs(&machine.spool, "size=16m,mode=0711");
    assert!(machine.command("setup").status().unwrap().success());
    make_read_only(&machine.spool);
    crash(&machine, "web", 1);
    set(&machine, "one.exit", "1");
    crash(&machine, "db", 1);
    no_longer(&machine, "one.exit");
    memory.fill();
    // The deliverer that a hook woke may still have the sink.
    wait_for("the other message", || {
        deliver(&machine, 1);
        told(&machine, "one").len() == 2
    });
    memory.empty();
    make_writable(&machine.spool);
    all_is_on_the_disk(&machine, 2);
}

#[test]
fn a_clock_that_leaps_ahead_costs_at_most_one_report_a_minute() {
    let machine = machine(&["one"]);
    for job in ["web", "db", "cache"] {
        crash(&machine, job, 1);
    }
    for minutes in [0, 0, 1] {
        deliver(&machine, 31 * 24 * 60 + minutes);
    }
    assert_eq!(in_place(&machine, "done"), 1);
}
