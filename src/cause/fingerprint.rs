//! Makes the fingerprint of a crash. Two crashes have the same one if these are the same: the job,
//! the sort of death, the place and the error, without what changes from one time to the next.
//!
//! | the error's place in the code | what counts of its text |
//! |---|---|
//! | known to the line | its type, the types of its causes, codes, ports of servers: [`type_of`] |
//! | unknown | its words, without numbers, ids, times, quotes, paths and values: [`template_of`] |
//!
//! The other words of an error do not count where its place is known. One of them may be the name
//! of a customer, and no program can tell which.

use std::fmt::Write;
use std::sync::LazyLock;

use regex::Regex;
use regex::bytes::{self, Captures};
use ring::digest::{SHA256, digest};

/// Maximum number of bytes of a part that count.
const MOST: usize = 1024;
/// First port of clients; see `ip_local_port_range` in ip(7).
const EPHEMERAL: u32 = 32_768;
/// Minimum length of an id in which letters follow digits.
const SHORTEST_ID: usize = 6;

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

// A class of bytes compiles in a tenth of the time that one of characters takes. All that it leaves
// out are ASCII characters, so no match ends within another character.
static CHANGING: LazyLock<Option<bytes::Regex>> = LazyLock::new(|| {
    bytes::Regex::new(
        r"(?x-u) /(?:tmp|var/tmp|dev/shm|run/user|proc)/[^\x20\t:'\x22,)\]]+
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
    let replace = |found: &Captures| {
        if let Some(code) = found.name("code") {
            return code.as_bytes().to_owned();
        }
        let port = found.name("port").or(found.name("named"));
        let port = port.and_then(|port| str::from_utf8(port.as_bytes()).ok());
        match port.filter(|port| port.parse::<u32>().is_ok_and(|port| port < EPHEMERAL)) {
            Some(port) => format!("#:{port}").into_bytes(),
            None => b"#".to_vec(),
        }
    };
    replaced(CHANGING.as_ref(), bounded(text), replace)
}

/// Returns a text with its matches replaced; as it is if there is no pattern.
fn replaced(
    pattern: Option<&bytes::Regex>,
    text: &str,
    replace: impl FnMut(&Captures) -> Vec<u8>,
) -> String {
    let Some(pattern) = pattern else {
        return text.to_owned();
    };
    let replaced = pattern.replace_all(text.as_bytes(), replace);
    String::from_utf8_lossy(&replaced).into_owned()
}

fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MOST))
        .unwrap_or_default()
}

