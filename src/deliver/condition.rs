//! Finds out how things stand with a service as a message about it is sent.
//!
//! The supervisor is asked. Where it does not say, a marker that was armed since the end does: the
//! service was started again.

use std::ffi::OsStr;
use std::thread;
use std::time::Duration;

use rustix::process::geteuid;

use crate::catch::marker::{self, MarkerFile};
use crate::clock::Now;
use crate::host::Host;
use crate::places::Places;
use crate::report::{Condition, Kind, Report};
use crate::supervisor;

/// How long a supervisor that has not decided yet is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// Returns how things stand; `None` where nothing has died.
pub fn of(report: &Report, places: &Places, host: &Host) -> Option<Condition> {
    let several = match report.kind {
        _ if report.drill => return None,
        Kind::Notice => return None,
        Kind::Crash => false,
        Kind::Summary { instances, .. } | Kind::Recovered { instances, .. } => instances > 1,
    };
    if several {
        // One line cannot say how it is with each of them.
        let is_up = matches!(report.kind, Kind::Recovered { .. });
        return Some(if is_up {
            Condition::Up { since: None }
        } else {
            Condition::Unknown
        });
    }
    let asked = ask(report, host);
    Some(match asked {
        Condition::Unknown | Condition::Up { since: None } => {
            armed_since(report, places, host).unwrap_or(asked)
        }
        known => known,
    })
}

fn ask(report: &Report, host: &Host) -> Condition {
    let Some(supervisor) = supervisor::named(report.stop.supervisor.name()) else {
        return Condition::Unknown;
    };
    let until = Now::read().monotonic + PATIENCE;
    loop {
        let now = Now::read();
        let condition = supervisor.condition(&report.stop, now, host);
        if let Some(condition) = condition {
            return condition;
        }
        if now.monotonic >= until {
            return Condition::Unknown;
        }
        thread::sleep(PAUSE);
    }
}

/// Returns since when a marker that was armed after the end has been armed.
fn armed_since(report: &Report, places: &Places, host: &Host) -> Option<Condition> {
    let owner = report.user.unwrap_or_else(|| geteuid().as_raw());
    let dir = places.markers_of(report.user);
    let held = marker::held(&dir);
    let instance = report.stop.instance.as_deref().map(OsStr::new);
    let file = MarkerFile::new(dir, OsStr::new(&report.stop.job), instance);
    let marker = file.running_by(owner, &held).ok().flatten()?;
    let is_later = marker.boot_id == host.boot_id() && marker.armed_at > report.stop.stopped_at;
    is_later.then_some(Condition::Up {
        since: Some(marker.armed_at),
    })
}
