//! Dart: the exception that nothing caught, and its frames.

use super::shape::past;
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::Finding;
use crate::cause::text::line_text;
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[RuntimeWords::new(&["\nUnhandled exception:"], read)];

/// Maximum number of lines of a message.
const MESSAGE: usize = 20;

/// Reads `Unhandled exception:`, the message, `#0      main (file.dart:1:2)`.
fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    (spot.text().trim_end() == "Unhandled exception:").then_some(())?;
    let is_frame = |i: &usize| line_text(lines, *i).starts_with('#');
    let first = (at + 2..at + 2 + MESSAGE).find(is_frame)?;
    let end = past(lines, first, |line| line.text.starts_with('#'));
    let message: Vec<&str> = (at + 1..first)
        .map(|i| line_text(lines, i).trim())
        .collect();
    let finding = Finding::at(at..end, Death::UncaughtException, message.join(" "));
    Some(finding.quoted(at + 1).last_words(&[Code(255)]))
}
