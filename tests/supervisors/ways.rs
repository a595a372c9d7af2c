//! Ways for a service to end, the same for every supervisor, and the table of the resulting
//! reports.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use lastwords::report::{Exit, Kind, Report, Verdict};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::cgroup::Cgroup;
use crate::support::harness::{Harness, killed_by, wait_for, wait_for_some};

/// A service that ends in some way in its first life, and then runs.
pub struct Way {
    pub name: &'static str,
    /// Shell script of the first life.
    pub first_life: String,
    pub then: Then,
    pub expected: Expected,
}

/// The event that ends the service, once it runs.
#[derive(Clone, Copy)]
pub enum Then {
    Nothing,
    Kill(Signal),
    /// The supervisor's own command, by its name in the supervisor's tests.
    Control(&'static str),
}

/// The expected report.
pub enum Expected {
    /// No report, since the end was planned.
    Silence,
    /// A report with this verdict, exit and beginning of the cause's line.
    Report(Verdict, Exit, &'static str),
}

pub use Expected::{Report as Says, Silence};
pub use Then::{Control, Kill, Nothing};

pub fn way(name: &'static str, first_life: &str, then: Then, expected: Expected) -> Way {
    Way {
        name,
        first_life: first_life.to_owned(),
        then,
        expected,
    }
}

pub fn crashed(exit: Exit, line: &'static str) -> Expected {
    Says(Verdict::Crashed, exit, line)
}

/// Returns the ways that every supervisor reports correctly.
pub fn plain_deaths(machine: &Harness) -> Vec<Way> {
    let segv = || crashed(killed_by("SEGV"), "killed by SIGSEGV");
    vec![
        way(
            "exit-1",
            "exit 1",
            Nothing,
            crashed(Exit::Code(1), "exit code 1"),
        ),
        way("segv", "kill -SEGV $$", Nothing, segv()),
        way("segv-from-outside", "", Kill(Signal::SEGV), segv()),
        way(
            "kill",
            "",
            Kill(Signal::KILL),
            crashed(killed_by("KILL"), "killed by SIGKILL, cause unknown"),
        ),
        way(
            "hup",
            "",
            Kill(Signal::HUP),
            crashed(killed_by("HUP"), "killed by SIGHUP"),
        ),
        way(
            "abort",
            "cd $DIR; ulimit -c unlimited; kill -ABRT $$",
            Nothing,
            crashed(
                Exit::Signal {
                    name: "ABRT".into(),
                    core_dumped: dumps_core(machine),
                },
                "killed by SIGABRT",
            ),
        ),
    ]
}

/// Returns a way in which the kernel kills the service because memory ran out.
pub fn out_of_memory(cgroup: &Cgroup) -> Way {
    let kill = Exit::Signal {
        name: "KILL".into(),
        core_dumped: false,
    };
    way(
        "oom",
        &format!("{}; exec tail /dev/zero", cgroup.enter()),
        Nothing,
        crashed(kill, "out of memory: killed by the kernel"),
    )
}

/// Returns true if a program that aborts dumps core on this machine.
fn dumps_core(machine: &Harness) -> bool {
    let abort = "ulimit -c unlimited; kill -ABRT $$";
    let status = Command::new("sh")
        .args(["-c", abort])
        .current_dir(machine.path("."))
        .status()
        .unwrap();
    status.core_dumped()
}

/// Returns a machine with directories of its own, and with this machine's real kernel log and logs
/// of services.
pub fn machine() -> Harness {
    let mut machine = Harness::new();
    machine.root = "/".into();
    machine
}

/// Returns a file of `config/` with the binary under test, this job's name and this program in it.
pub fn config(machine: &Harness, file: &str, job: &str, program: &Path) -> String {
    let mut text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("config")
            .join(file),
    )
    .unwrap();
    for hook in ["pre-start", "pre-stop", "post-stop"] {
        text = text.replace(&format!("/usr/bin/lastwords {hook}"), &machine.hook(hook));
    }
    text = text.replace("--job web", &format!("--job {job}"));
    text = text.replace(
        "/usr/bin/node /srv/web/server.js",
        &format!("sh {}", program.display()),
    );
    assert!(
        !text
            .lines()
            .any(|line| !line.starts_with(['#', ';']) && line.contains("/usr/bin/")),
        "{text}"
    );
    text
}

impl Way {
    fn file(&self, machine: &Harness, suffix: &str) -> PathBuf {
        machine.path(&format!("{}.{suffix}", self.name))
    }

