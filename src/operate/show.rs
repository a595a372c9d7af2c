//! `show`: prints one report for people, and what each sink has done with it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::clock::Now;
use crate::operate::history::table::width;
use crate::operate::history::told::{self, Addressed, Configs, Untold};
use crate::operate::history::{Entries, last, terminal_width};
use crate::operate::json::escaped;
use crate::operate::wrap::wrapped;
use crate::places::Places;
use crate::render::{self, View};
use crate::report::{Report, SinkKey};
use crate::spool::{Ledger, Place, Spool};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// The report's id, or as much of its beginning or end as no other has; or `last`
    #[arg(default_value = "last")]
    id: String,
    /// The last report about this job
    #[arg(long, conflicts_with = "id")]
    job: Option<String>,
    /// Print the report itself, as JSON: `lastwords schema report` describes it
    #[arg(long, conflicts_with = "html")]
    json: bool,
    /// Write the message as HTML into this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
}

/// Width of the labels in a message's text.
const LABEL: usize = 9;

const EXAMPLES: &str = "\
Examples:
  lastwords show                          the last report
  lastwords show --job web                the last one about web
  lastwords show 3f9a                     the one that `lastwords list` shows so
  lastwords show last --html crash.html   the message, for a browser
  lastwords show --json | jq -r '.sections[] | .collector + \": \" + .text'";

pub fn run(args: &ShowArgs, out: &mut impl Write) -> Result<ExitCode> {
    let spool = args.places.spool_in_use();
    let (report, place) = find(&args.id, args.job.as_deref(), &args.places)?;
    let id = &report.id;
    if let Some(file) = &args.html {
        write_private(file, &render::html_of(&View::of(&report)))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let _ = writeln!(out, "{id} is in {}", file.display());
    } else if args.json {
        let _ = writeln!(out, "{}", escaped(&serde_json::to_string_pretty(&report)?));
    } else {
        let text = render::text(&report);
        let text = terminal_width().map_or(text.clone(), |width| on_terminal(&text, width));
        let _ = writeln!(out, "{}", text.trim_end());
        let _ = write!(out, "{}", deliveries(args, &spool, &report, place)?);
    }
    let _ = out.flush();
    Ok(ExitCode::SUCCESS)
}

/// Returns the report of this id, or the `last` one (of this job if one is named), and where it is.
pub fn find(id: &str, job: Option<&str>, places: &Places) -> Result<(Report, Place)> {
    let spool = places.spool_in_use();
    let entries = Entries::of(places)?;
    let (id, place) = if id == "last" {
        last(&entries, &spool, job)?
    } else {
        entries.named(id)?
    };
    // A deliverer may have moved it since.
    let place = spool.find(id).unwrap_or(place);
    let mut report = spool
        .read(place, id)
        .with_context(|| format!("cannot read the report {id}"))?;
    // It is no longer so: it is the answer that made the message due.
    report.now = None;
    Ok((report, place))
}

/// Breaks the lines above the sections where a terminal of this width would break a word. Lines of
/// sections are a log's own.
fn on_terminal(text: &str, most: usize) -> String {
    let facts = text.find("\n--- ").unwrap_or(text.len());
    let (facts, sections) = text.split_at(facts);
    let line = |line: &str| {
        let (label, rest) = line.split_at(line.floor_char_boundary(LABEL));
        let is_fact = label.len() == LABEL && label.ends_with(' ');
        if is_fact {
            format!("{label}{}", wrapped(rest, most, LABEL))
        } else {
            wrapped(line, most, 0)
        }
    };
    let lines: Vec<_> = facts.split('\n').map(line).collect();
    lines.join("\n") + sections
}

/// Says what each sink has done with it.
fn deliveries(args: &ShowArgs, spool: &Spool, report: &Report, place: Place) -> Result<String> {
    let report = Addressed {
        id: &report.id,
        place,
        to: &report.to,
        job: &report.stop.job,
    };
    let ledgers = told::ledgers(spool, &mut Configs::new(&args.places), report)?;
    let now = Now::read().wall;
    let untold = Untold::new(spool, now);
    let names: Vec<String> = ledgers.keys().map(told::name).collect();
    let widest = names
        .iter()
        .map(|name| width(name))
        .max()
        .unwrap_or_default();
    let line = |(name, (key, ledger)): (&String, (&SinkKey, &Ledger))| {
        let space = " ".repeat(widest.saturating_sub(width(name)));
        let standing = untold.standing(key, report.job, ledger);
        let words = told::in_words(ledger, standing, now);
        format!("  {name}{space}  {words}\n")
    };
    let lines: String = names.iter().zip(&ledgers).map(line).collect();
    let nobody = if ledgers.is_empty() {
        "  no one: no sink is configured for this report\n"
    } else {
        ""
    };
    Ok(format!("\n--- who was told ---\n{lines}{nobody}"))
}

/// There are log lines in it.
fn write_private(file: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::on_terminal;

    #[test]
    fn facts_are_broken_between_words_and_logs_are_not() {
        let text =
            "web crashed: one two\n\nWhy      one two three four\n\n--- log ---\n  one two three";
        let shown = "web crashed: one\ntwo\n\nWhy      one two\n         three\n         four\n\n\
                     --- log ---\n  one two three";
        assert_eq!(on_terminal(text, 16), shown);
    }
}
