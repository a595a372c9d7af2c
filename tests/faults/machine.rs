//! A machine whose services crash, and whose hooks, workers and deliverers can be made to fail from
//! the outside. To reach the processes that they start, another program is mounted over the binary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use lastwords::report::Report;

use crate::strace::{self, Fault, Point, STRACE};
use crate::support::harness::{self, Harness, names_in, reports_in};

/// The sink. It adds a line to a file for each report that it takes.
const SINK: &str = r#"#!/bin/sh
test -s "$LASTWORDS_REPORT_DIR/report.json" || exit 1
line=$(sed -n 's/^  "id": "\(.*\)",$/\1/p; s/^    "job": "\(.*\)",$/\1/p' "$LASTWORDS_REPORT_DIR/report.json" | tr '\n' ' ')
echo "$line" >>FILE
"#;

/// The binary below the wrapper that is mounted over it. When it runs from here and starts itself,
/// it starts the wrapper.
pub const BINARY: &str = "/proc/self/fd/9";

/// Maximum time for all work in the background: a thousand messages, on a busy machine.
const BACKGROUND: Duration = Duration::from_mins(15);

pub struct Machine {
    pub harness: Harness,
}

/// A fault for one of our processes: the one with this verb.
#[derive(Clone, Debug)]
pub struct Suffer<'a> {
    pub verb: &'a str,
    pub point: &'a Point,
    pub fault: Fault,
}

/// A crash and the faults that happen while it is handled.
#[derive(Clone, Debug, Default)]
pub struct Stage<'a> {
    pub suffer: Option<Suffer<'a>>,
    /// True if the deliverer that a hook wakes is to do nothing.
    pub asleep: bool,
    /// The verb whose system calls are written to `watched`.
    pub watch: Option<&'a str>,
}

/// The end of a hook.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// True if the fault happened.
    pub suffered: bool,
    /// True if the marker was taken before the hook, or the process with the fault, ended.
    pub taken: bool,
    /// Time that its supervisor waited.
    pub took: Duration,
}

impl Ended {
    /// Returns true if the crash must be reported.
    pub fn owes_a_report(&self) -> bool {
        self.status.success() || self.taken
    }
}

