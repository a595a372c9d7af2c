//! Upstart, as the rest of the program asks it.

use std::ffi::OsString;
use std::path::PathBuf;
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
use crate::supervisor::ask::{ask, ask_within};
use crate::supervisor::caller::Caller;
use crate::supervisor::check::Check;
use crate::supervisor::doctor::Observed;
use crate::supervisor::plan::Plan;
use crate::supervisor::services;
use crate::supervisor::supervise::{Allowed, Described, HookInput, MarkerUse, Subject, Traces};
use crate::supervisor::upstart::stanzas::Stanzas;
use crate::supervisor::upstart::{self, condition, described, doctor, jobs, setup};

const INITCTL: [&str; 2] = ["/sbin/initctl", "/usr/sbin/initctl"];
/// Maximum time for init's answer to pre-stop, for which the stop waits.
const MOMENT: Duration = Duration::from_millis(300);

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

    /// Asks for the goal: `restart` has set it to `start` again before pre-stop runs. From inside a
    /// job `initctl status` needs no arguments, but the variables that name the instance.
    fn keeps_the_process(&self, input: &HookInput, host: &Host) -> bool {
        let named = ["UPSTART_JOB", "UPSTART_INSTANCE"].map(|name| (input.variable)(name));
        let [Some(job), Some(instance)] = &named else {
            return false;
        };
        let env = [
            ("UPSTART_JOB", job.as_os_str()),
            ("UPSTART_INSTANCE", instance.as_os_str()),
        ];
        let answer = ask_within(MOMENT, host, &INITCTL, &["status"], &env);
        let text = |name: &OsString| name.to_string_lossy().into_owned();
        let instance = Some(text(instance)).filter(|instance| !instance.is_empty());
        answer.is_some_and(|answer| {
            condition::is_start_in_pre_stop(&answer.text, &text(job), instance.as_deref())
        })
    }

    fn account_from(&self, traces: &Traces) -> Account {
        let stanzas = Stanzas::of(traces.job, traces.host);
        let command = stanzas.as_ref().and_then(Stanzas::command);
        let (job, instance, since) = (traces.job, traces.instance, traces.plan_since);
        let account = |records| upstart::account(job, instance, records, since, command);
        traces.kernel_log.map(account).unwrap_or_default()
    }

    /// Returns true if the job has a post-start process. While one runs, `stop` kills the main
    /// process without running pre-stop, and init logs the same line as for a kill from outside.
    fn stops_silently(&self, job: &str, host: &Host) -> bool {
        Stanzas::of(job, host).is_some_and(|stanzas| stanzas.post_start.is_some())
    }

    fn allows(&self, job: &str, _: Option<&str>, host: &Host) -> Allowed {
        let stanzas = Stanzas::of(job, host).unwrap_or_default();
        Allowed {
            stop_time: stanzas.kill_timeout,
            // After any other exit init respawns the job and says so.
            is_silence_normal: stanzas.respawns && !stanzas.normal_exits.is_empty(),
            exits: stanzas.allowed_exits(),
        }
    }

    /// Adds the log that Upstart keeps, and the program that it runs.
    fn add_collectors(&self, to: &mut Collect, stop: &Stop, _: Option<&Account>, host: &Host) {
        to.log
            .push(Log::new(described::log(stop.instance.is_some())));
        let program = Stanzas::of(&stop.job, host).and_then(|stanzas| stanzas.program());
        to.program = program.map(|path| Program { path });
    }

    fn condition(&self, stop: &Stop, now: Now, host: &Host) -> Option<Condition> {
        let Some(answer) = ask(host, &INITCTL, &["list"]) else {
            return Some(Condition::Unknown);
        };
        let stanzas = Stanzas::of(&stop.job, host).unwrap_or_default();
        // The kernel log's clock may be off by seconds.
        let ago = now.wall.since(stop.stopped_at) + Duration::from_secs(5);
        let since = now.monotonic.saturating_sub(ago).as_micros();
        let log = kmsg::read_kernel_log(host, u64::try_from(since).unwrap_or(u64::MAX));
        let log = log.map(|log| log.records).unwrap_or_default();
        condition::read(
            &answer.text,
            &stop.job,
            stop.instance.as_deref(),
            &stanzas,
            &log,
        )
    }

    fn file_of(&self, job: &str, host: &Host) -> Option<PathBuf> {
        services::first_there([format!("/etc/init/{job}.conf")], host)
    }

    fn services(&self, host: &Host) -> Vec<String> {
        jobs::all(host)
    }

    fn wired(&self, host: &Host) -> Vec<String> {
        jobs::wired(host)
    }

    fn described(&self, job: &str, host: &Host) -> Described {
        let stanzas = Stanzas::of(job, host);
        stanzas.map(described::described).unwrap_or_default()
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
