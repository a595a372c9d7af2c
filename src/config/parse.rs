//! Turns a parsed config file into its struct, and finds every error at once.
//!
//! serde stops at the first error. So the value that an error is about is cut out of the parsed
//! file, and the rest is tried again until there are no more errors.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::document::Document;
use super::problem::{Problem, Severity};
use super::{tree, wording};
use crate::key_error;

/// Maximum number of problems shown of one file.
const MAX: usize = 50;

/// Returns a file's value, and everything that is wrong with the file.
///
/// A table with an error is left out as a whole, so that one mistake in a sink does not silence the
/// others and no sink runs half-configured. There is no value if the text is not TOML.
pub fn parse<T: DeserializeOwned>(document: &Document) -> (Option<T>, Vec<Problem>) {
    let Document { source, errors, .. } = document;
    let mut root = document.root.clone();
    let syntax = syntax_errors(&root, &source.text, errors);
    let mut wrong = lists_of_what_is_one::<T>(&mut root);
    let typed = deserialize::<T>(root.clone());
    let type_errors = match typed {
        Ok(_) => Vec::new(),
        Err(_) => type_errors::<T>(root.clone()),
    };
    wrong.extend(type_errors.iter().cloned());
    wrong.retain(|error| syntax.iter().all(|broken| !broken.explains(error)));
    let wrong: Vec<_> = wrong
        .into_iter()
        .map(|error| in_words(error, &root, &source.text))
        .collect();
    let value = match typed {
        _ if !syntax.is_empty() => None,
        Ok(value) => Some(value),
        Err(_) => without(root, &type_errors),
    };
    let mut all: Vec<_> = syntax
        .into_iter()
        .map(|error| (error.span, error.message, error.help))
        .chain(wrong)
        .collect();
    all.sort_by_key(|(span, ..)| span.start);
    let shown = all.iter().take(MAX);
    let mut problems: Vec<Problem> = shown
        .map(|(span, message, help)| {
            source.problem(span, Severity::Error, message, help.as_deref())
        })
        .collect();
    if all.len() > MAX {
        let message = format!("this file has more errors: only the first {MAX} are shown");
        problems.push(Problem::with_file(
            &source.file,
            Severity::Error,
            &message,
            None,
        ));
    }
    (value, problems)
}

/// A place where the text is not TOML.
struct SyntaxError {
    span: Range<usize>,
    message: String,
    help: Option<String>,
    /// Further syntax errors in this range follow from this one.
    extent: Range<usize>,
    /// The parser may have misread this range.
    shadow: Range<usize>,
}

impl SyntaxError {
    /// Returns true if the other error may follow from this one. A missing key may be one that the
    /// parser lost.
    fn explains(&self, error: &TypeError) -> bool {
        wording::missing_key(&error.message).is_some() || self.shadow.contains(&error.span.start)
    }
}

fn syntax_errors(root: &DeTable, text: &str, errors: &[Error]) -> Vec<SyntaxError> {
    let mut errors: Vec<&Error> = errors.iter().collect();
    errors.sort_by_key(|error| wording::rank(error.message()));
    let mut broken: Vec<SyntaxError> = Vec::new();
    for error in errors.into_iter().take(10 * MAX) {
        let at = error.span().unwrap_or(0..0);
        if broken.len() > MAX
            || broken
                .iter()
                .any(|broken| broken.extent.contains(&at.start))
        {
            continue;
        }
        let opened = tree::around(root, at.start).filter(|_| wording::is_unclosed(error.message()));
        let line = line_around(text, at.start);
        let (span, extent) = match opened {
            Some(value) => (value.start..value.start + 1, value.start..at.start + 1),
            None => (at, line.clone()),
        };
        let before = text.get(line.start..span.start).unwrap_or_default();
        let header = before.trim_start().starts_with('[');
        let shadow = if header {
            line.start..section_end(text, line.end)
        } else {
            extent.clone()
        };
        let found = text.get(span.clone()).unwrap_or_default();
        let (message, help) = wording::of_syntax_error(error.message(), found, before);
        broken.push(SyntaxError {
            span,
            message,
            help,
            extent,
            shadow,
        });
    }
    broken
}

/// Returns the range of the line at a position, with its newline.
fn line_around(text: &str, at: usize) -> Range<usize> {
    let at = text.floor_char_boundary(at);
    let (before, after) = text.split_at(at);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    start..after.find('\n').map_or(text.len(), |length| at + length) + 1
}

/// Returns the start of the next table. Keys up to there are misread if their table's header is.
fn section_end(text: &str, start: usize) -> usize {
    let next = text.get(start..).and_then(|rest| rest.find("\n["));
    next.map_or(text.len() + 1, |length| start + length)
}

/// A value that the struct refuses, in serde's words.
#[derive(Clone)]
struct TypeError {
    span: Range<usize>,
    message: String,
}

