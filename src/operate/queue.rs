//! `queue`: shows what waits, for whom and why; and changes that.

mod change;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::AnsiColor;
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::clock::Now;
use crate::config::Severity;
use crate::deliver::counted;
use crate::operate::history::table::{Cell, Column, table};
use crate::operate::history::told::{self, Addressed, Configs, Standing};
use crate::operate::history::{Entries, Reader, from_now, say, short_id, terminal_width};
use crate::operate::json::escaped;
use crate::places::Places;
use crate::render::one_line;
use crate::report::{ReportId, Timestamp};
use crate::spool::{Ledger, Place};
use crate::when::rough_length;

/// Longest text in a row, in characters.
const WHY: usize = 500;
/// A deliverer looks every few seconds, a timer every minute. If a report has been due for longer,
/// no deliverer runs.
const NOBODY_LOOKS: Duration = Duration::from_mins(3);

const COLUMNS: [Column; 7] = [
    Column::new("ID"),
    Column::new("JOB").gives_way(3),
    Column::new("AGE").right(),
    Column::new("SINK").gives_way(3),
    Column::new("TRIES").right(),
    Column::new("NEXT TRY"),
    Column::new("WHY IT WAITS").gives_way(6),
];

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = false)]
pub struct QueueArgs {
    #[command(subcommand)]
    change: Option<Change>,
    /// Show at most this many rows, the oldest; 0 for all
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 50)]
    rows: usize,
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

const EXAMPLES: &str = "\
A report waits until each of its sinks has taken it, has refused it for good,
or was tried for five days. Below that stand crash loops, and when their
summary is due.

Examples:
  lastwords queue                what waits, for whom, why, until when
  lastwords queue retry --all    try everything now: the mail server is back
  lastwords queue retry 3f9a     only this report
  lastwords queue drop 3f9a      stop trying to send it; dead/ keeps it

JSON has id, job, instance, since, sink, tries, first_try, last_try, next_try
(null where it is due), error and held (the mistake in the config for which it
waits, or null).";

#[derive(Debug, Subcommand)]
enum Change {
    /// Try again now, without waiting for the next try
    ///
    /// How often and for how long it was tried stays as it is. What a sink has refused for good is
    /// not tried again.
    Retry(change::RetryArgs),
    /// Stop trying to send a report
    ///
    /// Those who have it keep it. The report moves to dead/, where `lastwords show` finds it for 30
    /// days; nothing is deleted.
    Drop(change::DropArgs),
}

/// One report that waits for one sink, or for the config.
struct Waiting {
    id: ReportId,
    job: String,
    instance: Option<String>,
    service: String,
    since: Timestamp,
    /// Name of the sink; `None` if the report waits for the config.
    sink: Option<String>,
    ledger: Ledger,
    /// Faults of the config.
    held: Option<String>,
}

pub fn run(args: &QueueArgs, out: &mut impl Write) -> Result<ExitCode> {
    match &args.change {
        Some(Change::Retry(retry)) => return change::retry(retry, &args.places, out),
        Some(Change::Drop(drop)) => return change::drop(drop, &args.places, out),
        None => {}
    }
    let spool = args.places.spool_in_use();
    let entries = Entries::of(&args.places)?;
    let mut reader = Reader::new(&spool);
    let mut all = waiting(&entries, &mut reader, &args.places)?;
    let now = Now::read().wall;
    let unattended = all
        .iter()
        .map(|it| overdue(it, now))
        .max()
        .unwrap_or_default();
    let count = all.len();
    if args.rows > 0 {
        all.truncate(args.rows);
    }
    if args.json {
        for it in &all {
            let _ = writeln!(out, "{}", escaped(&it.json(now).to_string()));
        }
    } else {
        let short = entries.short();
        let rows: Vec<_> = all.iter().map(|it| it.cells(short, now)).collect();
        if rows.is_empty() {
            let _ = writeln!(out, "No report is waiting.");
        } else {
            let _ = write!(out, "{}", table(&COLUMNS, &rows, terminal_width()));
        }
        for counted in counted(&spool, now) {
            let when = told::summary(counted.due, now);
            let (service, sink) = (one_line(&counted.service, 80), told::name(&counted.sink));
            let _ = writeln!(
                out,
                "{} more of {service} counted for {sink}: {when}",
                counted.count
            );
        }
    }
    let _ = out.flush();
    let corrupt = spool.corrupt().map_or(0, |corrupt| corrupt.len());
    if corrupt > 0 {
        say(&format!(
            "{corrupt} files in {} are damaged reports, which are not sent",
            spool.corrupt_dir().display()
        ));
    }
    if count > all.len() {
        say(&format!("{} more rows: -n 0 shows all", count - all.len()));
    }
    if unattended > NOBODY_LOOKS {
        let since = rough_length(unattended).unwrap_or_default();
        say(&format!(
            "something has been due for {since}: is a deliverer running? `lastwords deliver` sends it now"
        ));
    }
    let complaints = [entries.in_memory(), reader.complaint()];
    complaints
        .iter()
        .flatten()
        .for_each(|complaint| say(complaint));
    Ok(ExitCode::SUCCESS)
}

