//! The sanitizers of GCC and Clang, for addresses, leaks, memory, threads and undefined behaviour.

use crate::cause::finding::ExpectedExit::{self, Code, Signal};
use crate::cause::finding::{Finding, SourcePlace};
use crate::cause::runtimes::shape::{below, is_like, past};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::LogLine;
use crate::report::Death;

/// Maximum number of lines of a report.
const REPORT: usize = 600;

const RACED: &[ExpectedExit] = &[Code(66)];

/// Ends of a fault's name, before what changes from crash to crash.
const AFTER_NAME: [&str; 6] = [
    " on 0x",
    " on address 0x",
    " (pc ",
    " at pc ",
    " (pid=",
    " on unknown address",
];

/// Reads the report that begins at this line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let line = spot.text();
    if line.starts_with("ThreadSanitizer: reported ") {
        // The process reported races before it ended.
        let race = spot.own.iter().rev().find(|it| it.ends == RACED)?.clone();
        return Some(
            Finding {
                lines: at..at + 1,
                ..race
            }
            .last_words(RACED),
        );
    }
    let (tool, what) = head(line).or_else(|| undefined(line))?;
    let (report, end) = report(lines, at);
    let length = AFTER_NAME.iter().filter_map(|end| what.find(end)).min();
    let what = what.get(..length.unwrap_or(what.len()))?;
    let kind = match what {
        _ if what.starts_with("SEGV") => Death::Segfault,
        _ if what.starts_with("stack-overflow") => Death::StackOverflow,
        _ if is_like(what, &["…out of memory…", "out-of-memory…"]) => Death::OutOfMemoryHeap,
        _ => Death::Abort,
    };
    let ends: &[_] = match tool {
        "LeakSanitizer" => &[Code(23), Code(1)],
        "ThreadSanitizer" => RACED,
        _ => &[
            Code(1),
            Code(77),
            Signal("ABRT"),
            Signal("ILL"),
            Signal("TRAP"),
        ],
    };
    let frame = report.iter().find_map(|line| frame(&line.text));
    let place = frame.or_else(|| place(line.split(": runtime error: ").next()?));
    let finding = Finding::at(at..end, kind, format!("{tool}: {what}")).place(place);
    // By default the process stops with the first report. Leaks and races change the exit code at
    // the end.
    Some(if report.iter().any(is_last) {
        finding.last_words(ends)
    } else {
        finding.said(ends)
    })
}

/// Returns true if the process stops with this line.
fn is_last(line: &LogLine) -> bool {
    is_like(&line.text, &["…==ABORTING", "Exiting"])
}

/// `==123==ERROR: AddressSanitizer: heap-use-after-free on address …`, `WARNING: ThreadSanitizer:
/// data race (pid=1)`.
fn head(line: &str) -> Option<(&str, &str)> {
    let rest = match line.strip_prefix("==") {
        Some(rest) => rest.split_once("==")?.1,
        None => line,
    };
    let rest = rest
        .strip_prefix("ERROR: ")
        .or_else(|| rest.strip_prefix("WARNING: "))?;
    let (tool, what) = rest.split_once(": ")?;
    tool.ends_with("Sanitizer").then_some((tool, what))
}

/// `main.c:3:5: runtime error: signed integer overflow: …`
fn undefined(line: &str) -> Option<(&str, &str)> {
    let (before, what) = line.split_once(": runtime error: ")?;
    place(before)?;
    Some(("UndefinedBehaviorSanitizer", what))
}

/// Returns the lines of a report and the line after them.
fn report(lines: &[LogLine], at: usize) -> (&[LogLine], usize) {
    let rest = below(lines, at);
    let rest = rest.get(..rest.len().min(REPORT)).unwrap_or_default();
    let next = past(rest, 0, |line| {
        line.entry.is_none() && head(&line.text).is_none()
    });
    let rest = rest.get(..next).unwrap_or_default();
    let is_summary = |line: &LogLine| is_like(&line.text, &["SUMMARY: …", "==================…"]);
    let last = rest.iter().position(is_last).map(|last| last + 1);
    // The summary, and the lines that belong to it.
    let summary = || {
        rest.iter()
            .position(is_summary)
            .map(|at| past(rest, at, is_summary))
    };
    let trace = || past(rest, 0, |line| line.text.starts_with("    #"));
    let count = last.or_else(summary).unwrap_or_else(trace);
    (rest.get(..count).unwrap_or_default(), at + 1 + count)
}

/// Parts of the paths of the C library's own files, and of others that are not the application's.
const RUNTIME: [&str; 6] = [
    "libsanitizer/",
    "compiler-rt/",
    "/sysdeps/",
    "../csu/",
    "/include/c++/",
    "/glibc-",
];

/// `    #1 0x55d4 in main /srv/app/main.c:5:3`, `    #1 main /srv/app/main.c:5 (app+0x11e9)`
fn frame(text: &str) -> Option<SourcePlace> {
    let (_number, called) = text.trim_start().strip_prefix('#')?.split_once(' ')?;
    // ThreadSanitizer prints no address before the function, but the module behind it.
    let called = called.split_once(" in ").map_or(called, |it| it.1);
    let called = called.rsplit_once(" (").map_or(called, |it| it.0);
    let (function, file) = called.rsplit_once(' ')?;
    let is_runtime = RUNTIME.iter().any(|part| file.contains(part));
    let place = place(file).filter(|_| !is_runtime)?;
    Some(place.within(Some(function)))
}

/// `main.c:5` or `main.c:5:3`
fn place(text: &str) -> Option<SourcePlace> {
    let mut parts = text.split(':');
    let file = parts
        .next()
        .filter(|file| file.contains('.') && !file.contains(' '))?;
    Some(SourcePlace::new(file, Some(parts.next()?.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use crate::cause::finding::{Finding, Proof};
    use crate::cause::runtimes::{found, native};

    fn read(log: &str) -> Vec<Finding> {
        found(native::WORDS, log)
    }

    #[test]
    fn undefined_behaviour_is_only_said_as_the_process_goes_on() {
        let found =
            read("main.c:3:5: runtime error: signed integer overflow: 1 + 2147483647\nnext\n");
        assert_eq!(
            found[0].what,
            "UndefinedBehaviorSanitizer: signed integer overflow: 1 + 2147483647"
        );
        assert_eq!(
            (found[0].proof, found[0].lines.clone()),
            (Proof::Said, 0..1)
        );
        assert!(read("job 7: runtime error: no route\n").is_empty());
    }

    #[test]
    fn a_report_that_has_no_end_is_none_of_the_next_one_s_lines() {
        let found = read(
            "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1 at pc 0x2\n    #0 0x1 in f a.c:1\n==2==ERROR: AddressSanitizer: SEGV on unknown address 0x0\n",
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].lines, 0..2);
        assert_eq!(found[0].what, "AddressSanitizer: heap-use-after-free");
    }
}
