//! `listen supervisord`: an event listener (`[eventlistener:lastwords]`), which does for every
//! process what the hooks do.
//!
//! ```text
//! READY ─> event ─ STARTING ─────────────────────────> marker.arm
//!                ├ STOPPING ─────────────────────────> marker.plan
//!                └ EXITED, BACKOFF, FATAL, STOPPED ──> its line in supervisord's log ─> marker.take ─> worker
//! ```
//!
//! supervisord keeps events for a listener that is busy, but only so many: each is answered as soon
//! as the marker, which is the record of this stop, is taken. The collectors run in workers. Of
//! those there are only so many at once; a marker that none has come to when the listener ends is
//! found by the deliverer.

use std::collections::{HashMap, VecDeque};
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, geteuid, getpriority_process, wait};

use crate::catch::call::Call;
use crate::catch::marker::{Claim, Marker, Taken};
use crate::catch::worker::{self, Worker};
use crate::catch::{nudge, post_stop, why};
use crate::clock::Now;
use crate::host::Host;
use crate::notice;
use crate::places::Places;
use crate::random;
use crate::report::Supervisor;
use crate::supervisor::supervisord::log::SupervisordLog;
use crate::supervisor::supervisord::{Event, State, header};

/// How many workers are at it at once.
const AT_ONCE: usize = 4;
/// How long an end of a worker may go unseen.
const TICK: Duration = Duration::from_millis(100);
/// The longest line and payload of the protocol that are believed, in bytes: names are in them, and
/// nothing long.
const MAX_EVENT: usize = 64 * 1024;

/// Where Debian's supervisord keeps its own log, and those of its processes.
pub const SUPERVISORD_LOG: &str = "/var/log/supervisor/supervisord.log";
pub const CHILD_LOGS: &str = "/var/log/supervisor";

#[derive(Debug, Args)]
pub struct ListenArgs {
    #[command(subcommand)]
    to: To,
}

#[derive(Debug, Subcommand)]
enum To {
    /// As an event listener of supervisord
    Supervisord(SupervisordArgs),
}

#[derive(Debug, Args)]
struct SupervisordArgs {
    /// supervisord's own log (its `logfile`), which alone tells how a process ended
    #[arg(long, value_name = "FILE", default_value = SUPERVISORD_LOG)]
    supervisord_log: PathBuf,
    /// Where the processes' logs are (its `childlogdir`), for jobs that name none
    #[arg(long, value_name = "DIR", default_value = CHILD_LOGS)]
    child_logs: PathBuf,
    #[command(flatten)]
    places: Places,
}

