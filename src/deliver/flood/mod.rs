//! Decides what one sink is told about one job's crashes, and when: flood control. It is pure
//! policy. Time and state come in as data, and the decision is data again.
//!
//! Crashes of one job with one fingerprint are a group. First the conversation about the group
//! decides whether a crash is a message, or is counted and summed up:
//!
//! | when | message |
//! |---|---|
//! | the first crash of a group, or the first after 10 min without one | its report, at once |
//! | it goes on | a summary 5 min after that, then one an hour |
//! | all its services have been up for 10 min, or stopped for so long as somebody wanted it | it is up again |
//! | their last run ended well, and 10 min have passed since the crash | it ended well |
//! | a run is missing | its report, at once; once a run ended well, that it did, and with it all that it ends |
//!
//! Then a brake holds for the job, whatever its crashes are called:
//!
//! | of a job's messages | |
//! |---|---|
//! | all of them | 6 an hour |
//! | reports of single crashes | 4 of these, none while a crash that the brake held back waits, and none that would leave no room for a summary and "up again" |
//! | crashes that the brake held back | are in the next summary: after 5 min, or an hour after the one before |
//! | summaries | one for all groups, with the number of crashes of each |
//! | "up again" | one for all groups, once none of them has crashed for 10 min |
//! | "up again" after what was told | comes beside the six, if need be: there are no more of them than of what was told |
//! | "up again" after what the brake held back | stands for its summary, and waits as that does |
//!
//! So the first crash of a new cause may wait for a summary, an hour at most.
//!
//! Every crash is counted in exactly one message. Only one summary or "up again" is on its way to a
//! sink at a time. Only a message that was taken starts the wait for the next. A sink that is down
//! holds the first messages, and all other crashes are counted. When it is back, it gets these
//! messages and, in its time, one summary.
//!
//! A clock that was set makes times unreliable. A time of more than an hour ahead counts as long
//! ago, so that no message waits for years.

mod brake;
mod group;
pub mod old;
mod times;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::report::{Kind, ReportId, Series, Timestamp};
use brake::{Brake, OnTheirWay};
use group::total;
pub use group::{Crash, Group, Service, Sign};
use times::{WINDOW, elapsed};

/// Maximum number of groups of a job that are told apart. Crashes of more are counted together.
const MAX_GROUPS: usize = 50;
/// Group of the crashes that are counted together. No fingerprint is empty.
pub const OTHERS: &str = "";

/// Everything that one sink was told, is being told and will be told of one job's crashes: what the
/// disk keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Messages on their way: reports of single crashes, and at most one other.
    pub open: Vec<Message>,
    /// The latest summary or "up again", and when it was made; before there is one, the first
    /// crash. The next one's id derives from them.
    latest: Option<(ReportId, Timestamp)>,
    /// Time at which the latest summary was taken or refused.
    summed: Option<Timestamp>,
    /// Groups of which something is to be remembered, by fingerprint.
    pub groups: BTreeMap<String, Group>,
    brake: Brake,
    /// Counted crashes that other sinks still wait for, each with the message that tells of it.
    pub counted: BTreeMap<ReportId, ReportId>,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub id: ReportId,
    pub kind: Kind,
    /// Crashes that this message is the one to tell of, by group.
    pub new: BTreeMap<String, Series>,
    /// Groups that are up again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ended: BTreeMap<String, Group>,
}

impl Message {
    /// Returns true if it is the report of one crash.
    pub fn is_single(&self) -> bool {
        self.kind == Kind::Crash
    }
}

impl Thread {
    /// Records that the sink has taken the message.
    pub fn taken(&mut self, id: &ReportId, at: Timestamp) {
        if let Some(message) = self.over(id, at) {
            self.brake.taken(message.is_single(), at);
        }
    }

    /// Records that the sink will never take the message. The next message tells what this one
    /// told.
    pub fn refused(&mut self, id: &ReportId, at: Timestamp) {
        let Some(message) = self.over(id, at) else {
            return;
        };
        self.brake.refused(message.is_single(), at);
        for (name, ended) in message.ended {
            let later = self.groups.remove(&name);
            self.groups.insert(name, ended.and(later));
        }
        for (name, new) in message.new {
            if let Some(group) = self.groups.get_mut(&name) {
                group.waiting = Some(new.and(group.waiting));
            }
        }
    }

