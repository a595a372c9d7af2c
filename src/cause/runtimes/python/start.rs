//! A Python program that does not even start: the words of the interpreter, argparse, click,
//! gunicorn and uvicorn.

use crate::cause::beneath;
use crate::cause::finding::ExpectedExit::{self, Code};
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::is_like;
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of lines of usage before the error.
const USAGE: usize = 40;

pub const REFUSALS: [&str; 4] = [
    ": can't open file",
    ": No module named ",
    "can't find '__main__' module",
    ": Error while ",
];

/// Reads how the interpreter refuses to run a program.
pub fn refusal(spot: &Spot) -> Option<Finding> {
    let what = said_by_interpreter(spot.text())?;
    let (kind, ends) = refused(what)?;
    Some(Finding::at(spot.at..spot.at + 1, kind, what.trim()).last_words(ends))
}

/// Returns the complaint about arguments with these words.
fn bad_arguments(spot: &Spot, what: &str) -> Finding {
    let finding = Finding::at(spot.at..spot.at + 1, Death::BadArguments, what.trim());
    finding.last_words(&[Code(2)])
}

/// Reads the error below the usage text of argparse, optparse or click.
pub fn usage(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let text = spot.text();
    let is_error = text.contains(": error: ") && follows_usage(lines, at)
        || text.starts_with("Error: ") && follows_click_usage(lines, at);
    // If the message has several lines, click puts only `Error:` on the first one.
    let (text, next) = (text.trim_end(), line_text(lines, at + 1));
    let more = if text == "Error:" { next } else { "" };
    is_error.then(|| bad_arguments(spot, &format!("{text} {more}")))
}

/// Reads click's error in one of rich's boxes.
pub fn boxed(spot: &Spot) -> Option<Finding> {
    follows_click_usage(spot.lines, spot.at).then_some(())?;
    let what = spot.lines.get(spot.at + 1)?.text.trim_matches(['│', ' ']);
    Some(bad_arguments(spot, &format!("Error: {what}")))
}

/// Reads `Unknown option: -Z`, and the interpreter's usage.
pub fn option(spot: &Spot) -> Option<Finding> {
    let next = line_text(spot.lines, spot.at + 1);
    is_like(next, &["usage: …python…"]).then(|| bad_arguments(spot, spot.text()))
}

/// Reads the complaint of Django's and Flask's development servers.
pub fn port(spot: &Spot) -> Option<Finding> {
    let is_told = spot.text().starts_with("Port ") || spot.text().starts_with("Error: ");
    let finding = Finding::at(spot.at..spot.at + 1, Death::PortInUse, spot.text().trim());
    is_told.then(|| finding.said(&[Code(1)]))
}

/// Returns the message behind `python3: ` or `/usr/bin/python3.11: `.
fn said_by_interpreter(text: &str) -> Option<&str> {
    let (program, what) = text.split_once(": ")?;
    let name = program.rsplit('/').next()?;
    let version = name
        .strip_prefix("python")
        .or_else(|| name.strip_prefix("pypy"))?;
    version
        .chars()
        .all(|c| c.is_ascii_digit() || c == '.')
        .then_some(what)
}

/// Returns the kind and the exits if the interpreter refuses to run a program; see
/// `pymain_run_python` in `CPython`.
fn refused(what: &str) -> Option<(Death, &'static [ExpectedExit])> {
    if what.starts_with("can't open file") {
        let kind = beneath::kind(what).unwrap_or(Death::NoSuchFile);
        return Some((kind, &[Code(2)]));
    }
    let is_missing = is_like(
        what,
        &["No module named …", "can't find '__main__' module…"],
    );
    let is_import = || is_like(what, &["…No module named…", "…ImportError…"]);
    let kind = if is_missing || is_import() {
        Death::MissingModule
    } else {
        Death::UncaughtException
    };
    (is_missing || what.starts_with("Error while ")).then_some((kind, &[Code(1)]))
}

/// Returns true if the usage text of argparse or optparse stands right before a line.
fn follows_usage(lines: &[LogLine], i: usize) -> bool {
    let before = lines
        .get(i.saturating_sub(USAGE)..i)
        .unwrap_or_default()
        .iter()
        .rev();
    let mut rest = before.skip_while(|line| line.is_blank() || line.text.starts_with(' '));
    rest.next()
        .is_some_and(|line| line.text.starts_with("usage: ") || line.text.starts_with("Usage: "))
}

/// Returns true if the usage text of click stands right before a line.
fn follows_click_usage(lines: &[LogLine], i: usize) -> bool {
    let before = lines.get(i.saturating_sub(6)..i).unwrap_or_default();
    before.iter().any(|line| line.text.starts_with("Usage: "))
}
