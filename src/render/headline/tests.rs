use super::series::{rate, times_in};
use super::{Headline, Series};
use crate::render::{subject, text};
use crate::report::{Condition, Confidence, Death, Exit, Kind, Report, Timestamp, Verdict, sample};

fn at(time: &str) -> Timestamp {
    Timestamp::try_from(format!("2026-11-23T{time}Z")).unwrap()
}

#[test]
fn words_that_prove_nothing_stand_in_the_subject_and_are_called_so_in_the_message() {
    let mut report = sample();
    let said = "version 44 is newer than this binary (43)";
    report.cause.confidence = Confidence::None;
    report.cause.line = format!("exit code 1, cause not proven; it said last: \"{said}\"");
    report.cause.last_words = report.cause.evidence.first().cloned();
    let subject = subject(&report);
    let expected = format!("web crashed: exit code 1; it said last: \"{said}\"");
    assert!(subject.ends_with(&expected), "{subject}");
    let why: String = text(&report).split_whitespace().collect();
    let whole: String = report.cause.line.split_whitespace().collect();
    assert!(why.contains(&whole), "{}", text(&report));
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
fn an_end_with_exit_code_0_is_not_called_a_crash() {
    let mut report = sample();
    report.stop.exit = Exit::Code(0);
    report.cause.line = "exit code 0, cause unknown".to_owned();
    assert_eq!(
        subject(&report),
        "[db1] web ended by itself: exit code 0, which nobody had asked for"
    );
    report.cause.kind = Death::UncaughtException;
    report.cause.line = "Error: boom".to_owned();
    assert_eq!(subject(&report), "[db1] web crashed: Error: boom");
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
fn a_summary_of_crashes_that_have_ended_says_so() {
    let mut report = summary(347);
    let Kind::Summary { made_at, .. } = &mut report.kind else {
        unreachable!()
    };
    *made_at = at("03:17:00");
    let text = text(&report);
    assert!(
        text.contains("web kept crashing: 347 times since"),
        "{text}"
    );
    assert!(text.contains("UTC; none in the 12 min since\n"), "{text}");
}

#[test]
fn a_service_that_is_down_does_not_keep_crashing() {
    let because = "nothing restarts it (no respawn)".to_owned();
    let report = Report {
        now: Some(Condition::Down { because }),
        ..summary(347)
    };
    let title = subject(&report);
    let down = "[db1] web is down, after more crashes: ";
    assert!(title.starts_with(down), "{title}");
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
        ended_well: None,
        stopped: None,
        made_at: at("03:15:01"),
    };
    report.kind = recovered(None);
    assert_eq!(
        subject(&report),
        "[db1] web is up again: running for 10 min, after exit code 1 (348 times in 5 min)"
    );
    report.kind = recovered(Some(Series::one(at("03:05:00"))));
    assert!(text(&report).contains("running for 10 min; since the last message it had died once"));
    // It may come late.
    let up = |time| {
        Some(Condition::Up {
            since: Some(at(time)),
        })
    };
    let stopped = Some(Condition::Stopped {
        because: "as planned".to_owned(),
    });
    for (now, is) in [
        (up("03:05:00"), "is"),
        (up("04:00:00"), "was"),
        (stopped, "was"),
    ] {
        report.now = now;
        let title = format!("[db1] web {is} up again: running for 10 min");
        assert!(subject(&report).starts_with(&title), "{}", subject(&report));
    }
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
    let headline = Headline::of(&report);
    assert_eq!(headline.why, "it refused it for good: 404 no_service");
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
        (times_in(series), rate(series)),
        ("9 times".to_owned(), None)
    );
}
