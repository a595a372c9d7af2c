//! The words of V8 and node as they abort: heap limits, fatal errors, failed checks,
//! `process.abort()`.

use super::describe::{Found, finding};
use super::frame::{self, JsFrame, Owner};
use super::wrappers;
use crate::cause::finding::{ExpectedExit, Finding, SourcePlace};
use crate::cause::text::LogLine;
use crate::report::Death;

/// Reads the abort that begins at a line.
pub fn read(lines: &[LogLine], at: usize) -> Found {
    let text = lines.get(at)?.text.as_str();
    if let Some(place) = text.strip_prefix("Warning: Detected unsettled top-level await at") {
        return Some(unsettled(lines, at, place.trim()));
    }
    let (kind, what) = aborted(lines, at, text)?;
    let (end, place) = trace(lines, at + 1);
    // V8 aborts, or traps.
    let ends: &'static [ExpectedExit] =
        if kind == Death::OutOfMemoryHeap && text.starts_with("FATAL ERROR: ") {
            &[
                ExpectedExit::Signal("ABRT"),
                ExpectedExit::Signal("TRAP"),
                ExpectedExit::Signal("ILL"),
                ExpectedExit::Signal("SEGV"),
            ]
        } else {
            &[]
        };
    Some((
        Some(Finding {
            ends,
            ..finding(at, end, at, kind, what, place)
        }),
        end,
    ))
}

/// Returns the kind and the words of the abort that begins at a line.
fn aborted(lines: &[LogLine], at: usize, text: &str) -> Option<(Death, String)> {
    if let Some(message) = text.strip_prefix("FATAL ERROR: ") {
        let kind = kind(message);
        let has_trace = || {
            lines
                .get(at + 1)
                .is_some_and(|line| begins_trace(&line.text))
        };
        return (kind == Death::OutOfMemoryHeap || has_trace()).then(|| (kind, message.to_owned()));
    }
    if text.starts_with("# Fatal ") {
        return fatal(lines, at);
    }
    if let Some(failed) = assertion(lines, at) {
        return Some((Death::Assertion, failed.to_owned()));
    }
    if begins_trace(text) {
        let what = "node aborted itself, without a message (process.abort, or a native addon)";
        return Some((Death::Abort, what.to_owned()));
    }
    let thrown = text.strip_prefix("Uncaught ")?;
    let is_from = lines.get(at + 1).is_some_and(LogLine::is_blank)
        && lines
            .get(at + 2)
            .is_some_and(|line| line.text.trim() == "FROM");
    is_from.then(|| (Death::Abort, thrown.to_owned()))
}

/// Returns the kind of a fatal error with this message.
fn kind(message: &str) -> Death {
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&[
        "out of memory",
        "Allocation failed",
        "heap limit",
        "process OOM",
    ]) {
        Death::OutOfMemoryHeap
    } else if says(&["Check failed", "check failed"]) {
        Death::Assertion
    } else {
        Death::Abort
    }
}

/// Reads V8's `# Fatal error in FILE, line N` and the message beneath it.
fn fatal(lines: &[LogLine], at: usize) -> Option<(Death, String)> {
    let first = lines.get(at)?.text.trim_start_matches(['#', ' ']);
    let next = lines
        .get(at + 1)
        .map(|line| line.text.trim_start_matches(['#', ' ']))
        .unwrap_or_default();
    let what = if first.starts_with("Fatal error in ") && !next.is_empty() {
        next
    } else {
        first
    };
    let is_v8 = at
        .checked_sub(1)
        .and_then(|before| lines.get(before))
        .is_some_and(|line| line.text.trim() == "#")
        || lines
            .get(at + 1)
            .is_some_and(|line| line.text.starts_with('#'));
    is_v8.then(|| (kind(what), what.to_owned()))
}

/// Returns the failed condition of one of node's own checks.
fn assertion(lines: &[LogLine], at: usize) -> Option<&str> {
    let text = lines.get(at)?.text.as_str();
    // `node[7]: ../src/node_file.cc:1682:void f(): Assertion `x' failed.`
    let own = |text: &str| {
        let program = text
            .split_once('[')
            .map(|(program, _)| program.rsplit('/').next().unwrap_or_default());
        program.is_some_and(|program| program.trim_start_matches(['#', ' ']).starts_with("node"))
    };
    if let Some((before, _)) = text
        .split_once("Assertion `")
        .filter(|(_, rest)| rest.ends_with("' failed."))
    {
        return own(before).then(|| text.get(before.len()..)).flatten();
    }
    // `  #  node[7]: void f() at ../src/node_file.cc:2314`, and the failed condition beneath it.
    let next = lines
        .get(at + 1)?
        .text
        .trim_start()
        .strip_prefix('#')?
        .trim_start();
    let is_head = text.trim_start().starts_with("#  ") && text.contains("]: ") && own(text);
    (is_head && next.starts_with("Assertion failed: ")).then_some(next)
}

/// Returns true if a native stack trace begins here.
fn begins_trace(text: &str) -> bool {
    text == "----- Native stack trace -----"
        || (text.trim_start().starts_with("1: 0x")
            && (text.contains("node::") || text.contains("v8::") || text.ends_with(']')))
}

/// Returns the line after the traces that begin here, and the application's innermost place in
/// them.
fn trace(lines: &[LogLine], mut at: usize) -> (usize, Option<SourcePlace>) {
    let mut place = None;
    let mut end = at;
    while let Some(line) = lines.get(at) {
        let text = line.text.trim();
        let numbered = text
            .split_once(": ")
            .filter(|(number, _)| number.parse::<u32>().is_ok());
        let frame = numbered
            .and_then(|(_, rest)| JsFrame::of(rest))
            // Some versions put no line break between them.
            .or_else(|| text.split_inclusive(')').find_map(JsFrame::of))
            .filter(|frame| frame.line.is_some());
        if place.is_none() {
            place = frame
                .as_ref()
                .filter(|frame| frame.owner() == Owner::App)
                .map(JsFrame::place);
        }
        let is_trace = numbered.is_some()
            || frame.is_some()
            || text == "FROM"
            || text.starts_with('#')
            || (text.starts_with("-----") && text.ends_with("-----"));
        if !is_trace && !text.is_empty() && !wrappers::is_epilogue(text) {
            break;
        }
        at += 1;
        if !text.is_empty() {
            end = at;
        }
    }
    (end, place)
}

/// Reads the end of a module that waited for a promise that was never settled.
fn unsettled(lines: &[LogLine], at: usize, place: &str) -> (Option<Finding>, usize) {
    use crate::cause::finding::ExpectedExit;
    let place = if place.is_empty() {
        lines
            .get(at + 1)
            .map(|line| line.text.as_str())
            .unwrap_or_default()
    } else {
        place
    };
    let place = place.rsplit_once(':').and_then(|(file, line)| {
        let file = file.strip_prefix("file://").unwrap_or(file).to_owned();
        (frame::owner(&file) == Owner::App).then_some(SourcePlace {
            file,
            line: line.parse().ok(),
            function: None,
        })
    });
    let rest = lines.get(at + 1..).unwrap_or_default().iter().take(8);
    let caret = rest
        .clone()
        .position(|line| !line.is_blank() && line.text.trim().bytes().all(|byte| byte == b'^'));
    let end = at + 1 + caret.map_or(0, |caret| caret + 1);
    let what = "top-level await that was never settled".to_owned();
    let found = finding(at, end, at, Death::PlainExit, what, place);
    (
        Some(Finding {
            ends: &[ExpectedExit::Code(13)],
            ..found
        }),
        end,
    )
}
