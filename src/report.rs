//! What lastwords knows about one stop of one service: plain data, read by everyone, knowing no one.
//!
//! A [`Report`] is immutable once it is in the spool. Its JSON form is a public format: `format` grows when a field
//! changes its meaning, and fields are only ever added within one format.

#[cfg(test)]
mod schema;

use std::fmt;
use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

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
    /// The user whose hook made it, where that was not root's: nobody but root vouches for what it says.
    #[serde(default)]
    pub user: Option<u32>,
    /// How safe it was when the hook had done what it could.
    #[serde(default)]
    pub level: Level,
}

/// How safe a report is: the rungs of the ladder that a hook falls through where the machine is at its worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// In the spool, synced to the disk: it survives the machine.
    #[default]
    Durable,
    /// The same on a full disk, in a file that was set aside for that. What did not fit into it was left out.
    Reserve,
    /// The same on a full disk, in the room that the ballast gave back.
    Ballast,
    /// The facts survive the machine, in the name of an empty file; the rest only the process, in memory.
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
            Self::Memory => "at first it was in memory only: the disk did not take it, or lastwords was killed",
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
    /// A service keeps dying of the same cause: stands for the crashes that were not told one by one. The other fields
    /// are those of the first crash, the sections those of the latest.
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
    /// lastwords speaks about itself: in a sentence (`cause`), and what to know about it (`verdict_because`).
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
        Self { count: 1, first: at, last: at }
    }

    /// These crashes, and then those.
    #[must_use]
    pub fn and(self, later: Option<Self>) -> Self {
        let Some(later) = later else { return self };
        Self { count: self.count.saturating_add(later.count), last: later.last, ..self }
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
    /// For how many seconds it was up before it died of the same cause: the median of the latest ones.
    #[serde(default)]
    pub usual_uptime_s: Option<f64>,
    /// What has changed since the death before this one.
    #[serde(default)]
    pub changed: Option<Changed>,
    /// How often it died, of whatever cause, in each of the 24 hours up to this death's own, oldest first; this death is
    /// counted. Hours as the clock (UTC) has them.
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
    Only(String),
    /// All of the machine's sinks and the job's, but not this one.
    AllBut(String),
}

/// One end of a supervised service, as its supervisor told it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stop {
    /// The job's name as the supervisor writes it. Hostile input: it may hold `/`, `..`, spaces.
    pub job: String,
    /// The instance's name; `None` where the job has no instances.
    #[serde(default)]
    pub instance: Option<String>,
    /// Who supervised it.
    pub supervisor: Supervisor,
    /// When the hook before the start ran.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When the hook after the stop ran.
    pub stopped_at: Timestamp,
    /// Seconds from the start to the stop, by a clock that nobody sets.
    #[serde(default)]
    pub uptime_s: Option<f64>,
    /// The main process's id, where it is known. The process is gone: the number may be another's by now.
    #[serde(default)]
    pub pid: Option<u32>,
    /// How the main process ended.
    pub exit: Exit,
    /// systemd's id of this life: `journalctl _SYSTEMD_INVOCATION_ID=…` shows its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
}

impl Stop {
    /// The service as people name it: `web`, or `web (a/b)` with an instance.
    pub fn service(&self) -> String {
        match &self.instance {
            Some(instance) => format!("{} ({instance})", self.job),
            None => self.job.clone(),
        }
    }
}

/// Who starts and stops the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Supervisor {
    Upstart,
    Systemd,
    Runit,
    S6,
    Supervisord,
    /// `lastwords run`: the main process's own parent.
    Run,
    /// Nobody that lastwords knows: the job was named on the command line.
    #[default]
    Unknown,
}

impl Supervisor {
    /// Those that lastwords knows.
    pub const KNOWN: [Self; 6] = [Self::Upstart, Self::Systemd, Self::Runit, Self::S6, Self::Supervisord, Self::Run];

    /// The name by which it is given on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upstart => "upstart",
            Self::Systemd => "systemd",
            Self::Runit => "runit",
            Self::S6 => "s6",
            Self::Supervisord => "supervisord",
            Self::Run => "run",
            Self::Unknown => "unknown",
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// Where none has it; it says which there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let known = || Self::KNOWN.map(Self::name).join(", ");
        Self::KNOWN.into_iter().find(|it| it.name() == name).ok_or_else(|| format!("expected one of {}", known()))
    }
}

