//! `show`: one report, as a person reads it.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use super::Places;
use crate::render;
use crate::report::{Report, ReportId};
use crate::spool::{Place, Spool};

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The report's id, as every message shows it; or `last`
    #[arg(default_value = "last")]
    id: String,
    /// Print the report itself, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

pub fn run(args: &ShowArgs, out: &mut impl Write) -> Result<ExitCode> {
    let report = find(&args.id, &args.places)?;
    let text = if args.json { serde_json::to_string_pretty(&report)? } else { render::text(&report) };
    let _ = writeln!(out, "{}", text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The report of this id, or the `last` one.
pub fn find(id: &str, places: &Places) -> Result<Report> {
    let spool = places.spool();
    let id = if id == "last" { last(&spool)? } else { ReportId::parse(id).map_err(anyhow::Error::msg)? };
    let place = spool.find(&id).ok_or_else(|| anyhow!("there is no report {id} in {}", places.spool.display()))?;
    spool.read(place, &id).with_context(|| format!("cannot read the report {id}"))
}

/// The youngest report there is.
fn last(spool: &Spool) -> Result<ReportId> {
    let mut ids = Vec::new();
    for place in [Place::New, Place::Done, Place::Dead] {
        ids.extend(spool.ids(place).context("cannot list the reports")?);
    }
    ids.into_iter().max().context("there is no report yet")
}
