//! Whether the job's supervisor calls lastwords, and whether what it calls is there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Subject;
use super::check::{Check, Concerns};
use crate::commands::ourselves;
use crate::commands::services::{self, UNITS, supervisord_files, template, unit};
use crate::host::Host;
use crate::plugin::{self, Command, Run};
use crate::report::Supervisor;
use crate::supervisor::upstart::stanzas::{Process, Stanzas};

/// How long a supervisor may take to say how a service is.
const PATIENCE: Duration = Duration::from_secs(5);
const HOOKS: [&str; 3] = ["pre-start", "pre-stop", "post-stop"];

/// Whether the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    Yes,
    No,
    Unknown,
}

pub fn check(subject: &Subject, checks: &mut Vec<Check>) -> Running {
    let (service, supervisor) = (subject.service, subject.supervisor);
    let known = services::file_of(supervisor, service, &subject.host).is_some();
    match supervisor {
        Supervisor::Unknown => {
            checks.push(
                Check::unknown("hooks", Concerns::Catching, format!("nobody here is known to run {service}"))
                    .with("say who runs it, as `--supervisor upstart`; or is the name right?"),
            );
            Running::Unknown
        }
        Supervisor::Run => {
            let text = "whether `lastwords run` stands in front of its command, only who starts it knows";
            checks.push(Check::unknown("hooks", Concerns::Catching, text));
            Running::Unknown
        }
        _ if !known => {
            let text = format!("{supervisor} knows no {service}");
            checks.push(Check::problem("hooks", Concerns::Catching, text, "is the name right?"));
            Running::No
        }
        Supervisor::Upstart => upstart(subject, checks),
        Supervisor::Systemd => systemd(subject, checks),
        Supervisor::Runit | Supervisor::S6 => directory(subject, checks),
        Supervisor::Supervisord => supervisord(subject, checks),
    }
}

fn missing(what: &str, service: &str) -> Check {
    Check::problem("hooks", Concerns::Catching, what, format!("lastwords setup {service}"))
}

fn upstart(subject: &Subject, checks: &mut Vec<Check>) -> Running {
    let (service, host) = (subject.service, &subject.host);
    let read = |ending: &str| host.read(format!("/etc/init/{service}.{ending}"));
    let conf = match read("conf") {
        Ok(conf) => conf,
        Err(why) => {
            let text = format!("cannot read /etc/init/{service}.conf: {why}");
            checks.push(Check::unknown("hooks", Concerns::Catching, text));
            return Running::Unknown;
        }
    };
    let stanzas = Stanzas::read(&conf, &read("override").unwrap_or_default());
    let mut wired = Vec::new();
    for hook in HOOKS {
        let process = stanzas.hook(hook);
        match process.and_then(|process| process.program(hook)) {
            Some(program) => wired.push((hook, program.to_owned())),
            None => checks.push(not_called(hook, process, service)),
        }
    }
    if wired.len() == HOOKS.len() {
        checks.push(Check::ok("hooks", Concerns::Catching, format!("Upstart calls {}", HOOKS.join(", "))));
    }
    let mut programs: Vec<&(&str, String)> = wired.iter().collect();
    programs.dedup_by_key(|(_, program)| program.clone());
    checks.extend(programs.into_iter().map(|(hook, path)| program(hook, path, host)));
    if let (Some(user), None) = (stanzas.setuid.filter(|user| user != "root"), &subject.loaded.job.user) {
        let text = format!("its hooks run as {user}, who may not make the directories that they need");
        let remedy = format!("user = \"{user}\" in jobs/{service}.toml, then: lastwords setup");
        checks.push(Check::problem("user", Concerns::Catching, text, remedy));
    }
    if stanzas.has_instances {
        return Running::Unknown;
    }
    match ask(host, &["/sbin/initctl", "/usr/sbin/initctl"], &["status", service]) {
        Some(said) if said.contains(" start/") => Running::Yes,
        Some(said) if said.contains(" stop/") => Running::No,
        _ => Running::Unknown,
    }
}

