//! C and C++: what the C library, the C++ runtime, the loader, the sanitizers and logging libraries
//! print as they end a process.

mod fatal_log;
mod libc;
mod loader;
mod sanitizer;
mod terminate;

use crate::cause::finding::{End, Finding, Proof};
use crate::cause::text::Line;
use crate::report::Death;

/// Adds what stands in the log.
pub fn read(lines: &[Line], found: &mut Vec<Finding>) {
    let first = found.len();
    let mut i = 0;
    while let Some(line) = lines.get(i) {
        // `ERROR:` and `WARNING:` are GLib's and a sanitizer's own too.
        let is_logged = line
            .entry
            .as_ref()
            .is_some_and(|entry| entry.json || entry.at.is_some());
        let finding = if is_logged {
            fatal_log::entry(lines, i)
        } else {
            libc::read(lines, i)
                .or_else(|| terminate::read(lines, i))
                .or_else(|| sanitizer::read(lines, i, found.get(first..).unwrap_or_default()))
                .or_else(|| loader::read(lines, i))
                .or_else(|| fatal_log::stack(lines, i))
        };
        i = finding.as_ref().map_or(i, |finding| finding.lines.end - 1) + 1;
        found.extend(finding);
    }
}

const ABORTED: &[End] = &[End::Signal("ABRT")];

/// One line with the last words of a process that aborts, and the stack that a signal's handler may
/// print below.
fn aborted(lines: &[Line], at: usize, kind: Death, what: String) -> Finding {
    Finding {
        lines: at..fatal_log::stack_end(lines, at + 1),
        quoted: at,
        kind,
        what,
        place: None,
        proof: Proof::LastWords,
        ends: ABORTED,
    }
}
