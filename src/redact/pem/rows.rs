//! Splits a text into rows: lines, and the parts of lines between line ends that are written out,
//! as in `"a\nb"` and in `a%0Ab`. The first and the last line of a key are rows of their own.

use std::ops::Range;

use crate::redact::extent::skip;

/// Maximum length of the words between the dashes, in bytes.
const LONGEST_LABEL: usize = 64;

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyRow {
    /// Number of its line.
    pub line: usize,
    /// Distance from the beginning of the line, or from the last line end that is written out.
    pub column: usize,
    /// Its text, without the line end.
    pub text: Range<usize>,
    /// Its longest run of base64.
    pub run: Range<usize>,
    pub boundary: Option<Boundary>,
}

/// The first or the last line of a key or of something else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boundary {
    pub begins: bool,
    pub is_private: bool,
}

/// Returns the rows of a text.
pub fn rows(text: &[u8]) -> Vec<KeyRow> {
    let mut rows = Vec::new();
    let (mut line, mut start, mut base, mut at) = (0, 0, 0, 0);
    let row = |line, base, text: Range<usize>, run, boundary| KeyRow {
        line,
        column: text.start - base,
        text,
        run,
        boundary,
    };
    let mut longest = 0..0;
    while at < text.len() {
        let run = run(text, at);
        if run.len() > longest.len() {
            longest = run.clone();
        }
        at = run.end;
        let next = row_end(text, at);
        let found = boundary(text, at).filter(|_| next == at);
        if next > at || found.is_some() {
            rows.push(row(line, base, start..at, longest, None));
            (longest, start) = (0..0, at);
        }
        if let Some((length, boundary)) = found {
            let end = at + length;
            rows.push(row(line, base, at..end, at..at, Some(boundary)));
            (start, at) = (end, end);
        } else if next > at {
            line += usize::from(text.get(at..next).is_some_and(|end| end.ends_with(b"\n")));
            (start, base, at) = (next, next, next);
        } else {
            at += 1;
        }
    }
    rows.push(row(
        line,
        base,
        start.min(text.len())..text.len(),
        longest,
        None,
    ));
    rows
}

/// Returns the run of base64 that begins at `at`, with its padding; `+`, `/` and `=` may be written
/// as in a URL.
pub fn run(text: &[u8], at: usize) -> Range<usize> {
    let is_encoded = |i: usize| {
        matches!(
            text.get(i..),
            Some([b'%', b'2', b'B' | b'b' | b'F' | b'f', ..] | [b'%', b'3', b'D' | b'd', ..])
        )
    };
    let mut end = skip(text, at, is_base64);
    while end > at && is_encoded(end) {
        end = skip(text, end + 3, is_base64);
    }
    let padded = skip(text, end, |byte| byte == b'=').min(end + 2);
    let goes_on = text.get(padded).is_some_and(|byte| is_base64(*byte));
    at..if end == at || goes_on { end } else { padded }
}

pub fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

/// Returns the position after the line end at `at`, or `at`.
fn row_end(text: &[u8], at: usize) -> usize {
    match text.get(at..) {
        Some([b'\n', ..]) => at + 1,
        Some([b'\r', b'\n', ..]) => at + 2,
        Some([b'%', b'0', b'A' | b'a' | b'D' | b'd', ..]) => at + 3,
        Some([b'\\', b'n' | b'r' | b'\\', ..]) => {
            let end = skip(text, at, |byte| byte == b'\\');
            if matches!(text.get(end), Some(b'n' | b'r')) {
                end + 1
            } else {
                at
            }
        }
        _ => at,
    }
}