/// Listens until supervisord closes the pipe.
///
/// # Errors
/// Where supervisord cannot be heard or answered any more: it starts a listener anew.
pub fn run(args: &ListenArgs, out: &mut impl Write) -> Result<ExitCode> {
    let To::Supervisord(args) = &args.to;
    let mut listener = Listener::new(args);
    let mut stdin = BufReader::new(io::stdin());
    loop {
        answer(out, "READY\n")?;
        listener.work_until_readable(&stdin)?;
        match read(&mut stdin, &listener.host)? {
            Sent::End => break,
            Sent::Other => {}
            Sent::Event(event) => {
                if let Err(why) = listener.take(&event) {
                    notice::say(&listener.host, &format!("listen: {}: {why:#}", event.text));
                }
            }
        }
        // Whatever it was: an event that fails is sent again and again, before all others.
        answer(out, "RESULT 2\nOK")?;
    }
    if !(listener.waiting.is_empty() && listener.workers.is_empty()) {
        nudge::deliver(&args.places, Supervisor::Supervisord);
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(out: &mut impl Write, words: &str) -> Result<()> {
    out.write_all(words.as_bytes())
        .and_then(|()| out.flush())
        .context("supervisord does not take the answer")
}

/// What supervisord has sent.
enum Sent {
    Event(Event),
    /// Of no interest here, or no event at all.
    Other,
    End,
}

fn read(from: &mut impl BufRead, host: &Host) -> Result<Sent> {
    let mut line = Vec::new();
    from.by_ref()
        .take(MAX_EVENT as u64)
        .read_until(b'\n', &mut line)
        .context("cannot read from supervisord")?;
    if line.is_empty() {
        return Ok(Sent::End);
    }
    let line = String::from_utf8_lossy(&line);
    let Some((length, name)) = header(&line) else {
        // What follows it is not known; the next line may be a header again.
        notice::say(
            host,
            &format!(
                "listen: this is no event of supervisord's: {:?}",
                line.trim_end()
            ),
        );
        return Ok(Sent::Other);
    };
    let mut payload = Vec::new();
    from.by_ref()
        .take(length.min(MAX_EVENT) as u64)
        .read_to_end(&mut payload)
        .context("cannot read from supervisord")?;
    let more = length.saturating_sub(MAX_EVENT) as u64;
    io::copy(&mut from.by_ref().take(more), &mut io::sink())
        .context("cannot read from supervisord")?;
    Ok(Event::parse(name, &String::from_utf8_lossy(&payload)).map_or(Sent::Other, Sent::Event))
}

struct Listener<'a> {
    args: &'a SupervisordArgs,
    host: Host,
    log: SupervisordLog,
    nice: i32,
    workers: HashMap<u32, Worker>,
    /// What there was no worker for yet.
    waiting: VecDeque<Taken>,
    /// Why the last start of each service failed.
    last_failures: HashMap<(String, Option<String>), String>,
}

impl<'a> Listener<'a> {
    fn new(args: &'a SupervisordArgs) -> Self {
        Self {
            args,
            host: args.places.host(),
            log: SupervisordLog::new(args.supervisord_log.clone()),
            nice: getpriority_process(None).unwrap_or(0),
            workers: HashMap::new(),
            waiting: VecDeque::new(),
            last_failures: HashMap::new(),
        }
    }

    /// Does what an event asks for; nothing that may take long.
    fn take(&mut self, event: &Event) -> Result<()> {
        // Nobody hears of his own end, so that each start of ours would look like one after an end
        // that was missed.
        if is_ours(event) {
            return Ok(());
        }
        let call = Call::of_supervisord(event.service());
        let marker = call.marker(&self.args.places);
        let now = Now::read();
        if event.state == State::Starting {
            return self.arm(&call, now);
        }
        if event.state == State::Stopping {
            return marker
                .plan(now)
                .with_context(|| format!("a stop of {} may look like a crash", call.job));
        }
        let line = self.log.line_of(event);
        let service = (call.job.clone(), call.instance.clone());
        let last_failure = self.last_failures.get(&service).map(String::as_str);
        let log = self.args.supervisord_log.to_string_lossy();
        let Some(mut account) = event.account(line.as_ref(), &log, last_failure) else {
            return Ok(());
        };
        account.logs = logs_of(&event.process, &self.args.child_logs, &self.host);
        if event.state == State::Backoff {
            let why = line
                .as_ref()
                .map_or("it could not be started, or ended at once", |line| {
                    line.why()
                });
            self.last_failures.insert(service, why.to_owned());
        } else {
            self.last_failures.remove(&service);
        }
        post_stop::tell(account, &call, &marker, &self.host, now);
        let taken = marker
            .take(random::report_id(now), now, call.circumstances(false))
            .with_context(|| {
                format!(
                    "a crash of {} may go unnoticed: cannot take its marker",
                    call.job
                )
            })?;
        self.waiting.extend(taken);
        self.start_workers();
        Ok(())
    }

    /// As the pre-start does it. But what the kernel log holds by now may be about this very life:
    /// events come late.
    fn arm(&self, call: &Call, now: Now) -> Result<()> {
        let file = call.marker(&self.args.places);
        // When supervisord ends, it ends its listeners before it could tell them of the last stops.
        let was_stopping = matches!(file.armed_by(geteuid().as_raw()), Ok(Some(marker)) if marker.planned_ms.is_some());
        let missed = !was_stopping
            && matches!(
                file.take(random::report_id(now), now, call.circumstances(true)),
                Ok(Some(_))
            );
        let boot_id = self.host.boot_id();
        let seen = file
            .last_seen()
            .filter(|seen| seen.boot_id == boot_id && !missed)
            .map(|seen| seen.sequence);
        let oom_kills = why::oom_kills(&self.host);
        let marker = Marker {
            seen,
            oom_kills,
            ..Marker::new(boot_id, now).of(&call.job, call.instance.as_deref())
        };
        let armed = file.arm(&marker).map(|()| file.forget_seen());
        if missed {
            nudge::deliver(&self.args.places, Supervisor::Supervisord);
        }
        armed.with_context(|| {
            format!(
                "the start time of {} will not be known: cannot write its marker",
                call.job
            )
        })
    }

    /// Waits for the next event, and gives the workers work meanwhile.
    fn work_until_readable(&mut self, stdin: &BufReader<io::Stdin>) -> Result<()> {
        loop {
            self.reap();
            self.start_workers();
            if !stdin.buffer().is_empty() {
                return Ok(());
            }
            let tick = Timespec::try_from(TICK)
                .ok()
                .filter(|_| !self.workers.is_empty() || !self.waiting.is_empty());
            match poll(
                &mut [PollFd::new(stdin.get_ref(), PollFlags::IN)],
                tick.as_ref(),
            ) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(why) => return Err(why).context("cannot wait for supervisord"),
            }
        }
    }

    fn start_workers(&mut self) {
        while self.workers.len() < AT_ONCE
            && let Some(taken) = self.waiting.pop_front()
        {
            if let Err(why) = self.start(&taken) {
                notice::say(
                    &self.host,
                    &format!(
                        "a stop of {} is left to the deliverer: {why}",
                        taken.service().0
                    ),
                );
                nudge::deliver(&self.args.places, Supervisor::Supervisord);
            }
        }
    }

    fn start(&mut self, taken: &Taken) -> io::Result<()> {
        let file = match taken.claim() {
            Ok(Claim::Held(file)) => Some(file),
            Ok(Claim::Others) => return Ok(()),
            Err(why) if why.raw_os_error().is_some() => return Err(why),
            Err(_) => None,
        };
        let command = worker::command(worker::CATCH, &self.args.places, taken, self.nice)?;
        let worker = worker::start(command, file)?;
        self.workers.insert(worker.pid(), worker);
        Ok(())
    }

    /// Lets ended children go, deliverers too.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let worker = self
                .workers
                .remove(&pid.as_raw_nonzero().get().unsigned_abs());
            if worker.is_some() && status.exit_status() != Some(0) {
                nudge::deliver(&self.args.places, Supervisor::Supervisord);
            }
        }
    }
}

