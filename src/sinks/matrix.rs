//! A Matrix room, through any homeserver's [client-server
//! API](https://spec.matrix.org/latest/client-server-api/).
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `homeserver` | the address of its API: `https://matrix.example.com` | required |
//! | `room` | `#alias:server` or `!id:server` | required |
//! | `token_file` | a file whose first line is the access token of the user who posts | required, or `token_env` |
//! | `token_env` | the environment variable that holds it | required, or `token_file` |
//! | `template` | a file of handlebars, in Matrix's HTML, in place of the built-in message (config/templates.md) | none |
//!
//! ```toml
//! [[sink.matrix]]
//! name = "ops-room"
//! homeserver = "https://matrix.example.com"
//! room = "#ops:example.com"
//! token_file = "/etc/lastwords/secrets/matrix"
//! ```
//!
//! The user joins the room itself if it may; if not, invite it. A message is an `m.notice` that
//! mentions nobody. A message that is sent twice has the same transaction id, so that the
//! homeserver shows it once. It is never encrypted.

mod event;

use std::path::{Path, PathBuf};

use anyhow::Result;
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::template::{self, Template};
use super::{Form, Probed, Receipt, SendError, Sink, http};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::render::{Medium, View, one_line};
use crate::report::Report;
use crate::secret::{Secret, SecretSource};

/// Maximum number of bytes read of an answer.
const MAX_ANSWER: u64 = 64 * 1024;

/// Errors that may pass: the homeserver is busy or full, or does not know. The others are for good.
const PASSING: [&str; 3] = ["M_LIMIT_EXCEEDED", "M_RESOURCE_LIMIT_EXCEEDED", "M_UNKNOWN"];

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "MatrixKeys"))]
#[serde(try_from = "MatrixKeys")]
pub struct Matrix {
    name: String,
    homeserver: Homeserver,
    room: Room,
    token: SecretSource,
    template: Option<Template>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct MatrixKeys {
    pub name: String,
    pub homeserver: Homeserver,
    pub room: Room,
    pub token_file: Option<PathBuf>,
    pub token_env: Option<String>,
    pub template: Option<Template>,
}

impl TryFrom<MatrixKeys> for Matrix {
    type Error = KeyError;
    fn try_from(keys: MatrixKeys) -> Result<Self, KeyError> {
        Ok(Self {
            name: keys.name,
            homeserver: keys.homeserver,
            room: keys.room,
            token: SecretSource::required("token", keys.token_file, keys.token_env)?,
            template: keys.template,
        })
    }
}

/// The address of a homeserver's API.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String")]
pub struct Homeserver(Url);

impl TryFrom<String> for Homeserver {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let url = http::address(&text).map_err(|why| format!("{why:#}"))?;
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(
                "expected the homeserver's address alone, such as https://matrix.example.com"
                    .to_owned(),
            );
        }
        Ok(Self(url))
    }
}

impl Homeserver {
    /// Returns the address of an endpoint. Every part is percent-encoded.
    fn endpoint(&self, parts: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(["_matrix", "client", "v3"])
                .extend(parts);
        }
        url
    }
}

/// A room's alias or id.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String")]
pub struct Room(String);

impl TryFrom<String> for Room {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let alias = text
            .strip_prefix('#')
            .and_then(|alias| alias.split_once(':'));
        let is_alias = alias.is_some_and(|(name, server)| !name.is_empty() && !server.is_empty());
        // Since room version 12 an id may lack the server.
        let is_id = text.len() > 1 && text.starts_with('!');
        if (is_alias || is_id)
            && text.len() <= 255
            && !text.contains(|c: char| c.is_control() || c.is_whitespace())
        {
            Ok(Self(text))
        } else {
            Err(format!(
                "expected a room such as #ops:example.com or !id:example.com, found {text:?}"
            ))
        }
    }
}

