//! systemd does what it has loaded. The unit's files tell why that is not what it should be.

use crate::redact::redact;
use crate::report::Exit;
use crate::supervisor::called;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Observed, Running, missing, program};
use crate::supervisor::supervise::Subject;
use crate::supervisor::systemd::condition;
use crate::supervisor::systemd::files::{Filed, commands, files, unit};
use crate::supervisor::systemd::output_file;
use crate::supervisor::systemd::units::{self, Shown, arguments};

const PROPERTIES: [&str; 11] = [
    "LoadState",
    "LoadError",
    "ActiveState",
    "NeedDaemonReload",
    "InvocationID",
    "OnFailure",
    "User",
    "DynamicUser",
    "ExecStartPre",
    "ExecStopPost",
    "ExecStopPostEx",
];

pub fn check(subject: &Subject, checks: &mut Vec<Check>) -> Observed {
    let (unit, host) = (unit(subject.service), &subject.host);
    let texts = files(&unit, host);
    let all = commands(&texts, "ExecStopPost", host);
    let filed: Vec<&Filed> = all
        .iter()
        .filter(|it| called(command(&it.command), "post-stop").is_some())
        .collect();
    let logs = output_file(texts.iter().filter_map(|file| host.read(file).ok()))
        .into_iter()
        .collect();
    let shown = if unit.contains("@.") {
        None
    } else {
        let wanted = [&PROPERTIES[..], &condition::PROPERTIES].concat();
        units::show(&[&unit], &wanted, host)
    };
    let Some(shown) = shown.and_then(|shown| shown.into_iter().next()) else {
        unasked(subject, &unit, &filed, checks);
        return Observed {
            logs,
            ..Observed::of(Running::Unknown)
        };
    };
    let running = match shown.get("ActiveState") {
        "active" | "reloading" | "deactivating" => Running::Yes,
        _ => Running::No,
    };
    loaded(subject, &unit, &shown, &filed, checks);
    let invocation = Some(shown.get("InvocationID").to_owned()).filter(|id| !id.is_empty());
    let has_failed = shown.get("ActiveState") == "failed";
    Observed {
        running,
        invocation,
        logs,
        failed: has_failed
            .then(|| condition::read(&shown, &Exit::Unknown, subject.now))
            .flatten(),
        arms: arms(&shown),
    }
}

/// Checks the files alone, as systemd does not answer.
fn unasked(subject: &Subject, unit: &str, filed: &[&Filed], checks: &mut Vec<Check>) {
    match filed.iter().find(|it| it.emptied_by.is_none()).copied() {
        None => checks.push(not_filed(subject, filed)),
        Some(it) => {
            let (text, remedy) = if unit.contains("@.") {
                let one = unit.replacen("@.service", "@INSTANCE", 1);
                (
                    "it is a template, whose files call post-stop: systemd tells only of an instance",
                    one,
                )
            } else {
                let text = "the unit's files call post-stop; whether systemd has read them it does not say";
                (text, subject.service.to_owned())
            };
            let remedy = format!("lastwords doctor {remedy}, where systemd answers");
            checks.push(Check::unknown("hooks", Concerns::Catching, text).with(remedy));
            checks.extend(
                called(command(&it.command), "post-stop")
                    .map(|path| program("post-stop", path, &subject.host)),
            );
        }
    }
}

/// Says that no file of the unit calls lastwords, or that another file undoes it.
fn not_filed(subject: &Subject, filed: &[&Filed]) -> Check {
    let emptied = filed
        .iter()
        .rev()
        .find_map(|it| Some((it, it.emptied_by.as_ref()?)));
    let Some((ours, by)) = emptied else {
        return missing(
            "no ExecStopPost= of the unit calls lastwords",
            subject.service,
        );
    };
    let last = ours.file.with_file_name("zz-lastwords.conf");
    let text = format!(
        "an empty ExecStopPost= in {} takes that of {} away again",
        by.display(),
        ours.file.display()
    );
    let remedy = format!(
        "let ours come last: mv {} {} && systemctl daemon-reload",
        ours.file.display(),
        last.display()
    );
    Check::problem("hooks", Concerns::Catching, text, remedy)
}

