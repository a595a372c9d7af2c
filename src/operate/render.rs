//! `render`: prints a message as people would get it. It sends nothing, and reads no secret.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};

use crate::catch::call::{Call, HookArgs};
use crate::clock::Now;
use crate::operate::show;
use crate::operate::simulate::{self, Shape};
use crate::places::Places;
use crate::report::Report;
use crate::sinks::{self, Form};
use crate::{config, render};

/// Largest report that a file may hold, in bytes.
const MAX: u64 = 64 << 20;

#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The report: an id, `last`, `example`, or a file with one as JSON, such as a message's
    /// attachment
    #[arg(
        long,
        value_name = "REPORT",
        default_value = "last",
        conflicts_with = "simulate_crash"
    )]
    report: String,
    /// A simulated crash, as of `post-stop --simulate-crash`
    #[arg(long, requires = "job")]
    simulate_crash: bool,
    #[command(flatten)]
    shape: Shape,
    /// The form [default: the sink's own; text without one]
    #[arg(long, value_name = "FORM")]
    format: Option<Form>,
    /// Use this sink's templates
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// The job whose crash is simulated, or whose sinks are used [default: the report's]
    #[arg(long, value_name = "NAME")]
    job: Option<OsString>,
    #[command(flatten)]
    places: Places,
}

pub fn run(args: &RenderArgs, out: &mut impl Write) -> Result<ExitCode> {
    let report = report(args)?;
    let message = match &args.sink {
        Some(sink) => of_sink(args, sink, &report)?,
        None => sinks::form(args.format.unwrap_or(Form::Text), &report),
    };
    let _ = writeln!(out, "{}", message.trim_end());
    Ok(ExitCode::SUCCESS)
}

fn report(args: &RenderArgs) -> Result<Report> {
    let id = args.report.as_str();
    if args.simulate_crash {
        let hook = HookArgs {
            job: args.job.clone(),
            places: args.places.clone(),
            ..HookArgs::default()
        };
        let call = Call::read(&hook)?;
        let loaded = config::load(&args.places.config, &call.job);
        return Ok(simulate::report(
            &args.shape,
            &call,
            &loaded,
            &args.places.host(),
            Now::read(),
        ));
    }
    if id == "example" {
        return Ok(render::example());
    }
    if !id.contains(['/', '.']) {
        return show::find(id, None, &args.places).map(|(report, _)| report);
    }
    let mut text = String::new();
    let file = File::open(Path::new(id)).with_context(|| format!("cannot read the report {id}"))?;
    file.take(MAX)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read the report {id}"))?;
    serde_json::from_str(&text).with_context(|| format!("{id} is not a report"))
}

fn of_sink(args: &RenderArgs, name: &str, report: &Report) -> Result<String> {
    let job = args
        .job
        .as_ref()
        .map_or(report.stop.job.as_str().into(), |job| job.to_string_lossy());
    let loaded = config::load(&args.places.config, &job);
    let sink = loaded.sink(name).ok_or_else(|| {
        let names: Vec<_> = loaded
            .all_routes(&job)
            .iter()
            .map(|route| route.sink.name().to_owned())
            .collect();
        anyhow!(
            "there is no sink {name} for the job {job}; there are: {}",
            names.join(", ")
        )
    })?;
    let host = args.places.host();
    let form = |form: &Form| sink.form(*form, report, &host);
    let (shown, of_it): (Vec<Form>, Vec<String>) = Form::value_variants()
        .iter()
        .filter_map(|it| Some((*it, form(it)?)))
        .unzip();
    ensure!(
        !shown.is_empty(),
        "{name} ({}) gets the report itself; to see it, use --format json without --sink",
        sink.kind()
    );
    let place = match args.format {
        None => 0,
        Some(wanted) => shown.iter().position(|it| *it == wanted).with_context(|| {
            let names: Vec<_> = shown
                .iter()
                .filter_map(|it| Some(it.to_possible_value()?.get_name().to_owned()))
                .collect();
            format!(
                "{name} ({}) has no message in this format; its formats: {}",
                sink.kind(),
                names.join(", ")
            )
        })?,
    };
    of_it.into_iter().nth(place).context("there is no message")
}
