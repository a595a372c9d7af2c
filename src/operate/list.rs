//! `list`: shows what died, when, why, how often, and who was told.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::clock::Now;
use crate::operate::history::table::{Cell, Column, table};
use crate::operate::history::told::{self, Addressed, Configs, Standing, Untold};
use crate::operate::history::{
    Entries, Reader, Since, minute, parse_since, say, short_id, terminal_width, told_of,
};
use crate::operate::json::escaped;
use crate::places::Places;
use crate::render::one_line;
use crate::report::{Kind, ReportId, SinkKey, Timestamp};
use crate::spool::{Brief, Place, Spool};

/// Longest texts in a row, in characters.
const JOB: usize = 80;
const WHY: usize = 500;

const COLUMNS: [Column; 6] = [
    Column::new("WHEN (UTC)"),
    Column::new("ID"),
    Column::new("JOB").gives_way(3),
    Column::new("TIMES").right(),
    Column::new("TOLD").gives_way(3),
    Column::new("WHY").gives_way(6),
];

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// Only this job
    #[arg(long)]
    job: Option<String>,
    /// Only what is not older: `2d`, `90min`, or a date in UTC, `2026-11-20`
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    since: Option<Since>,
    /// Only deaths of this cause: a part of its line or its kind, as `oom-killed`
    #[arg(long, value_name = "TEXT")]
    cause: Option<String>,
    /// Only these kinds, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "crash,drill")]
    kind: Vec<Listed>,
    /// Only reports that some sink does not have: they wait, are counted for a summary, were
    /// refused, given up or dropped
    #[arg(long)]
    undelivered: bool,
    /// Show each report in a row of its own; default: deaths of one cause are one row
    #[arg(long)]
    all: bool,
    /// Show at most this many rows, the newest; 0 for all
    #[arg(short = 'n', long = "rows", value_name = "N", default_value_t = 20)]
    rows: usize,
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

const EXAMPLES: &str = "\
The newest come first. Deaths of one job and one cause are one row, with their
number and the id of the latest. The ID is the end of the report's id; every
command takes it.

Examples:
  lastwords list --since 2d                 what died in the last two days
  lastwords list --job web --all            each crash of web
  lastwords list --cause oom                what the kernel killed for memory
  lastwords list --undelivered              reports that a sink has not received
  lastwords list --kind summary,recovered   the other messages
  lastwords list -n 0 --json | jq -r '[.count, .job, .cause.line] | @tsv'
  lastwords show 3f9a                       everything about one of them

