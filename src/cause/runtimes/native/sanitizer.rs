//! The sanitizers of GCC and Clang, for addresses, leaks, memory, threads and undefined behaviour.

use crate::cause::finding::{ExpectedExit, Finding, Proof, SourcePlace};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Maximum number of lines of a report.
const REPORT: usize = 600;

const RACES: &str = "ThreadSanitizer: reported ";
const RACED: &[ExpectedExit] = &[ExpectedExit::Code(66)];

/// Reads the report that begins at this line.
pub fn read(lines: &[LogLine], at: usize, before: &[Finding]) -> Option<Finding> {
    let line = line_text(lines, at);
    if line.starts_with(RACES) {
        // The process reported races before it ended.
        let race = before.iter().rev().find(|it| it.ends == RACED)?;
        return Some(Finding {
            lines: at..at + 1,
            proof: Proof::LastWords,
            ..race.clone()
        });
    }
    let (tool, what) = head(line).or_else(|| undefined(line))?;
    let (report, end) = report(lines, at);
    let what = [
        " on 0x",
        " on address 0x",
        " (pc ",
        " at pc ",
        " (pid=",
        " on unknown address",
    ]
    .iter()
    .filter_map(|end| what.find(end))
    .min()
    .and_then(|end| what.get(..end))
    .unwrap_or(what);
    let kind = match what {
        _ if what.starts_with("SEGV") => Death::Segfault,
        _ if what.starts_with("stack-overflow") => Death::StackOverflow,
        _ if what.contains("out of memory") || what.starts_with("out-of-memory") => {
            Death::OutOfMemoryHeap
        }
        _ => Death::Abort,
    };
    // By default the process stops with the first report. Leaks and races change the exit code at
    // the end.
    let is_last = report
        .iter()
        .any(|line| line.text.ends_with("==ABORTING") || line.text == "Exiting");
    Some(Finding {
        lines: at..end,
        quoted: at,
        kind,
        what: format!("{tool}: {what}"),
        place: report
            .iter()
            .find_map(|line| frame(&line.text))
            .or_else(|| place(line.split(": runtime error: ").next()?)),
        proof: if is_last {
            Proof::LastWords
        } else {
            Proof::Said
        },
        ends: match tool {
            "LeakSanitizer" => &[ExpectedExit::Code(23), ExpectedExit::Code(1)],
            "ThreadSanitizer" => RACED,
            _ => &[
                ExpectedExit::Code(1),
                ExpectedExit::Code(77),
                ExpectedExit::Signal("ABRT"),
                ExpectedExit::Signal("ILL"),
                ExpectedExit::Signal("TRAP"),
            ],
        },
    })
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
    let rest = lines.get(at + 1..).unwrap_or_default();
    let rest = rest.get(..rest.len().min(REPORT)).unwrap_or_default();
    let next = rest
        .iter()
        .position(|line| line.entry.is_some() || head(&line.text).is_some());
    let rest = rest.get(..next.unwrap_or(rest.len())).unwrap_or_default();
    let is_last = |line: &LogLine| line.text.ends_with("==ABORTING") || line.text == "Exiting";
    let is_summary = |line: &LogLine| {
        line.text.starts_with("SUMMARY: ") || line.text.starts_with("==================")
    };
    let end = rest.iter().position(is_last).or_else(|| {
        // The summary, and the lines that belong to it.
        rest.iter().position(is_summary).map(|summary| {
            summary
                + rest
                    .get(summary + 1..)
                    .unwrap_or_default()
                    .iter()
                    .take_while(|line| is_summary(line))
                    .count()
        })
    });
    let trace = || {
        rest.iter()
            .take_while(|line| line.text.starts_with("    #"))
            .count()
    };
    let count = end.map_or_else(trace, |end| end + 1);
    (rest.get(..count).unwrap_or_default(), at + 1 + count)
}

/// `    #1 0x55d4 in main /srv/app/main.c:5:3`, `    #1 main /srv/app/main.c:5 (app+0x11e9)`
fn frame(text: &str) -> Option<SourcePlace> {
    let (_number, called) = text.trim_start().strip_prefix('#')?.split_once(' ')?;
    // ThreadSanitizer prints no address before the function, but the module behind it.
    let called = called.split_once(" in ").map_or(called, |it| it.1);
    let called = called.rsplit_once(" (").map_or(called, |it| it.0);
    let (function, file) = called.rsplit_once(' ')?;
    let is_runtime = [
        "libsanitizer/",
        "compiler-rt/",
        "/sysdeps/",
        "../csu/",
        "/include/c++/",
        "/glibc-",
    ];
    if is_runtime.iter().any(|part| file.contains(part)) {
        return None;
    }
    Some(SourcePlace {
        function: Some(function.to_owned()),
        ..place(file)?
    })
}

/// `main.c:5` or `main.c:5:3`
fn place(text: &str) -> Option<SourcePlace> {
    let mut parts = text.split(':');
    let file = parts
        .next()
        .filter(|file| file.contains('.') && !file.contains(' '))?;
    let line = parts.next()?.parse().ok()?;
    Some(SourcePlace {
        file: file.to_owned(),
        line: Some(line),
        function: None,
    })
}

#[cfg(test)]
mod tests {
    use crate::cause::finding::{Finding, Proof};
    use crate::cause::runtimes::native;
    use crate::cause::text;

    fn read(log: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        native::read(&text::read(log), &mut found);
        found
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
