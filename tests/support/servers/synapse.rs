//! Matrix's Synapse with one room, `#acme_ops:gitter.im`, and a bot that may join it.

use std::fs;

use reqwest::blocking::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Process, directory, fill, installed};
use crate::support::harness::wait_for_some;
use crate::support::stand_in::free_port;

pub struct Synapse {
    /// Address for clients: `http://127.0.0.1:PORT`.
    pub homeserver: String,
    /// The bot's access token. The bot has not joined the room.
    pub token: String,
    /// The room's id.
    pub room: String,
    owner: String,
    api: Api,
    _process: Process,
    _dir: TempDir,
}

impl Synapse {
    /// Starts it, without root.
    pub fn start() -> Self {
        Self::start_limited(1000.0, 1000)
    }

    /// Starts it with a limit on messages: `burst` at once, then `per_second`, and 429 above that.
    pub fn start_limited(per_second: f64, burst: u32) -> Self {
        let python = installed("venv/bin/python");
        let dir = directory("synapse");
        let port = free_port();
        let place = dir.path().display();
        let text = fill(
            include_str!("synapse.yaml"),
            &[
                ("DIR", &place),
                ("PORT", &port),
                ("MESSAGES_PER_SECOND", &per_second),
                ("BURST", &burst),
            ],
        );
        let config = dir.path().join("homeserver.yaml");
        fs::write(&config, text).expect("the directory is writable");
        // The key is 32 zero bytes: no server checks its signatures here.
        let key = format!("ed25519 a_test {}\n", "A".repeat(43));
        fs::write(dir.path().join("signing.key"), key).expect("the directory is writable");

        let command = [
            python.to_str().expect("the path is UTF-8"),
            "-m",
            "synapse.app.homeserver",
            "--config-path",
            &config.display().to_string(),
        ];
        let mut process = Process::start(&command, dir.path().join("output"));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::new();
        let homeserver = format!("http://127.0.0.1:{port}");
        process.until("Synapse is healthy", || {
            client.get(format!("{homeserver}/health")).send().ok()
        });

        let api = Api {
            url: format!("{homeserver}/_matrix/client/v3"),
            client,
        };
        let [owner, token] = ["owner", "bot"].map(|name| api.register(name));
        let room = json!({ "preset": "public_chat", "room_alias_name": "acme_ops" });
        let room = api.post("createRoom", Some(&owner), &room)["room_id"]
            .as_str()
            .expect("a room has an id")
            .to_owned();
        Self {
            homeserver,
            token,
            room,
            owner,
            api,
            _process: process,
            _dir: dir,
        }
    }

    /// Returns the contents of the room's messages, oldest first.
    pub fn messages(&self) -> Vec<Value> {
        let url = format!(
            "{}/rooms/{}/messages?dir=f&limit=1000",
            self.api.url, self.room
        );
        let answer = self
            .api
            .client
            .get(url)
            .bearer_auth(&self.owner)
            .send()
            .expect("Synapse answers");
        let events = answer.json::<Value>().expect("Synapse speaks JSON")["chunk"].take();
        let events = events.as_array().expect("events are a list").clone();
        let messages = events
            .into_iter()
            .filter(|event| event["type"] == "m.room.message");
        messages.map(|mut event| event["content"].take()).collect()
    }

    /// Waits for a message in the room, and returns it.
    pub fn message(&self) -> Value {
        wait_for_some("a message in the room", || {
            self.messages().into_iter().next()
        })
    }
}

/// Returns an address of the client-server API: <https
/// ://spec.matrix.org/latest/client-server-api/>.
struct Api {
    url: String,
    client: Client,
}

impl Api {
    /// Makes a user and returns its access token.
    fn register(&self, name: &str) -> String {
        let user =
            json!({ "username": name, "password": "s3cret", "auth": { "type": "m.login.dummy" } });
        let answer = self.post("register", None, &user);
        answer["access_token"]
            .as_str()
            .expect("a user gets a token")
            .to_owned()
    }

    fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Value {
        let request = self.client.post(format!("{}/{path}", self.url)).json(body);
        let request = if let Some(token) = token {
            request.bearer_auth(token)
        } else {
            request
        };
        let answer = request.send().expect("Synapse answers");
        let status = answer.status();
        let body = answer.text().expect("Synapse answers");
        assert!(status.is_success(), "{path}: {status} {body}");
        serde_json::from_str(&body).expect("Synapse speaks JSON")
    }
}
