//! The destinations of reports.
//!
//! A sink is its own config struct: `[[sink.slack]]` in `lastwords.toml` *is* [`slack::Slack`]. A
//! new one takes a file here, a field of [`Sinks`] and a line in [`Sinks::list`].
//!
//! A sink with keys that depend on each other is made from a struct of its keys (`SlackKeys`) by
//! `TryFrom`. Its errors are [`KeyError`](crate::key_error::KeyError)s, which `lastwords check`
//! shows at the key's line.

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
mod stream;
pub mod syslog;
pub mod telegram;
pub mod template;
mod tls;
pub mod webhook;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::template::Template;
use crate::host::Host;
use crate::render::{self, Medium, View};
use crate::report::Report;

/// A destination.
pub trait Sink: Send + Sync {
    /// Returns the name that the config gives it.
    fn name(&self) -> &str;

    /// Returns its kind: `email`, `slack`.
    fn kind(&self) -> &'static str;

    /// Returns the files that hold its secrets, as the config names them. `lastwords check` tests
    /// who may read them.
    fn secret_files(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// Returns the templates that replace its messages. `lastwords check` tries them.
    fn templates(&self) -> Vec<(&Template, Medium)> {
        Vec::new()
    }

    /// Returns the report in one of the forms that `lastwords render` shows, as this sink would
    /// send it; `None` if it sends no such form. Reads no secrets and uses no network.
    fn form(&self, _form: Form, _report: &Report, _host: &Host) -> Option<String> {
        None
    }

    /// Returns the maximum duration of one try. Then it is ended, and made again later.
    fn patience(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Returns exactly what would be sent, as text without secrets.
    ///
    /// # Errors
    /// If nothing could be sent because of this machine: a secret that cannot be read, no program.
    fn preview(&self, report: &Report, host: &Host) -> anyhow::Result<String>;

    /// Tests whether the destination can be reached and takes our credentials, without sending
    /// anything. Not every destination can be tested.
    ///
    /// # Errors
    /// If a report could not be sent now.
    fn probe(&self, _host: &Host) -> Result<Probed, SendError> {
        Ok(Probed::Unasked(
            "not verified: this sink can only be tested by sending".to_owned(),
        ))
    }

    /// Sends the report. The same report sent again carries the same idempotency key.
    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError>;
}

/// A form of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// An email's HTML
    Html,
    /// An email's text
    Text,
    /// An email's subject
    Subject,
    /// The JSON that is posted to Slack
    Slack,
    /// The JSON that is sent to a Matrix or Gitter room
    Matrix,
    /// A syslog record
    Syslog,
    /// The report itself
    Json,
}

/// Returns the report in a form, as a sink with default settings would send it.
pub fn form(form: Form, report: &Report) -> String {
    match form {
        Form::Html => render::html_of(&View::of(report).brief()),
        Form::Text => render::text_of(&View::of(report).brief()),
        Form::Subject => render::subject(report),
        Form::Slack => format!("{:#}", slack::payload(report)),
        Form::Matrix => format!("{:#}", matrix::content(report)),
        Form::Syslog => syslog::record(report),
        Form::Json => serde_json::to_string_pretty(report).unwrap_or_default(),
    }
}

/// The destination's words when it took the report: `250 2.0.0 queued as 4F2A`.
pub type Receipt = String;

/// The result of a test without sending. The text is for people and never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probed {
    /// The destination would take a report.
    Good(String),
    /// Nothing is wrong as far as could be tested; only a message would tell.
    Unasked(String),
}

/// The reason why a report was not taken. The text is for people and never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The destination may take it later; not before `after`, if it said so.
    Retry {
        after: Option<Duration>,
        why: String,
    },
    /// The destination will never take this report.
    Refused { why: String },
}

/// Makes an error on this machine one that may be gone at the next try.
impl From<anyhow::Error> for SendError {
    fn from(why: anyhow::Error) -> Self {
        Self::Retry {
            after: None,
            why: render::one_line(&format!("{why:#}"), 500),
        }
    }
}

/// Makes ring the provider of cryptography for all TLS clients of this process. Call it before the
/// first one is made.
pub fn use_ring() {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The sinks of the machine, or of one job: the config's `[[sink.KIND]]`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    pub exec: Vec<exec::ExecSink>,
}

impl Sinks {
    /// Returns all sinks, in the order in which they are told.
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
