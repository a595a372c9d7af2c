use super::brief::tests::{floods, full_of};
use super::*;
use crate::report::{CauseCount, Death, Series, sample};
use crate::stand_in::StandIn;

fn sink(toml: &str) -> Result<Alertmanager, String> {
    toml::from_str(&format!("name = 'x'\n{toml}")).map_err(|why| why.to_string())
}

fn at(time: &str) -> Timestamp {
    Timestamp::try_from(format!("2026-11-23T{time}Z")).unwrap()
}

#[test]
fn an_alert_is_one_from_the_first_crash_to_the_recovery() {
    let sink = sink("urls = ['http://localhost:9093']\nlabels = { team = 'ops' }").unwrap();
    let all = Series {
        count: 7,
        first: at("03:00:00"),
        last: at("03:05:00"),
    };
    let alert = |kind, now| sink.alerts(&Report { kind, ..sample() }, at(now))[0].clone();
    let crash = alert(Kind::Crash, "03:00:01");
    let labels = json!({ "alertname": "LastwordsCrash", "job": "web", "host": "db1", "severity": "critical",
            "fingerprint": "0011223344556677", "team": "ops" });
    assert_eq!(crash["labels"], labels);
    assert_eq!(
        crash["annotations"]["summary"],
        "[db1] web crashed: exit code 1"
    );
    assert_eq!(
        crash["annotations"]["runbook"],
        "https://wiki.example.com/web"
    );
    assert_eq!(
        (&crash["startsAt"], &crash["endsAt"]),
        (&json!(at("03:00:00.250")), &json!(at("05:00:01")))
    );
    let summary = alert(
        Kind::Summary {
            new: all,
            all,
            instances: 2,
            made_at: at("03:05:00"),
        },
        "03:06:00",
    );
    assert_eq!(
        (&summary["labels"], &summary["endsAt"]),
        (&labels, &json!(at("05:06:00")))
    );
    let over = Kind::Recovered {
        new: None,
        all,
        instances: 1,
        up_s: 600,
        ended_well: None,
        stopped: None,
        made_at: at("03:15:00"),
    };
    let over = alert(over, "03:15:02");
    assert_eq!(
        (&over["labels"], &over["startsAt"]),
        (&labels, &json!(at("03:00:00")))
    );
    assert_eq!(over["endsAt"], json!(at("03:15:02")));
}

#[test]
fn a_recovery_ends_the_alerts_of_all_causes_and_a_summary_goes_on_with_the_first() {
    let sink = sink("urls = ['http://localhost:9093']").unwrap();
    let all = Series::one(at("03:00:00"));
    let cause = |fingerprint: &str| CauseCount {
        kind: Death::PlainExit,
        line: "exit code 1".to_owned(),
        fingerprint: fingerprint.to_owned(),
        crashes: all,
    };
    let alerts = |kind| {
        let causes = ["aa", "0011223344556677", ""].map(cause).to_vec();
        let report = Report {
            kind,
            causes,
            ..sample()
        };
        let alerts = sink.alerts(&report, at("03:15:00"));
        let fingerprint = |alert: &Value| alert["labels"]["fingerprint"].clone();
        alerts
            .as_array()
            .unwrap()
            .iter()
            .map(fingerprint)
            .collect::<Vec<_>>()
    };
    let over = Kind::Recovered {
        new: None,
        all,
        instances: 1,
        up_s: 600,
        ended_well: None,
        stopped: None,
        made_at: at("03:15:00"),
    };
    assert_eq!(alerts(over), ["0011223344556677", "aa"]);
    let summary = Kind::Summary {
        new: all,
        all,
        instances: 1,
        made_at: at("03:15:00"),
    };
    assert_eq!(alerts(summary), ["0011223344556677"]);
}

#[test]
fn a_clock_that_was_set_back_makes_no_alert_that_ends_before_it_begins() {
    let sink = sink("urls = ['http://localhost:9093']").unwrap();
    let alert = &sink.alerts(&sample(), at("01:00:00"))[0];
    assert_eq!(
        (&alert["startsAt"], &alert["endsAt"]),
        (&json!(at("01:00:00")), &json!(at("03:00:00")))
    );
}

