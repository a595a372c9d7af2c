//! One end of a service: when it was, and by what exit code or signal.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One end of a supervised service, according to its supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stop {
    /// The job's name as the supervisor writes it. Hostile input: it may hold `/`, `..`, spaces.
    pub job: String,
    /// The instance's name; null if the job has no instances.
    #[serde(default)]
    pub instance: Option<String>,
    /// The supervisor of the service.
    pub supervisor: Supervisor,
    /// When the hook before the start ran.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When the hook after the stop ran.
    pub stopped_at: Timestamp,
    /// The seconds from the start to the stop, by a clock that cannot be set.
    #[serde(default)]
    pub uptime_s: Option<f64>,
    /// The main process's id, if known. The process is gone: another one may have the number now.
    #[serde(default)]
    pub pid: Option<u32>,
    /// How the main process ended.
    pub exit: Exit,
    /// systemd's id of this life: `journalctl _SYSTEMD_INVOCATION_ID=…` shows its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// The directory in which runit or s6 keeps the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

impl Stop {
    /// Returns the service's name for people: `web`, or `web (a/b)` with an instance.
    pub fn service(&self) -> String {
        match &self.instance {
            Some(instance) => format!("{} ({instance})", self.job),
            None => self.job.clone(),
        }
    }
}

/// The supervisor that starts and stops the service, by name: `systemd`, `runit`.
///
/// A report may come from another version of lastwords, so a name that this version does not know
/// is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Supervisor(Cow<'static, str>);

impl Supervisor {
    /// Maximum length of a name, in bytes.
    const MAX: usize = 32;
    /// No supervisor that lastwords knows: the job was named on the command line.
    pub const UNKNOWN: Self = Self::new("unknown");

    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Returns the name by which it is given on the command line.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Supervisor {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_".contains(&c);
        if (1..=Self::MAX).contains(&name.len()) && name.bytes().all(plain) {
            Ok(Self(Cow::Owned(name)))
        } else {
            Err("this is no name of a supervisor")
        }
    }
}

impl fmt::Display for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self.name() {
            "upstart" => "Upstart",
            "run" => "lastwords run",
            "unknown" => "an unknown supervisor",
            name => name,
        })
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// The process ended by itself with this exit code.
    Code(i32),
    /// A signal killed it.
    Signal {
        /// The signal's name without `SIG`, or its number if it has no name: `SEGV`, `KILL`, `34`.
        name: String,
        /// True if the kernel wrote a core dump.
        core_dumped: bool,
    },
    /// The supervisor did not tell.
    Unknown,
}

impl Exit {
    /// Returns true if this signal killed the process.
    pub fn is_signal(&self, wanted: &str) -> bool {
        matches!(self, Self::Signal { name, .. } if name == wanted)
    }

    /// Returns true if this is the same way to end, with or without a core dump.
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Signal { name: ours, .. }, Self::Signal { name: theirs, .. }) => ours == theirs,
            (ours, theirs) => ours == theirs,
        }
    }

    /// Returns true if the process died of a fault of its own: of a signal that the kernel or the
    /// program itself raises, and that no one uses to stop a service.
    pub fn is_fault(&self) -> bool {
        [
            "SEGV", "BUS", "FPE", "ILL", "ABRT", "SYS", "TRAP", "XCPU", "XFSZ",
        ]
        .iter()
        .any(|name| self.is_signal(name))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal { name, core_dumped } => {
                let nameless = name.starts_with(|first: char| first.is_ascii_digit());
                write!(
                    f,
                    "killed by {}{name}",
                    if nameless { "signal " } else { "SIG" }
                )?;
                if let Some(meaning) = signal_meaning(name) {
                    write!(f, " ({meaning})")?;
                }
                f.write_str(if *core_dumped { ", core dumped" } else { "" })
            }
            Self::Unknown => f.write_str("exit unknown"),
        }
    }
}

/// The names of the signals from 1 on; see signal(7).
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Returns the name of a signal without `SIG`, or its number if it has no name.
pub fn signal_name(number: i32) -> String {
    named_signal(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// Returns the signal that a shell or a container means by this exit code; see "Exit Status" in
/// bash(1).
pub fn signal_of_code(code: i32) -> Option<&'static str> {
    // These do not kill.
    let harmless = [
        "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH",
    ];
    named_signal(code.checked_sub(128)?).filter(|name| !harmless.contains(name))
}

fn named_signal(number: i32) -> Option<&'static str> {
    SIGNALS
        .get(usize::try_from(number).ok()?.checked_sub(1)?)
        .copied()
}

/// Returns the meaning of a signal whose name alone says little; see signal(7).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_the_name_of_a_supervisor_that_this_version_does_not_know() {
        let read: Supervisor = serde_json::from_str("\"launchd\"").unwrap();
        assert_eq!(
            (read.name(), read.to_string().as_str()),
            ("launchd", "launchd")
        );
        assert_eq!(serde_json::to_string(&read).unwrap(), "\"launchd\"");
        for hostile in ["", "a b", "<b>", "Upstart", "a\u{1b}", &"a".repeat(33)] {
            let json = serde_json::to_string(hostile).unwrap();
            assert!(
                serde_json::from_str::<Supervisor>(&json).is_err(),
                "{hostile:?}"
            );
        }
    }
}
