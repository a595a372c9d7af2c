//! Reads for which job a hook is called, and what the call itself tells of a stop.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::catch::marker::{Circumstances, MarkerFile};
use crate::places::Places;
use crate::report::Evidence;
use crate::supervisor::supervise::HookInput;
use crate::supervisor::{self, Supervise};

/// A hook's flags.
#[derive(Clone, Debug, Default, Args)]
pub struct HookArgs {
    /// The job; Upstart tells it by itself
    #[arg(long, value_name = "NAME")]
    pub job: Option<OsString>,
    /// The job's instance; Upstart tells it by itself
    #[arg(long, value_name = "NAME")]
    pub instance: Option<OsString>,
    /// The supervisor that calls; Upstart and systemd are recognised by their environment
    #[arg(long, value_name = "NAME", value_parser = supervisor::parser())]
    pub supervisor: Option<&'static dyn Supervise>,
    /// Facts that the supervisor passes to its hook: "$@" in a `finish` script of runit or s6
    #[arg(value_name = "FACT")]
    pub facts: Vec<OsString>,
    #[command(flatten)]
    pub places: Places,
}

impl HookArgs {
    /// Reads a hook's flags. The parser of people's commands would cost a hook more than all its
    /// work. An unknown flag must not keep a service down: it is handed back, to be complained of.
    pub fn parse(args: &[OsString]) -> (Self, Vec<OsString>) {
        let mut parsed = Self::default();
        let mut unknown = Vec::new();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let (flag, joined) = split_flag(arg);
            let places = &mut parsed.places;
            let (place, name) = match flag {
                Some("--config") => (Some(&mut places.config), None),
                Some("--run-dir") => (Some(&mut places.run_dir), None),
                Some("--spool") => (Some(&mut places.spool), None),
                Some("--root") => (Some(&mut places.root), None),
                Some("--job") => (None, Some(&mut parsed.job)),
                Some("--instance") => (None, Some(&mut parsed.instance)),
                Some("--supervisor") => {
                    let value = joined.or_else(|| rest.next().cloned()).unwrap_or_default();
                    match supervisor::named(&value.to_string_lossy()) {
                        Some(supervisor) => parsed.supervisor = Some(supervisor),
                        None => unknown.extend([arg.clone(), value]),
                    }
                    continue;
                }
                Some("--") => continue,
                _ if !arg.as_encoded_bytes().starts_with(b"--") => {
                    parsed.facts.push(arg.clone());
                    continue;
                }
                _ => {
                    unknown.push(arg.clone());
                    continue;
                }
            };
            let Some(value) = joined.or_else(|| rest.next().cloned()) else {
                unknown.push(arg.clone());
                continue;
            };
            if let Some(place) = place {
                *place = PathBuf::from(value);
            } else if let Some(name) = name {
                *name = Some(value);
            }
        }
        (parsed, unknown)
    }

    /// Returns what the supervisor hands to the hook.
    pub fn input(&self) -> HookInput<'_> {
        HookInput {
            args: &self.facts,
            variable: |name| env::var_os(name),
            directory: || env::current_dir().ok(),
        }
    }
}

/// Splits `--flag=value`.
fn split_flag(arg: &OsStr) -> (Option<&str>, Option<OsString>) {
    match arg.to_str() {
        Some(text) => match text.split_once('=') {
            Some((flag, value)) => (Some(flag), Some(value.into())),
            None => (Some(text), None),
        },
        None => (None, None),
    }
}

/// The job that a hook is called for, and what the call itself tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Name of the job. Bytes that are no text are replaced.
    pub job: String,
    pub instance: Option<String>,
    pub supervisor: &'static dyn Supervise,
    /// The supervisor's own announcement of the stop.
    pub planned: Option<Evidence>,
    /// Job and instance as they were given.
    raw: (OsString, Option<OsString>),
}

impl Call {
    /// Reads the job that this hook is called for.
    ///
    /// # Errors
    /// Returns an error if neither the flags nor the supervisor name the job.
    pub fn read(args: &HookArgs) -> Result<Self> {
        let input = args.input();
        let supervisor = args
            .supervisor
            .unwrap_or_else(|| supervisor::caller(&input));
        let (own_job, own_instance) = supervisor.called_for(&input);
        let job = args.job.clone().or(own_job);
        let job =
            job.context("no job: neither --job NAME is given nor has Upstart set UPSTART_JOB")?;
        // systemd's `%n` names both.
        let service = job.to_str().filter(|_| args.instance.is_none());
        let (job, part) = match service.map(|service| supervisor.split(service)) {
            Some((name, part)) => (name.into(), part.map(OsString::from)),
            None => (job.clone(), None),
        };
        let instance = args
            .instance
            .clone()
            .or(part)
            .or(own_instance)
            .filter(|it| !it.is_empty());
        Ok(Self {
            job: job.to_string_lossy().into_owned(),
            instance: instance
                .as_ref()
                .map(|instance| instance.to_string_lossy().into_owned()),
            supervisor,
            planned: supervisor.announcement().and_then(announcement),
            raw: (job, instance),
        })
    }

    /// Makes the call anew, from what it left behind.
    pub fn recall(job: String, instance: Option<String>, circumstances: Circumstances) -> Self {
        let variable = circumstances.supervisor.announcement();
        let planned = variable
            .filter(|_| circumstances.announced)
            .map(|name| announcement(name).unwrap_or_else(|| evidence(name, "…".as_ref())));
        Self {
            raw: (OsString::from(&job), instance.as_ref().map(OsString::from)),
            job,
            instance,
            supervisor: circumstances.supervisor,
            planned,
        }
    }

    /// Makes the call for a service about which a listener was told.
    pub fn told(supervisor: &'static dyn Supervise, (job, instance): (&str, Option<&str>)) -> Self {
        Self {
            job: job.to_owned(),
            instance: instance.map(str::to_owned),
            supervisor,
            planned: None,
            raw: (job.into(), instance.map(OsString::from)),
        }
    }

    /// Returns what the call tells and the marker does not.
    pub fn circumstances(&self, missed: bool) -> Circumstances {
        Circumstances {
            supervisor: self.supervisor,
            announced: self.planned.is_some(),
            missed,
            alive: false,
        }
    }

    /// Returns the supervisor's own announcement, as a variable for the worker.
    pub fn announcement(&self) -> Option<(&'static str, OsString)> {
        let name = self.supervisor.announcement()?;
        self.planned.as_ref()?;
        Some((name, env::var_os(name)?))
    }

    /// Returns the marker of this job's instance.
    pub fn marker(&self, places: &Places) -> MarkerFile {
        let (job, instance) = &self.raw;
        MarkerFile::new(places.markers(), job, instance.as_deref())
    }
}

/// Reads the supervisor's announcement of a stop.
fn announcement(variable: &str) -> Option<Evidence> {
    let value = env::var_os(variable).filter(|value| !value.is_empty())?;
    Some(evidence(variable, &value))
}

/// Maximum length of an announcement as evidence, in bytes.
const MAX_ANNOUNCEMENT: usize = 1024;

fn evidence(variable: &str, value: &OsStr) -> Evidence {
    let mut text = format!("{variable}={}", value.to_string_lossy());
    text.truncate(text.floor_char_boundary(MAX_ANNOUNCEMENT));
    Evidence {
        source: "environment of the hook".into(),
        line: None,
        text,
    }
}
