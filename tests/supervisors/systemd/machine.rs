//! A machine that systemd runs.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use lastwords::report::{Kind, Report};
use tempfile::TempDir;

use crate::support::harness::{binary, names_in, reports_in, wait_for, wait_for_some};

const BOOT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/supervisors/systemd/boot.sh"
);
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/systemd");
/// A script in it ends within this time. While systemd kills all processes, it stops nsenter first;
/// timeout(1) lets that go on.
const PATIENCE: [&str; 4] = ["timeout", "--kill-after=10", "300", "nsenter"];
/// The files of a newer systemd, and of the libraries that it needs.
const NEWER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-servers/systemd");
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A web server that accepts every request and keeps its Authorization header.
pub const RECEIVER: &str = r#"
import http.server, pathlib

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        pathlib.Path("/var/spool/told/authorization").write_text(self.headers["Authorization"])
        self.send_response(204)
        self.end_headers()

server = http.server.HTTPServer(("127.0.0.1", 8080), Receiver)
pathlib.Path("/run/receives").touch()
server.serve_forever()
"#;

/// A systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// This machine's own.
    Own,
    /// The one that `tests/run` has unpacked.
    Newer,
}

impl Version {
    /// Returns those that can be had here.
    pub fn all() -> Vec<Self> {
        let newer = Path::new(NEWER).is_dir();
        if !newer {
            let _ = writeln!(
                io::stdout(),
                "a newer systemd is left out: tests/run unpacks it into {NEWER}"
            );
        }
        let all = [Self::Own, Self::Newer];
        all.into_iter()
            .filter(|it| newer || *it == Self::Own)
            .collect()
    }

    /// Returns the directory that lies over this machine's files.
    fn layer(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::Newer => NEWER,
        }
    }
}

pub struct Machine {
    dir: TempDir,
    namespaces: Child,
    /// systemd's pid, seen from outside.
    pid: String,
}

impl Machine {
    /// Boots a machine with lastwords around every service, and waits until it is up.
    pub fn boot() -> Self {
        Self::boot_as(Version::Own)
    }

    /// Does the same with this systemd.
    pub fn boot_as(version: Version) -> Self {
        Self::boot_with(UNITS, version)
    }

    /// Boots a machine without lastwords' units.
    pub fn boot_without() -> Self {
        Self::boot_with("", Version::Own)
    }

