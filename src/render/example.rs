//! Examples of reports, to try templates with: one with everything in it, and one of each sort.

#[cfg(test)]
use super::view::View;
use crate::report::{
    Cause, CauseCount, Condition, Confidence, Exit, Kind, Report, Series, Timestamp, Verdict,
};

const EXAMPLE: &str = include_str!("example.json");

/// Returns a report with everything in it.
///
/// # Panics
/// Never: a test reads it.
pub fn example() -> Report {
    serde_json::from_str(EXAMPLE)
        .unwrap_or_else(|why| unreachable!("the example is a report: {why}"))
}

/// Returns a crash with everything, a drill with next to nothing, many crashes of an unknown cause,
/// many of several causes, their end, a service that stays down, a run that is missing, a notice,
/// and a user's claim, each with its name.
pub fn examples() -> [(&'static str, Report); 9] {
    let crash = example();
    let made_at = crash.stop.stopped_at;
    let mut drill = Report {
        drill: true,
        past: None,
        now: None,
        runbook: None,
        sections: Vec::new(),
        ..crash.clone()
    };
    drill.cause.evidence.clear();
    drill.notes.clear();
    drill.stop.started_at = None;
    drill.stop.uptime_s = None;

    let new = Series {
        count: 347,
        first: Timestamp::of_unix(made_at.unix() - 299),
        last: made_at,
    };
    let all = Series { count: 348, ..new };
    let mut summary = Report {
        kind: Kind::Summary {
            new,
            all,
            instances: 2,
            made_at,
        },
        ..crash.clone()
    };
    if let Some(this_hour) = summary.past.as_mut().and_then(|past| past.hours.last_mut()) {
        *this_hour = all.count;
    }
    summary.cause.confidence = Confidence::None;
    summary.cause.line = "exit code 1, cause unknown".into();
    let cause = |(count, line): (u64, &str)| CauseCount {
        kind: crash.cause.kind,
        line: line.to_owned(),
        fingerprint: format!("{count:016x}"),
        crashes: Series { count, ..new },
    };
    let mut causes = Report {
        causes: [
            (312, crash.cause.line.as_str()),
            (31, "KeyError: 'tenant' at /srv/web/lib/orders.js:57"),
            (4, "exit code 1, cause unknown"),
        ]
        .map(cause)
        .to_vec(),
        cause: crash.cause.clone(),
        ..summary.clone()
    };
    causes.sections.clear();
    let recovered = Kind::Recovered {
        new: None,
        all,
        instances: 1,
        up_s: 600,
        ended_well: None,
        stopped: None,
        made_at,
    };
    let recovered = Report {
        kind: recovered,
        drill: false,
        ..drill.clone()
    };
    let mut claim = Report {
        drill: false,
        user_name: Some("nobody".into()),
        ..drill.clone()
    };
    claim.make_a_claim(65_534);
    let down = Report {
        kind: Kind::Down {
            since: made_at,
            is_reminder: true,
            is_again: false,
            made_at: Timestamp::of_unix(made_at.unix() + 3600),
        },
        now: Some(Condition::GivenUp {
            by: crash.stop.supervisor.clone(),
            because: "respawning too fast".to_owned(),
        }),
        drill: false,
        ..drill.clone()
    };
    [
        ("crash", crash),
        ("drill", drill.clone()),
        ("summary", summary),
        ("causes", causes),
        ("recovered", recovered),
        ("down", down),
        ("missed", missed(&drill)),
        ("notice", notice(&drill)),
        ("claim", claim),
    ]
}

/// Returns what lastwords says about itself.
fn notice(drill: &Report) -> Report {
    let mut notice = Report {
        kind: Kind::Notice,
        drill: false,
        ..drill.clone()
    };
    notice.cause.line = format!("ops-slack has not taken the report {} about web", drill.id);
    notice.verdict_because = "it refused it for good: Slack answered 404: no_service".into();
    notice
}

/// Returns that a run is missing, told by as little as a drill is.
fn missed(drill: &Report) -> Report {
    let mut missed = Report {
        verdict: Verdict::Missed,
        verdict_because:
            "its last run that ended well ended at 2026-11-22 00:30:00 UTC, and one is \
                          expected every 1 d"
                .into(),
        now: Some(Condition::Down {
            because: "not running".to_owned(),
        }),
        drill: false,
        ..drill.clone()
    };
    missed.stop.exit = Exit::Unknown;
    missed.stop.pid = None;
    missed.cause = Cause::own("has not run since 2026-11-22 00:30:00 UTC".into());
    missed
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Report, View, example, examples};

    #[test]
    fn the_example_has_everything() {
        assert!(!example().drill);
        let view = |report: &Report| serde_json::to_value(View::of(report)).unwrap();
        let is_missing =
            |value: &Value| ["null", "[]", "\"\""].contains(&value.to_string().as_str());
        let views = examples().map(|(_, report)| view(&report));
        for field in view(&example()).as_object().unwrap().keys() {
            assert!(
                !views.iter().all(|view| is_missing(&view[field])),
                "{field}"
            );
        }
    }

    #[test]
    fn every_field_of_a_view_is_documented() {
        let documented = include_str!("../../config/templates.md");
        let view = serde_json::to_value(View::of(&example())).unwrap();
        let nested = ["evidence", "gauges", "blocks"].map(|list| &view[list][0]);
        for object in [&view, &view["day"]].into_iter().chain(nested) {
            for field in object.as_object().unwrap().keys() {
                assert!(documented.contains(&format!("`{field}`")), "{field}");
            }
        }
    }
}
