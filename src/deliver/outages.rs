//! Tells people that a service stays down: at once when its supervisor gives up, and again while
//! nothing has come up.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::config;
use crate::deliver::condition;
use crate::deliver::conversation::bare;
use crate::deliver::deliverer::Deliverer;
use crate::deliver::outage::{NextStep, Outage};
use crate::deliver::pass::{self, Pass};
use crate::render;
use crate::report::{Audience, Kind, Report, ReportId, SinkKey};

/// Lock of those who look at outages.
const LOCK: &str = "\0\0outages";
/// Maximum number of services that are asked about in one look. The others come next time.
const MOST: usize = 50;

/// Looks at all services that have died and are not known to be up again. Returns the number of
/// messages made. `told_singly` are the crashes whose own report is on its way.
pub fn look(
    deliverer: &Deliverer,
    pass: &Pass,
    told_singly: &BTreeSet<(SinkKey, ReportId)>,
) -> Result<usize> {
    let spool = &deliverer.spool;
    let now = deliverer.now();
    let Some(_lock) = spool.lock(LOCK, now.monotonic)? else {
        return Ok(0);
    };
    let on_their_way: BTreeSet<&ReportId> = told_singly.iter().map(|(_, id)| id).collect();
    let kept: BTreeMap<String, Outage> = spool.outages()?.into_iter().collect();
    let mut outages = kept.clone();
    let mut spoken = BTreeSet::new();
    for item in pass.items() {
        let Some(name) = &item.outage else { continue };
        if on_their_way.contains(&item.id) {
            spoken.insert(name.clone());
        }
        let is_news = outages
            .get(name)
            .is_none_or(|outage| outage.about.id < item.id);
        if is_news && let Some(report) = pass::read(deliverer, &item.id) {
            let about = bare(report);
            outages
                .entry(name.clone())
                .and_modify(|outage| outage.again(about.clone()))
                .or_insert_with(|| Outage::new(about));
        }
    }
    let mut made = 0;
    let mut asked = 0;
    let mut outages: Vec<_> = outages.into_iter().collect();
    // If there are too many, each is among the first now and then.
    let first = usize::try_from(now.monotonic.subsec_micros()).unwrap_or_default();
    let first = first % outages.len().max(1);
    outages.rotate_left(first);
    for (name, mut outage) in outages {
        let loaded = config::load(&deliverer.places.config, &outage.about.stop.job);
        let remind = loaded.job.remind;
        let mut step = NextStep::Wait;
        if asked < MOST && outage.is_to_ask(remind, now.wall) {
            asked += 1;
            let says_so = spoken.contains(&name);
            let condition = condition::of_service(&outage.about, deliverer.places, &deliverer.host);
            step = outage.decide(&condition, says_so, remind, now.wall);
        }
        if step == NextStep::Tell {
            made += tell(deliverer, &outage)?;
            outage.tell(now.wall);
        }
        let after = (step != NextStep::Forget).then_some(&outage);
        if after != kept.get(&name) {
            spool.write_outage(&name, after)?;
        }
    }
    Ok(made)
}

/// Makes the next message about an outage, unless a deliverer that was killed had made it.
fn tell(deliverer: &Deliverer, outage: &Outage) -> Result<usize> {
    let id = outage.next_id();
    let spool = &deliverer.spool;
    if spool.find(&id).is_some() || spool.was_put_aside(&id) {
        return Ok(0);
    }
    let report = Report {
        id,
        kind: Kind::Down {
            since: outage.down.unwrap_or(outage.about.stop.stopped_at),
            is_reminder: outage.told.is_some(),
            made_at: deliverer.now().wall,
        },
        to: Audience::Job,
        ..outage.about.clone()
    };
    spool
        .put(&report)
        .context("cannot put the message into the spool that a service is down")?;
    deliverer.say(&format!("{}: {}", report.id, render::subject(&report)));
    Ok(1)
}
