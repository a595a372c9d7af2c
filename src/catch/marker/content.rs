//! The content of an armed marker.

use std::io::{self, Read};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::old_account;
use crate::clock::Now;
use crate::report::{Supervisor, Timestamp};
use crate::supervisor::account::Account;
use crate::supervisor::run::life::Life;

/// The content of an armed marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The boot in which the marker was armed. A marker of an earlier boot proves nothing.
    pub boot_id: String,
    /// Wall-clock time at which it was armed.
    pub armed_at: Timestamp,
    /// The same moment in milliseconds since the boot.
    pub armed_ms: u64,
    /// Time of the last announcement of a planned stop, in milliseconds since the boot.
    #[serde(default)]
    pub planned_ms: Option<u64>,
    /// Pre-stop ran for a restart that kept the process running, and no stop was announced since.
    #[serde(default, skip_serializing_if = "is_false")]
    pub restarted: bool,
    /// The supervisor's announcement of a stop, as it stood in the environment before the start.
    /// There it announces nothing, and it may stand there for ever: the job's own file sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced_before: Option<String>,
    /// Name of the job, cut to [`MAX_NAME`] bytes. Used in reports, not to find the file.
    #[serde(default)]
    pub job: Option<String>,
    #[serde(default)]
    pub instance: Option<String>,
    /// Sequence number of the last record of the kernel log that belongs to an earlier life.
    #[serde(default)]
    pub seen: Option<u64>,
    /// The supervisor's own id of this life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// Number of processes that the kernel had killed for want of memory between the boot and the
    /// start of the service.
    #[serde(default)]
    pub oom_kills: Option<u64>,
    /// The main process's id, if it armed the marker itself: runit and s6 call the hook in the
    /// script that then becomes the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The service is run once. Its supervisor never wants it up, so that does not mean a stop.
    #[serde(default, skip_serializing_if = "is_false")]
    pub once: bool,
    /// The supervisor whose hook armed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Supervisor>,
    /// The directory in which the supervisor keeps the service, if each has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Account of the end, as the supervisor gave it to the hook.
    #[serde(
        default,
        deserialize_with = "old_account::read_either",
        skip_serializing_if = "Option::is_none"
    )]
    pub account: Option<Account>,
    /// The hook before a stop, or after the end, made this marker because none was armed. The
    /// service's start is unknown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unarmed: bool,
    /// Observations of `lastwords run`, if it runs the service.
    #[serde(default)]
    pub life: Option<Life>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(it: &bool) -> bool {
    !it
}

/// Longest name that a marker keeps, in bytes. No path is longer.
const MAX_NAME: usize = 4096;
/// Size of the largest marker that is read: two names with each byte escaped, and an account.
const MAX_MARKER: u64 = 64 * 1024;

impl Marker {
    pub fn new(boot_id: String, now: Now) -> Self {
        let armed_ms = millis(now.monotonic);
        let armed_at = now.wall;
        Self {
            boot_id,
            armed_at,
            armed_ms,
            planned_ms: None,
            restarted: false,
            announced_before: None,
            job: None,
            instance: None,
            seen: None,
            invocation: None,
            oom_kills: None,
            pid: None,
            once: false,
            by: None,
            directory: None,
            account: None,
            unarmed: false,
            life: None,
        }
    }

    /// Returns the same marker, armed for an instance of a job.
    #[must_use]
    pub fn of(self, job: &str, instance: Option<&str>) -> Self {
        let cut = |name: &str| {
            name.get(..name.floor_char_boundary(MAX_NAME))
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            job: Some(cut(job)),
            instance: instance.map(cut),
            ..self
        }
    }

    /// Reads a marker.
    pub fn read(from: impl Read) -> io::Result<Self> {
        read_json(from)
    }

    /// Returns how long the service has been up.
    pub fn uptime(&self, now: Now) -> Duration {
        now.monotonic
            .saturating_sub(Duration::from_millis(self.armed_ms))
    }

    /// Returns how long ago a planned stop was announced.
    pub fn planned_ago(&self, now: Now) -> Option<Duration> {
        self.planned_ms
            .map(|planned| now.monotonic.saturating_sub(Duration::from_millis(planned)))
    }
}

/// Reads a small JSON file.
pub fn read_json<T: DeserializeOwned>(from: impl Read) -> io::Result<T> {
    let mut text = String::new();
    from.take(MAX_MARKER).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(io::Error::from)
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