impl Machine {
    /// A machine with one sink.
    pub fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test takes root: leave it out with `-- --skip as_root`"
        );
        let machine = Self {
            harness: Harness::new(),
        };
        let sink = machine.path("sink");
        write_program(
            &sink,
            &SINK.replace("FILE", machine.path("sunk").to_str().expect("plain")),
        );
        let config = format!(
            "[[sink.exec]]\nname = \"told\"\ncommand = [\"{}\"]\n",
            sink.display()
        );
        fs::write(machine.harness.config.join("lastwords.toml"), config).expect("a config");
        fs::write(machine.path("lastwords"), "").expect("a place to mount on");
        machine
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.harness.path(name)
    }

    /// Returns a hook as Upstart runs it for `job`.
    pub fn hook(&self, name: &str, job: &str) -> Command {
        let mut command = self.harness.hook_command(name);
        surround(&mut command, job);
        command
    }

    /// Runs the hook as Upstart does, with a fault. Returns how it ended, and whether the fault
    /// happened.
    pub fn faulty_hook(
        &self,
        name: &str,
        job: &str,
        point: &Point,
        fault: Fault,
    ) -> (ExitStatus, bool) {
        let log = self.path("strace.log");
        let status = self
            .traced(name, job, &strace::inject(point, fault, &log))
            .status()
            .expect("strace");
        (status, strace::came(fault, &log))
    }

    /// Returns the hook as Upstart runs it, under strace with these arguments.
    pub fn traced(&self, name: &str, job: &str, arguments: &[String]) -> Command {
        let mut command = Command::new(STRACE);
        command
            .args(arguments)
            .args(self.harness.hook_argv(name))
            .env_clear();
        surround(&mut command, job);
        command
    }

    /// Runs one of our verbs and returns its system calls.
    pub fn watch(&self, verb: &str, job: &str) -> Vec<Point> {
        let log = self.path("strace.log");
        assert!(
            self.traced(verb, job, &strace::watch(&log))
                .status()
                .expect("strace")
                .success(),
            "{verb}, watched"
        );
        self.settle();
        strace::points(&log)
    }

    /// Runs pre-start for the service.
    pub fn start(&self, job: &str) {
        assert!(
            self.hook("pre-start", job)
                .status()
                .expect("pre-start")
                .success()
        );
    }

    /// Writes init's line about the service's death.
    pub fn die(&self, job: &str) {
        self.harness.kernel_log(format!(
            "init: {job} main process (4242) killed by SEGV signal"
        ));
    }

    /// Writes the kernel log's line of an end with this exit code.
    pub fn end_with(&self, job: &str, code: u32) {
        self.harness.kernel_log(format!(
            "init: {job} main process (4242) terminated with status {code}"
        ));
    }

    /// Runs a whole life that ends in a crash, with its post-stop on this stage. Returns when
    /// post-stop has ended.
    pub fn crash(&self, job: &str, stage: &Stage) -> Ended {
        self.start(job);
        self.die(job);
        self.post_stop(job, stage)
    }

    /// Runs the hook after a crash.
    pub fn post_stop(&self, job: &str, stage: &Stage) -> Ended {
        let log = self.path("strace.log");
        let _ = fs::remove_file(&log);
        let mut tracer = String::new();
        let mut wrapper = "#!/bin/sh\n".to_owned();
        let _ = writeln!(wrapper, "echo \"$1\" >>{}", self.path("verbs").display());
        let victim = match (&stage.suffer, stage.watch) {
            (Some(suffer), _) => Some((
                suffer.verb,
                strace::inject(suffer.point, suffer.fault, &log),
            )),
            (None, Some(verb)) => Some((verb, strace::watch(&log))),
            (None, None) => None,
        };
        wrapper += "case $1 in\n";
        match victim {
            Some(("post-stop", arguments)) => tracer = format!("{STRACE} {}", arguments.join(" ")),
            // The tracer must not become the parent of the process.
            Some((verb, arguments)) => {
                let _ = writeln!(
                    wrapper,
                    "{verb}) exec {STRACE} -D {} {BINARY} \"$@\" ;;",
                    arguments.join(" ")
                );
            }
            None => {}
        }
        if stage.asleep {
            wrapper += "deliver) exit 0 ;;\n";
        }
        let _ = write!(wrapper, "esac\nexec {BINARY} \"$@\"\n");
        let mut hook = self.in_disguise(&wrapper, &tracer, "post-stop", job);
        let began = Instant::now();
        let status = hook.status().expect("post-stop");
        let took = began.elapsed();
        let taken = self.is_taken(job);
        let suffered = stage.suffer.as_ref().is_some_and(|suffer| {
            // The tracer of a background process ends after it, and only then writes its log.
            suffer.verb == "post-stop" || {
                self.settle();
                true
            }
        });
        let suffered = suffered
            && stage
                .suffer
                .as_ref()
                .is_some_and(|suffer| strace::came(suffer.fault, &log));
        Ended {
            status,
            suffered,
            taken,
            took,
        }
    }

    /// Returns true if a hook has taken the job's marker.
    pub fn is_taken(&self, job: &str) -> bool {
        !self.harness.run.join("markers").join(job).exists()
    }

    /// Returns the files in the run directory that the deliverer has to finish: taken markers and
    /// reports in memory.
    pub fn unfinished(&self) -> Vec<String> {
        let taken = names_in(&self.harness.run.join("markers"))
            .into_iter()
            .filter(|name| name.contains("~taken"));
        taken
            .chain(names_in(&self.harness.run.join("inbox")))
            .collect()
    }

    /// Returns one of our verbs, in a mount namespace where it starts `wrapper` instead of itself.
    pub fn in_disguise(&self, wrapper: &str, tracer: &str, verb: &str, job: &str) -> Command {
        write_program(&self.path("wrapper"), wrapper);
        let mounts = format!(
            "mount --bind {bin} {own}\nexec 9<{own}\nmount --bind {wrapper} {own}\nexec {tracer} {BINARY} \"$@\"",
            bin = fs::canonicalize(harness::binary())
                .expect("the binary")
                .display(),
            own = self.path("lastwords").display(),
            wrapper = self.path("wrapper").display(),
        );
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-ec",
            &mounts,
            "sh",
        ]);
        command.args(&self.harness.hook_argv(verb)[1..]).env_clear();
        surround(&mut command, job);
        command
    }

    /// Returns the verbs of the processes that ours have started since the last call.
    pub fn verbs(&self) -> Vec<String> {
        let path = self.path("verbs");
        let mut verbs: Vec<_> = fs::read_to_string(&path)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        let _ = fs::remove_file(path);
        verbs.sort();
        verbs.dedup();
        verbs
    }

    /// Waits until all our processes have ended.
    pub fn settle(&self) {
        self.harness.settle_within(BACKGROUND);
    }

    /// Runs a pass of the deliverer.
    pub fn deliver(&self) -> ExitStatus {
        let mut command = self.harness.hook_command("deliver");
        command
            .env("PATH", crate::support::process::PATH)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command.status().expect("deliver")
    }

    /// Runs passes of the deliverer until no report waits. A failed attempt is repeated after ten
    /// seconds.
    pub fn deliver_all(&self) {
        let began = Instant::now();
        loop {
            assert!(self.deliver().success());
            self.settle();
            if names_in(&self.harness.spool.join("new")).is_empty() {
                break;
            }
            assert!(began.elapsed() < BACKGROUND, "not all is delivered");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs a pass as if it were an hour later. Until then a half file may still be in the making,
    /// and is left alone.
    pub fn deliver_in_an_hour(&self) {
        self.deliver_in("1h");
        self.settle();
    }

    /// Runs a pass as if it were `later`.
    pub fn deliver_in(&self, later: &str) {
        let mut command = self.harness.hook_command("deliver");
        command
            .args(["--later", later])
            .env("PATH", crate::support::process::PATH)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        assert!(command.status().expect("deliver").success());
    }

    /// Returns all reports in the spool, delivered ones included.
    pub fn reports(&self) -> Vec<Report> {
        reports_in(&["new", "done", "dead"].map(|place| self.harness.spool.join(place)))
    }

    /// Returns the number of times that the sink took a report: by job, then by id.
    pub fn sunk(&self) -> BTreeMap<String, BTreeMap<String, usize>> {
        let mut sunk = BTreeMap::<String, BTreeMap<String, usize>>::new();
        for line in fs::read_to_string(self.path("sunk"))
            .unwrap_or_default()
            .lines()
        {
            if let Some((id, job)) = line.trim_end().split_once(' ') {
                *sunk
                    .entry(job.to_owned())
                    .or_default()
                    .entry(id.to_owned())
                    .or_default() += 1;
            }
        }
        sunk
    }
}

/// Gives a hook the environment that a supervisor gives it.
fn surround(command: &mut Command, job: &str) {
    command.envs([
        ("PATH", crate::support::process::PATH),
        ("TERM", "linux"),
        ("UPSTART_JOB", job),
        ("UPSTART_INSTANCE", ""),
    ]);
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
}

/// Writes a program, by another process. A file that any process has open for writing cannot be
/// executed, and a process that another test forks inherits our open files.
fn write_program(path: &Path, text: &str) {
    let mut command = Command::new("install");
    let mut install = command
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("install");
    install
        .stdin
        .take()
        .expect("a pipe")
        .write_all(text.as_bytes())
        .expect("a program");
    assert!(install.wait().expect("our own child").success());
}
