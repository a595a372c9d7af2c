//! A config file's text as TOML. It is parsed once; values, names and patterns are read from that.

use toml::Spanned;
use toml::de::{DeTable, Error};

use super::problem::Source;

/// A parsed file.
pub struct Document<'s> {
    pub source: &'s Source,
    /// Every value that could be read, with its place.
    pub root: DeTable<'s>,
    /// Places where the text is not TOML.
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
