//! runit, as the rest of the program asks it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::clock::Now;
use crate::host::Host;
use crate::report::{Condition, Stop};
use crate::supervisor::Supervise;
use crate::supervisor::account::Account;
use crate::supervisor::caller::Caller;
use crate::supervisor::check::Check;
use crate::supervisor::doctor::Observed;
use crate::supervisor::plan::Plan;
use crate::supervisor::runit::{self, doctor, setup};
use crate::supervisor::service_dir;
use crate::supervisor::supervise::{Described, HookInput, Subject};

/// Directories in which services are kept.
const DIRS: [&str; 4] = ["/etc/sv", "/etc/service", "/var/service", "/service"];

/// runit counts no leap seconds: its TAI is as far ahead of Unix time as in 1972.
const AHEAD: u64 = 10;

pub struct Runit;

impl Supervise for Runit {
    fn name(&self) -> &'static str {
        "runit"
    }

    fn letter(&self) -> &'static str {
        "r"
    }

    fn called_for(&self, input: &HookInput) -> (Option<OsString>, Option<OsString>) {
        (service_dir::name(input), None)
    }

    fn becomes_the_service(&self) -> bool {
        true
    }

    fn is_once(&self, _: &HookInput) -> bool {
        runit::wanted_up(&service_dir::status()) == Some(false)
    }

    fn account(&self, input: &HookInput, host: &Host) -> Option<Account> {
        let status = service_dir::status();
        let stat = service_dir::read(Path::new("supervise/stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        let account = runit::account(input.args, &status, &stat, service_dir::restarts_tell())?;
        Some(Account {
            logs: service_dir::own_logs(input, host),
            directory: service_dir::here(input, host),
            ..account
        })
    }

    fn condition(&self, stop: &Stop, _: Now, host: &Host) -> Option<Condition> {
        let status = service_dir::status_of(stop, self, host);
        let says = (runit::is_up(&status.bytes), runit::wanted_up(&status.bytes));
        let stamp = service_dir::stamp(&status.bytes, AHEAD);
        Some(service_dir::condition(
            &status,
            says,
            (stamp, stamp),
            self.name(),
        ))
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

    fn described(&self, service: &str, host: &Host) -> Described {
        let log = format!("/var/log/{service}/current");
        let has_log = self.knows(service, host) && host.path(&log).exists();
        Described {
            logs: has_log.then_some(log).into_iter().collect(),
            ..Described::default()
        }
    }

    fn setup(&self, service: &str, host: &Host, caller: &Caller) -> Plan {
        setup::plan(self, service, host, caller)
    }

    fn examine(&self, subject: &Subject, checks: &mut Vec<Check>) -> Observed {
        doctor::check(subject, checks)
    }

    fn restart(&self, service: &str, host: &Host) -> Option<String> {
        let run = self.file_of(service, host)?;
        Some(format!("sv restart {}", run.parent()?.display()))
    }
}
