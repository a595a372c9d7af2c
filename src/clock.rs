//! The two clocks, read once a run and handed down.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::report::Timestamp;

/// One moment, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// By the calendar; somebody may set it at any time.
    pub wall: Timestamp,
    /// Since the machine's start (`CLOCK_MONOTONIC`), which nobody sets: what times within one boot
    /// are compared by.
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
    /// The moment that this one becomes after a while.
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
