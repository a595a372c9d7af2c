//! Opens a config file: reads and parses its text once.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::DeTable;

use super::document::Document;
use super::keys::{JobFile, MachineFile};
use super::outside::Outsiders;
use super::parse::parse;
use super::patterns::Patterns;
use super::problem::{Problem, Source};
use super::read;
use super::secret_files::SecretFiles;
use super::sink_names::{self, SinkNames};
use super::user_names::UserNames;
use crate::host::Host;

/// A config file. Tables that cannot be used are left out of `value`; the names and patterns of a
/// broken table are kept, so that one mistake does not cause others.
#[derive(Default)]
pub struct Opened<T> {
    /// The text; `None` if there is no file that can be read.
    pub source: Option<Source>,
    pub value: T,
    pub root: Extract,
    pub default: Extract,
}

/// Names and patterns in one table: a file's root, or its `[default]`.
#[derive(Default)]
pub struct Extract {
    pub sinks: SinkNames,
    users: UserNames,
    secrets: SecretFiles,
    outside: Outsiders,
    pub patterns: Patterns,
}

impl Extract {
    fn of(table: &DeTable) -> Self {
        Self {
            sinks: SinkNames::of(table),
            users: UserNames::of(table),
            secrets: SecretFiles::of(table),
            outside: Outsiders::of(table),
            patterns: Patterns::of(table),
        }
    }
}

/// Opens a file, and adds its errors to `problems`.
pub fn open<T: DeserializeOwned + Default>(file: &Path, problems: &mut Vec<Problem>) -> Opened<T> {
    match read::read(file) {
        Ok(Some(source)) => opened(source, problems),
        Ok(None) => Opened::default(),
        Err(problem) => {
            problems.push(*problem);
            Opened::default()
        }
    }
}

fn opened<T: DeserializeOwned + Default>(source: Source, problems: &mut Vec<Problem>) -> Opened<T> {
    let document = Document::of(&source);
    let (value, wrong) = parse(&document);
    problems.extend(wrong);
    let root = Extract::of(&document.root);
    let default = document.default().map(Extract::of).unwrap_or_default();
    Opened {
        value: value.unwrap_or_default(),
        root,
        default,
        source: Some(source),
    }
}

impl Opened<MachineFile> {
    /// Returns what is wrong with the names and patterns of `lastwords.toml`.
    pub fn mistakes(&self) -> Vec<Problem> {
        let Some(source) = &self.source else {
            return Vec::new();
        };
        let names = sink_names::of_machine(source, &self.root.sinks, &self.default.sinks);
        [names, self.default.patterns.problems(source)].concat()
    }
}

impl Opened<JobFile> {
    /// Returns what is wrong with the names and patterns of a job's file.
    pub fn mistakes(&self, machine: &Opened<MachineFile>) -> Vec<Problem> {
        let Some(source) = &self.source else {
            return Vec::new();
        };
        let others = (&machine.root.sinks, &machine.default.sinks);
        let names = sink_names::of_job(source, &self.root.sinks, others);
        [names, self.root.patterns.problems(source)].concat()
    }
}

impl<T> Opened<T> {
    /// Returns true if the file defines a sink, usable or not.
    pub fn defines_a_sink(&self) -> bool {
        self.root.sinks.defines_one() || self.default.sinks.defines_one()
    }

    /// Returns what the file names and the machine does not have: users, secrets, programs, logs.
    /// `dir` is the config's directory; `credentials` are the files that systemd hands over.
    pub fn missing(&self, dir: &Path, host: &Host, credentials: &[String]) -> Vec<Problem> {
        let Some(source) = &self.source else {
            return Vec::new();
        };
        let of = |table: &Extract| {
            [
                table.users.problems(source, host),
                table.secrets.problems(source, dir, credentials),
                table.outside.problems(source, host),
            ]
            .concat()
        };
        [of(&self.root), of(&self.default)].concat()
    }
}