impl fmt::Display for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Upstart => "Upstart",
            Self::Systemd => "systemd",
            Self::Runit => "runit",
            Self::S6 => "s6",
            Self::Supervisord => "supervisord",
            Self::Run => "lastwords run",
            Self::Unknown => "an unknown supervisor",
        })
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It ended by itself with this exit code.
    Code(i32),
    /// A signal killed it; the name comes without `SIG`. One that has no name (a real-time one) goes by its number.
    Signal {
        /// `SEGV`, `KILL`, or a number.
        name: String,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
    /// Nobody said.
    Unknown,
}

impl Exit {
    /// Whether this signal killed it.
    pub fn is_signal(&self, wanted: &str) -> bool {
        matches!(self, Self::Signal { name, .. } if name == wanted)
    }

    /// Whether this is the same way to end; a core dump makes no difference.
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Signal { name: ours, .. }, Self::Signal { name: theirs, .. }) => ours == theirs,
            (ours, theirs) => ours == theirs,
        }
    }

    /// Whether the process died of a fault of its own: of a signal that the kernel or the program itself raises, and
    /// with which nobody stops a service.
    pub fn is_fault(&self) -> bool {
        ["SEGV", "BUS", "FPE", "ILL", "ABRT", "SYS", "TRAP", "XCPU", "XFSZ"].iter().any(|name| self.is_signal(name))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal { name, core_dumped } => {
                let nameless = name.starts_with(|first: char| first.is_ascii_digit());
                write!(f, "killed by {}{name}", if nameless { "signal " } else { "SIG" })?;
                if let Some(meaning) = signal_meaning(name) {
                    write!(f, " ({meaning})")?;
                }
                f.write_str(if *core_dumped { ", core dumped" } else { "" })
            }
            Self::Unknown => f.write_str("exit unknown"),
        }
    }
}

/// From 1 on; see signal(7).
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// The name of a signal, without `SIG`; its number where it has none.
pub fn signal_name(number: i32) -> String {
    named_signal(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// The signal that a shell or a container means by this exit code; see "Exit Status" in bash(1).
pub fn signal_of_code(code: i32) -> Option<&'static str> {
    // These kill nobody.
    let harmless = ["CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH"];
    named_signal(code.checked_sub(128)?).filter(|name| !harmless.contains(name))
}

fn named_signal(number: i32) -> Option<&'static str> {
    SIGNALS.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

/// What a signal's name says to people, for those whose name alone does not; see signal(7).
fn signal_meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "SEGV" => "invalid memory access",
        "BUS" => "bad memory access",
        "FPE" => "arithmetic error",
        "ILL" => "illegal instruction",
        "SYS" => "bad system call",
        "ABRT" => "aborted itself",
        "TRAP" => "trap",
        "XCPU" => "CPU time limit",
        "XFSZ" => "file size limit",
        "PIPE" => "broken pipe",
        _ => return None,
    })
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
    /// It never came up: what runs before the main process failed, or the main process could not be run.
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

/// Why a service died.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cause {
    /// What sort of death it was.
    #[serde(default)]
    pub kind: Death,
    /// The one line that answers "why".
    pub line: String,
    /// How sure that is.
    pub confidence: Confidence,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
}

/// What sort of death a service died: the most specific one that the evidence shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Death {
    /// An exception that nothing caught.
    UncaughtException,
    /// A rejected promise that nothing handled.
    UnhandledRejection,
    /// The runtime's own limit: it had no memory left to hand out.
    OutOfMemoryHeap,
    /// The kernel killed it for want of memory.
    OomKilled,
    /// A signal, and nothing more is known.
    KilledBySignal,
    /// An invalid memory access.
    Segfault,
    /// It aborted itself.
    Abort,
    /// An assertion did not hold.
    Assertion,
    /// A panic, as Go and Rust have them.
    Panic,
    /// Recursion without an end.
    StackOverflow,
    /// The address that it wanted to listen on is taken.
    PortInUse,
    /// A module, package, class or shared library is not there.
    MissingModule,
    /// Its program or its configuration does not parse.
    SyntaxError,
    /// It was called with arguments that it does not take.
    BadArguments,
    /// A file, directory or program is not there.
    NoSuchFile,
    /// It lacks a right.
    Permission,
    /// The disk, or its quota, is full.
    DiskFull,
    /// No file descriptor was left.
    TooManyFiles,
    /// Another service that it needs did not answer.
    DependencyUnreachable,
    /// It ended by itself; what it said at its end, if anything, is none of the others.
    PlainExit,
    /// Nothing tells.
    #[default]
    Unknown,
}

impl fmt::Display for Death {
    /// As data has it: `uncaught-exception`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

/// How far the evidence carries a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The supervisor or the kernel said so.
    Certain,
    /// The evidence fits this cause and no other that is known.
    Likely,
    /// Nothing proves a cause.
    None,
}

