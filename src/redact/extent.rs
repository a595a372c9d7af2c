//! Finds where a secret ends.

use std::ops::Range;

/// How far to look for a URL's password, in bytes.
const LONGEST_PASSWORD: usize = 512;
/// How far to look for the name of a next value, in bytes.
const LONGEST_NAME: usize = 64;

/// Words that are no secret: they say that there is none, or in which form it comes.
const HARMLESS: [&str; 18] = [
    "null",
    "nil",
    "none",
    "true",
    "false",
    "undefined",
    "yes",
    "no",
    "unset",
    "empty",
    "basic",
    "bearer",
    "digest",
    "hawk",
    "oauth",
    "signature",
    "token",
    "aws4-hmac-sha256",
];

/// Returns the values that begin at `at`: one, or several in brackets.
pub fn values(text: &[u8], at: usize) -> Vec<Range<usize>> {
    match text.get(at) {
        Some(b'[') if !is_redacted(text, at) => {}
        // `token::parse`
        Some(b':') => return Vec::new(),
        _ => return value(text, at).into_iter().collect(),
    }
    let mut found = Vec::new();
    let mut at = at + 1;
    while let Some(inner) = quoted(
        text,
        skip(text, at, |byte| byte.is_ascii_whitespace() || byte == b','),
    ) {
        at = skip(text, inner.end, |byte| {
            matches!(byte, b'\\' | b'"' | b'\'' | b'`')
        });
        found.push(inner);
    }
    found
}

/// Returns one value: in quotes, or a word.
fn value(text: &[u8], at: usize) -> Option<Range<usize>> {
    let found = quoted(text, at).unwrap_or_else(|| word(text, at));
    is_secret(text, &found).then_some(found)
}

/// Returns a value that goes on to the end of its line, unless it is in quotes.
pub fn line(text: &[u8], at: usize) -> Option<Range<usize>> {
    let to_end = || {
        let end = skip(text, at, |byte| byte != b'\n');
        at..at + text.get(at..end).unwrap_or_default().trim_ascii_end().len()
    };
    let found = quoted(text, at).unwrap_or_else(to_end);
    is_secret(text, &found).then_some(found)
}

/// Returns a header's value with its spaces, up to the quote or the bracket around the header.
pub fn header(text: &[u8], at: usize) -> Option<Range<usize>> {
    let ends = |i: usize| match text.get(i) {
        None | Some(b'\n' | b'\r') => true,
        Some(b'"' | b'\'' | b'`') => match text.get(i + 1) {
            Some(b',') => matches!(
                text.get(skip(text, i + 2, |byte| byte == b' ')),
                Some(b'"' | b'\'' | b'\n')
            ),
            next => next.is_none_or(|byte| byte.is_ascii_whitespace() || b")]}".contains(byte)),
        },
        _ => false,
    };
    let end = (at..=text.len()).find(|i| ends(*i))?;
    is_secret(text, &(at..end)).then_some(at..end)
}

/// Returns the indented lines of the block of YAML that begins at `at` with `|` or `>`.
pub fn block(text: &[u8], at: usize) -> Option<Range<usize>> {
    text.get(at).filter(|byte| b"|>".contains(byte))?;
    let start = skip(text, at + 1, |byte| b"+-0123456789 \t\r".contains(&byte)) + 1;
    text.get(start - 1).filter(|byte| **byte == b'\n')?;
    let lines = text.get(start..)?.split_inclusive(|byte| *byte == b'\n');
    let end = start
        + lines
            .take_while(|line| line.starts_with(b" ") || line.starts_with(b"\t"))
            .map(<[u8]>::len)
            .sum::<usize>();
    let start = skip(text, start, |byte| byte.is_ascii_whitespace());
    let end = start + text.get(start..end)?.trim_ascii_end().len();
    (start < end).then_some(start..end)
}

/// Returns the password that begins at `at`, after `://user:`, unless it is a port.
pub fn url_password(text: &[u8], at: usize) -> Option<Range<usize>> {
    let window = text.get(at..text.len().min(at + LONGEST_PASSWORD))?;
    let ends = |(i, byte): (usize, &u8)| {
        let next_url = || window.get(i..).is_some_and(|rest| rest.starts_with(b"://"));
        byte.is_ascii_whitespace() || b"\"'<>`".contains(byte) || (*byte == b':' && next_url())
    };
    let rest = window.get(
        ..window
            .iter()
            .enumerate()
            .position(ends)
            .unwrap_or(window.len()),
    )?;
    let authority = rest.split(|byte| b"/?#".contains(byte)).next()?;
    let at_sign = authority
        .iter()
        .rposition(|byte| *byte == b'@')
        .or_else(|| {
            // Some write passwords with a `/` in them as they are.
            let is_port = authority.iter().all(u8::is_ascii_digit);
            rest.iter()
                .position(|byte| *byte == b'@')
                .filter(|_| !is_port)
        });
    at_sign
        .filter(|length| *length > 0)
        .map(|length| at..at + length)
}

