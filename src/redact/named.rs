//! Reads what follows a secret's name: after `token=` and `--token` a secret does, in
//! `token bucket` none does.

use std::ops::Range;

use super::extent::{block, header, inside, line, list, quoted, skip, value};
use super::looks::{
    WINDOW, is_harmless, is_hash, is_number, is_plain, is_prose, is_random, is_thing, is_word,
};
use super::name::{LONGEST, Says, says};

/// How far to look for the end of a tag, in bytes.
const LONGEST_TAG: usize = 256;
/// Minimum length of a number of a private JWK, in characters: 128 bits in base64.
const SHORTEST_NUMBER: usize = 22;
/// Schemes of HTTP's `Authorization` that names and values follow, and not one word.
const OF_PARAMETERS: [&str; 6] = [
    "aws4-hmac-sha256",
    "digest",
    "hawk",
    "oauth",
    "signature",
    "mac",
];

/// The text between a name and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Equals,
    Colon,
    /// `%3D`
    Encoded,
    /// `->`, or `", "value": "`.
    Arrow,
    /// In a list of names and values: `["authorization", "Bearer …"]`.
    Comma,
    /// `<password>`
    Tag,
    /// `PASSWORD '…'`
    Space,
    /// `--password …`
    Flag,
}

/// A place where a name ends.
pub struct Named<'t> {
    pub text: &'t [u8],
    /// Where what was already read ends.
    pub floor: usize,
    pub end: usize,
}

impl Named<'_> {
    /// Adds the secrets behind the name. Returns where the walk goes on, if there are any.
    pub fn read(&self, found: &mut Vec<Range<usize>>) -> Option<usize> {
        let (between, at) = separator(self.text, self.end)?;
        let name = self.name()?;
        let before = self.before(&name);
        let (between, at) = match between {
            Between::Space | Between::Tag if is_in_tag(before) => {
                (Between::Tag, end_of_tag(self.text, self.end)?)
            }
            Between::Tag => return None,
            Between::Space | Between::Comma if before.ends_with(b"-") => (Between::Flag, at),
            Between::Space if !b"'\"".contains(self.text.get(at)?) => return None,
            between => (between, at),
        };
        let says = says(self.text.get(name.clone())?)?;
        if is_talked_about(before) {
            return None;
        }
        NamedValue {
            text: self.text,
            at,
            between,
            says,
            before,
            name,
        }
        .read(found)
    }

    /// Returns where the whole name stands: `X-Api-Key`, `db.password`.
    fn name(&self) -> Option<Range<usize>> {
        let from = self.floor.max(self.end.saturating_sub(LONGEST));
        let part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let name = self.text.get(from..self.end)?;
        let length = name.iter().rev().take_while(part).count();
        // The hyphens of a flag are not the name's.
        let flag = name
            .get(name.len() - length..)?
            .iter()
            .take_while(|byte| **byte == b'-')
            .count();
        Some(self.end - length + flag..self.end)
    }

    /// Returns some of the text before the name.
    fn before(&self, name: &Range<usize>) -> &[u8] {
        let from = name.start.saturating_sub(LONGEST);
        self.text.get(from..name.start).unwrap_or_default()
    }
}

/// Returns what stands behind a name that ends at `at`, and where the value begins.
fn separator(text: &[u8], at: usize) -> Option<(Between, usize)> {
    let starts = |i: usize, with: &[u8]| text.get(i..).is_some_and(|rest| rest.starts_with(with));
    let after_name = colours(text, at);
    let closed = close(text, after_name);
    let i = spaces(text, closed);
    let found = match text.get(i)? {
        b'=' => {
            let end = skip(text, i, |byte| byte == b'=').min(i + 3);
            (
                Between::Equals,
                end + usize::from(text.get(end) == Some(&b'>')),
            )
        }
        b':' if starts(i, b"::") || starts(i, b"://") => return None,
        b':' if starts(i, b":=") => (Between::Equals, i + 2),
        b':' => (Between::Colon, i + 1),
        b'-' if i > closed && starts(i, b"->") => (Between::Arrow, i + 2),
        b'%' if starts(i, b"%3D") || starts(i, b"%3d") => (Between::Encoded, i + 3),
        b'%' if starts(i, b"%3A") || starts(i, b"%3a") => (Between::Encoded, i + 3),
        // The value begins where the tag ends.
        b'>' => return Some((Between::Tag, i)),
        _ => return unassigned(text, at, closed, i),
    };
    let mut end = spaces(text, found.1);
    while matches!(found.0, Between::Encoded) && (starts(end, b"%20") || starts(end, b"%22")) {
        end += 3;
    }
    Some((found.0, end))
}

