//! Dart: the exception that nothing caught, and its frames.

use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of lines of a message.
const MESSAGE: usize = 20;

/// Adds the deaths in the log: `Unhandled exception:`, the message, `#0      main (file.dart:1:2)`.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    for (at, line) in lines.iter().enumerate() {
        if line.text.trim_end() == "Unhandled exception:" {
            found.extend(death(lines, at));
        }
    }
}

fn death(lines: &[LogLine], at: usize) -> Option<Finding> {
    let is_frame = |i: usize| line_text(lines, i).starts_with('#');
    let first = (at + 2..at + 2 + MESSAGE).find(|i| is_frame(*i))?;
    let frames = (first..lines.len()).take_while(|i| is_frame(*i)).count();
    let message: Vec<&str> = (at + 1..first)
        .map(|i| line_text(lines, i).trim())
        .collect();
    Some(Finding {
        lines: at..first + frames,
        quoted: at + 1,
        kind: Death::UncaughtException,
        what: message.join(" "),
        place: None,
        proof: Proof::LastWords,
        ends: &[ExpectedExit::Code(255)],
    })
}