/// Names of errors where a type stands, or that end as types do. Codes and ports that say which
/// error it is.
static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x-u) (?:^|caused\x20by\x20)
                 ( (?:[A-Za-z_$][A-Za-z0-9_$]*(?:\.|::))*
                   (?:Error | Exception | [A-Z][a-z0-9]*[A-Z][A-Za-z0-9_$]* | [a-z]+_error)
                 | panic | fatal\x20error )
                 (?:\x20\[([A-Z_]+)\])? (?::|$)
               | \b([A-Za-z_$][A-Za-z0-9_.:$]*(?:Error|Exception))\b
               | \b(ERR_[A-Z0-9_]+|E[A-Z]{4,}[0-9]*|(?:AH|ORA|PLS|TNS|TS)-?[0-9]{4,5})\b
               # What runtimes say of themselves as they panic.
               | \b(assertion|attempt\x20to\x20[a-z]+|called\x20`[A-Z][a-z]+::[a-z_]+
                   |index\x20out\x20of|nil\x20map|nil\x20pointer|divide\x20by\x20zero|closed\x20channel)\b
               | \bSQLSTATE[\x20\[:=]*([0-9A-Z]{5})\b
               | (?:(?:\b[0-9.]{7,15}|\]|::|\blocalhost):|\bport\x20)(?P<port>[0-9]{1,5})\b",
    )
    .ok()
});

/// Returns what counts of an error's text where its place in the code is known.
pub fn type_of(error: &str) -> String {
    let Some(names) = NAMES.as_ref() else {
        return normalized(error);
    };
    let mut text = String::new();
    for found in names.captures_iter(bounded(error)) {
        // The port of a client says nothing.
        let is_client = found.name("port").is_some_and(|port| {
            port.as_str()
                .parse()
                .is_ok_and(|port: u32| port >= EPHEMERAL)
        });
        let names = found.iter().skip(1).flatten().map(|name| name.as_str());
        for name in names.filter(|_| !is_client) {
            text.push_str(name);
            text.push(' ');
        }
    }
    text
}

static VARYING: LazyLock<Option<bytes::Regex>> = LazyLock::new(|| {
    bytes::Regex::new(
        r#"(?x-u) \b [0-9a-fA-F]{8} (?: - [0-9a-fA-F]{4} ){3} - [0-9a-fA-F]{12} \b
              # An error's words are quoted by klog and in logfmt.
              | (?P<said> \b (?: err | error | reason | msg ) =" )
              | (?P<host> \b [a-z]{2,8}:// [^\x20\t\r\n/'"`)\]}>,;]* ) (?: / [^\x20\t\r\n'"`)\]}>,;]* )?
              | (?P<open> ^ | [\s(\[{<=:,;|] )
                (?: (?P<quoted> '[^']*' | "[^"]*" | `[^`]*`
                      # The quotes ‘ ’ and “ ”, in UTF-8.
                      | \xe2\x80\x98 (?: [^\xe2] | \xe2[^\x80] | \xe2\x80[^\x99] )* \xe2\x80\x99
                      | \xe2\x80\x9c (?: [^\xe2] | \xe2[^\x80] | \xe2\x80[^\x9d] )* \xe2\x80\x9d )
                  | (?: \.{0,2}/ | [\w.-]+/ (?: [\w.-]+/ )* [\w-]*\.\w )
                    [^\x20\t\r\n'"`,;:)\]}>]* )
              | = [^\x20\t\r\n'"`,;)\]}&|=>]+
              | \b [\w.+-]+ @ [\w-]+ \. [\w.-]+
              | \b (?: Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec ) \b
              | (?P<id> \b [A-Za-z0-9_]* [0-9] [A-Za-z] [A-Za-z0-9_]* \b )"#,
    )
    .ok()
});

/// Returns what counts of an error's text where its place in the code is not known. Names in quotes
/// stay if `keeps_names`: they are the error where a module or an option is wrong.
pub fn template_of(error: &str, keeps_names: bool) -> String {
    let replace = |found: &Captures| {
        let part = |name| found.name(name).map_or(&b""[..], |part| part.as_bytes());
        let whole = part("id").is_empty() || part("id").len() >= SHORTEST_ID;
        if !whole || !part("said").is_empty() || keeps_names && !part("quoted").is_empty() {
            return found[0].to_owned();
        }
        [part("host"), part("open"), "…".as_bytes()].concat()
    };
    normalized(&replaced(VARYING.as_ref(), bounded(error), replace))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CHANGING, NAMES, VARYING, fingerprint, normalized, template_of, type_of};

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

    #[test]
    fn the_patterns_are_well_formed() {
        assert!(CHANGING.is_some() && NAMES.is_some() && VARYING.is_some());
    }

    #[test]
    fn at_one_place_the_type_counts_and_the_words_do_not() {
        for (one, other) in [
            ("KeyError: 'alice'", "KeyError: 'bob'"),
            (
                "ValueError: unknown customer qwertz",
                "ValueError: unknown customer asdfgh",
            ),
            (
                "Error [E_CARD]: card of alice expired",
                "Error [E_CARD]: card of bob expired",
            ),
            ("alice is no customer", "bob is no customer"),
            ("panic: no backend for alice", "panic: no backend for bob"),
        ] {
            assert_eq!(type_of(one), type_of(other), "{one} | {other}");
        }
        for (one, other) in [
            ("KeyError: 'alice'", "ValueError: 'alice'"),
            ("Error [E_CARD]: no", "Error [E_BANK]: no"),
            (
                "Error: a; caused by KeyError: x",
                "Error: a; caused by TypeError: x",
            ),
            (
                "java.lang.E: (com.acme.AError) x",
                "java.lang.E: (com.acme.BError) x",
            ),
            (
                "Error: connect ECONNREFUSED 127.0.0.1:5432",
                "Error: connect ECONNREFUSED 127.0.0.1:6379",
            ),
            (
                "Error: connect ECONNREFUSED 127.0.0.1:5432",
                "Error: connect ETIMEDOUT 127.0.0.1:5432",
            ),
            (
                "error at \"db\", port 5432 failed",
                "error at \"db\", port 5433 failed",
            ),
            ("E: ORA-00942", "E: ORA-01017"),
            ("E: SQLSTATE[42P01]: no", "E: SQLSTATE[42703]: no"),
            ("std::runtime_error: a", "std::logic_error: a"),
            (
                "panic: attempt to add with overflow",
                "panic: index out of bounds: the len is 3",
            ),
            (
                "panic: called `Option::unwrap()` on a `None` value",
                "panic: assertion `left == right` failed",
            ),
            (
                "panic: assignment to entry in nil map",
                "panic: runtime error: nil pointer dereference",
            ),
            (
                "panic: runtime error: integer divide by zero",
                "panic: send on closed channel",
            ),
        ] {
            assert_ne!(type_of(one), type_of(other), "{one} | {other}");
        }
        assert_eq!(
            type_of("reset by 127.0.0.1:51606"),
            type_of("reset by 127.0.0.1:46782")
        );
    }

    #[test]
    fn without_a_place_what_varies_does_not_count() {
        for (one, other) in [
            ("no customer 'alice'", "no customer 'bob'"),
            (
                "no customer \"alice b\" (\u{201c}x\u{201d})",
                "no customer \"bob\" (\u{201c}y\u{201d})",
            ),
            (
                "cannot open /srv/a/b.conf: gone",
                "cannot open /srv/c: gone",
            ),
            ("cannot open conf/a.json", "cannot open other/conf/b.json"),
            (
                "GET https://a.example/x/1?u=alice failed",
                "GET https://a.example/y failed",
            ),
            ("no order 9fx2c71", "no order x1b2c3d"),
            (
                "mail to alice@example.com bounced",
                "mail to bob.b@example.org bounced",
            ),
            ("user=alice is gone", "user=bob is gone"),
            (
                "\"command failed\" err=\"no plan of /a/b (user='bob')\" id=\"a\"",
                "\"command failed\" err=\"no plan of /c (user='alice')\" id=\"b\"",
            ),
            (
                "late since Mon Nov 2 10:11:12 2026",
                "late since Sun Feb 22 01:02:03 2027",
            ),
            (
                "no order 0b9f3c1e-6f0e-4a3b-9c55-0b2f9f6f2a11",
                "no order 7d1b35f0-0000-4a3b-9c55-0b2f9f6f2a11",
            ),
        ] {
            assert_eq!(
                template_of(one, false),
                template_of(other, false),
                "{one} | {other}"
            );
        }
        for (one, other) in [
            ("can't open 'a'", "can't close 'a'"),
            ("DATABASE_URL is not set", "QUEUE_URL is not set"),
            (
                "listen tcp 127.0.0.1:80: address in use",
                "listen tcp 127.0.0.1:443: address in use",
            ),
            ("I/O error", "TCP/IP error"),
            (
                "GET http://10.0.0.1:80/a failed",
                "GET http://10.0.0.1:81/a failed",
            ),
            ("python3 is too old", "python is too old"),
            (
                "\"command failed\" err=\"open /a: no such file or directory\"",
                "\"command failed\" err=\"open /a: permission denied\"",
            ),
        ] {
            assert_ne!(
                template_of(one, false),
                template_of(other, false),
                "{one} | {other}"
            );
        }
        assert_ne!(
            template_of("no module 'a'", true),
            template_of("no module 'b'", true)
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
