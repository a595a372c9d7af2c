//! Upstart, as the rest of the program asks it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Now;
use crate::collectors::Collect;
use crate::collectors::log::Log;
use crate::collectors::program::Program;
use crate::host::Host;
use crate::kmsg;
use crate::report::{Condition, Stop};
use crate::supervisor::Supervise;
use crate::supervisor::account::Account;
use crate::supervisor::ask::ask;
use crate::supervisor::caller::Caller;
use crate::supervisor::check::Check;
use crate::supervisor::doctor::Observed;
use crate::supervisor::plan::Plan;
use crate::supervisor::services;
use crate::supervisor::supervise::{Described, HookInput, MarkerUse, Subject, Traces};
use crate::supervisor::upstart::{self, condition, described, doctor, setup};

const INITCTL: [&str; 2] = ["/sbin/initctl", "/usr/sbin/initctl"];

pub struct Upstart;

impl Supervise for Upstart {
    fn name(&self) -> &'static str {
        "upstart"
    }

    fn letter(&self) -> &'static str {
        "u"
    }

    fn is_caller(&self, input: &HookInput) -> bool {
        (input.variable)("UPSTART_JOB").is_some()
    }

    fn called_for(&self, input: &HookInput) -> (Option<OsString>, Option<OsString>) {
        let read = input.variable;
        (read("UPSTART_JOB"), read("UPSTART_INSTANCE"))
    }

    fn announcement(&self) -> Option<&'static str> {
        Some("UPSTART_STOP_EVENTS")
    }

    fn account_from(&self, traces: &Traces) -> Account {
        let account =
            |records| upstart::account(traces.job, traces.instance, records, traces.plan_since);
        traces.kernel_log.map(account).unwrap_or_default()
    }

    fn stops_silently(&self, job: &str, host: &Host) -> bool {
        let mut confs = confs(job, host).into_iter();
        confs.any(|conf| upstart::has_post_start(&conf))
    }

    /// Adds the log that Upstart keeps, and the program that it runs.
    fn add_collectors(&self, to: &mut Collect, stop: &Stop, _: Option<&Account>, host: &Host) {
        to.log
            .push(Log::new(described::log(stop.instance.is_some())));
        let confs = confs(&stop.job, host);
        let path = confs.iter().rev().find_map(|conf| upstart::program(conf));
        to.program = path.map(|path| Program {
            path: path.to_owned(),
        });
    }

    fn condition(&self, stop: &Stop, now: Now, host: &Host) -> Option<Condition> {
        let Some(answer) = ask(host, &INITCTL, &["list"]) else {
            return Some(Condition::Unknown);
        };
        let respawns = confs(&stop.job, host)
            .iter()
            .any(|conf| upstart::respawns(conf));
        // The kernel log's clock may be off by seconds.
        let ago = now.wall.since(stop.stopped_at) + Duration::from_secs(5);
        let since = now.monotonic.saturating_sub(ago).as_micros();
        let log = kmsg::read_kernel_log(host, u64::try_from(since).unwrap_or(u64::MAX));
        let log = log.map(|log| log.records).unwrap_or_default();
        condition::read(
            &answer.text,
            &stop.job,
            stop.instance.as_deref(),
            respawns,
            &log,
        )
    }

    fn file_of(&self, job: &str, host: &Host) -> Option<PathBuf> {
        services::first_there([format!("/etc/init/{job}.conf")], host)
    }

    fn wired(&self, host: &Host) -> Vec<String> {
        let dir = "/etc/init";
        let calls = |name: &String| services::calls_us(&Path::new(dir).join(name), host);
        let job = |name: String| {
            let job = name
                .strip_suffix(".override")
                .or(name.strip_suffix(".conf"))?;
            Some(job.to_owned())
        };
        let names = services::names(dir, host).into_iter();
        names.filter(calls).filter_map(job).collect()
    }

    fn described(&self, job: &str, host: &Host) -> Described {
        let read = |ending| host.read(format!("/etc/init/{job}.{ending}"));
        read("conf").map_or_else(
            |_| Described::default(),
            |conf| described::described(&conf, &read("override").unwrap_or_default()),
        )
    }

    fn setup(&self, job: &str, host: &Host, caller: &Caller) -> Plan {
        setup::plan(job, host, caller)
    }

    fn examine(&self, subject: &Subject, checks: &mut Vec<Check>) -> Observed {
        doctor::check(subject, checks)
    }

    fn marker_use(&self) -> MarkerUse {
        MarkerUse::Catching
    }

    fn start_deliverer(&self, _: &str, _: bool) -> String {
        "start lastwords (its job: `lastwords setup JOB`)".to_owned()
    }
}

/// Reads a job's stanzas, and then those that override them.
fn confs(job: &str, host: &Host) -> Vec<String> {
    // A job's name is a path below /etc/init. One that leads out of there names no job.
    let stays = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !job.split('/').all(stays) {
        return Vec::new();
    }
    ["conf", "override"]
        .iter()
        .filter_map(|ending| host.read(format!("/etc/init/{job}.{ending}")).ok())
        .collect()
}
