//! The two clocks, read once in each run and handed down.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::report::Timestamp;

/// One moment, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time of day; someone may set this clock at any time.
    pub wall: Timestamp,
    /// The time since the machine's start (`CLOCK_MONOTONIC`). No one can set this clock: times
    /// within one boot are compared by it.
    pub monotonic: Duration,
}

impl Now {
    pub fn read() -> Self {
        let monotonic = clock_gettime(ClockId::Monotonic);
        let part = |number: i64| u64::try_from(number).unwrap_or_default();
        Self {
            wall: Timestamp::new(SystemTime::now()),
            monotonic: Duration::from_secs(part(monotonic.tv_sec))
                + Duration::from_nanos(part(monotonic.tv_nsec)),
        }
    }

    /// Returns the time of day of an earlier moment of this boot; `None` if that is no time.
    pub fn wall_at(self, monotonic: Duration) -> Option<Timestamp> {
        let ago = self.monotonic.saturating_sub(monotonic);
        self.wall.time().checked_sub(ago).map(Timestamp::new)
    }

    /// Returns the moment after a pause.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        let wall = self
            .wall
            .time()
            .checked_add(pause)
            .map_or(self.wall, Timestamp::new);
        Self {
            wall,
            monotonic: self.monotonic.saturating_add(pause),
        }
    }
}
