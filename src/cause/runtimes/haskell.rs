//! Haskell: an exception that nothing caught, with the stack of its calls.

use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Adds the errors in the log: `web: Prelude.head: empty list` above `CallStack (from
/// HasCallStack):`.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    for (at, line) in lines.iter().enumerate() {
        let next = line_text(lines, at + 1);
        if line.entry.is_some() || next.trim_end() != "CallStack (from HasCallStack):" {
            continue;
        }
        let calls = lines.get(at + 2..).unwrap_or_default();
        let calls = calls.iter().take_while(|line| line.text.starts_with("  "));
        found.push(Finding {
            lines: at..at + 2 + calls.count(),
            quoted: at,
            kind: Death::UncaughtException,
            what: line.text.trim().to_owned(),
            place: None,
            proof: Proof::Said,
            ends: &[ExpectedExit::Code(1)],
        });
    }
}
