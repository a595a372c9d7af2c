//! A service of PagerDuty, through its [Events API
//! v2](https://developer.pagerduty.com/docs/events-api-v2-overview).
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `routing_key_file` | a file whose first line is the integration key of the service | required, or `routing_key_env` |
//! | `routing_key_env` | the environment variable that holds it | required, or `routing_key_file` |
//! | `severity` | of a crash: `"critical"`, `"error"`, `"warning"` or `"info"` | `"critical"` |
//! | `url` | where the API is: `"https://events.eu.pagerduty.com"` in Europe | `"https://events.pagerduty.com"` |
//!
//! ```toml
//! [[sink.pagerduty]]
//! name = "on-call"
//! routing_key_file = "/etc/lastwords/secrets/pagerduty"
//! ```
//!
//! Equal crashes (host, job and fingerprint) are one incident: a crash opens it, summaries are
//! added to it, and the recovery resolves it. A summary of several causes is added to the incident
//! of the most frequent one, and the recovery resolves them all. An event that is sent twice
//! changes nothing. A drill is an incident of its own with the severity `info`; resolve it by hand.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use reqwest::{StatusCode, Url};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::http::{self, Api};
use super::{Receipt, SendError, Sink, brief};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::render::{View, head_by, one_line};
use crate::report::{Kind, Report};
use crate::secret::{Secret, SecretSource};

/// Maximum number of bytes read of an answer.
const MAX_ANSWER: u64 = 16 * 1024;

/// Limits of PagerDuty in characters, used for bytes here. An event may have 512 KB.
const SUMMARY: usize = 1_024;
const DEDUP_KEY: usize = 255;
/// Maximum size of the logs in an event, as JSON. The other parts take a few kilobytes.
const LOG: usize = 200_000;
const FACT: usize = 2_000;
const LINK: usize = 2_000;
/// Maximum number of incidents that a recovery resolves: those of the most frequent causes. A job
/// opens few, see the deliverer's flood control.
const MOST_INCIDENTS: usize = 20;

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "PagerDutyKeys"))]
#[serde(try_from = "PagerDutyKeys")]
pub struct PagerDuty {
    name: String,
    routing_key: SecretSource,
    severity: EventSeverity,
    url: Api,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct PagerDutyKeys {
    name: String,
    routing_key_file: Option<PathBuf>,
    routing_key_env: Option<String>,
    #[serde(default)]
    severity: EventSeverity,
    #[serde(default = "public_api")]
    url: Api,
}

impl TryFrom<PagerDutyKeys> for PagerDuty {
    type Error = KeyError;
    fn try_from(keys: PagerDutyKeys) -> Result<Self, KeyError> {
        let (file, env) = (keys.routing_key_file, keys.routing_key_env);
        Ok(Self {
            name: keys.name,
            routing_key: SecretSource::required("routing_key", file, env)?,
            severity: keys.severity,
            url: keys.url,
        })
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum EventSeverity {
    #[default]
    Critical,
    Error,
    Warning,
    Info,
}

fn public_api() -> Api {
    Api::public("https://events.pagerduty.com")
}

impl Sink for PagerDuty {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "pagerduty"
    }

    fn secret_files(&self) -> Vec<&Path> {
        self.routing_key.file().into_iter().collect()
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        self.routing_key(host)?;
        let endpoint = self.endpoint()?;
        let post = |event: &Value| {
            let event = serde_json::to_string_pretty(event)?;
            Ok(format!("POST {endpoint}\n{event}\n"))
        };
        self.events(report, "(secret)").iter().map(post).collect()
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let key = self.routing_key(host)?;
        let client = http::client()?;
        let mut receipts = Vec::new();
        for event in self.events(report, key.expose()) {
            let request = client.post(self.endpoint()?).json(&event);
            receipts.push(judge(&http::ask(request, MAX_ANSWER)?, &key)?);
        }
        Ok(receipts.join(", "))
    }
}

impl PagerDuty {
    fn routing_key(&self, host: &Host) -> Result<Secret> {
        let key = self.routing_key.read(host)?;
        let plain = key
            .expose()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric());
        ensure!(
            key.expose().len() == 32 && plain,
            "expected an integration key of 32 letters and digits"
        );
        Ok(key)
    }

    fn endpoint(&self) -> Result<Url> {
        self.url.endpoint(&["v2", "enqueue"])
    }

