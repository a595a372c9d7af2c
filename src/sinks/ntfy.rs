//! A topic of [ntfy](https://ntfy.sh): a notification on every phone that is subscribed to it.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `topic` | the topic | required, or `topic_file` |
//! | `topic_file` | a file whose first line is the topic: on a public server it is as good as a password | required, or `topic` |
//! | `url` | the server | `"https://ntfy.sh"` |
//! | `token_file` | a file whose first line is an access token | none |
//! | `token_env` | the environment variable that holds it | none |
//! | `priority` | of a crash, from 1 to 5 | `5`, which rings until it is seen |
//! | `ca_file` | certificates, as PEM, to trust beside the system's | – |
//! | `tls` | `"required"`, or `"none"` for an `http://` server on another machine | `"required"` |
//!
//! ```toml
//! [[sink.ntfy]]
//! name = "phones"
//! url = "https://ntfy.example.com"
//! topic = "crashes"
//! token_file = "/etc/lastwords/secrets/ntfy"
//! ```
//!
//! A recovery has priority 3, a drill 2. A click opens the runbook. ntfy has no idempotency key: if
//! its answer is lost, the message comes twice, with the same report id.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{self, Tls};
use super::{Receipt, SendError, Sink, brief};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::render::{View, head_by, one_line};
use crate::report::{Kind, Report};
use crate::secret::{Secret, SecretSource};

/// Maximum number of bytes read of an answer, which repeats the message.
const MAX_ANSWER: u64 = 64 * 1024;

/// Maximum size of a message and of a request, in bytes. A longer message becomes an attached file.
const MESSAGE: usize = 4_095;
const REQUEST: usize = 8_192;
/// Maximum sizes of the title, the address to click on and the rest of a request, as JSON.
const TITLE: usize = 500;
const CLICK: usize = 1_000;
const REST: usize = 600;
/// Maximum length of one fact, so that all of them leave room for the log.
const FACT: usize = 200;

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "NtfyKeys"))]
#[serde(try_from = "NtfyKeys")]
pub struct Ntfy {
    name: String,
    topic: Topic,
    server: Url,
    token: Option<SecretSource>,
    priority: u8,
    ca_file: Option<PathBuf>,
}

/// The topic, or its source.
#[derive(Clone, Debug)]
enum Topic {
    Plain(String),
    Secret(SecretSource),
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct NtfyKeys {
    name: String,
    topic: Option<String>,
    topic_file: Option<PathBuf>,
    #[serde(default = "ntfy_sh")]
    url: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    #[serde(default = "urgent")]
    #[cfg_attr(test, schemars(range(min = 1, max = 5)))]
    priority: u8,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    tls: Tls,
}

fn ntfy_sh() -> String {
    "https://ntfy.sh".to_owned()
}

fn urgent() -> u8 {
    5
}

impl TryFrom<NtfyKeys> for Ntfy {
    type Error = KeyError;
    fn try_from(keys: NtfyKeys) -> Result<Self, KeyError> {
        let topic = match (keys.topic, keys.topic_file) {
            (Some(topic), None) => {
                is_topic(&topic).map_err(|why| KeyError::at("topic", why.to_string()))?;
                Topic::Plain(topic)
            }
            (None, file @ Some(_)) => Topic::Secret(SecretSource::required("topic", file, None)?),
            (None, None) => {
                let message = "expected `topic` or `topic_file` in this table, found neither";
                return Err(KeyError::of_table(message));
            }
            (Some(_), Some(_)) => {
                let message = "expected `topic` or `topic_file`, found both";
                return Err(KeyError::at("topic_file", message).help("keep one of them"));
            }
        };
        if !(1..=5).contains(&keys.priority) {
            return Err(KeyError::at("priority", "expected a priority from 1 to 5"));
        }
        Ok(Self {
            name: keys.name,
            topic,
            server: http::server(&keys.url, keys.tls)
                .map_err(|why| KeyError::at("url", why.to_string()))?,
            token: SecretSource::optional("token", keys.token_file, keys.token_env)?,
            priority: keys.priority,
            ca_file: keys.ca_file,
        })
    }
}

/// # Errors
/// If it is no topic. The text does not repeat it.
fn is_topic(text: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    ensure!(
        (1..=64).contains(&text.len()) && text.chars().all(plain),
        "expected a topic of at most 64 letters, digits, `-` and `_`"
    );
    Ok(())
}

impl Sink for Ntfy {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "ntfy"
    }

