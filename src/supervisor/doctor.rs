//! Parts of the supervisors' checks: what they find of the service, and whether the program that
//! the hooks call is there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::host::Host;
use crate::ourselves;
use crate::report::Condition;
use crate::supervisor::check::{Check, Concerns};

/// The state of the service now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    Yes,
    No,
    Unknown,
}

/// The service as its supervisor shows it now.
pub struct Observed {
    pub running: Running,
    /// systemd's id of this life.
    pub invocation: Option<String>,
    /// Files in which its supervisor keeps what it writes.
    pub logs: Vec<String>,
    /// How things stand with it, if it has failed.
    pub failed: Option<Condition>,
    /// True if its next start arms a marker.
    pub arms: bool,
}

impl Observed {
    pub(crate) fn of(running: Running) -> Self {
        Self {
            running,
            invocation: None,
            logs: Vec::new(),
            failed: None,
            arms: true,
        }
    }
}

/// Says that nothing calls lastwords.
pub(crate) fn missing(what: &str, service: &str) -> Check {
    Check::problem(
        "hooks",
        Concerns::Catching,
        what,
        format!("lastwords setup {service} --write"),
    )
}

/// Checks that the hooks call this program, or another one that can be executed.
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
