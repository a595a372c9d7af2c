//! Compares a crash with earlier ones, in sentences.

use std::time::Duration;

use super::clean::one_line;
use super::counts::times;
use crate::report::{Past, Series, Stop};
use crate::when::{moment, rough_length};

/// Maximum length of a cause or a path in a sentence, in characters.
const LINE: usize = 160;

/// Says how often the same crash was seen before, and how long the service usually is up.
pub fn often(past: &Past, stop: &Stop) -> Vec<String> {
    let job = one_line(&stop.job, 80);
    let mut sentences = Vec::new();
    let others = past.others.filter(|others| others.count > 0);
    sentences.push(match (past.same.filter(|same| same.count > 0), others) {
        (Some(same), _) => seen(same, stop),
        (None, Some(others)) => {
            format!(
                "new: {job} has crashed {} since {}, but not of this",
                times(others.count),
                moment(others.first)
            )
        }
        (None, None) => format!("new: no earlier crash of {job} is known"),
    });
    sentences.extend(usual(past, stop));
    sentences
}

/// Says what has changed since the crash before.
pub fn changes(past: &Past) -> Vec<String> {
    let program = past.changed.as_ref().map(|changed| {
        format!(
            "{} has changed since the crash before: {}",
            one_line(&changed.path, LINE),
            moment(changed.modified)
        )
    });
    let cause = past
        .last_cause
        .as_ref()
        .map(|line| format!("the crash before was another: {}", one_line(line, LINE)));
    program.into_iter().chain(cause).collect()
}

/// Returns `seen 4 times since 2026-11-20 03:00:00 UTC, the last time 2 h before`.
fn seen(same: Series, stop: &Stop) -> String {
    let ago = match rough_length(stop.stopped_at.since(same.last)) {
        None => String::new(),
        Some(ago) if same.count == 1 => format!(", {ago} before"),
        Some(ago) => format!(", the last time {ago} before"),
    };
    format!(
        "seen {} since {}{ago}",
        times(same.count),
        moment(same.first)
    )
}

/// Returns `it is usually up for 3 h before that, this time for 5 min`.
fn usual(past: &Past, stop: &Stop) -> Option<String> {
    let length = |seconds: f64| {
        Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(rough_length)
    };
    let usual = length(past.usual_uptime_s?)?;
    let this = stop
        .uptime_s
        .and_then(length)
        .map(|this| format!(", this time for {this}"))
        .unwrap_or_default();
    Some(format!("it is usually up for {usual} before that{this}"))
}

#[cfg(test)]
mod tests {
    use super::{changes, often};
    use crate::report::{Changed, Past, Series, Timestamp, sample};

    fn at(time: &str) -> Timestamp {
        Timestamp::try_from(time.to_owned()).unwrap()
    }

    #[test]
    fn a_first_crash_a_new_cause_and_one_that_was_seen_before_are_told_apart() {
        let stop = sample().stop;
        let say = |past: &Past| [often(past, &stop), changes(past)].concat();
        assert_eq!(
            say(&Past::default()),
            ["new: no earlier crash of web is known"]
        );
        let earlier = Series {
            count: 7,
            first: at("2026-11-20T03:00:00Z"),
            last: at("2026-11-23T01:00:00Z"),
        };
        let new = Past {
            others: Some(earlier),
            last_cause: Some("Error: a\nb".into()),
            ..Past::default()
        };
        assert_eq!(
            say(&new),
            [
                "new: web has crashed 7 times since 2026-11-20 03:00:00 UTC, but not of this",
                "the crash before was another: Error: a b",
            ]
        );
        let known = Past {
            same: Some(earlier),
            usual_uptime_s: Some(10_800.0),
            changed: Some(Changed {
                path: "/srv/web/server.js".into(),
                modified: at("2026-11-23T02:50:00Z"),
            }),
            ..Past::default()
        };
        assert_eq!(
            say(&known),
            [
                "seen 7 times since 2026-11-20 03:00:00 UTC, the last time 2 h before",
                "it is usually up for 3 h before that, this time for 60 min",
                "/srv/web/server.js has changed since the crash before: 2026-11-23 02:50:00 UTC",
            ]
        );
        let once = Past {
            same: Some(Series::one(at("2026-11-23T02:00:00Z"))),
            ..Past::default()
        };
        assert_eq!(
            say(&once),
            ["seen once since 2026-11-23 02:00:00 UTC, 60 min before"]
        );
    }
}
