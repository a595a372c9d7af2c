//! The ladder, rung by rung. Each fault is real: full, read-only and hung disks, and cgroups at their
//! limits.
//!
//! These take root: leave them out with `-- --skip as_root`.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lastwords::report::{Report, Safety, Status, Verdict};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::as_root::{UID, machine_for_users};
use crate::hooks::{exits_0, hook};
use crate::ladder::{crashed, deliver, in_memory, is_static, settled, taken};
use crate::support::fuse::mount_unanswered;
use crate::support::harness::{Harness, names_in, wait_for};

/// A file system that belongs to one scenario.
pub struct Disk(PathBuf);

impl Disk {
    pub fn tmpfs(at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let options = CString::new(options).unwrap();
        mount("none", at, "tmpfs", MountFlags::empty(), options.as_c_str())
            .expect("this test takes root");
        Self(at.to_owned())
    }

    /// An ext4 in a file, that an error makes read-only.
    pub fn ext4(at: &Path, image: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        File::create(image).unwrap().set_len(32 << 20).unwrap();
        let run = |command: &mut Command| assert!(command.status().unwrap().success());
        run(Command::new("mkfs.ext4").arg("-q").arg(image));
        run(Command::new("mount")
            .args(["-o", "loop,errors=remount-ro"])
            .args([image, at]));
        Self(at.to_owned())
    }

    /// An XFS in a file.
    pub fn xfs(at: &Path, image: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        File::create(image).unwrap().set_len(320 << 20).unwrap();
        let run = |command: &mut Command| assert!(command.status().unwrap().success());
        run(Command::new("mkfs.xfs").arg("-q").arg(image));
        run(Command::new("mount").args(["-o", "loop"]).args([image, at]));
        Self(at.to_owned())
    }

    /// Has an XFS refuse everything, as after an error.
    pub fn shut_down(&self) {
        let mut shut = Command::new("xfs_io");
        let shut = shut.args(["-x", "-c", "shutdown"]).arg(&self.0);
        assert!(shut.status().unwrap().success());
    }

    /// Makes the kernel find an error in an ext4.
    pub fn fail(&self) {
        let mut ask = Command::new("findmnt");
        let output = ask.args(["-no", "SOURCE"]).arg(&self.0).output();
        let source = output.unwrap().stdout;
        let source = String::from_utf8(source).unwrap();
        let device = source.trim().strip_prefix("/dev/").unwrap();
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        fs::write(trigger, "by a test").unwrap();
    }

    /// Writes until nothing more fits.
    pub fn fill(&self) {
        let filler = format!(
            "of={}",
            self.0
                .join(format!("filler-{}", names_in(&self.0).len()))
                .display()
        );
        for size in ["bs=64k", "bs=1"] {
            let output = Command::new("dd")
                .args([
                    "if=/dev/zero",
                    &filler,
                    size,
                    "oflag=append",
                    "conv=notrunc",
                ])
                .output();
            assert!(!output.unwrap().status.success());
        }
    }

