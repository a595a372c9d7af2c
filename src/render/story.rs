//! What a report is about, in words: a crash, many, the end of them, or lastwords itself.

use std::fmt::Write;
use std::time::Duration;

use super::clean::one_line;
use super::cut::head;
use super::view::{LINE, moment};
use crate::report::{Confidence, Kind, Report, Series, Verdict};

/// The words in which the kinds of reports differ.
pub struct Story {
    pub title: String,
    /// In a word or two.
    pub status: &'static str,
    pub what: String,
    pub because: String,
    pub why: String,
    pub when: String,
    /// What colour it has, where it may have one.
    pub colour: &'static str,
}

/// What the cause's line says at its end where only the exit is known.
const UNKNOWN: &str = ", cause unknown";

/// White text on them has a contrast of 4.5 at least (WCAG 2, AA).
const RED: &str = "#b3261e";
const AMBER: &str = "#8a5a00";
const GREEN: &str = "#1e6b34";

impl Story {
    pub fn of(report: &Report) -> Self {
        let service = one_line(&report.stop.service(), 80);
        let cause = one_line(&report.cause.line, LINE);
        let why = if cause.is_empty() {
            one_line(&report.stop.exit.to_string(), 120)
        } else {
            cause
        };
        let known = report.cause.confidence != Confidence::None;
        let says_so = known || why.ends_with(UNKNOWN);
        let because_of = |why: &str| {
            if says_so {
                format!(": {why}")
            } else {
                UNKNOWN.to_owned()
            }
        };
        let short = head(&why, 100);
        let because = one_line(&report.verdict_because, LINE);
        let when = moment(report.stop.stopped_at);
        match report.kind {
            Kind::Crash => {
                let what = format!("{service} {}", report.verdict);
                let (status, colour) = if report.drill {
                    ("drill", AMBER)
                } else {
                    (status(report.verdict), RED)
                };
                Self {
                    title: format!("{what}{}", because_of(&why)),
                    status,
                    what,
                    because,
                    why,
                    when,
                    colour,
                }
            }
            Kind::Summary {
                new,
                all,
                instances,
                ..
            } => {
                let what = format!("{service} {}", again(report.verdict, new.count));
                let times = if new.count > 1 {
                    format!(" ({})", times(new))
                } else {
                    String::new()
                };
                let mut because = format!("{} since the last message", times_in(new));
                if let Some(rate) = rate(new) {
                    let _ = write!(because, ", {rate}");
                }
                let _ = write!(
                    because,
                    "; {} in all since {}",
                    self::times(Series {
                        first: all.last,
                        ..all
                    }),
                    moment(all.first)
                );
                if instances > 1 {
                    let _ = write!(because, ", in {instances} instances");
                }
                let when = if new.count > 1 {
                    format!("{} to {}", moment(new.first), moment(new.last))
                } else {
                    when
                };
                let title = format!("{what}{}{times}", because_of(&short));
                Self {
                    title,
                    status: again(report.verdict, new.count),
                    what,
                    because,
                    why,
                    when,
                    colour: RED,
                }
            }
            Kind::Recovered { new, all, up_s, .. } => {
                let what = format!("{service} is up again");
                let up = span(Duration::from_secs(up_s)).unwrap_or_default();
                let times = if all.count > 1 {
                    format!(" ({})", times(all))
                } else {
                    String::new()
                };
                let mut because = format!("it has been running for {up}");
                if let Some(new) = new {
                    let _ = write!(
                        because,
                        "; since the last message it had died {}",
                        times_in(new)
                    );
                }
                let after = if says_so {
                    short.trim_end_matches(UNKNOWN)
                } else {
                    "a crash"
                };
                let title = format!("{what}: running for {up}, after {after}{times}");
                let when = if all.count > 1 {
                    format!("{} to {}", moment(all.first), moment(all.last))
                } else {
                    when
                };
                Self {
                    title,
                    status: "up again",
                    what,
                    because,
                    why,
                    when,
                    colour: GREEN,
                }
            }
            Kind::Notice => Self {
                title: format!("lastwords: {why}"),
                status: "notice",
                what: "lastwords about itself".to_owned(),
                because: why,
                why: because,
                when,
                colour: AMBER,
            },
        }
    }
}

fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Crashed => "crashed",
        Verdict::AbortedStart => "could not start",
        Verdict::Planned | Verdict::Unknown => "ended",
    }
}

/// What a service does that does it again.
fn again(verdict: Verdict, count: u64) -> &'static str {
    match (verdict, count) {
        (Verdict::Crashed, 1) => "crashed again",
        (Verdict::Crashed, _) => "keeps crashing",
        (Verdict::AbortedStart, 1) => "could not start again",
        (Verdict::AbortedStart, _) => "keeps failing to start",
        (Verdict::Planned | Verdict::Unknown, 1) => "stopped again",
        (Verdict::Planned | Verdict::Unknown, _) => "keeps stopping",
    }
}

/// `347 times in 5 min`; of crashes at one moment `2 times`.
fn times(series: Series) -> String {
    match span(series.last.since(series.first)) {
        Some(span) => format!("{} in {span}", times_in(series)),
        None => times_in(series),
    }
}

/// `347 times`
fn times_in(series: Series) -> String {
    if series.count == 1 {
        "once".to_owned()
    } else {
        format!("{} times", series.count)
    }
}

