//! Faults at a chosen system call, by strace(1). A process is traced once to learn its calls, then
//! once for each call.
//!
//! `when=` counts the calls of that name in each thread. A try counts only if strace's log shows the
//! fault.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::Path;

/// The whole path, since a hook's environment has no `PATH`.
pub const STRACE: &str = "/usr/bin/strace";

/// Calls whose effect other processes can see. Each of them is tried even in the quick run.
const CHANGING: &[&str] = &[
    "chdir",
    "chmod",
    "clone",
    "clone3",
    "dup3",
    "execve",
    "exit_group",
    "fallocate",
    "fchmod",
    "fchown",
    "fdatasync",
    "flock",
    "fork",
    "fsync",
    "ftruncate",
    "getrandom",
    "kill",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "mknodat",
    "pipe2",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendmsg",
    "sendto",
    "setpgid",
    "setsid",
    "socket",
    "symlinkat",
    "syncfs",
    "unlink",
    "unlinkat",
    "utimensat",
    "vfork",
    "wait4",
    "waitid",
    "write",
    "writev",
];

/// The nth call of this name in a thread.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub call: String,
    pub nth: usize,
    /// True if it changes something or makes a file.
    pub changes: bool,
    /// True if the language's runtime makes the call, before `main`.
    pub starting: bool,
    /// Its arguments in the watched run, with the paths of descriptors.
    pub arguments: String,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} #{}", self.call, self.nth)
    }
}

/// A fault at a point.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The process is killed before the call.
    Kill,
    /// The process is stopped before the call, until it gets SIGCONT.
    Stop,
    /// The call is not made, and fails with this error.
    Error(&'static str),
    /// The call is not made, and seems to succeed.
    Skipped,
}

/// Returns strace's arguments for a fault. `follow_threads` also follows the children of the
/// process, up to their exec.
pub fn inject(point: &Point, fault: Fault, log: &Path) -> Vec<String> {
    let what = match fault {
        Fault::Kill => "signal=KILL".to_owned(),
        Fault::Stop => "signal=STOP".to_owned(),
        Fault::Error(name) => format!("error={name}"),
        Fault::Skipped => "retval=0".to_owned(),
    };
    let Point { call, nth, .. } = point;
    arguments(
        log,
        &[
            "-e",
            &format!("trace={call}"),
            "-e",
            &format!("inject={call}:{what}:when={nth}"),
        ],
    )
}

/// Returns strace's arguments to learn a process's calls.
pub fn watch(log: &Path) -> Vec<String> {
    arguments(log, &["-y"])
}

fn arguments(log: &Path, rest: &[&str]) -> Vec<String> {
    let log = log.to_str().expect("plain");
    // Follows threads and children, but not into another program, whose calls are its own.
    [&["-f", "-b", "execve", "-o", log], rest]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// Returns true if strace's log shows the fault.
pub fn came(fault: Fault, log: &Path) -> bool {
    let log = fs::read_to_string(log).unwrap_or_default();
    match fault {
        Fault::Kill => log.contains("+++ killed by SIGKILL +++"),
        Fault::Stop => log.contains("--- stopped by SIGSTOP ---"),
        Fault::Error(_) | Fault::Skipped => log.contains("(INJECTED)"),
    }
}

/// Returns every point in the log of a watched process.
pub fn points(log: &Path) -> Vec<Point> {
    let log = fs::read_to_string(log).expect("strace's log");
    let main = log.split(' ').next().unwrap_or_default();
    // The start-up ends with the main thread's stack for signals: asked for, then set.
    let mut stacks = 0;
    let mut counts = BTreeMap::<(&str, &str), usize>::new();
    let mut points = BTreeMap::<(String, usize), Point>::new();
    for line in log.lines() {
        let Some((pid, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else {
            continue;
        };
        if !call
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            continue;
        }
        let nth = counts.entry((pid, call)).or_default();
        *nth += 1;
        let changes = (CHANGING.contains(&call) && !is_sharing(call, arguments))
            || (call.starts_with("open") && arguments.contains("O_CREAT"));
        stacks += usize::from(pid == main && call == "sigaltstack");
        let starting = stacks < 2;
        let seen = Point {
            call: call.to_owned(),
            nth: *nth,
            changes,
            starting,
            arguments: arguments.to_owned(),
        };
        match points.entry((call.to_owned(), *nth)) {
            Entry::Vacant(place) => drop(place.insert(seen)),
            Entry::Occupied(mut place) => place.get_mut().changes |= changes,
        }
    }
    points.into_values().collect()
}

/// Returns true if the call shares a lock with others, or gives it up. A kill does the latter too, so
/// it leaves the same as one at the next call.
fn is_sharing(call: &str, arguments: &str) -> bool {
    call == "flock" && (arguments.contains("LOCK_SH") || arguments.contains("LOCK_UN"))
}

/// Returns the points to try: all of them, or those that change something and `others` of the rest.
pub fn choose(points: Vec<Point>, others: usize) -> Vec<Point> {
    if crate::victim::is_slow() {
        return points;
    }
    let (mut chosen, rest): (Vec<_>, Vec<_>) = points.into_iter().partition(|point| point.changes);
    let step = rest.len().div_ceil(others.max(1)).max(1);
    chosen.extend(rest.into_iter().step_by(step));
    chosen
}
