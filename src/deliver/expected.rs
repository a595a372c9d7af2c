//! Decides when a run of a job that runs by the clock is missing. It is pure policy.
//!
//! | | a run is missing |
//! |---|---|
//! | the job has ended well | `expect` and a tenth after that |
//! | it never has | so long after its file was first seen to expect one |
//! | the machine was off meanwhile | the same, but not in the first tenth of `expect` after the boot |
//!
//! Within one boot the time is taken from the clock that nobody can set. From one boot to the next
//! there is only the time of day.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catch::marker::LastEnd;
use crate::clock::Now;
use crate::report::{ReportId, Supervisor, Timestamp};

/// A service of which a run is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    pub job: String,
    pub instance: Option<String>,
    pub supervisor: Supervisor,
    /// When it last ended well, or else when a run was first expected.
    since: Moment,
    /// True if it has ended well.
    pub has_run: bool,
    /// True if people are told that a run is missing.
    pub is_told: bool,
}

/// A moment, on both clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Moment {
    at: Timestamp,
    boot_id: String,
    /// In milliseconds since the boot.
    at_ms: u64,
}

impl Moment {
    /// Returns the time since then, in this boot.
    fn elapsed(&self, now: Now, boot_id: &str) -> Duration {
        if self.boot_id == boot_id && !boot_id.is_empty() {
            now.monotonic
                .saturating_sub(Duration::from_millis(self.at_ms))
        } else {
            now.wall.since(self.at)
        }
    }

    fn is_before(&self, end: &LastEnd) -> bool {
        if self.boot_id == end.boot_id && !end.boot_id.is_empty() {
            self.at_ms < end.at_ms
        } else {
            self.at < end.at
        }
    }
}

impl Expected {
    /// Returns a service that has not been seen to end well.
    pub fn new(job: &str, supervisor: Supervisor, now: Now, boot_id: &str) -> Self {
        Self {
            job: job.to_owned(),
            instance: None,
            supervisor,
            since: Moment {
                at: now.wall,
                boot_id: boot_id.to_owned(),
                at_ms: u64::try_from(now.monotonic.as_millis()).unwrap_or(u64::MAX),
            },
            has_run: false,
            is_told: false,
        }
    }

    /// Returns a service that has ended well.
    pub fn of(end: &LastEnd) -> Self {
        Self {
            job: end.job.clone(),
            instance: end.instance.clone(),
            supervisor: end.supervisor.clone(),
            since: Moment {
                at: end.at,
                boot_id: end.boot_id.clone(),
                at_ms: end.at_ms,
            },
            has_run: true,
            is_told: false,
        }
    }

    /// Takes in that it has ended well, if that is news.
    pub fn ended_well(&mut self, end: &LastEnd) {
        if self.since.is_before(end) {
            *self = Self::of(end);
        }
    }

    /// Returns when it last ended well, or else when a run was first expected.
    pub fn since(&self) -> Timestamp {
        self.since.at
    }

    /// Returns true if a run is missing, of which people are to be told. A moment of an earlier
    /// boot that is yet to come was taken from a clock that was wrong: the time counts from now on.
    pub fn is_missing(&mut self, every: Duration, now: Now, boot_id: &str) -> bool {
        if self.since.boot_id != boot_id && self.since.at > now.wall {
            let anew = Self::new(&self.job, self.supervisor.clone(), now, boot_id);
            self.since = anew.since;
        }
        !self.is_told
            && self.since.elapsed(now, boot_id) >= every + every / 10
            && now.monotonic >= every / 10
    }

    /// Returns when its next run has to have ended well.
    pub fn due(&self, every: Duration) -> Timestamp {
        let due = self.since.at.time().checked_add(every);
        due.map_or(self.since.at, Timestamp::new)
    }

    /// Returns the id of the message that a run is missing. It is the same however often it is
    /// made.
    pub fn next_id(&self, every: Duration) -> ReportId {
        let (since, instance) = (self.since.at.to_string(), self.instance.as_deref());
        let parts = ["missed", &since, &self.job, instance.unwrap_or_default()];
        ReportId::derived(self.due(every), &parts)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Expected;
    use crate::catch::marker::LastEnd;
    use crate::clock::Now;
    use crate::report::{Supervisor, Timestamp};

    const HOUR: u64 = 3600;
    const DAY: Duration = Duration::from_hours(24);

    /// Returns a moment so many hours after the boot, and so many after the first of them.
    fn at(since_boot: u64, since_start: u64) -> Now {
        Now {
            wall: Timestamp::of_unix(1_000_000_000 + since_start * HOUR),
            monotonic: Duration::from_secs(since_boot * HOUR),
        }
    }

    fn new(now: Now) -> Expected {
        Expected::new("backup", Supervisor::UNKNOWN, now, "boot")
    }

    fn good_end(now: Now, boot: &str) -> LastEnd {
        LastEnd::new(("backup", None), Supervisor::UNKNOWN, boot.to_owned(), now)
    }

    #[test]
    fn a_run_is_missing_a_tenth_late_and_is_told_of_once() {
        let mut it = new(at(100, 0));
        assert!(!it.is_missing(DAY, at(126, 26), "boot"));
        assert!(it.is_missing(DAY, at(127, 27), "boot"));
        it.is_told = true;
        assert!(!it.is_missing(DAY, at(200, 100), "boot"));
        it.ended_well(&good_end(at(201, 101), "boot"));
        assert!(it.has_run && !it.is_told);
        assert!(!it.is_missing(DAY, at(227, 127), "boot"));
        assert!(it.is_missing(DAY, at(228, 128), "boot"));
    }

    #[test]
    fn a_clock_that_is_set_tells_of_no_missing_run_and_hides_none() {
        let mut it = new(at(100, 0));
        assert!(!it.is_missing(DAY, at(101, 9000), "boot"));
        let mut it = new(at(100, 9000));
        assert!(it.is_missing(DAY, at(127, 27), "boot"));
        // The good end counts, though its time of day is before.
        it.ended_well(&good_end(at(120, 20), "boot"));
        assert!(!it.is_missing(DAY, at(127, 27), "boot"));
    }

    #[test]
    fn from_boot_to_boot_the_time_of_day_counts_and_the_boot_itself_gives_time() {
        let mut it = new(at(100, 0));
        assert!(!it.is_missing(DAY, at(3, 20), "next"));
        assert!(!it.is_missing(DAY, at(2, 72), "next"));
        assert!(it.is_missing(DAY, at(3, 73), "next"));
        it.ended_well(&good_end(at(3, 73), "next"));
        assert!(!it.is_missing(DAY, at(4, 74), "next"));
    }

    #[test]
    fn a_moment_that_is_yet_to_come_counts_from_now_on() {
        let mut it = new(at(100, 9000));
        assert!(!it.is_missing(DAY, at(3, 10), "next"));
        assert!(it.is_missing(DAY, at(30, 37), "next"));
    }

    #[test]
    fn a_missing_run_has_one_id_and_the_next_another() {
        let mut it = new(at(100, 0));
        let first = it.next_id(DAY);
        assert_eq!(it.next_id(DAY), first);
        it.ended_well(&good_end(at(101, 1), "boot"));
        assert_ne!(it.next_id(DAY), first);
    }
}
