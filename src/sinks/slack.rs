//! A Slack channel, through an [incoming webhook](https://api.slack.com/messaging/webhooks).
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `webhook_file` | a file whose first line is the webhook's address | required, or `webhook_env` |
//! | `webhook_env` | the environment variable that holds it | required, or `webhook_file` |
//! | `template` | a file of handlebars, in Slack's markup, in place of the built-in message (config/templates.md) | none |
//!
//! ```toml
//! [[sink.slack]]
//! name = "ops-slack"
//! webhook_file = "/etc/lastwords/secrets/slack"
//! ```
//!
//! The address is a secret, since anyone who knows it can post; lastwords never shows it. Slack has
//! no idempotency key: if its answer is lost, the message comes twice, with the same report id.

mod message;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::template::{self, Template};
use super::{Form, Probed, Receipt, SendError, Sink, http};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::render::{Medium, View, one_line};
use crate::report::Report;
use crate::secret::SecretSource;

/// Maximum number of bytes read of an answer.
const MAX_ANSWER: u64 = 4096;

/// Errors of Slack's that are for good, whatever the status.
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
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "SlackKeys"))]
#[serde(try_from = "SlackKeys")]
pub struct Slack {
    name: String,
    webhook: SecretSource,
    template: Option<Template>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct SlackKeys {
    name: String,
    webhook_file: Option<PathBuf>,
    webhook_env: Option<String>,
    template: Option<Template>,
}

impl TryFrom<SlackKeys> for Slack {
    type Error = KeyError;
    fn try_from(keys: SlackKeys) -> Result<Self, KeyError> {
        Ok(Self {
            name: keys.name,
            webhook: SecretSource::required("webhook", keys.webhook_file, keys.webhook_env)?,
            template: keys.template,
        })
    }
}

impl Sink for Slack {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "slack"
    }

    fn secret_files(&self) -> Vec<&Path> {
        self.webhook.file().into_iter().collect()
    }

    fn templates(&self) -> Vec<(&Template, Medium)> {
        self.template
            .iter()
            .map(|template| (template, Medium::Slack))
            .collect()
    }

    fn form(&self, form: Form, report: &Report, host: &Host) -> Option<String> {
        (form == Form::Slack).then(|| format!("{:#}", self.payload(report, host)))
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        let webhook = self.webhook(host)?;
        let origin = webhook.origin().ascii_serialization();
        let payload = serde_json::to_string_pretty(&self.payload(report, host))?;
        Ok(format!("POST {origin}/… (the rest is secret)\n{payload}\n"))
    }

    /// Asks the host for `/`, without the secret: a webhook itself can only be posted to.
    fn probe(&self, host: &Host) -> Result<Probed, SendError> {
        let mut address = self.webhook(host)?;
        address.set_path("/");
        address.set_query(None);
        let origin = address.origin().ascii_serialization();
        let client = http::client()?;
        http::ask(client.head(address), MAX_ANSWER)
            .with_context(|| format!("{origin} does not answer"))?;
        Ok(Probed::Unasked(format!(
            "{origin} answers (the webhook is not verified: only a message can test it)"
        )))
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let webhook = self.webhook(host)?;
        match post(&webhook, &self.payload(report, host)) {
            // If Slack refuses the blocks, the news goes as plain text.
            Err(SendError::Refused { why }) if why.contains("_blocks") => {
                let receipt = post(&webhook, &message::bare(&View::of(report)))?;
                Ok(format!(
                    "{receipt}, as one line of text, after Slack refused the whole message: {why}"
                ))
            }
            other => other,
        }
    }
}

/// Returns the report as a sink without a template posts it.
pub fn payload(report: &Report) -> Value {
    message::payload(&View::of(report))
}

impl Slack {
    fn payload(&self, report: &Report, host: &Host) -> Value {
        let mut view = message::held(View::of(report));
        match template::fill_all([(self.template.as_ref(), Medium::Slack)], &mut view, host) {
            [Some(text)] => {
                json!({ "text": text, "mrkdwn": true, "unfurl_links": false, "unfurl_media": false })
            }
            [None] => message::payload(&view),
        }
    }

    fn webhook(&self, host: &Host) -> Result<Url> {
        let secret = self.webhook.read(host)?;
        http::address(secret.expose()).context("the webhook's address cannot be used")
    }
}

fn post(webhook: &Url, payload: &Value) -> Result<Receipt, SendError> {
    let request = http::client()?.post(webhook.clone()).json(payload);
    let answer = http::ask(request, MAX_ANSWER)?;
    judge(&answer, webhook)
}

/// Returns what an answer means. The text omits what a server may repeat of the secret address.
fn judge(answer: &http::HttpAnswer, webhook: &Url) -> Result<Receipt, SendError> {
    let said = word(&answer.body);
    let status = answer.status.as_u16();
    if answer.status == StatusCode::OK && said == "ok" {
        return Ok("200 ok".to_owned());
    }
    let body = http::scrub(webhook, &answer.body);
    let why = format!("Slack answered {status}: {}", one_line(&body, 200));
    // A success without `ok`, or a redirect, does not come from Slack but from a proxy.
    let worth_a_retry = said == "rate_limited"
        || matches!(status, 408 | 425 | 429)
        || !answer.status.is_client_error();
    if worth_a_retry && !FINAL.contains(&said.as_str()) {
        Err(SendError::Retry {
            after: answer.retry_after,
            why,
        })
    } else {
        Err(SendError::Refused { why })
    }
}

