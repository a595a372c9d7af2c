//! `post-stop --simulate-crash`: takes the path of a real crash without a death. It shows which
//! sinks would get the message, or sends it with `--send`, marked as a drill. Unlike a hook it
//! exits non-zero if anything would have failed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::{Result, anyhow};
use clap::Args;
use rustix::process::geteuid;
use serde_json::json;

use crate::catch::call::{Call, HookArgs};
use crate::catch::capture;
use crate::catch::marker::Marker;
use crate::catch::verdict::{Case, judge};
use crate::catch::why::Clues;
use crate::clock::Now;
use crate::collectors::log::{DeepTail, Log};
use crate::collectors::{Collector, runner};
use crate::config::{self, Loaded, Route, Severity};
use crate::deliver::attempt;
use crate::deliver::hold::Hold;
use crate::host::Host;
use crate::operate::json::escaped;
use crate::operate::known;
use crate::operate::typed;
use crate::redact::redact;
use crate::render;
use crate::report::{Evidence, Exit, Report, SinkKey, Status, Stop};
use crate::sinks::Sink;
use crate::spool::{Attempt, Drill};
use crate::supervisor::account::{Account, Ending, MainExit};
use crate::supervisor::services;

/// Time for the collectors in a drill, beside what they themselves ask for. No restart waits for
/// it.
const BUDGET: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct SimulateArgs {
    /// Show what a crash of the job would send, and send nothing; needs no root
    #[arg(long, required = true)]
    simulate_crash: bool,
    /// Send it, marked as a drill, and show each sink's receipt
    #[arg(long)]
    send: bool,
    #[command(flatten)]
    shape: Shape,
    /// Show the messages too, as each sink would be sent them
    #[arg(long)]
    full: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hook: HookArgs,
}

/// Shape of the simulated crash.
#[derive(Debug, Args)]
pub struct Shape {
    /// Die by this signal
    #[arg(long, value_name = "NAME", value_parser = signal, conflicts_with = "exit_code")]
    signal: Option<Exit>,
    /// Die with this exit code
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8), default_value = "1")]
    exit_code: u8,
    /// Use this file as the job's log
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

fn signal(text: &str) -> Result<Exit, String> {
    config::signal(text)
}

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// Outcome for one sink.
struct Delivery<'a> {
    key: SinkKey,
    sink: &'a dyn Sink,
    /// The message that would be sent, or the receipt; or why nothing could be sent.
    result: Result<String>,
}

pub fn run(args: &SimulateArgs, out: &mut impl Write) -> Result<ExitCode> {
    let now = Now::read();
    let host = args.hook.places.host();
    // A real crash would have the collectors of the supervisor that runs the job.
    let job = args.hook.job.as_ref().map(|job| job.to_string_lossy());
    let by_file = job.and_then(|job| services::supervisor_of(&job, &host).ok());
    let call = Call::read(&HookArgs {
        supervisor: args.hook.supervisor.or(by_file),
        ..args.hook.clone()
    })?;
    let loaded = config::load(&args.hook.places.config, &call.job);
    let report = report(&args.shape, &call, &loaded, &host, now);
    let routes = loaded.routes(&call.job);

    let warning = match args.hook.supervisor {
        Some(_) => None,
        None => known::unknown(&call.job, &args.hook.places),
    };

    if !args.json {
        show_report(out, &report, warning.as_deref());
    }
    let mut failures = failures(&report, &loaded);
    let mut deliveries = Vec::new();
    for route in &routes {
        let result = if args.send {
            send(args, route.sink, &report)
        } else {
            preview(route.sink, &report, &host)
        };
        if let Err(why) = &result {
            failures.push(format!("{}: {why:#}", route.sink.name()));
        }
        let delivery = Delivery {
            key: route.key.clone(),
            sink: route.sink,
            result,
        };
        if args.full && !args.json {
            show_message(out, &delivery);
        }
        deliveries.push(delivery);
    }
    if args.send {
        let (taken, failed): (Vec<_>, Vec<_>) = deliveries
            .iter()
            .partition(|delivery| delivery.result.is_ok());
        let keys = |some: Vec<&Delivery>| {
            some.into_iter()
                .map(|delivery| delivery.key.clone())
                .collect()
        };
        let drill = Drill {
            at: now.wall,
            taken: keys(taken),
            failed: keys(failed),
        };
        // A user who may not write the spool leaves no word of the drill for `doctor`.
        let hold = Hold::new(&args.hook.places, &|_| {});
        let spool = hold.spool();
        let _ = spool.remember_drill(&call.job, &drill);
        let results = deliveries.iter().map(|delivery| {
            let result = delivery.result.as_ref();
            let result = result.cloned().map_err(|why| format!("{why:#}"));
            (delivery.key.clone(), result)
        });
        let _ = spool.keep_drill(&report, results, now.wall);
    }
    if args.json {
        show_json(out, &report, &deliveries, &failures, warning.as_deref())?;
    } else {
        show_verdict(out, &deliveries, &loaded.all_routes(&call.job), args.send);
        let doctor = format!("lastwords doctor {}", name(&call.job));
        let doctor = typed::commands(&doctor, &args.hook.places);
        show_end(out, &failures, &doctor, args.send);
    }
    Ok(ExitCode::from(u8::from(!failures.is_empty())))
}