    fn secret_files(&self) -> Vec<&Path> {
        let topic = match &self.topic {
            Topic::Plain(_) => None,
            Topic::Secret(source) => Some(source),
        };
        let sources = topic.into_iter().chain(&self.token);
        sources.filter_map(SecretSource::file).collect()
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        self.topic(host)?;
        self.token(host)?;
        http::client_trusting(self.ca_file.as_deref(), host)?;
        let topic = match &self.topic {
            Topic::Plain(topic) => topic,
            Topic::Secret(_) => "(secret)",
        };
        let payload = serde_json::to_string_pretty(&self.payload(report, topic))?;
        Ok(format!("POST {}\n{payload}\n", self.server))
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let topic = self.topic(host)?;
        let token = self.token(host)?;
        let client = http::client_trusting(self.ca_file.as_deref(), host)?;
        let mut request = client
            .post(self.server.clone())
            .json(&self.payload(report, &topic));
        if let Some(token) = &token {
            request = request.bearer_auth(token.expose());
        }
        let answer = http::ask(request, MAX_ANSWER)?;
        let is_secret = matches!(self.topic, Topic::Secret(_));
        judge(&answer, |said| {
            let said = token.as_ref().map_or(said.to_owned(), |it| it.scrub(said));
            if is_secret {
                http::without(&said, &topic)
            } else {
                said
            }
        })
    }
}

impl Ntfy {
    fn topic(&self, host: &Host) -> Result<String> {
        let source = match &self.topic {
            Topic::Plain(topic) => return Ok(topic.clone()),
            Topic::Secret(source) => source,
        };
        let topic = source.read(host)?.expose().to_owned();
        is_topic(&topic).context("the topic cannot be used")?;
        Ok(topic)
    }

    fn token(&self, host: &Host) -> Result<Option<Secret>> {
        self.token
            .as_ref()
            .map(|token| token.read(host))
            .transpose()
    }

    fn payload(&self, report: &Report, topic: &str) -> Value {
        let view = View::of(report);
        let (priority, tag) = match report.kind {
            _ if report.drill => (2, "test_tube"),
            Kind::Crash | Kind::Summary { .. } | Kind::Down { .. } => {
                (self.priority, "rotating_light")
            }
            Kind::Recovered { .. } => (3, "white_check_mark"),
            Kind::Notice => (3, "warning"),
        };
        let title = head_by(&view.subject, TITLE, cost);
        let mut payload =
            json!({ "topic": topic, "title": title, "priority": priority, "tags": [tag] });
        if let Some(runbook) = brief::runbook(&view, CLICK) {
            payload["click"] = runbook.into();
        }
        payload["message"] = message(&view).into();
        payload
    }
}

/// Returns the length of a character in JSON, which is never less than in the message itself.
fn cost(c: char) -> usize {
    if "\"\\\n\t".contains(c) {
        2
    } else {
        c.len_utf8()
    }
}

fn message(view: &View) -> String {
    let facts = brief::facts(view, FACT, cost);
    let mut text = facts.iter().fold(String::new(), |text, (name, value)| {
        format!("{text}{name}: {value}\n")
    });
    let end = format!("\n{}", view.show);
    // Either limit may be reached first.
    let in_json = |text: &str| text.chars().map(cost).sum::<usize>();
    let room = MESSAGE.saturating_sub(text.len() + end.len() + 2);
    let room_in_json =
        (REQUEST - TITLE - CLICK - REST).saturating_sub(in_json(&text) + in_json(&end) + 4);
    if let Some(log) = brief::last_lines(view, room, char::len_utf8) {
        let log = if in_json(&log) > room_in_json {
            brief::last_lines(view, room_in_json, cost)
        } else {
            Some(log)
        };
        text = format!("{text}\n{}\n", log.unwrap_or_default());
    }
    text + &end
}

/// Returns what an answer means. Only an error in ntfy's own form is for good. `scrub` takes
/// secrets
/// out of what the server says, before it is cut.
fn judge(answer: &http::HttpAnswer, scrub: impl Fn(&str) -> String) -> Result<Receipt, SendError> {
    let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if answer.status == StatusCode::OK
        && let Some(id) = json.get("id").and_then(Value::as_str)
    {
        return Ok(format!("message {}", one_line(&scrub(id), 40)));
    }
    let said = json.get("error").and_then(Value::as_str);
    let own = said.is_some() && json.get("code").is_some_and(Value::is_number);
    let why = format!(
        "the ntfy server answered {}: {}",
        answer.status.as_u16(),
        one_line(&scrub(said.unwrap_or(&answer.body)), 200)
    );
    Err(http::not_taken(answer, own, &why))
}

#[cfg(test)]
mod tests {
    use super::brief::tests::{floods, full_of};
    use super::*;
    use crate::report::{Series, sample};
    use crate::stand_in::StandIn;

    fn sink(toml: &str) -> Result<Ntfy, String> {
        toml::from_str(&format!("name = 'x'\n{toml}")).map_err(|why| why.to_string())
    }

