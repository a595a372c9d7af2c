//! The keys of `lastwords.toml` and of a job's file, and their defaults.

use std::path::{Component, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::normal_exit::NormalExit;
use crate::collectors::Collect;
use crate::report::Exit;
use crate::sinks::Sinks;

/// Default of `stop_timeout`.
const STOP_TIMEOUT: Duration = Duration::from_mins(1);
/// Default of `remind`.
const REMIND: Duration = Duration::from_hours(1);

/// The value of `remind`: a length of time, or `"never"`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
struct Remind(#[cfg_attr(test, schemars(with = "String"))] Option<Duration>);

impl TryFrom<String> for Remind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "never" {
            return Ok(Self(None));
        }
        match humantime::parse_duration(&text) {
            Ok(time) if time >= Duration::from_mins(1) => Ok(Self(Some(time))),
            Ok(_) => Err("this is less than a minute".to_owned()),
            Err(why) => Err(format!("expected a length of time or \"never\": {why}")),
        }
    }
}

/// The value of `expect`: `"every 24h"`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
struct Expect(#[cfg_attr(test, schemars(with = "String"))] Duration);

impl TryFrom<String> for Expect {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let form = || "expected `every` and a length of time: \"every 24h\"".to_owned();
        let length = text.strip_prefix("every ").ok_or_else(form)?;
        match humantime::parse_duration(length) {
            Ok(time) if time >= Duration::from_mins(1) => Ok(Self(time)),
            Ok(_) => Err("this is less than a minute".to_owned()),
            Err(why) => Err(format!("{}: {why}", form())),
        }
    }
}

/// The value of `chroot`: an absolute path.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
struct Chroot(#[cfg_attr(test, schemars(with = "String"))] PathBuf);

impl TryFrom<String> for Chroot {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let path = PathBuf::from(text);
        let is_below = path
            .components()
            .any(|it| matches!(it, Component::Normal(_)));
        let leads_up = path.components().any(|it| it == Component::ParentDir);
        if path.is_absolute() && is_below && !leads_up {
            Ok(Self(path))
        } else {
            Err("expected the absolute path of a directory".to_owned())
        }
    }
}

/// `lastwords.toml`.
#[derive(Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct MachineFile {
    pub sink: Sinks,
    pub default: JobFile,
}

/// A job's file, or `[default]`: only the keys that are in it.
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
    remind: Option<Remind>,
    expect: Option<Expect>,
    pub user: Option<String>,
    chroot: Option<Chroot>,
    /// Read by [`super::patterns`].
    #[serde(rename = "redact")]
    _redact: Option<Vec<String>>,
}

/// The settings of one job, after its file and `[default]` were merged.
pub struct JobSettings {
    /// Names of the sinks that are told, in order; `None` for all of the machine's and the job's.
    pub sinks: Option<Vec<String>>,
    /// Sinks of this job alone.
    pub sink: Sinks,
    /// Collectors; `None` for the standard ones.
    pub collect: Option<Collect>,
    pub runbook: Option<String>,
    /// Exits that are no crash; `None` for the supervisor's default.
    pub normal_exit: Option<Vec<Exit>>,
    /// Maximum duration of a planned stop.
    pub stop_timeout: Duration,
    /// Time after which people are told again that the service is down; `None` for never.
    pub remind: Option<Duration>,
    /// Maximum time from one good end of the job's runs to the next, if it runs by the clock.
    pub expect: Option<Duration>,
    /// User that the job's hooks and exec collectors run as; `None` for root.
    pub user: Option<String>,
    /// Root directory of the job's hooks; `None` for the machine's.
    pub chroot: Option<PathBuf>,
}

impl JobFile {
    /// Returns the sinks that this file defines.
    pub fn own_sinks(&self) -> Option<&Sinks> {
        self.sink.as_ref()
    }

    /// Returns the settings of this file, and those of `default` for the keys that it lacks.
    pub fn or(self, default: Self) -> JobSettings {
        let sinks = self.sinks.or(default.sinks);
        let normal_exit = self.normal_exit.or(default.normal_exit);
        let user = self.user.or(default.user);
        let mut collect = self.collect.or(default.collect);
        for exec in collect.iter_mut().flat_map(|collect| &mut collect.exec) {
            exec.user = exec.user.take().or_else(|| user.clone());
        }
        JobSettings {
            sinks: sinks.map(|names| names.into_iter().map(Spanned::into_inner).collect()),
            sink: self.sink.or(default.sink).unwrap_or_default(),
            collect,
            runbook: self.runbook.or(default.runbook),
            normal_exit: normal_exit
                .map(|exits| exits.into_iter().map(|NormalExit(exit)| exit).collect()),
            stop_timeout: self
                .stop_timeout
                .or(default.stop_timeout)
                .unwrap_or(STOP_TIMEOUT),
            remind: self
                .remind
                .or(default.remind)
                .map_or(Some(REMIND), |it| it.0),
            expect: self.expect.or(default.expect).map(|it| it.0),
            user,
            chroot: self.chroot.or(default.chroot).map(|it| it.0),
        }
    }
}
