//! Checks whether the job's marker is armed while the service runs.

use std::fs;
use std::io::ErrorKind;

use rustix::process::geteuid;

use crate::catch::marker::{Marker, MarkerFile};
use crate::mounts::may_hang;
use crate::names;
use crate::operate::doctor::ago;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Observed, Running};
use crate::supervisor::supervise::{MarkerUse, Subject};
use crate::when::length;

/// Maximum number of names of a directory that are looked at.
const LOOKED_AT: usize = 10_000;

/// Checks it, and returns the latest marker of this boot.
pub fn check(subject: &Subject, observed: &Observed, checks: &mut Vec<Check>) -> Option<Marker> {
    let dir = subject.places.markers_of(subject.uid);
    let uid = subject.uid.unwrap_or(geteuid().as_raw());
    if may_hang(&dir) {
        let text = format!("{} is on a file system that may not answer", dir.display());
        checks.push(Check::unknown("marker", Concerns::Catching, text));
        return None;
    }
    let names = match fs::read_dir(&dir) {
        Ok(entries) => entries
            .take(LOOKED_AT)
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok()),
        Err(why) if why.kind() == ErrorKind::NotFound => {
            return not_armed(subject, observed, checks);
        }
        Err(why) => {
            checks.push(Check::unknown(
                "marker",
                Concerns::Catching,
                format!("cannot look into {}: {why}", dir.display()),
            ));
            return None;
        }
    };
    let mut found: Vec<Marker> = Vec::new();
    let mut is_unreadable = false;
    for (job, instance) in names
        .filter(|name| !name.contains('~'))
        .filter_map(|name| names::decode(&name))
        .map(split)
    {
        if job == subject.job
            && subject
                .instance
                .is_none_or(|wanted| instance.as_deref() == Some(wanted))
        {
            match MarkerFile::new(
                dir.clone(),
                job.as_ref(),
                instance.as_deref().map(AsRef::as_ref),
            )
            .armed_by(uid)
            {
                Ok(marker) => found.extend(marker),
                Err(why) => {
                    is_unreadable = true;
                    let text = format!(
                        "a marker of {job} cannot be read (a crash is still caught): {why}"
                    );
                    checks.push(Check::weak(
                        "marker",
                        Concerns::Content,
                        text,
                        format!("look into {}", dir.display()),
                    ));
                }
            }
        }
    }
    let boot_id = subject.host.boot_id();
    found.retain(|marker| marker.boot_id == boot_id && !marker.unarmed);
    found.sort_by_key(|marker| marker.armed_ms);
    let Some(marker) = found.pop() else {
        if is_unreadable {
            // The service may be armed by that marker.
            return None;
        }
        return not_armed(subject, observed, checks);
    };
    let instances = match found.len() {
        0 => String::new(),
        1 => ", and 1 more instance".to_owned(),
        more => format!(", and {more} more instances"),
    };
    let allowed = subject
        .supervisor
        .allows(subject.job, subject.instance, &subject.host);
    let lasts = allowed.plan_lasts(subject.loaded.job.stop_timeout);
    if let Some(planned) = marker
        .planned_ago(subject.now)
        .filter(|planned| *planned < lasts)
    {
        let left = length(lasts.saturating_sub(planned));
        let text = format!(
            "armed, but a stop was announced {}: an end within the next {left} counts as planned",
            ago(planned)
        );
        checks.push(Check::unknown("marker", Concerns::Content, text));
    } else {
        let text = format!("armed {}{instances}", ago(marker.uptime(subject.now)));
        checks.push(Check::ok("marker", Concerns::Catching, text));
    }
    Some(marker)
}

fn split(name: String) -> (String, Option<String>) {
    match name.split_once('\0') {
        Some((job, instance)) => (job.to_owned(), Some(instance.to_owned())),
        None => (name, None),
    }
}

fn not_armed(subject: &Subject, observed: &Observed, checks: &mut Vec<Check>) -> Option<Marker> {
    let (service, concerns) = (subject.service, Concerns::Catching);
    let restart = subject.supervisor.restart(service, &subject.host);
    let marker_use = subject.supervisor.marker_use();
    checks.push(match (observed.running, marker_use, restart) {
        (_, MarkerUse::Held, _) => return None,
        (Running::No, ..) => {
            Check::ok("marker", concerns, "not armed; the service is not running")
        }
        (Running::Yes, MarkerUse::Uptime, _) if !observed.arms => {
            let text = "not armed, as nothing calls pre-start (see hooks). A crash is caught, but \
                        the report cannot say how long the service ran";
            Check::weak("marker", Concerns::Content, text, "see hooks")
        }
        (Running::Yes, MarkerUse::Uptime, Some(restart)) => {
            let text = "not armed: the service was started before its hooks were set up. A crash is caught, but the \
                        report cannot say how long the service ran";
            Check::weak("marker", Concerns::Content, text, format!("at a convenient time: {restart}"))
        }
        (_, MarkerUse::Uptime, _) => {
            let text = "not armed; this supervisor reports crashes without a marker";
            Check::ok("marker", concerns, text)
        }
        (Running::Yes, MarkerUse::Catching, _) => Check::problem(
            "marker",
            concerns,
            "not armed, though the service is running: it was started before its hooks were set up",
            format!("stop {service} && start {service} (`restart` keeps the old hooks)"),
        ),
        (Running::Unknown, MarkerUse::Catching, _) => {
            let text = "not armed; lastwords cannot tell whether the service is running";
            let check = Check::unknown("marker", concerns, text);
            check.with("if it runs, stop it fully and start it again")
        }
    });
    None
}