/// `69 a minute`; `None` where they are too few to call it a rate.
fn rate(series: Series) -> Option<String> {
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

/// A length of time in its one unit that says enough; `None` where it is none.
pub fn span(time: Duration) -> Option<String> {
    let rounded = |unit: u64| (time.as_secs() + unit / 2) / unit;
    Some(match time.as_secs() {
        0 => return None,
        1..100 => format!("{} s", rounded(1)),
        100..5_400 => format!("{} min", rounded(60)),
        5_400..172_800 => format!("{} h", rounded(3600)),
        _ => format!("{} days", rounded(86_400)),
    })
}

#[cfg(test)]
mod tests {
    use super::{Series, Story, rate, span};
    use crate::render::{subject, text};
    use crate::report::{Confidence, Kind, Report, Timestamp, Verdict, sample};
    use std::time::Duration;

    fn at(time: &str) -> Timestamp {
        Timestamp::try_from(format!("2026-11-23T{time}Z")).unwrap()
    }

    fn summary(count: u64) -> Report {
        let new = Series {
            count,
            first: at("03:00:01"),
            last: at("03:05:00"),
        };
        let all = Series {
            count: count + 1,
            first: at("03:00:00"),
            last: at("03:05:00"),
        };
        Report {
            kind: Kind::Summary {
                new,
                all,
                instances: 1,
                made_at: at("03:05:01"),
            },
            ..sample()
        }
    }

    #[test]
    fn a_summary_says_how_often_how_fast_and_from_when_to_when() {
        let report = summary(347);
        assert_eq!(
            subject(&report),
            "[db1] web keeps crashing: exit code 1 (347 times in 5 min)"
        );
        let text = text(&report);
        for line in [
            "What     web keeps crashing: 347 times since the last message, 70 a minute; \
             348 times in all since 2026-11-23 03:00:00 UTC\n",
            "Why      exit code 1 (certain)\n",
            "When     2026-11-23 03:00:01 UTC to 2026-11-23 03:05:00 UTC\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn a_summary_of_one_crash_does_not_speak_of_many() {
        assert_eq!(subject(&summary(1)), "[db1] web crashed again: exit code 1");
        let aborted = Report {
            verdict: Verdict::AbortedStart,
            ..summary(7)
        };
        assert_eq!(
            subject(&aborted),
            "[db1] web keeps failing to start: exit code 1 (7 times in 5 min)"
        );
    }

    #[test]
    fn an_unknown_cause_is_called_so_once() {
        let mut report = Report {
            kind: Kind::Crash,
            ..sample()
        };
        report.cause.confidence = Confidence::None;
        report.cause.line = "exit code 1, cause unknown".to_owned();
        assert_eq!(
            subject(&report),
            "[db1] web crashed: exit code 1, cause unknown"
        );
        report.cause.line = "unknown: nothing tells how it ended".to_owned();
        assert_eq!(subject(&report), "[db1] web crashed, cause unknown");
    }

    #[test]
    fn a_recovery_says_for_how_long_it_has_been_up_and_what_was_before() {
        let all = Series {
            count: 348,
            first: at("03:00:00"),
            last: at("03:05:00"),
        };
        let mut report = summary(1);
        let recovered = |new| Kind::Recovered {
            new,
            all,
            instances: 1,
            up_s: 601,
            made_at: at("03:15:01"),
        };
        report.kind = recovered(None);
        assert_eq!(
            subject(&report),
            "[db1] web is up again: running for 10 min, after exit code 1 (348 times in 5 min)"
        );
        report.kind = recovered(Some(Series::one(at("03:05:00"))));
        assert!(
            text(&report).contains("running for 10 min; since the last message it had died once")
        );
    }

    #[test]
    fn a_notice_is_about_lastwords() {
        let mut report = Report {
            kind: Kind::Notice,
            ..sample()
        };
        report.cause.line = "ops-slack has not taken the report 1 about web".to_owned();
        report.verdict_because = "it refused it for good: 404 no_service".to_owned();
        assert_eq!(
            subject(&report),
            "[db1] lastwords: ops-slack has not taken the report 1 about web"
        );
        let story = Story::of(&report);
        assert_eq!(story.why, "it refused it for good: 404 no_service");
    }

    #[test]
    fn the_number_of_times_is_not_cut_off_by_a_long_cause() {
        let mut report = summary(347);
        report.cause.line = "x".repeat(500);
        assert!(
            subject(&report).ends_with("x… (347 times in 5 min)"),
            "{}",
            subject(&report)
        );
    }

    #[test]
    fn a_clock_that_went_back_makes_no_nonsense() {
        let series = Series {
            count: 9,
            first: at("03:00:00"),
            last: at("02:00:00"),
        };
        assert_eq!(
            (super::times(series), rate(series)),
            ("9 times".to_owned(), None)
        );
    }

    #[test]
    fn a_length_of_time_is_said_in_one_unit() {
        for (seconds, said) in [
            (1, "1 s"),
            (99, "99 s"),
            (299, "5 min"),
            (3_590, "60 min"),
            (7_200, "2 h"),
            (200_000, "2 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)).as_deref(), Some(said));
        }
        assert_eq!(span(Duration::ZERO), None);
    }
}
