//! `std::terminate` of libstdc++ and libc++.

use super::abort::{aborted, stack_end};
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::past_most;
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of lines of an exception's text.
const WHAT: usize = 20;

pub const MARKS: [&str; 4] = [
    "\nterminate called ",
    "\nlibc++abi",
    "\npure virtual method called\n",
    "\ndeleted virtual method called\n",
];

/// Reads the end that begins at this line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let line = spot.text();
    if let Some(rest) = line.strip_prefix("terminate called ") {
        return libstdcxx(lines, at, rest);
    }
    if let Some(rest) = line.strip_prefix("libc++abi") {
        let said = rest.split_once(": ")?.1;
        let kind = if said.contains("exception of type ") {
            exception(said)
        } else {
            Death::Abort
        };
        return Some(aborted(lines, at, kind, said));
    }
    let mut finding = aborted(lines, at, Death::Abort, line);
    if line_text(lines, finding.lines.end) == "terminate called without an active exception" {
        finding.lines.end = stack_end(lines, finding.lines.end + 1);
    }
    Some(finding)
}

fn libstdcxx(lines: &[LogLine], at: usize, rest: &str) -> Option<Finding> {
    let line = line_text(lines, at);
    if let Some(thrown) = rest.strip_prefix("after throwing an instance of ") {
        let thrown = thrown.trim_matches('\'');
        let Some(what) = line_text(lines, at + 1).strip_prefix("  what():  ") else {
            return Some(aborted(lines, at, exception(thrown), line));
        };
        // A text of many lines goes on until a logger's line, the end of the log or a stack.
        let goes_on = what.ends_with(':');
        let is_more = |line: &LogLine| {
            let text = line.text.as_str();
            let is_own = goes_on
                && !line.is_blank()
                && !text.starts_with(['[', '=', '>', '-'])
                && !text.starts_with("Aborted");
            line.entry.is_none() && (text.starts_with(' ') || is_own)
        };
        let end = past_most(lines, at + 2, WHAT, is_more);
        let more = (at + 2..end).map(|i| line_text(lines, i).trim());
        let whole: Vec<&str> = [what].into_iter().chain(more).collect();
        let whole = whole.join(" ");
        // `std::bad_alloc` says no more than its name.
        let what = if whole == thrown {
            whole
        } else {
            format!("{thrown}: {whole}")
        };
        let mut finding = aborted(lines, end - 1, exception(thrown), what);
        finding.lines.start = at;
        return Some(finding.quoted(at));
    }
    ["without an active exception", "recursively"]
        .contains(&rest)
        .then(|| aborted(lines, at, Death::Abort, line))
}

fn exception(thrown: &str) -> Death {
    if thrown.contains("std::bad_alloc") {
        Death::OutOfMemoryHeap
    } else {
        Death::UncaughtException
    }
}