/// Returns what to show for an error: its place, message and help.
///
/// A struct that refuses its table names the key that is wrong; the place is that key's value.
fn in_words(
    TypeError { span, message }: TypeError,
    root: &DeTable,
    text: &str,
) -> (Range<usize>, String, Option<String>) {
    let named = key_error::split(&message)
        .and_then(|(key, rest)| Some((tree::value_at(root, &span, key)?, rest)));
    let (span, message) = match named {
        Some((value, rest)) => (value, rest.to_owned()),
        None => (span, message),
    };
    let found = text.get(span.clone()).unwrap_or_default();
    let (message, help) = wording::of_type_error(&message, found);
    (span, message, help)
}

/// Removes lists of tables, `[[collect.memory]]`, from places where the struct takes one table.
/// serde would read the first table as the struct's first key, or ignore the list.
fn lists_of_what_is_one<T: DeserializeOwned>(root: &mut DeTable) -> Vec<TypeError> {
    let mut errors = Vec::new();
    for (path, span) in tree::lists(root) {
        // Try an empty table in that place.
        let wants_one = match deserialize::<T>(tree::with(&path, DeValue::Table(DeTable::new()))) {
            Ok(_) => true,
            Err(error) => wording::missing_key(error.message()).is_some(),
        };
        if wants_one && tree::remove(root, &path).is_some() {
            errors.push(TypeError {
                span,
                message: "invalid type: sequence, expected a map".to_owned(),
            });
        }
    }
    errors
}

fn type_errors<T: DeserializeOwned>(mut root: DeTable) -> Vec<TypeError> {
    let mut errors: Vec<TypeError> = Vec::new();
    let mut removed = Vec::new();
    let mut filled = Vec::new();
    for _ in 0..3 * MAX {
        let Err(error) = deserialize::<T>(root.clone()) else {
            break;
        };
        // No more are shown.
        if errors.len() > MAX {
            break;
        }
        let span = place_of::<T>(&error, &root);
        let path = tree::find(&root, &span).unwrap_or_default();
        let whole = tree::whole(&mut root, &path).to_vec();
        if let Some(key) = wording::missing_key(error.message()) {
            let here = (span, key.to_owned());
            if filled.contains(&here) {
                // The key takes no string, so the table's other missing keys stay unknown.
                if tree::remove(&mut root, &whole).is_none() {
                    break;
                }
                continue;
            }
            if !removed.contains(&here) {
                errors.push(TypeError {
                    span: here.0.clone(),
                    message: error.message().to_owned(),
                });
            }
            if !tree::fill(&mut root, &path, key) {
                break;
            }
            filled.push(here);
        } else {
            let known = errors.iter().any(|error| error.span == span)
                || filled.iter().any(|(place, _)| *place == span);
            if !known {
                errors.push(TypeError {
                    span,
                    message: error.message().to_owned(),
                });
            }
            let meant = wording::meant_key(error.message());
            // An error that follows from a key that was cut out or filled in says no more of its
            // table.
            let gone = if known { whole } else { path };
            let Some((table, key)) = tree::remove(&mut root, &gone) else {
                break;
            };
            // A key that was cut out or mistyped is not missing.
            removed.extend(meant.map(|meant| (table.clone(), meant)));
            removed.push((table, key));
        }
    }
    errors
}

/// Returns the place of the value that an error is about.
///
/// A sink that refuses its table does so when the table has been read. serde then knows only the
/// place of the whole list. The sink that is meant is the first that is refused alone, too.
fn place_of<T: DeserializeOwned>(error: &Error, root: &DeTable) -> Range<usize> {
    let span = error.span().unwrap_or(0..0);
    let refused = |one| deserialize::<T>(one).is_err_and(|it| it.message() == error.message());
    let mut tables = tree::alone(root, &span);
    let meant = tables.find_map(|(place, one)| refused(one).then_some(place));
    meant.unwrap_or(span)
}

/// Leaves out what a wrong value costs.
fn leave_out(root: &mut DeTable, place: &Range<usize>) -> Option<()> {
    let path = tree::find(root, place)?;
    let whole = tree::whole(root, &path).to_vec();
    tree::remove(root, &whole).map(drop)
}

/// Returns the value without the tables that have an error.
fn without<T: DeserializeOwned>(mut root: DeTable, errors: &[TypeError]) -> Option<T> {
    for error in errors {
        leave_out(&mut root, &error.span);
    }
    // Of too many errors some were not found. They cost no other table either.
    for _ in 0..MAX {
        match deserialize::<T>(root.clone()) {
            Ok(value) => return Some(value),
            Err(error) => {
                let place = place_of::<T>(&error, &root);
                leave_out(&mut root, &place)?;
            }
        }
    }
    None
}

fn deserialize<T: DeserializeOwned>(root: DeTable) -> Result<T, Error> {
    T::deserialize(Deserializer::from(Spanned::new(0..0, root)))
}
