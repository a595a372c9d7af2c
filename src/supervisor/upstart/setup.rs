//! Upstart: `JOB.override` holds our stanzas, so the job's own file stays as it is. An override
//! *replaces* stanzas, and a job has one of each. If the job has a hook of its own, only that hook
//! can call ours.

use crate::host::Host;
use crate::redact::redact;
use crate::supervisor::caller::Caller;
use crate::supervisor::plan::{ByHand, Draft, How, Plan};
use crate::supervisor::upstart::stanzas::{Process, Stanzas};

const OVERRIDE: &str = include_str!("../../../config/upstart/web.override");
const DELIVERER: &str = include_str!("../../../config/upstart/lastwords.conf");

const HOOKS: [&str; 3] = ["pre-start", "pre-stop", "post-stop"];

/// Says what a missing hook costs.
fn without(hook: &str) -> &'static str {
    match hook {
        "pre-start" => "without it no crash is noticed, for nothing says that the service runs",
        "pre-stop" => "without it a planned stop looks like a crash",
        _ => "without it no crash is noticed",
    }
}

pub fn plan(job: &str, host: &Host, caller: &Caller) -> Plan {
    let name = |ending: &str| format!("/etc/init/{job}.{ending}");
    let read = |ending| host.read(name(ending)).unwrap_or_default();
    let stanzas = Stanzas::read(&read("conf"), &read("override"));
    let mut plan = Plan::default();
    let mut free = Vec::new();
    for hook in HOOKS {
        match stanzas.hook(hook) {
            None => free.push(hook),
            Some(process) if process.program(hook).is_some() => {
                plan.already
                    .push(format!("{} {hook}", in_file(job, process)));
            }
            Some(process) => plan.by_hand.push(ByHand {
                file: in_file(job, process).into(),
                why: format!(
                    "it has a {hook} of its own: call lastwords from inside it; {}",
                    without(hook)
                ),
                text: called_from_inside(hook, process, &caller.call(hook)),
            }),
        }
    }
    plan.found = found(job, host, &plan, &free);
    plan.by_hand.extend(outside_of_chroot(job, &stanzas));
    if !free.is_empty() {
        let ours = |line: &&str| {
            line.starts_with('#')
                || free
                    .iter()
                    .any(|hook| line.starts_with(&format!("{hook} ")))
        };
        let lines: String = OVERRIDE.split_inclusive('\n').filter(ours).collect();
        let text = caller.fill(&lines, job);
        plan.files.push(Draft {
            how: How::Append,
            ..Draft::new(name("override"), host.path(name("override")), text)
        });
    }
    let deliverer = "/etc/init/lastwords.conf";
    plan.files.push(Draft::ours(
        deliverer,
        host.path(deliverer),
        caller.fill(DELIVERER, job),
    ));
    plan.activate = vec![
        "initctl reload-configuration".to_owned(),
        "start lastwords             # keeps trying what could not be sent at once".to_owned(),
        format!(
            "stop {job} && start {job}     # a `restart` is not enough: it keeps the hooks of before"
        ),
    ];
    plan
}

/// Says how the main process of a job enters its chroot without its hooks, which `chroot` would
/// move too.
fn outside_of_chroot(job: &str, stanzas: &Stanzas) -> Option<ByHand> {
    let dir = stanzas.chroot.as_ref()?;
    let user = stanzas.setuid.as_ref();
    let user = user.map_or_else(String::new, |user| format!("--userspec={user} "));
    let setuid = if user.is_empty() { "" } else { " and `setuid`" };
    Some(ByHand {
        file: format!("/etc/init/{job}.conf").into(),
        why: format!(
            "its `chroot {dir}` moves the hooks too, so that they need a lastwords in there and \
             see no more than that: better take `chroot`{setuid} out, and let the main process \
             enter it"
        ),
        text: format!("exec chroot {user}{dir} COMMAND…"),
    })
}

fn found(job: &str, host: &Host, plan: &Plan, free: &[&str]) -> String {
    let conf = format!("/etc/init/{job}.conf");
    if !host.path(&conf).exists() {
        return format!(
            "Upstart has no job {job}: there is no {conf}. Upstart reads an override only beside it."
        );
    }
    match (free.len(), plan.by_hand.len()) {
        (0, 0) => format!("Upstart runs {job} from {conf}; its hooks call lastwords already."),
        (_, 0) => format!("Upstart runs {job} from {conf}, which stays as it is."),
        _ => format!("Upstart runs {job} from {conf}, which has hooks of its own."),
    }
}

fn in_file(job: &str, process: &Process) -> String {
    format!(
        "/etc/init/{job}.{}",
        if process.overrides {
            "override"
        } else {
            "conf"
        }
    )
}

/// Returns the stanza with our hook in front. Whatever stood before it might fail, end the script
/// or take long.
fn called_from_inside(hook: &str, process: &Process, call: &str) -> String {
    let own = redact(&process.text);
    let own = if process.is_script {
        own.into_owned()
    } else {
        format!("    exec {own}")
    };
    format!(
        "{hook} script\n    {call} || true\n{}\nend script",
        own.trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_the_jobs_own_has_our_hook_as_its_first_line() {
        let stanzas = Stanzas::read(
            "pre-stop exec /x y\npost-stop script\n  rm z\nend script\n",
            "",
        );
        let inside =
            |hook| called_from_inside(hook, stanzas.hook(hook).unwrap(), "/usr/bin/lastwords hook");
        assert_eq!(
            inside("pre-stop"),
            "pre-stop script\n    /usr/bin/lastwords hook || true\n    exec /x y\nend script"
        );
        assert_eq!(
            inside("post-stop"),
            "post-stop script\n    /usr/bin/lastwords hook || true\n  rm z\nend script"
        );
    }
}