/// Returns everything that waits, oldest first.
fn waiting(entries: &Entries, reader: &mut Reader, places: &Places) -> Result<Vec<Waiting>> {
    let mut configs = Configs::new(places);
    let mut all = Vec::new();
    for (id, place) in entries
        .since(None)
        .filter(|(_, place)| *place == Place::New)
    {
        let Some(brief) = reader.read(id, *place) else {
            continue;
        };
        let ledgers = told::ledgers(reader.spool, &mut configs, Addressed::of(&brief, *place))?;
        let held = configs
            .of(&brief.stop.job)
            .problems
            .iter()
            .find(|problem| problem.severity == Severity::Error);
        let held = held.map(ToString::to_string);
        let one = |sink: Option<String>, ledger: Ledger, held: Option<String>| Waiting {
            id: id.clone(),
            job: brief.stop.job.clone(),
            instance: brief.stop.instance.clone(),
            service: brief.stop.service(),
            since: brief.made_at(),
            sink,
            ledger,
            held,
        };
        let open = ledgers
            .into_iter()
            .filter(|(_, ledger)| Standing::of(ledger) == Standing::Waiting);
        let open = open.map(|(key, ledger)| one(Some(told::name(&key)), ledger, None));
        all.extend(open.chain(held.map(|why| one(None, Ledger::default(), Some(why)))));
    }
    all.reverse();
    Ok(all)
}

/// Returns for how long it has been due without a try.
fn overdue(waiting: &Waiting, now: Timestamp) -> Duration {
    let ledger = &waiting.ledger;
    let since = ledger.next_try.or(ledger.last_try).unwrap_or(waiting.since);
    if waiting.held.is_none() && ledger.is_due(now) {
        now.since(since)
    } else {
        Duration::ZERO
    }
}

impl Waiting {
    fn cells(&self, short: usize, now: Timestamp) -> [Cell; 7] {
        let ledger = &self.ledger;
        let (next, why) = match (&self.held, &ledger.last_error) {
            (Some(why), _) => (
                Cell::coloured("once fixed", AnsiColor::Red),
                format!("the config is broken: {why}"),
            ),
            (None, error) => {
                let next = ledger
                    .next_try
                    .filter(|_| !ledger.is_due(now))
                    .map_or("now".to_owned(), |at| from_now(at, now));
                (
                    Cell::coloured(next, AnsiColor::Yellow),
                    error.clone().unwrap_or_else(|| "not tried yet".to_owned()),
                )
            }
        };
        [
            Cell::dim(short_id(&self.id, short)),
            Cell::coloured(one_line(&self.service, 80), AnsiColor::Cyan),
            Cell::new(rough_length(now.since(self.since)).unwrap_or_else(|| "0 s".to_owned())),
            Cell::new(self.sink.clone().unwrap_or_else(|| "not known".to_owned())),
            Cell::new(ledger.attempts.to_string()),
            next,
            Cell::new(one_line(&why, WHY)),
        ]
    }

    fn json(&self, now: Timestamp) -> serde_json::Value {
        let ledger = &self.ledger;
        json!({
            "id": self.id,
            "job": self.job,
            "instance": self.instance,
            "since": self.since,
            "sink": self.sink,
            "tries": ledger.attempts,
            "first_try": ledger.first_try,
            "last_try": ledger.last_try,
            "next_try": ledger.next_try.filter(|_| !ledger.is_due(now)),
            "error": ledger.last_error,
            "held": self.held,
        })
    }
}
