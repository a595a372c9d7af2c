//! No supervisor that lastwords knows: the job was named on the command line.

use crate::host::Host;
use crate::supervisor::Supervise;
use crate::supervisor::caller::Caller;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Observed, Running};
use crate::supervisor::plan::Plan;
use crate::supervisor::run::LastwordsRun;
use crate::supervisor::supervise::{MarkerUse, Subject};

pub struct NoSupervisor;

impl Supervise for NoSupervisor {
    fn name(&self) -> &'static str {
        "unknown"
    }

    fn letter(&self) -> &'static str {
        ""
    }

    fn knows(&self, _: &str, _: &Host) -> bool {
        true
    }

    fn setup(&self, service: &str, host: &Host, caller: &Caller) -> Plan {
        LastwordsRun.setup(service, host, caller)
    }

    fn examine(&self, subject: &Subject, checks: &mut Vec<Check>) -> Observed {
        let text = format!("nobody here is known to run {}", subject.service);
        let check = Check::unknown("hooks", Concerns::Catching, text);
        // A job that is to run by the clock is a command.
        let by = if subject.loaded.job.expect.is_some() {
            "run"
        } else {
            "upstart"
        };
        let remedy = format!("name its supervisor, as `--supervisor {by}`, or check the name");
        checks.push(check.with(remedy));
        Observed::of(Running::Unknown)
    }

    fn marker_use(&self) -> MarkerUse {
        MarkerUse::Catching
    }
}

impl Default for &'static dyn Supervise {
    fn default() -> Self {
        &NoSupervisor
    }
}
