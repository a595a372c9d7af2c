//! The supervisors other than Upstart: one small function each, which says what text goes where.

use crate::catch::listen;
use crate::host::Host;
use crate::report::Supervisor;
use crate::supervisor::caller::{Caller, quoted};
use crate::supervisor::plan::{ByHand, Draft, Plan};
use crate::supervisor::services::{self, template, unit};
use crate::supervisor::supervisord::files as supervisord;
use crate::supervisor::systemd::files as units;
use crate::supervisor::systemd::files::Filed;
use crate::supervisor::{called, texts};

/// A drop-in beside the unit, and the units that deliver.
pub fn systemd(job: &str, host: &Host, caller: &Caller) -> Plan {
    let file = services::file_of(Supervisor::Systemd, job, host);
    // A drop-in of the template is for all its instances.
    let is_instance = job.contains('@')
        && file
            .as_ref()
            .is_none_or(|file| file.ends_with(template(job)));
    let of = if is_instance {
        template(job)
    } else {
        unit(job)
    };
    let mut plan = Plan {
        found: found(Supervisor::Systemd, job, host),
        ..Plan::default()
    };
    drop_in(
        &mut plan,
        host,
        &of,
        &caller.fill(texts::SYSTEMD_DROP_IN, job),
    );
    for (name, text) in [
        ("lastwords.service", texts::SYSTEMD_SERVICE),
        ("lastwords.path", texts::SYSTEMD_PATH),
        ("lastwords.timer", texts::SYSTEMD_TIMER),
        ("lastwords@.service", texts::SYSTEMD_ON_FAILURE),
    ] {
        let name = format!("/etc/systemd/system/{name}");
        plan.files
            .push(Draft::new(&name, host.path(&name), caller.fill(text, job)));
    }
    plan.activate = vec![
        "systemctl daemon-reload".to_owned(),
        "systemctl enable --now lastwords.path lastwords.timer".to_owned(),
    ];
    plan.better = vec![format!(
        "{} need not be started anew: what runs now is caught, too. Since when it runs, only its next life tells.",
        if is_instance { "its instances" } else { &of }
    )];
    plan
}

/// `lastwords.conf`, unless the unit calls us as it is.
fn drop_in(plan: &mut Plan, host: &Host, unit: &str, text: &str) {
    let files = units::files(unit, host);
    let calls = |it: &Filed| it.emptied_by.is_none() && called(&it.command, "post-stop").is_some();
    let name = format!("/etc/systemd/system/{unit}.d/lastwords.conf");
    if let Some(ours) = units::commands(&files, "ExecStopPost", host)
        .into_iter()
        .find(calls)
    {
        plan.already.push(ours.file.display().to_string());
    } else if host.path(&name).symlink_metadata().is_ok() {
        let why = "it is there, and systemd does not call lastwords by it: this is what it should say, after all others";
        plan.by_hand.push(ByHand {
            file: name.into(),
            why: why.to_owned(),
            text: text.to_owned(),
        });
    } else {
        plan.files
            .push(Draft::new(&name, host.path(&name), text.to_owned()));
    }
}

/// `finish`, and `control/t`, by which a planned stop is known; see runsv(8).
pub fn runit(job: &str, host: &Host, caller: &Caller) -> Plan {
    let dir = directory(Supervisor::Runit, job, host, "/etc/sv");
    let mut plan = Plan {
        found: found(Supervisor::Runit, job, host),
        ..Plan::default()
    };
    let mut own = |name: &str, text: &str| {
        own_script(
            &mut plan,
            host,
            &format!("{dir}/{name}"),
            &caller.fill(text, job),
        );
    };
    own("finish", texts::RUNIT_FINISH);
    let control = host.read(format!("{dir}/control/t"));
    if control.is_ok_and(|there| called(&there, "pre-stop").is_none()) {
        own("control/d", texts::RUNIT_CONTROL_D);
        own("control/x", texts::RUNIT_CONTROL_X);
    } else {
        own("control/t", texts::RUNIT_CONTROL_T);
    }
    executable(
        &mut plan,
        host,
        "/etc/sv/lastwords/run",
        &caller.fill(texts::WATCH, job),
    );
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
    plan.better
        .extend(since_when(&dir, Supervisor::Runit, job, host, caller));
    plan
}

/// `finish`; that a stop was planned, s6 itself tells.
pub fn s6(job: &str, host: &Host, caller: &Caller) -> Plan {
    let dir = directory(Supervisor::S6, job, host, "/etc/s6");
    let mut plan = Plan {
        found: found(Supervisor::S6, job, host),
        ..Plan::default()
    };
    own_script(
        &mut plan,
        host,
        &format!("{dir}/finish"),
        &caller.fill(texts::S6_FINISH, job),
    );
    let beside = dir.rsplit_once('/').map_or("/etc/s6", |(parent, _)| parent);
    executable(
        &mut plan,
        host,
        &format!("{beside}/lastwords/run"),
        &caller.fill(texts::WATCH, job),
    );
    let is_scanned = |dir: &&str| host.path(dir).join(".s6-svscan").exists();
    let scanned = [beside, "/run/service", "/service"]
        .into_iter()
        .find(is_scanned)
        .unwrap_or(beside);
    if scanned != beside {
        plan.activate
            .push(format!("ln -sfn {beside}/lastwords {scanned}/lastwords"));
    }
    plan.activate.push(format!(
        "s6-svscanctl -a {scanned}     # starts the deliverer, which tries again"
    ));
    if beside == "/run/service" {
        let text = "/run/service is made anew at each boot: let the directory that it is made from have the same";
        plan.better.push(text.to_owned());
    }
    plan.better
        .extend(since_when(&dir, Supervisor::S6, job, host, caller));
    plan
}

