//! Swift: the fatal errors of its runtime.

use super::shape::past;
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::ExpectedExit::Signal;
use crate::cause::finding::{Finding, SourcePlace};
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[RuntimeWords::new(&[": Fatal error: "], read)];

/// Reads `App/Devices.swift:58: Fatal error: Unexpectedly found nil`.
fn read(spot: &Spot) -> Option<Finding> {
    let (place, what) = spot.text().split_once(": Fatal error: ")?;
    let (file, number) = place.split_once(".swift:")?;
    // A frame begins with its number.
    let end = past(spot.lines, spot.at + 1, |line| {
        line.entry.is_none()
            && (line.text.starts_with("Current stack trace:")
                || line.text.starts_with(|c: char| c.is_ascii_digit()))
    });
    let place = SourcePlace::new(&format!("{file}.swift"), number.parse().ok());
    let finding = Finding::at(spot.at..end, Death::Panic, format!("Fatal error: {what}"));
    // The trap is SIGTRAP on ARM, SIGILL on x86.
    Some(
        finding
            .place(Some(place))
            .last_words(&[Signal("TRAP"), Signal("ILL")]),
    )
}
