//! What waits in the spool, and who is to get it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use anyhow::{Context, Result};

use crate::catch::marker::{self, Taken};
use crate::collectors::program;
use crate::config::{self, Loaded, Route};
use crate::deliver::conversation::Conversation;
use crate::deliver::deliverer::Deliverer;
use crate::deliver::flood::Crash;
use crate::past::Death;
use crate::report::{Audience, Kind, Report, ReportId};
use crate::spool::Place;

/// What is to be known of a report in `new/`. Whoever sends it reads it again: thousands may wait.
pub struct Item {
    pub id: ReportId,
    pub job: String,
    pub service: String,
    /// The group that it belongs to; `None` for what is told by itself in any case.
    pub group: Option<String>,
    pub crash: Crash,
    /// The death that it tells of, and whose chronicle that belongs into; `None` for what tells of
    /// none, of a drill, or of one that had been counted before the report was read.
    pub death: Option<(String, Death)>,
    pub is_notice: bool,
    to: Audience,
}

impl Item {
    fn of(report: Report) -> Self {
        let grouped = report.kind == Kind::Crash && !report.drill;
        Self {
            death: (grouped && report.past.is_none())
                .then(|| (by_whom(&report, &[&report.stop.job]), death(&report))),
            group: grouped.then(|| group(&report)),
            service: report.stop.service(),
            crash: Crash {
                id: report.id.clone(),
                at: report.stop.stopped_at,
                instance: report.stop.instance,
            },
            is_notice: report.kind == Kind::Notice,
            id: report.id,
            job: report.stop.job,
            to: report.to,
        }
    }
}

/// The group of a crash. What a user's hook claims is that user's group, so that it mutes nobody
/// else's.
pub fn group(report: &Report) -> String {
    by_whom(report, &[&report.stop.job, &report.fingerprint])
}

fn by_whom(report: &Report, parts: &[&str]) -> String {
    let user = report.user.map(|uid| uid.to_string()).unwrap_or_default();
    format!("{}\0{user}", parts.join("\0"))
}

fn death(report: &Report) -> Death {
    Death {
        id: report.id.clone(),
        fingerprint: report.fingerprint.clone(),
        line: report.cause.line.clone(),
        at: report.stop.stopped_at,
        uptime_s: report.stop.uptime_s,
        program: program::found(&report.sections),
    }
}

/// What was read from `new/`. A report never changes: one look at each is enough.
#[derive(Default)]
pub struct Items(BTreeMap<ReportId, Item>);

/// What there is for one pass.
pub struct Pass<'a> {
    items: &'a Items,
    /// What is kept of groups.
    pub groups: Vec<Conversation>,
    configs: BTreeMap<String, Loaded>,
    /// The markers that a `lastwords run` holds, by the user whose job it is.
    held: BTreeMap<Option<u32>, Vec<Taken>>,
}

impl<'a> Pass<'a> {
    pub fn read(deliverer: &Deliverer, items: &'a mut Items) -> Result<Self> {
        let ids = deliverer
            .spool
            .ids(Place::New)
            .context("cannot list the reports")?;
        let there: BTreeSet<&ReportId> = ids.iter().collect();
        items.0.retain(|id, _| there.contains(id));
        for id in &ids {
            if !items.0.contains_key(id)
                && let Some(report) = read(deliverer, id)
            {
                items.0.insert(id.clone(), Item::of(report));
            }
        }
        let groups: Vec<Conversation> = deliverer
            .spool
            .groups()
            .context("cannot list the groups of crashes")?;
        let mut configs = BTreeMap::new();
        for job in items
            .0
            .values()
            .map(|item| &item.job)
            .chain(groups.iter().map(|kept| &kept.about.stop.job))
        {
            if !configs.contains_key(job) {
                configs.insert(job.clone(), config::load(&deliverer.places.config, job));
            }
        }
        let users: BTreeSet<_> = groups.iter().map(|kept| kept.about.user).collect();
        let held = |user: Option<u32>| (user, marker::held(&deliverer.places.markers_of(user)));
        Ok(Self {
            items,
            configs,
            held: users.into_iter().map(held).collect(),
            groups,
        })
    }

    /// The reports that wait, oldest first.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.0.values()
    }

    /// What a `lastwords run` of this user's jobs holds.
    pub fn held(&self, user: Option<u32>) -> &[Taken] {
        self.held.get(&user).map_or(&[], Vec::as_slice)
    }

    /// The config of a job of which something waits.
    pub fn config(&self, job: &str) -> &Loaded {
        &self.configs[job]
    }

    /// The sinks that are to get it.
    pub fn routes(&self, item: &Item) -> Vec<Route<'_>> {
        self.config(&item.job).routes_to(&item.to, &item.job)
    }

    /// Whether some reports stay until the config is mended: who else is to get them is not known.
    pub fn waits_for_config(&self) -> bool {
        self.items().any(|item| self.config(&item.job).is_broken())
    }
}

/// A report in `new/`; `None` where another deliverer has finished it, or it cannot be read.
pub fn read(deliverer: &Deliverer, id: &ReportId) -> Option<Report> {
    match deliverer.spool.read(Place::New, id) {
        Ok(report) => Some(report),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            deliverer.say(&format!("{id} is not sent: {error}"));
            None
        }
    }
}