fn loaded(subject: &Subject, unit: &str, shown: &Shown, filed: &[&Filed], checks: &mut Vec<Check>) {
    let concerns = Concerns::Catching;
    match shown.get("LoadState") {
        "loaded" => {}
        "masked" => {
            let text = "it is masked: as long as it is, systemd does not start it";
            checks.push(Check::weak(
                "unit",
                Concerns::Content,
                text,
                format!("systemctl unmask {unit}"),
            ));
        }
        "not-found" => {
            let text = format!("systemd does not know {unit}");
            checks.push(Check::problem("hooks", concerns, text, "check the name"));
            return;
        }
        state => {
            let text = format!(
                "systemd cannot load {unit} ({state}): {}",
                shown.get("LoadError")
            );
            checks.push(Check::problem(
                "unit",
                concerns,
                text,
                format!("systemd-analyze verify {unit}"),
            ));
            return;
        }
    }
    let is_stale = shown.get("NeedDaemonReload") == "yes";
    let is_filed = filed.iter().any(|it| it.emptied_by.is_none());
    let commands: Vec<&str> = shown.all("ExecStopPost").collect();
    let Some(at) = commands
        .iter()
        .position(|it| called(arguments(it), "post-stop").is_some())
    else {
        checks.push(if is_filed {
            let text = "the unit's files call lastwords, but systemd has not read them yet";
            Check::problem("hooks", concerns, text, "systemctl daemon-reload")
        } else {
            not_filed(subject, filed)
        });
        return;
    };
    if is_stale && !is_filed {
        let text = "systemd calls post-stop, but the unit's files do so no more: it ends with the next daemon-reload";
        let remedy = not_filed(subject, filed).remedy.unwrap_or_default();
        checks.push(Check::weak("hooks", Concerns::Content, text, remedy));
    } else {
        checks.push(Check::ok("hooks", concerns, "systemd calls post-stop"));
    }
    let (before, ours) = commands.split_at(at);
    checks.extend(
        ours.first()
            .and_then(|it| called(arguments(it), "post-stop"))
            .map(|path| program("post-stop", path, &subject.host)),
    );
    checks.extend(without_its_rights(shown, at));
    checks.extend(before.iter().find(|it| it.contains("; ignore_errors=no ;")).map(|it| {
        let text = format!(
            "before our ExecStopPost= stands `{}`: whenever that fails, systemd does not run ours, and only OnFailure= \
             or the next start tells of the crash",
            arguments(it)
        );
        Check::weak("hooks", Concerns::Content, text, format!("forgive it: ExecStopPost=-{}", redact(arguments(it))))
    }));
    checks.extend(the_others(subject, shown));
}

/// Checks that the hook runs as root, and not inside the service's sandbox.
fn without_its_rights(shown: &Shown, at: usize) -> Option<Check> {
    let flags = shown
        .all("ExecStopPostEx")
        .nth(at)?
        .split_once("flags=")?
        .1
        .split(" ;")
        .next()?;
    let user = match shown.get("User") {
        "" if shown.get("DynamicUser") == "yes" => "a user of its own",
        user => user,
    };
    if flags.contains("privileged") || ["", "root", "0"].contains(&user) {
        return None;
    }
    let text = format!(
        "its ExecStopPost= runs as {user}, who may write neither the markers nor the spool"
    );
    Some(Check::problem(
        "user",
        Concerns::Catching,
        text,
        "begin it with `-+`, as `lastwords setup` does",
    ))
}

fn arms(shown: &Shown) -> bool {
    let mut commands = shown.all("ExecStartPre");
    commands.any(|it| called(arguments(it), "pre-start").is_some())
}

/// Checks the other lines of the drop-in.
fn the_others(subject: &Subject, shown: &Shown) -> Vec<Check> {
    let remedy = || format!("lastwords setup {}", subject.service);
    let mut weak = Vec::new();
    if !arms(shown) {
        let text =
            "no ExecStartPre= calls pre-start: the report cannot say how long the service ran";
        weak.push(Check::weak("hooks", Concerns::Content, text, remedy()));
    }
    if !shown.get("OnFailure").contains("lastwords@") {
        let text = "OnFailure= does not name lastwords@%n.service: an end at which systemd cannot run ExecStopPost= is not told";
        weak.push(Check::weak("hooks", Concerns::Content, text, remedy()));
    }
    weak
}

/// Strips the prefixes of a command in a unit's file.
fn command(text: &str) -> &str {
    text.trim_start_matches(['-', '+', '!', '@', ':'])
}
