//! The words of a runtime: their marks, and how they are read.

use std::ops::RangeInclusive;

use super::shape::is_like;
use crate::cause::finding::Finding;
use crate::cause::text::LogLine;

/// Words of a runtime.
pub struct RuntimeWords {
    /// Texts of which at least one stands in the first line of the words, or shortly below it. A
    /// line break in a text stands for a line's beginning or end.
    pub marks: &'static [&'static str],
    /// Maximum number of lines between the first line and a mark.
    below: usize,
    /// True if a logger's entry is none of these words.
    is_raw: bool,
    /// Shapes of a first line that only looks like these words.
    unless: &'static [&'static str],
    read: fn(&Spot) -> Option<Finding>,
}

impl RuntimeWords {
    /// Returns words that have one of these marks in their first line.
    pub const fn new(marks: &'static [&'static str], read: fn(&Spot) -> Option<Finding>) -> Self {
        Self {
            marks,
            below: 0,
            is_raw: false,
            unless: &[],
            read,
        }
    }

    /// Sets how many lines below the first the mark may stand.
    pub const fn below(self, below: usize) -> Self {
        Self { below, ..self }
    }

    /// Leaves out loggers' entries.
    pub const fn raw(self) -> Self {
        Self {
            is_raw: true,
            ..self
        }
    }

    /// Leaves out lines of these shapes; see [`is_like`].
    pub const fn unless(self, unless: &'static [&'static str]) -> Self {
        Self { unless, ..self }
    }

    /// Returns the lines that may be the first ones of the words with a mark in this line.
    pub fn firsts(&self, mark: usize) -> RangeInclusive<usize> {
        mark.saturating_sub(self.below)..=mark
    }

    /// Reads the words that begin in a line.
    pub fn read(&self, spot: &Spot) -> Option<Finding> {
        let line = spot.line;
        let is_other = self.is_raw && line.entry.is_some() || is_like(&line.text, self.unless);
        if is_other { None } else { (self.read)(spot) }
    }
}

/// A line of the log, with what is around it.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    pub lines: &'a [LogLine],
    /// The line, and its index.
    pub line: &'a LogLine,
    pub at: usize,
    /// First line that the runtime has not read yet.
    pub from: usize,
    /// Findings of the runtimes that were asked before.
    pub others: &'a [Finding],
    /// Findings of this runtime, all above the line.
    pub own: &'a [Finding],
}

impl<'a> Spot<'a> {
    /// Returns the line's text.
    pub fn text(&self) -> &'a str {
        &self.line.text
    }
}