JSON has id, job, instance, host, kind, drill, verdict, count, first, last,
exit, cause (kind, line, confidence), fingerprint, place (new, done, dead) and
told: what each sink did with the latest, by its name: state (sent,
summarised, counted, dropped, waiting, given up, refused), tries, last_try,
next_try, and receipt, error, in (the summary's id) or due (of the summary).

Exits with 0, even if nothing is found.";

/// Kinds of reports to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
enum Listed {
    Crash,
    Drill,
    Summary,
    Recovered,
    Down,
    Notice,
}

impl Listed {
    fn of(brief: &Brief) -> Self {
        match brief.kind {
            Kind::Crash if brief.drill => Self::Drill,
            Kind::Crash => Self::Crash,
            Kind::Summary { .. } => Self::Summary,
            Kind::Recovered { .. } => Self::Recovered,
            Kind::Down { .. } => Self::Down,
            Kind::Notice => Self::Notice,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::Drill => "drill",
            Self::Summary => "summary",
            Self::Recovered => "recovered",
            Self::Down => "down",
            Self::Notice => "notice",
        }
    }
}

/// The reports of one row.
struct Row {
    latest: Brief,
    members: Vec<(ReportId, Place)>,
    first: Timestamp,
    last: Timestamp,
    /// True if they are of several instances.
    mixed: bool,
}

/// Facts that deaths in one row have in common.
type Same = (Listed, String, Option<u32>, String, String);

pub fn run(args: &ListArgs, out: &mut impl Write) -> Result<ExitCode> {
    let spool = args.places.spool_in_use();
    let entries = Entries::of(&args.places)?;
    let mut reader = Reader::new(&spool);
    let mut configs = Configs::new(&args.places);
    let now = Now::read().wall;
    let untold = Untold::new(&spool, now);
    let (rows, more) = rows(args, &entries, &mut reader, &mut configs, &untold);
    let told: Vec<_> = rows
        .iter()
        .map(|row| row.told(&spool, &mut configs, &untold))
        .collect();
    if args.json {
        for (row, told) in rows.iter().zip(told) {
            let _ = writeln!(out, "{}", escaped(&row.json(&told).to_string()));
        }
    } else if rows.is_empty() {
        let some = if entries.since(None).next().is_some() {
            "that matches"
        } else {
            "yet"
        };
        say(&format!("there is no report {some}"));
    } else {
        let short = entries.short();
        let cells: Vec<_> = rows
            .iter()
            .zip(&told)
            .map(|(row, told)| row.cells(short, told, now))
            .collect();
        let _ = write!(out, "{}", table(&COLUMNS, &cells, terminal_width()));
    }
    let _ = out.flush();
    if more > 0 {
        say(&format!("{more} more rows: -n 0 shows all"));
    }
    let complaints = [entries.in_memory(), reader.complaint()];
    complaints
        .iter()
        .flatten()
        .for_each(|complaint| say(complaint));
    Ok(ExitCode::SUCCESS)
}

/// Returns the rows that are asked for, newest first, and how many there are beyond `-n`.
fn rows(
    args: &ListArgs,
    entries: &Entries,
    reader: &mut Reader,
    configs: &mut Configs,
    untold: &Untold,
) -> (Vec<Row>, usize) {
    let since = args.since.map(|since| since.time(Now::read().wall));
    let most = if args.rows == 0 {
        usize::MAX
    } else {
        args.rows
    };
    let cause = args.cause.as_ref().map(|text| text.to_lowercase());
    let mut rows: Vec<Row> = Vec::new();
    let mut known: HashMap<Same, usize> = HashMap::new();
    for (id, place) in entries.since(since) {
        // When folded, the oldest report may belong to the newest row. Otherwise nothing more is
        // read.
        if args.all && rows.len() == most {
            break;
        }
        let Some(brief) = reader.read(id, *place) else {
            continue;
        };
        let fits = args.job.as_ref().is_none_or(|job| *job == brief.stop.job)
            && since.is_none_or(|since| brief.made_at() >= since)
            && args.kind.contains(&Listed::of(&brief))
            && cause.as_ref().is_none_or(|text| is_cause(&brief, text))
            && (!args.undelivered || is_undelivered(reader.spool, configs, untold, &brief, *place));
        if !fits {
            continue;
        }
        match known.get(&same(&brief)).and_then(|row| rows.get_mut(*row)) {
            Some(row) if !args.all => row.add(&brief, *place),
            _ => {
                known.insert(same(&brief), rows.len());
                rows.push(Row::of(brief, *place));
            }
        }
    }
    // An id is older than its summary: it was made up when the summary's crashes were counted.
    rows.sort_by_key(|row| Reverse(row.last));
    let more = rows.len().saturating_sub(most);
    rows.truncate(most);
    (rows, more)
}

fn is_cause(brief: &Brief, text: &str) -> bool {
    let kind = json!(brief.cause.kind);
    kind.as_str().is_some_and(|kind| kind.contains(text))
        || brief.cause.line.to_lowercase().contains(text)
}

fn is_undelivered(
    spool: &Spool,
    configs: &mut Configs,
    untold: &Untold,
    brief: &Brief,
    place: Place,
) -> bool {
    let job = &brief.stop.job;
    // Every sink has taken what is in done/, or counted it.
    (place != Place::Done || untold.has(job))
        && told::ledgers(spool, configs, Addressed::of(brief, place)).is_ok_and(|ledgers| {
            let is_told = |(key, ledger)| untold.standing(key, job, ledger).is_told();
            !ledgers.iter().all(is_told)
        })
}

fn same(brief: &Brief) -> Same {
    let id = if Listed::of(brief) == Listed::Crash {
        String::new()
    } else {
        brief.id.to_string()
    };
    (
        Listed::of(brief),
        brief.stop.job.clone(),
        brief.user,
        brief.fingerprint.clone(),
        id,
    )
}

impl Row {
    fn of(latest: Brief, place: Place) -> Self {
        let at = latest.made_at();
        Self {
            members: vec![(latest.id.clone(), place)],
            first: at,
            last: at,
            mixed: false,
            latest,
        }
    }

    fn add(&mut self, earlier: &Brief, place: Place) {
        self.members.push((earlier.id.clone(), place));
        self.first = self.first.min(earlier.made_at());
        self.last = self.last.max(earlier.made_at());
        self.mixed |= self.latest.stop.instance != earlier.stop.instance;
    }

    fn service(&self) -> String {
        let stop = &self.latest.stop;
        one_line(
            &if self.mixed {
                stop.job.clone()
            } else {
                stop.service()
            },
            JOB,
        )
    }

    /// Returns the state of each sink: of several reports the worst. Of the reports that every sink
    /// took, one is enough.
    fn told(&self, spool: &Spool, configs: &mut Configs, untold: &Untold) -> Recipients {
        let mut told = Recipients {
            latest: BTreeMap::new(),
            worst: BTreeMap::new(),
        };
        for (i, (id, place)) in self.members.iter().enumerate() {
            if i > 0 && *place == Place::Done {
                continue;
            }
            let report = Addressed {
                id,
                ..Addressed::of(&self.latest, *place)
            };
            let ledgers = told::ledgers(spool, configs, report).unwrap_or_default();
            for (key, ledger) in &ledgers {
                let state = untold.standing(key, &self.latest.stop.job, ledger);
                told.worst
                    .entry(key.clone())
                    .and_modify(|worst| *worst = state.max(*worst))
                    .or_insert(state);
            }
            if i == 0 {
                told.latest = ledgers
                    .iter()
                    .map(|(key, ledger)| {
                        let state = untold.standing(key, &self.latest.stop.job, ledger);
                        (told::name(key), told::as_json(ledger, state))
                    })
                    .collect();
            }
        }
        told
    }

    fn cells(&self, short: usize, told: &Recipients, now: Timestamp) -> [Cell; 6] {
        let times = match self.members.len() {
            1 => Cell::dim("1"),
            times => Cell {
                text: times.to_string(),
                style: Style::new().bold(),
            },
        };
        let colour = if self.latest.drill {
            AnsiColor::Yellow
        } else {
            AnsiColor::Cyan
        };
        [
            Cell::new(minute(self.last)),
            Cell::dim(short_id(&self.latest.id, short)),
            Cell::coloured(self.service(), colour),
            times,
            told::in_short(&told.worst, now),
            Cell::new(one_line(&told_of(&self.latest), WHY)),
        ]
    }

    fn json(&self, told: &Recipients) -> Value {
        let Brief {
            id,
            host,
            stop,
            verdict,
            cause,
            fingerprint,
            drill,
            ..
        } = &self.latest;
        json!({
            "id": id,
            "job": stop.job,
            "instance": stop.instance,
            "host": host,
            "kind": Listed::of(&self.latest).word(),
            "drill": drill,
            "verdict": verdict,
            "count": self.members.len(),
            "first": self.first,
            "last": self.last,
            "exit": stop.exit,
            "cause": {"kind": cause.kind, "line": cause.line, "confidence": cause.confidence},
            "fingerprint": fingerprint,
            "place": self.members.first().map(|(_, place)| place.name()),
            "told": told.latest,
        })
    }
}

/// The sinks that were told of a row.
struct Recipients {
    /// Of its latest report, for programs.
    latest: BTreeMap<String, Value>,
    /// Of all, by the sinks' keys.
    worst: BTreeMap<SinkKey, Standing>,
}
