//! Gives what is due to the sinks, each in a thread of its own.
//!
//! Each try is a process of its own ([`attempt`]): no library's timeout bounds a try as a whole, a
//! dead name server included, but a process can be ended.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread;

use anyhow::{Context, Result};

use crate::catch::capture;
use crate::collectors::runner;
use crate::config::{Loaded, Route};
use crate::deliver::deliverer::{Deliverer, sink_lock};
use crate::deliver::outage::Outage;
use crate::deliver::pass::{self, Item, Pass};
use crate::deliver::{attempt, condition};
use crate::random;
use crate::report::{Condition, Kind, Report, ReportId, SinkKey, Verdict};
use crate::sinks::Sink;
use crate::spool::{Attempt, Kept, Ledger};

/// Offers every sink what is due, oldest first. Of crashes, those in `told_singly` are offered.
/// Returns the number of tries.
pub fn send(
    deliverer: &Deliverer,
    pass: &Pass,
    told_singly: &BTreeSet<(SinkKey, ReportId)>,
) -> usize {
    // Thousands may be due, so each report is read again when its turn comes.
    let mut queues: BTreeMap<SinkKey, Vec<(&Item, &dyn Sink)>> = BTreeMap::new();
    let configs: Vec<_> = pass
        .items()
        .map(|item| (item, pass.config(&item.job)))
        .collect();
    let due: Vec<_> = {
        let _spool = deliverer.spool();
        // One report's trouble is no other's. The end of the pass says which it is.
        let due = |item, config| due(deliverer, item, config, told_singly).unwrap_or_default();
        configs
            .iter()
            .map(|(item, config)| due(item, config))
            .collect()
    };
    for ((item, config), due) in configs.iter().zip(due) {
        if !due.is_empty() && is_complete(deliverer, item, config) {
            for Route { key, sink } in due {
                queues.entry(key).or_default().push((item, sink));
            }
        }
    }
    thread::scope(|scope| {
        let senders: Vec<_> = queues
            .iter()
            .map(|(key, queue)| {
                let sender = move || send_queue(deliverer, pass, key, queue);
                thread::Builder::new()
                    .spawn_scoped(scope, sender)
                    .context("cannot start a thread")
            })
            .collect();
        let mut tries = 0;
        for sender in senders {
            let sent = sender.and_then(|sender| {
                let sent = sender.join();
                sent.map_err(|_| anyhow::anyhow!("a sender failed"))
                    .flatten()
            });
            match sent {
                Ok(count) => tries += count,
                Err(why) => deliverer.fail(&format!("{why:#}")),
            }
        }
        tries
    })
}

/// Returns the sinks that this is to be offered to now. A sink's lock is taken only if there is
/// something to do: see `until_nothing_is_due`.
fn due<'a>(
    deliverer: &Deliverer,
    item: &Item,
    config: &'a Loaded,
    told_singly: &BTreeSet<(SinkKey, ReportId)>,
) -> io::Result<Vec<Route<'a>>> {
    let spool = deliverer.spool();
    let mut due = Vec::new();
    for route in item.routes(config) {
        let its_turn =
            item.crash.is_none() || told_singly.contains(&(route.key.clone(), item.id.clone()));
        if its_turn
            && spool
                .ledger(&item.id, &route.key)?
                .is_due(deliverer.now().wall)
        {
            due.push(route);
        }
    }
    Ok(due)
}

/// Returns true once the report has everything that slow collectors find. Returns false while
/// another deliverer runs them.
fn is_complete(deliverer: &Deliverer, item: &Item, loaded: &Loaded) -> bool {
    enrich(deliverer, item, loaded).unwrap_or_else(|why| {
        deliverer.say(&format!(
            "{}: cannot keep what slow collectors found: {why}",
            item.id
        ));
        true
    })
}

/// Runs the collectors that were too slow for the hook, once for each report. Returns false if
/// another deliverer is running them, or if the report is gone.
fn enrich(deliverer: &Deliverer, item: &Item, loaded: &Loaded) -> io::Result<bool> {
    let is_enriched = || Ok::<bool, io::Error>(deliverer.spool().additions(&item.id)?.is_some());
    if !loaded.runs_later() || is_enriched()? {
        return Ok(true);
    }
    let Some(report) = pass::read(deliverer, &item.id) else {
        return Ok(false);
    };
    if report.kind != Kind::Crash || report.verdict == Verdict::Missed {
        return Ok(true);
    }
    let now = deliverer.now().monotonic;
    let Some(lock) = deliverer.spool().lock("collectors", now)? else {
        return Ok(false);
    };
    if is_enriched()? {
        return Ok(true);
    }
    let collectors = capture::collect(loaded, &report.stop, None, &deliverer.host).list();
    let slow: Vec<_> = collectors
        .into_iter()
        .filter(|it| it.runs_later())
        .collect();
    let budget = slow.iter().map(|it| it.patience()).sum();
    lock.lives_for(2 * budget, deliverer.now().monotonic)?;
    let mut sections = runner::run(
        slow,
        &report.stop,
        &deliverer.host,
        budget,
        &loaded.redactor,
    );
    loaded.redactor.sections(&mut sections);
    deliverer.spool().add(&report.id, &sections).map(|()| true)
}

