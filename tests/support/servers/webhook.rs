//! A receiver of webhooks that checks their signatures with the library of Standard Webhooks.

use std::fs;
use std::net::TcpStream;

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tempfile::TempDir;

use super::{Process, directory, installed};
use crate::support::harness::wait_for_some;
use crate::support::stand_in::free_port;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct Webhook {
    pub url: String,
    _process: Process,
    dir: TempDir,
}

/// A request that it received.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    pub headers: BTreeMap<String, String>,
    pub body: Value,
    /// True if the library accepts the signature.
    pub verified: bool,
}

impl Webhook {
    /// Starts it, without root.
    pub fn start() -> Self {
        let dir = directory("webhook");
        let port = free_port();
        let python = installed("venv/bin/python").display().to_string();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/servers/webhook.py"
        );
        let mut process = Process::start(
            &[&python, script, &port.to_string(), SECRET],
            dir.path().join("output"),
        );
        process.until("it listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            url: format!("http://127.0.0.1:{port}/crashes"),
            _process: process,
            dir,
        }
    }

    /// Waits until it has received this number of requests.
    pub fn requests(&self, count: usize) -> Vec<Request> {
        let read = || {
            let text = fs::read_to_string(self.dir.path().join("output")).ok()?;
            let requests: Vec<Request> = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect();
            (requests.len() >= count).then_some(requests)
        };
        wait_for_some("the webhooks", read)
    }
}
