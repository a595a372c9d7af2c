//! What lastwords knows about one stop of one service: plain data, read by everyone, knowing no
//! one.
//!
//! A [`Report`] is immutable once it is in the spool. Its JSON form is a public format: `format`
//! grows when a field changes its meaning, and fields are only ever added within one format.

mod cause;
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
    /// The report's name: what every message shows and `lastwords show` takes.
    pub id: ReportId,
    /// What it tells: of a crash, or of something else.
    #[serde(default)]
    pub kind: Kind,
    /// Whom it is for.
    #[serde(default)]
    pub to: Audience,
    /// Made by `--simulate-crash`: nothing died.
    pub drill: bool,
    /// The host's name.
    pub host: String,
    /// What ended, when and how.
    pub stop: Stop,
    /// Whether that was planned.
    pub verdict: Verdict,
    /// What the verdict rests on, in one sentence.
    pub verdict_because: String,
    /// Why it died, as far as it is known.
    pub cause: Cause,
    /// What makes two crashes the same: 16 hexadecimal digits.
    pub fingerprint: String,
    /// What the machine looked like, a section a collector.
    pub sections: Vec<Section>,
    /// What earlier deaths of the same job say about this one; the deliverer adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
    /// What lastwords itself could not do or had to assume, in sentences for people.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Where the people in charge find out what to do: the job's `runbook`.
    #[serde(default)]
    pub runbook: Option<String>,
    /// The user whose hook made it, where that was not root's: nobody but root vouches for what it
    /// says.
    #[serde(default)]
    pub user: Option<u32>,
    /// How safe it was when the hook had done what it could.
    #[serde(default)]
    pub level: Level,
}

/// How safe a report is: the rungs of the ladder that a hook falls through where the machine is at
/// its worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// In the spool, synced to the disk: it survives the machine.
    #[default]
    Durable,
    /// The same on a full disk, in a file that was set aside for that. What did not fit into it was
    /// left out.
    Reserve,
    /// The same on a full disk, in the room that the ballast gave back.
    Ballast,
    /// The facts survive the machine, in the name of an empty file; the rest only the process, in
    /// memory.
    NameOnly,
    /// In memory (tmpfs): it survives the process, not the machine.
    Memory,
}

impl Level {
    /// What people are to know of a report that was not on the disk at once.
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
    /// When it was made: of a crash, when the service stopped.
    pub fn made_at(&self) -> Timestamp {
        self.kind.made_at().unwrap_or(self.stop.stopped_at)
    }
}

/// What a report tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A service has died.
    #[default]
    Crash,
    /// A service keeps dying of the same cause: stands for the crashes that were not told one by
    /// one. The other fields are those of the first crash, the sections those of the latest.
    Summary {
        /// The crashes that nothing else tells of.
        new: Series,
        /// These and those that were told before.
        all: Series,
        /// How many of the job's instances that were.
        instances: usize,
        /// When it was made.
        made_at: Timestamp,
    },
    /// It has been up again for a while.
    Recovered {
        /// The crashes that nothing else tells of.
        new: Option<Series>,
        /// All that it died of since it last ran for so long.
        all: Series,
        /// How many of the job's instances that were.
        instances: usize,
        /// Seconds for which it has been up.
        up_s: u64,
        /// When it was made.
        made_at: Timestamp,
    },
    /// lastwords speaks about itself: in a sentence (`cause`), and what to know about it
    /// (`verdict_because`).
    Notice,
}

impl Kind {
    /// When it was made, of what is not made when a service stops.
    pub fn made_at(self) -> Option<Timestamp> {
        match self {
            Self::Summary { made_at, .. } | Self::Recovered { made_at, .. } => Some(made_at),
            Self::Crash | Self::Notice => None,
        }
    }
}

/// Crashes that are told together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Series {
    /// How many.
    pub count: u64,
    /// When the first was.
    pub first: Timestamp,
    /// When the last was.
    pub last: Timestamp,
}

impl Series {
    /// One crash.
    pub fn one(at: Timestamp) -> Self {
        Self {
            count: 1,
            first: at,
            last: at,
        }
    }

    /// These crashes, and then those.
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

/// What the earlier deaths of a job say about the latest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Past {
    /// The earlier deaths of the same cause.
    #[serde(default)]
    pub same: Option<Series>,
    /// The earlier deaths of other causes.
    #[serde(default)]
    pub others: Option<Series>,
    /// The cause of the death before this one, where it was another.
    #[serde(default)]
    pub last_cause: Option<String>,
    /// For how many seconds it was up before it died of the same cause: the median of the latest
    /// ones.
    #[serde(default)]
    pub usual_uptime_s: Option<f64>,
    /// What has changed since the death before this one.
    #[serde(default)]
    pub changed: Option<Changed>,
    /// How often it died, of whatever cause, in each of the 24 hours up to this death's own, oldest
    /// first; this death is counted. Hours as the clock (UTC) has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<u64>,
}

/// A file that is another than it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Changed {
    /// Where it is.
    pub path: String,
    /// When it was changed, as its file system says.
    pub modified: Timestamp,
}

/// For whom a report is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// The job's sinks.
    #[default]
    Job,
    /// This sink alone: others have heard more of it, or less.
    Only(#[cfg_attr(test, schemars(with = "String"))] SinkKey),
    /// All of the machine's sinks and the job's, but not this one.
    AllBut(#[cfg_attr(test, schemars(with = "String"))] SinkKey),
}

/// Whether a stop was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Somebody stopped it on purpose.
    Planned,
    /// It ended and nobody had asked for that.
    Crashed,
    /// It never came up: what runs before the main process failed, or the main process could not be
    /// run.
    AbortedStart,
    /// Planned or not: the supervisor shows nothing that would tell.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Planned => "was stopped as planned",
            Self::Crashed => "crashed",
            Self::AbortedStart => "could not start",
            Self::Unknown => "ended, perhaps as planned",
        })
    }
}

/// A report as tests need one.
#[cfg(test)]
pub(crate) fn sample() -> Report {
    let stopped_at = Timestamp::try_from("2026-11-23T03:00:00.250Z".to_owned()).unwrap();
    Report {
        format: FORMAT,
        id: ReportId::parse("20261123t030000-0123456789abcdef").unwrap(),
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
        },
        fingerprint: "0011223344556677".into(),
        sections: vec![section("log", "listening on 8080\nError: boom")],
        past: None,
        notes: Vec::new(),
        runbook: Some("https://wiki.example.com/web".into()),
        user: None,
        level: Level::Durable,
    }
}
