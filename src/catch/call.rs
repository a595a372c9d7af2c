//! Reads for which job a hook is called, and what the call itself tells of a stop.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::catch::marker::{Circumstances, MarkerFile};
use crate::host::Host;
use crate::places::Places;
use crate::report::{Evidence, Supervisor};
use crate::supervisor::account::Account;
use crate::supervisor::{self, runit, s6, service_dir, systemd};

/// Upstart's announcement of a stop: all that the worker gets of the job's environment.
const ANNOUNCEMENT: &str = "UPSTART_STOP_EVENTS";

/// A hook's flags.
#[derive(Clone, Debug, Default, Args)]
pub struct HookArgs {
    /// The job; Upstart tells it by itself
    #[arg(long, value_name = "NAME")]
    pub job: Option<OsString>,
    /// The job's instance; Upstart tells it by itself
    #[arg(long, value_name = "NAME")]
    pub instance: Option<OsString>,
    /// The supervisor that calls: upstart, systemd, runit, s6 or supervisord; Upstart and systemd
    /// are recognised by their environment
    #[arg(long, value_name = "NAME", value_parser = Supervisor::named)]
    pub supervisor: Option<Supervisor>,
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
                    match Supervisor::named(&value.to_string_lossy()) {
                        Ok(supervisor) => parsed.supervisor = Some(supervisor),
                        Err(_) => unknown.extend([arg.clone(), value]),
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

/// Returns the supervisor that calls, as far as the environment shows it.
fn who_calls() -> Supervisor {
    let is_set = |name| env::var_os(name).is_some();
    if is_set("UPSTART_JOB") {
        Supervisor::Upstart
    } else if is_set("INVOCATION_ID") {
        Supervisor::Systemd
    } else {
        Supervisor::Unknown
    }
}

/// The job that a hook is called for, and what the call itself tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Name of the job. Bytes that are no text are replaced.
    pub job: String,
    pub instance: Option<String>,
    pub supervisor: Supervisor,
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
        let supervisor = args.supervisor.unwrap_or_else(who_calls);
        let on_upstart = supervisor == Supervisor::Upstart;
        let upstart = |name| env::var_os(name).filter(|_| on_upstart);
        let in_service_dir = matches!(supervisor, Supervisor::Runit | Supervisor::S6);
        let dirs_name = || {
            service_dir::name()
                .filter(|_| in_service_dir)
                .map(OsString::from)
        };
        let job = args
            .job
            .clone()
            .or_else(|| upstart("UPSTART_JOB"))
            .or_else(dirs_name);
        let job =
            job.context("no job: neither --job NAME is given nor has Upstart set UPSTART_JOB")?;
        // systemd's `%n` names both.
        let unit = job
            .to_str()
            .filter(|_| supervisor == Supervisor::Systemd && args.instance.is_none());
        let (job, part) = match unit.map(supervisor::systemd::service) {
            Some((name, part)) => (name.into(), part.map(OsString::from)),
            None => (job.clone(), None),
        };
        let instance = args
            .instance
            .clone()
            .or(part)
            .or_else(|| upstart("UPSTART_INSTANCE"))
            .filter(|it| !it.is_empty());
        Ok(Self {
            job: job.to_string_lossy().into_owned(),
            instance: instance
                .as_ref()
                .map(|instance| instance.to_string_lossy().into_owned()),
            supervisor,
            planned: env::var_os(ANNOUNCEMENT)
                .filter(|events| on_upstart && !events.is_empty())
                .map(|it| announcement(&it)),
            raw: (job, instance),
        })
    }

    /// Makes the call anew, from what it left behind.
    pub fn recall(job: String, instance: Option<String>, circumstances: Circumstances) -> Self {
        let announced = circumstances
            .announced
            .then(|| env::var_os(ANNOUNCEMENT).unwrap_or_else(|| "…".into()));
        Self {
            raw: (OsString::from(&job), instance.as_ref().map(OsString::from)),
            job,
            instance,
            supervisor: circumstances.supervisor,
            planned: announced.map(|events| announcement(&events)),
        }
    }

    /// Returns what this supervisor tells the hook itself about the end; `None` if it tells that
    /// elsewhere, or not at all.
    pub fn account(&self, args: &HookArgs, host: &Host) -> Option<Account> {
        let account = match self.supervisor {
            Supervisor::Runit => runit::account(
                &args.facts,
                &service_dir::status(),
                service_dir::restarts_tell(),
            ),
            Supervisor::S6 => s6::account(&args.facts, &service_dir::status()),
            Supervisor::Systemd => return systemd::ask::account(&args.facts),
            Supervisor::Upstart
            | Supervisor::Supervisord
            | Supervisor::Run
            | Supervisor::Unknown => None,
        }?;
        Some(Account {
            logs: service_dir::own_logs(host),
            ..account
        })
    }

    /// Makes the call for a process of supervisord's.
    pub fn of_supervisord((job, instance): (&str, Option<&str>)) -> Self {
        Self {
            job: job.to_owned(),
            instance: instance.map(str::to_owned),
            supervisor: Supervisor::Supervisord,
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
        self.planned
            .as_ref()
            .and_then(|_| env::var_os(ANNOUNCEMENT))
            .map(|events| (ANNOUNCEMENT, events))
    }

    /// Returns the marker of this job's instance.
    pub fn marker(&self, places: &Places) -> MarkerFile {
        let (job, instance) = &self.raw;
        MarkerFile::new(places.markers(), job, instance.as_deref())
    }
}

fn announcement(events: &OsStr) -> Evidence {
    Evidence {
        source: "environment of the hook".into(),
        line: None,
        text: format!("{ANNOUNCEMENT}={}", events.to_string_lossy()),
    }
}
