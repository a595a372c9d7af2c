//! Symfony's console: the exception of a command, in a box, and the command's usage.

use super::shape::{is_like, past_most};
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::text::line_text;
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[RuntimeWords::new(&["\nIn "], read)];

/// Maximum number of lines of the box, and of the usage below it.
const BOX: usize = 20;

/// Reads `In EnvVarProcessor.php line 187:`, the indented message, the usage.
fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let place = spot
        .text()
        .trim_end()
        .strip_prefix("In ")?
        .strip_suffix(':')?;
    let (file, number) = place.split_once(" line ")?;
    is_like(file, &["….php"]).then_some(())?;
    let end = past_most(lines, at + 1, BOX, |line| {
        line.is_blank() || line.text.starts_with("  ")
    });
    let message = (at + 1..end).map(|i| line_text(lines, i).trim());
    let message: Vec<&str> = message.filter(|text| !text.is_empty()).collect();
    // The usage is one line.
    let usage = usize::from(line_text(lines, end).contains(" ["));
    let finding = Finding::at(at..end + usage, Death::UncaughtException, message.join(" "));
    let place = SourcePlace::new(file, number.parse().ok());
    (!message.is_empty()).then(|| finding.place(Some(place)))
}
