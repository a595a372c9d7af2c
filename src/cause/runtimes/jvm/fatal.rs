//! A JVM that ends itself: it is told to end when memory runs out, or it crashes.

use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Reads the end that begins at this line.
pub fn read(lines: &[LogLine], at: usize) -> Option<Finding> {
    let line = line_text(lines, at);
    if let Some(what) = line.strip_prefix("Terminating due to ") {
        return out_of_memory(at, what, &[ExpectedExit::Code(3)]);
    }
    if let Some(what) = line.strip_prefix("Aborting due to ") {
        let mut finding = out_of_memory(at, what, &[ExpectedExit::Signal("ABRT")])?;
        finding.lines.end = banner_end(lines, at + 1);
        return Some(finding);
    }
    if let Some((_, rest)) =
        line.split_once("OutOfMemoryError thrown from the UncaughtExceptionHandler in thread \"")
    {
        let is_main = rest.starts_with("main\"");
        let mut finding = out_of_memory(
            at,
            "java.lang.OutOfMemoryError in thread \"main\"",
            &[ExpectedExit::Code(1)],
        )?;
        if !is_main {
            line.clone_into(&mut finding.what);
            finding.proof = Proof::Said;
        }
        return Some(finding);
    }
    // The command of -XX:OnOutOfMemoryError usually kills the process.
    if let Some(what) = line
        .strip_prefix("# java.lang.OutOfMemoryError")
        .filter(|_| line_text(lines, at + 1).starts_with("# -XX:OnOutOfMemoryError="))
    {
        let ends = &[
            ExpectedExit::Signal("KILL"),
            ExpectedExit::Signal("TERM"),
            ExpectedExit::Signal("ABRT"),
        ];
        let mut finding = out_of_memory(at, &format!("java.lang.OutOfMemoryError{what}"), ends)?;
        finding.lines.end = banner_end(lines, at + 1);
        return Some(finding);
    }
    line.starts_with('#').then(|| banner(lines, at)).flatten()
}

fn out_of_memory(at: usize, what: &str, ends: &'static [ExpectedExit]) -> Option<Finding> {
    what.starts_with("java.lang.OutOfMemoryError")
        .then(|| Finding {
            lines: at..at + 1,
            quoted: at,
            kind: Death::OutOfMemoryHeap,
            what: what.to_owned(),
            place: None,
            proof: Proof::LastWords,
            ends,
        })
}

/// Returns the line after a crash's banner.
fn banner_end(lines: &[LogLine], from: usize) -> usize {
    from + lines
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take_while(|line| line.text.starts_with('#'))
        .count()
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
        return Some(Finding {
            lines: at..end,
            quoted: first,
            kind: Death::OutOfMemoryHeap,
            what: format!(
                "insufficient memory for the Java Runtime Environment to continue: {why}"
            ),
            place: None,
            proof: Proof::LastWords,
            ends: &[ExpectedExit::Code(1), ExpectedExit::Signal("ABRT")],
        });
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
    Some(Finding {
        lines: at..end,
        quoted,
        kind,
        what: what + &frame,
        place: None,
        proof: Proof::LastWords,
        ends: &[
            ExpectedExit::Signal("ABRT"),
            ExpectedExit::Signal("SEGV"),
            ExpectedExit::Signal("BUS"),
            ExpectedExit::Signal("ILL"),
        ],
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crate::cause::runtimes::jvm;
    use crate::cause::text;

    #[test]
    fn a_long_comment_is_passed_over_once() {
        let lines = text::read(&"# x\n".repeat(100_000));
        let start = Instant::now();
        jvm::read(&lines, &mut Vec::new());
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
    }
}
