//! An error that `main` returns and prints with the stacks of github.com/pkg/errors.

use super::dump::{is_indented, is_source, own};
use crate::cause::entry::LogLevel;
use crate::cause::finding::{Finding, with_cause};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of errors in a chain.
const CHAIN: usize = 12;

/// Reads an error that `main` prints with the stacks of github.com/pkg/errors: the innermost error
/// and its frames, then the outer ones, each with theirs. A logger may have written the first line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let frames = |from: usize| {
        let mut end = from;
        while is_source(line_text(lines, end + 1)) && is_function(line_text(lines, end)) {
            end += 2;
        }
        end
    };
    let first = spot.line;
    let is_quiet = first.level().is_some_and(|level| level < LogLevel::Error);
    if is_quiet || first.is_blank() || is_function(&first.text) || is_indented(&first.text) {
        return None;
    }
    // Messages without frames may stand before those with frames.
    let head = (at + 1..at + 3).find(|i| frames(*i) > *i)?;
    let raw = lines.get(at + 1..head)?;
    if raw
        .iter()
        .any(|line| line.entry.is_some() || line.is_blank())
    {
        return None;
    }
    let message = |line: &LogLine| line.message().trim().to_owned();
    let mut chain: Vec<String> = lines.get(at..head)?.iter().map(message).collect();
    let mut end = frames(head);
    while chain.len() < CHAIN && frames(end + 1) > end + 1 {
        chain.push(line_text(lines, end).trim().to_owned());
        end = frames(end + 1);
    }
    let what = match chain.as_slice() {
        [only] => only.clone(),
        // The outer error's words may contain the inner one's.
        [inner, .., outer] => with_cause(outer, inner),
        [] => return None,
    };
    let place = (head..end)
        .step_by(2)
        .find_map(|i| own(line_text(lines, i), line_text(lines, i + 1)));
    Some(Finding::at(at..end, Death::UncaughtException, what).place(place))
}

/// Returns true if a line names a function as Go does: `github.com/a/b.(*C).D`, `main.main`.
fn is_function(text: &str) -> bool {
    !text.contains(' ') && text.contains('.') && text.starts_with(|c: char| c.is_ascii_lowercase())
}
