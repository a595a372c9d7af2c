//! Tells people of runs that are missing: a job says in its file how often it is expected to run
//! (`expect`), and none of its runs has ended well for so long.
//!
//! The hooks leave a file for each good end ([`LastEnd`]). The spool keeps what is known of each
//! service, so that it survives a reboot. A missing run is told as a crash is, with its own
//! verdict; while it is missing it counts as an outage, and the next good end is the recovery.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::geteuid;

use crate::accounts;
use crate::catch::marker::{EndSort, LastEnd};
use crate::cause::fingerprint::fingerprint;
use crate::config::{self, Loaded};
use crate::deliver::deliverer::Deliverer;
use crate::deliver::expected::Expected;
use crate::deliver::signs::ArmedAt;
use crate::names;
use crate::render;
use crate::report::{
    Audience, Cause, Condition, Exit, FORMAT, Kind, Report, Safety, Stop, Supervisor, Verdict,
};
use crate::spool::{Brief, Chronicled, Kept, Place};
use crate::supervisor::services;
use crate::when::{length, moment};

/// Lock of those who look for missing runs.
const LOCK: &str = "\0\0expected";
/// Maximum number of instances of a job that are expected: a user may make up any number.
const MOST_OF_A_JOB: usize = 50;

/// Looks at all jobs of which runs are expected.
pub fn look(deliverer: &Deliverer) -> Result<()> {
    let jobs = config::expecting(&deliverer.places.config);
    let kept = || deliverer.spool().kept::<Expected>(Kept::Expected);
    if jobs.is_empty() && kept()?.is_empty() {
        return Ok(());
    }
    let Some(_lock) = deliverer.spool().lock(LOCK, deliverer.now().monotonic)? else {
        return Ok(());
    };
    let users = jobs.iter().filter_map(|(_, loaded)| uid(loaded, deliverer));
    deliverer.ask_stewards(users);
    let mut before: BTreeMap<String, Expected> = kept()?.into_iter().collect();
    let mut unwatched = 0;
    for (job, loaded) in &jobs {
        let known: BTreeMap<_, _> = before.extract_if(.., |_, it| it.job == *job).collect();
        // A broken file does not tell when a run is expected.
        if loaded.is_broken() {
            continue;
        }
        let after = match loaded.job.expect {
            Some(every) => look_at(deliverer, job, loaded, every, known.values())?,
            None => BTreeMap::new(),
        };
        for (name, service) in after
            .iter()
            .filter(|(name, it)| known.get(*name) != Some(it))
        {
            if !deliverer
                .spool()
                .keep(Kept::Expected, name, Some(service))?
            {
                unwatched += 1;
            }
        }
        before.extend(
            known
                .into_iter()
                .filter(|(name, _)| !after.contains_key(name)),
        );
    }
    for name in before.keys() {
        deliverer
            .spool()
            .keep(Kept::Expected, name, None::<&Expected>)?;
    }
    if unwatched > 0 {
        deliverer.fail(&format!(
            "runs of {unwatched} services are expected and not watched: more than {} are too many",
            Kept::MOST
        ));
    }
    Ok(())
}

/// Looks at the services of one job. Returns what is to be kept of each, by its file's name.
fn look_at<'e>(
    deliverer: &Deliverer,
    job: &str,
    loaded: &Loaded,
    every: Duration,
    known: impl Iterator<Item = &'e Expected>,
) -> Result<BTreeMap<String, Expected>> {
    let boot_id = deliverer.host.boot_id();
    let uid = uid(loaded, deliverer);
    let mut services = seen(job, known, deliverer, uid);
    for service in &mut services {
        if !service.is_missing(every, deliverer.now(), &boot_id) {
            continue;
        }
        let id = service.next_id(every);
        // A deliverer that was killed may have made it.
        let is_made = {
            let spool = deliverer.spool();
            spool.find(&id).is_some() || spool.was_put_aside(&id)
        };
        if !is_made {
            tell(deliverer, service, loaded)?;
        }
        service.is_told = true;
    }
    let name = |it: &Expected| file(&it.job, it.instance.as_deref());
    Ok(services.into_iter().map(|it| (name(&it), it)).collect())
}

