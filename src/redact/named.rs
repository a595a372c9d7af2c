//! Tells from the text around a secret's name whether a secret follows: after `token=` and
//! `--token` one does, in `token bucket` none does.

use std::ops::Range;

use super::extent::{block, header, inside, line, values};

/// How far to look back from a name, in bytes: to its beginning, and the line's.
const LONGEST: usize = 64;

/// Schemes of HTTP's `Authorization` that one word follows; after others come names and values.
const ONE_WORD: [&str; 7] = [
    "basic",
    "bearer",
    "token",
    "jwt",
    "apikey",
    "negotiate",
    "ntlm",
];

/// Returns the secrets behind a name. `found` is the name, from what makes it one, and the
/// separator before its value.
pub fn secrets(text: &[u8], found: Range<usize>) -> Vec<Range<usize>> {
    let (start, at) = (found.start, found.end);
    let matched = text.get(found).unwrap_or_default();
    let before = text
        .get(start.saturating_sub(LONGEST)..start)
        .unwrap_or_default();
    let part_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let lead = before.len() - before.iter().rev().take_while(part_of_name).count();
    let (before_name, name) = before.split_at(lead);

    if begins(matched, "un") {
        return Vec::new();
    }
    if matched.iter().any(|byte| b"=:%".contains(byte)) {
        return assigned(text, at, matched, before_name, name);
    }
    if matched.ends_with(b">") {
        // `<db:password>`
        let is_tag = before_name.ends_with(b"<") || before_name.ends_with(b":");
        return if is_tag { values(text, at) } else { Vec::new() };
    }
    if matched.ends_with(b"\n") {
        // A part of a form: `name="password"`, an empty line, the value.
        let value = line(text, at).filter(|_| contains(before, b"name="));
        return value.into_iter().collect();
    }
    if name.starts_with(b"--") {
        let is_flag = text.get(at) == Some(&b'-');
        return if is_flag {
            Vec::new()
        } else {
            values(text, at)
        };
    }
    // A list of names and values: `["authorization", "Bearer …"]`.
    let end = matched.trim_ascii_end();
    match end.ends_with(b"\",") || end.ends_with(b"',") {
        true if begins(matched, "authorization") || begins(name, "x-") => http(text, at),
        true if begins(matched, "cookie") => values(text, at),
        _ => Vec::new(),
    }
}

/// Returns the secrets after `=` or `:`. `before` is the text before the name, `name` its
/// beginning.
fn assigned(
    text: &[u8],
    at: usize,
    matched: &[u8],
    before: &[u8],
    name: &[u8],
) -> Vec<Range<usize>> {
    if begins(matched, "cookie") {
        return cookie(text, at);
    }
    if begins(matched, "authorization") {
        return http(text, at);
    }
    let line_start = before
        .rsplit(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let starts_line = line_start.is_empty() || line_start == b"-" || line_start == b"export";
    // In YAML and in an environment a value goes on to the end of its line, spaces or not.
    let yaml = matched.trim_ascii_end().ends_with(b":") && matched.last() != Some(&b':');
    let capitals = |part: &[u8]| !part.iter().any(u8::is_ascii_lowercase);
    let environment = matched.ends_with(b"=") && capitals(name) && capitals(matched);
    if matched.trim_ascii_end().ends_with(b":")
        && let Some(lines) = block(text, at)
    {
        vec![lines]
    } else if starts_line && (yaml || environment) {
        line(text, at).into_iter().collect()
    } else {
        values(text, at)
    }
}

/// Returns the secrets after `Authorization:`.
fn http(text: &[u8], at: usize) -> Vec<Range<usize>> {
    let inside = inside(text, at);
    let rest = text.get(inside..).unwrap_or_default();
    let scheme = rest
        .iter()
        .take(LONGEST)
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
        .count();
    let spaces = rest
        .iter()
        .skip(scheme)
        .take_while(|byte| **byte == b' ')
        .count();
    let (scheme, after) = (
        rest.get(..scheme).unwrap_or_default(),
        inside + scheme + spaces,
    );
    if ONE_WORD
        .iter()
        .any(|word| scheme.eq_ignore_ascii_case(word.as_bytes()))
        && spaces > 0
    {
        values(text, after)
    } else if ["digest", "hawk", "oauth", "signature", "aws4-hmac-sha256"]
        .iter()
        .any(|word| begins(scheme, word))
    {
        header(text, after).into_iter().collect()
    } else {
        values(text, at)
    }
}

/// Returns what follows `Cookie:`, from the first cookie's value on. Without a `name=` it is only
/// talk about a cookie.
fn cookie(text: &[u8], at: usize) -> Vec<Range<usize>> {
    if text.get(at) == Some(&b'[') {
        return values(text, at);
    }
    let inside = inside(text, at);
    let name = text.get(inside..).unwrap_or_default().iter().take(LONGEST);
    let name = name
        .take_while(|byte| byte.is_ascii_graphic() && !b"=;,\"'\\[".contains(byte))
        .count();
    let is_cookie = name > 0 && text.get(inside + name) == Some(&b'=');
    if is_cookie {
        header(text, inside + name + 1).into_iter().collect()
    } else {
        Vec::new()
    }
}

fn begins(text: &[u8], word: &str) -> bool {
    text.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
