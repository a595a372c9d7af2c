//! Prometheus' Alertmanager, which posts the alerts that it gets to a webhook, grouped by job.

use std::fs;

use reqwest::blocking::Client;
use serde_json::Value;
use tempfile::TempDir;

use super::{Process, directory, fill};
use crate::support::stand_in::free_port;

pub struct Alertmanager {
    pub url: String,
    client: Client,
    _process: Process,
    _dir: TempDir,
}

const CONFIG: &str = "\
route:
  receiver: people
  group_by: [job]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: people
  webhook_configs:
  - url: @WEBHOOK@
    send_resolved: true
";

impl Alertmanager {
    /// Starts it, without root. It posts its messages to `webhook`.
    pub fn start(webhook: &str) -> Self {
        let dir = directory("alertmanager");
        let port = free_port();
        let config = dir.path().join("alertmanager.yml");
        fs::write(&config, fill(CONFIG, &[("WEBHOOK", &webhook)]))
            .expect("the directory is writable");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let command = [
            "prometheus-alertmanager",
            &format!("--config.file={}", at("alertmanager.yml")),
            &format!("--storage.path={}", at("data")),
            &format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=",
        ];
        let mut process = Process::start(&command, dir.path().join("output"));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::new();
        let url = format!("http://127.0.0.1:{port}");
        process.until("Alertmanager is ready", || {
            client
                .get(format!("{url}/-/ready"))
                .send()
                .ok()
                .filter(|answer| answer.status().is_success())
        });
        Self {
            url,
            client,
            _process: process,
            _dir: dir,
        }
    }

    /// Returns the alerts that fire.
    pub fn alerts(&self) -> Vec<Value> {
        let answer = self
            .client
            .get(format!("{}/api/v2/alerts", self.url))
            .send()
            .expect("Alertmanager answers");
        answer
            .json::<Vec<Value>>()
            .expect("Alertmanager speaks JSON")
    }
}