/// One listener for all programs, in a file that supervisord's own one includes.
pub fn supervisord(job: &str, host: &Host, caller: &Caller) -> Plan {
    let mut plan = Plan {
        found: found(Supervisor::Supervisord, job, host),
        ..Plan::default()
    };
    let text = caller.fill(
        &[texts::SUPERVISORD, texts::SUPERVISORD_DELIVERER].concat(),
        job,
    );
    let text = text.replacen(
        "listen supervisord",
        &format!("listen supervisord{}", its_logs(host)),
        1,
    );
    if let Some(listener) = supervisord::listener(host) {
        plan.already.push(format!(
            "{} [eventlistener:{}]",
            listener.file.display(),
            listener.name
        ));
    } else if let Some(pattern) = supervisord::included(host)
        .into_iter()
        .find(|pattern| pattern.contains('*'))
    {
        let name = pattern.replace('*', "lastwords");
        plan.files.push(Draft::new(&name, host.path(&name), text));
    } else {
        let file = supervisord::main_file(host).unwrap_or_default();
        plan.by_hand.push(ByHand {
            file,
            why: "it includes no other file: let it end with".to_owned(),
            text,
        });
    }
    plan.activate = vec![
        "supervisorctl update lastwords lastwords-deliver     # touches no other program"
            .to_owned(),
    ];
    plan
}

/// Where supervisord's logs are, for the listener: they are not where Debian has them.
fn its_logs(host: &Host) -> String {
    let flags = [
        ("logfile", "--supervisord-log", listen::SUPERVISORD_LOG),
        ("childlogdir", "--child-logs", listen::CHILD_LOGS),
    ];
    let flag = |(key, flag, usual): &(&str, &str, &str)| {
        let path = supervisord::path_of(key, host).filter(|path| path != usual)?;
        Some(format!(" {flag} {path}"))
    };
    flags.iter().filter_map(flag).collect()
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
        found: format!(
            "Whoever starts {job}: lastwords stands in front of the command, and sees how it ends."
        ),
        files: vec![Draft::new(
            name,
            host.path(name),
            caller.fill(texts::CRON, job),
        )],
        by_hand: vec![by_hand],
        ..Plan::default()
    }
}

/// The line that `run` lacks.
fn since_when(
    dir: &str,
    supervisor: Supervisor,
    job: &str,
    host: &Host,
    caller: &Caller,
) -> Option<String> {
    let run = host.read(format!("{dir}/run")).unwrap_or_default();
    if called(&run, "pre-start").is_some() {
        return None;
    }
    let flag = supervisor.name();
    let call = line(
        &run,
        &format!(
            "{} --supervisor {flag} --job {}",
            caller.call("pre-start"),
            quoted(job)
        ),
    );
    Some(format!(
        "better still, in {dir}/run, before its last command, so that the report says since when it ran:\n  {call}"
    ))
}

/// A call of ours as this script's language has it.
fn line(script: &str, call: &str) -> String {
    if is_execline(script) {
        format!("foreground {{ {call} }}")
    } else {
        call.to_owned()
    }
}

fn is_execline(script: &str) -> bool {
    script
        .lines()
        .next()
        .is_some_and(|first| first.starts_with("#!") && first.contains("execlineb"))
}

fn directory(supervisor: Supervisor, job: &str, host: &Host, usual: &str) -> String {
    let run = services::file_of(supervisor, job, host);
    let dir = run
        .as_ref()
        .and_then(|run| run.parent())
        .map(|dir| dir.display().to_string());
    dir.unwrap_or_else(|| format!("{usual}/{job}"))
}

fn found(supervisor: Supervisor, job: &str, host: &Host) -> String {
    match services::file_of(supervisor, job, host) {
        Some(file) => format!(
            "{supervisor} runs {job} from {}, which stays as it is.",
            file.display()
        ),
        None => format!("{supervisor} knows no {job} in the usual places."),
    }
}

/// A script of the service that it may have already.
fn own_script(plan: &mut Plan, host: &Host, name: &str, text: &str) {
    let hook = if name.ends_with("/finish") {
        "post-stop"
    } else {
        "pre-stop"
    };
    match host.read(name) {
        Ok(there) if called(&there, hook).is_some() => plan.already.push(name.to_owned()),
        Ok(there) => {
            let call = text
                .lines()
                .find(|line| line.contains(" --job "))
                .unwrap_or_default();
            let call = call.strip_prefix("exec ").unwrap_or(call);
            let (why, text) = if is_execline(&there) {
                let why = "it is there: call lastwords from inside it, as its first command, and let its first line end \
                           with ` -S0`";
                (why, line(&there, &call.replace("\"$@\"", "$@")))
            } else {
                (
                    "it is there: call lastwords from inside it, as its first command",
                    format!("{call} || true"),
                )
            };
            plan.by_hand.push(ByHand {
                file: name.into(),
                why: why.to_owned(),
                text,
            });
        }
        Err(_) => executable(plan, host, name, text),
    }
}

fn executable(plan: &mut Plan, host: &Host, name: &str, text: &str) {
    plan.files.push(Draft {
        mode: 0o755,
        ..Draft::new(name, host.path(name), text.to_owned())
    });
}
