//! `MySQL`, `MariaDB` and their kin: the report of their handler of signals, and the assertion
//! above it.

use super::abort::fault;
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::past_most;
use crate::cause::runtimes::words::Spot;
use crate::cause::text::LogLine;
use crate::report::{Death, signal_name};

/// Maximum number of lines between an assertion and the report.
const ABOVE: usize = 30;
/// Maximum number of lines of the report.
const REPORT: usize = 400;

/// Reads `08:43:00 UTC - mysqld got signal 6 ;`, with what stands above and below it.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let (before, number) = spot.text().strip_suffix(" ;")?.split_once(" got signal ")?;
    let program = before.rsplit(' ').next()?;
    let name = format!("SIG{}", signal_name(number.parse().ok()?));
    let (_, kind, ends) = fault(&name)?;
    let mut above = (at.saturating_sub(ABOVE)..at).rev();
    let assertion = above.find_map(|i| Some((i, assertion(lines.get(i)?)?)));
    let (first, kind, what) = match assertion {
        Some((i, what)) => (i, Death::Assertion, what),
        None => (at, kind, format!("{program} got signal {number} ({name})")),
    };
    let end = past_most(lines, at + 1, REPORT, |line| line.entry.is_none());
    Some(Finding::at(first..end, kind, what).last_words(ends))
}

/// Returns an assertion's words: `Assertion failure: dict0dict.cc:3386:for_table`.
fn assertion(line: &LogLine) -> Option<String> {
    let message = line.message();
    let at = message.find("Assertion failure")?;
    Some(message.get(at..)?.trim().to_owned())
}
