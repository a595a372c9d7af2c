//! A Gitter room. Gitter's rooms live on Matrix since February 2023: this is the
//! [`matrix`](super::matrix) sink with Gitter's homeserver and Gitter's names.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | how jobs name this sink | required |
//! | `room` | the room as in its address on gitter.im: `org/repo`; or its alias on Matrix: `#org_repo:gitter.im` | required |
//! | `homeserver` | the API of the homeserver where the user who posts has an account | `https://gitter.ems.host`, which is gitter.im's |
//! | `token_file` | a file whose first line is that user's access token | required, or `token_env` |
//! | `token_env` | the environment variable that holds it | required, or `token_file` |
//! | `template` | a file of handlebars, in Matrix's HTML, in place of the built-in message (config/templates.md) | none |
//!
//! ```toml
//! [[sink.gitter]]
//! name = "ops-gitter"
//! room = "acme/ops"
//! token_file = "/etc/lastwords/secrets/gitter"
//! ```
//!
//! The token is in the settings of <https://app.gitter.im>, under Help & About. Tokens, room
//! numbers and webhooks from before Matrix no longer work.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::matrix::{Homeserver, Matrix, MatrixKeys, Room};
use super::template::Template;
use super::{Form, Probed, Receipt, SendError, Sink};
use crate::host::Host;
use crate::key_error::KeyError;
use crate::render::Medium;
use crate::report::Report;

/// gitter.im's homeserver, as <https://gitter.im/.well-known/matrix/client> names it.
const HOMESERVER: &str = "https://gitter.ems.host";

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "GitterKeys"))]
#[serde(try_from = "GitterKeys")]
pub struct Gitter(Matrix);

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct GitterKeys {
    name: String,
    room: GitterRoom,
    homeserver: Option<Homeserver>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    template: Option<Template>,
}

impl TryFrom<GitterKeys> for Gitter {
    type Error = KeyError;
    fn try_from(keys: GitterKeys) -> Result<Self, KeyError> {
        let GitterKeys {
            name,
            room: GitterRoom(room),
            homeserver,
            token_file,
            token_env,
            template,
        } = keys;
        let homeserver = homeserver
            .map_or_else(|| HOMESERVER.to_owned().try_into(), Ok)
            .map_err(KeyError::of_table)?;
        let keys = MatrixKeys {
            name,
            homeserver,
            room,
            token_file,
            token_env,
            template,
        };
        keys.try_into().map(Self)
    }
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String")]
struct GitterRoom(Room);

impl TryFrom<String> for GitterRoom {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with(['#', '!']) {
            return Room::try_from(text).map(Self);
        }
        let part = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if text.contains('/') && text.split('/').all(part) {
            return Room::try_from(format!("#{}:gitter.im", text.replace('/', "_"))).map(Self);
        }
        // The text is not repeated, since a webhook's address is a secret.
        Err("expected a room such as org/repo or #org_repo:gitter.im: Gitter's own API, with its room numbers and its \
             webhooks, ended in February 2023, and its rooms are on Matrix now; set `room` to one of these, and `token_file` \
             to a file with an access token from the settings of https://app.gitter.im"
            .to_owned())
    }
}

impl Sink for Gitter {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn kind(&self) -> &'static str {
        "gitter"
    }

    fn secret_files(&self) -> Vec<&Path> {
        self.0.secret_files()
    }

    fn templates(&self) -> Vec<(&Template, Medium)> {
        self.0.templates()
    }

    fn form(&self, form: Form, report: &Report, host: &Host) -> Option<String> {
        self.0.form(form, report, host)
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        self.0.preview(report, host)
    }

    fn probe(&self, host: &Host) -> Result<Probed, SendError> {
        self.0.probe(host)
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        self.0.send(report, host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(text: &str) -> Result<Room, String> {
        GitterRoom::try_from(text.to_owned()).map(|room| room.0)
    }

    #[test]
    fn a_room_on_gitter_is_an_alias_on_matrix() {
        for (name, alias) in [
            ("acme/ops", "#acme_ops:gitter.im"),
            ("nodejs/node.js/dev", "#nodejs_node.js_dev:gitter.im"),
            ("#acme_ops:gitter.im", "#acme_ops:gitter.im"),
            ("!id:gitter.im", "!id:gitter.im"),
        ] {
            assert_eq!(room(name), Ok(Room::try_from(alias.to_owned()).unwrap()));
        }
    }

    #[test]
    fn what_worked_before_matrix_is_an_error_that_names_the_new_way_and_no_secret() {
        let webhook = "https://webhooks.gitter.im/e/0123456789hush";
        for legacy in [
            webhook,
            "5f8c0b1d6da03739849c2a11",
            "https://gitter.im/acme/ops",
            "acme",
            "",
            "a//b",
            "/a",
            "a b/c",
        ] {
            let why = room(legacy).unwrap_err();
            assert!(
                why.contains("org/repo")
                    && why.contains("are on Matrix now")
                    && !why.contains("hush"),
                "{why}"
            );
        }
    }

    #[test]
    fn the_homeserver_is_gitters_unless_another_is_named() {
        let gitter = |more: &str| {
            toml::from_str::<Gitter>(&format!(
                "name = 'x'\nroom = 'acme/ops'\ntoken_env = 'X'\n{more}"
            ))
        };
        let endpoint = |more: &str| gitter(more).unwrap().0.join().to_string();
        let path = "_matrix/client/v3/join/%23acme_ops:gitter.im";
        assert_eq!(endpoint(""), format!("https://gitter.ems.host/{path}"));
        assert_eq!(
            endpoint("homeserver = 'https://matrix.org'"),
            format!("https://matrix.org/{path}")
        );
        let why = gitter("webhook = 'x'").unwrap_err().to_string();
        assert!(why.contains("unknown field `webhook`"), "{why}");
    }
}
