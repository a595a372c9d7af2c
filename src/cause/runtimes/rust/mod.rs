//! Rust: panics, aborts of the runtime, the error that `main` returns, arguments that clap refuses.

mod panic;
mod returned;

use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Adds the deaths in the log.
pub fn read(lines: &[LogLine], found: &mut Vec<Finding>) {
    let first = found.len();
    let mut i = 0;
    while i < lines.len() {
        let panics = found.get(first..).unwrap_or_default();
        let findings = panic::read(lines, i, panics);
        let findings = if findings.is_empty() {
            aborted(lines, i)
                .or_else(|| returned::read(lines, i))
                .into_iter()
                .collect()
        } else {
            findings
        };
        i = findings.first().map_or(i, |finding| finding.lines.end - 1) + 1;
        found.extend(findings);
    }
}

/// Reads the last words of a runtime that aborts.
fn aborted(lines: &[LogLine], at: usize) -> Option<Finding> {
    let line = lines
        .get(at)
        .filter(|line| line.entry.is_none())?
        .text
        .as_str();
    let kind = kind(line)?;
    let rest = lines.get(at + 1..).unwrap_or_default();
    let is_its =
        |line: &&LogLine| line.is_blank() || line.text.starts_with("fatal runtime error: ");
    let (place, end) = panic::rest(lines, at + 1 + rest.iter().take_while(is_its).count(), None);
    let what = match (
        kind,
        line_text(lines, at + 1).strip_prefix("fatal runtime error: "),
    ) {
        (Death::StackOverflow, Some(error)) if !line.contains("stack overflow") => {
            format!("{line}: {}", error.trim_end_matches(", aborting"))
        }
        _ => line.to_owned(),
    };
    Some(Finding {
        lines: at..end,
        quoted: at,
        kind,
        what,
        place,
        proof: Proof::LastWords,
        ends: &[
            ExpectedExit::Signal("ABRT"),
            ExpectedExit::Signal("ILL"),
            ExpectedExit::Signal("SEGV"),
        ],
    })
}

/// Returns the kind of death that the runtime tells of.
fn kind(line: &str) -> Option<Death> {
    if line.starts_with("memory allocation of ") && line.contains(" bytes failed") {
        return Some(Death::OutOfMemoryHeap);
    }
    let is_fatal = line.starts_with("fatal runtime error: ");
    let is_overflow = line.starts_with("thread '") && line.ends_with(" has overflowed its stack")
        || is_fatal && line.contains("stack overflow");
    if is_overflow {
        return Some(Death::StackOverflow);
    }
    is_fatal.then_some(Death::Abort)
}
