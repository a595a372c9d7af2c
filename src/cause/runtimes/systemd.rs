//! systemd's own words on why it could not start a service, or why it has ended one.

use crate::cause::beneath;
use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Exits of a service that systemd ends after a time limit.
const TIMED_OUT: &[ExpectedExit] = &[
    ExpectedExit::Signal("TERM"),
    ExpectedExit::Signal("KILL"),
    ExpectedExit::Signal("ABRT"),
];

/// Words after the unit's name, and the exits that go with it; any if there are none.
const REASONS: [(&str, &[ExpectedExit]); 6] = [
    ("start operation timed out", TIMED_OUT),
    ("start-post operation timed out", TIMED_OUT),
    ("Watchdog timeout", TIMED_OUT),
    ("Service reached runtime time limit", TIMED_OUT),
    ("Failed at step ", &[]),
    ("Failed to load environment files", &[]),
];

/// Adds the reasons that systemd has told.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let told = lines.iter().enumerate().filter_map(|(i, line)| {
        // In brackets: the process that systemd makes the service's.
        let is_systemd = |name: &&String| *name == "systemd" || name.starts_with('(');
        line.carried_as.as_ref().filter(is_systemd)?;
        let (_, rest) = line.text.split_once(".service: ")?;
        let reason = REASONS.iter().find(|(words, _)| rest.starts_with(words))?;
        Some((i, rest, reason.1))
    });
    found.extend(told.map(|(i, rest, ends)| Finding {
        lines: i..i + 1,
        quoted: i,
        kind: beneath::kind(rest).unwrap_or(if ends.is_empty() {
            Death::PlainExit
        } else {
            Death::KilledBySignal
        }),
        what: format!("systemd: {rest}"),
        place: None,
        proof: Proof::LastWords,
        ends,
    }));
}
