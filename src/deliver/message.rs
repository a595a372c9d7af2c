//! Makes the messages that tell of several crashes: summaries, and that a service is up again.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::deliver::conversation::{Conversation, bare};
use crate::deliver::flood::{Group, Message, OTHERS, Service};
use crate::report::{Audience, CauseCount, Kind, Report, Series, Stop};
use crate::spool::Spool;

/// Makes the report of a message on its way.
pub fn make(spool: &Spool, kept: &Conversation, message: &Message) -> Report {
    let told = ToldGroups::of(kept, message);
    let is_summary = matches!(message.kind, Kind::Summary { .. });
    let read = |group: &Group| {
        let latest = group.latest.as_ref()?;
        spool.read(spool.find(latest)?, latest).ok()
    };
    let (mut sections, mut past) = (Vec::new(), None);
    let mut report = kept.about.clone();
    report.stop.uptime_s = None;
    let main = told.main();
    if let Some(latest) = main.and_then(read) {
        if is_summary {
            sections.clone_from(&latest.sections);
            past.clone_from(&latest.past);
        }
        report = bare(latest);
    }
    // The newest crash knows of the most deaths.
    let newest = told.newest().filter(|_| is_summary);
    if let Some(newest) = newest.filter(|it| it.latest != main.and_then(|it| it.latest.clone())) {
        past = read(newest).and_then(|report| report.past);
    }
    let stopped_at = match message.kind {
        Kind::Summary { all, .. } | Kind::Recovered { all, .. } => all.last,
        Kind::Crash | Kind::Down { .. } | Kind::Notice => report.stop.stopped_at,
    };
    let services = told.services();
    let instance = services.first().filter(|_| services.len() == 1);
    report.stop = Stop {
        started_at: None,
        pid: None,
        stopped_at,
        instance: instance.and_then(|service| service.instance.clone()),
        ..report.stop
    };
    Report {
        id: message.id.clone(),
        kind: message.kind,
        to: Audience::Only(kept.sink.clone()),
        causes: told.causes(),
        sections,
        past,
        ..report
    }
}

/// The groups that a message tells of, with the crashes of each: the most frequent first, those
/// that are not told apart last; of what is over, runs that were missing before anything else.
struct ToldGroups<'a>(Vec<(&'a str, Series, &'a Group)>);

impl<'a> ToldGroups<'a> {
    fn of(kept: &'a Conversation, message: &'a Message) -> Self {
        let ended = message
            .ended
            .iter()
            .filter_map(|(name, group)| Some((name.as_str(), group.row?, group)));
        let summed = message
            .new
            .iter()
            .filter_map(|(name, new)| Some((name.as_str(), *new, kept.talk.groups.get(name)?)));
        let mut groups: Vec<_> = if message.ended.is_empty() {
            summed.collect()
        } else {
            ended.collect()
        };
        // A good end is above all the end of the run that was missing.
        let is_missed = |group: &Group| !message.ended.is_empty() && group.is_missed();
        groups.sort_by_key(|(name, crashes, group)| {
            (*name == OTHERS, !is_missed(group), Reverse(crashes.count))
        });
        Self(groups)
    }

    /// Returns the first of them.
    fn main(&self) -> Option<&'a Group> {
        self.0.first().map(|(_, _, group)| *group)
    }

    /// Returns the one with the latest crash.
    fn newest(&self) -> Option<&'a Group> {
        let groups = self.0.iter().map(|(_, _, group)| *group);
        groups.max_by_key(|group| group.row.map(|row| row.last))
    }

    fn services(&self) -> BTreeSet<&'a Service> {
        self.0
            .iter()
            .flat_map(|(.., group)| &group.services)
            .collect()
    }

    /// Returns the causes if there are several.
    fn causes(&self) -> Vec<CauseCount> {
        if self.0.len() < 2 {
            return Vec::new();
        }
        let services = self.services();
        let first = services.first().map(|service| &service.job);
        let is_one_job = services.iter().all(|service| Some(&service.job) == first);
        let line = |name: &str, group: &Group| match group.services.first() {
            _ if name == OTHERS => "other causes".to_owned(),
            Some(service) if !is_one_job => format!("{}: {}", service.job, group.line),
            _ => group.line.clone(),
        };
        let cause = |(name, crashes, group): &(&str, Series, &Group)| CauseCount {
            kind: group.kind,
            line: line(name, group),
            fingerprint: (*name).to_owned(),
            crashes: *crashes,
        };
        self.0.iter().map(cause).collect()
    }
}
