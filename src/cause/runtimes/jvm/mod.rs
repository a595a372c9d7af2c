//! Java, Kotlin, Scala, Clojure: what a JVM prints when it cannot start, when an exception ends it,
//! when it crashes.

mod fatal;
mod start;
mod trace;

use crate::cause::finding::Finding;
use crate::cause::text::LogLine;

/// Adds what stands in the log.
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
