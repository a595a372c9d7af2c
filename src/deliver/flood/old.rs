//! Reads conversations of the version before, which were about groups, not about jobs. It may go
//! with the next version.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Group, Message, Service, Thread};
use crate::report::{Kind, Report, ReportId, Series, Timestamp};

/// The messages to a sink about one group.
#[derive(Clone, Debug, Deserialize)]
pub struct OldThread {
    open: Option<OldMessage>,
    latest: Option<(ReportId, Timestamp)>,
    taken: Vec<Timestamp>,
    since: Option<Timestamp>,
    refused: bool,
    messages: u32,
    waiting: Option<Series>,
    row: Option<Series>,
    instances: BTreeSet<Option<String>>,
    resolved: bool,
    counted: BTreeMap<ReportId, ReportId>,
}

#[derive(Clone, Debug, Deserialize)]
struct OldMessage {
    id: ReportId,
    kind: Kind,
    new: Option<Series>,
}

impl Thread {
    /// Goes on with a conversation about one group, which `about` is a crash of. If that was done
    /// before, changes nothing.
    pub fn take_over(&mut self, about: &Report, old: OldThread) {
        let name = &about.fingerprint;
        let tells =
            |message: &Message| message.new.contains_key(name) || message.ended.contains_key(name);
        if self.groups.contains_key(name) || self.open.iter().any(tells) {
            return;
        }
        old.taken.iter().for_each(|at| self.brake.add(false, *at));
        let made_at = |latest: &Option<(ReportId, Timestamp)>| latest.as_ref().map(|(_, at)| *at);
        if made_at(&self.latest) < made_at(&old.latest) {
            self.latest = old.latest;
        }
        let job = &about.stop.job;
        let services = old.instances.into_iter().map(|instance| Service {
            job: job.clone(),
            instance,
        });
        let told = old.since.map(|at| (at, old.messages == 1 && !old.refused));
        let mut group = Group::old(&about.cause, old.row, old.waiting, told);
        group.latest = old.counted.last_key_value().map(|(id, _)| id.clone());
        group.services = services.collect();
        self.counted.extend(old.counted);
        let is_over = old.resolved && old.waiting.is_none();
        let mut ended = BTreeMap::new();
        match old.open.as_ref().map(|message| message.kind) {
            Some(Kind::Recovered { .. }) => drop(ended.insert(name.clone(), group)),
            None if is_over => {}
            _ => drop(self.groups.insert(name.clone(), group)),
        }
        self.open.extend(old.open.map(|message| {
            Message {
                id: message.id,
                kind: message.kind,
                new: message
                    .new
                    .map(|new| (name.clone(), new))
                    .into_iter()
                    .collect(),
                ended,
            }
        }));
    }
}