#[test]
fn a_drill_and_a_notice_are_alerts_of_their_own() {
    let sink = sink("urls = ['http://localhost:9093']").unwrap();
    let drill = &sink.alerts(
        &Report {
            drill: true,
            ..sample()
        },
        at("03:01:00"),
    )[0];
    assert_eq!(
        (&drill["labels"]["drill"], &drill["labels"]["severity"]),
        (&json!("true"), &json!("info"))
    );
    assert_eq!(drill["endsAt"], json!(at("03:06:00")));
    let notice = &sink.alerts(
        &Report {
            kind: Kind::Notice,
            ..sample()
        },
        at("03:01:00"),
    )[0];
    assert_eq!(notice["labels"]["alertname"], "LastwordsNotice");
}

#[test]
fn a_hostile_report_makes_an_alert_of_bounded_size() {
    let sink = sink("urls = ['http://localhost:9093']").unwrap();
    for flood in floods() {
        let alerts = sink.alerts(&full_of(&flood), at("03:01:00"));
        assert!(
            alerts.to_string().len() < 64 * 1024,
            "{}",
            alerts.to_string().len()
        );
        let labels = alerts[0]["labels"].as_object().unwrap();
        assert!(labels.values().all(|value| {
            value
                .as_str()
                .is_some_and(|text| !text.is_empty() && text.len() <= 800)
        }));
    }
}

#[test]
fn one_member_of_the_cluster_is_enough_and_all_are_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "hush\n").unwrap();
    let host = Host::new("/", dir.path());
    let send = |answers: [&str; 2]| {
        let servers = answers.map(|answer| StandIn::http(format!("HTTP/1.1 {answer}\r\n\r\nhush")));
        let urls = [servers[0].url(), servers[1].url()];
        let sink = sink(&format!(
            "urls = ['{}', '{}/am/']\ntoken_file = 'token'",
            urls[0], urls[1]
        ))
        .unwrap();
        let sent = sink.send(&sample(), &host);
        let [first, second] = servers.map(|server| server.finish().remove(0));
        assert!(
            first.starts_with("POST /api/v2/alerts HTTP")
                && second.starts_with("POST /am/api/v2/alerts HTTP")
        );
        assert!(
            first.contains("authorization: Bearer hush\r\n")
                && !format!("{sent:?}").contains("hush"),
            "{sent:?}"
        );
        sent
    };
    assert!(send(["200 OK", "200 OK"]).is_ok());
    let half = send(["503 Busy", "200 OK"]).unwrap();
    assert!(
        half.contains("but not http://127.0.0.1:") && half.contains("answered 503: [secret]"),
        "{half}"
    );
    assert!(matches!(
        send(["400 Bad", "503 Busy"]),
        Err(SendError::Retry { .. })
    ));
    assert!(matches!(
        send(["400 Bad", "404 No"]),
        Err(SendError::Refused { .. })
    ));
    assert!(matches!(
        send(["302 There", "429 Slow"]),
        Err(SendError::Retry { .. })
    ));
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    for (toml, why) in [
        ("", "missing field `urls`"),
        ("urls = []", "expected the address of an Alertmanager"),
        ("urls = ['http://alerts:9093']", "tls = \"none\""),
        (
            "urls = ['http://localhost']\nresolve_after = '69m'",
            "at least 70m",
        ),
        (
            "urls = ['http://localhost']\nlabels = { job = 'x' }",
            "lastwords sets",
        ),
        (
            "urls = ['http://localhost']\nlabels = { a-b = 'x' }",
            "not a valid label name",
        ),
        (
            "urls = ['http://localhost']\nurl = 'x'",
            "unknown field `url`",
        ),
    ] {
        let error = sink(toml).unwrap_err();
        assert!(error.contains(why), "{toml}: {error}");
    }
    assert!(sink("urls = ['http://alerts:9093']\ntls = 'none'\nresolve_after = '70m'").is_ok());
}
