//! A Discord channel, through a
//! [webhook](https://discord.com/developers/docs/resources/webhook#execute-webhook).
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `webhook_file` | a file whose first line is the webhook's address | required, or `webhook_env` |
//! | `webhook_env` | the environment variable that holds it | required, or `webhook_file` |
//!
//! ```toml
//! [[sink.discord]]
//! name = "ops-discord"
//! webhook_file = "/etc/lastwords/secrets/discord"
//! ```
//!
//! The address is in the channel's settings, under Integrations. It is a secret, since anyone who
//! knows it can post. A message mentions nobody, whatever its text. Discord has no idempotency key
//! for webhooks: if its answer is lost, the message comes twice, with the same report id.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Receipt, SendError, Sink, brief, http};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::render::{View, head_by, one_line};
use crate::report::Report;
use crate::secret::SecretSource;

/// Maximum number of bytes read of an answer, which repeats the message.
const MAX_ANSWER: u64 = 64 * 1024;

/// Limits of Discord in characters, counted in UTF-16 here, which is never fewer.
const CONTENT: usize = 2_000;
const TITLE: usize = 256;
const DESCRIPTION: usize = 4_096;
/// Title, description and footer together stay below 6,000, the limit of all embeds.
const FOOTER: usize = 200;
/// Maximum length of one fact, so that all of them leave room for the log.
const FACT: usize = 250;
const LINK: usize = 2_048;

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "DiscordKeys"))]
#[serde(try_from = "DiscordKeys")]
pub struct Discord {
    name: String,
    webhook: SecretSource,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct DiscordKeys {
    name: String,
    webhook_file: Option<PathBuf>,
    webhook_env: Option<String>,
}

impl TryFrom<DiscordKeys> for Discord {
    type Error = KeyError;
    fn try_from(keys: DiscordKeys) -> Result<Self, KeyError> {
        Ok(Self {
            name: keys.name,
            webhook: SecretSource::required("webhook", keys.webhook_file, keys.webhook_env)?,
        })
    }
}

impl Sink for Discord {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "discord"
    }

    fn secret_files(&self) -> Vec<&Path> {
        self.webhook.file().into_iter().collect()
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        let origin = self.webhook(host)?.origin().ascii_serialization();
        let payload = serde_json::to_string_pretty(&payload(report))?;
        Ok(format!("POST {origin}/… (the rest is secret)\n{payload}\n"))
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let webhook = self.webhook(host)?;
        let client = http::client()?;
        let request = client.post(webhook.clone()).json(&payload(report));
        let answer = http::ask(request, MAX_ANSWER)?;
        judge(&answer, &webhook)
    }
}

impl Discord {
    /// Returns the webhook's address. `wait=true` delays the answer until the message is stored.
    fn webhook(&self, host: &Host) -> Result<Url> {
        let secret = self.webhook.read(host)?;
        let mut url =
            http::address(secret.expose()).context("the webhook's address cannot be used")?;
        let others: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(key, _)| key != "wait")
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(others)
            .append_pair("wait", "true");
        Ok(url)
    }
}

/// Returns what an answer means. Only an error in Discord's own form is for good.
fn judge(answer: &http::HttpAnswer, webhook: &Url) -> Result<Receipt, SendError> {
    let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    if answer.status == StatusCode::OK
        && let Some(id) = text("id")
    {
        return Ok(format!("message {}", one_line(id, 40)));
    }
    let own = json.get("code").is_some_and(Value::is_number) && text("message").is_some();
    let said = one_line(&http::scrub(webhook, &answer.body), 200);
    let why = format!("Discord answered {}: {said}", answer.status.as_u16());
    Err(http::not_taken(answer, own, &why))
}

fn payload(report: &Report) -> Value {
    let view = View::of(report);
    let mut embed = json!({
        "title": escaped(&view.title, TITLE),
        "description": description(&view),
        "color": u32::from_str_radix(view.colour.trim_start_matches('#'), 16).unwrap_or_default(),
        "timestamp": report.made_at(),
        "footer": { "text": head_by(&format!("{} · {}", view.show, view.host), FOOTER, char::len_utf16) },
    });
    if let Some(runbook) = brief::runbook(&view, LINK) {
        embed["url"] = runbook.into();
    }
    json!({ "content": escaped(&view.subject, CONTENT), "embeds": [embed], "allowed_mentions": { "parse": [] } })
}

fn description(view: &View) -> String {
    const OPEN: &str = "```\n";
    const CLOSE: &str = "\n```";
    let facts = brief::facts(view, FACT, cost);
    let line = |text, (name, value): &(_, String)| format!("{text}**{name}** {}\n", escape(value));
    let mut text = facts.iter().fold(String::new(), line);
    let room = DESCRIPTION.saturating_sub(text.encode_utf16().count() + OPEN.len() + CLOSE.len());
    // In a block of code only the end of the block is markup.
    if let Some(log) = brief::last_lines(view, room, |c| if c == '`' { 2 } else { c.len_utf16() }) {
        text = format!("{text}{OPEN}{}{CLOSE}", log.replace('`', "`\u{200b}"));
    }
    text.trim_end().to_owned()
}

/// Returns true if a character begins or ends Discord's markup, mentions or emoji.
fn is_markup(c: char) -> bool {
    "\\*_~|`>#[]<:@".contains(c)
}

/// Returns the length of a character when escaped.
fn cost(c: char) -> usize {
    usize::from(is_markup(c)) + c.len_utf16()
}

fn escape(text: &str) -> String {
    let escaped = |c: char| is_markup(c).then_some('\\').into_iter().chain([c]);
    text.chars().flat_map(escaped).collect()
}

