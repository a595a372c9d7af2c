//! Rust: panics, aborts of the runtime, the error that `main` returns, arguments that clap refuses.

mod panic;
mod returned;

use super::shape::past;
use super::words::{RuntimeWords, Spot};
use crate::cause::finding::ExpectedExit::Signal;
use crate::cause::finding::Finding;
use crate::cause::text::line_text;
use crate::report::Death;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&["\nWell, this is embarrassing.\n"], panic::human),
    RuntimeWords::new(&["\nthread '"], panic::read),
    RuntimeWords::new(
        &["panicked at ", "\nThe application panicked (crashed).\n"],
        panic::hooked,
    ),
    RuntimeWords::new(&ABORTS, aborted).raw(),
    RuntimeWords::new(&["\nerror: "], returned::arguments).raw(),
    RuntimeWords::new(&[" {\n", "(\n"], returned::pretty)
        .below(1)
        .raw(),
    RuntimeWords::new(&["\nError:"], returned::read).raw(),
];

const ABORTS: [&str; 3] = [
    "\nmemory allocation of ",
    "\nfatal runtime error: ",
    " has overflowed its stack\n",
];

/// Reads the last words of a runtime that aborts.
fn aborted(spot: &Spot) -> Option<Finding> {
    let Spot { lines, at, .. } = *spot;
    let line = spot.text();
    let kind = kind(line)?;
    let end = past(lines, at + 1, |line| {
        line.is_blank() || line.text.starts_with("fatal runtime error: ")
    });
    let (place, end) = panic::rest(lines, end, None);
    let what = match line_text(lines, at + 1).strip_prefix("fatal runtime error: ") {
        Some(error) if kind == Death::StackOverflow && !line.contains("stack overflow") => {
            format!("{line}: {}", error.trim_end_matches(", aborting"))
        }
        _ => line.to_owned(),
    };
    let finding = Finding::at(at..end, kind, what).place(place);
    Some(finding.last_words(&[Signal("ABRT"), Signal("ILL"), Signal("SEGV")]))
}

/// Returns the kind of death that the runtime tells of.
fn kind(line: &str) -> Option<Death> {
    if line.starts_with("memory allocation of ") && line.contains(" bytes failed") {
        return Some(Death::OutOfMemoryHeap);
    }
    let is_fatal = line.starts_with("fatal runtime error: ");
    let is_overflow = line.starts_with("thread '") && line.ends_with(" has overflowed its stack")
        || is_fatal && line.contains("stack overflow");
    if is_overflow {
        return Some(Death::StackOverflow);
    }
    is_fatal.then_some(Death::Abort)
}