/// Makes the report of the simulated crash. It is judged, explained and collected as a real one is.
pub fn report(shape: &Shape, call: &Call, loaded: &Loaded, host: &Host, now: Now) -> Report {
    let exit = shape
        .signal
        .clone()
        .unwrap_or(Exit::Code(shape.exit_code.into()));
    let evidence = Evidence {
        source: "simulation".into(),
        line: None,
        text: format!("a simulated crash: {exit}"),
    };
    let account = Account::from(Ending::Ended(MainExit {
        exit,
        pid: None,
        evidence,
    }));
    let marker = Marker::new(host.boot_id(), now);
    // A drill is about sending, so an exit that the job calls normal is reported here all the same.
    let plan_lasts = loaded.job.stop_timeout;
    let judgement = judge(&Case {
        account: &account,
        marker: &marker,
        oom: None,
        normal: &[],
        plan_lasts,
        silent_early_stop: false,
        is_silence_normal: false,
        now,
    });
    let stop = Stop {
        invocation: call
            .supervisor
            .current_life(&call.job, call.instance.as_deref(), host),
        ..capture::stop(call, &judgement, None, now)
    };
    let (collectors, logs) = collectors(shape, loaded, &stop, host);
    let budget = BUDGET + collectors.iter().map(|it| it.patience()).sum::<Duration>();
    let sections = runner::run(collectors, &stop, host, budget, &loaded.redactor);
    let clues = Clues {
        logs,
        ..Clues::default()
    };
    let mut report = capture::report(stop, judgement, sections, &clues, loaded, host, now);
    report.drill = true;
    loaded.redactor.report(&mut report);
    report
}

fn collectors(
    shape: &Shape,
    loaded: &Loaded,
    stop: &Stop,
    host: &Host,
) -> (Vec<Box<dyn Collector>>, Vec<DeepTail>) {
    let mut collect = capture::collect(loaded, stop, None, host);
    // Without a life that the service has now, the journal has nothing to tell.
    collect.journal = collect.journal.filter(|_| stop.invocation.is_some());
    if let Some(file) = &shape.log {
        let path = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        collect.log = vec![Log::new(path.to_string_lossy())];
    }
    let logs = capture::deep_tails(&mut collect, &loaded.redactor);
    (collect.list(), logs)
}

/// Returns what the sink would send. The report in it is redacted already. A command of the config
/// may hold words that are not.
fn preview(sink: &dyn Sink, report: &Report, host: &Host) -> Result<String> {
    let preview = sink
        .preview(report, host)
        .map_err(|why| anyhow!("{}", redact(&format!("{why:#}"))))?;
    Ok(redact(&preview).into_owned())
}

fn send(args: &SimulateArgs, sink: &dyn Sink, report: &Report) -> Result<String> {
    match attempt::make(&args.hook.places, sink, report) {
        Attempt::Sent { receipt } => Ok(receipt),
        Attempt::Retry { why, .. } => {
            Err(anyhow!("{why} (at a real crash it would be tried again)"))
        }
        Attempt::Refused { why } => Err(anyhow!("{why} (it would not be tried again)")),
    }
}

/// Returns what would have failed at a real crash, the sinks aside. A right that only root has is
/// no failure: a real hook has it.
fn failures(report: &Report, loaded: &Loaded) -> Vec<String> {
    let sections = report
        .sections
        .iter()
        .filter(|section| match section.status {
            Status::Ok => false,
            Status::Failed | Status::TimedOut => true,
            Status::Denied => geteuid().is_root(),
        });
    let sections = sections.map(|section| {
        format!(
            "{}: {}",
            section.collector,
            render::one_line(&section.text, 200)
        )
    });
    let config = loaded
        .problems
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| format!("config: {it}"));
    config.chain(sections).collect()
}

