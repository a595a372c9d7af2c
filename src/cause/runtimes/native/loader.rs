//! The dynamic loaders of glibc and musl: a library, a version or a symbol that is missing.

use crate::cause::finding::{ExpectedExit, Finding, Proof};
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Reads the end that begins at this line.
pub fn read(lines: &[LogLine], at: usize) -> Option<Finding> {
    let line = line_text(lines, at);
    if !(is_glibc(line) || is_musl(line)) {
        return None;
    }
    let rest = lines.get(at + 1..).unwrap_or_default();
    let more = rest
        .iter()
        .take_while(|line| line.entry.is_none() && (is_glibc(&line.text) || is_musl(&line.text)));
    Some(Finding {
        lines: at..at + 1 + more.count(),
        quoted: at,
        kind: Death::MissingModule,
        what: line.to_owned(),
        place: None,
        proof: Proof::LastWords,
        ends: &[ExpectedExit::Code(127), ExpectedExit::Code(1)],
    })
}

/// Returns true if a line is the loader's, `program: what went wrong`; see `_dl_fatal_printf` in
/// elf/ of glibc.
fn is_glibc(line: &str) -> bool {
    let Some((program, rest)) = line.split_once(": ") else {
        return false;
    };
    // The program's name is one path, as it was called.
    !program.contains(char::is_whitespace)
        && (rest.starts_with("error while loading shared libraries: ")
            || rest.starts_with("symbol lookup error: ")
            || rest.starts_with("relocation error: ")
            || rest.contains(": version `") && rest.contains("' not found (required by "))
}

fn is_musl(line: &str) -> bool {
    line.starts_with("Error loading shared library ") && line.contains(": ")
        || line.starts_with("Error relocating ") && line.ends_with(": symbol not found")
}
