//! A process that aborts, and the stack that a handler of signals may print below its last words.

use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Exits after an abort.
pub const ABORTED: &[ExpectedExit] = &[ExpectedExit::Signal("ABRT")];

/// Returns the finding for a process that aborts with these last words. The stack below them, if a
/// signal handler printed one, belongs to it.
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

/// Returns the line after the stack that begins here; `from` if there is none.
pub fn stack_end(lines: &[LogLine], from: usize) -> usize {
    let rest = lines.get(from..).unwrap_or_default();
    from + rest
        .iter()
        .take_while(|line| is_of_stack(&line.text))
        .count()
}

/// Returns true if a line belongs to the stack that the signal handler of glog or Abseil prints.
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
