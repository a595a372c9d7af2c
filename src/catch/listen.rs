//! `listen NAME`: does for every service of a supervisor that only tells of events what the hooks
//! do.
//!
//! ```text
//! event ─ starting ──> marker.arm
//!       ├ stopping ──> marker.plan
//!       └ ended ─────> marker.take ─> worker
//! ```
//!
//! A supervisor may keep only so many events for a listener that is busy. Each is acknowledged as
//! soon as the marker, which is the record of this stop, is taken. The collectors run in workers,
//! of which there are only so many at once. The deliverer finds the markers that no worker has come
//! to when the listener ends.

use std::collections::{HashMap, VecDeque};
use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{ArgMatches, Args, Command, FromArgMatches};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, geteuid, getpriority_process, wait};

use crate::catch::call::Call;
use crate::catch::marker::{Claim, EndSort, LastEnd, Marker, Taken};
use crate::catch::worker::{self, Worker};
use crate::catch::{nudge, post_stop, why};
use crate::clock::Now;
use crate::host::Host;
use crate::notice;
use crate::places::Places;
use crate::random;
use crate::report::Supervisor;
use crate::supervisor::account::Account;
use crate::supervisor::listen::{Events, Heard, Listen, ServiceChange, ServiceEvent};
use crate::supervisor::{self, Supervise};

/// Maximum number of workers at once.
const AT_ONCE: usize = 4;
/// How long the end of a worker may go unseen.
const TICK: Duration = Duration::from_millis(100);

/// The supervisor to listen to, with its flags.
#[derive(Debug)]
pub struct ListenArgs {
    supervisor: &'static dyn Supervise,
    flags: ArgMatches,
    places: Places,
}

/// Returns the supervisors that can be listened to.
fn listeners() -> impl Iterator<Item = (&'static dyn Supervise, &'static dyn Listen)> {
    let all = supervisor::ALL.iter().copied();
    all.filter_map(|it| Some((it, it.listener()?)))
}

