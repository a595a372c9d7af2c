//! A Telegram chat, through a bot
//! ([`sendMessage`](https://core.telegram.org/bots/api#sendmessage)).
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `chat` | the chat's number, as `"-1001234567890"`, or a channel's name, as `"@acme_ops"` | required |
//! | `topic` | in a group with topics, the number of one | the general one |
//! | `token_file` | a file whose first line is the bot's token | required, or `token_env` |
//! | `token_env` | the environment variable that holds it | required, or `token_file` |
//! | `url` | where the Bot API is, for a server of one's own | `"https://api.telegram.org"` |
//!
//! ```toml
//! [[sink.telegram]]
//! name = "ops-telegram"
//! chat = "-1001234567890"
//! token_file = "/etc/lastwords/secrets/telegram"
//! ```
//!
//! The token is from `@BotFather`; the bot must be in the chat. Telegram has no idempotency key: a
//! message that was taken without lastwords hearing so comes twice, with the same report id.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use reqwest::blocking::Client;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{self, Api};
use super::{Receipt, SendError, Sink, brief};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::render::{View, head_by, one_line};
use crate::report::Report;
use crate::secret::{Secret, SecretSource};

/// Maximum number of bytes read of an answer, which repeats the message.
const MAX_ANSWER: u64 = 64 * 1024;

/// Limit of Telegram for a text without markup, in characters, counted in UTF-16 here, which is
/// never fewer.
const TEXT: usize = 4_096;
/// Maximum length of one fact, so that all of them leave room for the log.
const FACT: usize = 250;

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "TelegramKeys"))]
#[serde(try_from = "TelegramKeys")]
pub struct Telegram {
    name: String,
    chat: String,
    topic: Option<i64>,
    token: SecretSource,
    url: Api,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct TelegramKeys {
    name: String,
    chat: String,
    topic: Option<i64>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    #[serde(default = "public_api")]
    url: Api,
}

impl TryFrom<TelegramKeys> for Telegram {
    type Error = KeyError;
    fn try_from(keys: TelegramKeys) -> Result<Self, KeyError> {
        Ok(Self {
            name: keys.name,
            chat: keys.chat,
            topic: keys.topic,
            token: SecretSource::required("token", keys.token_file, keys.token_env)?,
            url: keys.url,
        })
    }
}

fn public_api() -> Api {
    Api::public("https://api.telegram.org")
}

impl Sink for Telegram {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "telegram"
    }

    fn secret_files(&self) -> Vec<&Path> {
        self.token.file().into_iter().collect()
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        self.endpoint(&self.token.read(host)?)?;
        let payload = serde_json::to_string_pretty(&self.payload(&html(&View::of(report)), true))?;
        Ok(format!(
            "POST {}/bot(secret)/sendMessage\n{payload}\n",
            self.url.base()
        ))
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let token = self.token.read(host)?;
        let client = http::client()?;
        let view = View::of(report);
        match self.post(&client, &token, &self.payload(&html(&view), true)) {
            // Whatever Telegram holds against the markup, the news goes through.
            Err(SendError::Refused { why }) if why.contains("can't parse entities") => {
                let receipt = self.post(&client, &token, &self.payload(&bare(&view), false))?;
                Ok(format!(
                    "{receipt}, as one line of text, after Telegram refused the whole message: {why}"
                ))
            }
            other => other,
        }
    }
}

impl Telegram {
    fn endpoint(&self, token: &Secret) -> Result<Url> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-:".contains(c);
        ensure!(
            token.expose().contains(':') && token.expose().chars().all(plain),
            "the token is not a bot's token"
        );
        // A colon after a slash is part of the path.
        self.url
            .endpoint(&[&format!("bot{}", token.expose()), "sendMessage"])
    }

    fn payload(&self, text: &str, is_html: bool) -> Value {
        let mut payload = json!({ "chat_id": self.chat, "text": text, "link_preview_options": { "is_disabled": true } });
        if is_html {
            payload["parse_mode"] = "HTML".into();
        }
        if let Some(topic) = self.topic {
            payload["message_thread_id"] = topic.into();
        }
        payload
    }

    fn post(&self, client: &Client, token: &Secret, payload: &Value) -> Result<Receipt, SendError> {
        let url = self.endpoint(token)?;
        let answer = http::ask(client.post(url).json(payload), MAX_ANSWER)?;
        judge(&answer, token)
    }
}

