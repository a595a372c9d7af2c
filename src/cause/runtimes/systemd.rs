//! systemd's own words on why it could not start a service, or why it has ended one.

use super::words::{RuntimeWords, Spot};
use crate::cause::beneath;
use crate::cause::finding::ExpectedExit::{self, Signal};
use crate::cause::finding::Finding;
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[RuntimeWords::new(&[".service: "], read)];

/// Exits of a service that systemd ends after a time limit.
const TIMED_OUT: &[ExpectedExit] = &[Signal("TERM"), Signal("KILL"), Signal("ABRT")];

const KILLED: &[ExpectedExit] = &[Signal("KILL")];

/// Words after the unit's name, the kind, and the exits that go with it; any if there are none.
const REASONS: [(&str, Death, &[ExpectedExit]); 9] = [
    (
        "A process of this unit has been killed by the OOM killer",
        Death::OomKilled,
        KILLED,
    ),
    ("systemd-oomd killed ", Death::OomKilled, KILLED),
    ("State 'stop-", Death::KilledBySignal, KILLED),
    (
        "start operation timed out",
        Death::KilledBySignal,
        TIMED_OUT,
    ),
    (
        "start-post operation timed out",
        Death::KilledBySignal,
        TIMED_OUT,
    ),
    ("Watchdog timeout", Death::KilledBySignal, TIMED_OUT),
    (
        "Service reached runtime time limit",
        Death::KilledBySignal,
        TIMED_OUT,
    ),
    ("Failed at step ", Death::PlainExit, &[]),
    ("Failed to load environment files", Death::PlainExit, &[]),
];

/// Reads a reason that systemd has told.
fn read(spot: &Spot) -> Option<Finding> {
    // In brackets: the process that systemd makes the service's.
    let name = spot.line.carried_as.as_ref()?;
    (name == "systemd" || name.starts_with('(')).then_some(())?;
    let (_, rest) = spot.text().split_once(".service: ")?;
    let (_, kind, ends) = *REASONS.iter().find(|(words, ..)| rest.starts_with(words))?;
    let kind = beneath::kind(rest).unwrap_or(kind);
    let finding = Finding::at(spot.at..spot.at + 1, kind, format!("systemd: {rest}"));
    Some(finding.last_words(ends))
}