/// Returns how it is with a run that was told to be missing: down until one ends well, though one
/// may run now.
pub fn condition(about: &Report, deliverer: &Deliverer) -> Result<Condition> {
    let service = kept(&about.stop, deliverer)?.filter(|it| it.is_told);
    Ok(
        service.map_or_else(Condition::ran_well, |it| Condition::Down {
            because: if it.has_run || has_begun(deliverer, &it) {
                "not running".to_owned()
            } else {
                "no run of it has been seen".to_owned()
            },
        }),
    )
}

/// Returns since when a run is under way of a service of which one is missing.
pub fn run_under_way(about: &Report, deliverer: &Deliverer) -> Option<ArmedAt> {
    let stop = &about.stop;
    let uid = uid_of(&stop.job, deliverer);
    (deliverer.looks.signs).armed(uid, &stop.job, stop.instance.as_deref())
}

/// Returns what a service of which a run is missing has not done, in one line, and on what that
/// rests; `None` if none is missing any more.
pub fn words(about: &Report, deliverer: &Deliverer) -> Result<Option<(String, String)>> {
    let service = kept(&about.stop, deliverer)?.filter(|it| it.is_told);
    let every = expects(&about.stop.job, deliverer);
    let words = |(it, every)| (line_of(deliverer, &it), because(deliverer, &it, every));
    Ok(service.zip(every).map(words))
}

/// Returns how often a run of the job is expected.
fn expects(job: &str, deliverer: &Deliverer) -> Option<Duration> {
    config::load(&deliverer.places.config, job).job.expect
}

fn line_of(deliverer: &Deliverer, service: &Expected) -> String {
    let not = match (service.has_run, has_begun(deliverer, service)) {
        (true, false) => "not run",
        (true, true) => "not ended well",
        (false, false) => "not been seen to run",
        (false, true) => "not been seen to end well",
    };
    format!("has {not} since {}", moment(service.since()))
}

/// Returns how it is with a service whose last run failed, if a next one is expected.
pub fn next_run(stop: &Stop, deliverer: &Deliverer) -> Option<Condition> {
    let every = expects(&stop.job, deliverer)?;
    let due = kept(stop, deliverer).ok()??.due(every);
    let due_at = moment(due);
    Some(Condition::Waiting {
        because: if due < deliverer.now().wall {
            format!("a run that ends well was expected by {due_at}")
        } else {
            format!("a run that ends well is expected by {due_at}")
        },
    })
}

/// Returns what is known of the service, if runs of it are expected.
fn kept(stop: &Stop, deliverer: &Deliverer) -> Result<Option<Expected>> {
    let file = file(&stop.job, stop.instance.as_deref());
    Ok(deliverer.spool().kept_of(Kept::Expected, &file)?)
}

fn file(job: &str, instance: Option<&str>) -> String {
    names::encode(format!("{job}\0{}", instance.unwrap_or_default()))
}

/// Returns the job's services, with what their hooks have left since. Before any is known, the job
/// itself is one.
fn seen<'e>(
    job: &str,
    known: impl Iterator<Item = &'e Expected>,
    deliverer: &Deliverer,
    uid: Option<u32>,
) -> Vec<Expected> {
    let mut services: Vec<Expected> = known.cloned().collect();
    for end in good_ends(job, deliverer, uid) {
        let is_it = |it: &&mut Expected| it.instance == end.instance;
        if let Some(service) = services.iter_mut().find(is_it) {
            service.ended_well(&end);
        } else if services.len() < MOST_OF_A_JOB {
            services.push(Expected::of(&end));
        }
    }
    // The job itself has no runs where its instances have.
    if services.iter().any(|it| it.instance.is_some()) {
        services.retain(|it| it.has_run || it.instance.is_some());
    }
    if services.is_empty() {
        let by = services::supervisor_of(job, &deliverer.host).ok();
        let by = by.map_or(Supervisor::UNKNOWN, |it| Supervisor::new(it.name()));
        let (now, boot_id) = (deliverer.now(), deliverer.host.boot_id());
        services.push(Expected::new(job, by, now, &boot_id));
    }
    services
}

fn uid_of(job: &str, deliverer: &Deliverer) -> Option<u32> {
    uid(&config::load(&deliverer.places.config, job), deliverer)
}

/// Returns the user as whom the job's hooks run, unless that is root or ours.
fn uid(loaded: &Loaded, deliverer: &Deliverer) -> Option<u32> {
    let user = accounts::identity(loaded.job.user.as_ref()?, &deliverer.host).ok()?;
    Some(user.uid).filter(|uid| *uid != 0 && *uid != geteuid().as_raw())
}

