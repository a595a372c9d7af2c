//! Takes secrets out of texts: keys, tokens, passwords. The rest shows that there was one:
//! `password=[redacted]`.
//!
//! A report is redacted before it touches the disk, with the patterns below and those of its job.
//! So is everything that lastwords prints or logs, and the errors that it keeps. Some secrets get
//! through: those that look like ordinary text (`correct horse battery staple`) and have no telling
//! name beside them.
//!
//! The time depends on the text's length only. To redact a redacted text changes nothing.
//!
//! ```text
//! walk ─ at a name ─> named ─> name: does it say so?  extent: where the value ends
//!      │                       looks: can the value be a secret?
//!      ├ at a token ─> tokens: a table of shapes
//!      └ at a URL, a flag, a call ─> phrases
//! pem: private keys, which go over many lines
//! entry: where all this may begin in the middle of a text
//! ```

mod entry;
mod extent;
mod looks;
mod name;
mod named;
mod pem;
mod phrases;
mod tokens;
mod walk;

use std::borrow::Cow;
use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};
use serde_json::Value;

use crate::report::{Report, Section, SectionData};
use looks::{is_harmless, is_random};
use name::{Says, says};

/// Stands in a secret's place.
pub const REDACTED: &str = "[redacted]";

/// Maximum size of a compiled pattern of a job, in bytes.
const MAX_COMPILED: usize = 256 * 1024;
/// Maximum length of a job's pattern, in bytes.
const MAX_PATTERN: usize = 1000;

/// A job's own pattern. The text that it matches is a secret; if it has a group, the text that the
/// first group matches.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern, in the syntax of the `regex` crate without Unicode classes.
    ///
    /// # Errors
    /// If it is no such regular expression, or too large; the text says it in words for people.
    pub fn new(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("expected a regular expression, found an empty text".to_owned());
        }
        if pattern.len() > MAX_PATTERN {
            return Err(format!(
                "expected a regular expression of at most {MAX_PATTERN} bytes"
            ));
        }
        let regex = RegexBuilder::new(pattern)
            .unicode(false)
            .size_limit(MAX_COMPILED)
            .build();
        regex.map(Self).map_err(|why| match why {
            regex::Error::CompiledTooBig(_) => {
                "this regular expression is too large: count to less in it".to_owned()
            }
            why => {
                // The last line of a syntax error says what it is about; the others repeat the
                // pattern.
                let why = why.to_string();
                let what = why
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ");
                format!("expected a regular expression, but {what}")
            }
        })
    }
}

/// Takes the secrets out of one job's reports.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    patterns: Vec<Pattern>,
}

/// Returns a text without the secrets that need no job's pattern.
pub fn redact(text: &str) -> Cow<'_, str> {
    Redactor::default().text(text)
}

/// Returns a text with an asterisk for each byte of such a secret. Its length stays the same.
pub fn masked(text: &str) -> String {
    let mut masked = text.to_owned();
    for secret in Redactor::default().secrets(text.as_bytes()) {
        let start = text.floor_char_boundary(secret.start);
        let end = text.ceil_char_boundary(secret.end);
        masked.replace_range(start..end, &"*".repeat(end - start));
    }
    masked
}

