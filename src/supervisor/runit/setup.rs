//! runit: `finish`, and `control/t`, by which a planned stop is known; see runsv(8).

use crate::host::Host;
use crate::supervisor::caller::Caller;
use crate::supervisor::plan::Plan;
use crate::supervisor::service_dir::setup::{
    WATCH, add_executable, add_script, directory, start_call,
};
use crate::supervisor::{Supervise, called, services};

const FINISH: &str = include_str!("../../../config/runit/finish");
const CONTROL_T: &str = include_str!("../../../config/runit/control/t");
/// For a service that has a `control/t` of its own.
const CONTROL_D: &str = include_str!("../../../config/runit/control/d");
const CONTROL_X: &str = include_str!("../../../config/runit/control/x");

pub fn plan(by: &dyn Supervise, job: &str, host: &Host, caller: &Caller) -> Plan {
    let dir = directory(by, job, host, caller, "/etc/sv");
    let mut plan = Plan {
        found: services::found(by, job, host),
        ..Plan::default()
    };
    let control = host.read(format!("{dir}/control/t"));
    let has_control = control.is_ok_and(|script| called(&script, "pre-stop").is_none());
    let scripts = if has_control {
        vec![
            ("finish", FINISH),
            ("control/d", CONTROL_D),
            ("control/x", CONTROL_X),
        ]
    } else {
        vec![("finish", FINISH), ("control/t", CONTROL_T)]
    };
    for (name, text) in scripts {
        let name = format!("{dir}/{name}");
        add_script(&mut plan, host, &name, &caller.fill(text, job));
    }
    let deliverer = "/etc/sv/lastwords/run";
    add_executable(&mut plan, host, deliverer, &caller.fill(WATCH, job));
    let scanned = ["/etc/service", "/var/service", "/service"];
    let scanned = scanned
        .into_iter()
        .find(|dir| host.path(dir).is_dir())
        .unwrap_or("/etc/service");
    if !host.path(scanned).join("lastwords").exists() {
        plan.activate = vec![format!(
            "ln -sfn /etc/sv/lastwords {scanned}/lastwords     # starts the deliverer, which tries again"
        )];
    }
    plan.better.extend(start_call(by, &dir, job, host, caller));
    plan
}