fn not_called(hook: &str, process: Option<&Process>, service: &str) -> Check {
    let what = match process {
        None => format!("there is no {hook} that calls lastwords"),
        Some(process) => {
            let file = if process.overrides { "override" } else { "conf" };
            format!("the {hook} in /etc/init/{service}.{file} does not call lastwords")
        }
    };
    match hook {
        "pre-stop" => {
            let text = format!("{what}: a planned stop would be taken for a crash");
            Check::weak("hooks", Concerns::Content, text, format!("lastwords setup {service}"))
        }
        _ => missing(&what, service),
    }
}

fn systemd(subject: &Subject, checks: &mut Vec<Check>) -> Running {
    let (service, host) = (subject.service, &subject.host);
    let texts = UNITS.iter().flat_map(|dir| {
        let of =
            |unit: &str| [vec![PathBuf::from(dir).join(unit)], drop_ins(&format!("{dir}/{unit}.d"), host)].concat();
        [of(&unit(service)), of(&template(service))].concat()
    });
    let texts: Vec<String> = texts.filter_map(|file| host.read(file).ok()).collect();
    let line = texts.iter().flat_map(|text| text.lines()).find_map(|line| {
        let command = line.trim().strip_prefix("ExecStopPost=")?;
        script(command.trim_start_matches(['-', '+', '!', '@', ':'])).program("post-stop").map(str::to_owned)
    });
    let properties = ["show", "--property=ExecStopPost,ActiveState", "--", &unit(service)].map(str::to_owned);
    let properties: Vec<&str> = properties.iter().map(String::as_str).collect();
    let said =
        ask(host, &["/usr/bin/systemctl", "/bin/systemctl"], &properties).filter(|said| said.contains("ActiveState="));
    let loaded = said
        .as_ref()
        .map(|said| said.lines().any(|line| line.starts_with("ExecStopPost=") && line.contains("post-stop")));
    match (&line, loaded) {
        (None, None | Some(false)) => checks.push(missing("no ExecStopPost= of the unit calls lastwords", service)),
        (Some(_), Some(false)) => {
            let text = "the unit's files call lastwords, but systemd has not read them yet";
            checks.push(Check::problem("hooks", Concerns::Catching, text, "systemctl daemon-reload"));
        }
        (_, Some(true)) => checks.push(Check::ok("hooks", Concerns::Catching, "systemd calls post-stop")),
        (Some(_), None) => {
            let text = "the unit's files call post-stop; whether systemd has read them it does not say";
            checks.push(Check::unknown("hooks", Concerns::Catching, text));
        }
    }
    checks.extend(line.map(|path| program("post-stop", &path, host)));
    match said {
        Some(said)
            if ["=active", "=reloading", "=deactivating"]
                .iter()
                .any(|state| said.contains(&format!("ActiveState{state}"))) =>
        {
            Running::Yes
        }
        Some(_) => Running::No,
        None => Running::Unknown,
    }
}

fn drop_ins(dir: &str, host: &Host) -> Vec<PathBuf> {
    let entries = fs::read_dir(host.path(dir)).into_iter().flatten().flatten();
    entries.map(|entry| Path::new(dir).join(entry.file_name())).collect()
}

/// runit and s6: scripts in the service's directory.
fn directory(subject: &Subject, checks: &mut Vec<Check>) -> Running {
    let (service, supervisor, host) = (subject.service, subject.supervisor, &subject.host);
    let run = services::file_of(supervisor, service, host).unwrap_or_default();
    let dir = run.parent().unwrap_or(Path::new("/"));
    let calls = |name: &str, hook: &str| {
        let text = host.read(dir.join(name)).ok()?;
        let path = script(&text).program(hook)?.to_owned();
        let mode = fs::metadata(host.path(dir.join(name))).ok()?.permissions().mode();
        Some((path, mode & 0o111 != 0))
    };
    match calls("finish", "post-stop") {
        None => checks.push(missing(&format!("{}/finish does not call lastwords", dir.display()), service)),
        Some((_, false)) => {
            let finish = dir.join("finish");
            let text = format!("{} calls lastwords, but cannot be executed", finish.display());
            checks.push(Check::problem("hooks", Concerns::Catching, text, format!("chmod +x {}", finish.display())));
        }
        Some((path, true)) => {
            checks.push(Check::ok("hooks", Concerns::Catching, format!("{supervisor}'s finish calls post-stop")));
            checks.push(program("post-stop", &path, host));
        }
    }
    let planned = ["control/t", "control/d"].iter().any(|name| matches!(calls(name, "pre-stop"), Some((_, true))));
    if supervisor == Supervisor::Runit && !planned {
        let text = format!(
            "{}/control/t does not call lastwords: a planned restart could not be told from a crash",
            dir.display()
        );
        checks.push(Check::weak("hooks", Concerns::Content, text, format!("lastwords setup {service}")));
    }
    match host.read(dir.join("supervise/stat")) {
        Ok(stat) if supervisor == Supervisor::Runit && stat.starts_with("run") => Running::Yes,
        Ok(stat) if supervisor == Supervisor::Runit && stat.starts_with("down") => Running::No,
        _ => Running::Unknown,
    }
}