/// Returns what stands behind a name if no `=` and no `:` does. `closed` is where the quote after
/// the name ends, `at` where the spaces after that end.
fn unassigned(text: &[u8], name: usize, closed: usize, at: usize) -> Option<(Between, usize)> {
    let is_quoted = closed > name;
    if let Some(value) = value_of_pair(text, closed).filter(|_| is_quoted) {
        return Some((Between::Arrow, value));
    }
    if text.get(at) == Some(&b',') && is_quoted {
        return Some((Between::Comma, spaces(text, at + 1)));
    }
    if text.get(at) == Some(&b'(') && closed == at {
        return Some((Between::Space, at + 1));
    }
    if let Some(rest) = text.get(closed..).filter(|_| is_quoted)
        && let Some(value) = [&b"\n\n"[..], b"\r\n\r\n"]
            .iter()
            .find(|it| rest.starts_with(it))
    {
        // A part of a form: `name="password"`, an empty line, the value.
        return Some((Between::Arrow, closed + value.len()));
    }
    (at > closed).then_some((Between::Space, at))
}

/// Returns where the value begins in `"name": "password", "value": "…"`.
fn value_of_pair(text: &[u8], at: usize) -> Option<usize> {
    let window = text.get(..text.len().min(at + LONGEST))?;
    let i = skip(window, at, |byte| {
        byte.is_ascii_whitespace() || byte == b','
    });
    let i = skip(window, i, |byte| b"\\\"'".contains(&byte));
    let word = window.get(i..i + 5)?;
    let i = skip(window, i + 5, |byte| b"\\\"'".contains(&byte));
    let i = skip(window, i, |byte| byte == b' ');
    let is_value = word.eq_ignore_ascii_case(b"value") && b"=:".contains(window.get(i)?);
    is_value.then(|| skip(window, i + 1, |byte| byte == b' '))
}

/// Returns the position after the quote, the bracket and the like that close after a name.
fn close(text: &[u8], at: usize) -> usize {
    let mut at = at;
    for _ in 0..4 {
        at += match text.get(at..) {
            Some(
                [b'"' | b'\'' | b'`' | b']', ..]
                | [b'\\', b'"' | b'\'' | b'\\', ..]
                | [b')', b'=', ..],
            ) => 1,
            Some([b'%', b'5', b'D' | b'd', ..] | [b'%', b'2', b'2' | b'7', ..]) => 3,
            _ => return at,
        };
    }
    at
}

fn spaces(text: &[u8], at: usize) -> usize {
    let next = skip(text, colours(text, at), |byte| {
        byte == b' ' || byte == b'\t'
    });
    colours(text, next)
}

/// Returns the position after the colours that a terminal is told to write in.
fn colours(text: &[u8], at: usize) -> usize {
    let mut at = at;
    while let Some([b'\x1b', b'[', ..]) = text.get(at..) {
        let end = skip(text, at + 2, |byte| byte.is_ascii_digit() || byte == b';');
        if text.get(end) != Some(&b'm') {
            break;
        }
        at = end + 1;
    }
    at
}

/// Returns true if an element opens before its name: `<`, `<wsse:`.
fn is_in_tag(before: &[u8]) -> bool {
    let space = before.strip_suffix(b":").map_or(0, |before| {
        1 + before
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count()
    });
    before
        .get(..before.len() - space)
        .is_some_and(|before| before.ends_with(b"<"))
}

/// Returns where the tag ends whose name ends at `at`: `<password>`, `<Password Type="…">`.
fn end_of_tag(text: &[u8], at: usize) -> Option<usize> {
    let window = text.get(at..text.len().min(at + LONGEST_TAG))?;
    let end = window
        .iter()
        .position(|byte| matches!(byte, b'>' | b'<' | b'\n'))?;
    let is_open = window.get(end) == Some(&b'>') && !window.get(..end)?.ends_with(b"/");
    is_open.then_some(at + end + 1)
}

/// Returns true if an error speaks of what comes next: `Unexpected token: …`.
fn is_talked_about(before: &[u8]) -> bool {
    const VERBS: [&str; 6] = [
        "unexpected",
        "unrecognized",
        "unrecognised",
        "found",
        "illegal",
        "unknown",
    ];
    let words = before.trim_ascii_end();
    VERBS.iter().any(|verb| ends_with(words, verb))
}

/// A value that stands behind a name.
struct NamedValue<'t> {
    text: &'t [u8],
    at: usize,
    between: Between,
    says: Says,
    /// Some of the text before the name.
    before: &'t [u8],
    name: Range<usize>,
}

