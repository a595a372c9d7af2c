//! C and C++: the last words of the C library, the C++ runtime, the loader, the sanitizers and
//! logging libraries.

mod abort;
mod fatal_log;
mod libc;
mod loader;
mod mysqld;
mod sanitizer;
mod terminate;

use crate::cause::finding::Finding;
use crate::cause::text::LogLine;

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let first = found.len();
    let mut i = 0;
    while let Some(line) = lines.get(i) {
        // GLib and the sanitizers write `ERROR:` and `WARNING:` too.
        let is_logged = line
            .entry
            .as_ref()
            .is_some_and(|entry| entry.json || entry.at.is_some());
        let finding = if is_logged {
            fatal_log::entry(lines, i).or_else(|| mysqld::read(lines, i))
        } else {
            libc::read(lines, i)
                .or_else(|| terminate::read(lines, i))
                .or_else(|| sanitizer::read(lines, i, found.get(first..).unwrap_or_default()))
                .or_else(|| loader::read(lines, i))
                .or_else(|| fatal_log::stack(lines, i))
                .or_else(|| mysqld::read(lines, i))
        };
        i = finding.as_ref().map_or(i, |finding| finding.lines.end - 1) + 1;
        found.extend(finding);
    }
}
