//! Jobs that run by the clock: the next run that ends well closes what the failed one has opened.

use std::fs;

use serde_json::Value;

use crate::alerts::{deliver, told};
use crate::crash::keep_secret;
use crate::support::harness::{Harness, wait_for_some};
use crate::support::servers::alertmanager::Alertmanager;
use crate::support::servers::slack::Slack;
use crate::support::stand_in::{Client, StandIn, http};

const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

/// Runs a command of the job `backup` that ends with this code.
fn run(machine: &Harness, code: i32) {
    let mut run = machine.command("run");
    run.args(["--job", "backup", "--", "/bin/sh", "-c"]);
    let status = run.arg(format!("exit {code}")).status();
    assert_eq!(status.expect("a run").code(), Some(code));
    machine.settle();
}

fn machine(sink: &str) -> Harness {
    let machine = Harness::new();
    let config = format!("[[sink.{sink}\n[default.collect]\n");
    fs::write(machine.config.join("lastwords.toml"), config).expect("the config");
    machine
}

#[test]
fn alertmanager_resolves_the_alert_of_a_job_whose_next_run_ends_well() {
    let people = Slack::start();
    let alertmanager = Alertmanager::start(&people.webhook());
    let url = &alertmanager.url;
    let machine = machine(&format!(
        "alertmanager]]\nname = 'alerts'\nurls = ['{url}']"
    ));
    let backup = |status: &str| (status.to_owned(), "backup".to_owned(), 1);

    run(&machine, 3);
    assert_eq!(alertmanager.alerts().len(), 1);
    wait_for_some("people are told", || {
        (told(&people) == [backup("firing")]).then_some(())
    });
    // It fails again: that is the same alert.
    run(&machine, 3);
    deliver(&machine, 11);
    assert_eq!(alertmanager.alerts().len(), 1);

    run(&machine, 0);
    deliver(&machine, 30);
    wait_for_some("people are told that it is over", || {
        (told(&people) == [backup("firing"), backup("resolved")]).then_some(())
    });
    assert_eq!(alertmanager.alerts(), [] as [Value; 0]);
}

/// Answers as PagerDuty's Events API does: takes what its reference calls an event, and nothing
/// else.
fn pagerduty(client: &mut Client) -> std::io::Result<()> {
    let (head, body) = client.http_request()?;
    let event: Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |at: &str| {
        event
            .pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let is_one_of = |at: &str, words: &[&str]| words.contains(&text(at));
    let has_payload = (1..=1024).contains(&text("/payload/summary").chars().count())
        && !text("/payload/source").is_empty()
        && is_one_of(
            "/payload/severity",
            &["critical", "error", "warning", "info"],
        );
    let is_event = match text("/event_action") {
        "trigger" => has_payload,
        "acknowledge" | "resolve" => true,
        _ => false,
    };
    let is_taken = head.starts_with("POST /v2/enqueue HTTP/1.1\r\n")
        && head
            .to_ascii_lowercase()
            .contains("content-type: application/json")
        && text("/routing_key") == ROUTING_KEY
        && (1..=255).contains(&text("/dedup_key").chars().count())
        && is_event;
    let answer = if is_taken {
        let key = text("/dedup_key");
        let answer =
            format!(r#"{{"status":"success","message":"Event processed","dedup_key":"{key}"}}"#);
        http("202 Accepted", "", &answer)
    } else {
        let answer =
            r#"{"status":"invalid event","message":"Event object is invalid","errors":[]}"#;
        http("400 Bad Request", "", answer)
    };
    client.say(answer)
}

#[test]
fn pagerdutys_incident_of_a_job_is_resolved_when_its_next_run_ends_well() {
    let server = StandIn::start(pagerduty);
    let machine = machine(&format!(
        "pagerduty]]\nname = 'on-call'\nurl = '{}'\nrouting_key_file = '/etc/lastwords/secrets/key'",
        server.url()
    ));
    keep_secret(&machine, "key", ROUTING_KEY);
    // Returns what each event does, and to which incident.
    let events = || -> Vec<(String, String)> {
        let heard = server.heard();
        let bodies = heard.iter().filter_map(|text| text.split_once("\r\n\r\n"));
        let events = bodies.filter_map(|(_, body)| serde_json::from_str::<Value>(body).ok());
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let parts = |event: Value| (text(&event, "event_action"), text(&event, "dedup_key"));
        events.map(parts).collect()
    };
    run(&machine, 3);
    run(&machine, 0);
    deliver(&machine, 11);
    let events = events();
    let actions: Vec<&str> = events.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["trigger", "resolve"], "{events:?}");
    assert_eq!(events[0].1, events[1].1, "the same incident");
    let taken = machine.reports().len();
    let refused = fs::read_dir(machine.spool.join("dead")).map_or(0, Iterator::count);
    assert_eq!((taken, refused), (2, 0));
}
