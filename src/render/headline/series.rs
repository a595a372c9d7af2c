//! Words for many crashes: how often, how fast, from when to when, and whether they go on.

use std::fmt::Write as _;
use std::time::Duration;

use crate::render::counts::times;
use crate::report::{Series, Timestamp, Verdict};
use crate::when::{moment, rough_length};

/// Returns how often and how fast a service has died: since a moment in words, and in all.
pub(super) fn how_often(new: Series, all: Series, instances: usize, since: &str) -> String {
    let mut text = format!("{} {since}", times(new.count));
    if let Some(rate) = rate(new) {
        let _ = write!(text, ", {rate}");
    }
    let in_all = times(all.count);
    let _ = write!(text, "; {in_all} in all since {}", moment(all.first));
    if instances > 1 {
        let _ = write!(text, ", in {instances} instances");
    }
    text
}

/// Returns how often a service had died without a message of its own, behind what it does now.
pub(super) fn since_then(new: Option<Series>) -> String {
    new.map_or_else(String::new, |new| {
        format!("; since the last message it had died {}", times(new.count))
    })
}

/// Returns ` (347 times in 5 min)`; nothing for one crash.
pub(super) fn in_brackets(series: Series) -> String {
    if series.count > 1 {
        format!(" ({})", times_in(series))
    } else {
        String::new()
    }
}

/// Returns from when to when the crashes were; `None` for one crash.
pub(super) fn from_to(series: Series) -> Option<String> {
    (series.count > 1).then(|| format!("{} to {}", moment(series.first), moment(series.last)))
}

/// Returns `347 times in 5 min`; of crashes at one moment `2 times`.
pub(super) fn times_in(series: Series) -> String {
    match rough_length(series.last.since(series.first)) {
        Some(length) => format!("{} in {length}", times(series.count)),
        None => times(series.count),
    }
}

/// Returns `69 a minute`; `None` for too few crashes to call it a rate.
pub(super) fn rate(series: Series) -> Option<String> {
    let seconds = series.last.since(series.first).as_secs();
    let per = |unit: u64| (series.count.saturating_mul(unit) + seconds / 2) / seconds;
    match series.count {
        ..3 => None,
        _ if seconds < 10 => None,
        _ if per(60) > 0 => Some(format!("{} a minute", per(60))),
        _ if per(3600) > 0 => Some(format!("{} an hour", per(3600))),
        _ => None,
    }
}

/// Returns true if crashes like these are to be expected still: the latest is no longer ago than
/// three times the mean time between them, or a minute.
pub(super) fn goes_on(crashes: Series, now: Timestamp) -> bool {
    let between = u32::try_from(crashes.count.saturating_sub(1)).unwrap_or(u32::MAX);
    let length = crashes.last.since(crashes.first);
    let mean = length.checked_div(between).unwrap_or_default();
    now.since(crashes.last) <= (3 * mean).max(Duration::from_mins(1))
}

/// Returns what a service does that has done it before, or did if that does not go on.
pub(super) fn again(verdict: Verdict, count: u64, goes_on: bool) -> &'static str {
    match (verdict, count) {
        (Verdict::Crashed, 1) => "crashed again",
        (Verdict::Crashed, _) if !goes_on => "kept crashing",
        (Verdict::Crashed, _) => "keeps crashing",
        (Verdict::AbortedStart, 1) => "could not start again",
        (Verdict::AbortedStart, _) if !goes_on => "kept failing to start",
        (Verdict::AbortedStart, _) => "keeps failing to start",
        (Verdict::Missed, 1) => "missed its time again",
        (Verdict::Missed, _) => "misses its time again and again",
        (Verdict::Planned | Verdict::Unknown, 1) => "stopped again",
        (Verdict::Planned | Verdict::Unknown, _) if !goes_on => "kept stopping",
        (Verdict::Planned | Verdict::Unknown, _) => "keeps stopping",
    }
}

/// Returns what a service had done before that it has done again, so many times.
pub(super) fn more(verdict: Verdict, count: u64) -> &'static str {
    match (verdict, count) {
        (Verdict::Crashed, 1) => "another crash",
        (Verdict::Crashed, _) => "more crashes",
        (Verdict::AbortedStart, 1) => "another failed start",
        (Verdict::AbortedStart, _) => "more failed starts",
        (Verdict::Missed, _) => "more missed runs",
        (Verdict::Planned | Verdict::Unknown, 1) => "another stop",
        (Verdict::Planned | Verdict::Unknown, _) => "more stops",
    }
}
