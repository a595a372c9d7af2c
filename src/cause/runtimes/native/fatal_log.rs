//! glog and Abseil: `LOG(FATAL)`, `CHECK`, and the stack that their handler of signals prints. Go's
//! klog writes the same.

use super::abort::{fault, is_of_stack, stack_end};
use crate::cause::entry::LogLevel;
use crate::cause::finding::ExpectedExit::{Code, Signal};
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::runtimes::go::Dump;
use crate::cause::runtimes::shape::{is_like, number};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// How an assertion's message looks.
const ASSERTIONS: [&str; 4] = [
    "ASSERTION…",
    "Assertion …",
    "Check failed: …",
    "… Check failed: …",
];

/// Reads a fatal entry: `F1122 23:59:59.000000 12345 file.cc:12] Check failed: x == y (1 vs. 2)`.
pub fn entry(spot: &Spot) -> Option<Finding> {
    let entry = spot.line.entry.as_ref()?;
    (entry.level == Some(LogLevel::Fatal) && !entry.json).then_some(())?;
    let head = spot.text().split_once("] ")?.0;
    let (file, number) = head.rsplit(' ').next()?.rsplit_once(':')?;
    let kind = if is_like(&entry.message, &["Check failed: …", "… Check failed: …"]) {
        Death::Assertion
    } else {
        Death::Abort
    };
    let end = Dump::read(spot.lines, stack_end(spot.lines, spot.at + 1)).end;
    let finding = Finding::at(spot.at..end, kind, &*entry.message);
    let finding = finding.place(Some(SourcePlace::new(file, number.parse().ok())));
    // klog's Fatal ends with 255, its Exit with 1.
    Some(finding.last_words(&[Signal("ABRT"), Signal("TRAP"), Code(255), Code(1)]))
}

/// Reads the signal handler's words: `*** SIGSEGV (@0x0) received by PID 123 (TID 0x7f) from PID 0;
/// stack trace: ***`.
pub fn stack(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let (quoted, name) = (at..at + 3).find_map(|i| Some((i, signal(line_text(lines, i))?)))?;
    if quoted > at && !is_of_stack(spot.text()) {
        return None;
    }
    let (_, kind, ends) = fault(name)?;
    let end = stack_end(lines, quoted + 1);
    let function = (quoted + 1..end).find_map(|i| frame(line_text(lines, i)));
    let what = function.map_or_else(
        || name.to_owned(),
        |function| format!("{name} in {function}"),
    );
    // A program that aborts says why right before.
    let above = at.checked_sub(1).and_then(|above| lines.get(above));
    let said = above.filter(|line| {
        let aborts_itself = name == "SIGABRT" && !is_sent(line_text(lines, quoted));
        aborts_itself && says_why(line, lines.get(quoted))
    });
    let what = said.map_or(what, |line| line.head().to_owned());
    Some(
        Finding::at(at..end, kind, what)
            .quoted(quoted)
            .last_words(ends),
    )
}

/// Returns true if another process sent the signal, as systemd's watchdog does: `received by PID 42
/// (TID 0x7f) from PID 1;`.
fn is_sent(line: &str) -> bool {
    let pid = |before: &str| Some(number(line.split_once(before)?.1)?.0);
    let sender = pid(" from PID ");
    sender.is_some() && sender != pid(" received by PID ")
}

/// Returns true if the line above the stack says why the process aborted: an error that says so, or
/// that was logged in the same second.
fn says_why(line: &LogLine, stack: Option<&LogLine>) -> bool {
    let is_at_once = || {
        let died = stack.and_then(|stack| stack.at);
        died.zip(line.at).is_some_and(|(died, at)| died - at < 1.0)
    };
    line.level() >= Some(LogLevel::Fatal)
        || line.level() >= Some(LogLevel::Error)
            && (is_like(line.head(), &ASSERTIONS) || is_at_once())
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

/// Returns the function of `    @     0x7f1234567890 function()`.
fn frame(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("@ ")?.trim_start();
    let function = rest.split_once(' ')?.1.trim();
    (!is_like(function, &["(…", "__…", "gsignal…", "abort…", "raise…"])).then_some(function)
}
