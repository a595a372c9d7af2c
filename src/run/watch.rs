//! The command's life as `lastwords run` sees it: its marker, who asked it to end, and its end.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, WaitStatus, getppid, getpriority_process};
use tempfile::TempDir;

use super::args::RunArgs;
use super::end::CommandEnd;
use super::signals::{self, Arrived, Signals, is_init};
use crate::catch::finish;
use crate::catch::guard::guarded;
use crate::catch::marker::{self, Circumstances, Marker, MarkerFile, Taken};
use crate::catch::nudge;
use crate::catch::worker::{self, By, Ended};
use crate::clock::Now;
use crate::collectors::output::Stream;
use crate::collectors::usage::Usage;
use crate::host::Host;
use crate::places::Places;
use crate::random;
use crate::render::one_line;
use crate::supervisor::run::LastwordsRun;
use crate::supervisor::run::life::{End, Life, Request, is_stop};
use crate::supervisor::upstart;
use crate::{limits, ourselves};

/// How long the exit status may wait for the report. A hook's restart waits as long.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a signal is remembered: longer than any service takes to stop.
const REMEMBERED: Duration = Duration::from_hours(1);
/// How often this process notes, after a signal, that it lives.
const ALIVE: Duration = Duration::from_secs(10);
/// How long a request may come after the end that it asked for, when a sender signals one process
/// after the other.
const LAG: Duration = Duration::from_millis(50);
/// How long PID 1, with which everything ends, waits for the report to be sent.
const DELIVERY: Duration = Duration::from_secs(5);

/// Maximum length of a command's name in a report, in characters.
const NAME: usize = 200;

/// The command's life, and its marker, if there is one.
pub struct Watch<'a> {
    places: &'a Places,
    host: Host,
    marker: Marker,
    armed: Option<Armed>,
    deliver_within: Duration,
    /// The command's program, as it was named.
    command: String,
    /// Marker of Upstart's hooks for the same life. They need not report what this process reports.
    hooks: Option<MarkerFile>,
}

struct Armed {
    taken: Taken,
    /// The locked file.
    file: File,
    /// Directory of the marker, if it is not the run directory.
    refuge: Option<TempDir>,
}

impl<'a> Watch<'a> {
    pub fn new(args: &'a RunArgs, host: Host) -> Self {
        let places = &args.places;
        // The command's children have this in their environment too. Its main process alone is a
        // child of init.
        let on_upstart =
            getppid().is_some_and(Pid::is_init) && env::var_os("UPSTART_JOB").is_some();
        let told = |name| env::var_os(name).filter(|value| on_upstart && !value.is_empty());
        let (upstarts_job, upstarts_instance) = (told("UPSTART_JOB"), told("UPSTART_INSTANCE"));
        let command = args
            .command
            .first()
            .map(Path::new)
            .and_then(Path::file_name);
        let job = args.job.clone().or_else(|| upstarts_job.clone());
        let job = job.unwrap_or_else(|| command.unwrap_or(OsStr::new("command")).to_owned());
        let instance = args.instance.clone().or_else(|| upstarts_instance.clone());
        let deliver_within =
            args.deliver_within
                .unwrap_or(if is_init() { DELIVERY } else { Duration::ZERO });
        // A command on a terminal keeps it, so its output is only in the log of that terminal.
        let console = upstarts_job.as_ref().filter(|_| io::stdout().is_terminal());
        let console = console.and_then(|job| {
            let instance = upstarts_instance.as_ref().map(|it| it.to_string_lossy());
            upstart::console_log(&job.to_string_lossy(), instance.as_deref(), &host)
        });
        let life = Life {
            logs: console.into_iter().collect(),
            delivers: !deliver_within.is_zero(),
            ..Life::default()
        };
        let (name, of) = (
            job.to_string_lossy(),
            instance.as_ref().map(|instance| instance.to_string_lossy()),
        );
        let marker = Marker::new(host.boot_id(), Now::read()).of(&name, of.as_deref());
        let file = |dir| MarkerFile::new(dir, &job, instance.as_deref());
        let hooks = upstarts_job
            .map(|job| MarkerFile::new(places.markers(), &job, upstarts_instance.as_deref()));
        let mut watch = Self {
            places,
            host,
            marker: Marker {
                life: Some(life),
                ..marker
            },
            armed: None,
            deliver_within,
            command: args.command.first().map_or_else(String::new, |command| {
                one_line(&command.to_string_lossy(), NAME)
            }),
            hooks,
        };
        guarded("run", &watch.host.clone(), || watch.arm(file));
        watch
    }

