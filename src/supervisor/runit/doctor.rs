//! runit: whether the scripts of a service directory call lastwords.

use std::path::Path;

use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Observed, Running};
use crate::supervisor::runit;
use crate::supervisor::service_dir;
use crate::supervisor::service_dir::doctor::{finish, pre_start, running};
use crate::supervisor::service_dir::script::{Reached, Script};
use crate::supervisor::supervise::Subject;

pub fn check(subject: &Subject, checks: &mut Vec<Check>) -> Observed {
    let host = &subject.host;
    let Some(dir) = &service_dir::directory(subject, checks) else {
        return Observed::of(Running::Unknown);
    };
    finish(subject, dir, dir, checks);
    checks.extend(planned(subject, dir));
    let lacking = pre_start(subject, dir);
    let here = host.path(dir);
    let arms = lacking.is_none();
    checks.extend(lacking);
    Observed {
        arms,
        logs: service_dir::logs(dir, host),
        ..Observed::of(running(&here, "supervise/ok", runit::is_up))
    }
}

/// Checks that planned stops and restarts are announced.
fn planned(subject: &Subject, dir: &Path) -> Option<Check> {
    let announces = |name: &str| {
        let script = Script::read(&dir.join(name), &subject.host).ok();
        let script = script.filter(|script| script.is_executable);
        let call = script.and_then(|script| script.call("pre-stop"));
        call.is_some_and(|call| call.reached == Reached::Yes)
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
        format!("lastwords setup {}", subject.service),
    ))
}
