//! Where reports go.
//!
//! A sink is its own config struct: `[[sink.slack]]` in `lastwords.toml` *is* [`slack::Slack`]. Adding one is a file
//! here, a field of [`Sinks`] and a line in [`Sinks::list`].

pub mod alertmanager;
mod brief;
pub mod discord;
pub mod email;
pub mod exec;
pub mod gitter;
pub mod http;
pub mod matrix;
pub mod ntfy;
pub mod pagerduty;
pub mod slack;
pub mod syslog;
pub mod telegram;
pub mod webhook;

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::host::Host;
use crate::report::Report;

/// A destination.
pub trait Sink: Send + Sync {
    /// The name that the config gives it.
    fn name(&self) -> &str;

    /// What kind it is: `email`, `slack`.
    fn kind(&self) -> &'static str;

    /// The files that hold its secrets, as the config names them; `lastwords check` looks at who may read them.
    fn secret_files(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// How long one try may take in all; then it is ended, and made again later.
    fn patience(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Exactly what would be sent, as text, secrets excepted.
    ///
    /// # Errors
    /// Where nothing could be sent because of the config: a secret that cannot be read, a bad address.
    fn preview(&self, report: &Report, host: &Host) -> anyhow::Result<String>;

    /// Sends the report. The same report sent again carries the same idempotency key.
    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError>;
}

/// What the destination said when it took the report: `250 2.0.0 queued as 4F2A`.
pub type Receipt = String;

/// Why a report was not taken. The text is for people and never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It may be taken later; not before `after`, where the destination said so.
    Retry { after: Option<Duration>, why: String },
    /// It will never be taken as it is.
    Refused { why: String },
}

/// Makes ring the one provider of cryptography for every TLS client in this process, before the first is made.
pub fn use_ring() {
    // An error says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The sinks of the machine, or of one job: the config's `[[sink.KIND]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sinks {
    pub email: Vec<email::Email>,
    pub slack: Vec<slack::Slack>,
    pub gitter: Vec<gitter::Gitter>,
    pub matrix: Vec<matrix::Matrix>,
    pub syslog: Vec<syslog::Syslog>,
    pub webhook: Vec<webhook::Webhook>,
    pub alertmanager: Vec<alertmanager::Alertmanager>,
    pub pagerduty: Vec<pagerduty::PagerDuty>,
    pub discord: Vec<discord::Discord>,
    pub telegram: Vec<telegram::Telegram>,
    pub ntfy: Vec<ntfy::Ntfy>,
    pub exec: Vec<exec::Exec>,
}

impl Sinks {
    /// All of them, in the order in which they are told.
    pub fn list(&self) -> Vec<&dyn Sink> {
        let mut list: Vec<&dyn Sink> = Vec::new();
        add(&mut list, &self.email);
        add(&mut list, &self.slack);
        add(&mut list, &self.gitter);
        add(&mut list, &self.matrix);
        add(&mut list, &self.syslog);
        add(&mut list, &self.webhook);
        add(&mut list, &self.alertmanager);
        add(&mut list, &self.pagerduty);
        add(&mut list, &self.discord);
        add(&mut list, &self.telegram);
        add(&mut list, &self.ntfy);
        add(&mut list, &self.exec);
        list
    }
}

fn add<'a, S: Sink>(list: &mut Vec<&'a dyn Sink>, configured: &'a [S]) {
    list.extend(configured.iter().map(|sink| sink as &dyn Sink));
}
