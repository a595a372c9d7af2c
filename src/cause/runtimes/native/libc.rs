//! The words of C libraries before they abort: a damaged heap or stack, or a failed assertion.

use super::abort::aborted;
use crate::cause::finding::Finding;
use crate::cause::text::{LogLine, line_text};
use crate::report::Death;

/// Beginnings of the lines that glibc (malloc/malloc.c, debug/), tcmalloc and jemalloc print before
/// they abort.
const DAMAGE: [&str; 22] = [
    "double free or corruption (",
    "free(): ",
    "malloc(): ",
    "calloc(): ",
    "realloc(): ",
    "munmap_chunk(): ",
    "mremap_chunk(): ",
    "malloc_consolidate(): ",
    "sysmalloc(): ",
    "corrupted size vs. prev_size",
    "corrupted double-linked list",
    "malloc: top chunk is corrupt",
    "break adjusted to free malloc space",
    "tcache_thread_shutdown(): ",
    "invalid fastbin entry (free)",
    "*** stack smashing detected ***",
    "*** buffer overflow detected ***",
    "*** %n in writable segment",
    "*** longjmp causes uninitialized stack frame ***",
    "*** glibc detected *** ",
    "*** Error in `",
    "Fatal glibc error: ",
];

/// Reads the end that begins at this line.
pub fn read(lines: &[LogLine], at: usize) -> Option<Finding> {
    let line = line_text(lines, at);
    if DAMAGE.iter().any(|start| line.starts_with(start)) || is_tcmalloc(line) {
        return Some(aborted(lines, at, Death::Abort, line.to_owned()));
    }
    is_assertion(line).then(|| aborted(lines, at, Death::Assertion, line.to_owned()))
}

/// `src/tcmalloc.cc:332] Attempt to free invalid pointer 0x1234`
fn is_tcmalloc(line: &str) -> bool {
    line.starts_with("src/tcmalloc.cc:") && line.contains("] Attempt to ")
}

/// Returns true if a line is a failed assertion of glibc, musl, BSD, newlib, `GLib`, Qt, systemd or
/// `PostgreSQL`.
fn is_assertion(line: &str) -> bool {
    let has_place = |text: &str| {
        text.split([' ', '(']).any(|word| {
            let mut parts = word.trim_end_matches(':').split(':');
            let file = parts.next().unwrap_or_default();
            let number = parts.next().unwrap_or_default();
            file.contains('.') && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        })
    };
    if let Some((before, after)) = line
        .split_once(": Assertion `")
        .or_else(|| line.split_once(": Assertion '"))
    {
        return after.trim_end().ends_with("' failed.") && has_place(before);
    }
    if line.starts_with("Assertion failed: ") {
        let (_, after) = line.split_once(" (").unwrap_or_default();
        return line.contains(", file ") && line.contains(", line ")
            || after.contains(": ") && line.ends_with(')');
    }
    line.starts_with("assertion \"") && line.contains("\" failed: file \"")
        || line.starts_with("Bail out! ERROR:")
        || line.starts_with("ERROR:")
            && line.contains(": assertion failed")
            && has_place(line.get(6..).unwrap_or_default())
        || line.starts_with("ASSERT: \"") && line.contains("\" in file ")
        || line.starts_with("ASSERT failure in ") && line.contains(", file ")
        || line.starts_with("Assertion '")
            && line.contains("' failed at ")
            && line.ends_with("Aborting.")
        || line.starts_with("TRAP: ") && line.contains("File: \"") && line.contains("Line: ")
}

#[cfg(test)]
mod tests {
    use super::is_assertion;

    #[test]
    fn the_assertions_of_many_libraries_are_known() {
        for line in [
            "app: main.c:12: check: Assertion `n > 0' failed.",
            "app: ../src/a b.cc:12: void f(std::vector<int>&) [with T = int]: Assertion `x && \"why: this\"' failed.",
            "/usr/include/c++/12/bits/stl_vector.h:1123: std::vector<int>::reference f(): Assertion '__n < this->size()' failed.",
            "Assertion failed: n > 0 (main.c: check: 12)",
            "Assertion failed: (n > 0), function check, file main.c, line 12.",
            "assertion \"n > 0\" failed: file \"main.c\", line 12, function: check",
            "ERROR:main.c:12:check: assertion failed: (n > 0)",
            "ASSERT: \"n > 0\" in file main.cpp, line 12",
            "Assertion 'n > 0' failed at main.c:12, function check(). Aborting.",
        ] {
            assert!(is_assertion(line), "{line}");
        }
        for line in [
            "user says: Assertion `x' failed.",
            "ERROR: assertion failed for user 7",
            "Assertion failed: expected 3 got 4",
            "Assertion failed: token expired",
        ] {
            assert!(!is_assertion(line), "{line}");
        }
    }
}
