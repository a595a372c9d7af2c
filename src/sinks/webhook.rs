//! Any server that takes events by HTTP. A report is a [CloudEvent](https://cloudevents.io), signed
//! if a secret is set.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `url` | the address to which reports are posted | required, or `url_file` or `url_env` |
//! | `url_file` | a file whose first line is the address, where it is a secret | required, or `url` or `url_env` |
//! | `url_env` | the environment variable that holds it | required, or `url` or `url_file` |
//! | `format` | `"cloudevents"`: the report in an envelope; `"report"`: the report alone | `"cloudevents"` |
//! | `secret_file` | a file whose first line is the secret that signs the messages, as [Standard Webhooks](https://www.standardwebhooks.com) has it: `whsec_` and 24 to 64 bytes in base64 | not signed |
//! | `secret_env` | the environment variable that holds it | not signed |
//! | `token_file` | a file whose first line is a token, sent as `Authorization: Bearer` | none |
//! | `token_env` | the environment variable that holds it | none |
//! | `headers` | a table of more headers; no secrets, everybody can read the config | none |
//! | `max_bytes` | how long a message may be, at least 16384; from a longer one sections are cut, and it says so | `65536`, which every receiver of CloudEvents takes |
//! | `ca_file` | certificates, as PEM, to trust beside the system's | – |
//! | `tls` | `"required"`, or `"none"` for an `http://` address on another machine | `"required"` |
//!
//! ```toml
//! [[sink.webhook]]
//! name = "events"
//! url = "https://events.example.com/crashes"
//! secret_file = "/etc/lastwords/secrets/events"
//! headers = { "X-Team" = "ops" }
//! ```
//!
//! The event's `type` is `lastwords.crash`, `lastwords.summary`, `lastwords.recovered` or
//! `lastwords.notice`; its `id` is the report's, the same at every try, and so is the `webhook-id`
//! of a signed one: a receiver that has seen it has seen it. `data` is the report. A secret is made
//! by `printf 'whsec_%s\n' "$(openssl rand -base64 32)"`.
//!
//! A status from 200 to 299 means that the report was taken. 408, 425, 429, 5xx and redirects,
//! which are not followed, mean that it is tried again. Any other status is a refusal for good.

mod event;
mod signature;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::http::{self, Tls};
use super::{Receipt, SendError, Sink};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::render::one_line;
use crate::report::Report;
use crate::secret::{Secret, SecretSource};
use signature::Key;

/// Maximum number of bytes read of an answer.
const MAX_ANSWER: u64 = 4096;
/// Minimum of `max_bytes`.
const LEAST_MAX_BYTES: usize = 16 * 1024;

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "WebhookKeys"))]
#[serde(try_from = "WebhookKeys")]
pub struct Webhook {
    name: String,
    address: Target,
    format: WebhookFormat,
    key: Option<SecretSource>,
    token: Option<SecretSource>,
    headers: Headers,
    max_bytes: usize,
    ca_file: Option<PathBuf>,
    tls: Tls,
}

/// The address, or its source.
#[derive(Clone, Debug)]
enum Target {
    Plain(Url),
    Secret(SecretSource),
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct WebhookKeys {
    name: String,
    url: Option<String>,
    url_file: Option<PathBuf>,
    url_env: Option<String>,
    #[serde(default)]
    format: WebhookFormat,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    #[serde(default)]
    headers: Headers,
    #[serde(default = "sixty_four_kib")]
    #[cfg_attr(test, schemars(range(min = LEAST_MAX_BYTES)))]
    max_bytes: usize,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    tls: Tls,
}

fn sixty_four_kib() -> usize {
    64 * 1024
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum WebhookFormat {
    #[default]
    CloudEvents,
    Report,
}

impl WebhookFormat {
    fn content_type(self) -> &'static str {
        match self {
            Self::CloudEvents => "application/cloudevents+json; charset=utf-8",
            Self::Report => "application/json",
        }
    }
}

impl TryFrom<WebhookKeys> for Webhook {
    type Error = KeyError;
    fn try_from(keys: WebhookKeys) -> Result<Self, KeyError> {
        if keys.max_bytes < LEAST_MAX_BYTES {
            let message = format!("expected at least {LEAST_MAX_BYTES} bytes");
            return Err(KeyError::at("max_bytes", message));
        }
        let secret = SecretSource::optional("url", keys.url_file, keys.url_env)?;
        let address = match (keys.url, secret) {
            (Some(url), None) => http::server(&url, keys.tls)
                .map(Target::Plain)
                .map_err(|why| KeyError::at("url", why.to_string()))?,
            (None, Some(source)) => Target::Secret(source),
            (None, None) => {
                let message = "expected `url`, `url_file` or `url_env` in this table, found none";
                return Err(KeyError::of_table(message));
            }
            (Some(_), Some(_)) => {
                let message = "expected one of `url`, `url_file` and `url_env`, found two";
                return Err(KeyError::at("url", message).help("keep one of them"));
            }
        };
        Ok(Self {
            name: keys.name,
            address,
            format: keys.format,
            key: SecretSource::optional("secret", keys.secret_file, keys.secret_env)?,
            token: SecretSource::optional("token", keys.token_file, keys.token_env)?,
            headers: keys.headers,
            max_bytes: keys.max_bytes,
            ca_file: keys.ca_file,
            tls: keys.tls,
        })
    }
}

/// Headers from the config. Their values are never shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(with = "BTreeMap<String, String>")
)]
#[serde(try_from = "BTreeMap<String, String>")]
struct Headers(HeaderMap);