/// A subcommand for each supervisor that can be listened to.
impl Args for ListenArgs {
    fn augment_args(command: Command) -> Command {
        let command = command
            .subcommand_required(true)
            .arg_required_else_help(true);
        listeners().fold(command, |command, (supervisor, listener)| {
            let own = listener.describe(Command::new(supervisor.name()));
            // Each group of flags brings a text along, which would replace the listener's.
            let about = own.get_about().cloned().unwrap_or_default();
            command.subcommand(Places::augment_args(own).about(about))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ListenArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (name, flags) = matches.subcommand().unzip();
        let flags = flags.cloned().unwrap_or_default();
        Ok(Self {
            supervisor: name.and_then(supervisor::named).unwrap_or_default(),
            places: Places::from_arg_matches(&flags)?,
            flags,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Listens until the supervisor ends the connection.
///
/// # Errors
/// Fails if the supervisor cannot be heard or answered any more. It starts a listener anew.
pub fn run(args: &ListenArgs, out: &mut impl Write) -> Result<ExitCode> {
    let host = args.places.host();
    let listener = args
        .supervisor
        .listener()
        .context("this supervisor tells of no events")?;
    let mut events = listener.open(&args.flags, &host, |name| env::var_os(name))?;
    let mut catcher = Catcher::new(args, host);
    loop {
        events.invite(out)?;
        catcher.work_until_readable(events.as_ref())?;
        match events.next()? {
            Heard::End => break,
            Heard::Other => {}
            Heard::Event(event) => {
                let text = event.text.clone();
                if let Err(why) = catcher.take(event) {
                    notice::say(&catcher.host, &format!("listen: {text}: {why:#}"));
                }
            }
        }
        events.acknowledge(out)?;
    }
    if !(catcher.waiting.is_empty() && catcher.workers.is_empty()) {
        catcher.nudge();
    }
    Ok(ExitCode::SUCCESS)
}

/// Arms, plans and takes markers, and hands those that were taken to workers.
struct Catcher<'a> {
    supervisor: &'static dyn Supervise,
    places: &'a Places,
    host: Host,
    nice: i32,
    workers: HashMap<u32, Worker>,
    /// Taken markers that no worker deals with yet.
    waiting: VecDeque<Taken>,
}

impl<'a> Catcher<'a> {
    fn new(args: &'a ListenArgs, host: Host) -> Self {
        Self {
            supervisor: args.supervisor,
            places: &args.places,
            host,
            nice: getpriority_process(None).unwrap_or(0),
            workers: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Does what an event asks for, and nothing that may take long.
    fn take(&mut self, event: ServiceEvent) -> Result<()> {
        let call = Call::told(self.supervisor, (&event.job, event.instance.as_deref()));
        let now = Now::read();
        match event.change {
            ServiceChange::Starting => self.arm(&call, now),
            ServiceChange::Stopping => call
                .marker(self.places)
                .plan(now, None)
                .with_context(|| format!("a stop of {} may look like a crash", call.job)),
            ServiceChange::Ended(account) => self.ended(*account, &call, now),
            ServiceChange::GivenUp { because } => self.given_up(because, &call, now),
        }
    }

    /// Keeps that the supervisor has given up, and has people told.
    fn given_up(&self, because: String, call: &Call, now: Now) -> Result<()> {
        let service = (call.job.as_str(), call.instance.as_deref());
        let by = Supervisor::new(self.supervisor.name());
        let end = LastEnd {
            because: Some(because),
            ..LastEnd::new(service, by, self.host.boot_id(), now)
        };
        let kept = call.marker(self.places).keep_end(EndSort::GivenUp, &end);
        self.nudge();
        kept.with_context(|| {
            let job = &call.job;
            format!("that {} has given up {job} cannot be kept", self.supervisor)
        })
    }

    fn ended(&mut self, account: Account, call: &Call, now: Now) -> Result<()> {
        let marker = call.marker(self.places);
        post_stop::tell(account, call, &marker, &self.host, now);
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

    /// Arms as pre-start does. But the kernel log may be about this very life by now: events come
    /// late.
    fn arm(&self, call: &Call, now: Now) -> Result<()> {
        let file = call.marker(self.places);
        // A supervisor that ends may end its listeners before it tells them of the last stops.
        let armed = file.armed_by(geteuid().as_raw()).ok().flatten();
        let was_stopping = armed.is_some_and(|marker| marker.planned_ms.is_some());
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
        file.forget_end(EndSort::GivenUp);
        let armed = file.arm(&marker).map(|()| file.forget_seen());
        if missed {
            self.nudge();
        }
        armed.with_context(|| {
            format!(
                "the start time of {} will not be known: cannot write its marker",
                call.job
            )
        })
    }

    /// Waits for the next event, and gives the workers work meanwhile.
    fn work_until_readable(&mut self, events: &dyn Events) -> Result<()> {
        loop {
            self.reap();
            self.start_workers();
            if events.is_buffered() {
                return Ok(());
            }
            let is_busy = !self.workers.is_empty() || !self.waiting.is_empty();
            let tick = Timespec::try_from(TICK).ok().filter(|_| is_busy);
            let descriptor = events.descriptor();
            match poll(
                &mut [PollFd::new(&descriptor, PollFlags::IN)],
                tick.as_ref(),
            ) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(why) => {
                    return Err(why)
                        .with_context(|| format!("cannot wait for {}", self.supervisor));
                }
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
                self.nudge();
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
        let command = worker::command(worker::CATCH, self.places, taken, self.nice)?;
        let worker = worker::start(command, file)?;
        self.workers.insert(worker.pid(), worker);
        Ok(())
    }

    /// Reaps ended children, deliverers too.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            let worker = self.workers.remove(&pid);
            if worker.is_some() && status.exit_status() != Some(0) {
                self.nudge();
            }
        }
    }

    fn nudge(&self) {
        nudge::deliver(self.places, self.supervisor);
    }
}
