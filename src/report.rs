//! All that lastwords knows about one stop of one service. Plain data: every module may import it,
//! and it imports none.
//!
//! A [`Report`] does not change once it is in the spool. Its JSON form is a public format: `format`
//! grows when a field changes its meaning; within one format, fields are only added.

mod cause;
mod condition;
mod data;
mod names;
#[cfg(test)]
mod schema;
mod section;
mod sink_key;
mod stop;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use cause::{Cause, Confidence, Death, Evidence};
pub use condition::{Condition, OtherService};
pub use data::{
    Capacity, CgroupMemory, FileSystem, JournalEnd, LoadAverage, LogEnd, MemoryUse, Pressure,
    PressureShare, ProgramFile, SectionData, Space,
};
pub use names::{ReportId, Timestamp};
#[cfg(test)]
pub(crate) use section::section;
pub use section::{CollectorKind, Section, Status};
pub use sink_key::SinkKey;
pub use stop::{Exit, Stop, Supervisor, signal_name, signal_of_code};

/// The version of the report's JSON form that this program writes.
pub const FORMAT: u32 = 1;

/// One crash report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// The version of this form: [`FORMAT`].
    pub format: u32,
    /// The report's name. Every message shows it, and `lastwords show` takes it.
    pub id: ReportId,
    /// The user whose hook made the report, unless that was root. Its content is only as
    /// trustworthy as that user.
    #[serde(default)]
    pub user: Option<u32>,
    /// That user's name, if the machine knew one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The occasion: a crash, or something else.
    #[serde(default)]
    pub kind: Kind,
    /// The sinks that get it.
    #[serde(default)]
    pub to: Audience,
    /// True if `--simulate-crash` made it: nothing died.
    pub drill: bool,
    /// The host's name.
    pub host: String,
    /// The stop: the service, and when and how it ended.
    pub stop: Stop,
    /// The judgement: planned, crashed, or could not start.
    pub verdict: Verdict,
    /// The reason for the verdict, in one sentence.
    pub verdict_because: String,
    /// The cause of death, as far as it is known.
    pub cause: Cause,
    /// The causes of the crashes, if the report stands for crashes of several: the most frequent
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<CauseCount>,
    /// Two crashes of one job are the same if this is: 16 hexadecimal digits.
    pub fingerprint: String,
    /// The state of the machine: one section for each collector.
    pub sections: Vec<Section>,
    /// A comparison with earlier deaths of the same job; the deliverer adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
    /// How things stand with the service as this message is sent. In the spool: the answer that
    /// made it due to say that the service is down, else `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Condition>,
    /// Failures and assumptions of lastwords itself, in sentences for people.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Instructions for the people in charge: the job's `runbook`.
    #[serde(default)]
    pub runbook: Option<String>,
    /// How safely the hook could store the report.
    #[serde(default)]
    pub level: Safety,
}

/// How safely a report is stored. If a hook cannot store it in one way, it tries the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Safety {
    /// In the spool, synced to the disk: it survives a crash of the machine.
    #[default]
    Durable,
    /// As `durable`, on a full disk: in a file that was set aside for this. Sections that did not
    /// fit were left out.
    Reserve,
    /// As `durable`, on a full disk: in the space that deleting a reserved file freed.
    Ballast,
    /// The main facts survive a crash of the machine, in the name of an empty file. The rest is in
    /// memory.
    NameOnly,
    /// In memory (tmpfs): it survives the process, but not a crash of the machine.
    Memory,
}

impl Safety {
    /// Returns a note for people about a report that was not on the disk at once.
    pub fn note(self) -> Option<String> {
        let note = match self {
            Self::Durable | Self::Reserve | Self::Ballast => return None,
            Self::NameOnly => "at first only its facts were on the disk, and the rest in memory",
            Self::Memory => {
                "at first it was in memory only: the disk did not take it, or lastwords was killed"
            }
        };
        Some(note.to_owned())
    }
}