/// Returns the boundary that begins at `at`, and its length.
fn boundary(text: &[u8], at: usize) -> Option<(usize, Boundary)> {
    let rest = text.get(at..text.len().min(at + LONGEST_LABEL))?;
    // PuTTY: the run of base64 before has taken the first word.
    for (mark, begins) in [
        (&b"-Lines: "[..], true),
        (b"-MAC: ", false),
        (b"-Hash: ", false),
    ] {
        if rest.starts_with(mark) && text.get(..at).is_some_and(|it| it.ends_with(b"Private")) {
            let is_value = |byte: u8| byte.is_ascii_alphanumeric();
            let length = if begins {
                skip(rest, mark.len(), is_value)
            } else {
                mark.len()
            };
            return Some((
                length,
                Boundary {
                    begins,
                    is_private: true,
                },
            ));
        }
    }
    let dashes = skip(rest, 0, |byte| byte == b'-');
    let label = rest.get(dashes..).filter(|_| dashes == 4 || dashes == 5)?;
    let length = label.windows(4).position(|part| part == b"----")?;
    let mut words = label.get(..length)?.split(|byte| b" +%".contains(byte));
    // In `%20` the digits are left.
    let word = |word: &&[u8]| !word.strip_prefix(b"20").unwrap_or(word).is_empty();
    let first = words.find(word)?;
    let begins = first.ends_with(b"BEGIN");
    let is_known = begins || first.ends_with(b"END");
    let is_private = words.any(|word| word.ends_with(b"PRIVATE"));
    let end = dashes + skip(label, length, |byte| byte == b'-').min(length + 5);
    is_known.then_some((end, Boundary { begins, is_private }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns line, column, text and run of each row.
    fn read(text: &str) -> Vec<(usize, usize, &str, &str)> {
        let rows = rows(text.as_bytes());
        rows.iter()
            .map(|row| {
                (
                    row.line,
                    row.column,
                    &text[row.text.clone()],
                    &text[row.run.clone()],
                )
            })
            .collect()
    }

    #[test]
    fn a_row_ends_where_a_line_ends_or_seems_to() {
        assert_eq!(read(""), [(0, 0, "", "")]);
        assert_eq!(
            read("ab: cde\nx\\ny\\\\nz%0A1\r\n"),
            [
                (0, 0, "ab: cde", "cde"),
                (1, 0, "x", "x"),
                (1, 0, "y", "y"),
                (1, 0, "z", "z"),
                (1, 0, "1", "1"),
                (2, 0, "", "")
            ]
        );
        assert_eq!(read("a\\tb"), [(0, 0, "a\\tb", "tb")]);
        assert_eq!(read("ab cd"), [(0, 0, "ab cd", "ab")], "the first");
    }

    #[test]
    fn a_run_has_padding_and_characters_as_in_urls() {
        for (text, expected) in [
            ("ab+/1 x", "ab+/1"),
            ("ab= x", "ab="),
            ("ab===", "ab=="),
            ("abc===", "abc=="),
            ("abcd%2Bc x", "abcd%2Bc"),
            ("ab=cd", "ab"),
            ("=ab", ""),
            ("a%2Bb%2fc%3D%3D%20", "a%2Bb%2fc%3D%3D"),
            ("%2B", ""),
            ("", ""),
        ] {
            assert_eq!(&text[run(text.as_bytes(), 0)], expected, "{text}");
        }
    }

    #[test]
    fn the_first_and_the_last_line_of_anything_are_known() {
        for (text, expected) in [
            ("-----BEGIN RSA PRIVATE KEY-----", Some((31, true, true))),
            ("-----END PRIVATE KEY-----x", Some((25, false, true))),
            ("-----END PRIVATE KEY------", Some((25, false, true))),
            (
                "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----",
                Some((42, true, true)),
            ),
            ("-----BEGIN%20PRIVATE%20KEY-----", Some((31, true, true))),
            ("-----END+PRIVATE+KEY-----", Some((25, false, true))),
            ("-----BEGIN CERTIFICATE-----", Some((27, true, false))),
            ("-----BEGIN PRIVATE KEY", None),
            ("------BEGIN PRIVATE KEY------", None),
            ("---BEGIN PRIVATE KEY-----", None),
            ("----- PRIVATE KEY-----", None),
            ("", None),
        ] {
            let found = boundary(text.as_bytes(), 0);
            assert_eq!(
                found.map(|(end, it)| (end, it.begins, it.is_private)),
                expected,
                "{text}"
            );
        }
        let rows = rows(b"Private-Lines: 14\nab\nPrivate-MAC: 1f");
        let found: Vec<_> = rows
            .iter()
            .map(|row| row.boundary.map(|it| it.begins))
            .collect();
        assert_eq!(
            found,
            [None, Some(true), None, None, None, Some(false), None]
        );
    }
}
