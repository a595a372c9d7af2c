//! A machine for one test: directories of its own, a fake `/` with a kernel log, and the test's
//! reports.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lastwords::report::{Exit, Report, ReportId, Verdict};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use crate::support::upstart::Job;

/// A main process that runs until it is killed.
pub const SERVE: &str = "exec sleep 1000\n";

/// Maximum time that a test waits for a condition.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct Harness {
    dir: TempDir,
    binary: String,
    /// True if the hooks get our directories as flags; otherwise they use the machine's own.
    flags: bool,
    pub run: PathBuf,
    pub spool: PathBuf,
    pub config: PathBuf,
    pub root: PathBuf,
    kernel_log_records: Cell<u64>,
}

impl Harness {
    /// Makes a machine where lastwords is installed and nothing is configured.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("lastwords-")
            .tempdir()
            .expect("a temporary directory");
        // In scenarios with `setuid`, users other than root pass through here.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("our own directory");
        let at = |name: &str| dir.path().join(name);
        for directory in [
            "config/jobs",
            "root/dev",
            "root/etc/init",
            "root/var/log/upstart",
        ] {
            fs::create_dir_all(at(directory)).expect("a directory");
        }
        for kernel_directory in ["proc", "sys"] {
            symlink(
                Path::new("/").join(kernel_directory),
                at("root").join(kernel_directory),
            )
            .expect("a link");
        }
        fs::write(at("root/dev/kmsg"), "").expect("an empty kernel log");
        let (run, spool, config, root) = (at("run"), at("spool"), at("config"), at("root"));
        Self {
            dir,
            binary: binary(),
            flags: true,
            run,
            spool,
            config,
            root,
            kernel_log_records: Cell::new(0),
        }
    }

    /// Returns the same machine with its binary elsewhere.
    pub fn with_binary(mut self, path: &Path) -> Self {
        path.to_str().expect("plain").clone_into(&mut self.binary);
        self
    }

    /// Returns this machine itself, with the program's default directories. Use it only in a mount
    /// namespace of the test's own.
    pub fn of_this_machine() -> Self {
        let mut machine = Self::new();
        machine.flags = false;
        machine.run = "/run/lastwords".into();
        machine.spool = "/var/spool/lastwords".into();
        machine.config = "/etc/lastwords".into();
        machine.root = "/".into();
        machine
    }

    /// Returns a path that only this scenario uses.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns a job with lastwords' three hooks, configured by `conf`. A hook in `conf` replaces
    /// ours.
    pub fn job(&self, name: &str, conf: &str) -> Job<'_> {
        let hooks = ["pre-start", "pre-stop", "post-stop"]
            .map(|hook| format!("{hook} exec {}\n", self.hook(hook)));
        self.bare_job(name, &format!("{}{conf}", hooks.concat()))
    }

    /// Returns a job with no hooks but those in `conf`.
    pub fn bare_job(&self, name: &str, conf: &str) -> Job<'_> {
        let path = self.root.join("etc/init").join(format!("{name}.conf"));
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, conf).expect("a job's configuration");
        Job::new(self, name, conf)
    }

    /// Returns the hook's command line, as a stanza or a script holds it.
    pub fn hook(&self, name: &str) -> String {
        let words: Vec<_> = self
            .hook_argv(name)
            .iter()
            .map(|word| word.to_str().expect("plain").to_owned())
            .collect();
        words.join(" ")
    }

    pub fn hook_argv(&self, name: &str) -> Vec<PathBuf> {
        let mut argv = vec![self.binary.clone().into(), name.into()];
        if self.flags {
            let flags = [
                ("--config", &self.config),
                ("--run-dir", &self.run),
                ("--spool", &self.spool),
                ("--root", &self.root),
            ];
            argv.extend(
                flags
                    .into_iter()
                    .flat_map(|(flag, dir)| [flag.into(), dir.clone()]),
            );
        }
        argv
    }

    /// Returns the hook, to be run by hand in an environment that the scenario sets.
    pub fn hook_command(&self, name: &str) -> Command {
        let argv = self.hook_argv(name);
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).env_clear();
        command
    }

    /// Returns a command as people type it.
    pub fn command(&self, verb: &str) -> Command {
        let argv = self.hook_argv(verb);
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]);
        command
    }

    /// Installs an `initctl` that knows the state of the jobs which this machine's Upstart runs. As
    /// from inside a job, `initctl status` takes the job's name from the environment.
    pub fn install_initctl(&self) {
        let dir = self.initctl_dir();
        fs::create_dir_all(&dir).expect("a directory");
        let script = format!(
            "#!/bin/sh\ncd {}\nname=\"$UPSTART_JOB${{UPSTART_INSTANCE:+ ($UPSTART_INSTANCE)}}\"\n\
             [ \"$*\" = list ] && exec cat -- *\n[ \"$*\" = status ] || exit 1\n\
             for file in *; do\nread -r line <\"$file\"\n\
             case $line in \"$name st\"*) echo \"$line\" ;; esac\ndone\n",
            dir.display()
        );
        self.initctl_is(&script);
    }

    /// Makes `initctl` this script.
    pub fn initctl_is(&self, script: &str) {
        let path = self.root.join("sbin/initctl");
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, script).expect("a program");
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("our own file");
    }

    /// Returns the directory in which Upstart keeps its jobs' states for `initctl`.
    pub fn initctl_dir(&self) -> PathBuf {
        self.dir.path().join("initctl")
    }

    /// Returns our processes that run this verb.
    pub fn pids_of(&self, verb: &str) -> Vec<Pid> {
        let word = format!("\0{verb}\0");
        let runs = |pid: &Pid| {
            let command_line =
                fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
            command_line
                .windows(word.len())
                .any(|part| part == word.as_bytes())
        };
        self.left_running().into_iter().filter(runs).collect()
    }

    pub fn is_hook(&self, command_line: &str) -> bool {
        command_line.split(' ').next() == Some(&self.binary)
    }

    /// Returns a script that runs `first`, then waits for [`Harness::open_gate`].
    pub fn gated(&self, first: &str) -> String {
        let gate = self.path("gate").display().to_string();
        format!("script\n{first}\nwhile [ ! -e {gate} ]; do sleep 0.01; done\nend script\n")
    }

    pub fn open_gate(&self) {
        fs::write(self.path("gate"), "").expect("our own directory");
    }

    /// Returns a main process that ends by `end` in its first life and runs in the second.
    pub fn end_once(&self, end: &str) -> String {
        let once = self.path("once").display().to_string();
        format!("script\n[ -e {once} ] || {{ : >{once}; {end}; }}\nexec sleep 1000\nend script\n")
    }

    /// Returns a main process that runs, and does `action` on `signal`. Start it with
    /// [`Harness::start_trapping`].
    pub fn trapping(&self, signal: &str, action: &str) -> String {
        let ready = self.path("ready").display().to_string();
        format!(
            "script\ntrap '{action}' {signal}\n: >{ready}\nwhile :; do sleep 0.01; done\nend script\n"
        )
    }

    /// Starts a job whose main process traps a signal, and waits until it does.
    pub fn start_trapping(&self, job: &mut Job) {
        job.start();
        job.wait_until("the trap", |_| self.path("ready").exists());
    }

    /// Adds a sink that keeps the text of each message.
    pub fn keep_messages(&self) {
        fs::create_dir(self.path("told")).unwrap();
        let sink = keeping_sink(&self.path("told"));
        fs::write(self.config.join("lastwords.toml"), sink).unwrap();
    }

    /// Returns the messages that were sent, in their order.
    pub fn messages(&self) -> Vec<String> {
        let dir = self.path("told");
        let mut names = names_in(&dir);
        names.retain(|name| !name.starts_with('.'));
        let texts = names.iter().map(|name| fs::read_to_string(dir.join(name)));
        texts.map(Result::unwrap).collect()
    }

    /// Writes `jobs/JOB.toml`.
    pub fn configure(&self, job: &str, toml: &str) {
        fs::write(self.config.join("jobs").join(format!("{job}.toml")), toml)
            .expect("a job's file");
    }

    /// Adds a record to the kernel log, as init does through `/dev/kmsg`. Does nothing if the
    /// machine has no kernel log.
    pub fn kernel_log(&self, text: impl AsRef<[u8]>) {
        let now = clock_gettime(ClockId::Monotonic);
        let sequence = self.kernel_log_records.get();
        self.kernel_log_records.set(sequence + 1);
        let mut record = format!(
            "12,{sequence},{},-;",
            now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
        );
        for &byte in text.as_ref() {
            match byte {
                b' '..=b'~' if byte != b'\\' => record.push(byte.into()),
                _ => write!(record, "\\x{byte:02x}").expect("a string takes all"),
            }
        }
        record.push('\n');
        if let Ok(mut log) = OpenOptions::new()
            .append(true)
            .open(self.root.join("dev/kmsg"))
        {
            log.write_all(record.as_bytes())
                .expect("a record in the kernel log");
        }
    }

    /// Returns all reports that are safe in the spool, the oldest first.
    pub fn reports(&self) -> Vec<Report> {
        reports_in(&[self.spool.join("new"), self.spool.join("done")])
    }

    /// Waits for the workers that are still at work after their hooks have returned, as happens on a
    /// busy machine.
    pub fn wait_for_workers(&self) {
        wait_for("the workers' end", || self.pids_of("catch").is_empty());
    }

    /// Returns the only report. Panics if there are none or several.
    pub fn only_report(&self) -> Report {
        self.wait_for_workers();
        let mut reports = self.reports();
        assert_eq!(reports.len(), 1, "one report: {reports:#?}");
        reports.remove(0)
    }

    /// Returns the paths of all files and directories, but not of those in the two given
    /// directories.
    pub fn everything_else(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![self.dir.path().to_owned()];
        while let Some(dir) = left.pop() {
            let entries = fs::read_dir(dir)
                .expect("a directory")
                .map(|entry| entry.expect("an entry"));
            for entry in entries.filter(|entry| ![&self.run, &self.spool].contains(&&entry.path()))
            {
                if entry.file_type().expect("a type").is_dir() {
                    left.push(entry.path());
                }
                found.push(entry.path());
            }
        }
        found.sort();
        found
    }

    /// Returns the armed markers.
    pub fn markers(&self) -> Vec<String> {
        let names = names_in(&self.run.join("markers"));
        names
            .into_iter()
            .filter(|name| {
                !["~seen", "~crashes", "~well", "~stopped"]
                    .iter()
                    .any(|it| name.ends_with(it))
            })
            .collect()
    }

    /// Waits until all our processes have ended: workers that hooks have left behind, and the
    /// deliverers that these wake.
    pub fn settle(&self) {
        self.settle_within(PATIENCE);
    }

    pub fn settle_within(&self, patience: Duration) {
        let left = self.left_after(patience);
        assert!(left.is_empty(), "still running: {left:?}");
    }

    /// Waits until no process is left, and returns those that are left after `patience`.
    fn left_after(&self, patience: Duration) -> Vec<Pid> {
        let deadline = Instant::now() + patience;
        // Between fork and exec a process has no command line for a moment, so one look is not enough.
        let mut quiet_looks = 0;
        loop {
            let left = self.left_running();
            quiet_looks = if left.is_empty() { quiet_looks + 1 } else { 0 };
            if quiet_looks == 2 || (quiet_looks == 0 && Instant::now() > deadline) {
                return left;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Returns the processes that the scenario has started and that still run.
    pub fn left_running(&self) -> Vec<Pid> {
        let ours = self.dir.path().as_os_str().as_encoded_bytes();
        let pids = names_in(Path::new("/proc"))
            .into_iter()
            .filter_map(|name| name.parse().ok().and_then(Pid::from_raw));
        let is_ours = |pid: &Pid| {
            let pid = pid.as_raw_nonzero();
            let command_line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            // In the middle of exec there is none yet, for long if the machine is busy.
            let may_be_ours = || {
                let program = fs::read_link(format!("/proc/{pid}/exe"));
                program.is_ok_and(|it| it.file_name().is_some_and(|name| name == "lastwords"))
            };
            command_line.windows(ours.len()).any(|part| part == ours)
                || command_line.is_empty() && may_be_ours()
        };
        pids.filter(is_ours).collect()
    }
}

/// The system's log, `/dev/log`.
pub struct SystemLog(UnixDatagram);

impl SystemLog {
    pub fn of(machine: &Harness) -> Self {
        let socket = UnixDatagram::bind(machine.root.join("dev/log")).expect("a socket");
        socket
            .set_nonblocking(true)
            .expect("a socket that never waits");
        Self(socket)
    }

    /// Returns the messages since the last call.
    pub fn said(&self) -> Vec<String> {
        let mut buffer = [0; 8192];
        let line =
            |length: usize, buffer: &[u8]| String::from_utf8_lossy(&buffer[..length]).into_owned();
        std::iter::from_fn(|| {
            self.0
                .recv(&mut buffer)
                .ok()
                .map(|length| line(length, &buffer))
        })
        .collect()
    }
}

/// Waits for workers that the hooks have left behind, so that they do not write to a directory that
/// is being removed.
impl Drop for Harness {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let mut left = self.left_after(if failed { Duration::ZERO } else { PATIENCE });
        let all_ended = left.is_empty();
        while !left.is_empty() {
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
            left = self.left_after(Duration::ZERO);
        }
        assert!(failed || all_ended, "something was left running");
    }
}

/// The binary under test.
pub fn binary() -> String {
    std::env::var("LASTWORDS_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_lastwords").to_owned())
}

