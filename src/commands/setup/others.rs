//! The supervisors other than Upstart: one small function each, which says what text goes where.

use super::plan::{ByHand, Draft, Plan};
use super::text::{Caller, quoted};
use super::texts;
use crate::commands::services::{self, template, unit};
use crate::host::Host;
use crate::report::Supervisor;

/// A drop-in beside the unit, and the units that deliver.
pub fn systemd(job: &str, host: &Host, caller: &Caller) -> Plan {
    let file = services::file_of(Supervisor::Systemd, job, host);
    // A drop-in of the template is for all its instances.
    let is_instance = job.contains('@') && file.as_ref().is_none_or(|file| file.ends_with(template(job)));
    let of = if is_instance { template(job) } else { unit(job) };
    let units = "/etc/systemd/system";
    let mut plan = Plan { found: found(Supervisor::Systemd, job, host), ..Plan::default() };
    for (name, text) in [
        (format!("{units}/{of}.d/lastwords.conf"), texts::SYSTEMD_DROP_IN),
        (format!("{units}/lastwords.service"), texts::SYSTEMD_SERVICE),
        (format!("{units}/lastwords.path"), texts::SYSTEMD_PATH),
        (format!("{units}/lastwords.timer"), texts::SYSTEMD_TIMER),
        (format!("{units}/lastwords@.service"), texts::SYSTEMD_ON_FAILURE),
    ] {
        plan.files.push(Draft::new(&name, host.path(&name), caller.fill(text, job)));
    }
    plan.activate = vec![
        "systemctl daemon-reload".to_owned(),
        "systemctl enable --now lastwords.path lastwords.timer".to_owned(),
        format!("systemctl restart {of}     # not at once: what runs now is caught, too, but not since when it runs"),
    ];
    if is_instance {
        plan.activate.truncate(2);
    }
    plan
}

/// `finish`, and `control/t`, by which a planned stop is known; see runsv(8).
pub fn runit(job: &str, host: &Host, caller: &Caller) -> Plan {
    let dir = directory(Supervisor::Runit, job, host, "/etc/sv");
    let mut plan = Plan { found: found(Supervisor::Runit, job, host), ..Plan::default() };
    let mut own =
        |name: &str, text: &str| own_script(&mut plan, host, &format!("{dir}/{name}"), &caller.fill(text, job));
    own("finish", texts::RUNIT_FINISH);
    let control = host.read(format!("{dir}/control/t"));
    if control.is_ok_and(|there| !there.contains("lastwords pre-stop")) {
        own("control/d", texts::RUNIT_CONTROL_D);
        own("control/x", texts::RUNIT_CONTROL_X);
    } else {
        own("control/t", texts::RUNIT_CONTROL_T);
    }
    executable(&mut plan, host, "/etc/sv/lastwords/run", &caller.fill(texts::WATCH, job));
    plan.activate = vec![
        "ln -s /etc/sv/lastwords /etc/service/     # keeps trying what could not be sent at once".to_owned(),
        since_when(&dir, "runit", job, caller),
    ];
    plan
}

/// `finish`; that a stop was planned, s6 itself tells.
pub fn s6(job: &str, host: &Host, caller: &Caller) -> Plan {
    let dir = directory(Supervisor::S6, job, host, "/etc/s6");
    let mut plan = Plan { found: found(Supervisor::S6, job, host), ..Plan::default() };
    own_script(&mut plan, host, &format!("{dir}/finish"), &caller.fill(texts::S6_FINISH, job));
    let beside = dir.rsplit_once('/').map_or("/etc/s6", |(parent, _)| parent);
    executable(&mut plan, host, &format!("{beside}/lastwords/run"), &caller.fill(texts::WATCH, job));
    plan.activate =
        vec![format!("s6-svscanctl -a {beside}     # starts the deliverer"), since_when(&dir, "s6", job, caller)];
    plan
}

/// One listener for all programs.
pub fn supervisord(job: &str, host: &Host, caller: &Caller) -> Plan {
    let mut plan = Plan { found: found(Supervisor::Supervisord, job, host), ..Plan::default() };
    let name = "/etc/supervisor/conf.d/lastwords.conf";
    let text = caller.fill(&[texts::SUPERVISORD, texts::SUPERVISORD_DELIVERER].concat(), job);
    plan.files.push(Draft::new(name, host.path(name), text));
    plan.activate = vec!["supervisorctl update     # the listener hears of all programs".to_owned()];
    plan
}

/// `lastwords run` in front of the command, whoever starts it.
pub fn run(job: &str, host: &Host, caller: &Caller) -> Plan {
    let by_hand = ByHand {
        file: "where it is started".into(),
        why: "put lastwords in front of the command".to_owned(),
        text: format!("{} --job {} -- COMMAND…", caller.call("run"), quoted(job)),
    };
    let name = "/etc/cron.d/lastwords";
    Plan {
        found: format!("Whoever starts {job}: lastwords stands in front of the command, and sees how it ends."),
        files: vec![Draft::new(name, host.path(name), caller.fill(texts::CRON, job))],
        by_hand: vec![by_hand],
        ..Plan::default()
    }
}

fn since_when(dir: &str, supervisor: &str, job: &str, caller: &Caller) -> String {
    let call = caller.call("pre-start");
    format!(
        "in {dir}/run, before its `exec`, so that the report says since when it ran:\n    \
         {call} --supervisor {supervisor} --job {}",
        quoted(job)
    )
}

fn directory(supervisor: Supervisor, job: &str, host: &Host, usual: &str) -> String {
    let run = services::file_of(supervisor, job, host);
    let dir = run.as_ref().and_then(|run| run.parent()).map(|dir| dir.display().to_string());
    dir.unwrap_or_else(|| format!("{usual}/{job}"))
}

fn found(supervisor: Supervisor, job: &str, host: &Host) -> String {
    match services::file_of(supervisor, job, host) {
        Some(file) => format!("{supervisor} runs {job} from {}, which stays as it is.", file.display()),
        None => format!("{supervisor} knows no {job} in the usual places."),
    }
}

/// A script of the service that it may have already.
fn own_script(plan: &mut Plan, host: &Host, name: &str, text: &str) {
    match host.read(name) {
        Ok(there) if there.contains("lastwords p") => plan.already.push(name.to_owned()),
        Ok(_) => {
            let call = text.lines().find(|line| line.contains(" --job ")).unwrap_or_default();
            plan.by_hand.push(ByHand {
                file: name.into(),
                why: "it is there: call lastwords from inside it, as its first command".to_owned(),
                text: format!("{} || true", call.strip_prefix("exec ").unwrap_or(call)),
            });
        }
        Err(_) => executable(plan, host, name, text),
    }
}

fn executable(plan: &mut Plan, host: &Host, name: &str, text: &str) {
    plan.files.push(Draft { mode: 0o755, ..Draft::new(name, host.path(name), text.to_owned()) });
}
