//! Java, Kotlin, Scala, Clojure: a JVM prints why it cannot start, which exception ends it, and how
//! it crashed.

mod fatal;
mod start;
mod trace;

use crate::cause::finding::Finding;
use crate::cause::text::LogLine;

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let mut i = 0;
    while i < lines.len() {
        let finding = trace::read(lines, i)
            .or_else(|| start::read(lines, i))
            .or_else(|| fatal::read(lines, i));
        i = finding.as_ref().map_or(i, |finding| finding.lines.end - 1) + 1;
        found.extend(finding);
    }
}