/// Returns the job's good ends that our hooks have left, and those of its user's.
fn good_ends(job: &str, deliverer: &Deliverer, uid: Option<u32>) -> Vec<LastEnd> {
    let users = [None].into_iter().chain(uid.map(Some));
    users
        .flat_map(|user| deliverer.looks.signs.good_ends(user, job))
        .collect()
}

/// Returns true if a run has begun since the last good end: one runs now, has died, or was stopped.
fn has_begun(deliverer: &Deliverer, service: &Expected) -> bool {
    let (uid, since) = (uid_of(&service.job, deliverer), service.since());
    let its = (service.job.as_str(), service.instance.as_deref());
    let stop = deliverer.looks.signs.end(EndSort::Stopped, uid, its);
    if deliverer.looks.signs.armed(uid, its.0, its.1).is_some()
        || stop.is_some_and(|it| it.at > since)
    {
        return true;
    }
    // It does not tell instances apart.
    let died = || {
        let of = Chronicled {
            user: uid,
            job: service.job.clone(),
        };
        deliverer.spool().chronicle(&of).ok()?.last()
    };
    service.instance.is_none() && died() > Some(since) || last_failure(deliverer, service).is_some()
}

/// Returns the latest report of a run of the service that has died since its last good end, if it
/// is still in the spool.
fn last_failure(deliverer: &Deliverer, service: &Expected) -> Option<Brief> {
    let spool = deliverer.spool();
    let of = Chronicled {
        user: uid_of(&service.job, deliverer),
        job: service.job.clone(),
    };
    // The chronicle does not count these yet.
    let new = spool.ids(Place::New).unwrap_or_default();
    let new = new.iter().filter_map(|id| spool.brief(Place::New, id).ok());
    let is_failure = |it: &Brief| {
        let is_bad = matches!(it.verdict, Verdict::Crashed | Verdict::AbortedStart);
        let is_end = it.kind == Kind::Crash && is_bad && !it.drill;
        let is_its = (&it.stop.job, &it.stop.instance) == (&service.job, &service.instance);
        is_end && is_its && it.user == of.user && it.stop.stopped_at > service.since()
    };
    let failures = new.chain(spool.latest_death(&of)).filter(is_failure);
    failures.max_by_key(|it| it.stop.stopped_at)
}

/// Returns on what it rests that a run is missing, and how the last one failed.
fn because(deliverer: &Deliverer, service: &Expected, every: Duration) -> String {
    let since = moment(service.since());
    let since = if service.has_run {
        format!("its last run that ended well ended at {since}")
    } else {
        format!("no run of it has ended well since {since}")
    };
    let failure = last_failure(deliverer, service).map_or_else(String::new, |failure| {
        let (at, cause) = (moment(failure.stop.stopped_at), &failure.cause.line);
        format!("; the last one failed at {at}: {cause}")
    });
    format!(
        "{since}, and one is expected every {}{failure}",
        length(every)
    )
}

/// Puts the message into the spool that a run is missing.
fn tell(deliverer: &Deliverer, service: &Expected, loaded: &Loaded) -> Result<()> {
    let every = loaded.job.expect.unwrap_or_default();
    let instance = service.instance.as_deref();
    let report = Report {
        format: FORMAT,
        id: service.next_id(every),
        kind: Kind::Crash,
        to: Audience::Job,
        drill: false,
        host: deliverer.host.name(),
        causes: Vec::new(),
        fingerprint: fingerprint(&[&service.job, instance.unwrap_or_default(), "missed"]),
        stop: Stop {
            job: service.job.clone(),
            instance: service.instance.clone(),
            supervisor: service.supervisor.clone(),
            started_at: None,
            stopped_at: service.due(every).min(deliverer.now().wall),
            uptime_s: None,
            pid: None,
            exit: Exit::Unknown,
            invocation: None,
            directory: None,
        },
        verdict: Verdict::Missed,
        verdict_because: because(deliverer, service, every),
        cause: Cause::own(line_of(deliverer, service)),
        sections: Vec::new(),
        past: None,
        now: None,
        notes: Vec::new(),
        runbook: loaded.job.runbook.clone(),
        user: None,
        user_name: None,
        level: Safety::Durable,
    };
    deliverer
        .spool()
        .put(&report)
        .context("cannot put the message into the spool that a run is missing")?;
    deliverer.say(&format!("{}: {}", report.id, render::subject(&report)));
    Ok(())
}