    pub fn empty(&self) {
        for filler in names_in(&self.0)
            .iter()
            .filter(|name| name.starts_with("filler"))
        {
            fs::remove_file(self.0.join(filler)).unwrap();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

/// A FUSE daemon that never answers, in the place of a disk.
struct HungDisk {
    daemon: Option<File>,
    _disk: Disk,
}

impl HungDisk {
    fn new(at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        Self {
            daemon: Some(mount_unanswered(at, 0, "").into()),
            _disk: Disk(at.to_owned()),
        }
    }

    /// Makes the system calls fail that wait for it.
    fn give_up(&mut self) {
        self.daemon = None;
    }
}

/// Starts `web` and lets it crash.
fn crash(machine: &Harness) {
    exits_0(&mut hook(machine, "pre-start"));
    machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    exits_0(&mut hook(machine, "post-stop"));
    machine.wait_for_workers();
}

fn wait_for_deliverers(machine: &Harness) {
    machine.settle();
}

fn levels(machine: &Harness) -> Vec<Safety> {
    machine
        .reports()
        .into_iter()
        .map(|report| report.level)
        .collect()
}

#[test]
fn a_full_disk_still_takes_reports_into_its_reserve_then_the_ballasts_room_then_by_name() {
    let machine = Harness::new();
    let disk = Disk::tmpfs(&machine.spool, "size=16m,mode=0711");
    deliver(&machine);
    assert_eq!(names_in(&machine.spool.join("reserve")).len(), 9);
    for _ in 0..8 {
        disk.fill();
        crash(&machine);
        wait_for_deliverers(&machine);
    }
    assert_eq!(levels(&machine), [Safety::Reserve; 8]);
    disk.fill();
    crash(&machine);
    wait_for_deliverers(&machine);
    assert_eq!(levels(&machine)[8], Safety::Ballast);
    assert_eq!(names_in(&machine.spool.join("reserve")), [""; 0]);

    disk.fill();
    crash(&machine);
    assert_eq!(
        (
            machine.reports().len(),
            in_memory(&machine),
            taken(&machine)
        ),
        (9, 1, 0)
    );
    assert!(
        names_in(&machine.spool.join("new"))
            .iter()
            .any(|name| name.ends_with(".crashed.signal-SEGV.upstart.web"))
    );

    disk.empty();
    deliver(&machine);
    assert_eq!(in_memory(&machine), 0);
    let last = machine.reports().pop().unwrap();
    assert_eq!(
        (machine.reports().len(), last.level),
        (10, Safety::NameOnly)
    );
    // By now this counts as a crash loop, and of a loop only the log is kept.
    assert!(
        !last.sections.is_empty() && last.notes.iter().any(|note| note.contains("disk")),
        "{last:#?}"
    );
    assert!(
        names_in(&machine.spool.join("new"))
            .iter()
            .all(|name| !name.contains('.'))
    );
    assert_eq!(names_in(&machine.spool.join("reserve")).len(), 9);
}

#[test]
fn a_crash_on_a_full_disk_is_told_at_once_and_only_once() {
    let machine = Harness::new();
    let disk = Disk::tmpfs(&machine.spool, "size=16m,mode=0711");
    let told = machine.path("told");
    let sink = format!(
        "[[sink.exec]]\nname = 'one'\ncommand = ['/bin/sh', '-c', 'echo >>{}']\n",
        told.display()
    );
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    exits_0(&mut machine.command("setup"));
    disk.fill();
    crash(&machine);
    // There may be no room for everything that a look keeps.
    let look = || machine.command("deliver").output().unwrap();
    look();
    let lines = || {
        fs::read_to_string(&told)
            .unwrap_or_default()
            .lines()
            .count()
    };
    // The deliverer that the hook has woken may be sending it.
    wait_for("the message, while the disk is full", || lines() == 1);
    disk.fill();
    (0..3).for_each(|_| drop(look()));
    disk.empty();
    deliver(&machine);
    assert_eq!(lines(), 1);
    assert_eq!(names_in(&machine.spool.join("new")), [""; 0]);
}

#[test]
fn the_facts_of_a_crash_on_a_full_disk_survive_a_power_cut() {
    let machine = Harness::new();
    let disk = Disk::tmpfs(&machine.spool, "size=1m,mode=0711");
    exits_0(&mut machine.command("setup"));
    disk.fill();
    crash(&machine);
    // The machine loses its power, and so the files in memory.
    fs::remove_dir_all(&machine.run).unwrap();
    disk.empty();
    deliver(&machine);
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, report.stop.job.as_str(), report.level),
        (Verdict::Crashed, "web", Safety::NameOnly)
    );
    assert!(
        report.cause.line.contains("SEGV") && report.sections.is_empty(),
        "{report:#?}"
    );
    deliver(&machine);
    assert_eq!(machine.reports().len(), 1);
}

#[test]
fn a_disk_without_inodes_loses_no_report() {
    let machine = Harness::new();
    let _disk = Disk::tmpfs(&machine.spool, "size=64m,nr_inodes=16,mode=0711");
    exits_0(&mut machine.command("setup"));
    for number in 0.. {
        if fs::write(machine.spool.join(format!("filler-{number}")), "").is_err() {
            break;
        }
    }
    for _ in 0..12 {
        crash(&machine);
        wait_for_deliverers(&machine);
    }
    let on_disk = machine.reports();
    assert!(
        on_disk.iter().any(|report| report.level == Safety::Reserve),
        "{:?}",
        levels(&machine)
    );
    assert_eq!(on_disk.len() + in_memory(&machine), 12);
    assert_eq!(taken(&machine), 0);
}

#[test]
fn on_a_read_only_disk_the_report_stays_in_memory_until_the_disk_takes_it() {
    let machine = Harness::new();
    let _disk = Disk::tmpfs(&machine.spool, "size=16m,mode=0711");
    exits_0(&mut machine.command("setup"));
    mount_remount(&machine.spool, MountFlags::RDONLY, c"").unwrap();
    crash(&machine);
    wait_for_deliverers(&machine);
    assert_eq!(
        (
            machine.reports().len(),
            names_in(&machine.run.join("deputy/done")).len(),
            taken(&machine)
        ),
        (0, 1, 0)
    );
    for verb in ["list", "queue"] {
        let output = machine.command(verb).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("reports in memory only: 1;"), "{said}");
    }
    mount_remount(&machine.spool, MountFlags::empty(), c"").unwrap();
    deliver(&machine);
    let report = settled(&machine);
    assert_eq!(
        (report.level, report.verdict),
        (Safety::Memory, Verdict::Crashed)
    );
    assert!(
        report.notes.iter().any(|note| note.contains("in memory")),
        "{report:#?}"
    );
}

