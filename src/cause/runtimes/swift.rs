//! Swift: the fatal errors of its runtime.

use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Exits after a trap: SIGTRAP on ARM, SIGILL on x86.
const TRAPPED: &[ExpectedExit] = &[ExpectedExit::Signal("TRAP"), ExpectedExit::Signal("ILL")];

/// Adds the deaths in the log: `App/Devices.swift:58: Fatal error: Unexpectedly found nil`.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    found.extend(
        lines
            .iter()
            .enumerate()
            .filter_map(|(at, line)| death(lines, at, line)),
    );
}

fn death(lines: &[LogLine], at: usize, line: &LogLine) -> Option<Finding> {
    let (place, what) = line.text.split_once(": Fatal error: ")?;
    let (file, number) = place.split_once(".swift:")?;
    let below = lines.get(at + 1..).unwrap_or_default();
    // A frame begins with its number.
    let is_of_stack = |line: &&LogLine| {
        line.entry.is_none()
            && (line.text.starts_with("Current stack trace:")
                || line.text.starts_with(|c: char| c.is_ascii_digit()))
    };
    Some(Finding {
        lines: at..at + 1 + below.iter().take_while(is_of_stack).count(),
        quoted: at,
        kind: Death::Panic,
        what: format!("Fatal error: {what}"),
        place: Some(SourcePlace {
            file: format!("{file}.swift"),
            line: number.parse().ok(),
            function: None,
        }),
        proof: Proof::LastWords,
        ends: TRAPPED,
    })
}