fn show_report(out: &mut impl Write, report: &Report, warning: Option<&str>) {
    let _ = writeln!(
        out,
        "{HEAD}DRILL{HEAD:#} a crash of {} is simulated; nothing died\n",
        name(&report.stop.service())
    );
    if let Some(warning) = warning {
        let _ = writeln!(out, "{BAD}warning{BAD:#}    {}", name(warning));
    }
    let _ = writeln!(
        out,
        "verdict    {}: {}",
        report.verdict, report.verdict_because
    );
    let _ = writeln!(out, "cause      {}", name(&report.cause.line));
    for section in &report.sections {
        let (style, word) = match section.status {
            Status::Ok => (GOOD, "ok"),
            Status::Failed => (BAD, "failed"),
            Status::TimedOut => (BAD, "timed out"),
            Status::Denied => (DIM, "not shown without root"),
        };
        let _ = write!(
            out,
            "collected  {:<12} {style}{word}{style:#} in {} ms",
            name(&section.collector),
            section.millis
        );
        let _ = match section.status {
            Status::Ok => writeln!(out),
            _ => writeln!(out, ": {}", render::one_line(&section.text, 200)),
        };
    }
    for note in &report.notes {
        let _ = writeln!(out, "note       {}", name(note));
    }
    let _ = writeln!(out, "message    {}", render::subject(report));
}

/// Shows exactly what a sink would be sent, or its receipt.
fn show_message(out: &mut impl Write, delivery: &Delivery) {
    if let Ok(message) = &delivery.result {
        let (name, kind) = (name(delivery.sink.name()), delivery.sink.kind());
        let message = render::clean(message);
        let _ = writeln!(
            out,
            "\n{HEAD}──── {name} ({kind}){HEAD:#}\n{}",
            message.trim_end()
        );
    }
}

/// Says for each sink whether it would get the message, or has got it.
fn show_verdict(out: &mut impl Write, deliveries: &[Delivery], all: &[Route], sent: bool) {
    let title = if sent {
        "who has got it:"
    } else {
        "who would get it:"
    };
    let _ = writeln!(out, "\n{HEAD}{title}{HEAD:#}");
    let mut row = |style: Style, word: &str, sink: &dyn Sink, why: &str| {
        let (name, kind) = (name(sink.name()), sink.kind());
        let why = render::one_line(why, 300);
        let _ = writeln!(out, "  {style}{word:<3}{style:#}  {name} ({kind}): {why}");
    };
    for Delivery { sink, result, .. } in deliveries {
        match result {
            // A message begins with the way that it would go.
            Ok(text) => {
                let way = text.lines().next().unwrap_or_default();
                row(GOOD, "yes", *sink, way.trim_end().trim_end_matches(':'));
            }
            Err(why) => row(BAD, "no", *sink, &format!("{why:#}")),
        }
    }
    for Route { key, sink } in all {
        if deliveries.iter().all(|delivery| delivery.key != *key) {
            row(DIM, "no", *sink, "the job's `sinks` does not name it");
        }
    }
    if deliveries.is_empty() {
        let _ = writeln!(
            out,
            "  nobody: no sink is configured for it, so the report would only be kept for \
             `lastwords show`"
        );
    }
}

fn show_end(out: &mut impl Write, failures: &[String], doctor: &str, sent: bool) {
    let _ = writeln!(out);
    for failure in failures {
        let _ = writeln!(
            out,
            "{BAD}would fail{BAD:#} {}",
            render::one_line(failure, 300)
        );
    }
    let said = if sent {
        "the drill is over".to_owned()
    } else {
        format!(
            "nothing was sent, and no sink was asked. --full shows the messages; --send sends \
             them, marked as a drill; `{doctor}` asks the sinks"
        )
    };
    let _ = writeln!(out, "{said}");
}

fn show_json(
    out: &mut impl Write,
    report: &Report,
    deliveries: &[Delivery],
    failures: &[String],
    warning: Option<&str>,
) -> Result<()> {
    let sinks: Vec<_> = deliveries
        .iter()
        .map(|Delivery { sink, result, .. }| match result {
            Ok(text) => json!({ "name": sink.name(), "kind": sink.kind(), "ok": true, "text": text }),
            Err(why) => json!({ "name": sink.name(), "kind": sink.kind(), "ok": false, "error": format!("{why:#}") }),
        })
        .collect();
    let warnings = Vec::from_iter(warning);
    let all = json!({
        "report": report, "sinks": sinks, "failures": failures, "warnings": warnings,
    });
    let _ = writeln!(out, "{}", escaped(&serde_json::to_string_pretty(&all)?));
    Ok(())
}

/// Makes a name from outside fit for a terminal.
fn name(text: &str) -> String {
    render::one_line(text, 200)
}