#[test]
fn a_fifo_in_the_place_of_dev_null_holds_up_neither_the_hook_nor_its_worker() {
    let machine = crashed();
    let fifo = machine.path("fifo").display().to_string();
    let script = format!("mkfifo {fifo}; mount --bind {fifo} /dev/null; exec \"$@\"");
    let mut hook = Command::new("unshare");
    hook.args(["--mount", "--propagation", "private"]);
    hook.args(["/bin/sh", "-ec", &script, "sh"]);
    hook.args(machine.hook_argv("post-stop"));
    exits_0(hook.env("UPSTART_JOB", "web").env("UPSTART_INSTANCE", ""));
    machine.settle();
    assert_eq!(settled(&machine).level, Safety::Durable);
}

/// Checks that the hook returned in time although something hung.
fn leaves_in_time(machine: &Harness) {
    let took = takes(|| exits_0(&mut hook(machine, "post-stop")));
    assert!(took > Duration::from_millis(700), "nothing hung: {took:?}");
}

/// Runs a hook and checks how long it takes. It may wait for a second, and a busy machine needs two
/// more to start a process.
fn takes<T>(hook: impl FnOnce() -> T) -> Duration {
    let began = Instant::now();
    hook();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    took
}

/// Returns a machine on which `web` has crashed and its log is on a disk that hangs.
fn crashed_with_hung_log() -> (Harness, HungDisk) {
    let machine = crashed();
    machine.configure(
        "web",
        "[collect.processes]\n[[collect.log]]\npath = '/srv/web.log'\n[collect.memory]\n",
    );
    let hung = HungDisk::new(&machine.root.join("srv"));
    (machine, hung)
}

fn statuses(report: &Report) -> Vec<(&str, Status)> {
    report
        .sections
        .iter()
        .map(|section| (section.collector.as_str(), section.status))
        .collect()
}

#[test]
fn a_report_lacks_only_the_log_if_the_logs_disk_hangs() {
    let (machine, _hung) = crashed_with_hung_log();
    takes(|| exits_0(&mut hook(&machine, "post-stop")));
    // The worker still waits for the disk.
    wait_for("the report", || {
        machine.reports().len() == 1 && in_memory(&machine) == 0
    });
    let report = machine.reports().remove(0);
    assert_eq!(report.level, Safety::Durable);
    let expected = [
        ("memory", Status::Ok),
        ("log /srv/web.log", Status::TimedOut),
        ("processes", Status::Ok),
    ];
    assert_eq!(statuses(&report), expected, "{report:#?}");
}

