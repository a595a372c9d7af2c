//! A service that dies in a hostile environment, and the time that its supervisor waits for the hook.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lastwords::report::{Report, Section};

use crate::support::harness::{self, Harness, names_in, wait_for};

/// User ids that no machine uses: the service's user, and another one.
pub const UID: u32 = 54_321;
pub const OTHER_UID: u32 = 54_322;

/// A hook that takes longer than this hangs. (Its own limit is 1 s; this is for machines under
/// load.)
const HANGS: Duration = Duration::from_secs(5);

/// Returns true if all tries are made: `LASTWORDS_SLOW=1`.
pub fn is_slow() -> bool {
    std::env::var_os("LASTWORDS_SLOW").is_some_and(|value| value == "1")
}

/// Returns a machine whose hooks users other than root can run too.
pub fn machine_for_users() -> Harness {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test takes root: leave it out with `-- --skip as_root`"
    );
    let machine = Harness::new();
    let copy = machine.path("lastwords");
    // A copy by another process: a file that is open for writing anywhere cannot be executed.
    assert!(
        Command::new("cp")
            .args(["--reflink=auto", &harness::binary()])
            .arg(&copy)
            .status()
            .unwrap()
            .success()
    );
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    machine.with_binary(&copy)
}

/// Returns a hook of `job`, as Upstart runs it.
pub fn hook(machine: &Harness, name: &str, job: &str) -> Command {
    as_upstart(machine.hook_command(name), job)
}

/// Returns the same, as this user.
pub fn hook_as(uid: u32, machine: &Harness, name: &str, job: &str) -> Command {
    let mut command = user(uid);
    command.args(machine.hook_argv(name)).env_clear();
    as_upstart(command, job)
}

fn as_upstart(mut command: Command, job: &str) -> Command {
    command.envs([
        ("PATH", crate::support::process::PATH),
        ("TERM", "linux"),
        ("UPSTART_JOB", job),
        ("UPSTART_INSTANCE", ""),
    ]);
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Returns a command that runs as this user. Its words are still to be added as arguments.
pub fn user(uid: u32) -> Command {
    let mut command = Command::new("/usr/bin/setpriv");
    command.args([
        &format!("--reuid={uid}"),
        &format!("--regid={uid}"),
        "--clear-groups",
        "--",
    ]);
    command
}

/// A command line that root runs without some of its capabilities: its arguments are still missing.
pub fn without_capabilities(names: &str) -> Command {
    let without: Vec<_> = names.split(',').map(|name| format!("-{name}")).collect();
    let mut command = Command::new("/usr/bin/setpriv");
    command
        .arg(format!("--bounding-set={}", without.join(",")))
        .arg(format!("--inh-caps={}", without.join(",")))
        .arg("--");
    command
}

/// Runs a hook to its end and returns the time that took. Panics if it hangs or does not exit 0.
pub fn run(mut hook: Command) -> Duration {
    let began = Instant::now();
    let mut child = hook
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ended = ends(&mut child, HANGS);
    let took = began.elapsed();
    if !ended {
        // The hook may be in a wait that cannot be interrupted, so the test does not wait for it.
        let _ = child.kill();
        panic!("it hangs: {hook:?}");
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{hook:?}: {output:?}");
    assert!(
        output.stdout.is_empty(),
        "a hook writes nothing into its service's log: {output:?}"
    );
    took
}

/// Returns true if the process ends within this time.
pub fn ends(child: &mut Child, within: Duration) -> bool {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > within {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Starts the service `web` and kills it. Returns the time that its `post-stop` took.
pub fn crash(machine: &Harness) -> Duration {
    crash_of(machine, "web")
}

pub fn crash_of(machine: &Harness, job: &str) -> Duration {
    let reports = || {
        ["dead", "done", "new"]
            .map(|place| names_in(&machine.spool.join(place)).len())
            .iter()
            .sum::<usize>()
    };
    let before = reports();
    run(hook(machine, "pre-start", job));
    machine.kernel_log(format!(
        "init: {job} main process (4242) killed by SEGV signal"
    ));
    let took = run(hook(machine, "post-stop", job));
    // On a machine under load the hook returns before its worker is done.
    wait_for("the report", || reports() > before);
    took
}

/// Returns the report's section whose name starts with this.
pub fn section<'a>(report: &'a Report, collector: &str) -> &'a Section {
    let found = report
        .sections
        .iter()
        .find(|section| section.collector.starts_with(collector));
    found.unwrap_or_else(|| panic!("no {collector} in {report:#?}"))
}

/// Adds a row to the table of faults; the slowest hook is measured, not judged.
pub fn tell(fault: &str, times: &[Duration]) {
    let slowest = times.iter().max().map_or_else(
        || "-".to_owned(),
        |slowest| format!("slowest {} ms", slowest.as_millis()),
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.table");
    let mut table = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    // One write, since the tests run side by side.
    table
        .write_all(
            format!(
                "| {fault} | {} | all held | {slowest} |\n",
                times.len().max(1)
            )
            .as_bytes(),
        )
        .unwrap();
}
