//! Checks whether anybody would be told: each sink is asked in a process of its own. Also shows
//! what waits, and the outcome of the last drill and the last report.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::config::Route;
use crate::deliver::{self, attempt};
use crate::operate::doctor::ago;
use crate::operate::history::told::{self, Standing, Untold};
use crate::operate::secrets::{self, Secrets};
use crate::report::{Report, ReportId, SinkKey};
use crate::sinks::Probed;
use crate::spool::{Drill, Ledger, Place};
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::supervise::Subject;
use crate::when::length;

/// How long a sink may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Age from which on a waiting report waits longer than a message takes.
const WAITS: Duration = Duration::from_mins(1);
/// Maximum number of reports that are read, the latest first.
const LOOKED_AT: usize = 500;
/// Age from which on dead letters and damaged files are not shown: they have been seen, or never
/// will be.
const NEWS: Duration = Duration::from_hours(7 * 24);

/// Answers of the sinks. Each is asked once, however many jobs use it.
pub type Answers = BTreeMap<SinkKey, Result<Probed, String>>;

pub fn sinks(
    subject: &Subject,
    drill: Option<&Drill>,
    answers: &mut Answers,
    checks: &mut Vec<Check>,
) {
    let routes = subject.loaded.routes(subject.job);
    if routes.is_empty() {
        let remedy =
            "add one to lastwords.toml, as [[sink.email]]; `lastwords show` shows what is kept";
        checks.push(Check::problem(
            "sinks",
            Concerns::Telling,
            "no sink is configured: nobody is told",
            remedy,
        ));
    }
    let unasked: Vec<&Route> = routes
        .iter()
        .filter(|route| !answers.contains_key(&route.key))
        .collect();
    let said: Vec<(SinkKey, Result<Probed, String>)> = thread::scope(|scope| {
        let mut asked = Vec::new();
        for Route { key, sink } in unasked {
            let ask = || attempt::probe(subject.places, *sink, subject.job, PATIENCE);
            asked.push((key.clone(), thread::Builder::new().spawn_scoped(scope, ask)));
        }
        let none = || {
            Ok(Probed::Unasked(
                "not asked: no thread could be started".to_owned(),
            ))
        };
        let answer = |(key, asked): (SinkKey, io::Result<thread::ScopedJoinHandle<_>>)| {
            (
                key,
                asked
                    .ok()
                    .and_then(|asked| asked.join().ok())
                    .unwrap_or_else(none),
            )
        };
        asked.into_iter().map(answer).collect()
    });
    answers.extend(said);
    let checked = routes
        .iter()
        .filter_map(|route| Some(sink(subject, route, answers.get(&route.key)?, drill)));
    checks.extend(checked);
}

fn of(route: &Route) -> Concerns {
    Concerns::Sink(route.sink.name().to_owned())
}

fn sink(
    subject: &Subject,
    route: &Route,
    said: &Result<Probed, String>,
    drill: Option<&Drill>,
) -> Check {
    let name = route.sink.name();
    let drill = drill.filter(|drill| drill.taken.contains(&route.key) && !is_stale(subject, drill));
    let or_drilled = |text: &str, remedy: Option<String>| match drill {
        Some(drill) => {
            let age = subject.now.wall.since(drill.at);
            Check::ok(
                name,
                of(route),
                format!("{text}; it took the drill {}", ago(age)),
            )
        }
        None => Check {
            remedy,
            ..Check::unknown(name, of(route), text)
        },
    };
    match secrets::of(route.sink, &subject.host) {
        Secrets::Here => {}
        Secrets::HandedOver(credentials) => {
            let ids: Vec<&str> = credentials.iter().map(|it| it.id.as_str()).collect();
            let text = format!(
                "systemd passes its secret to lastwords.service only (credential {})",
                ids.join(", ")
            );
            return or_drilled(&text, secrets::with(&credentials, &drill_command(subject)));
        }
        Secrets::Missing(file) => {
            let text = format!(
                "the file with its secret does not exist: {}",
                file.display()
            );
            let remedy = "put the secret there, or let systemd pass it: LoadCredential= in lastwords.service";
            return Check::problem(name, of(route), text, remedy);
        }
    }
    match said {
        Ok(Probed::Good(text)) => Check::ok(name, of(route), text),
        Ok(Probed::Unasked(text)) => or_drilled(text, Some(try_it(subject))),
        // A secret that only root may read is no fault of the sink.
        Err(why) if subject.sees_less && why.contains("Permission denied") => {
            Check::unknown(name, of(route), format!("{why} (try as root)"))
        }
        Err(why) => Check::problem(
            name,
            of(route),
            why,
            format!("fix it, then: lastwords doctor {}", subject.service),
        ),
    }
}

