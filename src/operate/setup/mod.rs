//! `setup`: makes the directories; with a job, shows or writes what its supervisor needs to call
//! lastwords.

mod directories;
mod skeleton;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use crate::config;
use crate::operate::{known, typed};
use crate::places::Places;
use crate::supervisor::caller::Caller;
use crate::supervisor::{self, Supervise, service_dir, services};
use crate::when::length;

#[derive(Debug, Args)]
pub struct SetupArgs {
    /// The job to set up; without one, only make the directories
    job: Option<String>,
    /// The supervisor of the job, or run (none of them: `lastwords run` in front of the command);
    /// default: its files tell
    #[arg(long, value_name = "NAME", value_parser = supervisor::parser(), requires = "job")]
    supervisor: Option<&'static dyn Supervise>,
    /// Write it. Nothing that exists is replaced: what only you can change is shown, and the exit
    /// code is 1
    #[arg(long, requires = "job")]
    write: bool,
    #[command(flatten)]
    places: Places,
}

pub fn run(args: &SetupArgs, out: &mut impl Write) -> Result<ExitCode> {
    let places = &args.places;
    let Some(job) = &args.job else {
        return directories::make_all(&places.on_its_root(), out).map(|()| ExitCode::SUCCESS);
    };
    services::check_name(job)?;
    let host = places.host();
    let trace = known::trace(job, places);
    let by = match (args.supervisor, services::supervisor_of(job, &host), &trace) {
        (Some(named), ..) => named,
        (None, Ok(by), _) => by,
        // Its hooks have left a trace.
        (None, Err(_), Some(trace)) => trace.supervisor,
        (None, Err(why), None) => return Err(why),
    };
    let directory = trace.filter(|it| it.supervisor == by);
    let directory = directory.and_then(|it| service_dir::trusted(&it.directory?, &host));
    let is_known = by.knows(job, &host) || directory.is_some();
    let caller = Caller::of(places)?.of_service_in(directory);
    let mut plan = by.setup(job, &host, &caller);
    let doctor = typed::commands(&format!("lastwords doctor {job}"), places);
    let places = &places.on_its_root();
    plan.files.push(skeleton::draft(job, by, places));
    plan.better.extend(long_stop(job, by, places));
    if plan.is_done() {
        if args.write {
            directories::make_all(places, &mut io::sink())?;
        }
        let _ = writeln!(
            out,
            "nothing to write: all of it is there. To check it: {doctor}"
        );
        return Ok(ExitCode::SUCCESS);
    }
    if !args.write {
        plan.show(out);
        let _ = writeln!(
            out,
            "\nnothing was written: --write writes it, and makes the directories. Then: {doctor}"
        );
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        is_known,
        "{by} has no job {job}, so nothing was written; check the name"
    );
    let left_to_do = plan.write(out)?;
    directories::make_all(places, out)?;
    let _ = writeln!(out, "\nto check it: {doctor}");
    Ok(ExitCode::from(u8::from(left_to_do)))
}

/// Says that a stop may take longer than the job's `stop_timeout`.
fn long_stop(service: &str, by: &dyn Supervise, places: &Places) -> Option<String> {
    let (job, instance) = by.split(service);
    let allowed = by.allows(job, instance, &places.host());
    let configured = config::load(&places.config, job).job.stop_timeout;
    let lasts = allowed.plan_lasts(configured);
    let stop_time = allowed.stop_time.filter(|_| lasts > configured)?;
    Some(format!(
        "{by} lets a stop of {service} take {}. That is more than its stop_timeout ({}), so a stop \
         counts as planned for {}.",
        length(stop_time),
        length(configured),
        length(lasts)
    ))
}