fn send_queue(
    deliverer: &Deliverer,
    pass: &Pass,
    key: &SinkKey,
    queue: &[(&Item, &dyn Sink)],
) -> Result<usize> {
    let lock = deliverer
        .spool()
        .lock(&sink_lock(key), deliverer.now().monotonic)
        .with_context(|| format!("cannot lock the sink {key}"))?;
    let Some(lock) = lock else { return Ok(0) };
    let mut tries = 0;
    for (item, sink) in queue {
        // The spool may have changed during the last try.
        if !deliverer.spool().has(&lock) {
            break;
        }
        if !is_due_still(deliverer, pass, item, key) {
            continue;
        }
        let Some(mut report) = pass::read(deliverer, &item.id) else {
            continue;
        };
        if item.down.is_some() && is_said(deliverer, &report, item, key) {
            continue;
        }
        let services = pass.told_in(&report.id, key);
        report.now = condition::of(&report, &services, deliverer);
        if !lock.lives_for(2 * sink.patience(), deliverer.now().monotonic)? {
            break;
        }
        // This process may have been stopped until here, and another have sent it from the spool
        // that is in use by now.
        if !deliverer.spool().has(&lock) {
            break;
        }
        if !is_due_still(deliverer, pass, item, key) {
            continue;
        }
        let name = sink.name();
        let room = deliverer.spool().begin_ledger(&item.id, key);
        let room = match room {
            Ok(room) => room,
            Err(why) => {
                let id = &item.id;
                deliverer.fail(&format!(
                    "{id} waits: there is no room to keep that {name} has got it: {why}"
                ));
                continue;
            }
        };
        let attempt = attempt::make(deliverer.places, *sink, &report);
        tries += 1;
        let said = match &attempt {
            Attempt::Sent { receipt } => format!("{} sent to {name}: {receipt}", report.id),
            Attempt::Retry { why, .. } => format!(
                "{} not sent to {name}, will be tried again: {why}",
                report.id
            ),
            Attempt::Refused { why } => format!("{} refused by {name}: {why}", report.id),
        };
        // If this process was stopped for so long that another took the lock, the other's result
        // counts, unless this one is better.
        let is_ours = lock.is_ours();
        if !is_ours && !matches!(attempt, Attempt::Sent { .. }) {
            break;
        }
        let mut ledger = deliverer.spool().ledger(&item.id, key)?;
        if ledger.outcome.is_none() {
            ledger.record(attempt, deliverer.now().wall, random::fraction());
            let is_down = report.now.as_ref().is_some_and(Condition::is_down)
                || report.verdict == Verdict::Missed;
            ledger.said_down = is_down && ledger.was_sent();
            deliverer
                .keep(|spool| spool.fill_ledger(&room, &item.id, key, &ledger))
                .with_context(|| format!("cannot keep what {name} did with {}", item.id))?;
        }
        // Whoever reads this slowly must not keep it from being written down.
        deliverer.say(&said);
        if !is_ours {
            break;
        }
    }
    Ok(tries)
}

/// Returns true if this is to be sent now: another deliverer may have sent it before this one had
/// the lock.
///
/// That a service is down is not said before a message about its crash that the sink was offered
/// and has not taken: it would be an end without a beginning.
fn is_due_still(deliverer: &Deliverer, pass: &Pass, item: &Item, key: &SinkKey) -> bool {
    let spool = deliverer.spool();
    let ledger_of = |id: &ReportId| spool.ledger(id, key).ok();
    let is_about_it = |it: &&Item| {
        let mut names = [&it.outage, &it.down].into_iter().flatten();
        it.id != item.id && names.any(|name| item.down.as_ref() == Some(name))
    };
    let waits = |it: &Item| {
        let ledger = ledger_of(&it.id);
        ledger.is_some_and(|ledger| ledger.outcome.is_none() && ledger.attempts > 0)
    };
    ledger_of(&item.id).is_some_and(|ledger| ledger.is_due(deliverer.now().wall))
        && !pass.items().filter(is_about_it).any(waits)
}

/// Returns true if a message about the service's crash, which the sink took after this one was
/// made, has said what this one says. Notes that in the ledger.
fn is_said(deliverer: &Deliverer, report: &Report, item: &Item, key: &SinkKey) -> bool {
    let spool = deliverer.spool();
    let outage = item.down.as_ref();
    let outage = outage.and_then(|name| spool.kept_of::<Outage>(Kept::Outage, name).ok()?);
    let says_so = |crash: &ReportId| {
        let ledger = spool.ledger(crash, key).ok()?;
        let (id, ledger) = spool.telling(crash, key, ledger).ok()?;
        let is_later = ledger.last_try >= Some(report.made_at());
        (ledger.said_down && is_later).then_some(id)
    };
    let mut crashes = outage.iter().flat_map(Outage::crashes);
    let Some(id) = crashes.find_map(says_so) else {
        return false;
    };
    let noted = spool.write_ledger(&item.id, key, &Ledger::summarised(id.clone()));
    if let Err(why) = noted {
        deliverer.fail(&format!(
            "{} waits: there is no room to keep that {id} has said it: {why}",
            item.id
        ));
    }
    true
}
