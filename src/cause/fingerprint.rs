//! What makes two crashes the same: the job, the sort of death and the error, without what changes from one time to the
//! next (pids, times, addresses, ids, temporary paths).

use std::fmt::Write;
use std::sync::LazyLock;

use regex::Regex;
use ring::digest::{SHA256, digest};

/// 64 bits of a SHA-256 of the parts, in hexadecimal digits.
pub fn fingerprint(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(&steady(part));
        text.push('\0');
    }
    let mut digits = String::new();
    for byte in &digest(&SHA256, text.as_bytes()).as_ref()[..8] {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

static PASSING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x-u) (?P<path>/(?:tmp|var/tmp|run/user|proc)/(?u:[^\s:'\x22]){1,200})
               | \b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b
               | \b0x[0-9a-fA-F]+ | \b[0-9a-fA-F]*[0-9][0-9a-fA-F]{6,}\b | [0-9]+",
    )
    .ok()
});

/// A text without what passes.
pub fn steady(text: &str) -> String {
    PASSING.as_ref().map_or_else(|| text.to_owned(), |passing| passing.replace_all(text, "#").into_owned())
}
