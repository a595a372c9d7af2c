//! glog and Abseil: `LOG(FATAL)`, `CHECK`, and the stack that their handler of signals prints. Go's
//! klog writes the same.

use super::abort::{ABORTED, is_of_stack, stack_end};
use crate::cause::entry::LogLevel;
use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace};
use crate::cause::runtimes::go::Dump;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Reads a fatal entry: `F1122 23:59:59.000000 12345 file.cc:12] Check failed: x == y (1 vs. 2)`.
pub fn entry(lines: &[LogLine], at: usize) -> Option<Finding> {
    let line = lines.get(at)?;
    let entry = line
        .entry
        .as_ref()
        .filter(|entry| entry.level == Some(LogLevel::Fatal) && !entry.json)?;
    let head = line.text.strip_prefix('F')?.split_once("] ")?.0;
    if !head.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (file, number) = head.rsplit(' ').next()?.rsplit_once(':')?;
    let end = stack_end(lines, at + 1);
    let is_check =
        entry.message.starts_with("Check failed: ") || entry.message.contains(" Check failed: ");
    Some(Finding {
        lines: at..Dump::read(lines, end).end,
        quoted: at,
        kind: if is_check {
            Death::Assertion
        } else {
            Death::Abort
        },
        what: entry.message.clone(),
        place: Some(SourcePlace {
            file: file.to_owned(),
            line: number.parse().ok(),
            function: None,
        }),
        proof: Proof::LastWords,
        // klog's Fatal ends with 255, its Exit with 1.
        ends: &[
            ExpectedExit::Signal("ABRT"),
            ExpectedExit::Signal("TRAP"),
            ExpectedExit::Code(255),
            ExpectedExit::Code(1),
        ],
    })
}

/// Reads the signal handler's words: `*** SIGSEGV (@0x0) received by PID 123 (TID 0x7f) from PID 0;
/// stack trace: ***`.
pub fn stack(lines: &[LogLine], at: usize) -> Option<Finding> {
    let (quoted, name) = (at..at + 3).find_map(|i| Some((i, signal(line_text(lines, i))?)))?;
    if quoted > at && !is_of_stack(line_text(lines, at)) {
        return None;
    }
    let (kind, ends): (Death, &'static [ExpectedExit]) = match name {
        "SIGSEGV" => (Death::Segfault, &[ExpectedExit::Signal("SEGV")]),
        "SIGABRT" => (Death::Abort, ABORTED),
        "SIGBUS" => (Death::KilledBySignal, &[ExpectedExit::Signal("BUS")]),
        "SIGFPE" => (Death::KilledBySignal, &[ExpectedExit::Signal("FPE")]),
        "SIGILL" => (Death::KilledBySignal, &[ExpectedExit::Signal("ILL")]),
        _ => return None,
    };
    let end = stack_end(lines, quoted + 1);
    let place = (quoted + 1..end).find_map(|i| frame(line_text(lines, i)));
    let what = place.as_ref().and_then(|place| place.function.as_deref());
    Some(Finding {
        lines: at..end,
        quoted,
        kind,
        what: what.map_or_else(
            || name.to_owned(),
            |function| format!("{name} in {function}"),
        ),
        place: None,
        proof: Proof::LastWords,
        ends,
    })
}

/// Returns the signal that the handler's first line names.
fn signal(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("*** ")?;
    let rest = rest
        .split_once('(')
        .filter(|_| rest.starts_with("Signal "))
        .map_or(rest, |it| it.1);
    rest.contains(" received ")
        .then(|| rest.split([' ', ')']).next())
        .flatten()
        .filter(|name| name.starts_with("SIG"))
}

/// `    @     0x7f1234567890 function()`
fn frame(line: &str) -> Option<SourcePlace> {
    let rest = line.trim_start().strip_prefix("@ ")?.trim_start();
    let function = rest.split_once(' ')?.1.trim();
    let is_own = !function.starts_with('(')
        && !["__", "gsignal", "abort", "raise"]
            .iter()
            .any(|it| function.starts_with(it));
    is_own.then(|| SourcePlace {
        file: String::new(),
        line: None,
        function: Some(function.to_owned()),
    })
}
