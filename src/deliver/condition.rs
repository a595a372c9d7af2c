//! Finds out how things stand with a service as a message about it is sent.
//!
//! The supervisor is asked. Where it does not say, what the hooks have left since the end does: a
//! marker that is armed, as the service was started again, a planned end, or the word that the
//! supervisor has given up. Of several services that are well again, only these signs are read.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use crate::catch::marker::EndSort;
use crate::clock::Now;
use crate::deliver::conversation::bare;
use crate::deliver::deliverer::Deliverer;
use crate::deliver::flood::Service;
use crate::deliver::missed;
use crate::deliver::outage::Outage;
use crate::deliver::pass;
use crate::deliver::signs::Signs;
use crate::host::Host;
use crate::report::{Condition, Kind, OtherService, Report, Timestamp, Verdict};
use crate::spool::Kept;
use crate::supervisor::{self, Supervise};
use crate::when::moment;

/// How long a supervisor that has not decided yet is asked again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a look waits for supervisors in all. What they could still say is then not known.
const ENOUGH: Duration = Duration::from_secs(4);
/// Maximum number of services of one message that are asked about.
const MOST: usize = 20;
/// A life that is shorter is no sign that the next one lasts.
const SHORT: Duration = Duration::from_mins(1);
/// How long the answer counts that made a message due, where there is no later one.
const RECENT: Duration = Duration::from_mins(1);
/// Time between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// Returns how things stand with the service that a message is about; `None` where nothing has
/// died. A summary is about all of `services`.
pub fn of(
    report: &Report,
    services: &BTreeSet<&Service>,
    deliverer: &Deliverer,
) -> Option<Condition> {
    if report.drill {
        return None;
    }
    if report.verdict == Verdict::Missed && !matches!(report.kind, Kind::Recovered { .. }) {
        return Some(of_missed(report, deliverer));
    }
    if report.claimed().is_some() {
        // No supervisor knows the job of a user's claims.
        return Some(Condition::Unknown);
    }
    Some(match report.kind {
        Kind::Notice => return None,
        Kind::Recovered {
            instances: 2..,
            all,
            ..
        } => of_recovered(report, services, all.first, deliverer),
        Kind::Summary { all, .. } if services.len() > 1 => {
            of_several(report, services, all.first, deliverer)
        }
        Kind::Summary { instances: 2.., .. } => Condition::Unknown,
        Kind::Down { made_at, .. } => match (of_service(report, deliverer), &report.now) {
            // A supervisor that is slow has just said so.
            (Condition::Unknown, Some(then)) if deliverer.now().wall.since(made_at) < RECENT => {
                then.clone()
            }
            (now, _) => now,
        },
        Kind::Crash | Kind::Summary { .. } | Kind::Recovered { .. } => {
            of_service(report, deliverer)
        }
    })
}

/// Returns how things stand with each of several services that have died since this moment.
fn of_several(
    report: &Report,
    services: &BTreeSet<&Service>,
    since: Timestamp,
    deliverer: &Deliverer,
) -> Condition {
    let ask = |about: &Report| of_service(about, deliverer);
    of_each(report, services, MOST, since, ask)
}

/// Returns how things stand with each of several services that are well again. There may be many,
/// and their hooks have left signs of it: no supervisor is asked.
fn of_recovered(
    report: &Report,
    services: &BTreeSet<&Service>,
    since: Timestamp,
    deliverer: &Deliverer,
) -> Condition {
    let signs = &deliverer.looks.signs;
    let see = |about: &Report| {
        let about = &latest(about, deliverer);
        let armed = armed_since(about, signs);
        armed
            .or_else(|| planned_end_since(about, signs))
            .unwrap_or_default()
    };
    of_each(report, services, usize::MAX, since, see)
}

/// Returns how things stand with each of several services, the first `most` of which are looked at.
fn of_each(
    report: &Report,
    services: &BTreeSet<&Service>,
    most: usize,
    since: Timestamp,
    see: impl Fn(&Report) -> Condition,
) -> Condition {
    let (mut up, mut others) = (0, Vec::new());
    let mut about = bare(report.clone());
    about.stop.stopped_at = since;
    for service in services.iter().take(most) {
        if (&about.stop.job, &about.stop.instance) != (&service.job, &service.instance) {
            // It is another's.
            about.stop.directory = None;
        }
        about.stop.job.clone_from(&service.job);
        about.stop.instance.clone_from(&service.instance);
        match see(&about) {
            Condition::Up { .. } => up += 1,
            Condition::Unknown => {}
            now => others.push(OtherService {
                service: about.stop.service(),
                now,
            }),
        }
    }
    if up == 0 && others.is_empty() {
        return Condition::Unknown;
    }
    Condition::Several {
        of: services.len(),
        up,
        others,
    }
}

/// Returns how things stand with a service of which a run is missing. A run that is under way may
/// have begun long before it was due.
fn of_missed(report: &Report, deliverer: &Deliverer) -> Condition {
    let condition = missed::condition(report, deliverer).unwrap_or_default();
    if !condition.is_down() {
        return condition;
    }
    if let Some(armed) = missed::run_under_way(report, deliverer) {
        return Condition::Up {
            since: Some(armed.at),
        };
    }
    match ask(report, deliverer) {
        up @ Condition::Up { .. } => up,
        _ => condition,
    }
}

