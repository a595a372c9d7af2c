//! systemd, as the rest of the program asks it.

use std::path::PathBuf;

use crate::clock::Now;
use crate::collectors::Collect;
use crate::collectors::journal::Journal;
use crate::collectors::program::Program;
use crate::host::Host;
use crate::report::{Condition, Stop};
use crate::supervisor::Supervise;
use crate::supervisor::account::Account;
use crate::supervisor::caller::Caller;
use crate::supervisor::check::Check;
use crate::supervisor::doctor::Observed;
use crate::supervisor::plan::Plan;
use crate::supervisor::services;
use crate::supervisor::supervise::{Allowed, HookInput, Subject, UnseenEnd};
use crate::supervisor::systemd::{
    self, allowed, ask, condition, doctor, files, setup, units, unseen, wired,
};

pub struct Systemd;

impl Supervise for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn letter(&self) -> &'static str {
        "s"
    }

    fn is_caller(&self, input: &HookInput) -> bool {
        (input.variable)("INVOCATION_ID").is_some()
    }

    fn split<'n>(&self, service: &'n str) -> (&'n str, Option<&'n str>) {
        systemd::service(service)
    }

    fn life_id(&self, input: &HookInput) -> Option<String> {
        ask::invocation(input)
    }

    fn account(&self, input: &HookInput, _: &Host) -> Option<Account> {
        ask::account(input)
    }

    fn ask(&self, input: &HookInput, host: &Host) -> Option<Account> {
        ask::ask(input, host).ok().flatten()
    }

    fn is_second_call(&self, input: &HookInput) -> bool {
        ask::is_on_failure(input)
    }

    fn tells_of_the_next_life(&self, input: &HookInput) -> bool {
        ask::is_of_the_next_life(input)
    }

    fn kills_leftovers(&self) -> bool {
        true
    }

    /// Adds the journal, unless the output goes to a file, and the program that systemd ran.
    fn add_collectors(&self, to: &mut Collect, _: &Stop, told: Option<&Account>, _: &Host) {
        let has_log = told.is_some_and(|told| !told.logs.is_empty());
        to.journal = (!has_log).then(Journal::default);
        let program = told.and_then(|told| told.program.clone());
        to.program = program.map(|path| Program { path });
    }

    fn allows(&self, job: &str, instance: Option<&str>, host: &Host) -> Allowed {
        let unit = unit_of(job, instance);
        if services::check_name(&unit).is_err() {
            return Allowed::default();
        }
        allowed::read(&files::files(&unit, host), host)
    }

    fn condition(&self, stop: &Stop, now: Now, host: &Host) -> Option<Condition> {
        let unit = unit_of(&stop.job, stop.instance.as_deref());
        let unit = units::show(&[&unit], &condition::PROPERTIES, host);
        match unit.as_deref() {
            Some([unit]) => condition::read(unit, &stop.exit, now),
            _ => Some(Condition::Unknown),
        }
    }

    fn unseen(&self, host: &Host) -> Vec<UnseenEnd> {
        unseen::ends(host)
    }

    fn file_of(&self, service: &str, host: &Host) -> Option<PathBuf> {
        let names = [files::unit(service), files::template(service)];
        let in_dir = |dir: &str| names.each_ref().map(|name| format!("{dir}/{name}"));
        services::first_there(files::UNITS.iter().copied().flat_map(in_dir), host)
    }

    fn services(&self, host: &Host) -> Vec<String> {
        let names = files::UNITS
            .iter()
            .flat_map(|dir| services::names(dir, host));
        let service = |name: String| name.strip_suffix(".service").map(str::to_owned);
        names.filter_map(service).collect()
    }

    fn current_life(&self, job: &str, instance: Option<&str>, host: &Host) -> Option<String> {
        let unit = unit_of(job, instance);
        let shown = units::show(&[&unit], &["InvocationID"], host)?;
        let id = shown.first()?.get("InvocationID").to_owned();
        Some(id).filter(|id| !id.is_empty())
    }

    /// Returns the instances of the template `name@.service`.
    fn services_of(&self, name: &str, host: &Host) -> Option<Vec<String>> {
        let template = format!("{name}@");
        let is_template = !name.contains('@') && self.file_of(&template, host).is_some();
        is_template.then(|| wired::instances(&template, host))
    }

    fn wired(&self, host: &Host) -> Vec<String> {
        wired::services(host)
    }

    fn setup(&self, service: &str, host: &Host, caller: &Caller) -> Plan {
        setup::plan(self, service, host, caller)
    }

    fn examine(&self, subject: &Subject, checks: &mut Vec<Check>) -> Observed {
        doctor::check(subject, checks)
    }

    fn restart(&self, service: &str, _: &Host) -> Option<String> {
        Some(format!("systemctl restart {}", files::unit(service)))
    }
}

/// Returns the unit of a job's instance.
fn unit_of(job: &str, instance: Option<&str>) -> String {
    match instance {
        Some(instance) => files::unit(&format!("{job}@{instance}")),
        None => files::unit(job),
    }
}
