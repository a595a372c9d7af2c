//! Scenarios that need root: jobs that run as another user, mounts, and the blog's stanza with the
//! machine's own directories.
//!
//! Without root, leave these out: `cargo test -- --skip as_root`.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use lastwords::report::{Report, Verdict};
use rustix::process::Signal;

use crate::hooks;
use crate::support::harness::{self, Harness, SERVE, SystemLog, killed_by, reports_in};
use crate::support::upstart::State;

/// A user id that no machine uses.
pub const UID: u32 = 54_321;

/// Set for a test that runs in a mount namespace of its own.
const INSIDE: &str = "LASTWORDS_TEST_MOUNTS";

fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test takes root: leave it out with `-- --skip as_root`"
    );
}

/// Runs a scenario in a mount namespace of its own, after the shell commands in `mounts`. The test
/// starts itself again in that namespace.
fn in_private_mounts(test: &str, mounts: &str, scenario: impl FnOnce()) {
    require_root();
    if env::var_os(INSIDE).is_some() {
        return scenario();
    }
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "/bin/sh",
        "-ec",
        &format!("{mounts}\nexec \"$@\""),
        "sh",
    ]);
    command
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// Returns a machine whose hooks users other than root can run too.
pub fn machine_for_users() -> Harness {
    require_root();
    let machine = Harness::new();
    let copy = machine.path("lastwords");
    // A copy by another process: a file that is open for writing anywhere cannot be executed.
    let copied = Command::new("cp")
        .args(["--reflink=auto", &harness::binary()])
        .arg(&copy)
        .status()
        .unwrap();
    assert!(copied.success());
    machine.with_binary(&copy)
}

/// Prepares the directories of a job's user with `lastwords setup`.
fn prepare(machine: &Harness) {
    for dir in [
        machine.run.join(format!("user/{UID}/markers")),
        machine.run.join(format!("user/{UID}/inbox")),
        machine.spool.join(format!("inbox/{UID}")),
    ] {
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
        chown(&dir, Some(UID), Some(UID)).unwrap();
    }
    // The spool belongs to root; the job's user only passes through it to reach the inbox.
    fs::set_permissions(&machine.spool, Permissions::from_mode(0o711)).unwrap();
}

fn in_inbox(machine: &Harness) -> Vec<Report> {
    reports_in(&[machine.spool.join(format!("inbox/{UID}"))])
}

#[test]
fn a_setuid_job_without_directories_of_its_own_starts_and_stops() {
    let machine = machine_for_users();
    let syslog = SystemLog::of(&machine);
    fs::set_permissions(machine.root.join("dev/log"), Permissions::from_mode(0o666)).unwrap();
    let mut web = machine.job("web", &format!("setuid {UID}\nrespawn\n{SERVE}"));
    web.start();
    assert!(
        syslog
            .said()
            .iter()
            .any(|line| line.contains("web") && line.contains("marker"))
    );
    web.kill_main(Signal::SEGV);
    web.wait_for_life(2);
    web.stop();
    assert_eq!(
        web.history(),
        "pre-start main post-stop pre-start main pre-stop TERM post-stop"
    );
    assert_eq!(machine.reports(), []);
}

#[test]
fn the_crash_of_a_setuid_job_is_caught_into_its_users_inbox() {
    let machine = machine_for_users();
    prepare(&machine);
    let mut web = machine.job("web", &format!("setuid {UID}\nrespawn\n{SERVE}"));
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for_life(2);
    let reports = in_inbox(&machine);
    assert_eq!(reports.len(), 1);
    assert_eq!(
        (reports[0].verdict, reports[0].stop.job.as_str()),
        (Verdict::Crashed, "web"),
        "{reports:#?}"
    );
    web.stop();
    assert_eq!(in_inbox(&machine).len(), 1);
}