impl Sink for Matrix {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "matrix"
    }

    fn secret_files(&self) -> Vec<&Path> {
        self.token.file().into_iter().collect()
    }

    fn templates(&self) -> Vec<(&Template, Medium)> {
        self.template
            .iter()
            .map(|template| (template, Medium::Matrix))
            .collect()
    }

    fn form(&self, form: Form, report: &Report, host: &Host) -> Option<String> {
        (form == Form::Matrix).then(|| format!("{:#}", self.content(report, host)))
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        self.token.read(host)?;
        let event = serde_json::to_string_pretty(&self.content(report, host))?;
        let join = self.join();
        let send = self.send_to("(the id that the answer names)", report);
        Ok(format!("POST {join}\n{{}}\nPUT {send}\n{event}\n"))
    }

    fn probe(&self, host: &Host) -> Result<Probed, SendError> {
        let user = User {
            client: http::client()?,
            token: self.token.read(host)?,
        };
        let get = |parts: &[&str]| user.client.get(self.homeserver.endpoint(parts));
        let who = user.ask("log in", get(&["account", "whoami"]), "user_id")?;
        let Room(name) = &self.room;
        let room = match name.strip_prefix('#') {
            Some(_) => user.ask(
                "find the room",
                get(&["directory", "room", name]),
                "room_id",
            )?,
            None => name.clone(),
        };
        let member = get(&["rooms", &room, "state", "m.room.member", &who]);
        match user.ask("look into the room", member, "membership") {
            Ok(joined) if joined == "join" => Ok(Probed::Good(format!(
                "the token belongs to {who}, which is in {name}"
            ))),
            Ok(other) if other == "ban" => Err(SendError::Refused {
                why: format!("{who} is banned from {name}"),
            }),
            // A user who is not in a room may not look into it.
            Ok(_) | Err(SendError::Refused { .. }) => Ok(Probed::Unasked(format!(
                "the token belongs to {who}, which is not in {name} yet and joins it before the first message if it may"
            ))),
            Err(why) => Err(why),
        }
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let user = User {
            client: http::client()?,
            token: self.token.read(host)?,
        };
        // Joining again changes nothing, and the answer names the id behind an alias.
        let room = user.ask(
            "join the room",
            user.client.post(self.join()).json(&json!({})),
            "room_id",
        )?;
        let event = self.content(report, host);
        let event_id = user.ask(
            "send",
            user.client.put(self.send_to(&room, report)).json(&event),
            "event_id",
        )?;
        Ok(format!("event {event_id} in {room}"))
    }
}

/// Returns the report as a sink without a template sends it.
pub fn content(report: &Report) -> Value {
    event::content(&View::of(report))
}

impl Matrix {
    fn content(&self, report: &Report, host: &Host) -> Value {
        let mut view = event::held(View::of(report));
        let [html] =
            template::fill_all([(self.template.as_ref(), Medium::Matrix)], &mut view, host);
        let mut content = event::content(&view);
        if let Some(html) = html {
            content["formatted_body"] = html.into();
        }
        content
    }

    pub(super) fn join(&self) -> Url {
        self.homeserver.endpoint(&["join", &self.room.0])
    }

    fn send_to(&self, room: &str, report: &Report) -> Url {
        self.homeserver
            .endpoint(&["rooms", room, "send", "m.room.message", report.id.as_str()])
    }
}

/// The user who posts.
struct User {
    client: Client,
    token: Secret,
}

impl User {
    /// Sends a request and returns the value at one key of the answer.
    fn ask(&self, what: &str, request: RequestBuilder, wanted: &str) -> Result<String, SendError> {
        let plain = |why: &str| format!("cannot {what}: {}", one_line(&self.token.scrub(why), 500));
        let answer =
            http::ask(request.bearer_auth(self.token.expose()), MAX_ANSWER).map_err(|why| {
                SendError::Retry {
                    after: None,
                    why: plain(&format!("{why:#}")),
                }
            })?;
        judge(&answer, wanted).map_err(|error| match error {
            SendError::Retry { after, why } => SendError::Retry {
                after,
                why: plain(&why),
            },
            SendError::Refused { why } => SendError::Refused { why: plain(&why) },
        })
    }
}

/// Returns what an answer means. Only an error in Matrix's own form is for good; anything else may
/// come from a proxy.
fn judge(answer: &http::HttpAnswer, wanted: &str) -> Result<String, SendError> {
    let json: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    if answer.status == StatusCode::OK
        && let Some(found) = text(wanted)
    {
        return Ok(one_line(found, 255));
    }
    let status = answer.status.as_u16();
    let Some(code) = text("errcode") else {
        let why = format!(
            "expected a homeserver's answer, got {status}: {}",
            one_line(&answer.body, 200)
        );
        return Err(SendError::Retry {
            after: answer.retry_after,
            why,
        });
    };
    let why = format!(
        "the homeserver answered {status} {code}: {}",
        text("error").unwrap_or_default()
    );
    let passing =
        PASSING.contains(&code) || matches!(status, 408 | 429) || !answer.status.is_client_error();
    if !passing {
        return Err(SendError::Refused { why });
    }
    Err(SendError::Retry {
        after: answer.retry_after,
        why,
    })
}

#[cfg(test)]
mod tests;
