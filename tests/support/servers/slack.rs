//! A stand-in for Slack's incoming webhooks, since a test cannot run Slack's server. It keeps the
//! requests, which [`slack_rules`](crate::support::slack_rules) checks, and answers as Slack or a
//! proxy before it may.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use crate::support::stand_in::{Client, StandIn, http};

/// An answer to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200, `ok`: taken.
    Ok,
    /// 429 with `Retry-After` in seconds.
    RateLimited(u32),
    /// 403, `invalid_token`: the webhook is gone.
    InvalidToken,
    /// 500.
    ServerError,
    /// 302 to another place on the same port.
    Redirect,
    /// No answer, while the connection stays open.
    Hang,
    /// 200, and a body without an end.
    Endless,
}

/// A request that it received.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST /services/T0/B0/token HTTP/1.1`
    pub line: String,
    pub content_type: String,
    /// The body; [`Value::Null`] if it was not JSON.
    pub payload: Value,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    answers: VecDeque<Answer>,
}

pub struct Slack {
    server: StandIn,
    state: Arc<Mutex<State>>,
}

impl Slack {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = StandIn::start(move |client| serve(client, &shared));
        Self { server, state }
    }

    /// Returns the webhook's address. Like Slack's, it contains a secret.
    pub fn webhook(&self) -> String {
        let path = "services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX";
        format!("{}/{path}", self.server.url())
    }

    /// Sets the answer to the next request that has none yet. By default the answer is `ok`.
    pub fn plan(&self, answer: Answer) {
        lock(&self.state).answers.push_back(answer);
    }

    /// Returns all requests so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state).requests.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no thread panics with the lock")
}

fn serve(client: &mut Client, state: &Mutex<State>) -> io::Result<()> {
    let (head, body) = client.http_request()?;
    let (line, headers) = head.split_once("\r\n").unwrap_or_default();
    let headers = headers.lines().filter_map(|header| header.split_once(": "));
    let content_type = headers.filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let request = Request {
        line: line.to_owned(),
        content_type: content_type.map(|(_, value)| value).collect(),
        payload: serde_json::from_str(&body).unwrap_or_default(),
    };
    let answer = {
        let mut state = lock(state);
        state.requests.push(request);
        state.answers.pop_front().unwrap_or(Answer::Ok)
    };
    let answer = match answer {
        Answer::Ok => http("200 OK", "", "ok"),
        Answer::RateLimited(seconds) => {
            let header = format!("Retry-After: {seconds}\r\n");
            let body = r#"{"ok":false,"error":"rate_limited"}"#;
            http("429 Too Many Requests", &header, body)
        }
        Answer::InvalidToken => http("403 Forbidden", "", "invalid_token"),
        Answer::ServerError => http("500 Internal Server Error", "", "rollup_error"),
        Answer::Redirect => http("302 Found", "Location: /elsewhere\r\n", ""),
        Answer::Hang => return client.hang(),
        Answer::Endless => {
            client.say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            return client.flood("o");
        }
    };
    client.say(answer)
}
