//! A config file's text as TOML: parsed once, and read from there by all who want something of it.

use toml::Spanned;
use toml::de::{DeTable, Error};

use super::problem::Source;

/// A parsed file.
pub struct Document<'s> {
    pub source: &'s Source,
    /// What could be read, each value with its place.
    pub root: DeTable<'s>,
    /// Where the text is not TOML.
    pub errors: Vec<Error>,
}

impl<'s> Document<'s> {
    pub fn of(source: &'s Source) -> Self {
        let (root, errors) = DeTable::parse_recoverable(&source.text);
        Self {
            source,
            root: root.into_inner(),
            errors,
        }
    }

    /// Returns the table `[default]`.
    pub fn default(&self) -> Option<&DeTable<'s>> {
        self.root.get("default").map(Spanned::get_ref)?.as_table()
    }
}
