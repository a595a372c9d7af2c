//! A JVM that ends itself: it is told to end when memory runs out, or it crashes.

use std::ops::Range;

use crate::cause::finding::ExpectedExit::{self, Code, Signal};
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::past;
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Reads the end that begins at this line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let line = spot.text();
    if let Some(what) = line.strip_prefix("Terminating due to ") {
        return out_of_memory(at..at + 1, what, &[Code(3)]);
    }
    if let Some(what) = line.strip_prefix("Aborting due to ") {
        return out_of_memory(at..banner_end(lines, at + 1), what, &[Signal("ABRT")]);
    }
    if let Some((_, rest)) =
        line.split_once("OutOfMemoryError thrown from the UncaughtExceptionHandler in thread \"")
    {
        if !rest.starts_with("main\"") {
            return Some(Finding::at(at..at + 1, Death::OutOfMemoryHeap, line).said(&[Code(1)]));
        }
        let what = "java.lang.OutOfMemoryError in thread \"main\"";
        return out_of_memory(at..at + 1, what, &[Code(1)]);
    }
    // The command of -XX:OnOutOfMemoryError usually kills the process.
    if let Some(what) = line.strip_prefix("# java.lang.OutOfMemoryError")
        && line_text(lines, at + 1).starts_with("# -XX:OnOutOfMemoryError=")
    {
        let what = format!("java.lang.OutOfMemoryError{what}");
        let end = banner_end(lines, at + 1);
        return out_of_memory(
            at..end,
            &what,
            &[Signal("KILL"), Signal("TERM"), Signal("ABRT")],
        );
    }
    banner(lines, at)
}

fn out_of_memory(
    lines: Range<usize>,
    what: &str,
    ends: &'static [ExpectedExit],
) -> Option<Finding> {
    let finding = Finding::at(lines, Death::OutOfMemoryHeap, what).last_words(ends);
    what.starts_with("java.lang.OutOfMemoryError")
        .then_some(finding)
}

/// Returns the line after a crash's banner.
fn banner_end(lines: &[LogLine], from: usize) -> usize {
    past(lines, from, |line| line.text.starts_with('#'))
}

/// Reads the banner of a crash. Its long form is in `hs_err_pidN.log`.
fn banner(lines: &[LogLine], at: usize) -> Option<Finding> {
    // A banner begins with an empty line. The check comes first, so that long comments are read
    // once.
    let is_head = |i| {
        let words = line_text(lines, i).trim_start_matches('#').trim_start();
        words.starts_with("There is insufficient memory for")
            || words.starts_with("A fatal error has been detected by")
    };
    let is_banner = is_head(at) || (line_text(lines, at) == "#" && is_head(at + 1));
    if !is_banner {
        return None;
    }
    let end = banner_end(lines, at);
    let inner: Vec<(usize, &str)> = (at..end)
        .map(|i| (i, line_text(lines, i).trim_start_matches('#').trim()))
        .filter(|it| !it.1.is_empty())
        .collect();
    let (first, words) = *inner.first()?;
    if words
        .starts_with("There is insufficient memory for the Java Runtime Environment to continue")
    {
        let why = inner
            .get(1)
            .map(|it| it.1.trim_end_matches('.'))
            .unwrap_or_default();
        let what =
            format!("insufficient memory for the Java Runtime Environment to continue: {why}");
        let finding = Finding::at(at..end, Death::OutOfMemoryHeap, what).quoted(first);
        return Some(finding.last_words(&[Code(1), Signal("ABRT")]));
    }
    if !words.starts_with("A fatal error has been detected by the Java Runtime Environment") {
        return None;
    }
    let (quoted, how) = *inner.get(1)?;
    let name = how.split([' ', '(']).next()?;
    let kind = match name {
        "SIGSEGV" => Death::Segfault,
        _ if inner
            .iter()
            .any(|it| it.1.contains("OutOfMemory encountered")) =>
        {
            Death::OutOfMemoryHeap
        }
        _ => Death::Abort,
    };
    let frame = inner
        .iter()
        .position(|it| it.1.starts_with("Problematic frame:"))
        .and_then(|i| inner.get(i + 1));
    let what = if name.starts_with("SIG") {
        format!("{name} in the Java Runtime Environment")
    } else {
        // `Internal Error (debug.cpp:362), pid=4, tid=5`, then its words.
        let words = inner.get(2).map(|it| it.1).unwrap_or_default();
        format!("{}: {words}", how.split(", pid=").next()?)
    };
    let frame = frame
        .map(|it| format!(", problematic frame {}", it.1))
        .unwrap_or_default();
    let finding = Finding::at(at..end, kind, what + &frame).quoted(quoted);
    Some(finding.last_words(&[Signal("ABRT"), Signal("SEGV"), Signal("BUS"), Signal("ILL")]))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crate::cause::runtimes::{found, jvm};

    #[test]
    fn a_long_comment_is_passed_over_once() {
        let start = Instant::now();
        found(jvm::WORDS, &"# x\n".repeat(30_000));
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
    }
}
