//! The keys of `lastwords.toml` and of a job's file, and what a job gets if both are silent.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::normal_exit::NormalExit;
use crate::collectors::Collect;
use crate::report::Exit;
use crate::sinks::Sinks;

/// How long a planned stop may take by default.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// `lastwords.toml`.
#[derive(Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    pub sink: Sinks,
    pub default: JobFile,
}

/// A job's file, or `[default]`, as it stands there.
#[derive(Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct JobFile {
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    sinks: Option<Vec<Spanned<String>>>,
    sink: Option<Sinks>,
    collect: Option<Collect>,
    runbook: Option<String>,
    normal_exit: Option<Vec<NormalExit>>,
    #[serde(with = "humantime_serde")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    stop_timeout: Option<Duration>,
    pub user: Option<String>,
    /// Read by [`super::patterns`].
    #[serde(rename = "redact")]
    _redact: Option<Vec<String>>,
}

/// What happens when a job dies.
pub struct Job {
    /// The names of the sinks that are told, in order; `None` for all, the machine's and the job's
    /// own.
    pub sinks: Option<Vec<String>>,
    /// Its own sinks.
    pub sink: Sinks,
    /// What is gathered; `None` for the usual.
    pub collect: Option<Collect>,
    pub runbook: Option<String>,
    /// The exits that are no crash; `None` for the usual.
    pub normal_exit: Option<Vec<Exit>>,
    /// How long a planned stop may take.
    pub stop_timeout: Duration,
    /// The user as whom its hooks run, where that is not root.
    pub user: Option<String>,
}

impl JobFile {
    /// Returns the sinks that this file defines.
    pub fn own_sinks(&self) -> Option<&Sinks> {
        self.sink.as_ref()
    }

    /// Returns what this file says, and what `default` says where this file is silent.
    pub fn or(self, default: Self) -> Job {
        let sinks = self.sinks.or(default.sinks);
        let normal_exit = self.normal_exit.or(default.normal_exit);
        Job {
            sinks: sinks.map(|names| names.into_iter().map(Spanned::into_inner).collect()),
            sink: self.sink.or(default.sink).unwrap_or_default(),
            collect: self.collect.or(default.collect),
            runbook: self.runbook.or(default.runbook),
            normal_exit: normal_exit
                .map(|exits| exits.into_iter().map(|NormalExit(exit)| exit).collect()),
            stop_timeout: self
                .stop_timeout
                .or(default.stop_timeout)
                .unwrap_or(STOP_TIMEOUT),
            user: self.user.or(default.user),
        }
    }
}