/// Returns the reports in `dirs`, each once. A report may move on to the next directory meanwhile.
pub fn reports_in(dirs: &[PathBuf]) -> Vec<Report> {
    let mut files = BTreeMap::new();
    // In this order, no report that moves on meanwhile is missed.
    for name in dirs
        .iter()
        .flat_map(|dir| names_in(dir))
        .filter(|name| ReportId::parse(name).is_ok())
    {
        let text = wait_for_some(&format!("report {name}"), || {
            dirs.iter()
                .find_map(|dir| fs::read_to_string(dir.join(&name)).ok())
        });
        files.insert(name, text);
    }
    let mut reports: Vec<_> = files.into_values().map(|text| parse(&text)).collect();
    reports.sort_by_key(|report| report.stop.stopped_at);
    reports
}

/// Parses a spool entry: the report, then one line of trailer.
fn parse(entry: &str) -> Report {
    let (report, trailer) = entry
        .trim_end()
        .rsplit_once('\n')
        .expect("a report and a trailer");
    assert!(
        trailer.starts_with("lastwords-entry "),
        "a trailer: {trailer}"
    );
    serde_json::from_str(report).unwrap_or_else(|why| panic!("{why}: {report}"))
}

/// Returns a text in which our commands do not name the machine's directories.
pub fn without_places(text: &str) -> String {
    let mut words = text.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if ["--config", "--run-dir", "--spool", "--root"].contains(&word) {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// Returns the config of a sink that keeps each message in a file in `dir`. The files' names are in
/// the order of the messages.
pub fn keeping_sink(dir: &Path) -> String {
    let script = format!(
        "cd {} && cp $LASTWORDS_REPORT_DIR/report.txt .$$ && mv .$$ $(date +%s%N)",
        dir.display()
    );
    format!("[[sink.exec]]\nname = 'keep'\ncommand = ['/bin/sh', '-c', '''{script}''']\n")
}

pub fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

pub fn killed_by(name: &str) -> Exit {
    Exit::Signal {
        name: name.to_owned(),
        core_dumped: false,
    }
}

pub fn assert_crashed(report: &Report, exit: &Exit, line: &str) {
    assert_eq!(
        (report.verdict, &report.stop.exit),
        (Verdict::Crashed, exit),
        "{report:#?}"
    );
    assert!(evidence(report).contains(&line), "{line} in {report:#?}");
}

/// Returns the evidence of a report's cause and verdict, as lines.
pub fn evidence(report: &Report) -> Vec<&str> {
    report
        .cause
        .evidence
        .iter()
        .map(|evidence| evidence.text.as_str())
        .collect()
}

/// Waits until `reached` returns true.
pub fn wait_for(what: &str, mut reached: impl FnMut() -> bool) {
    wait_for_some(what, || reached().then_some(()));
}

/// Waits until `look` finds something and returns that.
pub fn wait_for_some<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    patiently(look).unwrap_or_else(|| panic!("{what} did not come"))
}

/// Calls `look` until it finds something, for a minute at most.
pub fn patiently<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
