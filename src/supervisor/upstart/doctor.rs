//! Checks the stanzas in the job's own file and in the override.

use std::path::Path;

use crate::supervisor::ask::ask;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Observed, Running, missing, program};
use crate::supervisor::supervise::Subject;
use crate::supervisor::upstart::stanzas::{Process, Stanzas};

const HOOKS: [&str; 3] = ["pre-start", "pre-stop", "post-stop"];
const INITCTL: [&str; 2] = ["/sbin/initctl", "/usr/sbin/initctl"];

pub fn check(subject: &Subject, checks: &mut Vec<Check>) -> Observed {
    let (service, host) = (subject.service, &subject.host);
    let read = |ending: &str| host.read(format!("/etc/init/{service}.{ending}"));
    let conf = match read("conf") {
        Ok(conf) => conf,
        Err(why) => {
            let text = format!("cannot read /etc/init/{service}.conf: {why}");
            checks.push(Check::unknown("hooks", Concerns::Catching, text));
            return Observed::of(Running::Unknown);
        }
    };
    let stanzas = Stanzas::read(&conf, &read("override").unwrap_or_default());
    checks.extend((stanzas.chroot.as_deref()).map(|dir| in_chroot(dir, subject)));
    let mut wired = Vec::new();
    for hook in HOOKS {
        let process = stanzas.hook(hook);
        match process.and_then(|process| process.program(hook)) {
            Some(program) => wired.push((hook, program.to_owned())),
            None => checks.push(not_called(hook, process, service)),
        }
    }
    if wired.len() == HOOKS.len() {
        checks.push(Check::ok(
            "hooks",
            Concerns::Catching,
            format!("Upstart calls {}", HOOKS.join(", ")),
        ));
    }
    let mut programs: Vec<&(&str, String)> = wired.iter().collect();
    programs.dedup_by_key(|(_, program)| program.clone());
    let inside = |path: &str| match &stanzas.chroot {
        Some(dir) => format!("{dir}{path}"),
        None => path.to_owned(),
    };
    checks.extend(
        programs
            .into_iter()
            .map(|(hook, path)| program(hook, &inside(path), host)),
    );
    if let (Some(user), None) = (
        stanzas.setuid.filter(|user| user != "root"),
        &subject.loaded.job.user,
    ) {
        let text =
            format!("its hooks run as {user}, who may not make the directories that they need");
        let remedy = format!("user = \"{user}\" in jobs/{service}.toml, then: lastwords setup");
        checks.push(Check::problem("user", Concerns::Catching, text, remedy));
    }
    if stanzas.has_instances {
        return Observed::of(Running::Unknown);
    }
    let said = ask(host, &INITCTL, &["status", service]).filter(|said| said.code == Some(0));
    Observed::of(match said.map(|said| said.text) {
        Some(said) if said.contains(" start/") => Running::Yes,
        Some(said) if said.contains(" stop/") => Running::No,
        _ => Running::Unknown,
    })
}

/// Says where the hooks of a job in a chroot leave their reports.
fn in_chroot(dir: &str, subject: &Subject) -> Check {
    let there = format!(
        "its hooks run in the chroot {dir}, as its main process does: their reports go to \
         {dir}/var/spool/lastwords"
    );
    let service = subject.service;
    let outside = format!("lastwords setup {service} shows how to leave the hooks outside");
    if subject.loaded.job.chroot.as_deref() == Some(Path::new(dir)) {
        let text = format!("{there}, from where they are taken over; they show the chroot alone");
        return Check::weak("hooks", Concerns::Content, text, outside);
    }
    let text = format!("{there}, from where nothing is sent");
    let remedy = format!("chroot = \"{dir}\" in jobs/{service}.toml; or {outside}");
    Check::problem("hooks", Concerns::Catching, text, remedy)
}

fn not_called(hook: &str, process: Option<&Process>, service: &str) -> Check {
    let what = match process {
        None => format!("there is no {hook} that calls lastwords"),
        Some(process) => {
            let file = if process.overrides {
                "override"
            } else {
                "conf"
            };
            format!("the {hook} in /etc/init/{service}.{file} does not call lastwords")
        }
    };
    match hook {
        "pre-stop" => {
            let text = format!("{what}: a planned stop would be taken for a crash");
            Check::weak(
                "hooks",
                Concerns::Content,
                text,
                format!("lastwords setup {service}"),
            )
        }
        _ => missing(&what, service),
    }
}
