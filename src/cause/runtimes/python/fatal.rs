//! `Fatal Python error: …`: the interpreter and faulthandler print it as they end the process
//! themselves.

use super::{frame, traceback};
use crate::cause::finding::ExpectedExit::{self, Code, Signal};
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::runtimes::shape::is_like;
use crate::cause::runtimes::words::Spot;
use crate::report::Death;

pub fn read(spot: &Spot) -> Option<Finding> {
    let text = spot.text().trim_end();
    let (kind, ends) = kind(text.strip_prefix("Fatal Python error: ")?);
    let mut report = FatalReport {
        kind,
        what: text.to_owned(),
        place: None,
        is_current: true,
    };
    let mut end = spot.at + 1;
    while spot
        .lines
        .get(end)
        .is_some_and(|line| report.add(&line.text))
    {
        end += 1;
    }
    let end = traceback::epilogue(spot.lines, end);
    let finding = Finding::at(spot.at..end, report.kind, report.what).place(report.place);
    Some(finding.last_words(ends))
}

/// Shapes of further lines of a report.
const SAID_WITH_IT: [&str; 4] = [
    "Python runtime state…",
    "Python path configuration…",
    "Extension modules: …",
    "Current thread's C stack…",
];

/// The report below the error, as far as it has been read.
struct FatalReport {
    kind: Death,
    what: String,
    place: Option<SourcePlace>,
    /// True if the frames are those of the failed thread. The other threads come before it or
    /// after.
    is_current: bool,
}

impl FatalReport {
    /// Adds a line. Returns false if it is no part of the report.
    fn add(&mut self, text: &str) -> bool {
        if text.starts_with("Thread 0x") {
            self.is_current = false;
            return true;
        }
        if is_like(
            text,
            &["Current thread…", "Stack (most recent call first)…"],
        ) {
            self.is_current = true;
            return true;
        }
        if let Some(frame) = frame::read(text) {
            let is_own = self.is_current && frame::is_own(&frame.file);
            self.place = self.place.take().or(Some(frame).filter(|_| is_own));
            return true;
        }
        if text.starts_with("ModuleNotFoundError") || text.starts_with("ImportError") {
            self.kind = Death::MissingModule;
            self.what = format!("{}: {text}", self.what);
            return true;
        }
        text.trim().is_empty() || text.starts_with([' ', '\t', '<']) || is_like(text, &SAID_WITH_IT)
    }
}

/// Returns the kind of death and its exits; see `faulthandler_handlers` and `fatal_error_exit` in
/// `CPython`.
fn kind(what: &str) -> (Death, &'static [ExpectedExit]) {
    match what {
        "Segmentation fault" => (Death::Segfault, &[Signal("SEGV")]),
        "Bus error" => (Death::KilledBySignal, &[Signal("BUS")]),
        "Floating point exception" | "Floating-point exception" => {
            (Death::KilledBySignal, &[Signal("FPE")])
        }
        "Illegal instruction" => (Death::KilledBySignal, &[Signal("ILL")]),
        "Aborted" => (Death::Abort, &[Signal("ABRT")]),
        _ if what.contains("stack overflow") => (Death::StackOverflow, &[Signal("ABRT")]),
        // An interpreter that cannot start exits with 1; otherwise it aborts.
        _ => (Death::Abort, &[Signal("ABRT"), Code(1)]),
    }
}
