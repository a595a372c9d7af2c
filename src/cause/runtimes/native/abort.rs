//! A process that aborts, and the stack that a handler of signals may print below its last words.

use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::LogLine;
use crate::report::Death;

/// How an abort ends a process.
pub const ABORTED: &[ExpectedExit] = &[ExpectedExit::Signal("ABRT")];

/// One line with the last words of a process that aborts, and the stack that a signal's handler may
/// print below.
pub fn aborted(lines: &[LogLine], at: usize, kind: Death, what: String) -> Finding {
    Finding {
        lines: at..stack_end(lines, at + 1),
        quoted: at,
        kind,
        what,
        place: None,
        proof: Proof::LastWords,
        ends: ABORTED,
    }
}

/// Where the lines of a stack end that begins here, if one does.
pub fn stack_end(lines: &[LogLine], from: usize) -> usize {
    let rest = lines.get(from..).unwrap_or_default();
    from + rest
        .iter()
        .take_while(|line| is_of_stack(&line.text))
        .count()
}

/// Whether a line belongs to the stack that glog's or Abseil's handler of signals prints.
pub fn is_of_stack(line: &str) -> bool {
    let trimmed = line.trim_start();
    trimmed.starts_with("@ ") && trimmed.contains("0x")
        || [
            "*** Check failure stack trace: ***",
            "*** Aborted at ",
            "PC: @ ",
            "*** SIG",
            "*** Signal ",
        ]
        .iter()
        .any(|start| line.starts_with(start))
}
