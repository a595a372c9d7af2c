//! Prometheus' [Alertmanager](https://prometheus.io/docs/alerting/latest/alerts_api/), API v2 (0.16
//! and later).
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `urls` | the addresses of all members of the cluster; each is told | required |
//! | `severity` | the label of a crash | `"critical"` |
//! | `labels` | a table of more labels | none |
//! | `resolve_after` | after so long without news an alert is over; at least 70 min | `"2h"` |
//! | `token_file` | a file whose first line is a token, sent as `Authorization: Bearer` | none |
//! | `token_env` | the environment variable that holds it | none |
//! | `ca_file` | certificates, as PEM, to trust beside the system's | – |
//! | `tls` | `"required"`, or `"none"` for `http://` addresses on other machines | `"required"` |
//!
//! ```toml
//! [[sink.alertmanager]]
//! name = "alerts"
//! urls = ["https://alerts1.example.com", "https://alerts2.example.com"]
//! labels = { team = "ops" }
//! ```
//!
//! Equal crashes are one alert, `LastwordsCrash`, with the labels `job`, `host`, `fingerprint` and
//! `severity` and the annotations `summary`, `description`, `instance`, `runbook` and `report`. It
//! fires from the first crash on. While the service keeps crashing, each summary (at least one an
//! hour) extends it by `resolve_after`; a summary of several causes extends the alert of the most
//! frequent. The recovery resolves all of them at once. If lastwords cannot see a
//! recovery (the hooks do not arm the service, or it stays down), the alert ends `resolve_after`
//! after the last crash; set more for services that nothing restarts. A drill has the severity
//! `info` and a label `drill`, and ends after 5 minutes. Notices about lastwords itself are
//! `LastwordsNotice`, a warning.
//!
//! An alert counts as delivered if one member of the cluster has taken it. Sent twice, it is the
//! same alert.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use reqwest::Url;
use reqwest::blocking::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{self, Tls};
use super::{Receipt, SendError, Sink, brief};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::render::{View, one_line};
use crate::report::{Kind, Report, Timestamp};
use crate::secret::{Secret, SecretSource};

/// Maximum number of bytes read of an answer.
const MAX_ANSWER: u64 = 4096;
/// Minimum of `resolve_after`: a summary comes every hour and needs time to arrive.
const LEAST_RESOLVE_AFTER: Duration = Duration::from_mins(70);
const DRILL_LASTS: Duration = Duration::from_mins(5);
/// Maximum length of one fact and of the log in the description, in characters.
const FACT: usize = 500;
const LOG: usize = 2_000;

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(with = "AlertmanagerKeys")
)]
#[serde(try_from = "AlertmanagerKeys")]
pub struct Alertmanager {
    name: String,
    /// Address for alerts of each member.
    endpoints: Vec<Url>,
    severity: String,
    labels: BTreeMap<String, String>,
    resolve_after: Duration,
    token: Option<SecretSource>,
    ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct AlertmanagerKeys {
    name: String,
    #[cfg_attr(test, schemars(length(min = 1)))]
    urls: Vec<String>,
    #[serde(default = "critical")]
    severity: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default = "two_hours", with = "humantime_serde")]
    #[cfg_attr(test, schemars(with = "String"))]
    resolve_after: Duration,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    tls: Tls,
}

fn critical() -> String {
    "critical".to_owned()
}

fn two_hours() -> Duration {
    Duration::from_hours(2)
}

impl TryFrom<AlertmanagerKeys> for Alertmanager {
    type Error = KeyError;
    fn try_from(keys: AlertmanagerKeys) -> Result<Self, KeyError> {
        const OURS: [&str; 5] = ["alertname", "job", "host", "fingerprint", "drill"];
        if keys.urls.is_empty() {
            let message =
                "expected the address of an Alertmanager, such as \"http://localhost:9093\"";
            return Err(KeyError::at("urls", message));
        }
        let endpoint = |url: &String| {
            let server =
                http::server(url, keys.tls).map_err(|why| KeyError::at("urls", why.to_string()))?;
            Ok(http::below(&server, &["api", "v2", "alerts"]))
        };
        let endpoints = keys.urls.iter().map(endpoint).collect::<Result<_, _>>()?;
        if keys.resolve_after < LEAST_RESOLVE_AFTER {
            let help = "lastwords sends an update once an hour while a service keeps crashing";
            return Err(KeyError::at("resolve_after", "expected at least 70m").help(help));
        }
        if let Some(label) = keys
            .labels
            .keys()
            .find(|label| OURS.contains(&label.as_str()) || !is_label(label))
        {
            let message = format!(
                "{label:?} is a label that lastwords sets itself, or it is not a valid label name (letters, digits, `_`)"
            );
            return Err(KeyError::at("labels", message));
        }
        Ok(Self {
            name: keys.name,
            endpoints,
            severity: keys.severity,
            labels: keys.labels,
            resolve_after: keys.resolve_after,
            token: SecretSource::optional("token", keys.token_file, keys.token_env)?,
            ca_file: keys.ca_file,
        })
    }
}

fn is_label(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| !c.is_ascii_digit()) && name.chars().all(plain)
}

