//! A group: the crashes of one job that are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::times::{FIRST_WINDOW, FORGOTTEN, QUIET, WINDOW, elapsed};
use crate::cause::fingerprint::type_of;
use crate::report::{Cause, Death, ReportId, Series, Timestamp};

/// Maximum number of services that are watched for being up again.
const MAX_SERVICES: usize = 100;

/// One crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    pub id: ReportId,
    pub at: Timestamp,
    pub service: Service,
    /// The same for the same crash.
    pub fingerprint: String,
    pub kind: Death,
    /// Its cause in one line.
    pub line: String,
    /// True if nothing died, and a run is missing.
    pub is_missed: bool,
}

/// An instance of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Service {
    pub job: String,
    pub instance: Option<String>,
}

/// A sign that a service is well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It has been running for so long.
    Up(Duration),
    /// Its last run that ended well ended then.
    EndedWell(Timestamp),
    /// It came up, and somebody stopped it then.
    Stopped(Timestamp),
}

impl Sign {
    /// Returns when its last run ended well, if that is the sign.
    pub fn ended_well(self) -> Option<Timestamp> {
        match self {
            Self::EndedWell(at) => Some(at),
            Self::Up(_) | Self::Stopped(_) => None,
        }
    }

    /// Returns when it was stopped, if that is the sign.
    pub fn stopped(self) -> Option<Timestamp> {
        match self {
            Self::Stopped(at) => Some(at),
            Self::Up(_) | Self::EndedWell(_) => None,
        }
    }
}

/// Everything that is remembered of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub kind: Death,
    /// The cause of its latest crash.
    pub line: String,
    pub latest: Option<ReportId>,
    /// This row of crashes, from the first one after a time without any.
    pub row: Option<Series>,
    /// Crashes that no message tells of yet.
    pub waiting: Option<Series>,
    /// Services that crashed in this row.
    pub services: BTreeSet<Service>,
    told: Mention,
    /// True if it has the fingerprint of the version before, which may differ from today's.
    #[serde(default)]
    pub is_old: bool,
    /// True if it is of runs that are missing: each is news, and over with the next good end.
    #[serde(default)]
    is_missed: bool,
}

/// The latest that a sink was told of a row of crashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mention {
    /// Nothing, and what waits is due at once.
    #[default]
    Nothing,
    /// Nothing, because the brake held the first crash back at that time.
    Held(Timestamp),
    /// Of the first crash, at that time.
    First(Timestamp),
    /// Of several, last at that time.
    Several(Timestamp),
}

impl Group {
    /// Returns what the version before has kept. `told` is when the sink was told last, and whether
    /// that was of the first crash alone.
    pub fn old(
        cause: &Cause,
        row: Option<Series>,
        waiting: Option<Series>,
        told: Option<(Timestamp, bool)>,
    ) -> Self {
        let told = match told {
            None => Mention::Nothing,
            Some((at, true)) => Mention::First(at),
            Some((at, false)) => Mention::Several(at),
        };
        Self {
            kind: cause.kind,
            line: cause.line.clone(),
            row,
            waiting,
            told,
            is_old: true,
            ..Self::default()
        }
    }

    /// Returns true if this crash begins a new row.
    pub fn is_news(&self, crash: &Crash) -> bool {
        // There was a good end since the run that was missing before.
        crash.is_missed || self.is_quiet(crash.at)
    }

    /// Returns true if it is of runs that are missing.
    pub fn is_missed(&self) -> bool {
        self.is_missed
    }

    /// Returns true if there was none lately before this time.
    pub fn is_quiet(&self, at: Timestamp) -> bool {
        elapsed(self.row.map(|row| row.last), at) >= QUIET
    }

    /// Returns true if this crash may be one of a group that an older version has kept.
    pub fn is_like(&self, crash: &Crash) -> bool {
        self.kind == crash.kind && type_of(&self.line) == type_of(&crash.line)
    }

    /// Begins a new row.
    pub fn begin(&mut self) {
        self.row = self.waiting;
        self.services.clear();
        if !self.is_held() {
            self.told = Mention::Nothing;
        }
    }

    /// Takes a crash into the row.
    pub fn add(&mut self, crash: &Crash) {
        self.row = Some(add(self.row, crash.at));
        self.kind = crash.kind;
        self.is_missed = crash.is_missed;
        self.line.clone_from(&crash.line);
        self.latest = Some(crash.id.clone());
        if self.services.len() < MAX_SERVICES {
            self.services.insert(crash.service.clone());
        }
    }

    /// Records that the brake holds its first crash back, if nothing of the row was told or waits.
    pub fn hold(&mut self, now: Timestamp) {
        if self.told == Mention::Nothing && self.waiting.is_none() {
            self.told = Mention::Held(now);
        }
    }

