//! A Python program that does not even start: the words of the interpreter, argparse, click,
//! gunicorn and uvicorn.

use super::server;
use crate::cause::beneath;
use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Maximum number of lines of usage before the error.
const USAGE: usize = 40;

pub fn read(lines: &[LogLine], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let line = lines.get(i)?;
    let text = line.text.as_str();
    if let Some(entry) = &line.entry {
        return server::read(lines, i, &entry.message, found);
    }
    let mut add = |kind, proof, ends, what: &str| {
        let what = what.trim().to_owned();
        found.push(Finding {
            lines: i..i + 1,
            quoted: i,
            kind,
            what,
            place: None,
            proof,
            ends,
        });
        Some(i + 1)
    };
    if let Some(what) = said_by_interpreter(text) {
        let (kind, ends) = refusal(what)?;
        return add(kind, Proof::LastWords, ends, what);
    }
    let is_usage_error = || {
        text.contains(": error: ") && follows_usage(lines, i)
            || text.starts_with("Error: ") && follows_click_usage(lines, i)
    };
    if text.contains("rror: ") && is_usage_error() {
        // If the message has several lines, click puts only `Error:` on the first one.
        let more = lines
            .get(i + 1)
            .filter(|_| text.trim_end() == "Error:")
            .map_or("", |line| line.text.as_str());
        return add(
            Death::BadArguments,
            Proof::LastWords,
            &[ExpectedExit::Code(2)],
            &format!("{} {more}", text.trim_end()),
        );
    }
    if text.starts_with("╭─ Error ─") && follows_click_usage(lines, i) {
        let what = lines.get(i + 1)?.text.trim_matches(['│', ' ']).to_owned();
        return add(
            Death::BadArguments,
            Proof::LastWords,
            &[ExpectedExit::Code(2)],
            &format!("Error: {what}"),
        );
    }
    if text.starts_with("Unknown option: ")
        && lines
            .get(i + 1)
            .is_some_and(|line| said_usage_of_python(&line.text))
    {
        return add(
            Death::BadArguments,
            Proof::LastWords,
            &[ExpectedExit::Code(2)],
            text,
        );
    }
    // Django's and Flask's development servers.
    if text.starts_with("Error: That port is already in use")
        || text.starts_with("Port ") && text.contains(" is in use by another program")
    {
        return add(
            Death::PortInUse,
            Proof::Said,
            &[ExpectedExit::Code(1)],
            text,
        );
    }
    None
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

fn said_usage_of_python(text: &str) -> bool {
    text.starts_with("usage: ") && text.contains("python")
}

/// Returns the kind and the exits if the interpreter refuses to run a program; see
/// `pymain_run_python` in `CPython`.
fn refusal(what: &str) -> Option<(Death, &'static [ExpectedExit])> {
    if what.starts_with("can't open file") {
        return Some((
            beneath::kind(what).unwrap_or(Death::NoSuchFile),
            &[ExpectedExit::Code(2)],
        ));
    }
    let is_missing =
        what.starts_with("No module named ") || what.starts_with("can't find '__main__' module");
    if is_missing || what.starts_with("Error while ") {
        let kind = if is_missing || what.contains("No module named") || what.contains("ImportError")
        {
            Death::MissingModule
        } else {
            Death::UncaughtException
        };
        return Some((kind, &[ExpectedExit::Code(1)]));
    }
    None
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