#[test]
fn if_no_process_can_be_started_a_log_on_a_disk_that_may_hang_is_left_out() {
    let (machine, _hung) = crashed_with_hung_log();
    let cgroup = Cgroup::new(&machine, "pids", "pids.max", 1);
    takes(|| assert!(cgroup.run(&machine, "post-stop")));
    let report = settled(&machine);
    assert_eq!(report.level, Safety::Durable);
    let expected = [
        ("memory", Status::Ok),
        ("processes", Status::Ok),
        ("log /srv/web.log", Status::Failed),
    ];
    assert_eq!(statuses(&report), expected, "{report:#?}");
    assert!(
        report.sections[2].text.contains("no process could be had"),
        "{report:#?}"
    );
}

#[test]
fn if_no_process_can_be_started_a_spool_that_may_hang_is_left_to_the_deliverer() {
    let machine = crashed();
    let hung = HungDisk::new(&machine.spool);
    let cgroup = Cgroup::new(&machine, "pids", "pids.max", 1);
    takes(|| assert!(cgroup.run(&machine, "post-stop")));
    assert_eq!((in_memory(&machine), taken(&machine)), (1, 0));
    drop(hung);
    deliver(&machine);
    let report = settled(&machine);
    assert_eq!(
        (report.level, report.verdict),
        (Safety::Memory, Verdict::Crashed)
    );
    assert!(report.sections.len() > 1, "{report:#?}");
}

#[test]
fn if_no_process_can_be_started_a_config_that_may_hang_is_left_to_the_deliverer() {
    let mut machine = crashed();
    machine.config = machine.path("hung");
    let hung = HungDisk::new(&machine.config);
    let cgroup = Cgroup::new(&machine, "pids", "pids.max", 1);
    takes(|| assert!(cgroup.run(&machine, "post-stop")));
    // The config's own secrets are unknown at this point, so only the deliverer gets the section.
    assert_eq!(
        (
            machine.reports().len(),
            in_memory(&machine),
            taken(&machine)
        ),
        (0, 1, 0)
    );
    drop(hung);
    fs::write(
        machine.config.join("lastwords.toml"),
        "[default]\nredact = ['killed by (\\w+)']\n",
    )
    .unwrap();
    deliver(&machine);
    let report = settled(&machine);
    assert!(
        report.notes.iter().any(|note| note.contains("is not read")),
        "{report:#?}"
    );
    assert!(
        !format!("{:?}", report.cause.evidence).contains("SEGV"),
        "{report:#?}"
    );
}

#[test]
fn a_disk_that_hangs_delays_the_restart_for_a_second_and_costs_no_report() {
    let machine = crashed();
    let mut hung = HungDisk::new(&machine.spool);
    leaves_in_time(&machine);
    assert_eq!((in_memory(&machine), taken(&machine)), (1, 0));
    hung.give_up();
    machine.wait_for_workers();
    drop(hung);
    deliver(&machine);
    let report = settled(&machine);
    assert_eq!(report.level, Safety::Memory);
    assert!(report.sections.len() > 1, "{report:#?}");
}

#[test]
fn a_config_on_a_disk_that_hangs_delays_the_restart_for_a_second_and_costs_no_report() {
    let mut machine = crashed();
    machine.config = machine.path("hung");
    let mut hung = HungDisk::new(&machine.config);
    leaves_in_time(&machine);
    hung.give_up();
    machine.wait_for_workers();
    wait_for_deliverers(&machine);
    drop(hung);
    settled(&machine);
}