impl Confidence {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::None => "not proven",
        }
    }
}

/// One thing that was seen, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// Where: `kernel log`, `environment of the hook`, a file's path.
    pub source: String,
    /// Which line of what was read of it, from 1; `None` where it has no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The line as it stands there.
    pub text: String,
}

/// What one collector brought home.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Section {
    /// The collector's name.
    pub collector: String,
    /// Whether it could.
    pub status: Status,
    /// For people. Hostile input: log text may hold anything but invalid UTF-8.
    pub text: String,
    /// For programs; its form is the collector's own.
    #[serde(default)]
    pub data: serde_json::Value,
    /// How long it took.
    pub millis: u64,
}

/// How a collector's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Ok,
    /// It could not; the text says why.
    Failed,
    /// It may not: the hook runs as a user who cannot see this.
    Denied,
    /// It was still at it at its deadline.
    TimedOut,
}

/// A report's name: when it was made, to the millisecond, and 52 random bits, in characters that are safe in a file name,
/// a message id and a URL. Names sort as the reports were made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReportId(String);

impl ReportId {
    /// Names the report of a stop at `time`; of `random`, the lower 52 bits are taken.
    pub fn new(time: Timestamp, random: u64) -> Self {
        let second: String = time.to_string().chars().filter(char::is_ascii_alphanumeric).take(15).collect();
        let millis = time.time().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_millis();
        let random = random & (u64::MAX >> 12);
        Self(format!("{}-{millis:03x}{random:013x}", second.to_ascii_lowercase()))
    }

    /// Names a message that is about `parts`, such that whoever says the same again uses the same name.
    pub fn derived(time: Timestamp, parts: &[&str]) -> Self {
        let mut hash = Context::new(&SHA256);
        for part in parts {
            hash.update(&part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        let bits = hash.finish().as_ref().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Self::new(time, bits)
    }

    /// Takes a name that came from outside.
    ///
    /// # Errors
    /// Where it is not one that [`ReportId::new`] could have made: 15 characters of time, `-`, 16 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = |(i, c): (usize, u8)| match i {
            8 => c == b't',
            15 => c == b'-',
            0..15 => c.is_ascii_digit(),
            _ => c.is_ascii_digit() || (b'a'..=b'f').contains(&c),
        };
        if text.len() == 32 && text.bytes().enumerate().all(shape) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a report's id: those look like 20261123t030000-0123456789abcdef"))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The second in which the report was named; 1970 where the name holds no such date.
    pub fn time(&self) -> Timestamp {
        let part = |range: std::ops::Range<usize>| self.0.get(range).unwrap_or_default();
        let (date, time) = ([part(0..4), part(4..6), part(6..8)].join("-"), [part(9..11), part(11..13), part(13..15)]);
        let time = format!("{date}T{}Z", time.join(":"));
        Timestamp::try_from(time).unwrap_or(Timestamp::new(SystemTime::UNIX_EPOCH))
    }
}

impl TryFrom<String> for ReportId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<ReportId> for String {
    fn from(id: ReportId) -> Self {
        id.0
    }
}

impl fmt::Display for ReportId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A moment, written as RFC 3339 in UTC with milliseconds.
///
/// A clock may show anything at the worst moment: what RFC 3339 cannot write is held at its bounds, the years 1970 and
/// 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(SystemTime);

/// The last second of the year 9999, in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

impl Timestamp {
    /// The moment, held within what can be written.
    pub fn new(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = Duration::new(since.as_secs().min(LAST_SECOND), since.subsec_millis() * 1_000_000);
        Self(SystemTime::UNIX_EPOCH + millis)
    }

    pub fn time(self) -> SystemTime {
        self.0
    }

    /// How long after `earlier` this is; nothing where it is not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.duration_since(earlier.0).unwrap_or_default()
    }

    /// The moment so many seconds after 1970.
    pub fn of_unix(seconds: u64) -> Self {
        Self::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND)))
    }

    /// Seconds since 1970.
    pub fn unix(self) -> u64 {
        self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        humantime::format_rfc3339_millis(self.0).fmt(f)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        humantime::parse_rfc3339(&text).map(Self::new).map_err(|why| format!("{text:?} is not a time: {why}"))
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
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
            supervisor: Supervisor::Upstart,
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
        sections: vec![Section {
            collector: "log".into(),
            status: Status::Ok,
            text: "listening on 8080\nError: boom".into(),
            data: serde_json::Value::Null,
            millis: 1,
        }],
        past: None,
        notes: Vec::new(),
        runbook: Some("https://wiki.example.com/web".into()),
        user: None,
        level: Level::Durable,
    }
}
