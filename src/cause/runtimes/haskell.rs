//! Haskell: an exception that nothing caught, with the stack of its calls.

use super::shape::past;
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::Finding;
use crate::cause::text::line_text;
use crate::report::Death;

const CALLS: &str = "CallStack (from HasCallStack):";

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&[CALLS], read).below(1).raw(),
    RuntimeWords::new(&[": thread blocked indefinitely in an "], |spot| {
        let what = spot.text().trim();
        let finding = Finding::at(spot.at..spot.at + 1, Death::UncaughtException, what);
        Some(finding.said(&[Code(1)]))
    })
    .raw(),
];

/// Reads `web: Prelude.head: empty list` above the calls.
fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    (line_text(lines, at + 1).trim_end() == CALLS).then_some(())?;
    let end = past(lines, at + 2, |line| line.text.starts_with("  "));
    let finding = Finding::at(at..end, Death::UncaughtException, spot.text().trim());
    Some(finding.said(&[Code(1)]))
}