    /// Counts a crash for the next summary.
    pub fn count(&mut self, at: Timestamp) {
        self.waiting = Some(add(self.waiting, at));
    }

    /// Records that a sink was told of the first crash, or of several.
    pub fn tell(&mut self, is_first: bool, at: Timestamp) {
        self.told = match self.told {
            // A summary has overtaken the report of the first crash.
            Mention::Several(later) if is_first => Mention::Several(later),
            _ if is_first => Mention::First(at),
            _ => Mention::Several(at),
        };
    }

    /// Returns the group without its first crash; `None` if that was the only one.
    pub fn without_the_first(self) -> Option<Self> {
        let row = Some(self.waiting?);
        Some(Self { row, ..self })
    }

    /// Returns this row and a later one together.
    #[must_use]
    pub fn and(self, later: Option<Self>) -> Self {
        let Some(mut later) = later else { return self };
        let both = |one: Option<Series>, other| one.map_or(other, |one| Some(one.and(other)));
        later.row = both(self.row, later.row);
        later.waiting = both(self.waiting, later.waiting);
        later.services.extend(self.services);
        later
    }

    /// Returns true if the brake holds its first crash back.
    pub fn is_held(&self) -> bool {
        matches!(self.told, Mention::Held(_))
    }

    /// Returns its latest crash and when that was, if no other waits to be told.
    pub fn only_one_waiting(&self) -> Option<(&ReportId, Timestamp)> {
        let waiting = self.waiting.filter(|waiting| waiting.count == 1)?;
        Some((self.latest.as_ref()?, waiting.last))
    }

    /// Returns true if a summary of what waits is due. `summed` is the time of the job's latest
    /// summary.
    pub fn is_due(&self, summed: Option<Timestamp>, now: Timestamp) -> bool {
        self.waiting.is_some()
            && match self.told {
                Mention::Nothing => true,
                Mention::Held(at) => {
                    elapsed(Some(at), now) >= FIRST_WINDOW && elapsed(summed, now) >= WINDOW
                }
                Mention::First(at) => elapsed(Some(at), now) >= FIRST_WINDOW,
                Mention::Several(at) => elapsed(Some(at), now) >= WINDOW,
            }
    }

    /// Returns when a summary of what waits is due.
    pub fn due(&self, summed: Option<Timestamp>) -> Option<Timestamp> {
        let after = |at: Timestamp, window| Timestamp::new(at.time() + window);
        let row = self.waiting?;
        Some(match self.told {
            Mention::Nothing => row.last,
            Mention::Held(at) => {
                after(at, FIRST_WINDOW).max(summed.map_or(at, |at| after(at, WINDOW)))
            }
            Mention::First(at) => after(at, FIRST_WINDOW),
            Mention::Several(at) => after(at, WINDOW),
        })
    }

    /// Returns for how long all its services have been well: running, without a crash since before
    /// their last run that ended well, or stopped as somebody wanted it. `None` if one is not, or
    /// not for long enough. A good end counts `at_once` if that is to be told anyway.
    pub fn well(
        &self,
        signs: &BTreeMap<Service, Sign>,
        at_once: bool,
        now: Timestamp,
    ) -> Option<Duration> {
        let last = self.row.map(|row| row.last);
        let is_since = |at: Timestamp| Some(at) > last;
        let is_long = |time: &Duration| *time >= QUIET;
        let well = |service| match *signs.get(service)? {
            Sign::Up(time) => Some(time).filter(is_long),
            Sign::EndedWell(at) if is_since(at) => {
                let time = elapsed(last, now);
                Some(time).filter(|time| at_once || self.is_missed || is_long(time))
            }
            // A run that somebody stops is missing still.
            Sign::Stopped(at) if is_since(at) && !self.is_missed => {
                Some(elapsed(Some(at), now)).filter(is_long)
            }
            Sign::EndedWell(_) | Sign::Stopped(_) => None,
        };
        let all: Option<Vec<Duration>> = self.services.iter().map(well).collect();
        all?.into_iter().min()
    }

    /// Returns true if there is nothing to remember.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let at = match self.told {
            Mention::Nothing | Mention::Held(_) => None,
            Mention::First(at) | Mention::Several(at) => Some(at),
        };
        self.waiting.is_none() && elapsed(at, now) >= FORGOTTEN
    }
}

fn add(series: Option<Series>, at: Timestamp) -> Series {
    series.map_or(Series::one(at), |series| series.and(Some(Series::one(at))))
}

/// Returns all these crashes together; `None` if there are none.
pub fn total(series: impl Iterator<Item = Series>) -> Option<Series> {
    series.reduce(|one, other| Series {
        count: one.count.saturating_add(other.count),
        first: one.first.min(other.first),
        last: one.last.max(other.last),
    })
}
