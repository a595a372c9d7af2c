//! s6, as the rest of the program asks it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Now;
use crate::host::Host;
use crate::report::{Condition, Stop};
use crate::supervisor::Supervise;
use crate::supervisor::account::Account;
use crate::supervisor::caller::Caller;
use crate::supervisor::check::Check;
use crate::supervisor::doctor::Observed;
use crate::supervisor::plan::Plan;
use crate::supervisor::s6::{self, doctor, setup};
use crate::supervisor::service_dir;
use crate::supervisor::services;
use crate::supervisor::supervise::{Allowed, HookInput, Subject};

/// Directories in which services are kept. The last one holds copies of the others' services and is
/// gone after a reboot.
const DIRS: [&str; 5] = [
    "/etc/s6",
    "/etc/s6/sv",
    "/etc/s6-overlay/s6-rc.d",
    "/etc/services.d",
    "/run/service",
];

/// s6 counts leap seconds: there were 27 from 1972 to 2017, and none since.
const AHEAD: u64 = 37;

pub struct S6;

impl Supervise for S6 {
    fn name(&self) -> &'static str {
        "s6"
    }

    fn letter(&self) -> &'static str {
        "x"
    }

    fn called_for(&self, input: &HookInput) -> (Option<OsString>, Option<OsString>) {
        (service_dir::name(input), None)
    }

    fn becomes_the_service(&self) -> bool {
        true
    }

    fn is_once(&self, _: &HookInput) -> bool {
        s6::wanted_up(&service_dir::status()) == Some(false)
    }

    fn account(&self, input: &HookInput, host: &Host) -> Option<Account> {
        let timeout = service_dir::read(Path::new("timeout-kill")).unwrap_or_default();
        let kills_after_ms = s6::kills_after_ms(&String::from_utf8_lossy(&timeout));
        let account = s6::account(input.args, &service_dir::status(), kills_after_ms)?;
        Some(Account {
            logs: service_dir::own_logs(input, host),
            directory: service_dir::here(input, host),
            ..account
        })
    }

    fn allows(&self, job: &str, _: Option<&str>, host: &Host) -> Allowed {
        let run = services::check_name(job)
            .ok()
            .and_then(|()| self.file_of(job, host));
        let file = run.map(|run| run.with_file_name("timeout-kill"));
        let millis = file.and_then(|file| s6::kills_after_ms(&host.read(file).ok()?));
        Allowed {
            stop_time: millis.map(Duration::from_millis),
            ..Allowed::default()
        }
    }

    fn condition(&self, stop: &Stop, _: Now, host: &Host) -> Option<Condition> {
        let status = service_dir::status_of(stop, self, host);
        let says = (s6::is_up(&status.bytes), s6::wanted_up(&status.bytes));
        let stamp = service_dir::stamp(&status.bytes, AHEAD);
        let finished = (status.bytes.get(12..)).and_then(|it| service_dir::stamp(it, AHEAD));
        let stamps = (stamp, stamp.max(finished));
        Some(service_dir::condition(&status, says, stamps, self.name()))
    }

    fn file_of(&self, service: &str, host: &Host) -> Option<PathBuf> {
        service_dir::run_script(&DIRS, service, host)
    }

    fn services(&self, host: &Host) -> Vec<String> {
        service_dir::all(&DIRS, host)
    }

    fn wired(&self, host: &Host) -> Vec<String> {
        service_dir::wired(&DIRS, host)
    }

    fn setup(&self, service: &str, host: &Host, caller: &Caller) -> Plan {
        setup::plan(self, service, host, caller)
    }

    fn examine(&self, subject: &Subject, checks: &mut Vec<Check>) -> Observed {
        doctor::check(subject, checks)
    }

    /// s6 sends a restart as it sends any TERM, so the stop is announced first.
    fn restart(&self, service: &str, host: &Host) -> Option<String> {
        let dir = doctor::live(service, self.file_of(service, host)?.parent()?, host);
        let dir = dir.display();
        Some(format!(
            "lastwords pre-stop --supervisor s6 --job {service} && s6-svc -r {dir}"
        ))
    }

    /// A restart only sends a signal, which starts nothing.
    fn start(&self, service: &str, host: &Host) -> Option<String> {
        let dir = doctor::live(service, self.file_of(service, host)?.parent()?, host);
        Some(format!("s6-svc -u {}", dir.display()))
    }
}
