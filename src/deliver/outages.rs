//! Tells people that a service stays down: at once when its supervisor gives up, and again while
//! nothing has come up.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::clock::Now;
use crate::deliver::condition;
use crate::deliver::conversation::bare;
use crate::deliver::deliverer::{Deliverer, Looks};
use crate::deliver::locks;
use crate::deliver::missed;
use crate::deliver::outage::{NextStep, Outage};
use crate::deliver::pass::{self, Item, Pass};
use crate::places::Places;
use crate::render;
use crate::report::{Audience, Cause, Condition, Kind, Report, ReportId, Stop, Verdict};
use crate::spool::{Kept, Ledger, Outcome, Place};

/// Lock of those who look at outages.
const LOCK: &str = "\0\0outages";
/// How long to wait for another deliverer's look: most take milliseconds.
const MOMENT: Duration = Duration::from_secs(1);
/// How long a look may go on to ask. The other services come next time.
const PATIENCE: Duration = Duration::from_secs(3);
/// Maximum number of messages an hour about all services of a job.
const MOST_OF_A_JOB: usize = 6;
/// Maximum number of services of one user that are remembered: a user may make up any number.
const MOST_OF_A_USER: usize = 50;

/// Looks at all services that have died and are not known to be up again. Returns the number of
/// messages made; `None` if another deliverer looks at them for so long that this one has not noted
/// who has died. If `asks` is false, only notes who has died.
pub fn look(deliverer: &Deliverer, pass: &Pass, asks: bool) -> Result<Option<usize>> {
    let now = deliverer.now();
    let lock = |now| deliverer.spool().lock(LOCK, now);
    let Some(_lock) = locks::wait_for(lock, MOMENT, || deliverer.now().monotonic)? else {
        return Ok(None);
    };
    let kept: BTreeMap<String, Outage> =
        deliverer.spool().kept(Kept::Outage)?.into_iter().collect();
    let mut outages = kept.clone();
    for outage in outages.values_mut() {
        outage.set_back(now.wall);
    }
    let mut crashes: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for item in pass.items() {
        let Some(name) = &item.outage else { continue };
        crashes.entry(name).or_default().push(item);
        let is_news = outages.get(name).is_none_or(|outage| {
            let waits = || pass.items().any(|it| it.id == outage.about.id);
            outage.is_news(&item.id, waits, now.wall)
        });
        if is_news && let Some(report) = pass::read(deliverer, &item.id) {
            let about = bare(report);
            let others = || outages.values().filter(|it| it.about.user == about.user);
            let is_new = !outages.contains_key(name);
            if is_new && about.user.is_some() && others().count() >= MOST_OF_A_USER {
                continue;
            }
            outages
                .entry(name.clone())
                .and_modify(|outage| outage.again(about.clone()))
                .or_insert_with(|| Outage::new(about));
        }
    }
    if asks {
        let users = outages.values().filter(|outage| outage.is_to_ask(now.wall));
        deliverer.ask_stewards(users.filter_map(|outage| outage.about.user));
    }
    let until = Now::read().monotonic + PATIENCE;
    let mut made = 0;
    let mut jobs: BTreeMap<_, usize> = BTreeMap::new();
    for outage in outages.values() {
        *jobs.entry(job(outage)).or_default() += outage.lately(now.wall);
    }
    let mut outages: Vec<_> = outages.into_iter().collect();
    // If there are too many, each is among the first now and then.
    let first = usize::try_from(now.monotonic.subsec_micros()).unwrap_or_default();
    let first = first % outages.len().max(1);
    outages.rotate_left(first);
    // Of an end that was perhaps planned people are told once.
    let remind = |outage: &Outage| {
        let remind = pass.config(&outage.about.stop.job).job.remind;
        remind.filter(|_| outage.about.verdict != Verdict::Unknown)
    };
    for (name, mut outage) in outages {
        let mut is_kept = !outage.is_forgotten(now.wall);
        let mut says_so = false;
        let is_missed = outage.about.verdict == Verdict::Missed;
        if !outage.is_told {
            let known = crashes.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            // One that has come since this pass was read may say it, too.
            let latest = &outage.about.id;
            says_so = known.iter().all(|it| it.id != *latest)
                && deliverer.spool().find(latest) == Some(Place::New);
            for item in known {
                says_so |= is_on_its_way(deliverer, pass, item)?;
            }
            // In this order: another deliverer may be sending it.
            if is_said(deliverer, &outage)? {
                outage.said_so(remind(&outage), now.wall);
            }
        }
        // A missing run is over with the next good end, which nobody has to be asked about.
        let is_to_ask = outage.is_to_ask(now.wall) || is_missed;
        if asks && is_to_ask && Now::read().monotonic < until {
            let condition = if is_missed {
                missed::condition(&outage.about, deliverer)?
            } else {
                condition::since_latest(&outage.about, deliverer)
            };
            let lately = jobs.entry(job(&outage)).or_default();
            // That a run is missing is told as a crash is. Only a reminder is told here.
            let has_room = *lately < MOST_OF_A_JOB && (outage.is_told || !is_missed);
            // A crash that was before this answer is no news after it.
            let now = deliverer.now();
            match outage.decide(&condition, says_so, has_room, now.wall) {
                NextStep::Forget => is_kept = false,
                NextStep::Wait => {}
                NextStep::Tell => {
                    made += tell(deliverer, &outage, condition)?;
                    outage.tell(remind(&outage), now.wall);
                    *lately += 1;
                }
            }
        }
        let after = is_kept.then_some(&outage);
        if after != kept.get(&name) {
            deliverer.spool().keep(Kept::Outage, &name, after)?;
        }
    }
    Ok(Some(made))
}

