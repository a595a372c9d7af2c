//! `stats`: counts how often each job dies and of what, and how soon people were told.

mod count;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use clap::Args;

use crate::clock::Now;
use crate::operate::history::table::{Cell, Column, table};
use crate::operate::history::told::{self, Addressed, Configs};
use crate::operate::history::{Entries, Reader, from_now, minute, say, terminal_width};
use crate::operate::json::escaped;
use crate::operate::stats::count::{Counts, JobCounts, SinkCounts};
use crate::places::Places;
use crate::render::one_line;
use crate::report::Timestamp;
use crate::when::length_of_seconds;

const MONTH: Duration = Duration::from_hours(30 * 24);
/// Maximum number of causes that are shown for a job.
const CAUSES: usize = 5;

const JOBS: [Column; 7] = [
    Column::new("JOB").gives_way(1),
    Column::new("24 H").right(),
    Column::new("7 D").right(),
    Column::new("30 D").right(),
    Column::new("LAST 14 DAYS"),
    Column::new("UP BEFORE").right(),
    Column::new("LAST (UTC)"),
];
const WHY: [Column; 4] = [
    Column::new("JOB").gives_way(3),
    Column::new("30 D").right(),
    Column::new("LAST"),
    Column::new("WHY").gives_way(6),
];
const SINKS: [Column; 6] = [
    Column::new("SINK").gives_way(1),
    Column::new("SENT").right(),
    Column::new("SUMMED UP").right(),
    Column::new("WAITING").right(),
    Column::new("FAILED").right(),
    Column::new("TOOK").right(),
];

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatsArgs {
    /// Only this job
    #[arg(long)]
    job: Option<String>,
    /// Print JSON: one object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: Places,
}

const EXAMPLES: &str = "\
Counted is what the spool still has of the last 30 days, drills excepted.
UP BEFORE is the median of how long a job ran before it died. FAILED is what a
sink has refused for good or has not taken in five days, or what was dropped
by hand. TOOK is the median of the time from a report to its receipt.

Examples:
  lastwords stats
  lastwords stats --job web
  lastwords stats --json | jq '.jobs[] | select(.day > 10) | .job'

JSON has jobs, each with job, day, week, month (numbers of deaths), days (14 of
them, the last one today's), last, median_uptime_s and causes (kind, line,
fingerprint, count, last); and sinks, each with sink, sent, summarised,
waiting, failed and median_seconds.";

pub fn run(args: &StatsArgs, out: &mut impl Write) -> Result<ExitCode> {
    let spool = args.places.spool_in_use();
    let entries = Entries::of(&args.places)?;
    let now = Now::read().wall;
    let since = now
        .time()
        .checked_sub(MONTH)
        .map_or(Timestamp::of_unix(0), Timestamp::new);
    let (mut reader, mut configs) = (Reader::new(&spool), Configs::new(&args.places));
    let mut counts = Counts::new(now);
    for (id, place) in entries.since(Some(since)) {
        let Some(brief) = reader.read(id, *place) else {
            continue;
        };
        if brief.drill || args.job.as_ref().is_some_and(|job| *job != brief.stop.job) {
            continue;
        }
        counts.death(&brief);
        for (key, ledger) in told::ledgers(&spool, &mut configs, Addressed::of(&brief, *place))? {
            counts.delivery(&told::name(&key), &ledger, brief.made_at());
        }
    }
    if args.json {
        let _ = writeln!(out, "{}", escaped(&format!("{:#}", counts.json())));
    } else {
        print(&counts, now, out);
    }
    let _ = out.flush();
    reader
        .complaint()
        .iter()
        .for_each(|complaint| say(complaint));
    Ok(ExitCode::SUCCESS)
}

