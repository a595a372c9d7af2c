//! s6: `finish`. That a stop was planned s6 itself tells.

use crate::host::Host;
use crate::supervisor::caller::Caller;
use crate::supervisor::plan::Plan;
use crate::supervisor::service_dir::setup::{
    WATCH, add_executable, add_script, directory, start_call,
};
use crate::supervisor::{Supervise, services};

const FINISH: &str = include_str!("../../../config/s6/finish");

pub fn plan(by: &dyn Supervise, job: &str, host: &Host, caller: &Caller) -> Plan {
    let dir = directory(by, job, host, caller, "/etc/s6");
    let mut plan = Plan {
        found: services::found(by, job, host),
        ..Plan::default()
    };
    let finish = format!("{dir}/finish");
    add_script(&mut plan, host, &finish, &caller.fill(FINISH, job));
    let parent = dir.rsplit_once('/').map_or("/etc/s6", |(parent, _)| parent);
    let deliverer = format!("{parent}/lastwords/run");
    add_executable(&mut plan, host, &deliverer, &caller.fill(WATCH, job));
    let is_scanned = |dir: &&str| host.path(dir).join(".s6-svscan").exists();
    let scanned = [parent, "/run/service", "/service"]
        .into_iter()
        .find(is_scanned)
        .unwrap_or(parent);
    if scanned != parent {
        plan.activate
            .push(format!("ln -sfn {parent}/lastwords {scanned}/lastwords"));
    }
    plan.activate.push(format!(
        "s6-svscanctl -a {scanned}     # starts the deliverer, which tries again"
    ));
    if parent == "/run/service" {
        let text = "/run/service is made anew at each boot: let the directory that it is made from have the same";
        plan.better.push(text.to_owned());
    }
    plan.better.extend(start_call(by, &dir, job, host, caller));
    plan
}
