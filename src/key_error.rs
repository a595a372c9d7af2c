//! A mistake in one table of the config: keys that contradict each other, or one that is missing.
//!
//! serde passes errors on as text and knows only where the table begins. So the text starts with
//! the key, and the config's parser points at that key's line.

use std::fmt;

/// Why a table cannot be used. The text never repeats a value, which may be a secret.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyError {
    /// The key whose value is wrong; `None` if the table lacks one.
    key: Option<String>,
    message: String,
    help: Option<String>,
}

impl KeyError {
    /// The value of this key is wrong, or does not go with the other keys.
    pub fn at(key: &str, message: impl Into<String>) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..Self::of_table(message)
        }
    }

    /// The table as a whole is wrong.
    pub fn of_table(message: impl Into<String>) -> Self {
        Self {
            key: None,
            message: message.into(),
            help: None,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

/// The form that [`split`] reads: `` `KEY`: MESSAGE ``, and the help on a line of its own.
impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(key) = &self.key {
            write!(f, "`{key}`: ")?;
        }
        f.write_str(&self.message)?;
        self.help
            .as_ref()
            .map_or(Ok(()), |help| write!(f, "\n{help}"))
    }
}

/// Splits an error's text into the key that it begins with and the rest.
pub fn split(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('`')?.split_once("`: ")
}
