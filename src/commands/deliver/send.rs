//! Gives what is due to the sinks, each in a thread of its own.
//!
//! Each try is a process of its own ([`attempt`]): no library's timeout bounds a try as a whole, a dead name server
//! included, but a process can be ended.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread;

use anyhow::{Context, Result};

use super::Deliverer;
use super::waiting::{self, Item, Pass};
use crate::collectors::runner;
use crate::commands::{attempt, capture};
use crate::config::{Loaded, Route};
use crate::report::{Kind, Report, ReportId};
use crate::sinks::Sink;
use crate::spool::Attempt;

/// Offers to every sink what is due, oldest first; of crashes those in `told_singly`. Returns how many tries were made.
pub fn send(deliverer: &Deliverer, pass: &Pass, told_singly: &BTreeSet<(String, ReportId)>) -> Result<usize> {
    let mut queues: BTreeMap<String, Vec<(Report, &dyn Sink)>> = BTreeMap::new();
    for item in pass.items() {
        let due = due(deliverer, pass, item, told_singly)?;
        if let (false, Some(report)) = (due.is_empty(), complete(deliverer, item, pass.config(&item.job))) {
            for Route { key, sink } in due {
                queues.entry(key).or_default().push((report.clone(), sink));
            }
        }
    }
    thread::scope(|scope| {
        let senders: Vec<_> = queues
            .iter()
            .map(|(key, queue)| {
                let sender = move || send_queue(deliverer, key, queue);
                thread::Builder::new().spawn_scoped(scope, sender).context("cannot start a thread")
            })
            .collect();
        let mut tries = 0;
        for sender in senders {
            tries += sender?.join().map_err(|_| anyhow::anyhow!("a sender failed"))??;
        }
        Ok(tries)
    })
}

/// The sinks that are to be offered this now. A sink's lock is taken only where there is something to do: see
/// `until_nothing_is_due`.
fn due<'a>(
    deliverer: &Deliverer,
    pass: &'a Pass,
    item: &Item,
    told_singly: &BTreeSet<(String, ReportId)>,
) -> Result<Vec<Route<'a>>> {
    let mut due = Vec::new();
    for route in pass.routes(item) {
        let its_turn = item.group.is_none() || told_singly.contains(&(route.key.clone(), item.id.clone()));
        if its_turn && deliverer.spool.ledger(&item.id, &route.key)?.is_due(deliverer.now().wall) {
            due.push(route);
        }
    }
    Ok(due)
}

/// The report with all that slow collectors find; `None` where another deliverer is having them run, or it is gone.
fn complete(deliverer: &Deliverer, item: &Item, loaded: &Loaded) -> Option<Report> {
    let mut report = waiting::read(deliverer, &item.id)?;
    if report.kind != Kind::Crash {
        return Some(report);
    }
    match enrich(deliverer, &mut report, loaded) {
        Ok(true) => Some(report),
        Ok(false) => None,
        Err(why) => {
            deliverer.say(&format!("{}: cannot keep what slow collectors found: {why}", item.id));
            Some(report)
        }
    }
}

/// Runs the collectors that were too slow for the hook, once a report. False where another deliverer is doing that now.
fn enrich(deliverer: &Deliverer, report: &mut Report, loaded: &Loaded) -> io::Result<bool> {
    let spool = &deliverer.spool;
    let slow: Vec<_> = capture::collectors(loaded, &report.stop).into_iter().filter(|it| it.runs_later()).collect();
    // What they have found before was read with the report.
    if slow.is_empty() || spool.additions(&report.id)?.is_some() {
        return Ok(true);
    }
    let Some(_lock) = spool.lock("collectors")? else { return Ok(false) };
    if let Some(found) = spool.additions(&report.id)? {
        report.sections.extend(found);
        return Ok(true);
    }
    let budget = slow.iter().map(|it| it.patience()).sum();
    let mut sections = runner::run(slow, &report.stop, &deliverer.host, budget);
    loaded.redactor.sections(&mut sections);
    let kept = spool.add(&report.id, &sections);
    report.sections.extend(sections);
    kept.map(|()| true)
}

fn send_queue(deliverer: &Deliverer, key: &str, queue: &[(Report, &dyn Sink)]) -> Result<usize> {
    let spool = &deliverer.spool;
    let Some(_lock) = spool.lock(key).with_context(|| format!("cannot lock the sink {key}"))? else {
        return Ok(0);
    };
    let mut tries = 0;
    for (report, sink) in queue {
        // Another deliverer may have sent it before we had the lock.
        let mut ledger = spool.ledger(&report.id, key)?;
        if !ledger.is_due(deliverer.now().wall) {
            continue;
        }
        let attempt = attempt::make(deliverer.places, *sink, report);
        tries += 1;
        let sink = sink.name();
        deliverer.say(&match &attempt {
            Attempt::Sent { receipt } => format!("{} sent to {sink}: {receipt}", report.id),
            Attempt::Retry { why, .. } => format!("{} not sent to {sink}, will be tried again: {why}", report.id),
            Attempt::Refused { why } => format!("{} refused by {sink}: {why}", report.id),
        });
        ledger.record(attempt, deliverer.now().wall, capture::random_fraction());
        spool
            .write_ledger(&report.id, key, &ledger)
            .with_context(|| format!("cannot keep what {sink} did with {}", report.id))?;
    }
    Ok(tries)
}