    fn over(&mut self, id: &ReportId, at: Timestamp) -> Option<Message> {
        let message = self.take(id)?;
        let is_all_held = !message.ended.is_empty() && message.ended.values().all(Group::is_held);
        if matches!(message.kind, Kind::Summary { .. }) || is_all_held {
            self.summed = Some(at);
        }
        for name in message.new.keys() {
            // A group that is up again is gone, or begins anew.
            if let Some(group) = self.groups.get_mut(name)
                && !message.ended.contains_key(name)
            {
                group.tell(message.is_single(), at);
            }
        }
        Some(message)
    }

    /// Records that the message is gone. If it was to tell of one crash, the next crash of its
    /// group is the first.
    pub fn lost(&mut self, id: &ReportId) {
        let Some(message) = self.take(id).filter(Message::is_single) else {
            return;
        };
        for name in message.new.into_keys() {
            let rest = self.groups.remove(&name).and_then(Group::without_the_first);
            self.groups.extend(rest.map(|rest| (name, rest)));
        }
    }

    fn take(&mut self, id: &ReportId) -> Option<Message> {
        let position = self.open.iter().position(|message| message.id == *id)?;
        Some(self.open.remove(position))
    }

    /// Takes in the new crashes, oldest first, and decides what the sink is told next:
    /// [`Thread::open`].
    ///
    /// `signs` are those of each of [`Thread::services`] that shows one. `name` tells this thread
    /// from all others.
    pub fn decide(
        &mut self,
        name: &str,
        crashes: &[Crash],
        signs: &BTreeMap<Service, Sign>,
        now: Timestamp,
    ) {
        self.forget(now);
        for crash in crashes {
            self.take_in(name, crash, now);
        }
        if self.open.iter().any(|message| !message.is_single()) || self.brake.is_paused(now) {
            return;
        }
        let Some((latest, made_at)) = &self.latest else {
            return;
        };
        let next = ReportId::derived(*made_at, &[name, latest.as_str()]);
        if crashes.is_empty() && self.open.is_empty() && self.say_up_again(&next, signs, now) {
            return;
        }
        let is_due = |(name, group): (&String, &Group)| {
            group.is_due(self.summed, now) && !self.is_on_its_way(name)
        };
        if self.brake.has_room(self.on_their_way(), now) && self.groups.iter().any(is_due) {
            self.say_summary(&next, now);
        }
    }

    /// Tells of a crash by its own report, or counts it.
    fn take_in(&mut self, thread: &str, crash: &Crash, now: Timestamp) {
        let name = self.group_of(crash, now);
        let may_be_a_summary = elapsed(self.summed, now) >= WINDOW;
        let may_speak = name != OTHERS
            && (self.brake).has_room_for_one(self.on_their_way(), may_be_a_summary, now)
            && !self.groups.values().any(Group::is_held);
        let is_on_its_way = self.is_on_its_way(&name);
        let (latest, made_at) = self.latest.get_or_insert_with(|| (crash.id.clone(), now));
        let next = ReportId::derived(*made_at, &[thread, latest.as_str()]);
        let group = self.groups.entry(name.clone()).or_default();
        let is_news = group.is_news(crash) && !is_on_its_way;
        if is_news {
            group.begin();
        }
        group.add(crash);
        if is_news && may_speak && group.waiting.is_none() {
            self.open.push(Message {
                id: crash.id.clone(),
                kind: Kind::Crash,
                new: BTreeMap::from([(name, Series::one(crash.at))]),
                ended: BTreeMap::new(),
            });
        } else {
            if !is_on_its_way {
                group.hold(now);
            }
            group.count(crash.at);
            self.counted.insert(crash.id.clone(), next);
        }
    }

