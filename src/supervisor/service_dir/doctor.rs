//! runit and s6: scripts in the service's directory, which are read anew each time, so that what
//! stands there is active.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::host::Host;
use crate::report::Supervisor;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Life, Running, missing, program};
use crate::supervisor::service_dir::script::{Reached, Script};
use crate::supervisor::subject::Subject;
use crate::supervisor::{runit, s6, service_dir, services};

pub fn check(subject: &Subject, checks: &mut Vec<Check>) -> Life {
    let (service, supervisor, host) = (subject.service, subject.supervisor, &subject.host);
    let run = services::file_of(supervisor, service, host).unwrap_or_default();
    let source = run.parent().unwrap_or(Path::new("/"));
    let dir = live(supervisor, service, source, host);
    finish(subject, &dir, source, checks);
    if supervisor == Supervisor::Runit {
        checks.extend(planned(subject, &dir));
    }
    checks.extend(pre_start(subject, &dir));
    let logs = service_dir::logs(&dir, host);
    Life {
        logs,
        ..Life::of(running(supervisor, &host.path(&dir)))
    }
}

/// The directory that the supervisor works in, where that is a copy of the one in which the service
/// is kept (s6-rc's and s6-overlay's).
fn live(supervisor: Supervisor, service: &str, source: &Path, host: &Host) -> PathBuf {
    let copy = Path::new("/run/service").join(service);
    let is_live = supervisor == Supervisor::S6
        && !host.path(source.join("supervise")).exists()
        && host.path(copy.join("supervise")).exists();
    if is_live { copy } else { source.to_owned() }
}

fn finish(subject: &Subject, dir: &Path, source: &Path, checks: &mut Vec<Check>) {
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

/// The finish that runs does not call us; that in which the service is kept may.
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

/// Whether runsv's planned stops and restarts are announced.
fn planned(subject: &Subject, dir: &Path) -> Option<Check> {
    let announces = |name: &str| {
        let script = Script::read(&dir.join(name), &subject.host);
        script.is_ok_and(|script| {
            script.is_executable
                && script
                    .call("pre-stop")
                    .is_some_and(|call| matches!(call.reached, Reached::Yes))
        })
    };
    if announces("control/t") || announces("control/d") {
        return None;
    }
    let text = format!(
        "{}/control/t does not call lastwords: a planned restart could not be told from a crash",
        dir.display()
    );
    Some(Check::weak(
        "hooks",
        Concerns::Content,
        text,
        setup(subject),
    ))
}

fn pre_start(subject: &Subject, dir: &Path) -> Option<Check> {
    let run = Script::read(&dir.join("run"), &subject.host).ok()?;
    if run.call("pre-start").is_some() {
        return None;
    }
    let text = format!(
        "{}/run does not call pre-start: the report could not say since when it ran, nor with which pid",
        dir.display()
    );
    Some(Check::weak(
        "hooks",
        Concerns::Content,
        text,
        format!("{} shows the line", setup(subject)),
    ))
}

fn setup(subject: &Subject) -> String {
    format!("lastwords setup {}", subject.service)
}

/// Whether the service runs in this directory.
fn running(supervisor: Supervisor, dir: &Path) -> Running {
    let fifo = if supervisor == Supervisor::Runit {
        "supervise/ok"
    } else {
        "supervise/control"
    };
    match has_reader(&dir.join(fifo)) {
        None => return Running::Unknown,
        Some(false) => return Running::No,
        Some(true) => {}
    }
    let status = fs::read(dir.join(runit::STATUS)).unwrap_or_default();
    let is_up = if supervisor == Supervisor::Runit {
        runit::is_up(&status)
    } else {
        s6::is_up(&status)
    };
    is_up.map_or(Running::Unknown, |is_up| {
        if is_up { Running::Yes } else { Running::No }
    })
}

/// Whether a supervisor holds its FIFO open, as `sv` and `s6-svok` ask it; `None` where we may not
/// look.
fn has_reader(fifo: &Path) -> Option<bool> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match openat(CWD, fifo, flags, Mode::empty()) {
        Ok(_) => Some(true),
        Err(rustix::io::Errno::NXIO | rustix::io::Errno::NOENT) => Some(false),
        Err(_) => None,
    }
}
