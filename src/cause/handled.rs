//! Tells the errors that a program handles: it says so, and goes on.

use super::entry::LogLevel;
use super::finding::Finding;
use super::lexicon::{Sense, Senses};
use super::tail::Tail;
use super::text::LogLine;
use crate::report::Death;

/// Returns true if the line before the finding, or the finding itself, says that the program goes
/// on.
pub fn is_handled(tail: &Tail, finding: &Finding) -> bool {
    let entry_says = |line: &LogLine| {
        let said = line.senses();
        let fails = said.has(Sense::Failure) || said.has(Sense::Caught);
        let warns = line.level() == Some(LogLevel::Warn) && fails && !said.gives_up();
        // A server answers with 500, and goes on.
        let serves = line.entry.as_ref().is_some_and(|entry| entry.of_request);
        // What goes on without something that it does without has not failed: `lookups disabled`.
        let goes_on = said.is_handled() && (fails || !said.has(Sense::Without));
        warns || serves || goes_on
    };
    let lines = tail.lines;
    let at = finding.lines.start.checked_sub(1);
    let before = at.and_then(|at| lines.get(at));
    let first = lines.get(finding.lines.start);
    // Loggers attach traces of several lines to their entries, never single lines. JSON loggers put
    // the trace into the entry.
    let own = lines.get(finding.lines.clone()).unwrap_or_default();
    let is_trace = own.iter().filter(|line| !line.is_blank()).count() > 1;
    let is_entry = first.is_some_and(|line| line.entry.is_some());
    let announces = |line: &LogLine| line.entry.as_ref().is_some_and(|entry| !entry.json);
    // `main` prints such an error, and the runtime a panic, no logger.
    let is_returned = first.is_some_and(|line| line.text.trim_end() == "Error:");
    let is_own = is_returned || finding.kind == Death::Panic;
    before
        .filter(|line| is_trace && !is_entry && !is_own && announces(line))
        .is_some_and(|line| entry_says(line) && !tail.stands_alone(at.unwrap_or_default()))
        || first.is_some_and(|line| match &line.entry {
            Some(entry) if entry.level.is_some_and(|level| level < LogLevel::Error) => true,
            Some(_) => entry_says(line),
            None => {
                // The words before the error in its own line: `statsd unreachable, will retry
                // Error: connect …`.
                let said = line
                    .text
                    .split_once(finding.what.split(": ").next().unwrap_or_default());
                said.is_some_and(|(said, _)| Senses::of(said).is_handled())
            }
        })
}