impl Report {
    /// Returns the fingerprints of the crashes that the report stands for.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        let others = self.causes.iter().map(|cause| cause.fingerprint.as_str());
        let others = others.filter(|other| !other.is_empty() && *other != self.fingerprint);
        std::iter::once(self.fingerprint.as_str()).chain(others)
    }

    /// Returns when the report was made; for a crash, when the service stopped.
    pub fn made_at(&self) -> Timestamp {
        self.kind.made_at().unwrap_or(self.stop.stopped_at)
    }

    /// Makes it a user's claim about a service that the config does not give to that user. It
    /// becomes the report of a job of that user's own, so that it stands in no way of the service.
    pub fn make_a_claim(&mut self, uid: u32) {
        self.user = Some(uid);
        self.stop.instance = Some(self.stop.service());
        self.stop.job = claims_of(uid);
    }

    /// Returns the service that this is a user's claim about; `None` if it is no claim.
    pub fn claimed(&self) -> Option<&str> {
        let instance = self.stop.instance.as_deref()?;
        (self.stop.job == claims_of(self.user?)).then_some(instance)
    }
}

/// Returns the job of a user's claims.
fn claims_of(uid: u32) -> String {
    format!("user-{uid}")
}

/// The occasion of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A service has died.
    #[default]
    Crash,
    /// A service keeps dying of the same cause. The report stands for the crashes without a message
    /// of their own. Its other fields are those of the first crash, its sections those of the
    /// latest.
    Summary {
        /// The crashes that no other message has mentioned.
        new: Series,
        /// All crashes, including those of earlier messages.
        all: Series,
        /// The number of the job's instances that crashed.
        instances: usize,
        /// When the report was made.
        made_at: Timestamp,
    },
    /// The service has been up again for a while.
    Recovered {
        /// The crashes that no other message has mentioned.
        new: Option<Series>,
        /// All crashes since it last ran for so long.
        all: Series,
        /// The number of the job's instances that crashed.
        instances: usize,
        /// The time since it came up, in seconds.
        up_s: u64,
        /// When its last run ended well, if its runs are to end; `up_s` is the time since its
        /// latest crash then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended_well: Option<Timestamp>,
        /// When somebody stopped it, after it had come up again; `up_s` is the time since then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stopped: Option<Timestamp>,
        /// When the report was made.
        made_at: Timestamp,
    },
    /// The service is down and stays so: its supervisor has given up, or nothing restarts it. The
    /// report's other fields are those of the latest crash.
    Down {
        /// When that was first seen.
        since: Timestamp,
        /// True if it was told before.
        is_reminder: bool,
        /// True if it had come up since it was down before, of which people were told.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_again: bool,
        /// When the report was made.
        made_at: Timestamp,
    },
    /// A message about lastwords itself: one sentence in `cause`, the explanation in
    /// `verdict_because`.
    Notice,
}

impl Kind {
    /// Returns when the report was made, unless that is when the service stopped.
    pub fn made_at(self) -> Option<Timestamp> {
        match self {
            Self::Summary { made_at, .. }
            | Self::Recovered { made_at, .. }
            | Self::Down { made_at, .. } => Some(made_at),
            Self::Crash | Self::Notice => None,
        }
    }
}

/// Several crashes, counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Series {
    /// The number of crashes.
    pub count: u64,
    /// The time of the first one.
    pub first: Timestamp,
    /// The time of the last one.
    pub last: Timestamp,
}

impl Series {
    /// Returns a series of one crash.
    pub fn one(at: Timestamp) -> Self {
        Self {
            count: 1,
            first: at,
            last: at,
        }
    }

    /// Returns these crashes and `later` ones together.
    #[must_use]
    pub fn and(self, later: Option<Self>) -> Self {
        let Some(later) = later else { return self };
        Self {
            count: self.count.saturating_add(later.count),
            last: later.last,
            ..self
        }
    }
}

