//! Decides what one sink is told about one group of crashes, and when: flood control. It is pure
//! policy. Time and state come in as data, and the decision is data again.
//!
//! Crashes of one job with one fingerprint are a group. A sink hears of it:
//!
//! | when | message |
//! |---|---|
//! | the first crash, or the first after 10 min without one | its report, at once |
//! | it goes on | a summary 5 min after that, then one an hour |
//! | all its services have been up for 10 min | once: it is up again |
//!
//! Every crash is counted in exactly one message. Only one message of a group is on its way to a
//! sink at a time, and only a message that was taken starts the wait for the next. A sink that is
//! down holds the first message, and all other crashes are counted. When it is back, it gets that
//! message and, in its time, one summary. However often a service goes up and down, a group makes
//! at most 6 messages an hour.
//!
//! A clock that was set makes times unreliable. A time of more than an hour ahead counts as long
//! ago, so that no message waits for years.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::report::{Kind, ReportId, Series, Timestamp};

/// Time from the first crash's report to the first summary.
const FIRST_WINDOW: Duration = Duration::from_mins(5);
/// Time from one summary to the next.
const WINDOW: Duration = Duration::from_hours(1);
/// After this long without a crash, the next crash is news. After this long up, the service is up
/// again.
const QUIET: Duration = Duration::from_mins(10);
/// Maximum number of messages an hour.
const MAX_AN_HOUR: usize = 6;
/// After this long, `up again` is no longer news.
const FORGOTTEN: Duration = Duration::from_hours(5 * 24);
/// Maximum number of instances that are watched for being up again.
const MAX_INSTANCES: usize = 100;

/// One crash of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    pub id: ReportId,
    pub at: Timestamp,
    pub instance: Option<String>,
}

/// Everything that one sink was told, is being told and will be told of one group: what the disk
/// keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The message on its way. Until it is taken or refused, there is no other.
    pub open: Option<Message>,
    /// The latest message, on its way or over, and when it was made. The next message's id derives
    /// from them.
    latest: Option<(ReportId, Timestamp)>,
    /// Times at which the last few messages were taken.
    taken: Vec<Timestamp>,
    /// Time at which the latest message was taken or refused.
    since: Option<Timestamp>,
    /// True if the latest message was refused.
    refused: bool,
    /// Number of messages that this row of crashes has made.
    messages: u32,
    /// Crashes that no message tells of yet.
    waiting: Option<Series>,
    /// This row of crashes, from the first one after a time without any.
    row: Option<Series>,
    /// Instances that crashed in this row.
    pub instances: BTreeSet<Option<String>>,
    /// True if "up again" was told and nothing has crashed since.
    resolved: bool,
    /// The counted crashes that other sinks still wait for, each with the message that tells of it.
    pub counted: BTreeMap<ReportId, ReportId>,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub id: ReportId,
    pub kind: Kind,
    /// Crashes that this message is the one to tell of.
    new: Option<Series>,
}

impl Thread {
    /// Records that the sink has taken the message.
    pub fn taken(&mut self, at: Timestamp) {
        let Some(message) = self.over(at) else { return };
        self.taken.push(at);
        let surplus = self.taken.len().saturating_sub(MAX_AN_HOUR);
        self.taken.drain(..surplus);
        if matches!(message.kind, Kind::Recovered { .. }) {
            self.resolved = self.waiting.is_none();
            if !self.resolved {
                // It crashed again while that message was on its way.
                self.row = self.waiting;
                self.messages = 0;
            }
        }
    }

    /// Records that the sink will never take the message. The next message tells what this one
    /// told.
    pub fn refused(&mut self, at: Timestamp) {
        let Some(message) = self.over(at) else { return };
        self.refused = true;
        self.waiting = message
            .new
            .map_or(self.waiting, |new| Some(new.and(self.waiting)));
    }

    fn over(&mut self, at: Timestamp) -> Option<Message> {
        let message = self.open.take()?;
        self.since = Some(at);
        self.refused = false;
        self.messages = self.messages.saturating_add(1);
        Some(message)
    }

    /// Records that the report of the crash that was to be told is gone.
    pub fn lost(&mut self) {
        self.open = None;
        if self.messages == 0 {
            self.row = self.waiting;
        }
    }

