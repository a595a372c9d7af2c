//! s6: whether the scripts of a service directory call lastwords.

use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::supervisor::check::Check;
use crate::supervisor::doctor::{Observed, Running};
use crate::supervisor::s6;
use crate::supervisor::service_dir;
use crate::supervisor::service_dir::doctor::{finish, pre_start, running};
use crate::supervisor::supervise::Subject;

pub fn check(subject: &Subject, checks: &mut Vec<Check>) -> Observed {
    let host = &subject.host;
    let Some(source) = service_dir::directory(subject, checks) else {
        return Observed::of(Running::Unknown);
    };
    let dir = live(subject.service, &source, host);
    finish(subject, &dir, &source, checks);
    let lacking = pre_start(subject, &dir);
    let here = host.path(&dir);
    let arms = lacking.is_none();
    checks.extend(lacking);
    Observed {
        arms,
        logs: service_dir::logs(&dir, host),
        ..Observed::of(running(&here, "supervise/control", s6::is_up))
    }
}

/// Returns the directory that s6 works in. s6-rc and s6-overlay copy the one in which the service
/// is kept.
pub fn live(service: &str, source: &Path, host: &Host) -> PathBuf {
    let copy = Path::new("/run/service").join(service);
    let is_supervised = |dir: &Path| host.path(dir.join("supervise")).exists();
    if !is_supervised(source) && is_supervised(&copy) {
        copy
    } else {
        source.to_owned()
    }
}
