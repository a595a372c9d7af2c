//! Words for many crashes: how often, how fast, from when to when.

use std::fmt::Write as _;

use crate::render::counts::times;
use crate::report::Series;
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
