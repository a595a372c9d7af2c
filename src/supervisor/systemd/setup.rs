//! systemd: a drop-in beside the unit, and the units that deliver.

use crate::host::Host;
use crate::supervisor::caller::Caller;
use crate::supervisor::plan::{ByHand, Draft, Plan};
use crate::supervisor::systemd::files::{self, Filed, template, unit};
use crate::supervisor::{Supervise, called, services};

const DROP_IN: &str = include_str!("../../../config/systemd/lastwords.conf");

/// The units that deliver, by their file names.
const UNITS: [(&str, &str); 4] = [
    (
        "lastwords.service",
        include_str!("../../../config/systemd/lastwords.service"),
    ),
    (
        "lastwords.path",
        include_str!("../../../config/systemd/lastwords.path"),
    ),
    (
        "lastwords.timer",
        include_str!("../../../config/systemd/lastwords.timer"),
    ),
    (
        "lastwords@.service",
        include_str!("../../../config/systemd/lastwords@.service"),
    ),
];

pub fn plan(by: &dyn Supervise, job: &str, host: &Host, caller: &Caller) -> Plan {
    let file = by.file_of(job, host);
    // A drop-in of the template is for all its instances.
    let is_of_template = |file: &std::path::PathBuf| file.ends_with(template(job));
    let is_instance = job.contains('@') && file.as_ref().is_none_or(is_of_template);
    let of = if is_instance {
        template(job)
    } else {
        unit(job)
    };
    let mut plan = Plan {
        found: services::found(by, job, host),
        ..Plan::default()
    };
    drop_in(&mut plan, host, &of, &caller.fill(DROP_IN, job));
    for (name, text) in UNITS {
        let name = format!("/etc/systemd/system/{name}");
        let text = caller.fill(text, job);
        plan.files.push(Draft::ours(&name, host.path(&name), text));
    }
    plan.activate = vec![
        "systemctl daemon-reload".to_owned(),
        "systemctl enable --now lastwords.path lastwords.timer".to_owned(),
    ];
    let of = if is_instance { "its instances" } else { &of };
    plan.better = vec![format!(
        "{of} need not be started anew: what runs now is caught, too. Uptime unknown until the \
         next start: the service was already running when lastwords was set up."
    )];
    plan
}

/// Plans `lastwords.conf`, unless the unit calls us as it is.
fn drop_in(plan: &mut Plan, host: &Host, unit: &str, text: &str) {
    let calls = |it: &Filed| it.emptied_by.is_none() && called(&it.command, "post-stop").is_some();
    let commands = files::commands(&files::files(unit, host), "ExecStopPost", host);
    let name = format!("/etc/systemd/system/{unit}.d/lastwords.conf");
    if let Some(ours) = commands.into_iter().find(calls) {
        plan.already.push(ours.file.display().to_string());
    } else if host.path(&name).symlink_metadata().is_ok() {
        let why = "it is there, and systemd does not call lastwords by it: this is what it should say, after all others";
        plan.by_hand.push(ByHand {
            file: name.into(),
            why: why.to_owned(),
            text: text.to_owned(),
        });
    } else {
        let draft = Draft::ours(&name, host.path(&name), text.to_owned());
        plan.files.push(draft);
    }
}