/// A service that has died and is down now.
pub struct Down {
    /// Its latest crash, without its sections.
    pub about: Report,
    pub now: Condition,
}

/// Returns the services of a job that have died and are down now; of one instance, if it is given.
///
/// # Errors
/// Fails if the spool cannot be read.
pub fn down(job: &str, instance: Option<&str>, places: &Places) -> io::Result<Vec<Down>> {
    let looks = Looks::new(places, Duration::ZERO, &|_| {});
    let deliverer = Deliverer::new(places, &looks);
    let kept = places.spool_in_use().kept::<Outage>(Kept::Outage)?;
    let kept = kept.into_iter().map(|(_, outage)| outage);
    let is_it = |outage: &Outage| {
        let Stop {
            job: of,
            instance: its,
            ..
        } = &outage.about.stop;
        of == job && (instance.is_none() || its.as_deref() == instance)
    };
    let of_job = kept.filter(|outage| {
        is_it(outage) && !outage.is_over() && outage.about.verdict != Verdict::Missed
    });
    let now = |outage: Outage| Down {
        now: condition::since_latest(&outage.about, &deliverer),
        about: outage.about,
    };
    Ok(of_job.map(now).filter(|it| it.now.is_down()).collect())
}

/// Returns true if a sink is still to get this crash's report, or the summary that tells of it and
/// that is made already.
fn is_on_its_way(deliverer: &Deliverer, pass: &Pass, crash: &Item) -> Result<bool> {
    let spool = deliverer.spool();
    for route in crash.routes(&pass.config(&crash.job)) {
        let is_on_its_way = match spool.ledger(&crash.id, &route.key)?.outcome {
            None => true,
            Some(Outcome::Summarised { r#in }) => {
                spool.find(&r#in) == Some(Place::New)
                    && spool.ledger(&r#in, &route.key)?.outcome.is_none()
            }
            Some(_) => false,
        };
        if is_on_its_way {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns true if somebody has got a message which says that the service is down.
fn is_said(deliverer: &Deliverer, outage: &Outage) -> Result<bool> {
    if outage.about.verdict == Verdict::Missed {
        // The message about a missing run says so, however late it is. Each has one of its own.
        return was_told(deliverer, &outage.about.id, |it| {
            it.said_down || it.was_sent()
        });
    }
    if was_told(deliverer, &outage.about.id, |it| it.said_down)? {
        return Ok(true);
    }
    // So may a message about an earlier crash that was sent after the latest one.
    let since = outage.about.stop.stopped_at;
    let says = |it: &Ledger| it.said_down && it.last_try.is_some_and(|at| at > since);
    for crash in &outage.earlier {
        if was_told(deliverer, crash, says)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns true if a message that somebody has got says so: the crash's own report, or a summary
/// that tells of it.
fn was_told(deliverer: &Deliverer, id: &ReportId, says: impl Fn(&Ledger) -> bool) -> Result<bool> {
    let spool = deliverer.spool();
    for (sink, ledger) in spool.ledgers(id)? {
        let (_, ledger) = spool.telling(id, &sink, ledger)?;
        if says(&ledger) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the job of an outage, and the user who reported it.
fn job(outage: &Outage) -> (Option<u32>, String) {
    (outage.about.user, outage.about.stop.job.clone())
}

/// Makes the next message about an outage, unless a deliverer that was killed had made it. `now` is
/// the condition that made it due.
fn tell(deliverer: &Deliverer, outage: &Outage, now: Condition) -> Result<usize> {
    let id = outage.next_id();
    let spool = deliverer.spool();
    if spool.find(&id).is_some() || spool.was_put_aside(&id) {
        return Ok(0);
    }
    let mut report = Report {
        id,
        kind: Kind::Down {
            since: outage.down.unwrap_or(outage.about.stop.stopped_at),
            is_reminder: outage.is_told,
            is_again: outage.is_again,
            made_at: deliverer.now().wall,
        },
        to: Audience::Job,
        now: Some(now),
        ..outage.about.clone()
    };
    // A run may have begun since, and failed.
    if report.verdict == Verdict::Missed
        && let Some((line, because)) = missed::words(&report, deliverer)?
    {
        report.cause = Cause::own(line);
        report.verdict_because = because;
    }
    spool
        .put(&report)
        .context("cannot put the message into the spool that a service is down")?;
    deliverer.say(&format!("{}: {}", report.id, render::subject(&report)));
    Ok(1)
}