/// Returns what an answer means. Only an error in the Bot API's own form is for good.
fn judge(answer: &http::HttpAnswer, token: &Secret) -> Result<Receipt, SendError> {
    let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let id = json.pointer("/result/message_id").and_then(Value::as_i64);
    if answer.status == StatusCode::OK
        && let Some(id) = id.filter(|_| json["ok"] == true)
    {
        return Ok(format!("message {id}"));
    }
    let status = answer.status.as_u16();
    let description = json
        .get("description")
        .and_then(Value::as_str)
        .filter(|_| json["ok"] == false);
    let mut said = token.scrub(description.unwrap_or(&answer.body));
    // The part of the token that is the secret, by itself.
    if let Some((_, secret)) = token
        .expose()
        .split_once(':')
        .filter(|(_, secret)| secret.len() > 5)
    {
        said = said.replace(secret, "[secret]");
    }
    let said = one_line(&said, 200);
    let mut why = format!("Telegram answered {status}: {said}");
    if let Some(chat) = json
        .pointer("/parameters/migrate_to_chat_id")
        .and_then(Value::as_i64)
    {
        why = format!("{why}: the group has a new number: set chat = \"{chat}\"");
    }
    Err(http::not_taken(answer, description.is_some(), &why))
}

/// The message in the [HTML](https://core.telegram.org/bots/api#html-style) that Telegram knows.
fn html(view: &View) -> String {
    let title = head_by(&view.subject, 2 * FACT, cost);
    let footer = &view.show;
    let mut used =
        quiet(&title).encode_utf16().count() + footer.encode_utf16().count() + "\n\n\n\n".len();
    let mut text = format!("<b>{}</b>\n\n", escape(&quiet(&title)));
    for (name, value) in brief::facts(view, FACT, cost) {
        used += name.len() + quiet(&value).encode_utf16().count() + " \n".len();
        text = format!("{text}<b>{name}</b> {}\n", escape(&quiet(&value)));
    }
    if let Some(log) = brief::last_lines(view, TEXT.saturating_sub(used), char::len_utf16) {
        text = format!("{text}\n<pre>{}</pre>\n", escape(&log));
    }
    format!("{text}<code>{}</code>", escape(footer))
}

/// The message in one line, for the day when Telegram no longer likes the whole.
fn bare(view: &View) -> String {
    format!(
        "{} ({})",
        quiet(&head_by(&view.subject, 1000, cost)),
        view.show
    )
}

/// Adds a character without width to what would become a mention, a tag or a command.
fn quiet(text: &str) -> String {
    text.chars()
        .flat_map(|c| [c].into_iter().chain(is_loud(c).then_some('\u{2060}')))
        .collect()
}

fn is_loud(c: char) -> bool {
    "@#$/".contains(c)
}

