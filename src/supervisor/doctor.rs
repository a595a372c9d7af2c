//! Whether the job's supervisor calls lastwords, and whether what it calls is there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::host::Host;
use crate::operate::doctor::runs;
use crate::ourselves;
use crate::report::Supervisor;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::services;
use crate::supervisor::subject::Subject;

/// Whether the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    Yes,
    No,
    Unknown,
}

/// What is known of the life that the service is in.
pub struct Life {
    pub running: Running,
    /// systemd's id of it.
    pub invocation: Option<String>,
    /// Where its supervisor keeps what it writes.
    pub logs: Vec<String>,
}

impl Life {
    pub(crate) fn of(running: Running) -> Self {
        Self {
            running,
            invocation: None,
            logs: Vec::new(),
        }
    }
}

pub fn check(subject: &Subject, checks: &mut Vec<Check>) -> Life {
    let (service, supervisor) = (subject.service, subject.supervisor);
    let known = services::file_of(supervisor, service, &subject.host).is_some();
    match supervisor {
        Supervisor::Unknown => {
            checks.push(
                Check::unknown(
                    "hooks",
                    Concerns::Catching,
                    format!("nobody here is known to run {service}"),
                )
                .with("say who runs it, as `--supervisor upstart`; or is the name right?"),
            );
            Life::of(Running::Unknown)
        }
        Supervisor::Run if runs::jobs(subject.places).contains(service) => {
            checks.push(Check::ok(
                "hooks",
                Concerns::Catching,
                "`lastwords run` stands in front of it now",
            ));
            Life::of(Running::Yes)
        }
        Supervisor::Run => {
            let text = "no `lastwords run` of it is alive; whether the next start has it in front, only who starts it knows";
            checks.push(Check::unknown("hooks", Concerns::Catching, text));
            Life::of(Running::Unknown)
        }
        _ if !known => {
            let text = format!("{supervisor} knows no {service}");
            checks.push(Check::problem(
                "hooks",
                Concerns::Catching,
                text,
                "is the name right?",
            ));
            Life::of(Running::No)
        }
        Supervisor::Upstart => crate::supervisor::upstart::doctor::check(subject, checks),
        Supervisor::Systemd => crate::supervisor::systemd::doctor::check(subject, checks),
        Supervisor::Runit | Supervisor::S6 => {
            crate::supervisor::service_dir::doctor::check(subject, checks)
        }
        Supervisor::Supervisord => crate::supervisor::supervisord::doctor::check(subject, checks),
    }
}

pub(crate) fn missing(what: &str, service: &str) -> Check {
    Check::problem(
        "hooks",
        Concerns::Catching,
        what,
        format!("lastwords setup {service} --write"),
    )
}

/// Whether the hooks call this program, or another one that can be executed.
pub(crate) fn program(hook: &str, called: &str, host: &Host) -> Check {
    let about = "program";
    let install = "install lastwords there, or call this one, as `lastwords setup JOB` says";
    if !called.starts_with('/') {
        let text = format!(
            "the hooks call {called:?} without its path: which one that is, the supervisor's PATH decides"
        );
        return Check::unknown(about, Concerns::Catching, text).with("write its whole path");
    }
    let ours = ourselves::program().ok();
    if ours.as_deref() == Some(Path::new(called)) {
        return Check::ok(
            about,
            Concerns::Catching,
            format!("{called} {}, this one", env!("CARGO_PKG_VERSION")),
        );
    }
    let path = host.path(called);
    let found = match fs::metadata(&path) {
        Ok(found) => found,
        Err(why) => {
            return Check::problem(
                about,
                Concerns::Catching,
                format!("the hooks call {called}: {why}"),
                install,
            );
        }
    };
    if !found.is_file() || found.mode() & 0o111 == 0 {
        let text = format!("the hooks call {called}, which cannot be executed");
        return Check::problem(
            about,
            Concerns::Catching,
            text,
            format!("chmod 755 {called}"),
        );
    }
    let same = ours
        .and_then(|ours| fs::metadata(ours).ok())
        .is_some_and(|ours| (ours.dev(), ours.ino()) == (found.dev(), found.ino()));
    let real = fs::canonicalize(&path).unwrap_or(path);
    if same {
        return Check::ok(
            about,
            Concerns::Catching,
            format!("{called}, which is this program"),
        );
    }
    if called.ends_with(&format!("/{hook}"))
        && real.file_name().is_none_or(|name| name != "lastwords")
    {
        let text = format!("the hooks call {called}, which is not lastwords");
        return Check::problem(
            about,
            Concerns::Catching,
            text,
            format!("ln -sf /usr/bin/lastwords {called}"),
        );
    }
    Check::weak(
        about,
        Concerns::Content,
        format!("the hooks call {called}, another lastwords than this one"),
        "install the same",
    )
}