/// Returns the word that Slack answers: as plain text, or as `{"ok":false,"error":"WORD"}`.
fn word(body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
    error.unwrap_or(body).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use reqwest::StatusCode;
    use serde_json::Value;

    use super::{SendError, Sink, Slack, http, judge};
    use crate::host::Host;
    use crate::report::sample;
    use crate::stand_in::{StandIn, free_port, http};

    fn sink(webhook: &Path) -> Slack {
        toml::from_str(&format!("name = 'ops'\nwebhook_file = {webhook:?}")).expect("a config")
    }

    #[test]
    fn its_kind_is_the_name_of_its_table() {
        assert_eq!(sink(Path::new("x")).kind(), "slack");
    }

    fn send<const N: usize>(answers: [String; N]) -> (Result<String, SendError>, Vec<Value>) {
        let server = StandIn::http_in_turn(answers);
        let dir = tempfile::tempdir().expect("a directory");
        let webhook = dir.path().join("webhook");
        std::fs::write(&webhook, format!("{}/services/T/B/hush\n", server.url())).expect("a file");
        let sink = sink(&webhook);
        let host = Host::new("/", "/");
        let preview = sink.preview(&sample(), &host).expect("a preview");
        let address = format!("POST {}/… (the rest is secret)\n{{", server.url());
        assert!(preview.starts_with(&address), "{preview}");
        assert!(!preview.contains("hush"), "{preview}");
        let result = sink.send(&sample(), &host);
        let body = |request: &String| {
            let (_, body) = request.split_once("\r\n\r\n").expect("a body");
            serde_json::from_str(body).expect("JSON")
        };
        (result, server.finish().iter().map(body).collect())
    }

    #[test]
    fn a_message_is_posted_once() {
        let (receipt, posted) = send([http("200 OK", "", "ok")]);
        assert_eq!(receipt, Ok("200 ok".to_owned()));
        assert_eq!(posted[0]["blocks"][0]["type"], "header");
    }

    #[test]
    fn where_slack_refuses_the_blocks_the_news_goes_as_one_line() {
        let (receipt, posted) = send([
            http("400 Bad Request", "", "invalid_blocks"),
            http("200 OK", "", "ok"),
        ]);
        assert!(
            receipt
                .expect("a receipt")
                .starts_with("200 ok, as one line of text, after Slack refused")
        );
        assert_eq!(posted[1]["text"], posted[0]["text"]);
        assert_eq!(posted[1].get("blocks"), None);
    }

    #[test]
    fn where_slack_refuses_for_another_reason_nothing_more_is_posted() {
        let (refused, posted) = send([http("403 Forbidden", "", "invalid_token")]);
        assert!(matches!(refused, Err(SendError::Refused { .. })));
        assert_eq!(posted.len(), 1);
    }

    #[test]
    fn an_address_that_nobody_answers_is_tried_again_and_never_shown() {
        let free = free_port();
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("webhook");
        for address in [
            format!("http://127.0.0.1:{free}/hush"),
            "http://hush.example.com/".to_owned(),
            "hush".to_owned(),
        ] {
            std::fs::write(&file, address).expect("a file");
            let Err(SendError::Retry { after: None, why }) =
                sink(&file).send(&sample(), &Host::new("/", "/"))
            else {
                panic!("retry")
            };
            assert!(!why.contains("hush"), "{why}");
        }
    }

    fn answer(status: u16, body: &str) -> Result<String, SendError> {
        let status = StatusCode::from_u16(status).expect("a status");
        let retry_after = Some(Duration::from_secs(7));
        let webhook = "https://hooks.slack.com/services/T/B/hushhush"
            .parse()
            .expect("an address");
        judge(
            &http::HttpAnswer {
                status,
                retry_after,
                body: body.to_owned(),
            },
            &webhook,
        )
    }

    #[test]
    fn only_an_ok_in_so_many_words_is_a_receipt() {
        assert_eq!(answer(200, "ok"), Ok("200 ok".to_owned()));
        for nearly in ["no", "", "<html>Please log in</html>"] {
            assert!(
                matches!(answer(200, nearly), Err(SendError::Retry { .. })),
                "{nearly}"
            );
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_when_slack_says() {
        let limited = r#"{"ok":false,"error":"rate_limited"}"#;
        for (status, body) in [
            (429, limited),
            (429, "anything"),
            (200, limited),
            (500, "rollup_error"),
            (503, ""),
            (408, ""),
            (302, ""),
        ] {
            let Err(SendError::Retry { after, why }) = answer(status, body) else {
                panic!("{status} {body}")
            };
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
            assert!(
                matches!(answer(status, body), Err(SendError::Refused { .. })),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_answer_that_repeats_the_address_does_not_give_it_away() {
        let Err(SendError::Refused { why }) =
            answer(404, "Cannot POST /services/T/B/hushhush\u{1b}[2J\nhere")
        else {
            panic!("refused")
        };
        assert_eq!(
            why,
            "Slack answered 404: Cannot POST /[secret]/T/B/[secret] here"
        );
    }
}
