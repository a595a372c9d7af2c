//! `setup`: makes the directories; with a job, says what goes where so that its supervisor calls lastwords, or writes it.

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
use super::services::{self, Keeper};
pub use directories::uid_of;
use plan::Plan;
use text::Caller;

#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Say what this job needs so that its supervisor calls lastwords; without it, make the directories
    job: Option<String>,
    /// Who runs the job; where it is left out, its files tell
    #[arg(long, value_enum, value_name = "NAME", requires = "job")]
    supervisor: Option<Keeper>,
    /// Write it. Nothing that is there is replaced: what only you can change is shown, and the exit code is 1
    #[arg(long, requires = "job")]
    write: bool,
    #[command(flatten)]
    places: Places,
}

pub fn run(args: &SetupArgs, out: &mut impl Write) -> Result<ExitCode> {
    let places = &args.places;
    let Some(job) = &args.job else { return directories::make_all(places, out).map(|()| ExitCode::SUCCESS) };
    services::check_name(job)?;
    let host = places.host();
    let keeper = args.supervisor.map_or_else(|| services::keeper_of(job, &host), Ok)?;
    let mut plan = plan(job, keeper, places, &Caller::of(places)?);
    plan.files.push(skeleton::draft(job, keeper, places));
    if !args.write {
        plan.show(out);
        let _ = writeln!(
            out,
            "\nnothing was written: --write writes it, and makes the directories. Then: lastwords doctor {job}"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let known = keeper == Keeper::Run || keeper.file_of(job, &host).is_some();
    ensure!(known, "{} has no job {job}, so nothing was written: is the name right?", keeper.name());
    let left_to_do = plan.write(out)?;
    directories::make_all(places, out)?;
    let _ = writeln!(out, "\nis all well? lastwords doctor {job}");
    Ok(ExitCode::from(u8::from(left_to_do)))
}

fn plan(job: &str, keeper: Keeper, places: &Places, caller: &Caller) -> Plan {
    let host = places.host();
    match keeper {
        Keeper::Upstart => upstart::plan(job, &host, caller),
        Keeper::Systemd => others::systemd(job, &host, caller),
        Keeper::Runit => others::runit(job, &host, caller),
        Keeper::S6 => others::s6(job, &host, caller),
        Keeper::Supervisord => others::supervisord(job, &host, caller),
        Keeper::Run => others::run(job, &host, caller),
    }
}
