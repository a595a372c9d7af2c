//! The names of sinks that the files define and list. They are read from the parsed text, so that a
//! mistake elsewhere in a sink does not make its name unknown.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::files::machine_file;
use super::problem::{Problem, Severity, Source};
use super::wording;

/// The sinks that one table defines and names.
#[derive(Default)]
pub struct SinkNames {
    /// The names of the sinks that it defines.
    defined: Vec<Spanned<String>>,
    /// True if it has a table `sink`.
    has_own: bool,
    /// The names that it lists; `None` for all.
    listed: Option<Vec<Spanned<String>>>,
    /// Place of that list.
    list: Range<usize>,
}

impl SinkNames {
    pub fn of(table: &DeTable) -> Self {
        let own = table.get("sink").map(Spanned::get_ref);
        let list = table.get("sinks");
        Self {
            defined: own
                .and_then(DeValue::as_table)
                .map(defined)
                .unwrap_or_default(),
            has_own: own.is_some(),
            listed: list
                .and_then(|list| list.get_ref().as_array())
                .map(|list| list.iter().filter_map(text).collect()),
            list: list.map_or(0..0, Spanned::span),
        }
    }

    /// Returns true if the table defines a sink.
    pub fn defines_one(&self) -> bool {
        !self.defined.is_empty()
    }
}

fn defined(kinds: &DeTable) -> Vec<Spanned<String>> {
    let sinks = kinds
        .values()
        .filter_map(|kind| kind.get_ref().as_array())
        .flat_map(|sinks| sinks.iter());
    let mut names: Vec<_> = sinks
        .filter_map(|sink| sink.get_ref().as_table()?.get("name").and_then(text))
        .collect();
    names.sort_by_key(|name| name.span().start);
    names
}

fn text(value: &Spanned<DeValue>) -> Option<Spanned<String>> {
    Some(Spanned::new(
        value.span(),
        value.get_ref().as_str()?.to_owned(),
    ))
}

/// Returns what is wrong with the sinks of `lastwords.toml`, in its root and its `[default]`.
pub fn of_machine(source: &Source, root: &SinkNames, default: &SinkNames) -> Vec<Problem> {
    let known: Vec<&Spanned<String>> = root.defined.iter().chain(&default.defined).collect();
    [
        unusable(source, &known),
        twice(source, &known, &[]),
        unknown(source, default, &known),
    ]
    .concat()
}

/// Returns what is wrong with the sinks of a job's file. The other two are those of
/// `lastwords.toml`, in its root and its `[default]`.
pub fn of_job(
    source: &Source,
    own: &SinkNames,
    (machine, default): (&SinkNames, &SinkNames),
) -> Vec<Problem> {
    let others: Vec<&Spanned<String>> = machine
        .defined
        .iter()
        .chain(default.defined.iter().filter(|_| !own.has_own))
        .collect();
    let here: Vec<&Spanned<String>> = own.defined.iter().collect();
    let known = [others.clone(), here.clone()].concat();
    [
        unusable(source, &here),
        twice(source, &here, &others),
        unknown(source, own, &known),
    ]
    .concat()
}

/// Returns the warning that no file defines a sink.
pub fn none_at_all(dir: &Path) -> Problem {
    let file = machine_file(dir);
    let message = if file.exists() {
        "no sink is configured"
    } else {
        "this file does not exist, so no sink is configured"
    };
    let help = "reports are kept in the spool, but no one is told; add a sink, as `[[sink.email]]`";
    Problem::with_file(&file, Severity::Warning, message, Some(help))
}

/// Returns an error for each name that holds a NUL, which separates a job's name from its sink's:
/// see [`crate::report::SinkKey`].
fn unusable(source: &Source, here: &[&Spanned<String>]) -> Vec<Problem> {
    let wrong = here.iter().filter(|name| name.get_ref().contains('\0'));
    let problem = |name: &&Spanned<String>| {
        let message = "expected a name without NUL";
        source.problem(&name.span(), Severity::Error, message, None)
    };
    wrong.map(problem).collect()
}

fn twice(source: &Source, here: &[&Spanned<String>], others: &[&Spanned<String>]) -> Vec<Problem> {
    let again = here.iter().enumerate().filter_map(|(i, name)| {
        let same = |other: &&&Spanned<String>| other.get_ref() == name.get_ref();
        let message = if others.iter().any(|other| same(&other)) {
            "lastwords.toml already has a sink of this name"
        } else {
            here.iter().take(i).find(same)?;
            "two sinks have this name"
        };
        Some(source.problem(
            &name.span(),
            Severity::Error,
            message,
            Some("give each sink a name of its own"),
        ))
    });
    again.collect()
}

fn unknown(source: &Source, names: &SinkNames, known: &[&Spanned<String>]) -> Vec<Problem> {
    let Some(listed) = &names.listed else {
        return Vec::new();
    };
    if listed.is_empty() {
        let help = "reports are kept in the spool; leave `sinks` out to tell all sinks";
        return vec![source.problem(
            &names.list,
            Severity::Warning,
            "nobody is told when this job dies",
            Some(help),
        )];
    }
    let known: Vec<&str> = known.iter().map(|name| name.get_ref().as_str()).collect();
    let unknown = listed
        .iter()
        .filter(|name| !known.contains(&name.get_ref().as_str()));
    let problem = |name: &Spanned<String>| {
        let message = match known.as_slice() {
            [] => format!("unknown sink `{name}`: none is configured"),
            known => format!(
                "unknown sink `{name}`, expected {}",
                wording::one_of(known.iter().copied())
            ),
        };
        let help = wording::did_you_mean(name.get_ref(), known.iter().copied());
        source.problem(&name.span(), Severity::Error, &message, help.as_deref())
    };
    unknown.map(problem).collect()
}
