//! `setup`: makes the directories; with a job, says what goes where so that its supervisor calls
//! lastwords, or writes it.

mod directories;
mod others;
mod plan;
mod skeleton;
mod text;
mod texts;
mod upstart;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

use super::Places;
use super::services;
use crate::report::Supervisor;
pub use directories::uid_of;
use plan::Plan;
use text::Caller;

#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Say what this job needs so that its supervisor calls lastwords; without it, make the
    /// directories
    job: Option<String>,
    /// Who runs the job: upstart, systemd, runit, s6, supervisord, or run (none of them: `lastwords
    /// run` in front of the command); where it is left out, its files tell
    #[arg(long, value_name = "NAME", value_parser = Supervisor::named, requires = "job")]
    supervisor: Option<Supervisor>,
    /// Write it. Nothing that is there is replaced: what only you can change is shown, and the exit
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
    let supervisor = args
        .supervisor
        .map_or_else(|| services::supervisor_of(job, &host), Ok)?;
    let mut plan = plan(job, supervisor, places, &Caller::of(places)?);
    plan.files.push(skeleton::draft(job, supervisor, places));
    if !args.write {
        plan.show(out);
        let _ = writeln!(
            out,
            "\nnothing was written: --write writes it, and makes the directories. Then: lastwords doctor {job}"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let known =
        supervisor == Supervisor::Run || services::file_of(supervisor, job, &host).is_some();
    ensure!(
        known,
        "{supervisor} has no job {job}, so nothing was written: is the name right?"
    );
    let left_to_do = plan.write(out)?;
    directories::make_all(places, out)?;
    let _ = writeln!(out, "\nis all well? lastwords doctor {job}");
    Ok(ExitCode::from(u8::from(left_to_do)))
}

fn plan(job: &str, supervisor: Supervisor, places: &Places, caller: &Caller) -> Plan {
    let host = places.host();
    match supervisor {
        Supervisor::Upstart => upstart::plan(job, &host, caller),
        Supervisor::Systemd => others::systemd(job, &host, caller),
        Supervisor::Runit => others::runit(job, &host, caller),
        Supervisor::S6 => others::s6(job, &host, caller),
        Supervisor::Supervisord => others::supervisord(job, &host, caller),
        Supervisor::Run | Supervisor::Unknown => others::run(job, &host, caller),
    }
}
