//! Moments, and the names of reports, which begin with one.

use std::fmt;
use std::time::{Duration, SystemTime};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// A report's name: when it was made, to the millisecond, and 52 random bits, in characters that
/// are safe in a file name, a message id and a URL. Names sort as the reports were made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReportId(String);

impl ReportId {
    /// Names the report of a stop at `time`, with the lower 52 bits of `random`.
    pub fn new(time: Timestamp, random: u64) -> Self {
        let second: String = time
            .to_string()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(15)
            .collect();
        let millis = time
            .time()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .subsec_millis();
        let random = random & (u64::MAX >> 12);
        Self(format!(
            "{}-{millis:03x}{random:013x}",
            second.to_ascii_lowercase()
        ))
    }

    /// Names a message about `parts`. The same message gets the same name again.
    pub fn derived(time: Timestamp, parts: &[&str]) -> Self {
        let mut hash = Context::new(&SHA256);
        for part in parts {
            hash.update(&part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        let bits = hash
            .finish()
            .as_ref()
            .iter()
            .take(8)
            .fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Self::new(time, bits)
    }

    /// Reads a name that came from outside.
    ///
    /// # Errors
    /// If it is not one that [`ReportId::new`] could have made: 15 characters of time, `-`, 16
    /// hexadecimal digits.
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
            Err(format!(
                "{text:?} is not a report's id: those look like 20261123t030000-0123456789abcdef"
            ))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns when the report was named, or 1970 if the name holds no such moment.
    pub fn time(&self) -> Timestamp {
        let part = |range: std::ops::Range<usize>| self.0.get(range).unwrap_or_default();
        let (date, time) = (
            [part(0..4), part(4..6), part(6..8)].join("-"),
            [part(9..11), part(11..13), part(13..15)],
        );
        let millis = u32::from_str_radix(part(16..19), 16)
            .unwrap_or_default()
            .min(999);
        let time = format!("{date}T{}.{millis:03}Z", time.join(":"));
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
/// A clock may show anything. A moment that RFC 3339 cannot write becomes the nearest one that it
/// can: the years run from 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(SystemTime);

/// The last second of the year 9999, in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

impl Timestamp {
    /// Returns the moment, or the nearest one that can be written.
    pub fn new(time: SystemTime) -> Self {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let millis = Duration::new(
            since.as_secs().min(LAST_SECOND),
            since.subsec_millis() * 1_000_000,
        );
        Self(SystemTime::UNIX_EPOCH + millis)
    }

    pub fn time(self) -> SystemTime {
        self.0
    }

    /// Returns how long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.duration_since(earlier.0).unwrap_or_default()
    }

    /// Returns the moment so many seconds after 1970.
    pub fn of_unix(seconds: u64) -> Self {
        Self::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND)))
    }

    /// Returns the seconds since 1970.
    pub fn unix(self) -> u64 {
        self.0
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
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
        humantime::parse_rfc3339(&text)
            .map(Self::new)
            .map_err(|why| format!("{text:?} is not a time: {why}"))
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}
