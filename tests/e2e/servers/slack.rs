//! A stand-in for Slack's incoming webhooks. Slack's server cannot be had: this one keeps what it
//! gets, for [`crate::slack_rules`] to judge, and answers as Slack or what stands before it may.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use serde_json::Value;

/// How a request is answered.
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
    /// Nothing, while the connection stays open.
    Hang,
    /// 200, and a body without an end.
    Endless,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST /services/T0/B0/token HTTP/1.1`
    pub line: String,
    pub content_type: String,
    /// [`Value::Null`] where it was no JSON.
    pub payload: Value,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    answers: VecDeque<Answer>,
    hung: Vec<TcpStream>,
    ended: bool,
}

pub struct Slack {
    port: u16,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Slack {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let serve = move || {
            for stream in listener.incoming() {
                if lock(&shared).ended {
                    break;
                }
                // A client may go away whenever it likes.
                let _ = stream.and_then(|stream| serve(stream, &shared));
            }
        };
        let thread = Builder::new()
            .name("slack".to_owned())
            .spawn(serve)
            .expect("a thread can be had");
        Self {
            port,
            state,
            thread: Some(thread),
        }
    }

    /// The webhook, with a secret in it, as Slack makes them.
    pub fn webhook(&self) -> String {
        format!(
            "http://127.0.0.1:{}/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
            self.port
        )
    }

    /// Answers the next request so, after those that are already planned. Without a plan it answers
    /// `ok`.
    pub fn plan(&self, answer: Answer) {
        lock(&self.state).answers.push_back(answer);
    }

    /// Everything that came so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state).requests.clone()
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        lock(&self.state).ended = true;
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nobody panics with the lock")
}

/// Reads one request and answers it.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut length, mut content_type) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap_or(0);
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-type") => {
                value.clone_into(&mut content_type);
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let payload = serde_json::from_slice(&body).unwrap_or_default();
    let answer = {
        let mut state = lock(state);
        state.requests.push(Request {
            line: line.trim_end().to_owned(),
            content_type,
            payload,
        });
        state.answers.pop_front().unwrap_or(Answer::Ok)
    };
    let whole = |status: &str, header: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = match answer {
        Answer::Ok => whole("200 OK", "", "ok"),
        Answer::RateLimited(seconds) => {
            let header = format!("Retry-After: {seconds}\r\n");
            whole(
                "429 Too Many Requests",
                &header,
                r#"{"ok":false,"error":"rate_limited"}"#,
            )
        }
        Answer::InvalidToken => whole("403 Forbidden", "", "invalid_token"),
        Answer::ServerError => whole("500 Internal Server Error", "", "rollup_error"),
        Answer::Redirect => whole("302 Found", "Location: /elsewhere\r\n", ""),
        Answer::Hang => {
            lock(state).hung.push(stream);
            return Ok(());
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            while !lock(state).ended {
                stream.write_all(&[b'o'; 4096])?;
            }
            return Ok(());
        }
    };
    stream.write_all(answer.as_bytes())
}