    /// Returns the events of a report: one, or those that resolve each incident.
    fn events(&self, report: &Report, routing_key: &str) -> Vec<Value> {
        if !matches!(report.kind, Kind::Recovered { .. }) {
            return vec![self.event(report, routing_key)];
        }
        let resolve = |fingerprint: &str| {
            let dedup_key = dedup_key(report, fingerprint);
            json!({ "routing_key": routing_key, "event_action": "resolve", "dedup_key": dedup_key })
        };
        let incidents = report.fingerprints().take(MOST_INCIDENTS);
        incidents.map(resolve).collect()
    }

    fn event(&self, report: &Report, routing_key: &str) -> Value {
        let (view, dedup_key) = (View::of(report), dedup_key(report, &report.fingerprint));
        let severity = match report.kind {
            _ if report.drill => EventSeverity::Info,
            Kind::Notice => EventSeverity::Warning,
            _ => self.severity,
        };
        let link =
            brief::runbook(&view, LINK).map(|href| json!({ "href": href, "text": "Runbook" }));
        json!({
            "routing_key": routing_key,
            "event_action": "trigger",
            "dedup_key": dedup_key,
            "client": "lastwords",
            "links": link.into_iter().collect::<Vec<_>>(),
            "payload": {
                "summary": head_by(&view.subject, SUMMARY, char::len_utf8),
                "source": present(&view.host),
                "severity": severity,
                "timestamp": report.made_at(),
                "component": present(&view.service),
                "class": report.cause.kind,
                "custom_details": details(&view),
            },
        })
    }
}

fn present(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// Returns the key that makes two events one incident.
fn dedup_key(report: &Report, fingerprint: &str) -> String {
    let id = if report.drill {
        report.id.as_str()
    } else {
        fingerprint
    };
    let key = format!("lastwords/{}/{}/{id}", report.host, report.stop.job);
    if key.len() <= DEDUP_KEY && !key.contains(char::is_control) {
        return key;
    }
    let hash = digest(&SHA256, key.as_bytes());
    hash.as_ref()
        .iter()
        .fold("lastwords/".to_owned(), |key, byte| {
            format!("{key}{byte:02x}")
        })
}

/// Returns the table that PagerDuty shows below the summary.
fn details(view: &View) -> Value {
    let mut details = Map::new();
    for (name, value) in brief::facts(view, FACT, cost) {
        let value = match details.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before}\n{value}"),
            None => value,
        };
        details.insert(name.to_owned(), value.into());
    }
    let logs = view.logs().count().max(1);
    for log in view.logs() {
        details.insert(log.title.clone(), log.cut_by(LOG / logs, cost).into());
    }
    details.insert("Report".to_owned(), view.show.clone().into());
    details.into()
}

/// Returns the length of a character in JSON.
fn cost(c: char) -> usize {
    if "\"\\\n\t".contains(c) {
        2
    } else {
        c.len_utf8()
    }
}

/// Returns what an answer means. Only an error in PagerDuty's own form is for good.
fn judge(answer: &http::HttpAnswer, key: &Secret) -> Result<Receipt, SendError> {
    let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    if answer.status == StatusCode::ACCEPTED && text("status") == Some("success") {
        return Ok(format!(
            "incident {}",
            one_line(text("dedup_key").unwrap_or_default(), DEDUP_KEY)
        ));
    }
    let own = text("status").is_some() && text("message").is_some();
    let why = format!(
        "PagerDuty answered {}: {}",
        answer.status.as_u16(),
        one_line(&key.scrub(&answer.body), 300)
    );
    Err(http::not_taken(answer, own, &why))
}

#[cfg(test)]
mod tests {
    use super::brief::tests::{floods, full_of};
    use super::*;
    use crate::report::{CauseCount, Series, sample};
    use crate::stand_in::StandIn;

    const KEY: &str = "0123456789abcdef0123456789abhush";

    fn sink(more: &str) -> PagerDuty {
        toml::from_str(&format!("name = 'x'\nrouting_key_file = 'key'\n{more}")).unwrap()
    }

    #[test]
    fn every_limit_of_pagerdutys_holds_whatever_the_report_holds() {
        for flood in floods() {
            let mut report = full_of(&flood);
            report.sections = vec![report.sections[0].clone(); 24];
            let event = sink("").event(&report, KEY);
            let size = |value: &Value| value.as_str().expect("a text").chars().count();
            assert!((1..=1024).contains(&size(&event["payload"]["summary"])));
            assert!((1..=255).contains(&size(&event["dedup_key"])));
            assert!(size(&event["payload"]["source"]) > 0);
            assert!(
                event.to_string().len() <= 512_000,
                "{}",
                event.to_string().len()
            );
        }
    }

