//! The dynamic loaders of glibc and musl: a library, a version or a symbol that is missing.

use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::{is_like, past};
use crate::cause::runtimes::words::Spot;
use crate::report::Death;

pub const MARKS: [&str; 6] = [
    ": error while loading shared libraries: ",
    ": symbol lookup error: ",
    ": relocation error: ",
    ": version `",
    "\nError loading shared library ",
    "\nError relocating ",
];

/// Reads the end that begins at this line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let line = spot.text();
    (is_glibc(line) || is_musl(line)).then_some(())?;
    let end = past(spot.lines, spot.at + 1, |line| {
        line.entry.is_none() && (is_glibc(&line.text) || is_musl(&line.text))
    });
    let finding = Finding::at(spot.at..end, Death::MissingModule, line);
    Some(finding.last_words(&[Code(127), Code(1)]))
}

const GLIBC: [&str; 4] = [
    "error while loading shared libraries: …",
    "symbol lookup error: …",
    "relocation error: …",
    "…: version `…' not found (required by …",
];

/// Returns true if a line is the loader's, `program: what went wrong`; see `_dl_fatal_printf` in
/// elf/ of glibc.
fn is_glibc(line: &str) -> bool {
    let Some((program, rest)) = line.split_once(": ") else {
        return false;
    };
    // The program's name is one path, as it was called.
    !program.contains(char::is_whitespace) && is_like(rest, &GLIBC)
}

fn is_musl(line: &str) -> bool {
    is_like(
        line,
        &[
            "Error loading shared library …: …",
            "Error relocating …: symbol not found",
        ],
    )
}
