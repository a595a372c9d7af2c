//! Finds where redaction may begin in the middle of a text and find there what it finds when it
//! begins at the text's start.
//!
//! Most secrets end on their line. The items of a list, the lines of a block and a value below its
//! name do not, nor do keys. None of these goes over a *steady line*, one that ends as prose and as
//! objects end, and keys are short. So what follows a steady line depends on nothing above it.

use super::pem;

/// Minimum distance from the place to what is wanted, in bytes. No rule looks back further.
const MARGIN: usize = 2048;
/// How far to look for a steady line, in bytes.
const FURTHEST: usize = 16 * 1024;

/// Returns a place before `wanted`, the start of a steady line. Returns `None` if there may be
/// none.
pub fn entry(text: &[u8], wanted: usize) -> Option<usize> {
    let latest = text.get(..wanted.checked_sub(MARGIN)?)?;
    let furthest = latest.len().saturating_sub(FURTHEST);
    let above = latest.get(furthest..)?;
    let mut at = latest.len();
    for line in above.split_inclusive(|byte| *byte == b'\n').rev() {
        at -= line.len();
        if at > furthest && line.strip_suffix(b"\n").is_some_and(is_steady) {
            let from = at.saturating_sub(2 * pem::LONGEST);
            // The words before a name count, so the steady line is read too.
            return (!pem::may_hold_a_key(text.get(from..)?)).then_some(at);
        }
    }
    None
}

/// Returns true for a line that no secret goes over.
fn is_steady(line: &[u8]) -> bool {
    let (Some(first), Some(last)) = (line.first(), line.last()) else {
        return false;
    };
    // It stands in no block and is no item of YAML.
    let begins = first.is_ascii_alphanumeric() || b"[{".contains(first);
    // It ends an open list, and opens nothing.
    let ends = last.is_ascii_alphanumeric() || b"]}".contains(last);
    // A block's `|` may have digits behind it: `key: |2`.
    let is_digit = |byte: &u8| b"+-0123456789 \t".contains(byte);
    let opener = line.iter().rposition(|byte| !is_digit(byte));
    let is_block = opener.is_some_and(|i| b"|>".contains(&line[i]));
    // A letter ends what tells a terminal something.
    let is_readable = line.iter().any(u8::is_ascii_alphabetic) && !line.contains(&b'\x1b');
    begins && ends && is_readable && !is_block
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::{entry, is_steady};
    use crate::redact::Redactor;

    #[test]
    fn prose_and_objects_are_steady_and_what_goes_on_is_not() {
        for line in [
            "2026-11-22 INFO up",
            "{\"a\":1}",
            "[web] port 80",
            "a: b",
            "token=[1]",
        ] {
            assert!(is_steady(line.as_bytes()), "{line}");
        }
        for line in [
            "",
            "  a: b",
            "- a",
            "\"a\",",
            "key = [",
            "key: |",
            "key: |2",
            "key: >-",
            "key:",
            "key=",
            "key = \"a\"",
            "name=\"password\"",
            "1234",
            "a \x1b[0",
            "a ",
            "a\r",
        ] {
            assert!(!is_steady(line.as_bytes()), "{line}");
        }
    }

    /// Lines that open, continue and end what goes over several of them.
    const LINES: [&str; 43] = [
        "2026-11-22T23:58:59Z INFO http: GET /orders 200",
        "{\"level\":\"info\",\"msg\":\"up\"}",
        "[web] port 80 is open",
        "password:",
        "password=",
        "\"api_key\":",
        "  correct-horse-7Qz9-battery",
        "x9Qz7-correct-horse-battery",
        "tokens = [",
        "\"tokens\": [\"a8Fk2-qqPz7-mmX\",",
        "  \"b8Fk2-qqPz7-mmX\",",
        "\"c8Fk2-qqPz7-mmX\",",
        "d8Fk2-qqPz7-mmX,",
        "e8Fk2-qqPz7-mmX, f8Fk2-qqPz7-mmX,",
        "]",
        "},",
        "ssh_key: |",
        "secret: |2",
        "secret: >-",
        "  g8Fk2 qqPz7 mmX",
        "\th8Fk2 qqPz7 mmX",
        "passwords:",
        "- i8Fk2-qqPz7-mmX",
        "  - j8Fk2-qqPz7-mmX",
        "",
        " ",
        "Content-Disposition: form-data; name=\"password\"",
        "k8Fk2-qqPz7-mmX",
        "{ \"name\": \"password\",",
        "  \"value\": \"l8Fk2-qqPz7-mmX\" }",
        "#0 /srv/a.php(12): PDO->__construct('mysql:', 'app', 'm8Fk2-qqPz7-mmX')",
        "Authorization: Bearer n8Fk2qqPz7mmXn8Fk2qqPz7mmX",
        "Cookie: [a=o8Fk2qqPz7mmX,",
        "<password>",
        "p8Fk2-qqPz7-mmX</password>",
        "found token:",
        "unexpected",
        "\x1b[31",
        "curl -u app:q8Fk2-qqPz7-mmX https://x",
        "$ mysql -pr8Fk2qqPz7mmX",
        "postgres://app:s8Fk2-qqPz7-mmX@db/x",
        "app:t8Fk2-qqPz7-mmX@tcp(db)/x",
        "[cut] u8Fk2-qqPz7-mmX",
    ];

    const KEY: [&str; 3] = [
        "-----BEGIN PRIVATE KEY-----",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
        "-----END PRIVATE KEY-----",
    ];

    /// Returns how often a line stands there. Some lists and blocks are longer than the margin.
    fn repeats() -> impl Strategy<Value = usize> {
        prop_oneof![9 => 1..4_usize, 2 => 50..300_usize]
    }

    /// Returns the secrets of a text from `wanted` on.
    fn below(secrets: Vec<Range<usize>>, wanted: usize) -> Vec<Range<usize>> {
        let clipped = secrets
            .into_iter()
            .map(|secret| secret.start.max(wanted)..secret.end);
        clipped.filter(|secret| !secret.is_empty()).collect()
    }

    proptest! {
        #[test]
        fn what_is_found_from_an_entry_on_is_found_from_the_start_on(
            picks in proptest::collection::vec(
                (prop_oneof![1 => 0..3_usize, 5 => 3..LINES.len()], repeats()),
                30..60,
            ),
            key in proptest::option::weighted(0.2, (0..30_usize, 0..3_usize, 1..4_usize)),
        ) {
            let mut lines: Vec<_> = picks
                .iter()
                .flat_map(|(line, times)| std::iter::repeat_n(LINES[*line], *times))
                .collect();
            if let Some((at, from, length)) = key {
                lines.splice(at..at, KEY.into_iter().skip(from).take(length));
            }
            let text = lines.join("\n").into_bytes();
            let all = Redactor::default().secrets(&text);
            let line_starts = (1..text.len()).filter(|at| text[at - 1] == b'\n');
            for wanted in line_starts.step_by(149) {
                let Some(from) = entry(&text, wanted) else { continue };
                let found = Redactor::default().secrets(&text[from..]);
                let found = found.into_iter().map(|it| it.start + from..it.end + from);
                let (found, all) = (below(found.collect(), wanted), below(all.clone(), wanted));
                prop_assert_eq!(found, all, "{}", String::from_utf8_lossy(&text));
            }
        }
    }
}
