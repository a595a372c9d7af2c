//! From a config file's text to its struct, with every error at once.
//!
//! serde stops at the first error. So what an error is about is cut out of the parsed file, and the rest is tried again,
//! until nothing more is wrong.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, Deserializer, Error};

use super::problem::{Problem, Severity, Source};
use super::{tree, wording};

/// How many problems of one file are shown; people mend some and look again.
const MAX: usize = 50;

/// Reads a file's text, and tells everything that is wrong with it.
///
/// Tables with an error in them are left out of the value, whole, so that one mistake in one sink does not silence the
/// others and no sink runs half-configured. There is no value where the text is not even TOML.
pub fn parse<T: DeserializeOwned>(source: &Source) -> (Option<T>, Vec<Problem>) {
    let (root, syntax) = DeTable::parse_recoverable(&source.text);
    let (root, syntax) = (root.into_inner(), syntax_errors(source, &syntax));
    let mut wrong = type_errors::<T>(root.clone());
    let value = if syntax.is_empty() { without(root, &wrong) } else { None };

    let not_a_consequence = |error: &Wrong| syntax.iter().all(|broken| !broken.explains(error, &source.text));
    wrong.retain(not_a_consequence);
    let wrong = wrong.into_iter().map(|Wrong { span, message }| {
        let (message, help) = wording::of_type_error(&message, source.text.get(span.clone()).unwrap_or_default());
        (span, message, help)
    });
    let mut all: Vec<_> =
        syntax.into_iter().map(|error| (error.span, error.message, error.help)).chain(wrong).collect();
    all.sort_by_key(|(span, ..)| span.start);
    let more = all.len().saturating_sub(MAX);
    let mut problems: Vec<_> = all
        .iter()
        .take(MAX)
        .map(|(span, message, help)| source.problem(span, Severity::Error, message, help.as_deref()))
        .collect();
    if more > 0 {
        let message = "there is more wrong with this file: only the first 50 errors are shown";
        problems.push(Problem::with_file(&source.file, Severity::Error, message, None));
    }
    (value, problems)
}

/// A line that is not TOML.
struct Broken {
    span: Range<usize>,
    message: String,
    help: Option<String>,
}

/// The first error of each line: those after it are its consequences.
fn syntax_errors(source: &Source, errors: &[Error]) -> Vec<Broken> {
    let mut broken: Vec<Broken> = Vec::new();
    for error in errors.iter().take(10 * MAX) {
        let text = &source.text;
        let span = error.span().unwrap_or(0..0);
        let start = text.floor_char_boundary(span.start);
        let same_line = |other: &Broken| {
            let (a, b) = (start.min(other.span.start), start.max(other.span.start));
            text.get(a..b).is_some_and(|between| !between.contains('\n'))
        };
        if broken.len() < MAX && !broken.iter().any(same_line) {
            let found = text.get(span.clone()).unwrap_or_default();
            let (message, help) = wording::of_syntax_error(error.message(), found, line_before(text, start));
            broken.push(Broken { span: start..span.end, message, help });
        }
    }
    broken
}

fn line_before(text: &str, end: usize) -> &str {
    text.get(..end).and_then(|before| before.rsplit('\n').next()).unwrap_or_default()
}

impl Broken {
    /// Whether that error is only there because of this one: a key that was lost is not missing, and what follows a
    /// broken header stands in the wrong table.
    fn explains(&self, error: &Wrong, text: &str) -> bool {
        let (a, b) = (self.span.start.min(error.span.start), self.span.start.max(error.span.start));
        let between = text.get(a..b).unwrap_or_default();
        let header = line_before(text, self.span.start).trim_start().starts_with('[');
        wording::missing_key(&error.message).is_some()
            || !between.contains('\n')
            || (header && self.span.start < error.span.start && !between.contains("\n["))
    }
}

/// A value that the struct does not take, in serde's words.
struct Wrong {
    span: Range<usize>,
    message: String,
}

fn type_errors<T: DeserializeOwned>(mut root: DeTable) -> Vec<Wrong> {
    let mut errors: Vec<Wrong> = Vec::new();
    let mut removed = Vec::new();
    let mut filled = Vec::new();
    for _ in 0..3 * MAX {
        let Err(error) = deserialize::<T>(root.clone()) else { break };
        let span = error.span().unwrap_or(0..0);
        let path = tree::find(&root, &span).unwrap_or_default();
        if let Some(key) = wording::missing_key(error.message()) {
            let here = (span, key.to_owned());
            if filled.contains(&here) {
                // A string is not what belongs there: what else the table lacks stays unknown.
                if tree::remove(&mut root, &path).is_none() {
                    break;
                }
                continue;
            }
            if !removed.contains(&here) {
                errors.push(Wrong { span: here.0.clone(), message: error.message().to_owned() });
            }
            if !tree::fill(&mut root, &path, key) {
                break;
            }
            filled.push(here);
        } else {
            let known = errors.iter().any(|error| error.span == span) || filled.iter().any(|(place, _)| *place == span);
            if !known {
                errors.push(Wrong { span, message: error.message().to_owned() });
            }
            let Some(here) = tree::remove(&mut root, &path) else { break };
            removed.push(here);
        }
    }
    errors
}

/// The value without the tables that have an error in them.
fn without<T: DeserializeOwned>(mut root: DeTable, errors: &[Wrong]) -> Option<T> {
    for error in errors {
        if let Some(path) = tree::find(&root, &error.span) {
            let whole = tree::whole(&mut root, &path).to_vec();
            tree::remove(&mut root, &whole);
        }
    }
    deserialize(root).ok()
}

fn deserialize<T: DeserializeOwned>(root: DeTable) -> Result<T, Error> {
    T::deserialize(Deserializer::from(Spanned::new(0..0, root)))
}