/// Returns true if the config was changed after the drill.
fn is_stale(subject: &Subject, drill: &Drill) -> bool {
    let changed = |file: PathBuf| file.metadata().and_then(|found| found.modified()).ok();
    let files = [
        subject.places.config.join("lastwords.toml"),
        crate::config::job_file(&subject.places.config, subject.job),
    ];
    files
        .into_iter()
        .filter_map(changed)
        .any(|changed| changed > drill.at.time())
}

fn try_it(subject: &Subject) -> String {
    format!("lastwords {}", drill_command(subject))
}

fn drill_command(subject: &Subject) -> String {
    format!("post-stop --simulate-crash --send --job {}", subject.job)
}

pub fn spool(subject: &Subject, drill: Option<&Drill>, checks: &mut Vec<Check>) {
    let spool = subject.places.spool_in_use();
    let about = "waiting";
    match spool.ids(Place::New) {
        Ok(ids) => checks.push(waiting(subject, &ids)),
        Err(why) => {
            checks.push(Check::unknown(
                about,
                Concerns::InTime,
                format!("cannot look into the spool: {why} (try as root)"),
            ));
            return;
        }
    }
    let now = subject.now.wall;
    let dead: Vec<ReportId> = spool.ids(Place::Dead).unwrap_or_default();
    let dead: Vec<&ReportId> = dead
        .iter()
        .filter(|id| now.since(id.time()) < NEWS)
        .collect();
    if let Some(last) = dead.last() {
        let age = ago(now.since(last.time()));
        let text = format!(
            "in the last 7 days, {} did not reach every sink, the last {age}",
            reports(dead.len())
        );
        checks.push(Check::weak(
            "dead letters",
            Concerns::Content,
            text,
            format!("lastwords show {last}"),
        ));
    }
    let corrupt = spool.corrupt().unwrap_or_default();
    if !corrupt.is_empty() {
        let text = match corrupt.len() {
            1 => "1 damaged report file was put aside".to_owned(),
            many => format!("{many} damaged report files were put aside"),
        };
        let remedy = format!(
            "look at the files in {}, then remove them",
            spool.corrupt_dir().display()
        );
        checks.push(Check::weak("damaged", Concerns::Content, text, remedy));
    }
    checks.push(match drill {
        Some(drill) if drill.failed.is_empty() => Check::ok(
            "last drill",
            Concerns::Content,
            format!("{}, taken by every sink", ago(now.since(drill.at))),
        ),
        Some(drill) => {
            let failed: Vec<&str> = drill.failed.iter().map(SinkKey::name).collect();
            let text = format!(
                "{}, not taken by {}",
                ago(now.since(drill.at)),
                failed.join(", ")
            );
            Check::weak("last drill", Concerns::Content, text, try_it(subject))
        }
        None => Check::unknown("last drill", Concerns::Content, "there was no drill yet")
            .with(try_it(subject)),
    });
    checks.extend(running_loop(subject));
    checks.extend(last_delivered(subject));
}