impl TryFrom<BTreeMap<String, String>> for Headers {
    type Error = String;
    fn try_from(table: BTreeMap<String, String>) -> Result<Self, String> {
        /// Headers that lastwords sets itself.
        const OURS: [&str; 5] = [
            "content-type",
            "content-length",
            "transfer-encoding",
            "host",
            "authorization",
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in table {
            let lower = name.to_ascii_lowercase();
            if OURS.contains(&lower.as_str()) || lower.starts_with("webhook-") {
                return Err(format!(
                    "lastwords sets the header {name} itself; to send a token, use `token_file`"
                ));
            }
            let bad = || {
                format!(
                    "{name:?} is not a valid header name, or its value is not a valid header value"
                )
            };
            let key = HeaderName::try_from(name.as_str()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(Self(headers))
    }
}

/// The secrets for one message.
struct Credentials {
    url: Url,
    key: Option<Key>,
    token: Option<Secret>,
}

impl Sink for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn secret_files(&self) -> Vec<&Path> {
        let address = match &self.address {
            Target::Plain(_) => None,
            Target::Secret(source) => Some(source),
        };
        let sources = address.into_iter().chain(&self.key).chain(&self.token);
        sources.filter_map(SecretSource::file).collect()
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        let Credentials { url, key, token } = self.secrets(host)?;
        http::client_trusting(self.ca_file.as_deref(), host)?;
        let place = match &self.address {
            Target::Plain(_) if url.query().is_none() => url.to_string(),
            _ => format!(
                "{}/… (the rest is secret)",
                url.origin().ascii_serialization()
            ),
        };
        let mut headers = format!("Content-Type: {}\n", self.format.content_type());
        if token.is_some() {
            headers += "Authorization: (secret)\n";
        }
        for name in self.headers.0.keys() {
            headers = format!("{headers}{name}: (not shown)\n");
        }
        if key.is_some() {
            headers = format!(
                "{headers}webhook-id: {}\nwebhook-timestamp: (when it is sent)\nwebhook-signature: v1,(made then)\n",
                report.id
            );
        }
        let body: serde_json::Value = serde_json::from_slice(&self.body(report)?)?;
        Ok(format!(
            "POST {place}\n{headers}\n{}\n",
            serde_json::to_string_pretty(&body)?
        ))
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let secrets = self.secrets(host)?;
        let client = http::client_trusting(self.ca_file.as_deref(), host)?;
        let body = self.body(report)?;
        let mut request = client
            .post(secrets.url.clone())
            .headers(self.headers.0.clone())
            .header(CONTENT_TYPE, self.format.content_type());
        if let Some(token) = &secrets.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(key) = &secrets.key {
            for (name, value) in key.headers(report.id.as_str(), http::now().unix(), &body) {
                request = request.header(name, value);
            }
        }
        let answer = http::ask(request.body(body), MAX_ANSWER)?;
        let status = answer.status.as_u16();
        if answer.status.is_success() {
            return Ok(format!("HTTP {status}"));
        }
        let said = secrets.scrub(&answer.body, &self.headers.0);
        let why = format!("the server answered {status}: {}", one_line(&said, 200));
        Err(http::not_taken(&answer, true, &why))
    }
}

impl Webhook {
    fn secrets(&self, host: &Host) -> Result<Credentials> {
        let url = match &self.address {
            Target::Plain(url) => url.clone(),
            Target::Secret(source) => http::server(source.read(host)?.expose(), self.tls)
                .context("the address cannot be used")?,
        };
        let read = |source: &Option<SecretSource>| {
            source.as_ref().map(|source| source.read(host)).transpose()
        };
        let (key, token) = (read(&self.key)?, read(&self.token)?);
        Ok(Credentials {
            url,
            key: key.map(|secret| Key::parse(&secret)).transpose()?,
            token,
        })
    }

    fn body(&self, report: &Report) -> Result<Vec<u8>> {
        let whole = |report: &Report| match self.format {
            WebhookFormat::CloudEvents => serde_json::to_vec(&event::envelope(report)),
            WebhookFormat::Report => serde_json::to_vec(report),
        };
        event::fit(report, self.max_bytes, whole)
    }
}

impl Credentials {
    /// Removes from a server's text what it may repeat of our request.
    fn scrub(&self, said: &str, headers: &HeaderMap) -> String {
        let said = http::scrub(&self.url, said);
        let mut said = self
            .token
            .as_ref()
            .map_or(said.clone(), |token| token.scrub(&said));
        let values = headers.values().filter_map(|value| value.to_str().ok());
        for secret in values.filter(|text| text.len() > 5) {
            said = said.replace(secret, "[secret]");
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::stand_in::StandIn;

    fn sink(toml: &str) -> Result<Webhook, String> {
        toml::from_str(&format!("name = 'x'\n{toml}")).map_err(|why| why.to_string())
    }

    #[test]
    fn the_report_goes_out_in_an_envelope_with_its_headers() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "hush-token\n").unwrap();
        std::fs::write(
            dir.path().join("secret"),
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        )
        .unwrap();
        let server = StandIn::http("HTTP/1.1 204 No Content\r\n\r\n");
        let sink = sink(&format!(
            "url = '{}/crashes'\ntoken_file = 'token'\nsecret_file = 'secret'\nheaders = {{ X-Team = 'ops' }}",
            server.url()
        ))
        .unwrap();
        assert_eq!(
            sink.send(&sample(), &Host::new("/", dir.path())),
            Ok("HTTP 204".to_owned())
        );
        let request = server.finish().remove(0);
        assert!(
            request.starts_with("POST /crashes HTTP/1.1\r\n"),
            "{request}"
        );
        for header in [
            "x-team: ops\r\n",
            "authorization: Bearer hush-token\r\n",
            "content-type: application/cloudevents+json; charset=utf-8\r\n",
            "webhook-id: 20261123t030000-0123456789abcdef\r\n",
            "webhook-signature: v1,",
        ] {
            assert!(request.contains(header), "{header} in {request}");
        }
    }

    #[test]
    fn a_status_says_whether_to_try_again() {
        for (answer, for_good) in [
            ("HTTP/1.1 410 Gone\r\n\r\n", true),
            ("HTTP/1.1 400 Bad\r\n\r\n", true),
            ("HTTP/1.1 404 No\r\n\r\n", true),
            ("HTTP/1.1 408 Late\r\n\r\n", false),
            (
                "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
                false,
            ),
            ("HTTP/1.1 503 Busy\r\n\r\n", false),
        ] {
            let server = StandIn::http(answer);
            let sent = sink(&format!("url = '{}/'", server.url()))
                .unwrap()
                .send(&sample(), &Host::new("/", "/"));
            assert_eq!(
                matches!(sent, Err(SendError::Refused { .. })),
                for_good,
                "{answer} {sent:?}"
            );
            assert!(sent.is_err());
        }
        let server = StandIn::http("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n\r\n");
        let sent = sink(&format!("url = '{}/'", server.url()))
            .unwrap()
            .send(&sample(), &Host::new("/", "/"));
        let Err(SendError::Retry { after, .. }) = sent else {
            panic!("{sent:?}")
        };
        assert_eq!(after.map(|after| after.as_secs()), Some(7));
    }

    #[test]
    fn no_secret_stands_in_an_error_or_a_preview() {
        let dir = tempfile::tempdir().unwrap();
        let server = StandIn::http("HTTP/1.1 403 No\r\n\r\nhush-token hush-path hush-header");
        for (file, text) in [
            ("url", format!("{}/hush-path", server.url())),
            ("token", "hush-token".to_owned()),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let sink =
            sink("url_file = 'url'\ntoken_file = 'token'\nheaders = { X-Key = 'hush-header' }")
                .unwrap();
        let host = Host::new("/", dir.path());
        let said = format!(
            "{:?} {:?} {}",
            sink,
            sink.send(&sample(), &host),
            sink.preview(&sample(), &host).unwrap()
        );
        assert!(
            !said.contains("hush") && said.contains("answered 403"),
            "{said}"
        );
        std::fs::write(dir.path().join("url"), "http://example.com/hush").unwrap();
        let why = format!("{:?}", sink.send(&sample(), &host));
        assert!(why.contains("tls") && !why.contains("hush"), "{why}");
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for (toml, why) in [
            ("", "expected `url`, `url_file` or `url_env`"),
            ("url = 'https://a'\nurl_file = 'b'", "expected one of `url`"),
            ("url = 'http://example.com'", "tls = \"none\""),
            (
                "url = 'https://me:hush@example.com'",
                "without a user and a password",
            ),
            ("url = 'https://a'\nmax_bytes = 16383", "at least 16384"),
            (
                "url = 'https://a'\nheaders = { Host = 'b' }",
                "lastwords sets",
            ),
            (
                "url = 'https://a'\nheaders = { 'X Y' = 'b' }",
                "not a valid header name",
            ),
            (
                "url = 'https://a'\nheaders = { X = \"b\\nc\" }",
                "not a valid header name",
            ),
            (
                "url = 'https://a'\nformat = 'xml'",
                "unknown variant `xml`, expected `cloudevents` or `report`",
            ),
            ("url = 'https://a'\nuri = 'b'", "unknown field `uri`"),
        ] {
            let error = sink(toml).unwrap_err();
            assert!(
                error.contains(why) && !error.lines().last().unwrap_or("").contains("hush"),
                "{toml}: {error}"
            );
        }
        assert!(sink("url = 'http://example.com'\ntls = 'none'\nmax_bytes = 16384").is_ok());
    }
}