#[test]
fn unfinished_work_of_a_setuid_jobs_hooks_is_done_as_its_user() {
    let machine = machine_for_users();
    machine.configure("web", &format!("user = '{UID}'\n"));
    exits_0(&mut machine.command("setup"));
    let as_user = |name: &str| {
        let mut command = Command::new("setpriv");
        command.args([
            format!("--reuid={UID}"),
            format!("--regid={UID}"),
            "--clear-groups".into(),
            "--".into(),
        ]);
        exits_0(
            command
                .args(machine.hook_argv(name))
                .env_clear()
                .env("UPSTART_JOB", "web"),
        );
    };
    as_user("pre-start");
    let markers = machine.run.join(format!("user/{UID}/markers"));
    let taken = format!("web~taken-20261123t030000-{:016x}-1-u", 7);
    fs::rename(markers.join("web"), markers.join(&taken)).unwrap();
    // The user cannot make root read a file that the user may not read, or delete foreign files.
    std::os::unix::fs::symlink("/etc/shadow", markers.join(taken.replace("web", "link"))).unwrap();
    machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    deliver(&machine);
    let report = machine.only_report();
    assert_eq!(report.stop.job, "web");
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains(&format!("made by user {UID}"))),
        "{report:#?}"
    );
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("did not get to the end")),
        "{report:#?}"
    );
    assert!(!markers.join(&taken).exists());
}

/// A cgroup that belongs to one scenario.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(machine: &Harness, controller: &str, limit: &str, value: u64) -> Self {
        let name = machine.path("").file_name().unwrap().to_owned();
        let path = Path::new("/sys/fs/cgroup").join(controller).join(name);
        fs::create_dir(&path).expect("this test takes root, and cgroup v1");
        fs::write(path.join(limit), value.to_string()).unwrap();
        Self(path)
    }

    /// Runs a hook in the cgroup. Returns false if the kernel killed it.
    fn run(&self, machine: &Harness, name: &str) -> bool {
        let mut command = Command::new("/bin/sh");
        let procs = self.0.join("cgroup.procs").display().to_string();
        command
            .args(["-c", &format!("echo $$ >{procs}; exec \"$@\""), "sh"])
            .args(machine.hook_argv(name));
        command
            .env_clear()
            .env("UPSTART_JOB", "web")
            .output()
            .unwrap()
            .status
            .success()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        wait_for("the cgroup's end", || fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn if_no_process_can_be_started_the_hook_does_its_work_itself() {
    let machine = crashed();
    let cgroup = Cgroup::new(&machine, "pids", "pids.max", 1);
    assert!(cgroup.run(&machine, "post-stop"));
    let report = settled(&machine);
    assert_eq!(
        (report.level, report.verdict),
        (Safety::Durable, Verdict::Crashed)
    );
    assert!(report.sections.len() > 1, "{report:#?}");
}

#[test]
fn if_memory_is_short_the_report_comes_late_rather_than_never() {
    // A debug build needs more memory than any of these limits. At 256 KiB even `sh -c 'touch …'` is
    // killed; at 512 KiB the hook is killed now and then. There, only the next start has to find the
    // stop.
    let limits: &[(u64, bool)] = if is_static() {
        &[
            (4 << 20, true),
            (1 << 20, true),
            (512 << 10, false),
            (256 << 10, false),
            (128 << 10, false),
        ]
    } else {
        &[(4 << 20, true), (128 << 10, false)]
    };
    for &(bytes, lives) in limits {
        let machine = crashed();
        let cgroup = Cgroup::new(&machine, "memory", "memory.limit_in_bytes", bytes);
        let lived = cgroup.run(&machine, "post-stop");
        assert!(lived || !lives, "killed with {bytes} bytes");
        machine.wait_for_workers();
        wait_for_deliverers(&machine);
        drop(cgroup);
        exits_0(&mut hook(&machine, "pre-start"));
        wait_for_deliverers(&machine);
        deliver(&machine);
        assert_eq!(settled(&machine).verdict, Verdict::Crashed, "{bytes} bytes");
    }
}

#[test]
fn a_machine_without_proc_costs_no_report() {
    let machine = Harness::new();
    for name in ["pre-start", "post-stop"] {
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs none /proc && exec \"$@\"";
        command.args([
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-ec",
            script,
            "sh",
        ]);
        command
            .args(machine.hook_argv(name))
            .env_clear()
            .env("UPSTART_JOB", "web")
            .env("PATH", crate::support::process::PATH);
        exits_0(&mut command);
        machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    }
    assert_eq!(settled(&machine).verdict, Verdict::Crashed);
}
