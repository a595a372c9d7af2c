//! The real servers that the end-to-end tests send to. Each runs on loopback, on free ports, in a
//! directory of its own, and ends when its value is dropped.
//!
//! `tests/run` installs them. Their configs are in this folder.

pub mod alertmanager;
pub mod certs;
pub mod postfix;
pub mod rsyslog;
pub mod slack;
pub mod synapse;
pub mod webhook;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tempfile::TempDir;

use super::harness::patiently;

/// Leads a process group, and ends the group when the other end of its stdin is closed: by
/// [`Process`], or by the kernel if the tests were killed and no destructor ran.
const LEADER: &str =
    r#"exec 3<&0; (read -r _ <&3; kill -s TERM -- "-$$") & exec "$@" 3<&- </dev/null"#;

/// The processes of a server, as one group.
pub struct Process {
    leader: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, whose output goes to the file `log`.
    pub fn start(command: &[&str], log: PathBuf) -> Self {
        let output = File::create(&log).expect("the log can be created");
        let mut leader = Command::new("setsid")
            .args(["sh", "-c", LEADER, "leader"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("the log can be shared"))
            .stderr(output)
            .spawn()
            .expect("setsid is installed");
        Self {
            stdin: leader.stdin.take(),
            leader,
            log,
        }
    }

    /// Waits until there is an answer. If none comes, panics with the server's output.
    pub fn until<T>(&mut self, what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
        let leader = &mut self.leader;
        let end = match patiently(|| {
            answer()
                .map(Ok)
                .or_else(|| leader.try_wait().transpose().map(Err))
        }) {
            Some(Ok(answer)) => return answer,
            Some(Err(end)) => format!("it ended with {end:?}"),
            None => "waited in vain".to_owned(),
        };
        panic!(
            "{what}: {end}; it said:\n{}",
            fs::read_to_string(&self.log).unwrap_or_default()
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.leader);
        drop(self.stdin.take());
        let started = Instant::now();
        // The group is gone only when its leader is reaped.
        while self.leader.try_wait().is_ok() && test_kill_process_group(group).is_ok() {
            if started.elapsed() > Duration::from_secs(5) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            sleep(Duration::from_millis(5));
        }
    }
}

/// Makes a directory with a short path that every user can reach, whatever `TMPDIR` and the umask
/// are. Servers change users, and a socket's path holds 107 bytes.
fn directory(name: &str) -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix(&format!("lastwords-{name}-"))
        .tempdir_in("/tmp")
        .expect("/tmp is writable");
    open_to_all(dir.path());
    dir
}

/// Lets every user read the file or enter the directory.
fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .expect("the owner may change permissions");
}

/// Returns a path that `tests/run` has made for the tests.
pub fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/test-servers")
        .join(path);
    assert!(
        path.exists(),
        "{} is missing: tests/run makes it",
        path.display()
    );
    path
}

/// Returns a config from this folder with its `@KEY@`s replaced.
fn fill(template: &str, values: &[(&str, &dyn std::fmt::Display)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (key, value)| {
            text.replace(&format!("@{key}@"), &value.to_string())
        })
}