    #[test]
    fn a_message_stays_a_message_whatever_the_report_holds() {
        let topic = "t".repeat(64);
        let sink = sink(&format!("topic = '{topic}'")).unwrap();
        for flood in floods() {
            let payload = sink.payload(&full_of(&flood), &topic);
            let message = payload["message"].as_str().expect("a message");
            assert!(message.len() <= 4095, "{}", message.len());
            assert!(
                payload.to_string().len() <= 8192,
                "{}",
                payload.to_string().len()
            );
            assert!(message.ends_with("lastwords show 20261123t030000-0123456789abcdef"));
        }
    }

    #[test]
    fn a_log_fills_the_message_to_the_last_byte() {
        let mut report = sample();
        report.sections[0].text = "x".repeat(100);
        let room = 100 + 4095 - message(&View::of(&report)).len();
        for text in [
            "x".repeat(room),
            format!("{}{}", "x".repeat(room % 4), "🦀".repeat(room / 4)),
        ] {
            report.sections[0].text = text.clone();
            assert_eq!(message(&View::of(&report)).len(), 4095);
            assert!(!message(&View::of(&report)).contains('…'));
            report.sections[0].text = format!("{text}x");
            let message = message(&View::of(&report));
            assert!(
                message.len() <= 4095 && message.contains("\n…"),
                "{}",
                message.len()
            );
        }
    }

    #[test]
    fn what_happened_sets_the_priority() {
        let sink = sink("topic = 'a'\npriority = 4").unwrap();
        let mut report = sample();
        let look = |report: &Report| {
            let payload = sink.payload(report, "a");
            (
                payload["priority"].as_u64().unwrap(),
                payload["tags"][0].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!(look(&report), (4, "rotating_light".to_owned()));
        assert_eq!(
            sink.payload(&report, "a")["click"],
            "https://wiki.example.com/web"
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
        assert_eq!(look(&report), (3, "white_check_mark".to_owned()));
        assert_eq!(
            look(&Report {
                drill: true,
                ..sample()
            }),
            (2, "test_tube".to_owned())
        );
    }

    #[test]
    fn an_answer_says_whether_to_try_again_and_holds_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "tk_hush\n").unwrap();
        std::fs::write(dir.path().join("topic"), "hush-topic\n").unwrap();
        let host = Host::new("/", dir.path());
        let send = |answer: &str| {
            let server = StandIn::http(format!("HTTP/1.1 {answer}"));
            let sink = sink(&format!(
                "topic_file = 'topic'\ntoken_file = 'token'\nurl = '{}'",
                server.url()
            ))
            .unwrap();
            let preview = sink.preview(&sample(), &host).unwrap();
            assert!(!preview.contains("hush"), "{preview}");
            (sink.send(&sample(), &host), server.finish().remove(0))
        };
        let (result, request) = send("200 OK\r\n\r\n{\"id\":\"sPs71M8A2T\",\"event\":\"message\"}");
        assert_eq!(result, Ok("message sPs71M8A2T".to_owned()));
        assert!(
            request.contains("authorization: Bearer tk_hush\r\n")
                && request.contains("\"topic\":\"hush-topic\"")
        );
        let cut = format!(
            "500 No\r\n\r\n{}hush-topic{}",
            "x".repeat(193),
            "y".repeat(99)
        );
        for (answer, for_good) in [
            (
                "401 No\r\n\r\n{\"code\":40101,\"http\":401,\"error\":\"unauthorized tk_hush hush-topic\"}",
                true,
            ),
            (
                "403 No\r\n\r\n{\"code\":40301,\"http\":403,\"error\":\"forbidden\"}",
                true,
            ),
            (
                "413 Long\r\n\r\n{\"code\":41301,\"http\":413,\"error\":\"too large\"}",
                true,
            ),
            (
                "429 Slow\r\n\r\n{\"code\":42901,\"http\":429,\"error\":\"limit reached\"}",
                false,
            ),
            (
                "507 Full\r\n\r\n{\"code\":50701,\"http\":507,\"error\":\"full\"}",
                false,
            ),
            ("404 No\r\n\r\n<html>no such page</html>", false),
            // It is cut in the middle of the topic.
            (cut.as_str(), false),
            ("200 OK\r\n\r\nok", false),
        ] {
            let (result, _) = send(answer);
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
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for (toml, why) in [
            ("", "expected `topic` or `topic_file`"),
            ("topic = 'a b'", "at most 64 letters"),
            ("topic = 'a'\npriority = 6", "from 1 to 5"),
            (
                "topic = 'a'\nurl = 'http://ntfy.example.com'",
                "tls = \"none\"",
            ),
            ("topic = 'a'\ntopics = 'b'", "unknown field `topics`"),
        ] {
            let error = sink(toml).unwrap_err();
            assert!(error.contains(why), "{toml}: {error}");
        }
    }
}