/// Returns the length of a character after [`quiet`].
fn cost(c: char) -> usize {
    c.len_utf16() + usize::from(is_loud(c))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::brief::tests::{floods, full_of};
    use super::*;
    use crate::report::sample;
    use crate::stand_in::StandIn;

    /// The text as Telegram counts it, once its markup is out; fails where that is not well-formed.
    fn parsed(html: &str) -> String {
        let (mut text, mut rest, mut open) = (String::new(), html, Vec::new());
        while let Some(at) = rest.find(['<', '&', '>']) {
            text += &rest[..at];
            rest = &rest[at..];
            let end = rest.find(['>', ';']).expect("an end");
            match &rest[..=end] {
                "<b>" | "<pre>" | "<code>" => open.push(rest[1..end].to_owned()),
                "</b>" | "</pre>" | "</code>" => {
                    assert_eq!(open.pop().as_deref(), Some(&rest[2..end]));
                }
                "&amp;" => text.push('&'),
                "&lt;" => text.push('<'),
                "&gt;" => text.push('>'),
                other => panic!("{other} in {html}"),
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty());
        text + rest
    }

    #[test]
    fn a_message_is_well_formed_and_within_4096_whatever_the_report_holds() {
        for flood in floods() {
            let html = html(&View::of(&full_of(&flood)));
            let text = parsed(&html);
            assert!(
                text.encode_utf16().count() <= 4096,
                "{}",
                text.encode_utf16().count()
            );
            assert!(text.ends_with("lastwords show 20261123t030000-0123456789abcdef"));
            assert!(
                html.matches("<b>").count() + 2 <= 100,
                "at most 100 entities"
            );
            let bare = bare(&View::of(&full_of(&flood)));
            assert!(bare.encode_utf16().count() <= 4096);
        }
    }

    #[test]
    fn a_log_fills_the_message_to_the_last_character() {
        let mut report = sample();
        let size = |report: &Report| parsed(&html(&View::of(report))).encode_utf16().count();
        report.sections[0].text = "x".repeat(100);
        let room = 100 + 4096 - size(&report);
        for text in [
            "x".repeat(room),
            format!("{}{}", "🦀".repeat(room / 2), "x".repeat(room % 2)),
        ] {
            report.sections[0].text = text.clone();
            assert_eq!(size(&report), 4096);
            assert!(!html(&View::of(&report)).contains('…'));
            report.sections[0].text = format!("{text}x");
            assert!((4095..=4096).contains(&size(&report)), "{}", size(&report));
            assert!(html(&View::of(&report)).contains("<pre>…"));
        }
    }

    #[test]
    fn nobody_is_mentioned_outside_of_code() {
        let text = html(&View::of(&full_of("@admin #tag /stop <b>x</b>")));
        let outside: String = text.split("<pre>").next().unwrap_or_default().to_owned();
        assert!(
            outside
                .contains("@\u{2060}admin #\u{2060}tag /\u{2060}stop &lt;b&gt;x&lt;/\u{2060}b&gt;"),
            "{outside}"
        );
        assert!(text.contains("<pre>@admin #tag /stop &lt;b&gt;"), "{text}");
    }

    #[test]
    fn an_answer_says_whether_to_try_again_and_the_token_is_in_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "123:hush\n").unwrap();
        let host = Host::new("/", dir.path());
        let send = |answers: &[&str]| {
            let server = StandIn::http_in_turn(answers.iter().copied());
            let toml = format!(
                "name = 'x'\nchat = '-100'\ntopic = 7\ntoken_file = 'token'\nurl = '{}'",
                server.url()
            );
            let result = toml::from_str::<Telegram>(&toml)
                .unwrap()
                .send(&sample(), &host);
            (result, server.finish())
        };
        let taken = "HTTP/1.1 200 OK\r\n\r\n{\"ok\":true,\"result\":{\"message_id\":42}}";
        let (result, requests) = send(&[taken]);
        assert_eq!(result, Ok("message 42".to_owned()));
        assert!(
            requests[0].starts_with("POST /bot123:hush/sendMessage HTTP/1.1\r\n"),
            "{}",
            requests[0]
        );
        assert!(
            requests[0].contains("\"parse_mode\":\"HTML\"")
                && requests[0].contains("\"message_thread_id\":7")
        );
        for (answer, for_good) in [
            (
                "400 Bad\r\n\r\n{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: chat not found\"}",
                true,
            ),
            (
                "401 No\r\n\r\n{\"ok\":false,\"error_code\":401,\"description\":\"Unauthorized 123:hush\"}",
                true,
            ),
            (
                "403 No\r\n\r\n{\"ok\":false,\"error_code\":403,\"description\":\"Forbidden: bot was kicked\"}",
                true,
            ),
            ("403 No\r\n\r\n<html>a proxy</html>", false),
            (
                "500 Oops\r\n\r\n{\"ok\":false,\"error_code\":500,\"description\":\"Internal\"}",
                false,
            ),
            ("200 OK\r\n\r\n{\"ok\":true}", false),
        ] {
            let (result, _) = send(&[&format!("HTTP/1.1 {answer}")]);
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
        let limited = "HTTP/1.1 429 Slow\r\n\r\n{\"ok\":false,\"error_code\":429,\"description\":\"Too Many Requests: \
                       retry after 35\",\"parameters\":{\"retry_after\":35}}";
        let Err(SendError::Retry { after, .. }) = send(&[limited]).0 else {
            panic!("a retry")
        };
        assert_eq!(after, Some(Duration::from_secs(35)));
        let moved = "HTTP/1.1 400 Bad\r\n\r\n{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: group chat \
                     was upgraded\",\"parameters\":{\"migrate_to_chat_id\":-1009}}";
        let Err(SendError::Refused { why }) = send(&[moved]).0 else {
            panic!("a refusal")
        };
        assert!(why.ends_with("set chat = \"-1009\""), "{why}");
        let broken = "HTTP/1.1 400 Bad\r\n\r\n{\"ok\":false,\"error_code\":400,\"description\":\"Bad Request: can't parse \
                      entities: x\"}";
        let (result, requests) = send(&[broken, taken]);
        assert!(
            result
                .unwrap()
                .starts_with("message 42, as one line of text, after")
        );
        assert!(!requests[1].contains("parse_mode"));
        let nowhere: Telegram = toml::from_str(
            "name = 'x'\nchat = '1'\ntoken_file = 'token'\nurl = 'http://127.0.0.1:1'",
        )
        .unwrap();
        let said = format!(
            "{:?} {}",
            nowhere.send(&sample(), &host),
            nowhere.preview(&sample(), &host).unwrap()
        );
        assert!(!said.contains("hush"), "{said}");
    }

    #[test]
    fn a_token_that_would_leave_its_place_in_the_address_is_refused_unsaid() {
        let dir = tempfile::tempdir().unwrap();
        let sink: Telegram =
            toml::from_str("name = 'x'\nchat = '1'\ntoken_file = 'token'").unwrap();
        for token in ["hush", "1:hush/../x", "1:hush?x", "1:hush x"] {
            std::fs::write(dir.path().join("token"), token).unwrap();
            let why = format!(
                "{:#}",
                sink.preview(&sample(), &Host::new("/", dir.path()))
                    .unwrap_err()
            );
            assert_eq!(why, "the token is not a bot's token");
        }
    }
}