    #[test]
    fn a_key_of_255_is_itself_and_a_longer_one_is_hashed() {
        let mut report = sample();
        let key = |report: &Report| dedup_key(report, &report.fingerprint);
        let before = key(&report).len();
        report.stop.job = format!("web{}", "x".repeat(255 - before));
        assert_eq!(
            key(&report),
            format!("lastwords/db1/{}/0011223344556677", report.stop.job)
        );
        report.stop.job.push('x');
        let hashed = key(&report);
        assert_eq!((hashed.len(), hashed == key(&report)), (74, true));
        report.stop.job.push('x');
        assert_ne!(hashed, key(&report));
    }

    #[test]
    fn a_crash_opens_the_incident_that_the_recovery_resolves() {
        let mut report = sample();
        let crash = sink("severity = 'warning'").event(&report, KEY);
        assert_eq!(
            (&crash["event_action"], &crash["payload"]["severity"]),
            (&json!("trigger"), &json!("warning"))
        );
        assert_eq!(
            crash["links"],
            json!([{ "href": "https://wiki.example.com/web", "text": "Runbook" }])
        );
        assert_eq!(
            crash["payload"]["summary"],
            "[db1] web crashed: exit code 1"
        );
        assert_eq!(
            crash["payload"]["custom_details"]["log"],
            "listening on 8080\nError: boom"
        );
        let all = Series::one(report.stop.stopped_at);
        report.kind = Kind::Recovered {
            new: None,
            all,
            instances: 1,
            up_s: 600,
            ended_well: None,
            stopped: None,
            made_at: all.last,
        };
        let over = sink("").events(&report, KEY).remove(0);
        assert_eq!(
            (&over["event_action"], &over["dedup_key"]),
            (&json!("resolve"), &crash["dedup_key"])
        );
        report.causes = ["aa", "bb"]
            .map(|fingerprint| CauseCount {
                kind: report.cause.kind,
                line: String::new(),
                fingerprint: fingerprint.to_owned(),
                crashes: all,
            })
            .to_vec();
        let over = sink("").events(&report, KEY);
        assert_eq!(over.len(), 3, "{over:?}");
        assert!(over.iter().all(|event| event["event_action"] == "resolve"));
        assert_eq!(over[2]["dedup_key"], "lastwords/db1/web/bb");
        let drill = sink("").event(
            &Report {
                drill: true,
                ..sample()
            },
            KEY,
        );
        assert_ne!(drill["dedup_key"], crash["dedup_key"]);
        assert_eq!(drill["payload"]["severity"], "info");
    }

    #[test]
    fn an_answer_says_whether_to_try_again_and_the_key_is_in_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), KEY).unwrap();
        let host = Host::new("/", dir.path());
        let send = |answer: &str| {
            let server = StandIn::http(format!("HTTP/1.1 {answer}"));
            let result = sink(&format!("url = '{}'", server.url())).send(&sample(), &host);
            (result, server.finish().remove(0))
        };
        let accepted =
            "{\"status\":\"success\",\"message\":\"Event processed\",\"dedup_key\":\"k\"}";
        let (result, request) = send(&format!("202 Accepted\r\n\r\n{accepted}"));
        assert_eq!(result, Ok("incident k".to_owned()));
        assert!(
            request.starts_with("POST /v2/enqueue HTTP/1.1\r\n") && request.contains(KEY),
            "{request}"
        );
        let invalid =
            format!("{{\"status\":\"invalid event\",\"message\":\"{KEY}\",\"errors\":[]}}");
        for (answer, for_good) in [
            (format!("400 Bad\r\n\r\n{invalid}"), true),
            (format!("429 Slow\r\n\r\n{invalid}"), false),
            (format!("500 Oops\r\n\r\n{invalid}"), false),
            ("403 No\r\n\r\n<html>a proxy</html>".to_owned(), false),
            ("202 Accepted\r\n\r\nok".to_owned(), false),
        ] {
            let (result, _) = send(&answer);
            assert_eq!(
                matches!(result, Err(SendError::Refused { .. })),
                for_good,
                "{answer}: {result:?}"
            );
            assert!(
                result.is_err() && !format!("{result:?}").contains("hush"),
                "{result:?}"
            );
        }
        assert!(!sink("").preview(&sample(), &host).unwrap().contains("hush"));
        std::fs::write(dir.path().join("key"), "hush").unwrap();
        let why = format!("{:?}", sink("").send(&sample(), &host));
        assert!(
            why.contains("32 letters and digits") && !why.contains("hush"),
            "{why}"
        );
    }
}
