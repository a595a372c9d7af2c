//! The supervisors other than Upstart: one small function each, which fills in a text.

use super::plan::{ByHand, Draft, Plan};
use super::text::{Caller, quoted};
use crate::commands::services::{Keeper, template, unit};
use crate::host::Host;

const DROP_IN: &str = "\
# Added by `lastwords setup`. The `+` runs the hook as root, the `-` keeps its exit code from the service.
[Service]
ExecStopPost=-+/usr/bin/lastwords post-stop --supervisor systemd --job %n
";
const DELIVER_SERVICE: &str = "\
[Unit]
Description=lastwords: send crash reports

[Service]
Type=oneshot
ExecStartPre=/usr/bin/lastwords setup
ExecStart=/usr/bin/lastwords deliver
";
const DELIVER_PATH: &str = "\
[Unit]
Description=lastwords: send crash reports as soon as there are any

[Path]
DirectoryNotEmpty=SPOOL/new

[Install]
WantedBy=paths.target
";
const DELIVER_TIMER: &str = "\
[Unit]
Description=lastwords: try again to send crash reports

[Timer]
OnBootSec=1min
OnUnitInactiveSec=1min

[Install]
WantedBy=timers.target
";
const FINISH: &str = "\
#!/bin/sh
exec /usr/bin/lastwords post-stop --supervisor KEEPER --job JOB -- \"$@\"
";
const CONTROL: &str = "\
#!/bin/sh
/usr/bin/lastwords pre-stop --supervisor runit --job JOB
# runsv goes on and sends the signal.
exit 1
";
const WATCH: &str = "\
#!/bin/sh
exec /usr/bin/lastwords deliver --watch
";
const LISTENER: &str = "\
[eventlistener:lastwords]
command=/usr/bin/lastwords listen supervisord
events=PROCESS_STATE_EXITED,PROCESS_STATE_FATAL,PROCESS_STATE_STOPPED
buffer_size=1000
";

pub fn systemd(job: &str, host: &Host, caller: &Caller, spool: &str) -> Plan {
    let file = Keeper::Systemd.file_of(job, host);
    // A drop-in of the template is for all its instances.
    let of = if job.contains('@') && file.as_ref().is_none_or(|file| file.ends_with(template(job))) {
        template(job)
    } else {
        unit(job)
    };
    let mut plan = Plan { found: found(Keeper::Systemd, job, host), ..Plan::default() };
    let units = "/etc/systemd/system";
    for (name, text) in [
        (format!("{units}/{of}.d/lastwords.conf"), DROP_IN),
        (format!("{units}/lastwords.service"), DELIVER_SERVICE),
        (format!("{units}/lastwords.path"), DELIVER_PATH),
        (format!("{units}/lastwords.timer"), DELIVER_TIMER),
    ] {
        let text = caller.fill(&text.replace("SPOOL", spool), job);
        plan.files.push(Draft::new(&name, host.path(&name), text));
    }
    plan.activate = vec![
        "systemctl daemon-reload     # the hook counts from the service's next end on".to_owned(),
        "systemctl enable --now lastwords.path lastwords.timer".to_owned(),
    ];
    plan
}

pub fn runit(job: &str, host: &Host, caller: &Caller) -> Plan {
    let dir = directory(Keeper::Runit, job, host, "/etc/sv");
    let mut plan = Plan { found: found(Keeper::Runit, job, host), ..Plan::default() };
    let finish = FINISH.replace("KEEPER", "runit");
    for (name, text) in [("finish", finish.as_str()), ("control/d", CONTROL), ("control/t", CONTROL)] {
        own_script(&mut plan, host, &format!("{dir}/{name}"), &caller.fill(text, &quoted(job)));
    }
    executable(&mut plan, host, "/etc/sv/lastwords/run", &caller.fill(WATCH, job));
    plan.activate =
        vec!["ln -s /etc/sv/lastwords /etc/service/     # keeps trying what could not be sent at once".to_owned()];
    plan
}

pub fn s6(job: &str, host: &Host, caller: &Caller) -> Plan {
    let dir = directory(Keeper::S6, job, host, "/etc/s6");
    let mut plan = Plan { found: found(Keeper::S6, job, host), ..Plan::default() };
    let finish = caller.fill(&FINISH.replace("KEEPER", "s6"), &quoted(job));
    own_script(&mut plan, host, &format!("{dir}/finish"), &finish);
    let beside = dir.rsplit_once('/').map_or("/etc/s6", |(parent, _)| parent);
    executable(&mut plan, host, &format!("{beside}/lastwords/run"), &caller.fill(WATCH, job));
    plan.activate = vec![format!("s6-svscanctl -a {beside}     # starts the deliverer beside it")];
    plan
}

pub fn supervisord(job: &str, host: &Host, caller: &Caller) -> Plan {
    let mut plan = Plan { found: found(Keeper::Supervisord, job, host), ..Plan::default() };
    let name = "/etc/supervisor/conf.d/lastwords.conf";
    let deliverer = "\n[program:lastwords-deliver]\ncommand=/usr/bin/lastwords deliver --watch\n";
    let text = caller.fill(&format!("{LISTENER}{deliverer}"), job);
    plan.files.push(Draft::new(name, host.path(name), text));
    plan.activate =
        vec!["supervisorctl reread && supervisorctl update     # the listener hears of all programs".to_owned()];
    plan
}

pub fn run(job: &str, host: &Host, caller: &Caller) -> Plan {
    let found = format!("Whatever starts {job}: the command with lastwords in front of it, which sees how it ends.");
    let call = format!("{} --job {} -- COMMAND…", caller.call("run"), quoted(job));
    let why = "put lastwords in front of the command".to_owned();
    let mut plan = Plan {
        found,
        by_hand: vec![ByHand { file: "the start of the service".into(), why, text: call }],
        ..Plan::default()
    };
    let deliverer = "/etc/cron.d/lastwords";
    let text =
        format!("# Tries again to send what could not be sent at once.\n* * * * * root {}\n", caller.call("deliver"));
    plan.files.push(Draft::new(deliverer, host.path(deliverer), text));
    plan
}

fn directory(keeper: Keeper, job: &str, host: &Host, usual: &str) -> String {
    let run = keeper.file_of(job, host);
    let dir = run.as_ref().and_then(|run| run.parent()).map(|dir| dir.display().to_string());
    dir.unwrap_or_else(|| format!("{usual}/{job}"))
}

fn found(keeper: Keeper, job: &str, host: &Host) -> String {
    match keeper.file_of(job, host) {
        Some(file) => format!("{} runs {job} from {}, which stays as it is.", keeper.name(), file.display()),
        None => format!("{} knows no {job} in the usual places.", keeper.name()),
    }
}

/// A script of the service that it may have already.
fn own_script(plan: &mut Plan, host: &Host, name: &str, text: &str) {
    let call = text.lines().find(|line| line.contains(" --job ")).unwrap_or_default();
    match host.read(name) {
        Ok(there) if there.contains("lastwords p") => plan.already.push(name.to_owned()),
        Ok(_) => plan.by_hand.push(ByHand {
            file: name.into(),
            why: "it is there: call lastwords from inside it, as its first command".to_owned(),
            text: format!("{} || true", call.strip_prefix("exec ").unwrap_or(call)),
        }),
        Err(_) => executable(plan, host, name, text),
    }
}

fn executable(plan: &mut Plan, host: &Host, name: &str, text: &str) {
    plan.files.push(Draft { mode: 0o755, ..Draft::new(name, host.path(name), text.to_owned()) });
}