    /// Writes the service's main program.
    pub fn program(&self, machine: &Harness) -> PathBuf {
        let path = self.file(machine, "program");
        let at = |suffix: &str| self.file(machine, suffix).display().to_string();
        let (pid, once, again) = (at("pid"), at("once"), at("again"));
        let script = format!(
            "DIR={}\nif [ -e {once} ]; then : >{again}; exec sleep 1000; fi\n: >{once}\necho $$ >{pid}.new\n\
             mv {pid}.new {pid}\n{}\nexec sleep 1000\n",
            machine.path("").display(),
            self.first_life
        );
        fs::write(&path, script).unwrap();
        path
    }

    /// Waits until its first life runs, and ends it in its way.
    pub fn act(&self, machine: &Harness, control: &dyn Fn(&str, &str)) {
        let pid = wait_for_some(&format!("{} to run", self.name), || {
            fs::read_to_string(self.file(machine, "pid"))
                .ok()?
                .trim()
                .parse::<i32>()
                .ok()
        });
        if !matches!(self.then, Nothing) {
            wait_for("its marker", || {
                machine.markers().contains(&self.name.to_owned())
            });
        }
        match self.then {
            Nothing => {}
            Kill(signal) => {
                // Never 0, 1 or below, which stand for many processes.
                assert!(pid > 1, "{pid}");
                kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
            }
            Control(command) => control(self.name, command),
        }
        wait_for(&format!("the end of {}", self.name), || {
            fs::read(format!("/proc/{pid}/stat")).is_err() || self.file(machine, "again").exists()
        });
    }

    /// Returns true if the service runs in its second life.
    pub fn runs_again(&self, machine: &Harness) -> bool {
        self.file(machine, "again").exists()
    }

    /// Checks the service's report among all reports. Returns its row of the table.
    pub fn check(&self, supervisor: &str, reports: &[Report]) -> String {
        let ours: Vec<_> = reports
            .iter()
            // That it stays down is told in a report of its own.
            .filter(|report| report.kind == Kind::Crash && report.stop.service() == self.name)
            .collect();
        match &self.expected {
            Silence => {
                assert!(ours.is_empty(), "{supervisor}, {}: {ours:#?}", self.name);
                format!("| {supervisor} | {} | planned | no report |\n", self.name)
            }
            Says(verdict, exit, line) => {
                let [report] = ours[..] else {
                    panic!("{supervisor}, {}: one report: {ours:#?}", self.name)
                };
                assert_eq!(
                    (report.verdict, &report.stop.exit),
                    (*verdict, exit),
                    "{supervisor}: {report:#?}"
                );
                assert!(
                    report.cause.line.starts_with(line),
                    "{supervisor}: {line} in {report:#?}"
                );
                format!(
                    "| {supervisor} | {} | {verdict} | {} |\n",
                    self.name, report.cause.line
                )
            }
        }
    }
}

/// Lets all services end, and checks the table.
pub fn check(supervisor: &str, machine: &Harness, ways: &[Way], control: &dyn Fn(&str, &str)) {
    for way in ways {
        way.act(machine, control);
    }
    for way in ways.iter().filter(|way| matches!(way.expected, Silence)) {
        // If the marker were still armed, no hook would have handled this end.
        wait_for("its marker to go", || {
            way.runs_again(machine) || !machine.markers().contains(&way.name.to_owned())
        });
    }
    let expected = |report: &Report| ways.iter().any(|way| way.name == report.stop.service());
    let crashes = |report: &Report| report.kind == Kind::Crash && expected(report);
    let reported = || machine.reports().into_iter().filter(crashes).count();
    let due = ways
        .iter()
        .filter(|way| matches!(way.expected, Says(..)))
        .count();
    wait_for(&format!("{supervisor}'s reports"), || reported() >= due);
    machine.settle_hooks();
    let reports = machine.reports();
    let table: String = ways
        .iter()
        .map(|way| way.check(supervisor, &reports))
        .collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{supervisor}.table"));
    fs::write(path, table).unwrap();
}

impl Harness {
    /// Waits until every stop has been handled.
    pub fn settle_hooks(&self) {
        wait_for("the hooks", || {
            self.pids_of("post-stop").is_empty()
                && !self.markers().iter().any(|name| name.contains("~taken"))
        });
        self.wait_for_workers();
    }
}
