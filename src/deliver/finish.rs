//! Makes history of the reports on which every sink has said its last word, and tells people about
//! those that are damaged.

use anyhow::{Context, Result};

use crate::config::Loaded;
use crate::deliver::deliverer::Deliverer;
use crate::deliver::notices::{self, Notice};
use crate::deliver::pass::{Item, Pass};
use crate::notice;
use crate::report::{Audience, SinkKey};
use crate::spool::{Ledger, Outcome, Place};

/// Moves the reports that are settled with every sink to `done/` or `dead/`, and tells people about
/// the files in `corrupt/`. Returns the number of notices made. If `is_noted` is false, nobody may
/// have noted yet who has died: reports that say so stay for the next look.
pub fn finish(deliverer: &Deliverer, pass: &Pass, is_noted: bool) -> Result<usize> {
    let spool = deliverer.spool();
    let (mut done, mut dead, mut news) = (Vec::new(), Vec::new(), 0);
    for item in pass.items() {
        if !is_noted && item.outage.is_some() {
            continue;
        }
        let config = pass.config(&item.job);
        if config.is_broken() {
            deliverer.say(&format!(
                "{} waits: the config of {} is broken, and some who are to be told may not be known; `lastwords check` \
                 says what is wrong",
                item.id, item.service
            ));
            continue;
        }
        match settled(deliverer, pass, item, &config, &mut news) {
            Ok(Place::Done) => done.push(item.id.clone()),
            Ok(Place::Dead) => dead.push(item.id.clone()),
            Ok(Place::New) => {}
            // One report's trouble is no other's.
            Err(why) => deliverer.fail(&format!(
                "{} waits: cannot read what was done with it: {why:#}",
                item.id
            )),
        }
    }
    spool
        .finish(&done, Place::Done)
        .context("cannot move reports to done/")?;
    spool
        .finish(&dead, Place::Dead)
        .context("cannot move reports to dead/")?;
    Ok(news + notices::tell_of_corrupt(&spool, &deliverer.host)?)
}

/// Returns where a report belongs now. Adds the number of notices made to `news`.
fn settled(
    deliverer: &Deliverer,
    pass: &Pass,
    item: &Item,
    config: &Loaded,
    news: &mut usize,
) -> Result<Place> {
    let (mut waits, mut is_dead) = (false, false);
    for route in item.routes(config) {
        let ledger = deliverer.spool().ledger(&item.id, &route.key)?;
        match &ledger.outcome {
            None => waits = true,
            Some(Outcome::Sent { .. } | Outcome::Summarised { .. }) => {}
            Some(Outcome::Refused { .. } | Outcome::GaveUp { .. }) => {
                *news += tell_of_failure(deliverer, pass, item, &route.key, &ledger)?;
                is_dead = true;
            }
            Some(Outcome::Dropped { .. }) => is_dead = true,
        }
    }
    Ok(match (waits, is_dead) {
        (true, _) => Place::New,
        (false, true) => Place::Dead,
        (false, false) => Place::Done,
    })
}

/// Tells the other sinks that a sink has not taken a report. There is no notice about a notice,
/// which might not be taken either.
fn tell_of_failure(
    deliverer: &Deliverer,
    pass: &Pass,
    item: &Item,
    key: &SinkKey,
    ledger: &Ledger,
) -> Result<usize> {
    let detail = match &ledger.outcome {
        Some(Outcome::Refused { why }) => format!("it refused it for good: {why}"),
        Some(Outcome::GaveUp { why }) => format!("it was tried for five days: {why}"),
        _ => return Ok(0),
    };
    if item.is_notice {
        return Ok(0);
    }
    let notice = Notice {
        about: &format!("failure\0{}", key.encode()),
        at: ledger.last_try.unwrap_or(deliverer.now().wall),
        sentence: format!(
            "{key} has not taken the report {} about {}",
            item.id, item.service
        ),
        detail,
        job: &item.job,
        to: Audience::AllBut(key.clone()),
    };
    let nobody = pass
        .config(&item.job)
        .all_routes(&item.job)
        .iter()
        .all(|route| route.key == *key);
    let line = format!("{}: {}", notice.sentence, notice.detail);
    let told = notices::tell(&deliverer.spool(), &deliverer.host, notice)?;
    if nobody && told > 0 {
        notice::say(
            &deliverer.host,
            &format!("{line} (no other sink is configured that could tell)"),
        );
    }
    Ok(told)
}