/// Where only root may read the kernel log, root judges by it what a user's hook has left.
#[test]
fn the_end_of_a_setuid_job_is_judged_again_by_the_kernel_log_that_its_hook_may_not_read() {
    let failing = "pre-start script\nHOOK\nexit 3\nend script\n";
    let missing = "main: /no/such: unable to execute";
    for (conf, verdict, cause) in [
        (failing, Verdict::AbortedStart, "pre-start: exit code 3"),
        ("exec /no/such\n", Verdict::AbortedStart, missing),
        (
            "exec true\n",
            Verdict::Unknown,
            "nothing tells how it ended",
        ),
        ("exec sh -c 'exit 4'\n", Verdict::Crashed, "exit code 4"),
    ] {
        let machine = machine_for_users();
        prepare(&machine);
        machine.configure("web", &format!("user = \"{UID}\"\n"));
        let kernel_log = machine.root.join("dev/kmsg");
        fs::set_permissions(kernel_log, Permissions::from_mode(0o600)).unwrap();
        let conf = conf.replace("HOOK", &machine.hook("pre-start"));
        let main = if conf.contains("exec ") { "" } else { SERVE };
        let mut web = machine.job("web", &format!("setuid {UID}\n{conf}{main}"));
        web.start();
        web.wait_for(State::Waiting);
        let hooks = in_inbox(&machine).remove(0);
        assert_eq!(hooks.verdict, Verdict::Crashed, "{hooks:#?}");
        assert!(machine.command("deliver").status().unwrap().success());
        let report = machine.only_report();
        assert_eq!(report.verdict, verdict, "{report:#?}");
        assert!(report.cause.line.contains(cause), "{report:#?}");
        let is_unread = |note: &String| note.starts_with("what the kernel log tells");
        assert!(!report.notes.iter().any(is_unread), "{report:#?}");
    }
}

/// Returns the system log of a machine, writable for every user.
fn log_for_every_user(machine: &Harness) -> SystemLog {
    let syslog = SystemLog::of(machine);
    fs::set_permissions(machine.root.join("dev/log"), Permissions::from_mode(0o666)).unwrap();
    syslog
}

/// Runs a hook of the job `web` as its user.
fn users_hook(machine: &Harness, name: &str) {
    hooks::exits_0(hooks::hook(machine, name).uid(UID).gid(UID));
}

fn assert_said(syslog: &SystemLog, words: &[&str]) {
    let said = syslog.said();
    let has_all = |line: &String| words.iter().all(|words| line.contains(words));
    assert!(said.iter().any(has_all), "{words:?} in {said:?}");
}

#[test]
fn a_marker_that_a_hook_may_not_rename_is_logged_and_its_crash_is_found_later() {
    let machine = machine_for_users();
    prepare(&machine);
    let syslog = log_for_every_user(&machine);
    let markers = machine.run.join(format!("user/{UID}/markers"));
    let allow = |mode| fs::set_permissions(&markers, Permissions::from_mode(mode)).unwrap();
    users_hook(&machine, "pre-start");
    allow(0o500);
    machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    users_hook(&machine, "post-stop");
    let denied = "cannot take its marker: Permission denied";
    assert_said(&syslog, &["a crash of web may go unnoticed", denied]);
    allow(0o700);
    users_hook(&machine, "pre-start");
    hooks::exits_0(&mut machine.command("deliver"));
    let report = machine.only_report();
    assert_eq!(report.stop.exit, killed_by("SEGV"), "{report:#?}");
}

#[test]
fn a_marker_that_a_hook_may_not_read_is_logged_at_every_stop() {
    let machine = machine_for_users();
    prepare(&machine);
    let syslog = log_for_every_user(&machine);
    users_hook(&machine, "pre-start");
    let marker = machine.run.join(format!("user/{UID}/markers/web"));
    chown(marker, Some(0), Some(0)).unwrap();
    users_hook(&machine, "pre-stop");
    let stop = "this planned stop of web may look like a crash";
    assert_said(&syslog, &[stop, "Permission denied"]);
    users_hook(&machine, "post-stop");
    let stop = "the stop of web is left to the deliverer";
    assert_said(&syslog, &[stop, "Permission denied"]);
}

#[test]
fn a_marker_of_another_owner_is_logged_and_hides_no_crash() {
    require_root();
    let machine = Harness::new();
    let syslog = SystemLog::of(&machine);
    hooks::exits_0(&mut hooks::hook(&machine, "pre-start"));
    chown(machine.run.join("markers/web"), Some(UID), Some(UID)).unwrap();
    hooks::exits_0(&mut hooks::hook(&machine, "pre-stop"));
    let stop = "this planned stop of web may look like a crash";
    let owner = format!("belongs to user {UID}, not to user 0");
    assert_said(&syslog, &[stop, &owner]);
    machine.kernel_log("init: web main process (4242) killed by SEGV signal");
    hooks::exits_0(&mut hooks::hook(&machine, "post-stop"));
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, &killed_by("SEGV")),
        "{report:#?}"
    );
}

#[test]
fn roots_marker_and_a_users_marker_for_jobs_of_one_name_are_two() {
    let machine = machine_for_users();
    prepare(&machine);
    let mut roots = machine.job("web", SERVE);
    let mut users = machine.job("web", &format!("setuid {UID}\n{SERVE}"));
    roots.start();
    users.start();
    roots.stop();
    users.kill_main(Signal::SEGV);
    users.wait_for(State::Waiting);
    assert_eq!((machine.reports().len(), in_inbox(&machine).len()), (0, 1));
}

