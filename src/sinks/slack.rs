//! A Slack channel, through an [incoming webhook](https://api.slack.com/messaging/webhooks).
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `webhook_file` | a file whose first line is the webhook's address | one of the two |
//! | `webhook_env` | the environment variable that holds it | is required |
//!
//! ```toml
//! [[sink.slack]]
//! name = "ops-slack"
//! webhook_file = "/etc/lastwords/secrets/slack"
//! ```
//!
//! Whoever knows the address can post: it is a secret, and lastwords never shows it. Slack has no idempotency key: a
//! message that was taken without lastwords hearing so comes twice, with the same report id.

mod message;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::{Receipt, SendError, Sink, http};
use crate::host::Host;
use crate::render::{View, one_line};
use crate::report::Report;
use crate::secret;

/// Of an answer, this many bytes are looked at.
const MAX_ANSWER: u64 = 4096;

/// What Slack never takes back, in its own words, whatever status they come with.
const FINAL: [&str; 15] = [
    "invalid_payload",
    "invalid_blocks",
    "msg_blocks_too_long",
    "no_text",
    "no_service",
    "no_service_id",
    "no_active_hooks",
    "invalid_token",
    "channel_not_found",
    "channel_is_archived",
    "action_prohibited",
    "posting_to_general_channel_denied",
    "no_team",
    "team_disabled",
    "too_many_attachments",
];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    name: String,
    webhook_file: Option<PathBuf>,
    webhook_env: Option<String>,
}

impl Sink for Slack {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "slack"
    }

    fn secret_files(&self) -> Vec<&Path> {
        self.webhook_file.as_deref().into_iter().collect()
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        let webhook = self.webhook(host)?;
        let origin = webhook.origin().ascii_serialization();
        let payload = serde_json::to_string_pretty(&message::payload(&View::of(report)))?;
        Ok(format!("POST {origin}/… (the rest is secret)\n{payload}\n"))
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let webhook = self.webhook(host).map_err(|why| retry(&why))?;
        let view = View::of(report);
        match post(&webhook, &message::payload(&view)) {
            // Whatever Slack holds against the blocks, the news goes through.
            Err(SendError::Refused { why }) if why.contains("_blocks") => {
                let receipt = post(&webhook, &message::bare(&view))?;
                Ok(format!("{receipt}, as one line of text, after Slack refused the whole message: {why}"))
            }
            other => other,
        }
    }
}

impl Slack {
    fn webhook(&self, host: &Host) -> Result<Url> {
        let file = self.webhook_file.as_deref();
        let secret = secret::read("webhook", file, self.webhook_env.as_deref(), host)?;
        http::address(secret.expose()).context("the webhook's address is of no use")
    }
}

fn post(webhook: &Url, payload: &Value) -> Result<Receipt, SendError> {
    let client = http::client().map_err(|why| retry(&why))?;
    let answer = http::ask(client.post(webhook.clone()).json(payload), MAX_ANSWER).map_err(|why| retry(&why))?;
    judge(&answer, webhook.path())
}

fn retry(why: &anyhow::Error) -> SendError {
    SendError::Retry { after: None, why: one_line(&format!("{why:#}"), 500) }
}

/// What an answer means; `secret` is the part of the address that a server might repeat.
fn judge(answer: &http::Answer, secret: &str) -> Result<Receipt, SendError> {
    let said = word(&answer.body);
    let status = answer.status.as_u16();
    if answer.status == StatusCode::OK && said == "ok" {
        return Ok("200 ok".to_owned());
    }
    let body = if secret.len() > 1 { answer.body.replace(secret, "/[secret]") } else { answer.body.clone() };
    let why = format!("Slack answered {status}: {}", one_line(&body, 200));
    // A success that does not say `ok`, or a redirect, is not Slack speaking but something in between.
    let worth_a_retry = said == "rate_limited" || matches!(status, 408 | 425 | 429) || !answer.status.is_client_error();
    if worth_a_retry && !FINAL.contains(&said.as_str()) {
        Err(SendError::Retry { after: answer.retry_after, why })
    } else {
        Err(SendError::Refused { why })
    }
}

/// The one word that Slack answers: as plain text, or as `{"ok":false,"error":"WORD"}`.
fn word(body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
    error.unwrap_or(body).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::{SendError, http, judge};

    fn answer(status: u16, body: &str) -> Result<String, SendError> {
        let status = StatusCode::from_u16(status).expect("a status");
        let retry_after = Some(Duration::from_secs(7));
        judge(&http::Answer { status, retry_after, body: body.to_owned() }, "/services/T/B/hush")
    }

    #[test]
    fn only_an_ok_in_so_many_words_is_a_receipt() {
        assert_eq!(answer(200, "ok"), Ok("200 ok".to_owned()));
        for nearly in ["no", "", "<html>Please log in</html>"] {
            assert!(matches!(answer(200, nearly), Err(SendError::Retry { .. })), "{nearly}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_when_slack_says() {
        let limited = r#"{"ok":false,"error":"rate_limited"}"#;
        for (status, body) in
            [(429, limited), (429, "anything"), (200, limited), (500, "rollup_error"), (503, ""), (408, ""), (302, "")]
        {
            let Err(SendError::Retry { after, why }) = answer(status, body) else { panic!("{status} {body}") };
            assert_eq!(after, Some(Duration::from_secs(7)));
            assert!(why.contains(&status.to_string()), "{why}");
        }
    }

    #[test]
    fn what_slack_will_never_take_is_refused() {
        for (status, body) in [
            (400, "invalid_payload"),
            (403, "invalid_token"),
            (403, "action_prohibited"),
            (404, "no_service"),
            (410, "channel_is_archived"),
            (500, "no_team"),
            (200, r#"{"ok":false,"error":"invalid_blocks"}"#),
            (404, "<html>not found</html>"),
        ] {
            assert!(matches!(answer(status, body), Err(SendError::Refused { .. })), "{status} {body}");
        }
    }

    #[test]
    fn an_answer_that_repeats_the_address_does_not_give_it_away() {
        let Err(SendError::Refused { why }) = answer(404, "Cannot POST /services/T/B/hush\u{1b}[2J\nhere") else {
            panic!("refused")
        };
        assert_eq!(why, "Slack answered 404: Cannot POST /[secret] here");
    }
}