    fn boot_with(units: &str, version: Version) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test takes root: leave it out with `-- --skip as_root`"
        );
        let dir = tempfile::Builder::new()
            .prefix("lastwords-")
            .tempdir()
            .expect("a temporary directory");
        for name in ["spool", "told"] {
            fs::create_dir(dir.path().join(name)).expect("our own directory");
        }
        fs::set_permissions(dir.path().join("spool"), Permissions::from_mode(0o711))
            .expect("our own directory");
        let console = File::create(dir.path().join("console")).expect("a file");
        let namespaces = Command::new("bash")
            .arg(BOOT)
            .arg(dir.path())
            .args([&binary(), units, version.layer()])
            .stdin(Stdio::null())
            .stdout(console.try_clone().expect("a descriptor"))
            .stderr(console)
            .spawn()
            .expect("bash");
        let mut machine = Self {
            dir,
            namespaces,
            pid: String::new(),
        };
        let children = format!("/proc/{0}/task/{0}/children", machine.namespaces.id());
        machine.pid = wait_for_some("process 1", || {
            let ended = machine.namespaces.try_wait().expect("our own child");
            assert!(ended.is_none(), "{}", machine.console());
            let pid = fs::read_to_string(&children).ok()?.trim().to_owned();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            (name.trim() == "systemd").then_some(pid)
        });
        wait_for("systemd to be up", || {
            let state = machine.run("systemctl is-system-running");
            ["running", "degraded"].contains(&String::from_utf8_lossy(&state.stdout).trim())
        });
        machine
    }

    fn console(&self) -> String {
        fs::read_to_string(self.dir.path().join("console")).unwrap_or_default()
    }

    /// Returns a shell script to be run in it, as root.
    fn inside(&self, script: &str) -> Command {
        let inside = [
            "-t", &self.pid, "-a", "--", "env", "-i", PATH, "bash", "-euc", script, "bash",
        ];
        let mut command = Command::new(PATIENCE[0]);
        command.args(&PATIENCE[1..]).args(inside);
        command
    }

    /// Runs a shell script in it, as root.
    pub fn run(&self, script: &str) -> Output {
        let mut inside = self.inside(script);
        inside.stdin(Stdio::null()).output().expect("timeout")
    }

    /// Runs a script that must not fail, and returns its output.
    pub fn shell(&self, script: &str) -> String {
        let output = self.run(script);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{script}\n{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Writes files into it.
    pub fn write(&self, files: &[(String, String)]) {
        for (path, text) in files {
            let mut cat = self
                .inside("cat >\"$1\"")
                .arg(path)
                .stdin(Stdio::piped())
                .spawn()
                .expect("timeout");
            cat.stdin
                .take()
                .expect("a pipe")
                .write_all(text.as_bytes())
                .expect("cat reads");
            assert!(cat.wait().expect("our own child").success(), "{path}");
        }
    }

    /// Waits until a soft-reboot has killed all processes, and systemd has begun anew.
    pub fn wait_for_the_soft_reboot(&self) {
        let process_1 = format!("/proc/{}/cmdline", self.pid);
        wait_for("systemd to begin anew", || {
            let line = fs::read_to_string(&process_1);
            line.is_ok_and(|line| line.split('\0').any(|word| word == "--switched-root"))
        });
    }

    /// Returns systemd's version: 252.
    pub fn version(&self) -> u32 {
        let said = self.shell("systemctl --version");
        let number = said.split_ascii_whitespace().nth(1);
        number
            .and_then(|number| number.parse().ok())
            .expect("a number")
    }

    /// Returns the reports of crashes. Later messages, such as that a service is down, may be there
    /// or not.
    pub fn crashes(&self) -> Vec<Report> {
        let spool = self.dir.path().join("spool");
        let mut reports = reports_in(&[spool.join("new"), spool.join("done")]);
        reports.retain(|report| report.kind == Kind::Crash);
        reports
    }

    /// Returns a file in `/var/spool/told`.
    pub fn kept(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join("told").join(name)).expect("our own file")
    }

    /// Returns the messages that the sink has kept, in the order of the files' names.
    pub fn told(&self) -> Vec<String> {
        let dir = self.dir.path().join("told");
        let names = names_in(&dir).into_iter();
        names
            .filter(|name| !name.starts_with('.'))
            .filter_map(|name| fs::read_to_string(dir.join(name)).ok())
            .collect()
    }

    /// Waits until there are `count` crashes, and the path unit's deliverer has sent at least one.
    /// The others may come later in a summary.
    pub fn wait_for_crashes(&self, count: usize) -> Vec<Report> {
        let told = || {
            fs::read_dir(self.dir.path().join("told"))
                .expect("our own directory")
                .count()
        };
        wait_for_some("the crashes", || {
            Some(self.crashes()).filter(|crashes| crashes.len() >= count && told() > 0)
        })
    }

    /// Waits until it has shut itself down.
    pub fn wait_for_the_end(&mut self) {
        wait_for("the machine's end", || {
            matches!(self.namespaces.try_wait(), Ok(Some(_)))
        });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let all =
                self.run("ls -lR /run/lastwords /var/spool/lastwords; journalctl --no-pager -n 300 -o short-precise");
            let _ = std::io::stderr().write_all(&all.stdout);
        }
        // This ends process 1, and so all others.
        let _ = self.namespaces.kill();
        let _ = self.namespaces.wait();
        for group in fs::read_to_string(self.dir.path().join("cgroups"))
            .unwrap_or_default()
            .lines()
        {
            wait_for("the control groups' end", || remove(Path::new(group)));
        }
    }
}

/// Removes a tree of control groups.
fn remove(group: &Path) -> bool {
    for entry in group.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}
