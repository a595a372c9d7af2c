//! Clojure's report of an error that nothing caught.

use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::runtimes::shape::past_most;
use crate::cause::runtimes::words::Spot;
use crate::cause::text::line_text;
use crate::report::Death;

pub const MARKS: [&str; 4] = [
    "\nExecution error (",
    "\nSyntax error (",
    "\nSyntax error macroexpanding ",
    "\nSyntax error reading source at (",
];

/// Maximum number of lines of the message.
const MESSAGE: usize = 6;

/// Reads `Execution error (ExceptionInfo) at web.core/start (core.clj:12).`, the message, and where
/// the full report is. A prompt that lives on names neither a file nor a report, and parsers of
/// other languages begin as Clojure's does.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let head = spot.text().trim_end().strip_suffix('.')?;
    let place = head.rsplit_once('(').and_then(|(_, place)| {
        let mut parts = place.strip_suffix(')')?.split(':');
        let file = parts.next().filter(|file| file.contains(".clj"))?;
        Some(SourcePlace::new(file, parts.next()?.parse().ok()))
    });
    let end = past_most(lines, at + 1, MESSAGE, |line| {
        line.entry.is_none() && !line.is_blank()
    });
    let message: Vec<&str> = (at + 1..end).map(|i| line_text(lines, i).trim()).collect();
    // An empty line, `Full report at:`, the path.
    let is_reported = line_text(lines, end + 1) == "Full report at:";
    (is_reported || place.is_some()).then_some(())?;
    let error = head
        .split_once(" (")
        .and_then(|(_, rest)| rest.split_once(')'));
    let what = match error {
        Some((error, _)) => format!("{error}: {}", message.join(" ")),
        None => format!("{head}: {}", message.join(" ")),
    };
    let end = (end + usize::from(is_reported) * 3).min(lines.len());
    let finding = Finding::at(at..end, Death::UncaughtException, what).place(place);
    (!message.is_empty()).then(|| finding.last_words(&[Code(1)]))
}
