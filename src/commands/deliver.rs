//! `deliver`: sends what is due. Each sink has its own ledger, its own lock and its own thread, so that one that hangs or
//! refuses delays no other.
//!
//! Each try is a process of its own ([`super::attempt`]): no library's timeout bounds a try as a whole, a dead name
//! server included, but a process can be ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::{Places, attempt, capture, check::EX_CONFIG};
use crate::clock::Now;
use crate::collectors::runner;
use crate::config::{self, Loaded, Route};
use crate::host::Host;
use crate::render;
use crate::report::{Report, ReportId, Section};
use crate::sinks::Sink;
use crate::spool::{Attempt, Outcome, Place, Spool};

/// How often `--watch` looks.
const TICK: Duration = Duration::from_secs(2);
/// How many sinks may hang at once before `--watch` no longer looks.
const MOST_LOOKS: usize = 16;

#[derive(Debug, Args)]
pub struct DeliverArgs {
    /// Go on for ever, looking every 2 seconds: for machines without a timer
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    places: Places,
}

pub fn run(args: &DeliverArgs, out: &mut (impl Write + Send)) -> Result<ExitCode> {
    let spool = args.places.spool();
    let create = || spool.create().with_context(|| format!("cannot use the spool {}", args.places.spool.display()));
    create()?;
    if !args.watch {
        return until_nothing_is_due(&spool, &args.places, out);
    }
    let out = Mutex::new(out);
    thread::scope(|scope| {
        // One that waits for a sink that hangs holds this sink's lock alone: the next look goes on with the others.
        let mut looks = Vec::new();
        loop {
            create()?;
            looks.retain(|look: &ScopedJoinHandle<()>| !look.is_finished());
            let look = || {
                let mut out = Shared(&out);
                if let Err(why) = until_nothing_is_due(&spool, &args.places, &mut out) {
                    let _ = writeln!(out, "{why:#}");
                }
            };
            if looks.len() < MOST_LOOKS {
                // Where that fails, the next tick tries again.
                looks.extend(thread::Builder::new().spawn_scoped(scope, look));
            }
            thread::sleep(TICK);
        }
    })
}

/// What several threads write to, whole lines at a time.
struct Shared<'a, W>(&'a Mutex<W>);