/// Returns how things stand with the service that has died.
fn of_service(report: &Report, deliverer: &Deliverer) -> Condition {
    since_latest(&latest(report, deliverer), deliverer)
}

/// Returns how things stand with a service that has died, the last time in this report.
pub fn since_latest(report: &Report, deliverer: &Deliverer) -> Condition {
    let armed_since = || armed_since(report, &deliverer.looks.signs);
    let ended_since = || planned_end_since(report, &deliverer.looks.signs);
    let condition = match ask(report, deliverer) {
        Condition::Up { since: None } => armed_since().unwrap_or(Condition::Up { since: None }),
        Condition::Unknown => armed_since()
            .or_else(ended_since)
            .or_else(|| given_up_since(report, &deliverer.looks.signs))
            .or_else(|| missed::next_run(&report.stop, deliverer))
            .unwrap_or_default(),
        waiting @ Condition::Waiting { .. } => armed_since().unwrap_or(waiting),
        // So it is between two runs, however the last one ended.
        down if down.is_down() => ended_since().unwrap_or(down),
        known => known,
    };
    match (condition, report.stop.uptime_s) {
        (Condition::Up { since: Some(since) }, Some(last_s)) => {
            let for_s = deliverer.now().wall.since(since).as_secs_f64();
            if last_s < SHORT.as_secs_f64() && for_s <= last_s {
                Condition::JustUp {
                    since,
                    for_s,
                    last_s,
                }
            } else {
                Condition::Up { since: Some(since) }
            }
        }
        (condition, _) => condition,
    }
}

/// Returns the latest crash of the service that is known, or else this one: a message may be sent
/// long after it, and what was since the older crash need not be so since the later one.
fn latest(report: &Report, deliverer: &Deliverer) -> Report {
    let name = pass::outage_of_crashes(report);
    let kept = deliverer.spool().kept_of::<Outage>(Kept::Outage, &name);
    let later = kept.ok().flatten().map(|outage| outage.about);
    let later = later.filter(|later| later.stop.stopped_at >= report.stop.stopped_at);
    later.unwrap_or_else(|| report.clone())
}

/// Asks the supervisor, unless the look has waited too long for supervisors: one may hang.
fn ask(report: &Report, deliverer: &Deliverer) -> Condition {
    let supervisor = supervisor::named(report.stop.supervisor.name());
    let Some(supervisor) = supervisor.filter(|_| deliverer.waited() < ENOUGH) else {
        return Condition::Unknown;
    };
    let began = Now::read().monotonic;
    let condition = ask_until(supervisor, report, &deliverer.host, began + PATIENCE);
    deliverer.wait_for(Now::read().monotonic.saturating_sub(began));
    condition
}

fn ask_until(
    supervisor: &dyn Supervise,
    report: &Report,
    host: &Host,
    until: Duration,
) -> Condition {
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
fn armed_since(report: &Report, signs: &Signs) -> Option<Condition> {
    let stop = &report.stop;
    let armed = signs.armed(report.user, &stop.job, stop.instance.as_deref())?;
    (armed.at > stop.stopped_at).then_some(Condition::Up {
        since: Some(armed.at),
    })
}

/// Returns how it is with a service that has ended as planned since the end.
fn planned_end_since(report: &Report, signs: &Signs) -> Option<Condition> {
    let stop = &report.stop;
    let service = (stop.job.as_str(), stop.instance.as_deref());
    let since = |sort| {
        let end = signs.end(sort, report.user, service)?;
        (end.at > stop.stopped_at).then_some(end.at)
    };
    let (well, stopped) = (since(EndSort::Well), since(EndSort::Stopped));
    if well >= stopped {
        return well.map(|_| Condition::ran_well());
    }
    stopped.map(|at| Condition::Stopped {
        because: format!("as planned, at {}", moment(at)),
    })
}

/// Returns that the supervisor has given up since the end, if it has said so.
fn given_up_since(report: &Report, signs: &Signs) -> Option<Condition> {
    let stop = &report.stop;
    let service = (stop.job.as_str(), stop.instance.as_deref());
    let end = signs.end(EndSort::GivenUp, report.user, service)?;
    // It gives up after this very end, at the earliest.
    (end.at >= stop.stopped_at).then_some(Condition::GivenUp {
        by: end.supervisor,
        because: end.because.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::deliver::deliverer::Looks;
    use crate::places::Places;
    use crate::report::sample;

    #[test]
    fn no_supervisor_is_asked_about_a_users_claim() {
        let root = tempfile::tempdir().unwrap();
        let initctl = root.path().join("sbin/initctl");
        fs::create_dir(root.path().join("sbin")).unwrap();
        fs::write(&initctl, "#!/bin/sh\necho web start/running\n").unwrap();
        fs::set_permissions(&initctl, Permissions::from_mode(0o755)).unwrap();
        let host = Host::new(root.path(), root.path());
        let mut report = sample();
        report.make_a_claim(33);
        // Upstart says nothing of an instance that is stopped, nor of one that never was.
        let places = Places::default();
        let looks = Looks::new(&places, Duration::ZERO, &|_| {});
        let deliverer = Deliverer {
            host,
            ..Deliverer::new(&places, &looks)
        };
        let found = of(&report, &BTreeSet::new(), &deliverer);
        assert_eq!(found, Some(Condition::Unknown));
    }
}