/// Fills `/run/full` to the last page.
fn fill() {
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "of=/run/full/filler", "bs=4096"])
        .output()
        .unwrap();
    assert!(!filled.status.success(), "the disk is full: {filled:?}");
}

/// Lets the service crash, start again and stop, and checks that the crash is in a log.
fn crash_and_stop(machine: &Harness) {
    let syslog = SystemLog::of(machine);
    let mut web = machine.job("web", &format!("respawn\n{SERVE}"));
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for_life(2);
    web.stop();
    let said = syslog.said();
    assert!(
        machine.reports().len() == 1 || said.iter().any(|line| line.contains("web")),
        "{said:?}"
    );
}

const SMALL_DISK: &str =
    "mount -t tmpfs none /run\nmkdir /run/full\nmount -t tmpfs -o size=64k none /run/full";

#[test]
fn a_full_disk_costs_neither_the_restart_nor_the_exit_code() {
    in_private_mounts(
        "as_root::a_full_disk_costs_neither_the_restart_nor_the_exit_code",
        SMALL_DISK,
        || {
            let mut machine = Harness::new();
            machine.spool = "/run/full".into();
            fill();
            crash_and_stop(&machine);
        },
    );
}

#[test]
fn a_disk_that_is_full_while_the_job_starts_does_not_stop_it_from_starting() {
    in_private_mounts(
        "as_root::a_disk_that_is_full_while_the_job_starts_does_not_stop_it_from_starting",
        SMALL_DISK,
        || {
            let mut machine = Harness::new();
            machine.run = "/run/full".into();
            fill();
            crash_and_stop(&machine);
        },
    );
}

#[test]
fn a_run_directory_that_fills_up_while_the_service_runs_does_not_cost_the_report() {
    let test =
        "as_root::a_run_directory_that_fills_up_while_the_service_runs_does_not_cost_the_report";
    in_private_mounts(test, SMALL_DISK, || {
        let mut machine = Harness::new();
        machine.run = "/run/full".into();
        let mut web = machine.job("web", SERVE);
        web.start();
        fill();
        web.kill_main(Signal::SEGV);
        web.wait_for(State::Waiting);
        assert_eq!(machine.only_report().stop.exit, killed_by("SEGV"));
    });
}

#[test]
fn a_read_only_disk_does_not_stop_a_job_from_starting() {
    let mounts = "mount -t tmpfs none /run\nmkdir /run/ro\nmount -t tmpfs -o ro none /run/ro";
    in_private_mounts(
        "as_root::a_read_only_disk_does_not_stop_a_job_from_starting",
        mounts,
        || {
            let mut machine = Harness::new();
            machine.run = "/run/ro/run".into();
            machine.spool = "/run/ro/spool".into();
            crash_and_stop(&machine);
        },
    );
}

/// Mounts empty directories over the machine's own, and a kernel log that the scenario writes.
const OWN_MACHINE: &str = "\
    for dir in /run /opt /var/spool; do mount -t tmpfs none $dir; done
    mkdir -p /run/etc/init; cp -r /etc/. /run/etc; mount --bind /run/etc /etc; rm -rf /etc/lastwords
    : >/run/kmsg
    mount --bind /run/kmsg /dev/kmsg";

#[test]
fn the_blogs_stanza_works_unchanged() {
    in_private_mounts(
        "as_root::the_blogs_stanza_works_unchanged",
        OWN_MACHINE,
        || {
            let machine = Harness::of_this_machine();
            let bin = Path::new("/opt/upstart-monitor/bin");
            fs::create_dir_all(bin).unwrap();
            let binary = fs::canonicalize(harness::binary()).unwrap();
            for hook in hooks::HOOKS {
                symlink(&binary, bin.join(hook)).unwrap();
            }
            let stanza = "\
            pre-start exec /opt/upstart-monitor/bin/pre-start\n\
            pre-stop exec /opt/upstart-monitor/bin/pre-stop\n\
            post-stop exec /opt/upstart-monitor/bin/post-stop\n";
            let mut web = machine.bare_job("web", &format!("{stanza}respawn\n{SERVE}"));
            web.start();
            web.stop();
            assert_eq!(machine.reports(), []);
            web.start();
            web.kill_main(Signal::SEGV);
            web.wait_for_life(3);
            let report = machine.only_report();
            assert_eq!(
                (report.verdict, &report.stop.exit),
                (Verdict::Crashed, &killed_by("SEGV")),
                "{report:#?}"
            );
            web.stop();
            assert_eq!(machine.reports().len(), 1);
            assert_eq!(machine.markers(), [""; 0]);
        },
    );
}
