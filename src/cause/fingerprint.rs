//! Makes the fingerprint of a crash. Two crashes have the same one if these are the same: the job,
//! the sort of death, the place and the error, without what changes from one time to the next
//! (pids, times, addresses, ids, counters, temporary paths).

use std::fmt::Write;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use ring::digest::{SHA256, digest};

/// Maximum number of bytes of a part that count.
const MOST: usize = 1024;

/// Returns 64 bits of a SHA-256 of the parts, in hexadecimal digits. The first part counts as it
/// is; from the others everything that changes from crash to crash is removed.
pub fn fingerprint(parts: &[&str]) -> String {
    let mut text = String::new();
    for (i, part) in parts.iter().enumerate() {
        text.push_str(&if i == 0 {
            (*part).to_owned()
        } else {
            normalized(part)
        });
        text.push('\0');
    }
    let mut digits = String::new();
    for byte in &digest(&SHA256, text.as_bytes()).as_ref()[..8] {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

static CHANGING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x-u) /(?:tmp|var/tmp|dev/shm|run/user|proc)/(?u:[^\x20\t:'\x22,)\]]){1,200}
               | \b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b
               | \b0x[0-9a-fA-F]+
               # Whom it talked to: the port of a server says which dependency, that of a client nothing.
               | (?P<host>\b[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|\]|::|\blocalhost)(?::(?P<port>[0-9]{1,5})\b)?
               | \bport\x20(?P<named>[0-9]{1,5})\b
               # Codes: ORA-00942, SQLSTATE 42P01, HTTP2.
               | (?P<code>\b[A-Z]{3,}[_-]?[0-9]+\b)
               | \b[0-9a-fA-F]*[0-9][0-9a-fA-F]{6,}\b
               | [0-9]+",
    )
    .ok()
});

/// Returns a text without everything that changes from crash to crash.
pub fn normalized(text: &str) -> String {
    /// First port of clients; see `ip_local_port_range` in ip(7).
    const EPHEMERAL: u32 = 32_768;
    let text = text
        .get(..text.floor_char_boundary(MOST))
        .unwrap_or_default();
    let replace = |found: &Captures| {
        if let Some(code) = found.name("code") {
            return code.as_str().to_owned();
        }
        let port = found
            .name("port")
            .or(found.name("named"))
            .map(|port| port.as_str());
        match port.filter(|port| port.parse::<u32>().is_ok_and(|port| port < EPHEMERAL)) {
            Some(port) => format!("#:{port}"),
            None => "#".to_owned(),
        }
    };
    CHANGING.as_ref().map_or_else(
        || text.to_owned(),
        |passing| passing.replace_all(text, replace).into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{fingerprint, normalized};

    #[test]
    fn changing_parts_make_no_difference() {
        for (one, other) in [
            ("worker 4242 lost", "worker 17 lost"),
            ("bad block at 0x7ffe12ab", "bad block at 0x55d0c0de"),
            (
                "cannot open /tmp/tmpa8s7d6/lock",
                "cannot open /tmp/tmpq1w2e3/lock",
            ),
            ("no session 2dbc7c89", "no session 1591cfab"),
            (
                "tenant 0b9f3c1e-6f0e-4a3b-9c55-0b2f9f6f2a11",
                "tenant 7d1b35f0-0000-4a3b-9c55-0b2f9f6f2a11",
            ),
            (
                "client 10.0.7.165:51606 broke",
                "client 10.0.3.17:46782 broke",
            ),
            (
                "late since 2026-11-22T23:58:59.250Z",
                "late since 2026-11-23T01:02:03.004Z",
            ),
        ] {
            assert_eq!(normalized(one), normalized(other), "{one} | {other}");
        }
    }

    #[test]
    fn parts_that_tell_two_errors_apart_stay() {
        for (one, other) in [
            (
                "connect ECONNREFUSED 127.0.0.1:5432",
                "connect ECONNREFUSED 127.0.0.1:6379",
            ),
            ("ORA-00942: no table", "ORA-01017: no table"),
            ("TypeError: x is undefined", "TypeError: y is undefined"),
            ("cannot open /srv/a.conf", "cannot open /srv/b.conf"),
        ] {
            assert_ne!(normalized(one), normalized(other));
        }
        assert_ne!(
            fingerprint(&["web-1", "exit"]),
            fingerprint(&["web-2", "exit"])
        );
    }

    proptest! {
        #[test]
        fn numbers_make_no_difference(words in "[a-z ]{0,20}", one in any::<u32>(), other in any::<u32>()) {
            prop_assert_eq!(normalized(&format!("{words} {one} left")), normalized(&format!("{words} {other} left")));
        }

        #[test]
        fn no_text_is_too_odd(text in any::<String>()) {
            prop_assert_eq!(fingerprint(&["web", &text]).len(), 16);
        }
    }
}