    fn arm(&mut self, file: impl Fn(PathBuf) -> MarkerFile) -> Result<()> {
        let (now, by) = (
            Now::read(),
            Circumstances {
                supervisor: &LastwordsRun,
                alive: true,
                ..Circumstances::default()
            },
        );
        let arm = |dir| file(dir).arm_taken(&self.marker, random::report_id(now), now, by);
        let armed = arm(self.places.markers());
        let why = match armed {
            Ok((taken, file)) => {
                // Reports that the last run could not send are tried again now; at the end, if that
                // waits for it.
                let waits =
                    self.deliver_within.is_zero() && self.places.spool_in_use().has_waiting();
                if waits || one_was_left(&taken) {
                    nudge::deliver(self.places, &LastwordsRun);
                }
                self.armed = Some(Armed {
                    taken,
                    file,
                    refuge: None,
                });
                return Ok(());
            }
            Err(why) => why,
        };
        let refuge = tempfile::Builder::new()
            .prefix("lastwords-")
            .tempdir_in("/dev/shm");
        let refuge = refuge.or_else(|_| {
            tempfile::Builder::new()
                .prefix("lastwords-")
                .tempdir_in("/tmp")
        });
        let (refuge, (taken, file)) = refuge
            .and_then(|refuge| arm(refuge.path().to_owned()).map(|armed| (refuge, armed)))
            .with_context(|| {
                format!(
                    "a crash will go unnoticed: cannot write to {} ({why})",
                    self.places.markers().display()
                )
            })?;
        self.armed = Some(Armed {
            taken,
            file,
            refuge: Some(refuge),
        });
        Err(why).with_context(|| {
            format!(
                "should lastwords itself be killed, that goes unnoticed: cannot write to {}",
                self.places.markers().display()
            )
        })
    }

    /// Forgets the life, as if this process had never watched it.
    pub fn give_up(self) -> Host {
        if let Some(armed) = self.armed {
            let _ = armed.taken.settle();
        }
        self.host
    }

    fn life(&mut self) -> &mut Life {
        self.marker.life.get_or_insert_default()
    }

    fn keep(&self) {
        if let Some(armed) = &self.armed {
            let _ = marker::rewrite(&armed.file, &self.marker);
        }
    }

    pub fn started(&mut self, child: &Child) {
        self.life().pid = Some(child.id());
        self.keep();
    }

    /// Passes a signal on, and remembers who asked for it.
    pub fn pass_on(&mut self, arrived: Arrived, main: Pid) {
        let name = signals::name(arrived.number);
        let from_terminal = arrived.from.is_none()
            && ["INT", "QUIT", "TSTP", "TTIN", "TTOU", "WINCH"].contains(&name.as_str());
        if name == "CHLD" {
            return;
        }
        // Upstart sends the signal that ends a job to the main process's whole group, and the
        // others to this process alone.
        let from_upstart =
            self.hooks.is_some() && arrived.from.is_some_and(|(pid, _)| pid == 1) && is_stop(&name);
        if !from_terminal && !from_upstart {
            signals::send(main, arrived.number);
        }
        self.remember(arrived, name);
    }

    fn remember(&mut self, arrived: Arrived, signal: String) {
        if ["CHLD", "WINCH", "CONT", "URG", "TSTP", "TTIN", "TTOU"].contains(&signal.as_str()) {
            return;
        }
        let at_ms = millis(Now::read().monotonic);
        let from = self.sender(arrived);
        self.life().asked(Request {
            signal,
            from,
            at_ms,
        });
        self.keep();
    }

    fn sender(&self, arrived: Arrived) -> String {
        match arrived.from {
            None => "the kernel, or a key on the terminal".into(),
            Some((0, _)) => "a process outside of the container".into(),
            Some((pid, uid)) => {
                let name = self
                    .host
                    .read(format!("/proc/{pid}/comm"))
                    .unwrap_or_default();
                let name = name.trim();
                if name.is_empty() {
                    format!("process {pid} of user {uid}")
                } else {
                    format!("{name}, process {pid} of user {uid}")
                }
            }
        }
    }

    /// Returns when to look again, since the boot. While a request may explain an end, a `run` that
    /// is killed leaves behind how long it lived after it.
    pub fn look(&mut self) -> Option<Duration> {
        let now = now_ms();
        let life = self.life();
        life.forget(now.saturating_sub(millis(REMEMBERED)));
        let asked = life.requests.iter().map(|request| request.at_ms).max()?;
        let next = asked.max(life.alive_ms).saturating_add(millis(ALIVE));
        if next > now {
            return Some(Duration::from_millis(next));
        }
        life.alive_ms = now;
        self.keep();
        Some(Duration::from_millis(now) + ALIVE)
    }

