//! `setup`: makes the directories; with a job, shows or writes what its supervisor needs to call
//! lastwords.

mod directories;
mod skeleton;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use crate::places::Places;
use crate::supervisor::caller::Caller;
use crate::supervisor::{self, Supervise, services};

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
        return directories::make_all(places, out).map(|()| ExitCode::SUCCESS);
    };
    services::check_name(job)?;
    let host = places.host();
    let by = args
        .supervisor
        .map_or_else(|| services::supervisor_of(job, &host), Ok)?;
    let mut plan = by.setup(job, &host, &Caller::of(places)?);
    plan.files.push(skeleton::draft(job, by, places));
    if !args.write {
        plan.show(out);
        let _ = writeln!(
            out,
            "\nnothing was written: --write writes it, and makes the directories. Then: lastwords doctor {job}"
        );
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        by.knows(job, &host),
        "{by} has no job {job}, so nothing was written; check the name"
    );
    let left_to_do = plan.write(out)?;
    directories::make_all(places, out)?;
    let _ = writeln!(out, "\nto check it: lastwords doctor {job}");
    Ok(ExitCode::from(u8::from(left_to_do)))
}
