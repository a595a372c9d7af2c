//! `MySQL`, `MariaDB` and their kin: the report of their handler of signals, and the assertion
//! above it.

use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::{LogLine, line_text};
use crate::report::{Death, signal_name};

/// Maximum number of lines between an assertion and the report.
const ABOVE: usize = 30;
/// Maximum number of lines of the report.
const REPORT: usize = 400;

/// Reads `08:43:00 UTC - mysqld got signal 6 ;`, with what stands above and below it.
pub fn read(lines: &[LogLine], at: usize) -> Option<Finding> {
    let (before, number) = line_text(lines, at)
        .strip_suffix(" ;")?
        .split_once(" got signal ")?;
    let program = before.rsplit(' ').next()?;
    let name = signal_name(number.parse().ok()?);
    let (kind, ends): (Death, &'static [ExpectedExit]) = match name.as_str() {
        "ABRT" => (Death::Abort, &[ExpectedExit::Signal("ABRT")]),
        "SEGV" => (Death::Segfault, &[ExpectedExit::Signal("SEGV")]),
        "BUS" => (Death::KilledBySignal, &[ExpectedExit::Signal("BUS")]),
        "ILL" => (Death::KilledBySignal, &[ExpectedExit::Signal("ILL")]),
        "FPE" => (Death::KilledBySignal, &[ExpectedExit::Signal("FPE")]),
        _ => return None,
    };
    let assertion = (at.saturating_sub(ABOVE)..at)
        .rev()
        .find_map(|i| Some((i, assertion(lines.get(i)?)?)));
    let (first, kind, what) = match assertion {
        Some((i, what)) => (i, Death::Assertion, what),
        None => (
            at,
            kind,
            format!("{program} got signal {number} (SIG{name})"),
        ),
    };
    let report = lines.get(at + 1..).unwrap_or_default().iter().take(REPORT);
    let end = at + 1 + report.take_while(|line| line.entry.is_none()).count();
    Some(Finding {
        lines: first..end,
        quoted: first,
        kind,
        what,
        place: None,
        proof: Proof::LastWords,
        ends,
    })
}

/// Returns an assertion's words: `Assertion failure: dict0dict.cc:3386:for_table`.
fn assertion(line: &LogLine) -> Option<String> {
    let message = line.message();
    let at = message.find("Assertion failure")?;
    Some(message.get(at..)?.trim().to_owned())
}
