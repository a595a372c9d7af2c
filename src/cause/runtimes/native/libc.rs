//! The words of C libraries before they abort: a damaged heap or stack, or a failed assertion.

use super::abort::aborted;
use crate::cause::finding::Finding;
use crate::cause::runtimes::shape::is_like;
use crate::cause::runtimes::words::Spot;
use crate::report::Death;

/// Beginnings of the lines that glibc (malloc/malloc.c, debug/), tcmalloc and jemalloc print before
/// they abort.
pub const DAMAGE: [&str; 23] = [
    "\ndouble free or corruption (",
    "\nfree(): ",
    "\nmalloc(): ",
    "\ncalloc(): ",
    "\nrealloc(): ",
    "\nmunmap_chunk(): ",
    "\nmremap_chunk(): ",
    "\nmalloc_consolidate(): ",
    "\nsysmalloc(): ",
    "\ncorrupted size vs. prev_size",
    "\ncorrupted double-linked list",
    "\nmalloc: top chunk is corrupt",
    "\nbreak adjusted to free malloc space",
    "\ntcache_thread_shutdown(): ",
    "\ninvalid fastbin entry (free)",
    "\n*** stack smashing detected ***",
    "\n*** buffer overflow detected ***",
    "\n*** %n in writable segment",
    "\n*** longjmp causes uninitialized stack frame ***",
    "\n*** glibc detected *** ",
    "\n*** Error in `",
    "\nFatal glibc error: ",
    "\nsrc/tcmalloc.cc:",
];

/// Reads the word on a damaged heap or stack.
pub fn damage(spot: &Spot) -> Option<Finding> {
    let line = spot.text();
    // `src/tcmalloc.cc:332] Attempt to free invalid pointer 0x1234`
    let is_other = line.starts_with("src/") && !line.contains("] Attempt to ");
    (!is_other).then(|| aborted(spot.lines, spot.at, Death::Abort, line))
}

/// Parts of the lines that assertions print as they fail.
pub const FAILED: [&str; 14] = [
    " ASSERT",
    "_assert(",
    "\nAssert error in ",
    "\nAssertion failure",
    ": Assertion `",
    ": Assertion '",
    "\nAssertion failed: ",
    "\nassertion \"",
    "\nBail out! ERROR:",
    "\nERROR:",
    "\nASSERT: \"",
    "\nASSERT failure in ",
    "\nAssertion '",
    "\nTRAP: ",
];

/// Shapes of the lines that `GLib`, BSD, Qt, systemd, `PostgreSQL` and Varnish print. Those of
/// others name a place, which tells them from other texts.
const ASSERTIONS: [&str; 10] = [
    "Assert error in …, … line …",
    "Assertion failed:… (…: …)",
    "Assertion failed: …, file …, line …",
    "assertion \"…\" failed: file \"…",
    "Bail out! ERROR:…",
    "ASSERT: \"…\" in file …",
    "ASSERT failure in …, file …",
    "Assertion '…' failed at …Aborting.",
    "TRAP: …File: \"…Line: …",
    "TRAP: …Line: …File: \"…",
];

/// Reads the failed assertion in this line.
pub fn assertion(spot: &Spot) -> Option<Finding> {
    let line = spot.text();
    is_assertion(line).then(|| aborted(spot.lines, spot.at, Death::Assertion, line))
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
    // Ceph's `a.cc: 12: FAILED ceph_assert(n > 0)`.
    let is_placed = is_like(line, &["…: FAILED …assert(…)", "…: ASSERT…failed…"]);
    is_like(line, &ASSERTIONS)
        || is_placed && has_place(&line.replacen(": ", ":", 1))
        || is_like(line, &["ERROR:…: assertion failed…"])
            && has_place(line.get("ERROR:".len()..).unwrap_or_default())
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
