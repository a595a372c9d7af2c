//! Plans scripts in a service directory of runit's or s6's.

use crate::host::Host;
use crate::supervisor::caller::{Caller, quoted};
use crate::supervisor::plan::{ByHand, Draft, Plan};
use crate::supervisor::{Supervise, called};

/// `run` of a service that delivers.
pub const WATCH: &str = "\
#!/bin/sh
exec 2>&1
exec /usr/bin/lastwords deliver --watch
";

/// Returns the service's directory: where its supervisor keeps it, or else where its hooks ran. The
/// one in `usual` if nobody knows the service.
pub fn directory(
    by: &dyn Supervise,
    job: &str,
    host: &Host,
    caller: &Caller,
    usual: &str,
) -> String {
    let run = by.file_of(job, host);
    let kept = run.as_ref().and_then(|run| run.parent());
    let dir = kept.or(caller.directory.as_deref());
    dir.map_or_else(|| format!("{usual}/{job}"), |dir| dir.display().to_string())
}

/// Plans a script that the service may have already.
pub fn add_script(plan: &mut Plan, host: &Host, name: &str, text: &str) {
    let hook = if name.ends_with("/finish") {
        "post-stop"
    } else {
        "pre-stop"
    };
    match host.read(name) {
        Ok(script) if called(&script, hook).is_some() => plan.already.push(name.to_owned()),
        Ok(script) => plan.by_hand.push(call_from_inside(name, &script, text)),
        Err(_) => add_executable(plan, host, name, text),
    }
}

/// Asks for our call in a script that is there, in its language.
fn call_from_inside(name: &str, script: &str, ours: &str) -> ByHand {
    let mut lines = ours.lines();
    let call = lines.find(|line| line.contains(" --job "));
    let call = call.unwrap_or_default();
    let call = call.strip_prefix("exec ").unwrap_or(call);
    let (why, text) = if is_execline(script) {
        let why = "it is there: call lastwords from inside it, as its first command, and let its first line end \
                   with ` -S0`";
        (why, in_language_of(script, &call.replace("\"$@\"", "$@")))
    } else {
        (
            "it is there: call lastwords from inside it, as its first command",
            format!("{call} || true"),
        )
    };
    ByHand {
        file: name.into(),
        why: why.to_owned(),
        text,
    }
}

pub fn add_executable(plan: &mut Plan, host: &Host, name: &str, text: &str) {
    plan.files.push(Draft {
        mode: 0o755,
        ..Draft::new(name, host.path(name), text.to_owned())
    });
}

/// Returns the call of pre-start that `run` lacks.
pub fn start_call(
    by: &dyn Supervise,
    dir: &str,
    job: &str,
    host: &Host,
    caller: &Caller,
) -> Option<String> {
    let run = host.read(format!("{dir}/run")).unwrap_or_default();
    if called(&run, "pre-start").is_some() {
        return None;
    }
    Some(format!(
        "better still, in {dir}/run, before its last command, so that the report says since when it ran:\n  {}",
        call_in_run(by, job, &run, caller)
    ))
}

/// Returns the call of pre-start, as this `run` would hold it.
pub fn call_in_run(by: &dyn Supervise, job: &str, run: &str, caller: &Caller) -> String {
    let call = format!(
        "{} --supervisor {} --job {}",
        caller.call("pre-start"),
        by.name(),
        quoted(job)
    );
    in_language_of(run, &call)
}

/// Returns a call of ours in this script's language.
fn in_language_of(script: &str, call: &str) -> String {
    if is_execline(script) {
        format!("foreground {{ {call} }}")
    } else {
        call.to_owned()
    }
}

fn is_execline(script: &str) -> bool {
    let first = script.lines().next().unwrap_or_default();
    first.starts_with("#!") && first.contains("execlineb")
}
