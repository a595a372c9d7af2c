//! Checks the scripts in a service's directory. The supervisor reads them each time, so they are
//! active as they are.

use std::path::Path;
use std::{fs, io};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::supervisor::caller::Caller;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Running, missing, program};
use crate::supervisor::service_dir::script::{Reached, Script};
use crate::supervisor::service_dir::{self, setup};
use crate::supervisor::supervise::Subject;

/// Checks the script that runs after the service. `source` is where the service is kept, if `dir`
/// is a copy.
pub fn finish(subject: &Subject, dir: &Path, source: &Path, checks: &mut Vec<Check>) {
    let (host, concerns) = (&subject.host, Concerns::Catching);
    let path = dir.join("finish");
    let name = path.display();
    let script = match Script::read(&path, host) {
        Ok(script) => script,
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            checks.push(Check::unknown(
                "hooks",
                concerns,
                format!("cannot read {name}: {why}"),
            ));
            return;
        }
        Err(_) => {
            checks.push(not_called(
                subject,
                dir,
                source,
                &format!("there is no {name}"),
            ));
            return;
        }
    };
    let Some(call) = script.call("post-stop") else {
        checks.push(not_called(
            subject,
            dir,
            source,
            &format!("{name} does not call lastwords"),
        ));
        return;
    };
    checks.push(if !script.is_executable {
        let text = format!("{name} calls lastwords, but cannot be executed");
        Check::problem("hooks", concerns, text, format!("chmod +x {name}"))
    } else if let Some((why, remedy)) = script.cannot_start(host) {
        Check::problem(
            "hooks",
            concerns,
            format!("{name} calls lastwords, but {why}"),
            remedy,
        )
    } else {
        match call.reached {
            Reached::Yes => Check::ok(
                "hooks",
                concerns,
                format!("{}'s finish calls post-stop", subject.supervisor),
            ),
            Reached::No(line) => {
                let text = format!("{name} calls lastwords, but ends before it gets there: {line}");
                Check::problem(
                    "hooks",
                    concerns,
                    text,
                    "let the call be its first command, without `exec`",
                )
            }
            Reached::Perhaps(line) => {
                let text = format!("{name} calls lastwords, but perhaps not at every end: {line}");
                Check::unknown("hooks", concerns, text)
                    .with("let the call be its first command, without `exec`")
            }
        }
    });
    checks.push(program("post-stop", &call.program, host));
}

/// Says that the `finish` that runs does not call us. The one where the service is kept may.
fn not_called(subject: &Subject, dir: &Path, source: &Path, text: &str) -> Check {
    let kept = source.join("finish");
    let is_kept = dir != source
        && Script::read(&kept, &subject.host).is_ok_and(|it| it.call("post-stop").is_some());
    if !is_kept {
        return missing(text, subject.service);
    }
    let text = format!(
        "{} calls lastwords, but s6 works in {}, a copy from before",
        kept.display(),
        dir.display()
    );
    let remedy = "make it anew, as after every change there: s6-rc-compile and s6-rc-update, or start the container anew";
    Check::problem("hooks", Concerns::Catching, text, remedy)
}

/// Checks that `run` calls pre-start.
pub fn pre_start(subject: &Subject, dir: &Path) -> Option<Check> {
    let run = Script::read(&dir.join("run"), &subject.host).ok()?;
    if run.call("pre-start").is_some() {
        return None;
    }
    let text = format!(
        "{}/run does not call pre-start: the report could not say how long the service ran, nor its pid",
        dir.display()
    );
    let caller = Caller::of(subject.places).ok()?;
    let call = setup::call_in_run(subject.supervisor, subject.service, &run.text, &caller);
    let remedy = format!("put into it, before its last command: {call}");
    Some(Check::weak("hooks", Concerns::Content, text, remedy))
}

/// Returns whether the service in this directory runs. Its supervisor reads `fifo`; `is_up` reads
/// the supervisor's status.
pub fn running(dir: &Path, fifo: &str, is_up: fn(&[u8]) -> Option<bool>) -> Running {
    match has_reader(&dir.join(fifo)) {
        None => return Running::Unknown,
        Some(false) => return Running::No,
        Some(true) => {}
    }
    let status = fs::read(dir.join(service_dir::STATUS)).unwrap_or_default();
    match is_up(&status) {
        Some(true) => Running::Yes,
        Some(false) => Running::No,
        None => Running::Unknown,
    }
}

/// Returns whether a supervisor holds its FIFO open, as `sv` and `s6-svok` ask it; `None` if we may
/// not look.
fn has_reader(fifo: &Path) -> Option<bool> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match openat(CWD, fifo, flags, Mode::empty()) {
        Ok(_) => Some(true),
        Err(rustix::io::Errno::NXIO | rustix::io::Errno::NOENT) => Some(false),
        Err(_) => None,
    }
}