fn print(counts: &Counts, now: Timestamp, out: &mut impl Write) {
    let jobs = counts.jobs();
    if jobs.is_empty() {
        let _ = writeln!(out, "Nothing has died in the last 30 days.");
    } else {
        let terminal = terminal_width();
        let rows: Vec<_> = jobs.iter().map(|job| job_cells(job)).collect();
        let _ = writeln!(out, "{}", table(&JOBS, &rows, terminal));
        let causes: Vec<_> = jobs.iter().flat_map(|job| cause_cells(job, now)).collect();
        let _ = write!(out, "{}", table(&WHY, &causes, terminal));
    }
    let sinks: Vec<_> = counts
        .sinks
        .iter()
        .map(|(name, sink)| sink_cells(name, sink))
        .collect();
    if !sinks.is_empty() {
        let _ = write!(out, "\n{}", table(&SINKS, &sinks, terminal_width()));
    }
}

fn job_cells(job: &JobCounts) -> [Cell; 7] {
    [
        Cell::coloured(one_line(&job.name, 80), AnsiColor::Cyan),
        Cell {
            text: job.day.to_string(),
            style: if job.day > 0 {
                Style::new().bold()
            } else {
                Style::new()
            },
        },
        Cell::new(job.week.to_string()),
        Cell::new(job.month.to_string()),
        Cell::coloured(sparkline(&job.days), AnsiColor::Red),
        Cell::new(
            job.median_uptime()
                .and_then(length_of_seconds)
                .unwrap_or_default(),
        ),
        Cell::new(minute(job.last)),
    ]
}

fn cause_cells(job: &JobCounts, now: Timestamp) -> Vec<[Cell; 4]> {
    let cells = |cause: &count::CauseCounts| {
        [
            Cell::coloured(one_line(&job.name, 80), AnsiColor::Cyan),
            Cell::new(cause.count.to_string()),
            Cell::new(from_now(cause.last, now)),
            Cell::new(one_line(&cause.line, 500)),
        ]
    };
    job.causes().into_iter().take(CAUSES).map(cells).collect()
}

fn sink_cells(name: &str, sink: &SinkCounts) -> [Cell; 6] {
    let bad = |count: u64, colour: AnsiColor| {
        if count > 0 {
            Cell::coloured(count.to_string(), colour)
        } else {
            Cell::new("0")
        }
    };
    [
        Cell::new(name),
        Cell::new(sink.sent.to_string()),
        Cell::new(sink.summarised.to_string()),
        bad(sink.waiting, AnsiColor::Yellow),
        bad(sink.failed, AnsiColor::Red),
        Cell::new(
            sink.median_seconds()
                .and_then(length_of_seconds)
                .unwrap_or_default(),
        ),
    ]
}

/// Draws a bar for each number, as high as it is against the greatest. Of small numbers, each is a
/// step.
fn sparkline(numbers: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let greatest = numbers.iter().copied().max().unwrap_or_default();
    let bar = |number: &u64| match number.saturating_mul(8).div_ceil(greatest.max(8)) {
        0 => '·',
        height => usize::try_from(height - 1)
            .ok()
            .and_then(|height| BARS.get(height))
            .copied()
            .unwrap_or('█'),
    };
    numbers.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_has_a_bar_a_day() {
        assert_eq!(sparkline(&[0, 1, 2, 4, 8, u64::MAX / 16]), "·▁▁▁▁█");
        assert_eq!(sparkline(&[0, 1, 2, 4, 8]), "·▁▂▄█");
        assert_eq!(sparkline(&[0, 0]), "··");
        assert_eq!(sparkline(&[1]), "▁");
    }

    #[test]
    fn stats_read_as_documentation() {
        let now = Timestamp::try_from("2026-11-23T12:00:00Z".to_owned()).unwrap();
        let mut out = Vec::new();
        print(&count::tests::example(now), now, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "\
JOB   24 H  7 D  30 D  LAST 14 DAYS     UP BEFORE  LAST (UTC)
web      2    3     4  ·········▁···▂  1 h 30 min  2026-11-23 11:00
feed     0    1     1  ···········▁··              2026-11-21 12:00

JOB   30 D  LAST         WHY
web      3  60 min ago   port in use: address already in use :::9000
web      1  20 days ago  exit code 1
feed     1  2 days ago   exit code 1

SINK       SENT  SUMMED UP  WAITING  FAILED  TOOK
ops-mail      1          1        0       0   2 s
ops-slack     0          0        1       1
"
        );
    }
}