    /// Waits a moment for a signal that may arrive after the end that it caused.
    pub fn await_late_signals(&mut self, exit: WaitStatus, signals: &Signals) {
        let Some(name) = exit.terminating_signal().map(signals::name) else {
            return;
        };
        if !(is_stop(&name) || name == "HUP")
            || self
                .life()
                .requests
                .iter()
                .any(|request| request.signal == name)
        {
            return;
        }
        let until = Now::read().monotonic + LAG;
        let left = Timespec::try_from(LAG).unwrap_or(Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        });
        while Now::read().monotonic < until
            && poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&left)).is_ok()
        {
            while let Some(arrived) = signals.next() {
                self.remember(arrived, signals::name(arrived.number));
            }
        }
    }

    /// Has the end judged and, if it was a crash, caught. The files `held` hold the output. Returns
    /// until when [`Self::deliver`] may wait: the time that was asked for is spent once.
    pub fn ended(&mut self, end: &CommandEnd, output: Vec<Stream>, held: &[File]) -> Duration {
        let now = Now::read();
        let until = now.monotonic.saturating_add(self.deliver_within);
        let used = if let CommandEnd::Ended { used, .. } = end {
            *used
        } else {
            Usage::default()
        };
        self.life().end = Some(End {
            exit: end.exit(&self.command),
            at: now.wall,
            at_ms: millis(now.monotonic),
            used,
            output,
        });
        self.keep();
        let host = self.host.clone();
        guarded("run", &host, || self.catch(now, until, held));
        if let Some(hooks) = &self.hooks
            && let Ok(Some(taken)) =
                hooks.take(random::report_id(now), now, Circumstances::default())
        {
            let _ = taken.settle();
        }
        until
    }

    fn catch(&mut self, now: Now, until: Duration, held: &[File]) -> Result<()> {
        let Some(Armed {
            taken,
            file,
            refuge,
        }) = self.armed.take()
        else {
            return Ok(());
        };
        let _ = limits::lift();
        let taken = taken
            .ended(random::report_id(now), now, false)
            .unwrap_or(taken);
        let nice = getpriority_process(None).unwrap_or(0);
        let worker =
            worker::command(worker::CATCH, self.places, &taken, nice).and_then(|mut command| {
                Signals::unblocked(&mut command);
                let file = file.try_clone()?;
                // The worker, and nobody else: it may outlive this process.
                bequeath(held, FdFlags::empty());
                let worker = worker::start(command, Some(file));
                bequeath(held, FdFlags::CLOEXEC);
                worker
            });
        let Ok(mut worker) = worker else {
            return finish::finish(&taken, Some(file), self.places, &self.host, By::Hook);
        };
        drop(file);
        // PID 1 takes the worker with it.
        let until = until.max(now.monotonic + PATIENCE);
        let (ended, said) = worker.wait_for_complaints(until);
        let _ = io::stderr().write_all(said.as_bytes());
        match ended {
            Ended::Failed if refuge.is_none() => nudge::deliver(self.places, &LastwordsRun),
            // The abandoned worker still works in there.
            Ended::LeftBehind => std::mem::forget(refuge),
            _ => {}
        }
        Ok(())
    }

    /// Sends what there is, and waits for that at most until then.
    pub fn deliver(&self, signals: &Signals, until: Duration) {
        if self.deliver_within.is_zero() {
            return;
        }
        let Ok(program) = ourselves::program() else {
            return;
        };
        let Ok((mut ends, running)) = io::pipe() else {
            return;
        };
        let (Ok(nothing), Ok(nowhere)) = (ourselves::nothing(), ourselves::nothing()) else {
            return;
        };
        let mut command = Command::new(program);
        command
            .arg0("lastwords")
            .args(["deliver", "--woken"])
            .args(self.places.flags())
            .env_clear()
            .current_dir("/");
        // The pipe ends with the process, whatever that prints before.
        command
            .stdin(nothing)
            .stdout(running)
            .stderr(nowhere)
            .process_group(0);
        Signals::unblocked(&mut command);
        let started = command.spawn();
        drop(command);
        if started.is_err() {
            return;
        }
        let mut said = [0; 4096];
        while signals.wait_for(&ends, Some(until)) && ends.read(&mut said).is_ok_and(|it| it > 0) {}
    }
}

/// Sets whether processes that are started inherit these files.
fn bequeath(files: &[File], flags: FdFlags) {
    for file in files {
        let _ = fcntl_setfd(file, flags);
    }
}

/// Returns true if the marker of an earlier life lies beside this one.
fn one_was_left(taken: &Taken) -> bool {
    let dir = taken.path().parent().unwrap_or(Path::new("/"));
    let others = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .take(1000)
        .filter_map(|entry| Taken::at(&entry.path()));
    others
        .filter(|other| other.path() != taken.path() && other.service() == taken.service())
        .any(|other| {
            other.circumstances.alive && matches!(other.claim(), Ok(marker::Claim::Held(_)))
        })
}

fn now_ms() -> u64 {
    millis(Now::read().monotonic)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
