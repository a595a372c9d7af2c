//! The lengths of time that flood control goes by.

use std::time::Duration;

use crate::report::Timestamp;

/// Time from the first crash's report to the first summary.
pub const FIRST_WINDOW: Duration = Duration::from_mins(5);
/// Time from one summary to the next.
pub const WINDOW: Duration = Duration::from_hours(1);
/// After this long without a crash, the next crash is news. After this long up, the service is up
/// again.
pub const QUIET: Duration = Duration::from_mins(10);
/// After this long, `up again` is no longer news. What runs once a month may fail and be well again
/// within it.
pub const FORGOTTEN: Duration = Duration::from_hours(35 * 24);

/// Returns how long ago that was. The answer is "for ever" if it never was, or if only a clock that
/// was set back explains it.
pub fn elapsed(at: Option<Timestamp>, now: Timestamp) -> Duration {
    match at {
        Some(at) if at.since(now) <= WINDOW => now.since(at),
        _ => Duration::MAX,
    }
}
