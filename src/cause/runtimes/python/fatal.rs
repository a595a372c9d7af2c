//! `Fatal Python error: …`: the interpreter and faulthandler print it as they end the process
//! themselves.

use super::frame;
use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace};
use crate::cause::text::LogLine;
use crate::report::Death;

const MARK: &str = "Fatal Python error: ";

pub fn read(lines: &[LogLine], i: usize, found: &mut Vec<Finding>) -> Option<usize> {
    let what = lines.get(i)?.text.strip_prefix(MARK)?.trim_end();
    let (kind, ends) = kind(what);
    let mut report = FatalReport {
        kind,
        what: format!("{MARK}{what}"),
        place: None,
        is_current: true,
    };
    let mut end = i + 1;
    while lines.get(end).is_some_and(|line| report.add(&line.text)) {
        end += 1;
    }
    found.push(Finding {
        lines: i..end,
        quoted: i,
        kind: report.kind,
        what: report.what,
        place: report.place,
        proof: Proof::LastWords,
        ends,
    });
    Some(end)
}

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
        if text.starts_with("Current thread") || text.starts_with("Stack (most recent call first)")
        {
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
        text.trim().is_empty() || is_said_with_it(text)
    }
}

fn is_said_with_it(text: &str) -> bool {
    text.starts_with([' ', '\t', '<'])
        || [
            "Python runtime state",
            "Python path configuration",
            "Extension modules: ",
            "Current thread's C stack",
        ]
        .iter()
        .any(|words| text.starts_with(words))
}

/// Returns the kind of death and its exits; see `faulthandler_handlers` and `fatal_error_exit` in
/// `CPython`.
fn kind(what: &str) -> (Death, &'static [ExpectedExit]) {
    const ABORT: &[ExpectedExit] = &[ExpectedExit::Signal("ABRT")];
    match what {
        "Segmentation fault" => (Death::Segfault, &[ExpectedExit::Signal("SEGV")]),
        "Bus error" => (Death::KilledBySignal, &[ExpectedExit::Signal("BUS")]),
        "Floating point exception" | "Floating-point exception" => {
            (Death::KilledBySignal, &[ExpectedExit::Signal("FPE")])
        }
        "Illegal instruction" => (Death::KilledBySignal, &[ExpectedExit::Signal("ILL")]),
        "Aborted" => (Death::Abort, ABORT),
        _ if what.contains("stack overflow") => (Death::StackOverflow, ABORT),
        // An interpreter that cannot start exits with 1; otherwise it aborts.
        _ => (
            Death::Abort,
            &[ExpectedExit::Signal("ABRT"), ExpectedExit::Code(1)],
        ),
    }
}