impl NamedValue<'_> {
    fn read(&self, found: &mut Vec<Range<usize>>) -> Option<usize> {
        match (self.says, self.between) {
            (Says::Cookies, _) => self.cookies(found),
            (Says::Authorization, _) => self.credentials(found),
            // Other lists of words have no values.
            (_, Between::Comma) if !self.begins(b"x-") => None,
            (_, Between::Flag) if self.byte(self.at) == Some(b'-') => None,
            // `/etc/passwd: not found`
            (_, Between::Colon) if self.before.ends_with(b"/") => None,
            _ if self.is_line_end() => self.next_lines(found),
            _ => self.values(found),
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn begins(&self, with: &[u8]) -> bool {
        let name = self.text.get(self.name.clone()).unwrap_or_default();
        name.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    }

    fn is_line_end(&self) -> bool {
        let is_assigned = matches!(self.between, Between::Colon | Between::Equals);
        is_assigned
            && matches!(
                self.text.get(self.at..),
                Some([b'\n', ..] | [b'\r', b'\n', ..])
            )
    }

    /// Reads one value, or several in brackets.
    fn values(&self, found: &mut Vec<Range<usize>>) -> Option<usize> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(b"[") && !rest.starts_with(super::REDACTED.as_bytes()) {
            return self.list(found);
        }
        if self.between == Between::Colon
            && let Some(lines) = block(self.text, self.at)
        {
            return Some(add(lines, found));
        }
        // Most other values of such names need no closer look.
        let is_drawn = matches!(self.says, Says::Perhaps | Says::KeyNumber) && !self.is_in_query();
        if is_drawn && is_plain(self.window(self.at).get(self.at..)?) {
            return None;
        }
        let extent = if self.goes_to_the_end_of_its_line() {
            line
        } else {
            value
        };
        self.take(self.at, extent, found)
    }

    fn list(&self, found: &mut Vec<Range<usize>>) -> Option<usize> {
        let is_secret = |item: &Range<usize>| self.accepts(item, true);
        let (first, _) = list(self.window(self.at), self.at + 1);
        if !first.iter().any(is_secret) {
            return None;
        }
        let (items, end) = list(self.text, self.at + 1);
        found.extend(items.into_iter().filter(is_secret));
        Some(end)
    }

    /// Adds a value if it is a secret. A value that is none is not read to its end: its beginning
    /// tells.
    fn take(
        &self,
        at: usize,
        extent: fn(&[u8], usize) -> Range<usize>,
        found: &mut Vec<Range<usize>>,
    ) -> Option<usize> {
        let is_quoted = inside(self.text, at) > at;
        let is_secret = self.accepts(&extent(self.window(at), at), is_quoted);
        is_secret.then(|| add(extent(self.text, at), found))
    }

    /// Returns the text up to a little behind `at`.
    fn window(&self, at: usize) -> &[u8] {
        self.text
            .get(..self.text.len().min(at + WINDOW))
            .unwrap_or_default()
    }

    /// Returns true if a secret goes on to the end of its line, spaces or not: in YAML and in an
    /// environment.
    fn goes_to_the_end_of_its_line(&self) -> bool {
        let line = self
            .before
            .rsplit(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let line = line.trim_ascii();
        let starts_line = line.is_empty() || line == b"-" || line == b"export";
        let name = self.text.get(self.name.clone()).unwrap_or_default();
        let is_yaml = self.between == Between::Colon && self.is_spaced();
        let is_environment = self.between == Between::Equals
            && !self.is_spaced()
            && !name.iter().any(u8::is_ascii_lowercase);
        starts_line && self.says == Says::Secret && (is_yaml || is_environment)
    }

    /// Returns true if a space stands before the value.
    fn is_spaced(&self) -> bool {
        self.text
            .get(self.at - 1)
            .is_some_and(|byte| b" \t".contains(byte))
    }

    /// Returns true if the value is a secret, as far as the name says so.
    fn accepts(&self, value: &Range<usize>, is_quoted: bool) -> bool {
        let value = self.text.get(value.clone()).unwrap_or_default();
        let is_said = !is_quoted && matches!(self.between, Between::Colon | Between::Arrow);
        if is_harmless(value) || (is_prose(value) && (!is_quoted || value.contains(&b' '))) {
            return false;
        }
        // `usage: worker [--password PASSWORD]`
        if self.between == Between::Flag && value.iter().all(u8::is_ascii_uppercase) {
            return false;
        }
        match self.says {
            Says::KeyNumber => {
                let is_member = is_quoted && self.between == Between::Colon;
                is_member && value.len() >= SHORTEST_NUMBER && is_random(value)
            }
            Says::Perhaps => {
                let is_lone_hash = self.name.len() == 3 && is_hash(value);
                let is_drawn = is_random(value) && !is_lone_hash && !value.starts_with(b"<");
                is_drawn || (self.is_in_query() && value.len() > 5)
            }
            Says::Likely => {
                let is_word = is_said && is_word(value);
                !is_word && !is_thing(value) && !is_number(value, 5)
            }
            // `login.password:42` is a line of a file.
            _ => {
                let is_place = self.between == Between::Colon && !is_quoted && !self.is_spaced();
                !is_thing(value) && !is_number(value, if is_place { 5 } else { 2 })
            }
        }
    }

    /// Returns true for a parameter of a URL: `?key=`.
    fn is_in_query(&self) -> bool {
        self.between == Between::Equals && matches!(self.before.last(), Some(b'?' | b'&'))
    }

    /// Reads a value that stands on the next line, or a list with a line for each item.
    fn next_lines(&self, found: &mut Vec<Range<usize>>) -> Option<usize> {
        let is_blank = |byte: u8| byte.is_ascii_whitespace();
        let at = skip(self.text, self.at, is_blank);
        if self.text.get(at..)?.starts_with(b"- ") {
            return self.items(at, found);
        }
        if self
            .byte(self.name.end)
            .is_some_and(|byte| b"\"'".contains(&byte))
        {
            return quoted(self.window(at), at).and_then(|_| self.take(at, value, found));
        }
        // One word, further in than its name.
        let word = self.text.get(line(self.window(at), at))?;
        let is_deeper = self.byte(at - 1) != Some(b'\n');
        let is_one = is_deeper && is_random(word) && !word.iter().any(|byte| b" :".contains(byte));
        is_one.then(|| add(line(self.text, at), found))
    }

    /// Reads items of YAML up to the first that is no secret.
    fn items(&self, at: usize, found: &mut Vec<Range<usize>>) -> Option<usize> {
        let (mut at, mut end) = (at, None);
        while self.text.get(at..)?.starts_with(b"- ") {
            let Some(next) = self.take(at + 2, line, found) else {
                break;
            };
            end = Some(next);
            at = skip(self.text, next, |byte| byte != b'\n');
            at = skip(self.text, at, |byte| byte.is_ascii_whitespace());
        }
        end
    }

    /// Reads what follows `Authorization:`: a scheme and a secret, or a secret.
    fn credentials(&self, found: &mut Vec<Range<usize>>) -> Option<usize> {
        let at = self.at + usize::from(self.byte(self.at) == Some(b'['));
        let inside = inside(self.text, at);
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let window = self.window(inside);
        let end = skip(window, inside, is_scheme);
        let scheme = window.get(inside..end)?;
        let after = skip(self.text, end, |byte| byte == b' ');
        let is_followed = after > end && after < self.text.len() && !scheme.is_empty();
        if is_prose(scheme) {
            None
        } else if is_followed && OF_PARAMETERS.iter().any(|it| starts_with(scheme, it)) {
            let parameters = header(self.text, after);
            let is_said = !is_harmless(self.text.get(parameters.clone())?);
            is_said.then(|| add(parameters, found))
        } else {
            // A scheme is a word.
            let is_word = scheme.len() <= 20 && !scheme.iter().any(u8::is_ascii_digit);
            let at = if is_followed && is_word { after } else { at };
            self.take(at, value, found)
        }
    }

    /// Reads what follows `Cookie:`, from the first cookie's value on. Without a `name=` it is only
    /// talk about a cookie.
    fn cookies(&self, found: &mut Vec<Range<usize>>) -> Option<usize> {
        if self.byte(self.at) == Some(b'[') {
            return self.list(found);
        }
        let inside = inside(self.text, self.at);
        let is_name = |byte: u8| byte.is_ascii_graphic() && !b"=;,\"'\\[".contains(&byte);
        let end = skip(self.window(inside), inside, is_name);
        if end == inside || self.byte(end) != Some(b'=') {
            return None;
        }
        let value = header(self.text, end + 1);
        let is_said = !is_harmless(self.text.get(value.clone())?);
        is_said.then(|| add(value, found))
    }
}

fn add(value: Range<usize>, found: &mut Vec<Range<usize>>) -> usize {
    let end = value.end;
    found.push(value);
    end
}

fn starts_with(text: &[u8], word: &str) -> bool {
    text.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}

fn ends_with(text: &[u8], word: &str) -> bool {
    let from = text.len().checked_sub(word.len());
    from.is_some_and(|from| starts_with(text.get(from..).unwrap_or_default(), word))
}