    /// Returns the group that a crash belongs to.
    fn group_of(&mut self, crash: &Crash, now: Timestamp) -> String {
        let name = &crash.fingerprint;
        if self.groups.contains_key(name) {
            return name.clone();
        }
        let is_same = |group: &Group| group.is_old && group.is_like(crash);
        if let Some((old, _)) = self.groups.iter().find(|(_, group)| is_same(group)) {
            return old.clone();
        }
        if self.groups.len() < MAX_GROUPS || self.make_room(now) {
            return name.clone();
        }
        OTHERS.to_owned()
    }

    /// Forgets the group that has been quiet for the longest time. Returns false if none is.
    fn make_room(&mut self, now: Timestamp) -> bool {
        let is_idle = |(name, group): &(&String, &Group)| {
            group.waiting.is_none() && group.is_quiet(now) && !self.is_on_its_way(name)
        };
        let idle = self.groups.iter().filter(is_idle);
        let oldest = idle.min_by_key(|(_, group)| group.row.map(|row| row.last));
        let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
            return false;
        };
        self.groups.remove(&oldest).is_some()
    }

    /// Says that services are up again, if all groups that still crash are. A run that was missing
    /// and then ended well waits for nothing, and ends what had failed before it: a good end is
    /// told once.
    fn say_up_again(
        &mut self,
        id: &ReportId,
        signs: &BTreeMap<Service, Sign>,
        now: Timestamp,
    ) -> bool {
        let was_missing =
            |group: &Group| group.is_missed() && group.well(signs, false, now).is_some();
        let at_once = self.groups.values().any(was_missing);
        // That a run which had failed ended well would read as the end of another that is missing.
        let is_missing = |group: &&Group| group.is_missed() && !was_missing(group);
        let missing = services(self.groups.values().filter(is_missing));
        let missing: BTreeSet<Service> = missing.into_iter().cloned().collect();
        let uptime = |group: &Group| {
            let well = group.well(signs, at_once, now)?;
            missing.is_disjoint(&group.services).then_some(well)
        };
        let is_restless = |group: &&Group| {
            uptime(group).is_none() && (group.waiting.is_some() || !group.is_quiet(now))
        };
        let is_calm = !self.groups.values().any(|it| is_restless(&it));
        let ends = |group: &&Group| uptime(group).is_some() && (is_calm || at_once);
        let Some(up_for) = self.groups.values().filter(ends).filter_map(uptime).min() else {
            return false;
        };
        // What nobody was told of yet is told as a summary is.
        let is_owed = |group: &Group| !group.is_held();
        let may_sum_up = || self.brake.has_room(self.on_their_way(), now);
        let is_due = |group: &Group| group.is_due(self.summed, now);
        let mut ending = self.groups.values().filter(ends);
        let is_its_turn = ending.clone().any(is_owed) || may_sum_up() && ending.any(is_due);
        if !is_its_turn {
            return false;
        }
        let groups = std::mem::take(&mut self.groups);
        let (mut ended, rest): (BTreeMap<_, _>, _) =
            groups.into_iter().partition(|(_, group)| ends(&group));
        self.groups = rest;
        let new = waiting(&ended);
        let Some(all) = total(ended.values().filter_map(|group| group.row)) else {
            return false;
        };
        for group in ended.values_mut() {
            group.waiting = None;
        }
        let kind = Kind::Recovered {
            new: total(new.values().copied()),
            all,
            instances: services(ended.values()).len(),
            up_s: up_for.as_secs(),
            ended_well: last_end(ended.values(), signs, Sign::ended_well),
            stopped: last_end(ended.values(), signs, Sign::stopped),
            made_at: now,
        };
        self.say(id, kind, new, ended, now);
        true
    }

    /// Sums up everything that waits.
    fn say_summary(&mut self, id: &ReportId, now: Timestamp) {
        let new = waiting(&self.groups);
        let told = || new.keys().filter_map(|name| self.groups.get(name));
        let totals = total(new.values().copied()).zip(total(told().filter_map(|it| it.row)));
        let Some((sum, all)) = totals else { return };
        let kind = Kind::Summary {
            new: sum,
            all,
            instances: services(told()).len(),
            made_at: now,
        };
        for group in self.groups.values_mut() {
            group.waiting = None;
        }
        self.say(id, kind, new, BTreeMap::new(), now);
    }

    fn say(
        &mut self,
        id: &ReportId,
        kind: Kind,
        new: BTreeMap<String, Series>,
        ended: BTreeMap<String, Group>,
        now: Timestamp,
    ) {
        self.latest = Some((id.clone(), now));
        self.open.push(Message {
            id: id.clone(),
            kind,
            new,
            ended,
        });
    }

    /// Returns the services that crashed and of which it is not said yet that they are up again.
    pub fn services(&self) -> BTreeSet<&Service> {
        services(self.groups.values())
    }

    /// Returns the services that a message on its way tells of.
    pub fn told_in(&self, id: &ReportId) -> BTreeSet<&Service> {
        let Some(message) = self.open.iter().find(|message| message.id == *id) else {
            return BTreeSet::new();
        };
        if !message.ended.is_empty() {
            return services(message.ended.values());
        }
        services(message.new.keys().filter_map(|name| self.groups.get(name)))
    }

    /// Returns true if there is nothing to remember.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.open.is_empty()
            && self.brake.is_over(now)
            && self.groups.values().all(|group| group.is_over(now))
    }

    /// Returns the number of crashes that no message tells of yet.
    pub fn waiting(&self) -> u64 {
        total(waiting(&self.groups).into_values()).map_or(0, |waiting| waiting.count)
    }

    /// Returns when their summary is due; `None` while another message is on its way.
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.open.iter().any(|message| !message.is_single()) {
            return None;
        }
        let groups = self.groups.iter();
        let due = groups
            .filter(|(name, _)| !self.is_on_its_way(name))
            .filter_map(|(_, group)| group.due(self.summed))
            .min()?;
        Some(self.brake.room_at(now).map_or(due, |room| room.max(due)))
    }

    fn forget(&mut self, now: Timestamp) {
        let open = &self.open;
        self.groups.retain(|name, group| {
            !group.is_over(now) || open.iter().any(|message| message.new.contains_key(name))
        });
    }

    /// Returns true if a message on its way tells of this group.
    fn is_on_its_way(&self, name: &str) -> bool {
        let tells = |message: &Message| message.new.contains_key(name) && message.ended.is_empty();
        self.open.iter().any(tells)
    }

    fn on_their_way(&self) -> OnTheirWay {
        let singles = self.open.iter().filter(|message| message.is_single());
        let singles = singles.count();
        OnTheirWay {
            singles,
            others: self.open.len() - singles,
        }
    }

    /// Takes in that a message about the service's outage has told of the latest crash of a group,
    /// if that is all that waits. Returns false if it is not.
    pub fn told_elsewhere(&mut self, name: &str, by: &ReportId, at: Timestamp) -> bool {
        let is_on_its_way = self.is_on_its_way(name);
        let Some(group) = self.groups.get_mut(name).filter(|_| !is_on_its_way) else {
            return false;
        };
        let Some((crash, _)) = group.only_one_waiting() else {
            return false;
        };
        self.counted.insert(crash.clone(), by.clone());
        group.waiting = None;
        group.tell(true, at);
        true
    }
}

fn waiting(groups: &BTreeMap<String, Group>) -> BTreeMap<String, Series> {
    groups
        .iter()
        .filter_map(|(name, group)| Some((name.clone(), group.waiting?)))
        .collect()
}

fn services<'g>(groups: impl Iterator<Item = &'g Group>) -> BTreeSet<&'g Service> {
    groups.flat_map(|group| &group.services).collect()
}

/// Returns the last end of this sort of the services of these groups; `None` if one of them shows
/// another sign.
fn last_end<'g>(
    groups: impl Iterator<Item = &'g Group>,
    signs: &BTreeMap<Service, Sign>,
    sort: fn(Sign) -> Option<Timestamp>,
) -> Option<Timestamp> {
    let end = |service| sort(*signs.get(service)?);
    let ends: Option<Vec<_>> = services(groups).into_iter().map(end).collect();
    ends?.into_iter().max()
}

#[cfg(test)]
mod tests;