/// Returns the oldest report of this job that waits, and for what.
fn waiting(subject: &Subject, ids: &[ReportId]) -> Check {
    let (about, spool) = ("waiting", subject.places.spool_in_use());
    let now = subject.now.wall;
    let reports = ids
        .iter()
        .take(LOOKED_AT)
        .filter_map(|id| spool.read(Place::New, id).ok());
    let ours: Vec<Report> = reports
        .filter(|report| report.stop.job == subject.job)
        .collect();
    // Not the id, which may derive from what the report is about.
    let age = |report: &Report| {
        let came = spool.came(&report.id).unwrap_or(report.made_at());
        now.since(came)
    };
    let Some(oldest) = ours
        .iter()
        .max_by_key(|report| age(report))
        .filter(|oldest| age(oldest) > WAITS)
    else {
        let text = match ours.len() {
            0 => "no report is waiting".to_owned(),
            1 => "a report has been waiting for less than a minute".to_owned(),
            n => format!("{n} reports are waiting, the oldest for less than a minute"),
        };
        return Check::ok(about, Concerns::InTime, text);
    };
    let age = length(age(oldest));
    let held = subject
        .loaded
        .routes(subject.job)
        .into_iter()
        .find_map(|route| {
            let ledger: Ledger = spool.ledger(&oldest.id, &route.key).ok()?;
            let why = match (&ledger.outcome, ledger.last_error) {
                (Some(_), _) => return None,
                (None, Some(why)) => why,
                (None, None) => "not tried yet".to_owned(),
            };
            let tries = if ledger.attempts > 0 {
                format!(", tried {}", times(ledger.attempts.into()))
            } else {
                String::new()
            };
            Some(format!(
                "{} does not have it yet{tries}: {why}",
                route.sink.name()
            ))
        });
    let held = held.unwrap_or_else(|| "its sinks are not all known: see config".to_owned());
    let text = match ours.len() {
        1 => format!("a report has been waiting for {age}: {held}"),
        n => format!("{n} reports are waiting, the oldest for {age}: {held}"),
    };
    Check::problem(
        about,
        Concerns::InTime,
        text,
        format!(
            "fix the error, then: lastwords deliver (details: lastwords show {})",
            oldest.id
        ),
    )
}

fn last_delivered(subject: &Subject) -> Option<Check> {
    let spool = subject.places.spool_in_use();
    let ids = spool.ids(Place::Done).ok()?;
    let id = ids.iter().rev().take(LOOKED_AT).find(|id| {
        spool
            .read(Place::Done, id)
            .is_ok_and(|report| report.stop.job == subject.job && !report.drill)
    })?;
    let (now, mut told) = (subject.now.wall, Vec::<(String, Vec<&str>)>::new());
    let untold = Untold::new(&spool, now);
    let routes = subject.loaded.routes(subject.job);
    for route in &routes {
        let ledger = spool.ledger(id, &route.key).unwrap_or_default();
        let how = match untold.standing(&route.key, subject.job, &ledger) {
            Standing::Sent => "taken by".to_owned(),
            Standing::Summarised => "told in another message to".to_owned(),
            Standing::Counted { due } => format!("counted ({}) for", told::summary(due, now)),
            Standing::Dropped | Standing::Waiting | Standing::GaveUp | Standing::Refused => {
                continue;
            }
        };
        let name = route.sink.name();
        match told.iter_mut().find(|(same, _)| *same == how) {
            Some((_, names)) => names.push(name),
            None => told.push((how, vec![name])),
        }
    }
    let told = told
        .iter()
        .map(|(how, names)| format!(", {how} {}", names.join(", ")));
    let text = ago(now.since(id.time())) + &told.collect::<String>();
    Some(Check::ok("last report", Concerns::Content, text))
}

/// Says that the job dies again and again, as long as no message tells of its latest crashes.
fn running_loop(subject: &Subject) -> Option<Check> {
    let now = subject.now.wall;
    let counted = deliver::counted(&subject.places.spool_in_use(), now);
    let its = counted.iter().filter(|counted| counted.job == subject.job);
    let most = its.max_by_key(|counted| counted.count)?;
    let text = format!(
        "it has died {} since the last message to {}; {}",
        times(most.count),
        told::name(&most.sink),
        told::summary(most.due, now)
    );
    let remedy = format!("`lastwords list --all --job {}` shows each", subject.job);
    Some(Check::weak("service", Concerns::Content, text, remedy))
}

fn reports(count: usize) -> String {
    match count {
        1 => "1 report".to_owned(),
        many => format!("{many} reports"),
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        many => format!("{many} times"),
    }
}
