//! Which sinks the files define and name: read from the parsed text, so that a mistake elsewhere in
//! a sink does not make its name unknown.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Severity, Source};
use super::{machine_file, wording};

/// What one table says of sinks.
#[derive(Default)]
struct Names {
    /// The names of the sinks that it defines.
    defined: Vec<Spanned<String>>,
    /// Whether it says anything of sinks of its own.
    has_own: bool,
    /// The names that it lists; `None` for all.
    listed: Option<Vec<Spanned<String>>>,
    list: std::ops::Range<usize>,
}

impl Names {
    fn of(table: &DeTable) -> Self {
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

/// The names of a file's root and of its `[default]`.
fn of_file(source: Option<&Source>) -> (Names, Names) {
    let Some(source) = source else {
        return Default::default();
    };
    let root = DeTable::parse_recoverable(&source.text).0.into_inner();
    let default = root
        .get("default")
        .and_then(|default| default.get_ref().as_table())
        .map(Names::of);
    (Names::of(&root), default.unwrap_or_default())
}

/// What is wrong with the sinks in `lastwords.toml`.
pub fn of_machine(machine: Option<&Source>) -> Vec<Problem> {
    let Some(source) = machine else {
        return Vec::new();
    };
    let (root, default) = of_file(machine);
    let known: Vec<&Spanned<String>> = root.defined.iter().chain(&default.defined).collect();
    [
        twice(source, &known, &[]),
        unknown(source, &default, &known),
    ]
    .concat()
}

/// What is wrong with the sinks in a job's file.
pub fn of_job(machine: Option<&Source>, job: Option<&Source>) -> Vec<Problem> {
    let Some(source) = job else { return Vec::new() };
    let ((machine, default), (own, _)) = (of_file(machine), of_file(job));
    let others: Vec<&Spanned<String>> = machine
        .defined
        .iter()
        .chain(default.defined.iter().filter(|_| !own.has_own))
        .collect();
    let here: Vec<&Spanned<String>> = own.defined.iter().collect();
    let known = [others.clone(), here.clone()].concat();
    [twice(source, &here, &others), unknown(source, &own, &known)].concat()
}

/// Whether a report would reach nobody at all.
pub fn nobody_is_told(dir: &Path, files: &[&Source]) -> Option<Problem> {
    let some = files.iter().any(|source| {
        let (root, default) = of_file(Some(source));
        !root.defined.is_empty() || !default.defined.is_empty()
    });
    let message = if machine_file(dir).exists() {
        "no sink is configured"
    } else {
        "there is no such file, and so no sink"
    };
    let help = "reports are kept in the spool and nobody is told; add a sink, as `[[sink.email]]`";
    (!some).then(|| Problem::with_file(&machine_file(dir), Severity::Warning, message, Some(help)))
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

fn unknown(source: &Source, names: &Names, known: &[&Spanned<String>]) -> Vec<Problem> {
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