impl<W: Write> Write for Shared<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(bytes)
    }

    fn write_fmt(&mut self, line: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_fmt(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// Passes over the spool until one of them has sent nothing: a report that came while another deliverer held a sink's
/// lock is seen by that one's next pass.
fn until_nothing_is_due(spool: &Spool, places: &Places, out: &mut (impl Write + Send)) -> Result<ExitCode> {
    loop {
        let taken = spool.take_over().unwrap_or_else(|why| {
            let _ = writeln!(out, "cannot take over what setuid jobs left: {why}");
            0
        });
        let pass = pass(spool, places, out)?;
        if taken + pass.tries == 0 {
            return Ok(if pass.waits_for_config { ExitCode::from(EX_CONFIG) } else { ExitCode::SUCCESS });
        }
    }
}

struct Pass {
    /// How many tries were made.
    tries: usize,
    /// Some reports stay until the config is mended: who else is to get them is not known.
    waits_for_config: bool,
}

/// One report on its way.
struct Parcel {
    report: Report,
    loaded: Loaded,
}

fn pass(spool: &Spool, places: &Places, out: &mut (impl Write + Send)) -> Result<Pass> {
    let host = places.host();
    let mut parcels = Vec::new();
    for id in spool.ids(Place::New).context("cannot list the reports")? {
        let Some(report) = read(spool, &id, out) else { continue };
        let loaded = config::load(&places.config, &report.stop.job);
        match enrich(spool, &report, &loaded, &host) {
            Ok(Some(sections)) => {
                let mut report = report;
                report.sections.extend(sections);
                parcels.push(Parcel { report, loaded });
            }
            // Another deliverer is at it.
            Ok(None) => {}
            Err(why) => {
                let _ = writeln!(out, "{id}: cannot keep what slow collectors found: {why}");
                parcels.push(Parcel { report, loaded });
            }
        }
    }
    let tries = send_all(spool, places, &parcels, out)?;
    for parcel in &parcels {
        if parcel.loaded.is_broken() {
            let _ = writeln!(
                out,
                "{} waits: the config of {} is broken, and some who are to be told may not be known; `lastwords check` says \
                 what is wrong",
                parcel.report.id,
                render::one_line(&parcel.report.stop.service(), 100)
            );
        } else {
            finish(spool, parcel)?;
        }
    }
    let waits_for_config = parcels.iter().any(|parcel| parcel.loaded.is_broken());
    Ok(Pass { tries, waits_for_config })
}

fn read(spool: &Spool, id: &ReportId, out: &mut impl Write) -> Option<Report> {
    match spool.read(Place::New, id) {
        Ok(report) => Some(report),
        // Another deliverer has finished it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let _ = writeln!(out, "{id} is not sent: {error}");
            None
        }
    }
}

/// Runs the collectors that were too slow for the hook, once a report. Returns what is to be added to it; `None` where
/// another deliverer is doing that now.
fn enrich(spool: &Spool, report: &Report, loaded: &Loaded, host: &Host) -> io::Result<Option<Vec<Section>>> {
    if spool.additions(&report.id)?.is_some() {
        // They were read with the report.
        return Ok(Some(Vec::new()));
    }
    let slow: Vec<_> = capture::collectors(loaded, &report.stop).into_iter().filter(|it| it.runs_later()).collect();
    if slow.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let Some(_lock) = spool.lock("collectors")? else { return Ok(None) };
    let budget = slow.iter().map(|it| it.patience()).sum();
    let sections = runner::run(slow, &report.stop, host, budget);
    spool.add(&report.id, &sections)?;
    Ok(Some(sections))
}

/// Offers every report to its sinks, each sink in a thread of its own, oldest first. Returns how many tries were made.
fn send_all(spool: &Spool, places: &Places, parcels: &[Parcel], out: &mut (impl Write + Send)) -> Result<usize> {
    let mut queues: BTreeMap<String, Vec<(&Report, &dyn Sink)>> = BTreeMap::new();
    for parcel in parcels {
        for Route { key, sink } in parcel.loaded.routes(&parcel.report.stop.job) {
            let ledger = spool.ledger(&parcel.report.id, &key)?;
            // A sink's lock is taken only where there is something to do: see `until_nothing_is_due`.
            if ledger.is_due(Now::read().wall) {
                queues.entry(key).or_default().push((&parcel.report, sink));
            }
        }
    }
    let out = Mutex::new(out);
    thread::scope(|scope| {
        let senders: Vec<_> = queues
            .iter()
            .map(|(key, queue)| {
                let out = &out;
                let send = move || {
                    send_queue(spool, places, key, queue, |line| {
                        if let Ok(mut out) = out.lock() {
                            let _ = writeln!(out, "{line}");
                        }
                    })
                };
                thread::Builder::new().spawn_scoped(scope, send).context("cannot start a thread")
            })
            .collect();
        let mut tries = 0;
        for sender in senders {
            tries += sender?.join().map_err(|_| anyhow::anyhow!("a sender failed"))??;
        }
        Ok(tries)
    })
}

fn send_queue(
    spool: &Spool,
    places: &Places,
    key: &str,
    queue: &[(&Report, &dyn Sink)],
    mut say: impl FnMut(String),
) -> Result<usize> {
    let Some(_lock): Option<File> = spool.lock(key).with_context(|| format!("cannot lock the sink {key}"))? else {
        return Ok(0);
    };
    let mut tries = 0;
    for (report, sink) in queue {
        // Another deliverer may have sent it before we had the lock.
        let mut ledger = spool.ledger(&report.id, key)?;
        if !ledger.is_due(Now::read().wall) {
            continue;
        }
        let attempt = attempt::make(places, *sink, report);
        tries += 1;
        let sink = sink.name();
        say(match &attempt {
            Attempt::Sent { receipt } => format!("{} sent to {sink}: {receipt}", report.id),
            Attempt::Retry { why, .. } => format!("{} not sent to {sink}, will be tried again: {why}", report.id),
            Attempt::Refused { why } => format!("{} refused by {sink}: {why}", report.id),
        });
        ledger.record(attempt, Now::read().wall, capture::random_fraction());
        spool
            .write_ledger(&report.id, key, &ledger)
            .with_context(|| format!("cannot keep what {sink} did with {}", report.id))?;
    }
    Ok(tries)
}

/// Moves a report on once every sink has said its last word.
fn finish(spool: &Spool, parcel: &Parcel) -> Result<()> {
    let id = &parcel.report.id;
    let mut place = Place::Done;
    for Route { key, .. } in parcel.loaded.routes(&parcel.report.stop.job) {
        match spool.ledger(id, &key)?.outcome {
            None => return Ok(()),
            Some(Outcome::Sent { .. }) => {}
            Some(Outcome::Refused { .. } | Outcome::GaveUp { .. }) => place = Place::Dead,
        }
    }
    spool.finish(id, place).with_context(|| format!("cannot move {id} on"))
}