/// A cause, and the crashes of it that a report stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CauseCount {
    /// The sort of death.
    pub kind: Death,
    /// The cause of the latest crash, in one line.
    pub line: String,
    /// The fingerprint of these crashes; empty for those of further causes, counted together.
    pub fingerprint: String,
    /// The crashes: of a summary the new ones, of a recovery all.
    pub crashes: Series,
}

/// A comparison of a job's latest death with the earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Past {
    /// The earlier deaths of the same cause.
    #[serde(default)]
    pub same: Option<Series>,
    /// The earlier deaths of other causes.
    #[serde(default)]
    pub others: Option<Series>,
    /// The cause of the death before this one, if it was a different one.
    #[serde(default)]
    pub last_cause: Option<String>,
    /// The uptime before a death of the same cause, in seconds: the median of the latest ones.
    #[serde(default)]
    pub usual_uptime_s: Option<f64>,
    /// The program file, if it has changed since the death before this one.
    #[serde(default)]
    pub changed: Option<Changed>,
    /// The number of deaths of any cause in each of the last 24 hours of the clock (UTC), oldest
    /// first. This death is counted, in the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<u64>,
}

/// A file that has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Changed {
    /// The file's path.
    pub path: String,
    /// The time of the change, according to the file system.
    pub modified: Timestamp,
}

/// The sinks that get a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The job's sinks.
    #[default]
    Job,
    /// Only this sink: the others have got more of these messages, or fewer.
    Only(#[cfg_attr(test, schemars(with = "String"))] SinkKey),
    /// All sinks of the machine and of the job except this one.
    AllBut(#[cfg_attr(test, schemars(with = "String"))] SinkKey),
}

/// The judgement of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Someone stopped the service on purpose.
    Planned,
    /// The service ended, and no one had stopped it.
    Crashed,
    /// The service never came up: a command before the main process failed, or the main process
    /// could not be run.
    AbortedStart,
    /// Planned or not: the supervisor does not tell.
    Unknown,
    /// Nothing ended: a run that was expected did not begin, or none ended well, in time.
    Missed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Planned => "was stopped as planned",
            Self::Crashed => "crashed",
            Self::AbortedStart => "could not start",
            Self::Unknown => "ended, perhaps as planned",
            Self::Missed => "missed its time",
        })
    }
}

/// A report for tests.
#[cfg(test)]
pub(crate) fn sample() -> Report {
    let stopped_at = Timestamp::try_from("2026-11-23T03:00:00.250Z".to_owned()).unwrap();
    Report {
        format: FORMAT,
        id: ReportId::parse("20261123t030000-0123456789abcdef").unwrap(),
        user: None,
        user_name: None,
        kind: Kind::Crash,
        to: Audience::Job,
        drill: false,
        host: "db1".into(),
        stop: Stop {
            job: "web".into(),
            instance: None,
            supervisor: Supervisor::new("upstart"),
            started_at: Some(Timestamp::try_from("2026-11-23T02:00:00Z".to_owned()).unwrap()),
            stopped_at,
            uptime_s: Some(3600.25),
            pid: Some(4242),
            exit: Exit::Code(1),
            invocation: None,
            directory: None,
        },
        verdict: Verdict::Crashed,
        verdict_because: "it was running and nobody had asked it to stop".into(),
        cause: Cause {
            kind: Death::PlainExit,
            line: "exit code 1".into(),
            confidence: Confidence::Certain,
            evidence: vec![Evidence {
                source: "kernel log".into(),
                line: None,
                text: "init: web main process (4242) terminated with status 1".into(),
            }],
            last_words: None,
        },
        causes: Vec::new(),
        fingerprint: "0011223344556677".into(),
        sections: vec![section("log", "listening on 8080\nError: boom")],
        past: None,
        now: None,
        notes: Vec::new(),
        runbook: Some("https://wiki.example.com/web".into()),
        level: Safety::Durable,
    }
}
