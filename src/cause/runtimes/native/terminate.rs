//! `std::terminate` of libstdc++ and libc++.

use super::abort::{aborted, stack_end};
use crate::cause::finding::Finding;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of lines of an exception's text.
const WHAT: usize = 20;

/// Reads the end that begins at this line.
pub fn read(lines: &[LogLine], at: usize) -> Option<Finding> {
    let line = line_text(lines, at);
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
        return Some(aborted(lines, at, kind, said.to_owned()));
    }
    if line == "pure virtual method called" || line == "deleted virtual method called" {
        let mut finding = aborted(lines, at, Death::Abort, line.to_owned());
        if line_text(lines, finding.lines.end) == "terminate called without an active exception" {
            finding.lines.end = stack_end(lines, finding.lines.end + 1);
        }
        return Some(finding);
    }
    None
}

fn libstdcxx(lines: &[LogLine], at: usize, rest: &str) -> Option<Finding> {
    let line = line_text(lines, at);
    if let Some(thrown) = rest.strip_prefix("after throwing an instance of ") {
        let thrown = thrown.trim_matches('\'');
        let Some(what) = line_text(lines, at + 1).strip_prefix("  what():  ") else {
            return Some(aborted(lines, at, exception(thrown), line.to_owned()));
        };
        // A text of many lines goes on until a logger's line, the end of the log or a stack.
        let after = lines.get(at + 2..).unwrap_or_default();
        let goes_on = what.ends_with(':');
        let is_more = |line: &&LogLine| {
            let text = line.text.as_str();
            let is_own = goes_on
                && !line.is_blank()
                && !text.starts_with(['[', '=', '>', '-'])
                && !text.starts_with("Aborted");
            line.entry.is_none() && (text.starts_with(' ') || is_own)
        };
        let more = after.iter().take(WHAT).take_while(is_more).count();
        let more_text = after
            .get(..more)
            .unwrap_or_default()
            .iter()
            .map(|line| line.text.trim());
        let whole: Vec<&str> = [what].into_iter().chain(more_text).collect();
        let whole = whole.join(" ");
        // `std::bad_alloc` says no more than its name.
        let what = if whole == thrown {
            whole
        } else {
            format!("{thrown}: {whole}")
        };
        let mut finding = aborted(lines, at + 1 + more, exception(thrown), what);
        finding.lines.start = at;
        finding.quoted = at;
        return Some(finding);
    }
    ["without an active exception", "recursively"]
        .contains(&rest)
        .then(|| aborted(lines, at, Death::Abort, line.to_owned()))
}

fn exception(thrown: &str) -> Death {
    if thrown.contains("std::bad_alloc") {
        Death::OutOfMemoryHeap
    } else {
        Death::UncaughtException
    }
}
