//! How things stand with a service, in words.

use std::time::Duration;

use super::clean::one_line;
use crate::report::{Condition, OtherService, Timestamp};
use crate::when::{length_of_seconds, moment, rough_length};

/// Maximum length of a supervisor's reason, in characters.
const REASON: usize = 200;
/// Maximum length of a service's name, in characters.
const NAME: usize = 80;
/// Maximum number of services that are named.
const SHOWN: usize = 3;

/// Returns how things stand, in a message about something that happened at `at`.
pub fn words(condition: &Condition, at: Timestamp) -> String {
    match condition {
        Condition::Unknown => "not known".to_owned(),
        Condition::Up { since: None } => "up again".to_owned(),
        Condition::Up { since: Some(since) } => format!("up again since {}", shortly(*since, at)),
        Condition::JustUp {
            since,
            for_s,
            last_s,
        } => just_up(*since, *for_s, *last_s, at),
        Condition::Restarting { by, in_s } => {
            let left = in_s.and_then(|left| Duration::try_from_secs_f64(left).ok());
            match left.and_then(rough_length) {
                Some(left) => format!("restarting ({by}, in {left})"),
                None => format!("restarting ({by})"),
            }
        }
        Condition::GivenUp { by, because } => {
            format!("down: {by} has given up ({})", one_line(because, REASON))
        }
        Condition::Waiting { because } => format!("not running: {}", one_line(because, REASON)),
        Condition::Stopped { because } => format!("stopped: {}", one_line(because, REASON)),
        Condition::Several { of, up, others } => several(*of, *up, others, at),
        Condition::Down { because } => format!("down: {}", one_line(because, REASON)),
    }
}

/// Returns how things stand with a job of which a run is missing: it need not be up.
pub fn words_of_run(condition: &Condition, at: Timestamp) -> String {
    match condition {
        Condition::Up { .. } => words(condition, at).replacen("up again", "running", 1),
        Condition::JustUp { .. } => words(condition, at).replacen("up", "running", 1),
        Condition::Down { because } => one_line(because, REASON),
        other => words(other, at),
    }
}

/// Says for how long a service is up that has not been up for as long before: it may end again.
fn just_up(since: Timestamp, for_s: f64, last_s: f64, at: Timestamp) -> String {
    let up = format!("up since {}", shortly(since, at));
    match (length_of_seconds(for_s), length_of_seconds(last_s)) {
        (Some(length), Some(last)) => format!("{up}, for {length}; its last life took {last}"),
        _ => up,
    }
}

/// Returns how it is with several services: how many run, and what is known of the others.
fn several(of: usize, up: usize, others: &[OtherService], at: Timestamp) -> String {
    if let Some(first) = others.first()
        && others.len() == of
        && others.iter().all(|it| it.now == first.now)
    {
        return format!("all {of} {}", words(&first.now, at));
    }
    let mut parts = vec![if up == of {
        format!("all {of} up again")
    } else {
        format!("{up} of {of} up again")
    }];
    let other = |it: &OtherService| {
        let service = one_line(&it.service, NAME);
        format!("{service} {}", words(&it.now, at))
    };
    parts.extend(others.iter().take(SHOWN).map(other));
    if others.len() > SHOWN {
        parts.push(format!("and {} more that are not", others.len() - SHOWN));
    }
    let unknown = of.saturating_sub(up + others.len());
    if unknown > 0 {
        parts.push(format!("of {unknown} it is not known"));
    }
    parts.join("; ")
}

/// Returns a moment without its date, if the other moment is of the same day.
fn shortly(time: Timestamp, other: Timestamp) -> String {
    let (time, other) = (moment(time), moment(other));
    match time.split_once(' ') {
        Some((day, rest)) if other.starts_with(day) => rest.to_owned(),
        _ => time,
    }
}

#[cfg(test)]
mod tests {
    use super::words;
    use crate::report::{Condition, OtherService, Supervisor, Timestamp};

    #[test]
    fn of_several_services_those_that_do_not_run_are_named() {
        let at = Timestamp::of_unix(0);
        let other = |name: &str| OtherService {
            service: format!("web ({name})"),
            now: Condition::Down {
                because: "nothing restarts it (no respawn)".to_owned(),
            },
        };
        let said = |of, up, names: &[&str]| {
            let others = names.iter().map(|name| other(name)).collect();
            words(&Condition::Several { of, up, others }, at)
        };
        let down = "down: nothing restarts it (no respawn)";
        assert_eq!(said(3, 3, &[]), "all 3 up again");
        let two = format!("2 of 3 up again; web (2) {down}");
        assert_eq!(said(3, 2, &["2"]), two);
        let many = said(9, 1, &["1", "2", "3", "4", "5"]);
        let end = format!("web (3) {down}; and 2 more that are not; of 3 it is not known");
        assert!(many.ends_with(&end), "{many}");
    }

    #[test]
    fn how_things_stand_is_said_in_a_few_words() {
        let at = |text: &str| Timestamp::try_from(text.to_owned()).unwrap();
        let crash = at("2026-11-23T03:00:00Z");
        let by = || Supervisor::new("systemd");
        let because = || "start limit".to_owned();
        for (condition, said) in [
            (Condition::Unknown, "not known"),
            (Condition::Up { since: None }, "up again"),
            (
                Condition::Up {
                    since: Some(at("2026-11-23T03:00:02.5Z")),
                },
                "up again since 03:00:02 UTC",
            ),
            (
                Condition::Up {
                    since: Some(at("2026-11-24T03:00:02Z")),
                },
                "up again since 2026-11-24 03:00:02 UTC",
            ),
            (
                Condition::JustUp {
                    since: at("2026-11-23T03:00:02.5Z"),
                    for_s: 0.3,
                    last_s: 1.2,
                },
                "up since 03:00:02 UTC, for 300 ms; its last life took 1 s",
            ),
            (
                Condition::Stopped { because: because() },
                "stopped: start limit",
            ),
            (
                Condition::Restarting {
                    by: by(),
                    in_s: Some(5.2),
                },
                "restarting (systemd, in 5 s)",
            ),
            (
                Condition::Restarting {
                    by: by(),
                    in_s: Some(0.1),
                },
                "restarting (systemd)",
            ),
            (
                Condition::Restarting {
                    by: by(),
                    in_s: Some(f64::NAN),
                },
                "restarting (systemd)",
            ),
            (
                Condition::Restarting {
                    by: by(),
                    in_s: None,
                },
                "restarting (systemd)",
            ),
            (
                Condition::GivenUp {
                    by: by(),
                    because: because(),
                },
                "down: systemd has given up (start limit)",
            ),
            (
                Condition::Down {
                    because: "nothing restarts it (no respawn)".to_owned(),
                },
                "down: nothing restarts it (no respawn)",
            ),
        ] {
            assert_eq!(words(&condition, crash), said);
        }
    }
}
