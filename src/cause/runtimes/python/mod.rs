//! Python: tracebacks of 2.7 to 3.13, `Fatal Python error`, the interpreter's own refusals, and
//! servers that could not start.

mod fatal;
mod frame;
mod server;
mod start;
mod traceback;

use crate::cause::finding::Finding;
use crate::cause::text::LogLine;

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let mut i = 0;
    while let Some(line) = lines.get(i) {
        let end = traceback::read(lines, i, found)
            .or_else(|| fatal::read(lines, i, found))
            .or_else(|| start::read(lines, i, found));
        debug_assert!(
            end.is_none_or(|end| end > i),
            "no progress at {}",
            line.text
        );
        i = end.unwrap_or(i + 1);
    }
}