fn escaped(text: &str, max: usize) -> String {
    escape(&head_by(text, max, cost))
}

#[cfg(test)]
mod tests {
    use super::brief::tests::{floods, full_of};
    use super::*;
    use crate::report::sample;
    use crate::stand_in::StandIn;

    fn size(text: &Value) -> usize {
        text.as_str().expect("a text").encode_utf16().count()
    }

    #[test]
    fn every_limit_of_discords_holds_whatever_the_report_holds() {
        for flood in floods() {
            let message = payload(&full_of(&flood));
            let embed = &message["embeds"][0];
            let sizes = [
                &embed["title"],
                &embed["description"],
                &embed["footer"]["text"],
            ]
            .map(size);
            assert!(
                sizes[0] <= 256 && sizes[1] <= 4096 && sizes[2] <= 2048,
                "{sizes:?}"
            );
            assert!(
                sizes.iter().sum::<usize>() <= 6000 && sizes.iter().all(|size| *size > 0),
                "{sizes:?}"
            );
            assert!((1..=2000).contains(&size(&message["content"])));
            assert_eq!(message["allowed_mentions"], json!({ "parse": [] }));
        }
    }

    #[test]
    fn a_description_is_filled_to_the_last_character_with_the_end_of_the_log() {
        let mut report = sample();
        for (filler, log) in [("x", "x".repeat(9000)), ("🦀", "🦀".repeat(9000))] {
            report.sections[0].text = format!("{log}\nthe end");
            let text = description(&View::of(&report));
            assert!(
                text.ends_with("\nthe end\n```") || text.contains(filler),
                "{text}"
            );
            assert!(text.encode_utf16().count() <= 4096);
        }
        let facts = description(&View::of(&Report {
            sections: Vec::new(),
            ..report.clone()
        }))
        .encode_utf16()
        .count();
        let room = 4096 - facts - 1 - "```\n\n```".len();
        report.sections[0].text = "x".repeat(room);
        assert_eq!(description(&View::of(&report)).len(), 4096);
        report.sections[0].text.push('x');
        assert!(description(&View::of(&report)).contains("```\n…x"));
    }

    #[test]
    fn a_title_of_256_is_whole_and_one_of_257_is_cut() {
        assert_eq!(
            escaped(&format!("*{}", "x".repeat(254)), TITLE),
            format!("\\*{}", "x".repeat(254))
        );
        assert_eq!(
            escaped(&format!("*{}", "x".repeat(255)), TITLE),
            format!("\\*{}…", "x".repeat(253))
        );
        assert_eq!(
            escaped(&"🦀".repeat(129), TITLE).encode_utf16().count(),
            255
        );
    }

    #[test]
    fn nothing_from_outside_is_markup() {
        let evil = "<@1> @everyone **b** [a](http://evil) ``` :skull: \\";
        let mut report = full_of(evil);
        report.runbook = None;
        let message = payload(&report);
        let content = message["content"].as_str().expect("content");
        assert_eq!(
            content.matches('@').count(),
            content.matches("\\@").count(),
            "{content}"
        );
        let description = message["embeds"][0]["description"]
            .as_str()
            .expect("a description");
        assert_eq!(description.matches("```").count(), 2, "{description}");
        assert!(
            description
                .contains(r"\<\@1\> \@everyone \*\*b\*\* \[a\](http\://evil) \`\`\` \:skull\: \\")
        );
    }

    #[test]
    fn an_answer_says_whether_to_try_again() {
        let dir = tempfile::tempdir().unwrap();
        let sink: Discord = toml::from_str("name = 'x'\nwebhook_file = 'webhook'").unwrap();
        let host = Host::new("/", dir.path());
        let send = |answer: &str| {
            let server = StandIn::http(answer);
            std::fs::write(
                dir.path().join("webhook"),
                format!("{}/api/webhooks/1/hushhush", server.url()),
            )
            .unwrap();
            let result = sink.send(&sample(), &host);
            (result, server.finish().remove(0))
        };
        let (result, request) = send("HTTP/1.1 200 OK\r\n\r\n{\"id\":\"42\",\"type\":0}");
        assert_eq!(result, Ok("message 42".to_owned()));
        assert!(
            request.starts_with("POST /api/webhooks/1/hushhush?wait=true HTTP/1.1\r\n"),
            "{request}"
        );
        for (answer, for_good) in [
            (
                "404 Not Found\r\n\r\n{\"message\":\"Unknown Webhook\",\"code\":10015}",
                true,
            ),
            (
                "400 Bad\r\n\r\n{\"message\":\"Invalid Form Body\",\"code\":50035} /api/webhooks/1/hushhush",
                false,
            ),
            (
                "401 No\r\n\r\n{\"message\":\"Invalid Webhook Token\",\"code\":50027}",
                true,
            ),
            ("403 Forbidden\r\n\r\n<html>error code: 1015</html>", false),
            ("502 Bad\r\n\r\n{\"message\":\"502\",\"code\":0}", false),
            ("204 No Content\r\n\r\n", false),
            ("200 OK\r\n\r\n<html>Please log in</html>", false),
        ] {
            let (result, _) = send(&format!("HTTP/1.1 {answer}"));
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
        let (result, _) = send(
            "HTTP/1.1 429 Slow\r\n\r\n{\"message\":\"limited\",\"retry_after\":64.57,\"global\":false}",
        );
        let Err(SendError::Retry {
            after: Some(after), ..
        }) = result
        else {
            panic!("{result:?}")
        };
        assert_eq!(after.as_millis(), 64_570);
        let preview = sink.preview(&sample(), &host).unwrap();
        assert!(
            !preview.contains("hush") && preview.contains("allowed_mentions"),
            "{preview}"
        );
    }
}