fn supervisord(subject: &Subject, checks: &mut Vec<Check>) -> Running {
    let host = &subject.host;
    let listens = |file: PathBuf| host.read(file).is_ok_and(|text| text.contains("lastwords listen supervisord"));
    if supervisord_files(host).into_iter().any(listens) {
        let text = "supervisord's files have lastwords as a listener; whether it listens, supervisord does not say";
        let check = Check::unknown("hooks", Concerns::Catching, text);
        checks.push(check.with("supervisorctl status lastwords"));
    } else {
        checks.push(missing("supervisord has no listener of ours", subject.service));
    }
    Running::Unknown
}

fn script(text: &str) -> Process {
    Process { overrides: false, is_script: true, text: text.to_owned() }
}

/// Whether the hooks call this program, or another one that can be executed.
fn program(hook: &str, called: &str, host: &Host) -> Check {
    let about = "program";
    let install = "install lastwords there, or: lastwords setup JOB";
    if !called.starts_with('/') {
        let text =
            format!("the hooks call {called:?} without its path: which one that is, the supervisor's PATH decides");
        return Check::unknown(about, Concerns::Catching, text).with("write its whole path");
    }
    let ours = ourselves::program().ok();
    if ours.as_deref() == Some(Path::new(called)) {
        return Check::ok(about, Concerns::Catching, format!("{called} {}, this one", env!("CARGO_PKG_VERSION")));
    }
    let path = host.path(called);
    let found = match fs::metadata(&path) {
        Ok(found) => found,
        Err(why) => {
            return Check::problem(about, Concerns::Catching, format!("the hooks call {called}: {why}"), install);
        }
    };
    if !found.is_file() || found.mode() & 0o111 == 0 {
        let text = format!("the hooks call {called}, which cannot be executed");
        return Check::problem(about, Concerns::Catching, text, format!("chmod 755 {called}"));
    }
    let same = ours
        .and_then(|ours| fs::metadata(ours).ok())
        .is_some_and(|ours| (ours.dev(), ours.ino()) == (found.dev(), found.ino()));
    let real = fs::canonicalize(&path).unwrap_or(path);
    if same {
        return Check::ok(about, Concerns::Catching, format!("{called}, which is this program"));
    }
    if called.ends_with(&format!("/{hook}")) && real.file_name().is_none_or(|name| name != "lastwords") {
        let text = format!("the hooks call {called}, which is not lastwords");
        return Check::problem(about, Concerns::Catching, text, format!("ln -sf /usr/bin/lastwords {called}"));
    }
    Check::weak(
        about,
        Concerns::Content,
        format!("the hooks call {called}, another lastwords than this one"),
        "install the same",
    )
}

/// What a supervisor's own program says; nothing where there is none, or it fails.
fn ask(host: &Host, programs: &[&str], args: &[&str]) -> Option<String> {
    let program = programs.iter().map(|program| host.path(program)).find(|path| path.exists())?;
    let words = [program.to_str()?].into_iter().chain(args.iter().copied()).map(str::to_owned);
    let command = Command::try_from(words.collect::<Vec<_>>()).ok()?;
    let outcome =
        plugin::run(&Run { command: &command, stdin: b"", env: &[], timeout: PATIENCE, max_bytes: 64 * 1024 });
    (outcome.end.code() == Some(0)).then(|| String::from_utf8_lossy(&outcome.stdout).into_owned())
}