/// Whether this is about the process that we are.
fn is_ours(event: &Event) -> bool {
    let is = |variable: &str, name: &str| env::var_os(variable).is_some_and(|value| value == name);
    is("SUPERVISOR_PROCESS_NAME", &event.process) && is("SUPERVISOR_GROUP_NAME", &event.group)
}

/// The files in this directory that supervisord itself named for this process's output:
/// `NAME-stderr---supervisor-xxxxxxxx.log`.
pub fn logs_of(process: &str, dir: &Path, host: &Host) -> Vec<String> {
    let newest = |channel: &&str| newest(&format!("{process}-{channel}---"), dir);
    let named = |path: PathBuf| host.name_of(&path).into_os_string().into_string().ok();
    ["stderr", "stdout"]
        .iter()
        .filter_map(newest)
        .filter_map(named)
        .collect()
}

fn newest(beginning: &str, dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let log = |name: &str| {
        name.strip_prefix(beginning)
            .and_then(|rest| rest.strip_suffix(".log"))
            .is_some()
    };
    let logs = entries.filter(|entry| entry.file_name().to_str().is_some_and(log));
    let changed = |entry: &fs::DirEntry| entry.metadata().and_then(|found| found.modified()).ok();
    let newest = logs.max_by_key(|entry| changed(entry).unwrap_or(SystemTime::UNIX_EPOCH))?;
    Some(newest.path())
}