impl Sink for Alertmanager {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "alertmanager"
    }

    fn secret_files(&self) -> Vec<&Path> {
        self.token.iter().filter_map(SecretSource::file).collect()
    }

    fn patience(&self) -> Duration {
        // Each member in turn.
        Duration::from_secs(35)
            * u32::try_from(self.endpoints.len())
                .unwrap_or(1)
                .clamp(1, 20)
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        self.token(host)?;
        http::client_trusting(self.ca_file.as_deref(), host)?;
        let alerts = serde_json::to_string_pretty(&self.alerts(report, http::now()))?;
        let posts = self
            .endpoints
            .iter()
            .fold(String::new(), |posts, url| format!("{posts}POST {url}\n"));
        Ok(format!("{posts}{alerts}\n"))
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let token = self.token(host)?;
        let client = http::client_trusting(self.ca_file.as_deref(), host)?;
        let alerts = self.alerts(report, http::now());
        let (mut members, mut errors) = (Vec::new(), Vec::new());
        for url in &self.endpoints {
            let member = url.origin().ascii_serialization();
            match post(&client, url.clone(), token.as_ref(), &alerts) {
                Ok(()) => members.push(member),
                Err(error) => errors.push((member, error)),
            }
        }
        judge(&members, &errors)
    }
}

impl Alertmanager {
    fn token(&self, host: &Host) -> Result<Option<Secret>> {
        self.token
            .as_ref()
            .map(|token| token.read(host))
            .transpose()
    }

    /// Returns the alert of a report that is sent now. All reports of the same crash have the same
    /// labels. A recovery ends the alerts of all crashes before it.
    fn alerts(&self, report: &Report, now: Timestamp) -> Value {
        let view = View::of(report);
        let mut labels = self.labels.clone();
        let is_notice = report.kind == Kind::Notice;
        let severity = match report.kind {
            _ if report.drill => "info",
            Kind::Notice => "warning",
            _ => &self.severity,
        };
        for (name, value) in [
            (
                "alertname",
                if is_notice {
                    "LastwordsNotice"
                } else {
                    "LastwordsCrash"
                },
            ),
            ("job", &one_line(&report.stop.job, 200)),
            ("host", &view.host),
            ("severity", severity),
            ("drill", if report.drill { "true" } else { "" }),
        ] {
            // An empty label counts as none.
            if !value.is_empty() {
                labels.insert(name.to_owned(), value.to_owned());
            }
        }
        let mut annotations = json!({
            "summary": view.subject,
            "description": description(&view),
            "report": view.id,
        });
        let instance = report
            .stop
            .instance
            .as_ref()
            .map(|instance| one_line(instance, 200));
        for (name, value) in [("instance", &instance), ("runbook", &view.runbook)] {
            if let Some(value) = value {
                annotations[name] = value.as_str().into();
            }
        }
        let (started, lasts) = match report.kind {
            Kind::Recovered { all, .. } => (all.first, Duration::ZERO),
            Kind::Summary { all, .. } => (all.first, self.resolve_after),
            _ if report.drill => (report.stop.stopped_at, DRILL_LASTS),
            Kind::Crash | Kind::Down { .. } | Kind::Notice => {
                (report.stop.stopped_at, self.resolve_after)
            }
        };
        // An alert must not end before it begins, even if the clock was set back.
        let started = started.min(now);
        let alert = |fingerprint: &str| {
            let mut labels = labels.clone();
            let fingerprint = one_line(fingerprint, 64);
            if !fingerprint.is_empty() {
                labels.insert("fingerprint".to_owned(), fingerprint);
            }
            json!({ "labels": labels, "annotations": annotations, "startsAt": started, "endsAt": Timestamp::new(now.time() + lasts) })
        };
        let count = match report.kind {
            Kind::Recovered { .. } => usize::MAX,
            _ => 1,
        };
        report.fingerprints().take(count).map(alert).collect()
    }
}

fn description(view: &View) -> String {
    let facts = brief::facts(view, FACT, |_| 1);
    let facts = facts.iter().fold(String::new(), |text, (name, value)| {
        format!("{text}{name}: {value}\n")
    });
    let log = brief::last_lines(view, LOG, |_| 1)
        .map(|log| format!("\n{log}\n"))
        .unwrap_or_default();
    format!("{facts}{log}\n{}", view.show)
}

fn post(
    client: &Client,
    url: Url,
    token: Option<&Secret>,
    alerts: &Value,
) -> Result<(), SendError> {
    let mut request = client.post(url).json(alerts);
    if let Some(token) = token {
        request = request.bearer_auth(token.expose());
    }
    let answer = http::ask(request, MAX_ANSWER)?;
    if answer.status.is_success() {
        return Ok(());
    }
    let said = token.map_or_else(|| answer.body.clone(), |token| token.scrub(&answer.body));
    let why = format!(
        "answered {}: {}",
        answer.status.as_u16(),
        one_line(&said, 200)
    );
    Err(http::not_taken(&answer, true, &why))
}

/// Returns what the answers of all members mean together.
fn judge(taken: &[String], errors: &[(String, SendError)]) -> Result<Receipt, SendError> {
    let why = |(member, error): &(String, SendError)| match error {
        SendError::Retry { why, .. } | SendError::Refused { why } => format!("{member}: {why}"),
    };
    let whys = errors.iter().map(why).collect::<Vec<_>>().join("; ");
    if !taken.is_empty() {
        let but = if whys.is_empty() {
            whys
        } else {
            format!(", but not {whys}")
        };
        return Ok(format!("taken by {}{but}", taken.join(", ")));
    }
    let why = one_line(&whys, 500);
    if errors
        .iter()
        .all(|(_, error)| matches!(error, SendError::Refused { .. }))
    {
        return Err(SendError::Refused { why });
    }
    let after = |(_, error): &(String, SendError)| {
        if let SendError::Retry { after, .. } = error {
            *after
        } else {
            None
        }
    };
    Err(SendError::Retry {
        after: errors.iter().filter_map(after).min(),
        why,
    })
}

#[cfg(test)]
mod tests;