/// Returns the text in the quotes that open at `at`; in a JSON text within a JSON text these are
/// `\"`. Quotes that are not closed go to the end of the line.
fn quoted(text: &[u8], at: usize) -> Option<Range<usize>> {
    let (start, quote, depth) = opening(text, at)?;
    let mut backslashes = 0;
    for (i, byte) in text.iter().enumerate().skip(start) {
        match *byte {
            b'\\' => backslashes += 1,
            b'\n' => return Some(start..i),
            byte if byte == quote && backslashes % (2 * depth + 2) == depth => {
                return Some(start..i - depth);
            }
            _ => backslashes = 0,
        }
    }
    Some(start..text.len())
}

/// Returns the position after the quotes that open at `at`, the quote, and the number of
/// backslashes before it.
fn opening(text: &[u8], at: usize) -> Option<(usize, u8, usize)> {
    let depth = skip(text, at, |byte| byte == b'\\') - at;
    let quote = *text.get(at + depth).filter(|byte| b"\"'`".contains(byte))?;
    Some((at + depth + 1, quote, depth))
}

/// Returns `at`, or the position after the quotes that open there.
pub fn inside(text: &[u8], at: usize) -> usize {
    opening(text, at).map_or(at, |(start, ..)| start)
}

/// Returns a value without quotes, up to a space or to the name of a next value.
fn word(text: &[u8], start: usize) -> Range<usize> {
    let mut i = start;
    while let Some(byte) = text.get(i) {
        match byte {
            0..=b' ' | 0x7f | b'<' => break,
            b',' | b'&' | b';' if names_next(text, i + 1) => break,
            b'"' | b'\'' | b'`' | b'\\' if closes(text, i) => break,
            b'"' | b'\'' | b'`' => match quoted(text, i) {
                // `Some("a b")`
                Some(inner) if text.get(..i).is_some_and(|before| before.ends_with(b"(")) => {
                    return inner;
                }
                inner => i = inner.map_or(i, |inner| inner.end) + 1,
            },
            _ => i += 1,
        }
    }
    let i = i.min(text.len());
    let found = text.get(start..i).unwrap_or_default();
    let trailing = found
        .iter()
        .rev()
        .take_while(|byte| b")]},;.:>\"'`".contains(byte))
        .count();
    start..i - trailing
}

/// Returns true if the quote at `at` ends a value. It may have a backslash before it.
fn closes(text: &[u8], at: usize) -> bool {
    let quote = skip(text, at, |byte| byte == b'\\');
    matches!(text.get(quote), Some(b'"' | b'\'' | b'`'))
        && text
            .get(quote + 1)
            .is_none_or(|byte| byte.is_ascii_whitespace() || b",;)]}:>\\\"'&".contains(byte))
}

/// Returns true if `name=` or `"name":` stands at `at`.
fn names_next(text: &[u8], at: usize) -> bool {
    let quotes = |byte| matches!(byte, b'\\' | b'"' | b'\'');
    let start = skip(text, at, |byte| byte == b' ' || quotes(byte));
    let name = text
        .get(start..text.len().min(start + LONGEST_NAME))
        .unwrap_or_default();
    let length = name
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte))
        .count();
    let after = skip(text, start + length, quotes);
    length > 0 && matches!(text.get(after), Some(b'=' | b':'))
}

fn is_secret(text: &[u8], found: &Range<usize>) -> bool {
    let value = text.get(found.clone()).unwrap_or_default();
    let says_something = value
        .iter()
        .any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
    let is_harmless = || {
        HARMLESS
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
    };
    says_something && !is_harmless() && !is_redacted(text, found.start)
}

fn is_redacted(text: &[u8], at: usize) -> bool {
    text.get(at..)
        .is_some_and(|text| text.starts_with(super::REDACTED.as_bytes()))
}

/// Returns the first position from `at` on whose byte is none of these.
fn skip(text: &[u8], at: usize, these: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at.min(text.len()) + rest.iter().take_while(|byte| these(**byte)).count()
}
