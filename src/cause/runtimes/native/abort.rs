//! A process that aborts, and the stack that a handler of signals may print below its last words.

use crate::cause::finding::ExpectedExit::{self, Signal};
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::{is_like, past};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Returns the finding for a process that aborts with these last words. The stack below them, if a
/// signal handler printed one, belongs to it.
pub fn aborted(lines: &[LogLine], at: usize, kind: Death, what: impl Into<String>) -> Finding {
    Finding::at(at..stack_end(lines, at + 1), kind, what).last_words(&[Signal("ABRT")])
}

/// A signal that a handler reports, the kind of death by it, and the exits that go with it.
type Fault = (&'static str, Death, &'static [ExpectedExit]);

const FAULTS: [Fault; 5] = [
    ("SIGABRT", Death::Abort, &[Signal("ABRT")]),
    ("SIGSEGV", Death::Segfault, &[Signal("SEGV")]),
    ("SIGBUS", Death::KilledBySignal, &[Signal("BUS")]),
    ("SIGILL", Death::KilledBySignal, &[Signal("ILL")]),
    ("SIGFPE", Death::KilledBySignal, &[Signal("FPE")]),
];

/// Returns the fault that a handler reports.
pub fn fault(signal: &str) -> Option<Fault> {
    FAULTS.into_iter().find(|(name, ..)| *name == signal)
}

/// Returns the line after the stack that begins here; `from` if there is none.
pub fn stack_end(lines: &[LogLine], from: usize) -> usize {
    past(lines, from, |line| {
        line.entry.is_none() && line.text.starts_with(' ') || is_of_stack(&line.text)
    })
}

/// Returns true if a line belongs to the stack that the signal handler of glog or Abseil prints.
pub fn is_of_stack(line: &str) -> bool {
    const SHAPES: [&str; 6] = [
        "*** Caught signal (Aborted) **",
        "*** Check failure stack trace: ***…",
        "*** Aborted at …",
        "PC: @ …",
        "*** SIG…",
        "*** Signal …",
    ];
    is_like(line.trim_start(), &["@ …0x…"]) || is_like(line, &SHAPES)
}
