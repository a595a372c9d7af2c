//! The words of V8 and node as they abort: heap limits, fatal errors, failed checks,
//! `process.abort()`.

use super::frame::{self, JsFrame, Owner};
use super::wrappers;
use crate::cause::finding::ExpectedExit::{Code, Signal};
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::runtimes::shape::is_like;
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

pub const MARKS: [&str; 7] = [
    "\nFATAL ERROR: ",
    "\n# Fatal ",
    "Assertion `",
    "#  ",
    "\n----- Native stack trace -----\n",
    "1: 0x",
    "\nUncaught ",
];

/// Reads the abort that begins at a line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let text = spot.text();
    let (kind, what) = aborted(lines, at, text)?;
    let (end, place) = trace(lines, at + 1);
    let finding = Finding::at(at..end, kind, what).place(place);
    let is_heap = kind == Death::OutOfMemoryHeap && text.starts_with("FATAL ERROR: ");
    // V8 aborts, or traps.
    Some(if is_heap {
        finding.last_words(&[
            Signal("ABRT"),
            Signal("TRAP"),
            Signal("ILL"),
            Signal("SEGV"),
        ])
    } else {
        finding.last_words(&[])
    })
}

/// Returns the kind and the words of the abort that begins at a line.
fn aborted(lines: &[LogLine], at: usize, text: &str) -> Option<(Death, String)> {
    let next = line_text(lines, at + 1);
    if let Some(message) = text.strip_prefix("FATAL ERROR: ") {
        let kind = kind(message);
        let is_told = kind == Death::OutOfMemoryHeap || begins_trace(next);
        return is_told.then(|| (kind, message.to_owned()));
    }
    if text.starts_with("# Fatal ") {
        return fatal(lines, at);
    }
    if let Some(failed) = assertion(text, next) {
        return Some((Death::Assertion, failed.to_owned()));
    }
    if begins_trace(text) {
        let what = "node aborted itself, without a message (process.abort, or a native addon)";
        return Some((Death::Abort, what.to_owned()));
    }
    let thrown = text.strip_prefix("Uncaught ")?;
    let is_from = lines.get(at + 1).is_some_and(LogLine::is_blank)
        && line_text(lines, at + 2).trim() == "FROM";
    is_from.then(|| (Death::Abort, thrown.to_owned()))
}

/// Returns the kind of a fatal error with this message.
fn kind(message: &str) -> Death {
    const MEMORY: [&str; 4] = [
        "…out of memory…",
        "…Allocation failed…",
        "…heap limit…",
        "…process OOM…",
    ];
    if is_like(message, &MEMORY) {
        Death::OutOfMemoryHeap
    } else if is_like(message, &["…Check failed…", "…check failed…"]) {
        Death::Assertion
    } else {
        Death::Abort
    }
}

/// Reads V8's `# Fatal error in FILE, line N` and the message beneath it.
fn fatal(lines: &[LogLine], at: usize) -> Option<(Death, String)> {
    let first = lines.get(at)?.text.trim_start_matches(['#', ' ']);
    let below = line_text(lines, at + 1);
    let next = below.trim_start_matches(['#', ' ']);
    let is_place = first.starts_with("Fatal error in ") && !next.is_empty();
    let what = if is_place { next } else { first };
    let above = at
        .checked_sub(1)
        .map(|above| line_text(lines, above).trim());
    let is_v8 = above == Some("#") || below.starts_with('#');
    is_v8.then(|| (kind(what), what.to_owned()))
}

/// Returns the failed condition of one of node's own checks.
fn assertion<'a>(text: &'a str, next: &'a str) -> Option<&'a str> {
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
    let next = next.trim_start().strip_prefix('#')?.trim_start();
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
pub fn unsettled(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let (_, place) = spot.text().split_once(" await at")?;
    let place = match place.trim() {
        "" => line_text(lines, at + 1),
        place => place,
    };
    let place = place.rsplit_once(':').and_then(|(file, line)| {
        let file = file.strip_prefix("file://").unwrap_or(file);
        let is_own = frame::owner(file) == Owner::App;
        is_own.then(|| SourcePlace::new(file, line.parse().ok()))
    });
    let is_caret = |i: &usize| {
        let text = line_text(lines, *i).trim();
        !text.is_empty() && text.bytes().all(|byte| byte == b'^')
    };
    let last = (at + 1..at + 9).find(is_caret).unwrap_or(at);
    let what = "top-level await that was never settled";
    let finding = Finding::at(at..last + 1, Death::PlainExit, what).place(place);
    Some(finding.last_words(&[Code(13)]))
}