impl Redactor {
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self { patterns }
    }

    /// Returns a text without its secrets. Secrets on lines below one another, as those of a key,
    /// leave one line.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.replaced(text, is_line_end)
    }

    /// Returns a text without its secrets, with as many lines.
    pub fn lines<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.replaced(text, is_written_line_end)
    }

    /// Returns what begins at `from`, the start of a line, as [`Self::lines`] of the whole text
    /// would show it. Returns `None` if only the whole text can tell.
    pub fn lines_from<'t>(&self, text: &'t str, from: usize) -> Option<Cow<'t, str>> {
        Some(as_text(
            text.get(from..)?,
            self.bytes_from(text.as_bytes(), from)?,
        ))
    }

    /// Returns what begins at `from`, the start of a line, as [`Self::bytes`] of all bytes would
    /// show it. Returns `None` if only all of them can tell.
    pub fn bytes_from<'t>(&self, bytes: &'t [u8], from: usize) -> Option<Cow<'t, [u8]>> {
        // A job's pattern may match what goes over any number of lines.
        if !self.patterns.is_empty() {
            return None;
        }
        let entry = entry::entry(bytes, from)?;
        let secrets = self.secrets(bytes.get(entry..)?).into_iter();
        let to = |at: usize| (entry + at).saturating_sub(from);
        let secrets = secrets.map(|secret| to(secret.start)..to(secret.end));
        let secrets = secrets.filter(|secret| !secret.is_empty()).collect();
        Some(replaced(bytes.get(from..)?, secrets, is_written_line_end))
    }

    /// Returns bytes without their secrets, with as many lines.
    pub fn bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        replaced(bytes, self.secrets(bytes), is_written_line_end)
    }

    fn replaced<'t>(&self, text: &'t str, is_gap: fn(&[u8]) -> bool) -> Cow<'t, str> {
        let bytes = text.as_bytes();
        as_text(text, replaced(bytes, self.secrets(bytes), is_gap))
    }

    /// Takes the secrets out of all of a report's texts. The names of job and host stay, and its
    /// id.
    pub fn report(&self, report: &mut Report) {
        self.replace(&mut report.verdict_because);
        self.replace(&mut report.cause.line);
        let last_words = report.cause.last_words.iter_mut();
        for evidence in report.cause.evidence.iter_mut().chain(last_words) {
            self.replace(&mut evidence.source);
            self.replace(&mut evidence.text);
        }
        report.notes.iter_mut().for_each(|note| self.replace(note));
        report
            .runbook
            .iter_mut()
            .for_each(|runbook| self.replace(runbook));
        self.sections(&mut report.sections);
    }

    /// Takes the secrets out of sections.
    pub fn sections(&self, sections: &mut [Section]) {
        for section in sections {
            self.replace(&mut section.collector);
            self.replace(&mut section.text);
            let mut data = section.data.to_json();
            self.data(&mut data);
            section.data = SectionData::from_json(&section.kind, data);
        }
    }

    fn replace(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.text(text) {
            *text = redacted;
        }
    }

    fn data(&self, data: &mut Value) {
        match data {
            Value::String(text) => self.replace(text),
            Value::Array(list) => list.iter_mut().for_each(|item| self.data(item)),
            Value::Object(object) => {
                let entries = std::mem::take(object).into_iter();
                *object = entries
                    .map(|(key, value)| (self.text(&key).into_owned(), self.named(&key, value)))
                    .collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Returns a value of this name without its secrets.
    fn named(&self, name: &str, mut value: Value) -> Value {
        match says(name.as_bytes()) {
            Some(Says::Perhaps | Says::KeyNumber) => hide(&mut value, &is_random),
            Some(_) => hide(&mut value, &|text| !is_harmless(text)),
            None => {}
        }
        self.data(&mut value);
        value
    }

    /// Returns the positions of the secrets, in order. No two touch.
    fn secrets(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = walk::secrets(text);
        found.extend(pem::bodies(text));
        found.extend(
            self.patterns
                .iter()
                .flat_map(|Pattern(regex)| matches(regex, text)),
        );
        found.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for range in found.into_iter().filter(|range| !range.is_empty()) {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }
}

/// Returns the matches of a pattern, or those of its first group.
fn matches(regex: &Regex, text: &[u8]) -> Vec<Range<usize>> {
    let groups = regex.captures_iter(text);
    groups
        .filter_map(|found| {
            found
                .iter()
                .skip(1)
                .flatten()
                .next()
                .or(found.get(0))
                .map(|it| it.range())
        })
        .collect()
}

/// Returns what is left of a text as text.
fn as_text<'t>(text: &'t str, left: Cow<'t, [u8]>) -> Cow<'t, str> {
    match left {
        Cow::Borrowed(_) => text.into(),
        // A job's pattern may end within a character.
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    }
}

/// Puts [`REDACTED`] in the place of each secret, and of those together that only such a gap
/// separates.
fn replaced(bytes: &[u8], secrets: Vec<Range<usize>>, is_gap: fn(&[u8]) -> bool) -> Cow<'_, [u8]> {
    if secrets.is_empty() {
        return bytes.into();
    }
    let mut redacted = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for secret in secrets {
        let between = bytes.get(done..secret.start).unwrap_or_default();
        if done == 0 || !is_gap(between) {
            redacted.extend_from_slice(between);
            redacted.extend_from_slice(REDACTED.as_bytes());
        }
        done = secret.end;
    }
    redacted.extend_from_slice(bytes.get(done..).unwrap_or_default());
    redacted.into()
}

/// Returns true for line ends, also those that are written out, and the space around them.
fn is_line_end(between: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_whitespace() || b"\\nr".contains(byte);
    let is_end = |byte: &u8| b"\n\\".contains(byte);
    between.iter().any(is_end) && between.iter().all(is_part)
}

/// Returns true for line ends that are only written out.
fn is_written_line_end(between: &[u8]) -> bool {
    is_line_end(between) && !between.contains(&b'\n')
}

/// Takes the texts and the numbers out of a secret's value.
fn hide(value: &mut Value, is_secret: &dyn Fn(&[u8]) -> bool) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|item| hide(item, is_secret)),
        Value::Object(object) => object.values_mut().for_each(|item| hide(item, is_secret)),
        Value::String(text) if is_secret(text.as_bytes()) => REDACTED.clone_into(text),
        Value::Number(number) if is_secret(number.to_string().as_bytes()) => {
            *value = REDACTED.into();
        }
        Value::String(_) | Value::Number(_) | Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod decisions;
#[cfg(test)]
mod tests;