    /// Takes in the new crashes, oldest first, and decides what the sink is told next:
    /// [`Thread::open`].
    ///
    /// `up` says for how long all of [`Thread::instances`] have been running; `None` where one is
    /// not. `name` tells this thread from all others.
    pub fn decide(
        &mut self,
        name: &str,
        mut crashes: &[Crash],
        up: Option<Duration>,
        now: Timestamp,
    ) {
        if let Some((first, rest)) = crashes.split_first()
            && self.open.is_none()
            && self.is_news(first.at)
        {
            self.begin();
            if self.waiting.is_none() && self.may_speak(now) {
                self.add_to_row(first);
                self.say(
                    first.id.clone(),
                    Kind::Crash,
                    Some(Series::one(first.at)),
                    now,
                );
                crashes = rest;
            }
        }
        let next = self.next_id(name, now);
        for crash in crashes {
            self.add_to_row(crash);
            self.waiting = Some(add(self.waiting, crash.at));
            self.counted.insert(crash.id.clone(), next.clone());
        }
        let Some(all) = self
            .row
            .filter(|_| self.open.is_none() && self.may_speak(now))
        else {
            return;
        };
        let instances = self.instances.len();
        if let Some(up) = up.filter(|up| *up >= QUIET && crashes.is_empty() && !self.resolved) {
            let new = self.waiting.take();
            self.say(
                next,
                Kind::Recovered {
                    new,
                    all,
                    instances,
                    up_s: up.as_secs(),
                    made_at: now,
                },
                new,
                now,
            );
        } else if let Some(new) = self
            .waiting
            .filter(|_| elapsed(self.since, now) >= self.window())
        {
            self.waiting = None;
            self.say(
                next,
                Kind::Summary {
                    new,
                    all,
                    instances,
                    made_at: now,
                },
                Some(new),
                now,
            );
        }
    }

    /// Returns true if there is nothing to remember.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let silent = self.open.is_none() && self.waiting.is_none();
        let told_enough = self.resolved
            && self
                .taken
                .iter()
                .all(|at| elapsed(Some(*at), now) >= WINDOW);
        silent && (told_enough || elapsed(self.since, now) >= FORGOTTEN)
    }

    /// Returns the number of crashes that no message tells of yet.
    pub fn waiting(&self) -> u64 {
        self.waiting.map_or(0, |waiting| waiting.count)
    }

    /// Returns when their summary is due; `None` while another message is on its way.
    pub fn due(&self) -> Option<Timestamp> {
        let since = self
            .since
            .filter(|_| self.open.is_none() && self.waiting.is_some())?;
        Some(Timestamp::new(since.time() + self.window()))
    }

    /// Returns true if a crash at this time begins a new row.
    fn is_news(&self, at: Timestamp) -> bool {
        self.resolved || elapsed(self.row.map(|row| row.last), at) >= QUIET
    }

    fn begin(&mut self) {
        self.row = None;
        self.instances.clear();
        self.messages = 0;
        self.resolved = false;
    }

    fn add_to_row(&mut self, crash: &Crash) {
        self.row = Some(add(self.row, crash.at));
        if self.instances.len() < MAX_INSTANCES {
            self.instances.insert(crash.instance.clone());
        }
    }

    fn may_speak(&self, now: Timestamp) -> bool {
        let lately = self
            .taken
            .iter()
            .filter(|at| elapsed(Some(**at), now) < WINDOW)
            .count();
        lately < MAX_AN_HOUR && (!self.refused || elapsed(self.since, now) >= self.window())
    }

    /// Returns the time from the latest message to the next.
    fn window(&self) -> Duration {
        match self.messages {
            // This row had no message yet.
            0 => Duration::ZERO,
            1 => FIRST_WINDOW,
            _ => WINDOW,
        }
    }

    fn say(&mut self, id: ReportId, kind: Kind, new: Option<Series>, now: Timestamp) {
        self.latest = Some((id.clone(), now));
        self.open = Some(Message { id, kind, new });
    }

    /// Returns the id of the message after the latest. It is known before the message is made, and
    /// the same each time.
    fn next_id(&self, name: &str, now: Timestamp) -> ReportId {
        match &self.latest {
            Some((latest, made_at)) => ReportId::derived(*made_at, &[name, latest.as_str()]),
            None => ReportId::derived(now, &[name]),
        }
    }
}

fn add(series: Option<Series>, at: Timestamp) -> Series {
    series.map_or(Series::one(at), |series| series.and(Some(Series::one(at))))
}

/// Returns how long ago that was. The answer is "for ever" if it never was, or if only a clock that
/// was set back explains it.
fn elapsed(at: Option<Timestamp>, now: Timestamp) -> Duration {
    match at {
        Some(at) if at.since(now) <= WINDOW => now.since(at),
        _ => Duration::MAX,
    }
}

#[cfg(test)]
mod tests;
