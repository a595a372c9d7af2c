//! `doctor`: checks whether a crash of a job *would* be caught and told now. It sends nothing.
//!
//! ```text
//! hooks ─> program ─> marker ─> directories, disk ─> config ─> collectors ─> sinks ─> deliverer
//!   ─> what waits
//! ```

mod armed;
mod collecting;
mod deliverer;
mod expected;
mod places;
mod show;
mod telling;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use rustix::process::geteuid;

use crate::accounts;
use crate::clock::Now;
use crate::config;
use crate::deliver::{self, Down};
use crate::operate::{known, runs, typed};
use crate::places::Places;
use crate::render::condition;
use crate::supervisor::check::{Check, Concerns, State};
use crate::supervisor::doctor::{Observed, Running};
use crate::supervisor::run::LastwordsRun;
use crate::supervisor::supervise::Subject;
use crate::supervisor::{self, Supervise, services};
use crate::when::length;

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The job; default: all that have a file in jobs/, or whose supervisor's files call lastwords
    job: Option<String>,
    /// The supervisor of the job, or run (none of them: `lastwords run` in front of the command);
    /// default: its files tell
    #[arg(long, value_name = "NAME", value_parser = supervisor::parser(), requires = "job")]
    supervisor: Option<&'static dyn Supervise>,
    /// Print JSON: an array of jobs, each with its verdict and its checks
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

/// A job, and the checks.
struct Examined {
    job: String,
    verdict: String,
    checks: Vec<Check>,
}

impl Examined {
    /// Returns true if nothing would lose or delay a crash.
    fn is_well(&self) -> bool {
        self.checks
            .iter()
            .all(|check| check.state != State::Problem)
    }
}

pub fn run(args: &DoctorArgs, out: &mut impl Write) -> Result<ExitCode> {
    let jobs = match &args.job {
        None => known::services(&args.places),
        Some(job) => {
            services::check_name(job)?;
            if args.supervisor.is_none() {
                known::ensure(job, &args.places)?;
            }
            known::named(job, &args.places)
        }
    };
    let mut answers = telling::Answers::new();
    let examined: Vec<Examined> = jobs
        .iter()
        .map(|job| examine(job, args, &mut answers))
        .collect();
    if args.json {
        show::programs(out, &examined);
    } else if examined.is_empty() {
        let _ = writeln!(out, "no job is set up: lastwords setup JOB");
    } else {
        show::people(out, &examined);
    }
    let well = !examined.is_empty() && examined.iter().all(Examined::is_well);
    Ok(ExitCode::from(u8::from(!well)))
}

fn examine(service: &str, args: &DoctorArgs, answers: &mut telling::Answers) -> Examined {
    let places = &args.places;
    let host = places.host();
    let runs_in_front = runs::jobs(places).contains(service);
    let by_run = || runs_in_front.then_some(&LastwordsRun as &'static dyn Supervise);
    let by_file = || services::supervisor_of(service, &host).ok();
    let trace = known::trace(service, places);
    let supervisor = args
        .supervisor
        .or_else(by_file)
        .or_else(by_run)
        .or_else(|| Some(trace.as_ref()?.supervisor))
        .unwrap_or_default();
    let trace = trace.filter(|trace| trace.supervisor == supervisor);
    let was_run = trace.is_some();
    let directory = trace.and_then(|trace| trace.directory);
    let (job, instance) = supervisor.split(service);
    let loaded = config::load(&places.config, job);
    let uid = loaded
        .job
        .user
        .as_ref()
        .and_then(|user| accounts::identity(user, &host).ok())
        .map(|user| user.uid)
        .filter(|uid| *uid != 0);
    let sees_less = !geteuid().is_root();
    let subject = Subject {
        service,
        job,
        instance,
        supervisor,
        runs_in_front,
        was_run,
        directory,
        places,
        host,
        loaded,
        uid,
        sees_less,
        now: Now::read(),
    };

    let mut checks = Vec::new();
    let observed = hooks(&subject, &mut checks);
    let failed = failed(&subject, &observed);
    checks.extend(failed.iter().map(|now| is_down(&subject, now)));
    let marker = armed::check(&subject, &observed, &mut checks);
    expected::check(&subject, &mut checks);
    places::check(&subject, &mut checks);
    collecting::config(&subject, &mut checks);
    collecting::collectors(&subject, marker.as_ref(), observed, &mut checks);
    let drill = places.spool_in_use().last_drill(job).ok().flatten();
    telling::sinks(&subject, drill.as_ref(), answers, &mut checks);
    deliverer::check(&subject, &mut checks);
    telling::spool(&subject, drill.as_ref(), &mut checks);
    for check in &mut checks {
        check.remedy = (check.remedy.take()).map(|remedy| typed::commands(&remedy, places));
    }
    let verdict = supervisor::check::verdict(service, &checks);
    let verdict = match failed.first() {
        Some(now) => format!("{verdict}. The service is {now}"),
        None => verdict,
    };
    Examined {
        job: service.to_owned(),
        verdict,
        checks,
    }
}

/// Returns how things stand with each service that has failed and is down now, in words.
fn failed(subject: &Subject, observed: &Observed) -> Vec<String> {
    let at = subject.now.wall;
    if let Some(failed) = &observed.failed {
        return vec![condition::words(failed, at)];
    }
    if observed.running == Running::Yes {
        return Vec::new();
    }
    // Only root may see what the deliverer knows.
    let down = deliver::down(subject.job, subject.instance, subject.places).unwrap_or_default();
    let words = |down: Down| {
        let (ago, exit) = (
            ago(at.since(down.about.stop.stopped_at)),
            &down.about.stop.exit,
        );
        let instance = (down.about.stop.instance.as_ref()).filter(|_| subject.instance.is_none());
        let whose = instance.map_or_else(String::new, |instance| format!(" (of {instance})"));
        let now = condition::words(&down.now, at);
        format!("{now}{whose}; its last end was {ago}: {exit}")
    };
    down.into_iter().map(words).collect()
}

/// Says that the service has failed and is down now.
fn is_down(subject: &Subject, now: &str) -> Check {
    let start = subject.supervisor.start(subject.service, &subject.host);
    let start = start.map_or_else(String::new, |start| format!("; to start it: {start}"));
    let remedy = format!(
        "`lastwords list --job {}` shows why it died{start}",
        subject.job
    );
    Check::weak("service", Concerns::Content, format!("it is {now}"), remedy)
}

/// Checks whether the job's supervisor calls lastwords.
fn hooks(subject: &Subject, checks: &mut Vec<Check>) -> Observed {
    let (supervisor, service) = (subject.supervisor, subject.service);
    if subject.directory.is_some() || supervisor.knows(service, &subject.host) {
        return supervisor.examine(subject, checks);
    }
    let text = format!("{supervisor} does not know {service}");
    let check = Check::problem("hooks", Concerns::Catching, text, "check the name");
    checks.push(check);
    Observed::of(Running::No)
}

/// Returns how long ago something was: `3 h 12 min ago`.
fn ago(age: Duration) -> String {
    if age < Duration::from_secs(1) {
        "just now".to_owned()
    } else {
        format!("{} ago", length(age))
    }
}
