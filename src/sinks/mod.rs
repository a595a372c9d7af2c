//! Where reports go.
//!
//! A sink is its own config struct: `[[sink.slack]]` in `lastwords.toml` *is* [`slack::Slack`].
//! Adding one is a file here, a field of [`Sinks`] and a line in [`Sinks::list`].

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
pub mod template;
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
    /// The name that the config gives it.
    fn name(&self) -> &str;

    /// What kind it is: `email`, `slack`.
    fn kind(&self) -> &'static str;

    /// The files that hold its secrets, as the config names them; `lastwords check` looks at who
    /// may read them.
    fn secret_files(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// The templates that replace its messages; `lastwords check` tries them.
    fn templates(&self) -> Vec<(&Template, Medium)> {
        Vec::new()
    }

    /// The report in one of the forms that `lastwords render` shows, as this sink would be sent it;
    /// `None` where it is sent no such thing. Neither secrets nor the network are looked at.
    fn form(&self, _form: Form, _report: &Report, _host: &Host) -> Option<String> {
        None
    }

    /// How long one try may take in all; then it is ended, and made again later.
    fn patience(&self) -> Duration {
        Duration::from_mins(1)
    }

    /// Exactly what would be sent, as text, secrets excepted.
    ///
    /// # Errors
    /// Where nothing could be sent because of the config: a secret that cannot be read, a bad
    /// address.
    fn preview(&self, report: &Report, host: &Host) -> anyhow::Result<String>;

    /// Asks the destination whether it would take a report, and sends nothing: whether it can be
    /// reached, and takes our credentials. Not every one can be asked.
    ///
    /// # Errors
    /// Why nothing would be sent now.
    fn probe(&self, _host: &Host) -> Result<Probed, SendError> {
        Ok(Probed::Unasked(
            "it cannot be asked without sending".to_owned(),
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
    /// What is posted to Slack, as JSON
    Slack,
    /// What is sent to a Matrix or Gitter room, as JSON
    Matrix,
    /// A syslog record
    Syslog,
    /// The report itself
    Json,
}

/// The report in a form as a sink without settings of its own would be sent it.
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

/// What the destination said when it took the report: `250 2.0.0 queued as 4F2A`.
pub type Receipt = String;

/// What a destination let us know without being sent anything. The text is for people and never
/// holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probed {
    /// It would take a report.
    Good(String),
    /// As far as it could be asked nothing is wrong; whether it would, only a message tells.
    Unasked(String),
}

/// Why a report was not taken. The text is for people and never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It may be taken later; not before `after`, where the destination said so.
    Retry {
        after: Option<Duration>,
        why: String,
    },
    /// It will never be taken as it is.
    Refused { why: String },
}

/// An error on our side of the connection may be gone at the next try.
impl From<anyhow::Error> for SendError {
    fn from(why: anyhow::Error) -> Self {
        Self::Retry {
            after: None,
            why: render::one_line(&format!("{why:#}"), 500),
        }
    }
}

/// Makes ring the one provider of cryptography for every TLS client in this process, before the
/// first is made.
pub fn use_ring() {
    // An error says that it is installed already.
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
